# SPDX-License-Identifier: Apache-2.0
"""Each sentence that an operator may read, and what leads to it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.registry import key_maker, open_key
from sealpass.core.algorithms import RSA_OAEP
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.diagnose import diagnose
from sealpass.core.errors import ConfigError
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.protocols import Unwrapper, as_unwrapper
from tests.support import tokens
from tests.support.contract import OneKeyRing
from tests.support.kms_messages import MEMBERS, SETTINGS, KmsFlow, flip_bit

PASSWORD = "hunter2-diagnosed"
NONCE = "n" * 43
FINE = "nothing is wrong: the token opens"
UNCHECKED = "the token opens; its nonce was not checked"


def _opened(path: Path, bits: int) -> Iterator[Unwrapper]:
    with open_key(key_maker(f"software:path={path}").create_rsa(bits, UnwrapMode.SOFTWARE)) as key:
        yield as_unwrapper(key)


@pytest.fixture(scope="module")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unwrapper]:
    """Of the same size as the software key."""
    yield from _opened(tmp_path_factory.mktemp("other") / "key.pem", 2048)


@pytest.fixture(scope="module")
def longer_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unwrapper]:
    """Of another size."""
    yield from _opened(tmp_path_factory.mktemp("longer") / "key.pem", 3072)


def _token(key: Unwrapper, *, payload: bytes | None = None, oaep: Any = None, **changes: Any) -> str:
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": key.key_id, "nonce": NONCE, **changes}
    octets = tokens.padded_payload(PASSWORD) if payload is None else payload
    return tokens.build(key.public_jwk.public_key(), header, octets, oaep=oaep)


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_JWE, None])
def test_nothing_is_wrong(software_key: Unwrapper, profile: Any) -> None:
    """The token is right, in every profile; plain jwe has no nonce that could be wrong."""
    assert diagnose(_token(software_key), [software_key], profile, nonce=NONCE) == FINE
    assert diagnose(_token(software_key), [software_key], None) == FINE


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_JWE])
def test_nonce_that_nobody_compared_is_not_called_right(software_key: Unwrapper, profile: Any) -> None:
    """Without the announced nonce a replay looks like a good token, and the sentence says so."""
    assert diagnose(_token(software_key), [software_key], profile) == UNCHECKED


def test_form_and_header_are_told_as_the_sender_is_told(software_key: Unwrapper) -> None:
    """No key is needed for that."""
    assert diagnose("a.b.c", [], SEALPASS).startswith("token rejected (form): not five parts")
    assert diagnose(_token(software_key, alg="RSA1_5", oaep=tokens.OAEP_SHA1), [], None).startswith(
        "token rejected (algorithm)"
    )
    assert diagnose(_token(software_key, typ="JWE"), [], SEALPASS).startswith("token rejected (header)")


def test_key_of_another_size(software_key: Unwrapper, longer_key: Unwrapper) -> None:
    """The length of the encrypted key tells."""
    sentence = "the encrypted key has not the length of the modulus: made for a key of another size"
    assert diagnose(_token(software_key), [longer_key], SEALPASS) == sentence
    assert diagnose(_token(software_key), [], SEALPASS) == sentence


def test_another_key_of_those_given(software_key: Unwrapper, other_key: Unwrapper, longer_key: Unwrapper) -> None:
    """Named by its id; keys of another size in between do not confuse the count."""
    sentence = f"made for another key of those given: {software_key.key_id}"
    assert diagnose(_token(software_key), [other_key, software_key], SEALPASS) == sentence
    assert diagnose(_token(software_key), [longer_key, software_key], SEALPASS) == sentence
    assert diagnose(_token(software_key), iter([software_key, other_key]), SEALPASS) == UNCHECKED


def test_key_that_is_not_given(software_key: Unwrapper, other_key: Unwrapper) -> None:
    """The header's kid says it, where there is one."""
    assert diagnose(_token(software_key), [other_key], SEALPASS) == (
        "the header's kid names none of the given keys: made for another key"
    )


