# SPDX-License-Identifier: Apache-2.0
"""Profiles and announcements: what the server promises, remembers and tells the client."""

import base64
import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sealpass.backends.keyring import KeyRing
from sealpass.core.algorithms import A128GCM, A256GCM, RSA_OAEP, RSA_OAEP_256, ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.contract import E2eeInformation, announce, profile_named
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, MemoryNonceStore, NonceRecord, Purpose
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import JWE_PROFILES, PASSWORD, SESSION, Flow, OneKeyRing
from tests.support.kms_messages import SETTINGS

ALL = pytest.mark.parametrize("profile", JWE_PROFILES.values(), ids=JWE_PROFILES)


def _limited(
    key: Unwrapper, unwrap: set[RsaOaep], content: set[ContentEncryption], patch: pytest.MonkeyPatch
) -> OneKeyRing:
    """A ring of a key that can do only so much."""
    patch.setattr(key, "capabilities", Capabilities(UnwrapMode.SOFTWARE, frozenset(unwrap), frozenset(content)))
    return OneKeyRing(key)


def test_profiles_are_found_by_name() -> None:
    """And a wrong name is answered with the right ones."""
    assert profile_named("sealpass") is SEALPASS
    assert profile_named("airlock-jwe") is AIRLOCK_JWE
    assert profile_named("airlock-kms") is AIRLOCK_KMS
    with pytest.raises(ConfigError, match="no profile 'jwe'") as caught:
        profile_named("jwe")
    assert "sealpass, airlock-jwe, airlock-kms" in caught.value.hint


@ALL
def test_announcement_is_remembered_as_it_was_made(software_ring: KeyRing, profile: JweProfile) -> None:
    """The record holds everything that the token will be compared with."""
    nonces = MemoryNonceStore()
    information = announce(software_ring, profile, nonces, "someone", Purpose.RESET, lifetime=7)
    assert nonces.consume(information.nonce) == NonceRecord(
        nonce=information.nonce,
        session="someone",
        purpose=Purpose.RESET,
        profile=profile.name,
        alg="RSA-OAEP-256",
        encs=("A256GCM",) if profile is SEALPASS else ("A128GCM", "A256GCM"),
        kid=software_ring.current.key_id,
        lifetime=7,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"session": ""}, "session"),
        ({"session": None}, "session"),
        ({"session": b"flow"}, "session"),
        ({"purpose": "login"}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": -1.0}, "lifetime"),
        ({"lifetime": float("nan")}, "lifetime"),
        ({"lifetime": float("inf")}, "lifetime"),
        ({"lifetime": "300"}, "lifetime"),
    ],
    ids=str,
)
def test_announcement_of_nothing_is_refused(software_ring: KeyRing, change: dict[str, Any], says: str) -> None:
    """A session, purpose or lifetime that is none is the caller's mistake; no nonce is issued for it."""
    nonces = MemoryNonceStore()
    asked: dict[str, Any] = {"session": "flow", "purpose": Purpose.CHECK, "lifetime": 60.0} | change
    with pytest.raises(ConfigError, match=says):
        announce(software_ring, SEALPASS, nonces, **asked)
    assert len(nonces) == 0


def test_purpose_may_be_its_value(software_ring: KeyRing) -> None:
    """As it comes out of a configuration or a route; the record holds the Purpose."""
    nonces = MemoryNonceStore()
    record = nonces.consume(announce(software_ring, SEALPASS, nonces, "flow", "check").nonce)
    assert record is not None
    assert record.purpose is Purpose.CHECK


@ALL
def test_announcement_tells_the_client(software_ring: KeyRing, profile: JweProfile) -> None:
    """Airlock's three members first, and nothing of session or purpose."""
    information = announce(software_ring, profile, MemoryNonceStore(), "someone", Purpose.CHECK)
    told = information.to_dict()
    assert list(told) == ["type", "nonce", "publicKey", "profile", "alg", "enc"]
    assert told["type"] == "JWE"
    assert told["alg"] == told["publicKey"]["alg"] == "RSA-OAEP-256"
    assert told["enc"] == ("A256GCM" if profile is SEALPASS else "A128GCM")
    assert told["publicKey"]["kid"] == software_ring.current.key_id
    assert "someone" not in json.dumps(told)


