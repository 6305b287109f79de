# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives, what comes back is a result or one of the named failures, never a surprise."""

import base64
import json
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sealpass.backends.keyring import KeyRing
from sealpass.core import base64url, jwe, strict_json
from sealpass.core.contract import E2eeInformation
from sealpass.core.diagnose import diagnose
from sealpass.core.errors import ConfigError, DecryptionFailed, TokenRejected
from sealpass.core.json_pointer import JsonPointer
from sealpass.core.jwe_profile import SEALPASS, JweProfile
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.nonces import MemoryNonceStore
from sealpass.core.profile import Profile
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import JWE_PROFILES, Flow
from tests.support.kms_messages import MEMBERS, SETTINGS, KmsFlow

PROFILE = st.sampled_from(list(JWE_PROFILES.values()))
PARTS = st.lists(st.binary(max_size=60), min_size=5, max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "enc", "kid", "nonce", "typ", "cty", "zip", "crit", "jwk"]) | st.text(max_size=5)
HEADERS = st.dictionaries(
    NAMES,
    VALUES | st.sampled_from(["RSA-OAEP", "RSA-OAEP-256", "RSA1_5", "A128GCM", "A256GCM", "A256CBC-HS512"]),
    max_size=6,
)
LENGTHS = st.sampled_from([0, 1, 8, 12, 15, 16, 17, 24, 32, 128, 255, 256, 257])


@st.composite
def near_tokens(draw: st.DrawFn) -> str:
    """Five parts, the header mostly right, the lengths often right: these reach the key."""
    header = draw(st.just({"alg": "RSA-OAEP-256", "enc": "A256GCM"})) | draw(HEADERS)
    key, iv, ciphertext, tag = (bytes([draw(st.integers(0, 255))]) * draw(LENGTHS) for _ in range(4))
    if draw(st.booleans()):
        key, iv, tag = key.ljust(256, b"\1")[:256], iv.ljust(12, b"\2")[:12], tag.ljust(16, b"\3")[:16]
    return tokens.join([json.dumps(header).encode(), key, iv, ciphertext, tag])


ANYTHING = (
    st.text()
    | st.binary()
    | PARTS.map(tokens.join)
    | near_tokens()
    | st.text(st.sampled_from("eyJ.AQ=-_"), max_size=60)
)


@given(ANYTHING)
@example("....")
@example(b"." * 8192)
@example("\ud800....")
@example("A" * 100_000)
def test_decrypt(software_key: Unwrapper, token: str | bytes) -> None:
    """Any text and any bytes: one of the two failures, for no one can make a token by chance."""
    with pytest.raises((TokenRejected, DecryptionFailed)):
        jwe.decrypt(token, software_key)


@given(ANYTHING)
def test_parse(token: str | bytes) -> None:
    """The parser alone knows one failure only."""
    with suppress(TokenRejected):
        parsed = jwe.parse(token, jwe.plain_members)
        assert len(parsed.iv) == parsed.enc.iv_bytes
        assert len(parsed.tag) == parsed.enc.tag_bytes


@given(ANYTHING, PROFILE)
def test_unwrap_password(software_ring: KeyRing, token: str | bytes, profile: JweProfile) -> None:
    """The whole contract, with nonces outstanding."""
    flow = Flow(software_ring, profile)
    flow.announce()
    with pytest.raises((TokenRejected, DecryptionFailed)):
        flow.unwrap(token)
    assert len(flow.nonces) == 1


