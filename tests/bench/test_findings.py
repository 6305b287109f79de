# SPDX-License-Identifier: Apache-2.0
"""Findings on a key's attributes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, findings, qualify
from sealpass.bench.qualification.findings import Attributes, Severity
from sealpass.bench.report import markdown, terminal
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import BackendUnavailable, KeyNotFound
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from tests.bench.planted import SlowerThanItsFloor, SoundKey, TakesAnyCekLength

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


OF_THE_FIXTURE = {"software-key", "rsa-2048"}
"""What is found on the key of these tests whatever they change."""


class KeyWithAttributes(SoundKey):
    """A key that shows attributes, as a PKCS#11 key does."""

    shown: Attributes = GOOD

    def attributes(self) -> Mapping[str, bool | int | str | None]:
        return self.shown


def weighed(private_key: rsa.RSAPrivateKey, attributes: Attributes | None) -> dict[str, Severity]:
    """The findings on a key with these attributes, without those on mode and size."""
    found = findings.judge_key(SoundKey(private_key), attributes, None, tuple(UnwrapMode))
    return {finding.id: finding.severity for finding in found if finding.id not in OF_THE_FIXTURE}


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


class Silent(SoundKey):
    """A key that has attributes and whose device does not tell them."""

    error: Exception = BackendUnavailable("CKR_SESSION_COUNT", retryable=True)

    def attributes(self) -> Mapping[str, bool | int | str | None]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (BackendUnavailable("CKR_SESSION_COUNT", retryable=True), "backend-unavailable"),
        (KeyNotFound("it was there before"), "key-not-found"),
        (RuntimeError("a secret of the SDK"), "exception RuntimeError"),
    ],
)
def test_attributes_that_a_device_does_not_tell_are_no_pass(
    error: Exception, word: str, private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """Nobody knows whether such a key can be taken away: inconclusive, with the reason, whatever else passed."""
    key = Silent(private_key)
    key.error = error
    document = qualify(key, SEALPASS, tiny)
    assert (document["verdict"]["verdict"], document["verdict"]["exit_code"]) == ("inconclusive", 4)
    assert document["verdict"]["cases"]["pass"] == len(document["cases"])
    [reason] = document["verdict"]["reasons"]
    assert reason.startswith("D6 ")
    assert word in reason
    assert document["attributes"]["status"] == "no-answer"
    assert document["attributes"]["values"] is None
    assert "a secret" not in str(document)


def test_a_fault_is_graver_than_attributes_that_are_not_told(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A key whose attributes are not known and that breaks the contract fails."""

    class SilentAndBroken(Silent, TakesAnyCekLength):
        pass

    assert qualify(SilentAndBroken(private_key), SEALPASS, tiny)["verdict"]["verdict"] == "fail"


def test_a_key_without_attributes_passes(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Where there is nothing to ask, nothing is missing."""
    document = qualify(SoundKey(private_key), SEALPASS, tiny)
    assert document["attributes"]["status"] == "not-available"
    assert {check["id"]: check["status"] for check in document["checks"]}["D6"] == "not-applicable"
    assert document["verdict"]["verdict"] == "pass"


def test_a_token_that_hides_what_protects_the_key_is_a_finding(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Where CKA_SENSITIVE and CKA_EXTRACTABLE cannot be read, two findings of weight say so."""
    key = KeyWithAttributes(private_key)
    key.shown = {}
    document = qualify(key, SEALPASS, tiny)
    found = {finding["id"]: finding["severity"] for finding in document["findings"]}
    assert (found["unknown-sensitive"], found["unknown-extractable"]) == ("medium", "medium")


def test_a_module_that_does_not_describe_itself_stops_nothing(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Facts for the report's first page are no part of the verdict."""

    class Mute(SoundKey):
        def describe(self) -> Mapping[str, str]:
            raise BackendUnavailable("gone", retryable=True)

    document = qualify(Mute(private_key), SEALPASS, tiny)
    assert document["module"] == {
        "status": "no-answer",
        "reason": "the device did not answer: backend-unavailable",
        "values": None,
    }
    assert document["verdict"]["verdict"] == "pass"


def test_a_software_key_passes_by_explicit_opt_in_only(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Mode software is not an allowed mode: without the opt-in a key without a fault fails, for this alone."""
    document = qualify(SoundKey(private_key), SEALPASS, replace(tiny, allow_software=False))
    assert (document["verdict"]["verdict"], document["verdict"]["exit_code"]) == ("fail", 1)
    assert document["verdict"]["reasons"] == ["mode software may not pass: only native and in-token may"]
    assert document["settings"]["allowed_modes"] == ["native", "in-token"]
    allowed = qualify(SoundKey(private_key), SEALPASS, tiny)
    assert allowed["verdict"]["verdict"] == "pass"
    assert allowed["settings"]["allowed_modes"] == ["native", "in-token", "software"]


@pytest.mark.parametrize("mode", [UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def test_a_key_in_a_device_is_in_an_allowed_mode(mode: UnwrapMode, private_key: rsa.RSAPrivateKey) -> None:
    """Native and in-token need no opt-in; a key that does not say its mode is in none."""
    key = SoundKey(private_key)
    key.capabilities = replace(key.capabilities, mode=mode)
    assert [finding.id for finding in findings.judge_key(key, GOOD, None, Options().allowed_modes)] == ["rsa-2048"]
    key.capabilities = replace(key.capabilities, mode=None)
    assert [finding.id for finding in findings.judge_key(key, GOOD, None, Options().allowed_modes)] == [
        "mode-not-allowed",
        "rsa-2048",
    ]


KMS = {
    "service": "AWS KMS",
    "key spec": "RSA_3072",
    "origin": "AWS_KMS",
    "key manager": "CUSTOMER",
    "multi-region": "no",
}


class KmsLike(SoundKey):
    """A key of a service that describes its keys and may be a stand-in, as AWS KMS."""

    said: Mapping[str, str] = KMS
    is_emulator = False

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.capabilities = replace(self.capabilities, mode=UnwrapMode.NATIVE)

    def describe(self) -> Mapping[str, str]:
        return self.said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"origin": "AWS_CLOUDHSM"}, {}),
        ({"origin": "EXTERNAL"}, {"imported": Severity.MEDIUM}),
        ({"origin": "EXTERNAL_KEY_STORE"}, {"unknown-origin": Severity.MEDIUM}),
        ({"origin": ""}, {"unknown-origin": Severity.MEDIUM}),
        ({"multi-region": "yes"}, {"multi-region": Severity.INFO}),
    ],
)
def test_what_a_service_says_of_its_key_becomes_a_finding(
    change: Mapping[str, str], expected: dict[str, Severity], private_key: rsa.RSAPrivateKey
) -> None:
    """Where the key material comes from and where it may be are findings of their weight."""
    found = findings.judge_key(KmsLike(private_key), None, {**KMS, **change}, Options().allowed_modes)
    assert {finding.id: finding.severity for finding in found if finding.id not in OF_THE_FIXTURE} == expected


@pytest.mark.parametrize("made", [SoundKey, KmsLike, KeyWithAttributes])
@pytest.mark.parametrize(("bits", "expected"), [(2048, Severity.INFO), (3072, None)])
def test_the_size_of_a_key_is_judged_wherever_it_is(
    made: type[SoundKey], bits: int, expected: Severity | None, private_key: rsa.RSAPrivateKey
) -> None:
    """2048 bits are told of every key, whatever its device says of itself, and weigh nothing."""
    key = made(private_key if bits == private_key.key_size else rsa.generate_private_key(65537, bits))
    found = findings.judge_key(key, None, None, tuple(UnwrapMode))
    assert {finding.id: finding.severity for finding in found}.get("rsa-2048") is expected


def test_a_module_that_says_nothing_of_an_origin_is_not_judged_by_it(private_key: rsa.RSAPrivateKey) -> None:
    """The facts of a token have other names, and give no finding of a service."""
    found = findings.judge_key(KmsLike(private_key), None, {"token model": "x"}, Options().allowed_modes)
    assert [finding.id for finding in found] == ["rsa-2048"]


def test_an_imported_key_passes_with_a_finding_to_read(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """An origin outside the service is for a person to weigh: the verdict says that there is something to read."""
    key = KmsLike(private_key)
    key.said = {**KMS, "origin": "EXTERNAL"}
    document = qualify(key, AIRLOCK_KMS, replace(tiny, allow_software=False))
    assert document["verdict"]["reasons"] == ["1 finding of severity medium; read it before you accept"]
    assert document["attributes"]["status"] == "not-available"
    assert document["measurement"]["note"] is None


def test_an_emulator_makes_no_claim(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Beside the figures of an emulator stands that they are no claim, and late failures are not judged."""

    class Emulated(KmsLike, SlowerThanItsFloor):
        is_emulator = True

    document = qualify(Emulated(private_key), AIRLOCK_KMS, tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    assert document["measurement"]["note"] == "emulator: no performance claim"
    weights = {finding["id"]: finding["severity"] for finding in document["findings"]}
    assert weights == {"emulator": "info", "failure-floor": "info", "rsa-2048": "info"}
    for report in (markdown.render(document), terminal.render(document)):
        assert "Speed (emulator: no performance claim)" in report
