# SPDX-License-Identifier: Apache-2.0
"""Profiles and announcements: what the server promises, remembers and tells the client."""

import base64
import dataclasses
import json
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.algorithms import A128GCM, A256GCM, RSA_OAEP, RSA_OAEP_256, ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.contract import E2eeInformation, announce, profile_named
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, MemoryNonceStore, NonceRecord, Purpose
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import JWE_PROFILES, PASSWORD, SESSION, Flow, OneKeyRing

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
    with pytest.raises(ConfigError, match="no profile 'jwe'") as caught:
        profile_named("jwe")
    assert "sealpass, airlock-jwe" in caught.value.hint


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
