# SPDX-License-Identifier: Apache-2.0
"""Clients that share no code with ours: the npm package jose, and the JDK. Those in Python: tests/unit/test_interop."""

from dataclasses import replace

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.contract import E2eeInformation
from sealpass.core.diagnose import diagnose
from sealpass.core.errors import DecryptionFailed
from sealpass.core.jwe_profile import SEALPASS
from tests.browser.programs import Program
from tests.support.contract import JWE_PROFILES, Flow
from tests.support.kms_messages import SETTINGS, KmsFlow
from tests.support.tokens import CEK_BYTES

PASSWORDS = ["x", " korrekt Pferd ☃ Batterie ", 'quote " backslash \\', "e\u0301 é 😀👩‍👩‍👧", "p" * 3000]


@pytest.mark.parametrize("profile", JWE_PROFILES)
def test_jose_for_node(node_with_packages: Program, software_ring: KeyRing, profile: str) -> None:
    """Its tokens open, whatever enc the profile leaves to the client."""
    flow = Flow(software_ring, JWE_PROFILES[profile])
    for enc in flow.profile.encs:
        jobs = [
            {"information": flow.announce().to_dict() | {"enc": enc}, "password": password} for password in PASSWORDS
        ]
        assert [flow.unwrap(token) for token in node_with_packages.encrypt("jose-client.mjs", jobs)] == PASSWORDS


def _java_token(java: Program, oaep: str, information: E2eeInformation, password: str) -> str:
    key = information.public_key
    made = java.run("Client.java", oaep, key.n, key.e, key.kid, information.nonce, text=f"{password}\n")
    (token,) = made.splitlines()
    return token


def test_java_with_explicit_parameters(java: Program, software_ring: KeyRing) -> None:
    """OAEPParameterSpec with MGF1ParameterSpec.SHA256 is RSA-OAEP-256."""
    flow = Flow(software_ring, SEALPASS)
    information = flow.announce()
    token = _java_token(java, "explicit", information, PASSWORDS[1])
    assert diagnose(token, [software_ring.current], SEALPASS, nonce=information.nonce).startswith("nothing is wrong")
    assert flow.unwrap(token) == PASSWORDS[1]


def test_java_with_its_default(java: Program, software_ring: KeyRing) -> None:
    """The same transformation without parameters means MGF1 with SHA-1: it does not open, and diagnose says why."""
    flow = Flow(software_ring, SEALPASS)
    token = _java_token(java, "default", flow.announce(), PASSWORDS[1])
    with pytest.raises(DecryptionFailed) as caught:
        flow.unwrap(token)
    assert (str(caught.value), caught.value.__cause__, caught.value.__context__) == (DecryptionFailed.TEXT, None, None)
    sentence = diagnose(token, [software_ring.current], SEALPASS)
    assert "SHA-256 but MGF1 with SHA-1" in sentence
    assert "Java" in sentence


def test_java_for_kms(java: Program, software_ring: KeyRing) -> None:
    """A client with nothing but the JDK, for every setting and both algorithms of KMS."""
    flows = [
        KmsFlow(software_ring, replace(profile, algs=(alg,)))
        for profile in SETTINGS.values()
        for alg in ("RSA-OAEP-256", "RSA-OAEP")
    ]
    announced = [flow.announce().to_dict() for flow in flows]
    lines = [
        f"{members['algorithm']} {8 * CEK_BYTES[flow.profile.encs[0]]} {flow.profile.nonce_form} {members['nonce']} "
        f"{PASSWORDS[1]}\n"
        for flow, members in zip(flows, announced, strict=True)
    ]
    made = java.run("KmsClient.java", announced[0]["publicKey"], text="".join(lines)).splitlines()
    assert [flow.unwrap(message) for flow, message in zip(flows, made, strict=True)] == [PASSWORDS[1]] * len(flows)