def test_kid_lies(software_key: Unwrapper, other_key: Unwrapper) -> None:
    """Contract case A13: the right kid on a token for another key; changed on the way looks the same."""
    sentence = "made for another key, or changed on the way (encrypted key, header, IV, ciphertext or tag)"
    assert diagnose(_token(software_key, kid=other_key.key_id), [other_key], SEALPASS) == sentence
    assert diagnose(tokens.flip_bit(_token(software_key), tokens.TAG, 0), [software_key], SEALPASS) == sentence
    without_kid = tokens.build(software_key.public_jwk.public_key(), {"alg": "RSA-OAEP", "enc": "A256GCM"}, b"x")
    assert diagnose(without_kid, [other_key], None) == sentence


def test_java_default(software_key: Unwrapper) -> None:
    """The mistake that everybody makes once, by name and with its remedy."""
    sentence = diagnose(_token(software_key, oaep=tokens.OAEP_SHA256_MGF1_SHA1), [software_key], SEALPASS)
    assert sentence.startswith("the client used OAEP with SHA-256 but MGF1 with SHA-1")
    assert "OAEPParameterSpec" in sentence


@pytest.mark.parametrize(("oaep", "name"), [(tokens.OAEP_SHA1, "SHA-1"), (tokens.OAEP_SHA512, "SHA-512")])
def test_another_hash_than_announced(software_key: Unwrapper, oaep: Any, name: str) -> None:
    """What the client used and what its header says."""
    assert diagnose(_token(software_key, oaep=oaep), [software_key], SEALPASS) == (
        f"the client used RSA-OAEP({name}, MGF1 {name}), not the announced RSA-OAEP(SHA-256, MGF1 SHA-256)"
    )