@given(PARTS, PROFILE, st.booleans())
def test_unwrap_password_with_a_nonce_of_ours(
    software_ring: KeyRing,
    parts: list[bytes],
    profile: JweProfile,
    fit: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A right header in front of anything: the form alone decides which of the two, and whether the nonce is spent."""
    flow = Flow(software_ring, profile)
    header = flow.header(flow.announce(), enc="A256GCM")
    key, iv, ciphertext, tag = parts[1:]
    if fit:
        key, iv, tag = key.ljust(256, b"\1"), iv.ljust(12, b"\2")[:12], tag.ljust(16, b"\3")[:16]
    with pytest.raises((TokenRejected, DecryptionFailed)) as caught:
        flow.unwrap(tokens.join([json.dumps(header).encode(), key, iv, ciphertext, tag]))
    assert (caught.type is DecryptionFailed) == fit
    assert len(flow.nonces) == (1 if not key or len(iv) != 12 or len(tag) != 16 else 0)


@st.composite
def near_messages(draw: st.DrawFn) -> str | bytes:
    """JSON with about the three members, their lengths often right: these reach the key."""
    if draw(st.booleans()):
        lengths = {"password": draw(st.integers(16, 60)), "key": 256, "iv": 12}
    else:
        lengths = {name: draw(LENGTHS) for name in MEMBERS}
    members: dict[str, Any] = {
        name: base64.b64encode(bytes([draw(st.integers(0, 255))]) * length).decode() for name, length in lengths.items()
    }
    if draw(st.booleans()):
        members |= draw(st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), VALUES, max_size=2))
    text = json.dumps(members)
    spellings: list[str | bytes] = [text, text.encode(), json.dumps(text), text + draw(st.text(max_size=3))]
    return draw(st.sampled_from(spellings))


@given(ANYTHING | near_messages() | VALUES | VALUES.map(json.dumps), st.sampled_from(list(SETTINGS.values())))
@example("[" * 8192, AIRLOCK_KMS)
@example("{" * 8192, AIRLOCK_KMS)
@example("9" * 8192, AIRLOCK_KMS)
@example("\ud800", AIRLOCK_KMS)
def test_unwrap_password_for_kms(software_ring: KeyRing, message: Any, profile: KmsProfile) -> None:
    """Anything that a web framework may find in the field: one of the two failures, and the nonce rule holds."""
    flow = KmsFlow(software_ring, profile)
    flow.announce()
    with pytest.raises((TokenRejected, DecryptionFailed)) as caught:
        flow.unwrap(message)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    try:
        submission = profile.parse(message)
    except TokenRejected:
        assert type(caught.value) is TokenRejected
        assert not flow.is_spent()
    else:
        assert (caught.type is DecryptionFailed) == (len(submission.encrypted_key) == 256)
        assert flow.is_spent()


@given(payload=st.binary(max_size=200), profile=st.sampled_from(list(SETTINGS.values())))
def test_any_payload_for_kms(software_ring: KeyRing, payload: bytes, profile: KmsProfile) -> None:
    """The octets are the password where they are UTF-8, and the one failure where they are not."""
    flow = KmsFlow(software_ring, profile)
    message = flow.message(flow.announce(), payload)
    try:
        assert flow.unwrap(message).encode() == payload
    except DecryptionFailed:
        with pytest.raises(UnicodeDecodeError):
            payload.decode()
    assert flow.is_spent()


@given(payload=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()), profile=PROFILE)
def test_any_payload(software_ring: KeyRing, payload: bytes, profile: JweProfile) -> None:
    """Whatever a right token carries: a password as text, or the one failure."""
    flow = Flow(software_ring, profile)
    padded = payload + b" " * (-len(payload) % 64)
    token = flow.token(flow.announce(), payload=padded)
    with suppress(DecryptionFailed):
        assert isinstance(flow.unwrap(token), str)
    assert len(flow.nonces) == 0


@given(st.binary(max_size=300), PROFILE | st.just(AIRLOCK_KMS))
def test_read_password(payload: bytes, profile: Profile) -> None:
    """Promised never to raise."""
    assert profile.read_password(payload) is None or isinstance(profile.read_password(payload), str)


@given(st.binary(max_size=40) | st.text(st.sampled_from("AQgw-_+/= \n"), max_size=9).map(str.encode))
def test_base64url(text: bytes) -> None:
    """What decodes has no second spelling; all else is a ValueError."""
    with suppress(ValueError):
        assert base64url.encode(base64url.decode(text)) == text


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_strict_json(octets: bytes) -> None:
    """A value that the lenient reader also finds, or a ValueError."""
    with suppress(ValueError):
        assert strict_json.loads(octets) == json.loads(octets.decode("utf-8"))


@given(st.text(max_size=20), VALUES)
def test_json_pointer(text: str, value: object) -> None:
    """ConfigError for the pointer, LookupError for the value."""
    with suppress(ConfigError, LookupError):
        JsonPointer(text).find(value)


JWKS = st.dictionaries(
    st.sampled_from(["kty", "n", "e", "d", "use", "key_ops", "alg", "kid"]),
    VALUES | st.sampled_from(["RSA", "AQAB", "enc", "RSA-OAEP", "wrapKey"]),
)


@given(JWKS | VALUES, st.booleans())
def test_jwk(software_key: Unwrapper, members: object, start_from_a_right_one: bool) -> None:  # noqa: FBT001
    """A public key or a ConfigError, also for a right JWK with any member changed."""
    if start_from_a_right_one and isinstance(members, dict):
        members = software_key.public_jwk.to_dict() | members
    with suppress(ConfigError):
        assert PublicJwk.from_dict(members).kid


@given(
    st.dictionaries(st.sampled_from(["type", "nonce", "publicKey", "profile", "alg", "enc"]), VALUES),
    st.binary(max_size=20),
)
def test_announcement(software_ring: KeyRing, changes: dict[str, object], text: bytes) -> None:
    """A client that reads what a server announced: information or a ConfigError."""
    members = Flow(software_ring, SEALPASS).announce().to_dict() | changes
    for octets in (text, json.dumps(members).encode()):
        with suppress(ConfigError):
            assert E2eeInformation.from_json(octets).nonce is not None


@given(
    st.dictionaries(st.sampled_from(["type", "nonce", "publicKey", "profile", "algorithm", "enc"]), VALUES),
    st.binary(max_size=400).map(base64.b64encode).map(bytes.decode) | st.none(),
)
def test_announcement_of_kms(software_ring: KeyRing, changes: dict[str, object], key: str | None) -> None:
    """The same for Airlock's four members, and for any octets in place of the key's DER."""
    members = KmsFlow(software_ring).announce().to_dict() | changes
    if key is not None:
        members["publicKey"] = key
    with suppress(ConfigError):
        assert E2eeInformation.from_json(json.dumps(members).encode()).nonce is not None


@given(st.data())
def test_public_key_of_kms_with_any_bit_flipped(software_ring: KeyRing, data: st.DataObject) -> None:
    """Damaged DER is another RSA key or a ConfigError, nothing else."""
    members = KmsFlow(software_ring).announce().to_dict()
    octets = bytearray(base64.b64decode(members["publicKey"]))
    for bit in data.draw(st.lists(st.integers(0, 8 * len(octets) - 1), min_size=1, max_size=3), label="bits"):
        octets[bit // 8] ^= 1 << bit % 8
    members["publicKey"] = base64.b64encode(octets).decode()
    with suppress(ConfigError):
        assert E2eeInformation.from_json(json.dumps(members).encode()).public_key.kid


@given(ANYTHING, st.none() | PROFILE)
def test_diagnose(software_key: Unwrapper, token: str | bytes, profile: JweProfile | None) -> None:
    """An operator gets a sentence for everything."""
    assert diagnose(token, [software_key], profile)


@settings(max_examples=30)  # each may cost twenty private-key operations
@given(ANYTHING | near_messages(), st.sampled_from(["n-1", "\u00e9", AIRLOCK_KMS.new_nonce()]))
def test_diagnose_for_kms(software_key: Unwrapper, message: str | bytes, nonce: str) -> None:
    """The same for KMS; only a nonce that cannot be authenticated is the operator's own mistake."""
    assert diagnose(message, [software_key], AIRLOCK_KMS)
    with suppress(ConfigError) if not nonce.isascii() else nullcontext():
        assert diagnose(message, [software_key], AIRLOCK_KMS, nonce=nonce)


@given(st.text(max_size=50))
def test_nonces(nonce: str) -> None:
    """Any text may be asked for."""
    assert MemoryNonceStore().consume(nonce) is None
