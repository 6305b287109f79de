# SPDX-License-Identifier: Apache-2.0
"""Findings on a key's attributes."""

from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, findings, qualify
from sealpass.bench.qualification.findings import Attributes, Severity
from sealpass.core.contract import SEALPASS
from sealpass.core.errors import BackendUnavailable
from tests.bench.planted import SoundKey

GOOD: dict[str, bool | int | str | None] = {
    "sensitive": True,
    "extractable": False,
    "always_sensitive": True,
    "never_extractable": True,
    "private": True,
    "token": True,
    "local": True,
    "modifiable": False,
    "decrypt": True,
    "unwrap": False,
    "sign": False,
    "raw_rsa": False,
    "rsa_pkcs": False,
}


class KeyWithAttributes(SoundKey):
    """A key that shows attributes, as a PKCS#11 key does."""

    shown: Attributes = GOOD

    def attributes(self) -> Mapping[str, bool | int | str | None]:
        return self.shown


def weighed(private_key: rsa.RSAPrivateKey, attributes: Attributes | None) -> dict[str, Severity]:
    """The findings on a key with these attributes, without the one on software keys."""
    found = findings.judge_key(SoundKey(private_key), attributes)
    return {finding.id: finding.severity for finding in found if finding.id != "software-key"}


def test_a_well_made_key_has_no_finding(private_key: rsa.RSAPrivateKey) -> None:
    """A key that is sensitive, local and good for one thing gives no finding."""
    assert weighed(private_key, GOOD) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"extractable": True}, {"extractable": Severity.HIGH}),
        ({"sensitive": False}, {"not-sensitive": Severity.HIGH}),
        ({"sensitive": None}, {"unknown-sensitive": Severity.MEDIUM}),
        ({"extractable": None}, {"unknown-extractable": Severity.MEDIUM}),
        ({"always_sensitive": False}, {"not-always-sensitive": Severity.MEDIUM}),
        ({"never_extractable": False}, {"once-extractable": Severity.MEDIUM}),
        ({"sign": True}, {"sign": Severity.MEDIUM}),
        ({"raw_rsa": True}, {"raw-rsa": Severity.MEDIUM}),
        ({"rsa_pkcs": True}, {"rsa-pkcs": Severity.MEDIUM}),
        ({"cek_readable": True}, {"cek-readable": Severity.MEDIUM}),
        ({"private": False}, {"not-private": Severity.MEDIUM}),
        ({"token": False}, {"not-token": Severity.MEDIUM}),
        ({"unwrap": True}, {"two-modes": Severity.LOW}),
        ({"modifiable": True}, {"modifiable": Severity.LOW}),
        ({"local": False}, {"not-local": Severity.INFO}),
        ({"local": None, "sign": None, "raw_rsa": None}, {}),
    ],
)
def test_an_attribute_becomes_a_finding(
    change: Attributes, expected: dict[str, Severity], private_key: rsa.RSAPrivateKey
) -> None:
    """Each attribute that is not as it should be is one finding of its weight."""
    assert weighed(private_key, {**GOOD, **change}) == expected


def test_findings_come_gravest_first(private_key: rsa.RSAPrivateKey) -> None:
    """Whoever reads only the first finding reads the gravest."""
    found = weighed(private_key, {**GOOD, "local": False, "sign": True, "extractable": True, "modifiable": True})
    assert list(found.values()) == [Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO]


def test_an_extractable_key_fails(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A key that can leave its device fails, although every contract case passes."""
    key = KeyWithAttributes(private_key)
    key.shown = {**GOOD, "extractable": True}
    document = qualify(key, SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert document["verdict"]["cases"]["fail"] == 0
    assert document["attributes"]["values"]["extractable"] is True


def test_a_medium_finding_does_not_fail(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """What weighs less is for a person to judge: the key passes, and the finding is in the document."""
    key = KeyWithAttributes(private_key)
    key.shown = {**GOOD, "sign": True}
    document = qualify(key, SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "pass"
    assert "sign" in {finding["id"] for finding in document["findings"]}


def test_attributes_that_cannot_be_read_are_null_with_a_reason(private_key: rsa.RSAPrivateKey) -> None:
    """A key without attributes, and one whose device does not answer, give None and why."""

    class Silent(SoundKey):
        def attributes(self) -> Mapping[str, bool | int | str | None]:
            raise BackendUnavailable("gone", retryable=True)

    assert findings.read_attributes(SoundKey(private_key))[0] is None
    values, reason = findings.read_attributes(Silent(private_key))
    assert values is None
    assert reason is not None
    assert "backend-unavailable" in reason