@ALL
def test_announcement_survives_the_wire(software_ring: KeyRing, profile: JweProfile) -> None:
    """What to_dict() wrote, from_json() reads."""
    information = announce(software_ring, profile, MemoryNonceStore(), SESSION, Purpose.CHECK)
    assert E2eeInformation.from_json(json.dumps(information.to_dict()).encode()) == information


def test_default_lifetime_is_five_minutes(software_ring: KeyRing) -> None:
    """Long enough to type a password, short enough for a rotation."""
    nonces = MemoryNonceStore()
    record = nonces.consume(announce(software_ring, SEALPASS, nonces, SESSION, Purpose.CHECK).nonce)
    assert record is not None
    assert record.lifetime == DEFAULT_LIFETIME_SECONDS == 300


def test_nonces_are_32_fresh_bytes_in_the_spelling_of_the_profile() -> None:
    """43 characters of base64url for sealpass, 44 of base64 with '=' for Airlock; no two alike."""
    ours = {SEALPASS.new_nonce() for _ in range(50)}
    theirs = {AIRLOCK_JWE.new_nonce() for _ in range(50)}
    assert len(ours) == len(theirs) == 50
    assert {(len(nonce), len(tokens.decode(nonce))) for nonce in ours} == {(43, 32)}
    assert {(len(nonce), len(base64.b64decode(nonce, validate=True))) for nonce in theirs} == {(44, 32)}
    assert set("-_") & set("".join(ours))
    assert set("+/") & set("".join(theirs))


@ALL
def test_key_without_the_alg_is_not_announced(
    software_key: Unwrapper, profile: JweProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that knows only SHA-1 needs the opt-in, and the hint says so."""
    ring = _limited(software_key, {RSA_OAEP}, {A128GCM, A256GCM}, monkeypatch)
    nonces = MemoryNonceStore()
    with pytest.raises(UnsupportedAlgorithm, match=f"profile {profile.name}") as caught:
        announce(ring, profile, nonces, SESSION, Purpose.CHECK)
    assert "--allow-sha1, or Profile.allowing_sha1()" in caught.value.hint
    assert len(nonces) == 0


@ALL
def test_opt_in_announces_sha1_and_takes_its_tokens(
    software_key: Unwrapper, profile: JweProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announced, remembered, and unwrapped, from the client's side too."""
    ring = _limited(software_key, {RSA_OAEP}, {A128GCM, A256GCM}, monkeypatch)
    flow = Flow(ring, profile.allowing_sha1())
    information = flow.announce()
    assert information.alg == "RSA-OAEP"
    assert flow.unwrap(flow.token(information)) == PASSWORD
    read = E2eeInformation.from_json(json.dumps(flow.announce().to_dict()).encode())
    assert flow.unwrap(encrypt_password(PASSWORD, read)) == PASSWORD


@ALL
def test_opt_in_is_no_preference(software_ring: KeyRing, profile: JweProfile) -> None:
    """A key that can do both announces the better one; allowing twice is allowing."""
    opted_in = profile.allowing_sha1()
    assert opted_in.algs == ("RSA-OAEP-256", "RSA-OAEP")
    assert opted_in.allowing_sha1() is opted_in
    assert profile.algs == ("RSA-OAEP-256",)
    assert announce(software_ring, opted_in, MemoryNonceStore(), SESSION, Purpose.CHECK).alg == "RSA-OAEP-256"


def test_key_without_the_enc_is_not_announced(software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no hint at an opt-in that would not help."""
    ring = _limited(software_key, {RSA_OAEP_256}, {A128GCM}, monkeypatch)
    with pytest.raises(UnsupportedAlgorithm, match="A256GCM") as caught:
        announce(ring, SEALPASS, MemoryNonceStore(), SESSION, Purpose.CHECK)
    assert "sha1" not in caught.value.hint


def test_only_what_the_key_can_do_is_remembered(software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the client picks the enc, it picks among those that the key can do."""
    ring = _limited(software_key, {RSA_OAEP_256}, {A256GCM}, monkeypatch)
    nonces = MemoryNonceStore()
    information = announce(ring, AIRLOCK_JWE, nonces, SESSION, Purpose.CHECK)
    record = nonces.consume(information.nonce)
    assert information.enc == "A256GCM"
    assert record is not None
    assert record.encs == ("A256GCM",)


def test_airlock_announcement_has_three_members() -> None:
    """What Airlock IAM sends is enough: the profile fills in the rest."""
    key = {"kty": "RSA", "n": tokens.encode(b"\x80" + bytes(254) + b"\x01"), "e": "AQAB"}
    information = E2eeInformation.from_json(json.dumps({"type": "JWE", "nonce": "bm9uY2U=", "publicKey": key}).encode())
    assert (information.profile, information.alg, information.enc) == ("airlock-jwe", "RSA-OAEP-256", "A128GCM")
    assert information.nonce == "bm9uY2U="
    sha1 = {"type": "JWE", "nonce": "n", "publicKey": key | {"alg": "RSA-OAEP"}}
    assert E2eeInformation.from_json(json.dumps(sha1).encode()).alg == "RSA-OAEP"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "KMS"}, "type"),
        ({"type": None}, "type"),
        ({"nonce": 5}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"publicKey": "x"}, "publicKey"),
        ({"publicKey": None}, "publicKey"),
        ({"publicKey": {}}, "RSA"),
        ({"profile": "other"}, "profile"),
        ({"profile": []}, "profile"),
        ({"alg": "RSA1_5"}, "algorithm"),
        ({"alg": []}, "algorithm"),
        ({"enc": "A192GCM"}, "algorithm"),
        ({"enc": {}}, "algorithm"),
    ],
    ids=str,
)
def test_client_refuses_other_announcements(software_ring: KeyRing, change: dict[str, Any], message: str) -> None:
    """A server cannot talk a client into another algorithm or into something that is no key."""
    information = announce(software_ring, SEALPASS, MemoryNonceStore(), SESSION, Purpose.CHECK)
    with pytest.raises(ConfigError, match=message):
        E2eeInformation.from_json(json.dumps(information.to_dict() | change).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"type":"JWE","type":"JWE"}', b"\xff"])