def test_key_cannot_do_what_the_header_announces(software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that knows only SHA-1 says nothing about whose key it was; what it can do, it still finds out."""
    monkeypatch.setattr(software_key, "capabilities", replace(software_key.capabilities, unwrap=frozenset({RSA_OAEP})))
    assert diagnose(_token(software_key), [software_key], SEALPASS) == (
        "the token is for RSA-OAEP(SHA-256, MGF1 SHA-256), which none of the given keys can do"
    )
    assert diagnose(_token(software_key, oaep=tokens.OAEP_SHA1), [software_key], SEALPASS).startswith("the client used")


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_JWE])
def test_payload_is_not_the_profiles(software_key: Unwrapper, profile: Any) -> None:
    """The token opens; nothing of its payload is shown."""
    token = _token(software_key, payload=PASSWORD.encode())
    assert diagnose(token, [software_key], profile) == (
        f"the token opens, but its payload is not what profile {profile.name} wants"
    )


def test_kid_is_not_the_thumbprint(software_key: Unwrapper) -> None:
    """A client that invents its own key ids."""
    assert diagnose(_token(software_key, kid="my-key"), [software_key], SEALPASS) == (
        "the token opens, but its kid is not the thumbprint of the key"
    )


def test_nonce_is_another_one(software_key: Unwrapper) -> None:
    """Where the operator knows which one it should be."""
    assert diagnose(_token(software_key), [software_key], SEALPASS, nonce="m" * 43) == (
        "the token opens, but its nonce is another one: a replay, or an answer to another announcement"
    )


def test_takes_no_time_of_the_failure_floor(software_uri: str) -> None:
    """Offline nobody is timed: a diagnosis counts as no failure."""
    with open_key(software_uri) as key:
        unwrapper = as_unwrapper(key)
        diagnose(tokens.flip_bit(_token(unwrapper), tokens.TAG, 0), [unwrapper], SEALPASS)
        assert unwrapper.failure_floor.failures == 0


def test_operator_errors_come_through(software_uri: str) -> None:
    """A closed key is not a sentence about the token."""
    with open_key(software_uri) as key:
        unwrapper = as_unwrapper(key)
    with pytest.raises(ConfigError, match="closed"):
        diagnose(_token(unwrapper), [unwrapper], SEALPASS)


@pytest.fixture
def kms_flow(software_key: Unwrapper) -> KmsFlow:
    """A login under profile airlock-kms."""
    return KmsFlow(OneKeyRing(software_key))


@pytest.mark.parametrize("profile", SETTINGS.values(), ids=SETTINGS)
def test_nothing_is_wrong_with_a_message_for_kms(software_key: Unwrapper, profile: KmsProfile) -> None:
    """Under the settings that are set; the nonce is authenticated, so it need not be compared."""
    flow = KmsFlow(OneKeyRing(software_key), profile)
    information = flow.announce()
    assert diagnose(flow.message(information), [software_key], profile, nonce=information.nonce) == FINE


@pytest.mark.parametrize("client", SETTINGS.values(), ids=SETTINGS)
def test_client_with_other_settings_for_kms(software_key: Unwrapper, client: KmsProfile) -> None:
    """What Airlock leaves open is tried, and what the client took is named."""
    flow = KmsFlow(OneKeyRing(software_key), client)
    information = flow.announce()
    for profile in SETTINGS.values():
        if profile != client:
            assert diagnose(flow.message(information), [software_key], profile, nonce=information.nonce) == (
                f"the client used {client.encs[0]} and authenticated the nonce's {client.nonce_form},"
                " which is not what is set"
            )


def test_message_for_kms_without_its_nonce(kms_flow: KmsFlow, longer_key: Unwrapper) -> None:
    """The message alone cannot be opened; what shows without, shows."""
    message = kms_flow.message(kms_flow.announce())
    assert diagnose(message, [kms_flow.ring.current], AIRLOCK_KMS) == (
        "the message does not say which nonce it answers, and cannot be opened without: give the nonce"
    )
    assert diagnose(message, [longer_key], AIRLOCK_KMS).endswith("made for a key of another size")
    assert diagnose("hunter2", [], AIRLOCK_KMS).startswith("token rejected (form): not one JSON object")


def test_message_for_kms_with_another_nonce_or_a_flipped_bit(kms_flow: KmsFlow) -> None:
    """The tag cannot tell the two apart."""
    information = kms_flow.announce()
    message = kms_flow.message(information)
    keys = [kms_flow.ring.current]
    sentence = "made for another key or another nonce, or changed on the way (key, iv or password)"
    assert diagnose(message, keys, AIRLOCK_KMS, nonce=AIRLOCK_KMS.new_nonce()) == sentence
    for member in MEMBERS:
        assert diagnose(flip_bit(message, member, 7), keys, AIRLOCK_KMS, nonce=information.nonce) == sentence


def test_message_for_kms_made_for_another_key(kms_flow: KmsFlow, other_key: Unwrapper) -> None:
    """It names no key; those given are tried."""
    information = kms_flow.announce()
    keys = [other_key, kms_flow.ring.current]
    assert diagnose(kms_flow.message(information), keys, AIRLOCK_KMS, nonce=information.nonce) == (
        f"made for another key of those given: {kms_flow.ring.current.key_id}"
    )


@pytest.mark.parametrize(
    ("oaep", "says"),
    [
        (tokens.OAEP_SHA256_MGF1_SHA1, "MGF1 with SHA-1"),
        (tokens.OAEP_SHA1, "the client used RSA-OAEP(SHA-1, MGF1 SHA-1), not the announced"),
    ],
)
def test_message_for_kms_with_another_oaep(kms_flow: KmsFlow, oaep: Any, says: str) -> None:
    """RSAES_OAEP_SHA_1 where _SHA_256 was announced (case C5), and Java's default."""
    information = kms_flow.announce()
    message = kms_flow.message(information, oaep=oaep)
    assert says in diagnose(message, [kms_flow.ring.current], AIRLOCK_KMS, nonce=information.nonce)


def test_message_for_kms_that_holds_no_text(kms_flow: KmsFlow) -> None:
    """The password is UTF-8."""
    information = kms_flow.announce()
    message = kms_flow.message(information, "pässword".encode("latin-1"))
    assert diagnose(message, [kms_flow.ring.current], AIRLOCK_KMS, nonce=information.nonce) == (
        "the token opens, but its payload is not what profile airlock-kms wants"
    )


def test_nonce_that_encodes_no_bytes(kms_flow: KmsFlow) -> None:
    """Its characters can be authenticated all the same; its bytes cannot, and that is the operator's mistake."""
    information = replace(kms_flow.announce(), nonce="n-1")
    message = kms_flow.message(information)
    keys = [kms_flow.ring.current]
    assert diagnose(message, keys, AIRLOCK_KMS, nonce="n-1") == FINE
    assert "another nonce, or changed" in diagnose(flip_bit(message, "iv", 0), keys, AIRLOCK_KMS, nonce="n-1")
    with pytest.raises(ConfigError, match="nonce"):
        diagnose(message, keys, AIRLOCK_KMS.authenticating("bytes"), nonce="n-1")
