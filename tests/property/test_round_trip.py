# SPDX-License-Identifier: Apache-2.0
"""What was encrypted comes out, whatever it was."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sealpass.backends.keyring import KeyRing
from sealpass.core import base64url, jwe, strict_json
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.encrypt import encrypt, encrypt_password
from sealpass.core.json_pointer import JsonPointer
from sealpass.core.jwe_profile import JweProfile
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import JWE_PROFILES, Flow
from tests.support.kms_messages import SETTINGS, KmsFlow

PASSWORDS = st.text(st.characters(codec="utf-8"), max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | PASSWORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PASSWORDS, inner, max_size=4),
    max_leaves=20,
)


@given(
    payload=st.binary(max_size=2000),
    alg=st.sampled_from(sorted(OAEP_BY_JWE_NAME)),
    enc=st.sampled_from(sorted(ENC_BY_JWE_NAME)),
    kid=st.none() | st.text(st.characters(codec="utf-8"), max_size=40),
)
def test_payloads(software_key: Unwrapper, payload: bytes, alg: str, enc: str, kid: str | None) -> None:
    """Any bytes, under every alg and enc, with and without a kid."""
    token = encrypt(payload, software_key.public_jwk, alg, enc, None if kid is None else {"kid": kid})
    assert jwe.decrypt(token, software_key) == payload
    assert jwe.decrypt(token.encode("ascii"), software_key) == payload


@given(password=PASSWORDS, profile=st.sampled_from(list(JWE_PROFILES.values())))
def test_passwords(software_ring: KeyRing, password: str, profile: JweProfile) -> None:
    """Any Unicode text, through the whole contract, in both profiles, unchanged to the last code point."""
    flow = Flow(software_ring, profile)
    assert flow.unwrap(encrypt_password(password, flow.announce())) == password


@given(password=PASSWORDS, profile=st.sampled_from(list(SETTINGS.values())), sha1=st.booleans())
def test_passwords_for_kms(software_ring: KeyRing, password: str, profile: KmsProfile, sha1: bool) -> None:  # noqa: FBT001 - a parameter
    """The same through profile airlock-kms, under all of its settings and both hashes."""
    profile = replace(profile, algs=("RSA-OAEP",)) if sha1 else profile
    flow = KmsFlow(software_ring, profile)
    assert flow.unwrap(encrypt_password(password, flow.announce(), profile)) == password


@given(value=JSON)
def test_json(value: object) -> None:
    """The strict reader refuses no JSON that a client may send (RFC 7493), escaped or not."""
    for ascii_only in (True, False):
        assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(octets=st.binary(max_size=200))
def test_base64url(octets: bytes) -> None:
    """Both directions agree with the standard library."""
    assert base64url.decode(base64url.encode(octets)) == octets
    assert base64url.encode(octets).decode() == tokens.encode(octets)


@given(names=st.lists(PASSWORDS, max_size=5), password=PASSWORDS)
def test_json_pointers(names: list[str], password: str) -> None:
    """RFC 6901: any member names, escaped, lead to what was put there."""
    pointer = JsonPointer("".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names))
    assert pointer.find(pointer.build(password)) == password