def test_client_refuses_what_is_no_announcement(text: bytes) -> None:
    """A page in place of JSON is a plain error."""
    with pytest.raises(ConfigError, match="E2EE information"):
        E2eeInformation.from_json(text)


def test_profiles_are_frozen() -> None:
    """They are shared; variants are new values."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SEALPASS.algs = ("RSA1_5",)  # type: ignore[misc]


@pytest.mark.parametrize("profile", SETTINGS.values(), ids=SETTINGS)
def test_announcement_for_kms_is_remembered_as_it_was_made(software_ring: KeyRing, profile: KmsProfile) -> None:
    """The record holds the size of the AES key, which the announcement does not."""
    nonces = MemoryNonceStore()
    information = announce(software_ring, profile, nonces, "someone", Purpose.RESET, lifetime=7)
    assert nonces.consume_latest("someone", Purpose.RESET, "airlock-kms") == NonceRecord(
        nonce=information.nonce,
        session="someone",
        purpose=Purpose.RESET,
        profile="airlock-kms",
        alg="RSA-OAEP-256",
        encs=profile.encs,
        kid=software_ring.current.key_id,
        lifetime=7,
    )


@pytest.mark.parametrize(
    ("alg", "algorithm"), [("RSA-OAEP-256", "RSAES_OAEP_SHA_256"), ("RSA-OAEP", "RSAES_OAEP_SHA_1")]
)
def test_announcement_for_kms_tells_the_client(software_ring: KeyRing, alg: str, algorithm: str) -> None:
    """Airlock's four members first: the key as AWS answers it, the algorithm by its KMS name."""
    profile = dataclasses.replace(AIRLOCK_KMS, algs=(alg,))
    information = announce(software_ring, profile, MemoryNonceStore(), "someone", Purpose.CHECK)
    told = information.to_dict()
    assert list(told) == ["type", "nonce", "publicKey", "algorithm", "profile"]
    assert (told["type"], told["algorithm"], told["profile"]) == ("KMS", algorithm, "airlock-kms")
    key = serialization.load_der_public_key(base64.b64decode(told["publicKey"], validate=True))
    assert key == software_ring.current.public_jwk.public_key()
    assert "someone" not in json.dumps(told)
    assert E2eeInformation.from_json(json.dumps(told).encode()) == information


