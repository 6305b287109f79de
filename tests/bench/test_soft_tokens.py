# SPDX-License-Identifier: Apache-2.0
"""Qualifications of real soft tokens, through the module."""

import json
from dataclasses import replace

import pytest

from sealpass.bench.qualification import Options, qualify
from sealpass.bench.report import markdown
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from tests.support.soft_tokens import SoftToken


@pytest.mark.parametrize("mode", [UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def test_softhsm2_meets_the_profile_with_sha1_only(softhsm2: SoftToken, mode: UnwrapMode, tiny: Options) -> None:
    """SoftHSM2 passes where SHA-1 is allowed, and the report names the mode, the module and the deviation."""
    document = qualify(softhsm2.shared_key(mode), SEALPASS.allowing_sha1(), tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    assert document["key"]["mode"] == mode.value
    assert document["capabilities"]["announced"]["alg"] == "RSA-OAEP"
    assert document["deviations"][0]["id"] == "sha1"
    assert "SoftHSM" in document["module"]["values"]["token model"]
    assert document["attributes"]["values"]["extractable"] is False
    assert document["measurement"]["note"] == "software token: functional baseline, no performance claim"
    assert softhsm2.pin not in json.dumps(document) + markdown.render(document)


def test_softhsm2_does_not_meet_the_default_profile(softhsm2: SoftToken, tiny: Options) -> None:
    """Without the opt-in SoftHSM2 fails, with every case not supported."""
    document = qualify(softhsm2.shared_key(), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert document["verdict"]["cases"]["not-supported"] == len(document["cases"])


@pytest.mark.parametrize("mode", [UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def test_nss_meets_the_default_profile(nss: SoftToken, mode: UnwrapMode, tiny: Options) -> None:
    """NSS softokn passes the default profile in both modes without a deviation."""
    document = qualify(nss.shared_key(mode), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    assert document["key"]["mode"] == mode.value
    assert document["capabilities"]["announced"] == {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
    assert document["deviations"] == []


def test_softhsm2_meets_the_dialect_of_kms_with_sha1_only(softhsm2: SoftToken, tiny: Options) -> None:
    """A token does what a server needs under airlock-kms, too, where SHA-1 is allowed."""
    document = qualify(softhsm2.shared_key(), AIRLOCK_KMS.allowing_sha1(), tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    titles = {case["id"]: case["title"] for case in document["cases"]}
    assert titles["C5f"] == "RSAES_OAEP_SHA_256 where RSAES_OAEP_SHA_1 was announced"


def test_a_key_in_a_token_that_is_no_rsa_key_fails(softhsm2: SoftToken, tiny: Options) -> None:
    """An AES key is there and does not unwrap: a failed qualification, and the token is fine afterwards."""
    document = qualify(softhsm2.shared_aes_key(256), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert "does not unwrap" in document["verdict"]["reasons"][0]
    assert softhsm2.pin not in json.dumps(document)


def test_a_failure_floor_reaches_the_token_key(softhsm2: SoftToken, tiny: Options) -> None:
    """The floor that is asked for is the one that a key of a device is opened with."""
    document = qualify(softhsm2.shared_key(), SEALPASS.allowing_sha1(), replace(tiny, failure_floor=0.08))
    assert document["failure_floor"]["seconds"] == 0.08
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