def _kms_members(**changes: Any) -> dict[str, Any]:
    """What Airlock IAM sends, and no more; None removes a member."""
    key = rsa.RSAPublicNumbers(65537, (1 << 2047) + 1).public_key()
    members = {"type": "KMS", "nonce": "bm9uY2U=", "publicKey": _der(key), "algorithm": "RSAES_OAEP_SHA_256", **changes}
    return {name: value for name, value in members.items() if value is not None}


def _der(key: Any, form: Any = serialization.PublicFormat.SubjectPublicKeyInfo) -> str:
    return base64.b64encode(key.public_bytes(serialization.Encoding.DER, form)).decode()


def test_airlock_announcement_for_kms_has_four_members() -> None:
    """The type says the profile."""
    information = E2eeInformation.from_json(json.dumps(_kms_members()).encode())
    assert (information.profile, information.alg, information.enc) == ("airlock-kms", "RSA-OAEP-256", "A256GCM")
    assert information.nonce == "bm9uY2U="
    sha1 = _kms_members(algorithm="RSAES_OAEP_SHA_1")
    assert E2eeInformation.from_json(json.dumps(sha1).encode()).alg == "RSA-OAEP"


SMALL_KEY = rsa.RSAPublicNumbers(65537, (1 << 1023) + 1).public_key()
EVEN_EXPONENT = base64.b64decode(_kms_members()["publicKey"]).replace(b"\2\3\1\0\1", b"\2\3\1\0\0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "JWE"}, "publicKey"),
        ({"type": "kms"}, "type"),
        ({"profile": "sealpass"}, "type KMS and the profile sealpass"),
        ({"profile": "jwe"}, "profile"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"algorithm": None}, "algorithm"),
        ({"algorithm": "RSA-OAEP-256"}, "algorithm"),
        ({"algorithm": "RSAES_OAEP_SHA_512"}, "algorithm"),
        ({"algorithm": ["RSAES_OAEP_SHA_256"]}, "algorithm"),
        ({"publicKey": None}, "publicKey"),
        ({"publicKey": ""}, "publicKey"),
        ({"publicKey": {"kty": "RSA"}}, "publicKey"),
        ({"publicKey": _kms_members()["publicKey"].rstrip("=") + "\n"}, "publicKey"),
        ({"publicKey": "-_" + _kms_members()["publicKey"][2:]}, "publicKey"),
        ({"publicKey": base64.b64encode(b"\x30\x00").decode()}, "publicKey"),
        ({"publicKey": _der(SMALL_KEY)}, "2048"),
        ({"publicKey": base64.b64encode(EVEN_EXPONENT).decode()}, "publicKey|exponent"),
        ({"publicKey": _der(ec.derive_private_key(1, ec.SECP256R1()).public_key())}, "RSA key"),
        ({"publicKey": _der(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())}, "RSA key"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_client_refuses_other_announcements_for_kms(changes: dict[str, Any], message: str) -> None:
    """Nor can a server talk a client of KMS into anything; a key is RSA of 2048 bits and more."""
    with pytest.raises(ConfigError, match=message):
        E2eeInformation.from_json(json.dumps(_kms_members(**changes)).encode())


def test_type_and_profile_fit_together(software_ring: KeyRing) -> None:
    """Neither an announcement nor a default can make a JWE client of a KMS announcement, or the reverse."""
    ours = announce(software_ring, SEALPASS, MemoryNonceStore(), SESSION, Purpose.CHECK).to_dict()
    for members, default in ((_kms_members(), "sealpass"), (ours | {"profile": "airlock-kms"}, None)):
        with pytest.raises(ConfigError, match="has the type"):
            E2eeInformation.from_json(json.dumps(members).encode(), default)


def test_key_without_the_alg_is_not_announced_for_kms(software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor without the size of AES key that was set."""
    ring = _limited(software_key, {RSA_OAEP}, {A128GCM, A256GCM}, monkeypatch)
    with pytest.raises(UnsupportedAlgorithm, match="profile airlock-kms") as caught:
        announce(ring, AIRLOCK_KMS, MemoryNonceStore(), SESSION, Purpose.CHECK)
    assert "Profile.allowing_sha1()" in caught.value.hint
    ring = _limited(software_key, {RSA_OAEP_256}, {A256GCM}, monkeypatch)
    with pytest.raises(UnsupportedAlgorithm, match="A128GCM"):
        announce(ring, AIRLOCK_KMS.with_key_bits(128), MemoryNonceStore(), SESSION, Purpose.CHECK)
