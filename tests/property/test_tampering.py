# SPDX-License-Identifier: Apache-2.0
"""Nothing of a token can be changed unnoticed, and no change can be told from another where a key was touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.backends.keyring import KeyRing
from sealpass.core import jwe
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.encrypt import encrypt
from sealpass.core.errors import DecryptionFailed, Error, RejectReason, TokenRejected
from sealpass.core.jwe_profile import JweProfile
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.protocols import Unwrapper
from tests.support import kms_messages, tokens
from tests.support.contract import JWE_PROFILES, PASSWORD, Flow
from tests.support.kms_messages import MEMBERS, SETTINGS, KmsFlow

PAYLOAD = b'{"password":"correct horse"}'
FORBIDDEN = {"zip", "crit", "jku", "jwk", "x5u", "x5c", "epk"}
HIDDEN_PARTS = (tokens.ENCRYPTED_KEY, tokens.IV, tokens.CIPHERTEXT, tokens.TAG)


def _failure(token: str, key: Unwrapper) -> Error:
    with pytest.raises(Error) as caught:
        jwe.decrypt(token, key)
    return caught.value


def assert_is_the_one_failure(error: Error) -> None:
    """Type, text, args, attributes, cause and context: equal to those of every other DecryptionFailed."""
    assert type(error) is DecryptionFailed
    assert (str(error), error.args) == (DecryptionFailed.TEXT, (DecryptionFailed.TEXT,))
    assert vars(error) == {}
    assert (error.__cause__, error.__context__) == (None, None)


def _is_still_a_header(octets: bytes, original: dict[str, str]) -> bool:
    """By the standard library's reader: what the parser must let pass, so that only the tag can refuse it."""
    repeated = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        repeated.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    try:
        header = json.loads(octets.decode("utf-8"), object_pairs_hook=members)
    except ValueError:
        return False
    return (
        isinstance(header, dict)
        and not any(repeated)
        and header.get("alg") in OAEP_BY_JWE_NAME
        and header.get("enc") == original["enc"]  # another enc has other lengths of IV and tag, or another CEK
        and FORBIDDEN.isdisjoint(header)
        and all(isinstance(header.get(name, ""), str) for name in ("kid", "typ", "cty"))
    )


def _bits(token: str, part: int) -> range:
    return range(8 * len(tokens.split(token)[part]))


@pytest.fixture(scope="module", params=["A256GCM", "A128CBC-HS256"])
def token(request: pytest.FixtureRequest, software_key: Unwrapper) -> str:
    """One token of each family of content encryption."""
    return encrypt(PAYLOAD, software_key.public_jwk, "RSA-OAEP-256", request.param, {"kid": "some-key"})


@pytest.mark.parametrize("part", HIDDEN_PARTS, ids=lambda part: tokens.PART_NAMES[part])
def test_every_bit_behind_the_header(token: str, software_key: Unwrapper, part: int) -> None:
    """All of them, one after the other: each is the one DecryptionFailed."""
    for bit in _bits(token, part):
        assert_is_the_one_failure(_failure(tokens.flip_bit(token, part, bit), software_key))


def test_every_bit_of_the_header(token: str, software_key: Unwrapper) -> None:
    """TokenRejected where it broke the header, the one DecryptionFailed where it is still one."""
    original = tokens.header_of(token)
    kinds = set()
    for bit in _bits(token, tokens.HEADER):
        damaged = tokens.flip_bit(token, tokens.HEADER, bit)
        error = _failure(damaged, software_key)
        if _is_still_a_header(tokens.split(damaged)[tokens.HEADER], original):
            assert_is_the_one_failure(error)
        else:
            assert type(error) is TokenRejected
            assert error.reason in (RejectReason.HEADER, RejectReason.ALGORITHM)
        kinds.add(type(error))
    assert kinds == {TokenRejected, DecryptionFailed}


@given(
    data=st.data(),
    payload=st.binary(max_size=300),
    alg=st.sampled_from(sorted(OAEP_BY_JWE_NAME)),
    enc=st.sampled_from(sorted(ENC_BY_JWE_NAME)),
)
def test_any_bit_of_any_token(software_key: Unwrapper, data: st.DataObject, payload: bytes, alg: str, enc: str) -> None:
    """For every alg and enc and any payload."""
    token = encrypt(payload, software_key.public_jwk, alg, enc)
    part = data.draw(st.sampled_from([part for part in range(5) if _bits(token, part)]), label="part")
    damaged = tokens.flip_bit(token, part, data.draw(st.sampled_from(_bits(token, part)), label="bit"))
    error = _failure(damaged, software_key)
    if part == tokens.HEADER and not _is_still_a_header(tokens.split(damaged)[part], tokens.header_of(token)):
        assert type(error) is TokenRejected
    else:
        assert_is_the_one_failure(error)


@given(data=st.data(), character=st.characters(codec="utf-8") | st.sampled_from("ABCwxyz0189-_.=+/ \n"))
def test_any_character(software_key: Unwrapper, data: st.DataObject, character: str) -> None:
    """Replaced by any other one: not even the unused bits at the end of a part can be changed."""
    token = encrypt(PAYLOAD, software_key.public_jwk, "RSA-OAEP-256", "A256GCM")
    position = data.draw(st.integers(0, len(token) - 1), label="position")
    damaged = token[:position] + character + token[position + 1 :]
    if damaged == token:
        return
    error = _failure(damaged, software_key)
    if type(error) is not TokenRejected:
        assert_is_the_one_failure(error)


@given(data=st.data(), extra=st.text(st.sampled_from("AQgw-_.= \n"), min_size=1, max_size=4))
def test_any_insertion_or_deletion(software_key: Unwrapper, data: st.DataObject, extra: str) -> None:
    """Nothing can be put in or left out, anywhere: one token has one spelling."""
    token = encrypt(PAYLOAD, software_key.public_jwk, "RSA-OAEP-256", "A256GCM")
    position = data.draw(st.integers(0, len(token)), label="position")
    for damaged in (token[:position] + extra + token[position:], token[:position] + token[position + len(extra) :]):
        if damaged != token:
            error = _failure(damaged, software_key)
            if type(error) is not TokenRejected:
                assert_is_the_one_failure(error)


@given(data=st.data(), profile=st.sampled_from(list(JWE_PROFILES.values())))
def test_any_bit_through_the_contract(software_ring: KeyRing, data: st.DataObject, profile: JweProfile) -> None:
    """A password token with one bit flipped never gives a password; behind the header it is the one failure."""
    flow = Flow(software_ring, profile)
    token = flow.token(flow.announce())
    part = data.draw(st.integers(0, 4), label="part")
    damaged = tokens.flip_bit(token, part, data.draw(st.sampled_from(_bits(token, part)), label="bit"))
    with pytest.raises(Error) as caught:
        flow.unwrap(damaged)
    if part == tokens.HEADER:
        # Whatever the bit did, the header no longer answers the announcement: this nonce was not announced with it.
        assert type(caught.value) is TokenRejected
    else:
        assert_is_the_one_failure(caught.value)


@given(data=st.data(), profile=st.sampled_from(list(SETTINGS.values())), password=st.text(st.characters(codec="utf-8")))
def test_any_bit_of_a_message_for_kms(
    software_ring: KeyRing, data: st.DataObject, profile: KmsProfile, password: str
) -> None:
    """One bit of the password, the key or the iv: the one failure, under every setting, and the nonce is spent."""
    flow = KmsFlow(software_ring, profile)
    message = flow.message(flow.announce(), password.encode())
    member = data.draw(st.sampled_from(MEMBERS), label="member")
    bit = data.draw(st.integers(0, 8 * len(kms_messages.split(message)[member]) - 1), label="bit")
    with pytest.raises(Error) as caught:
        flow.unwrap(kms_messages.flip_bit(message, member, bit))
    assert_is_the_one_failure(caught.value)
    assert flow.is_spent()


@given(data=st.data(), extra=st.text(st.sampled_from('AQgw-_+/="\\{},: \n'), max_size=3), length=st.integers(0, 3))
def test_any_edit_of_a_message_for_kms(software_ring: KeyRing, data: st.DataObject, extra: str, length: int) -> None:
    """Characters replaced, put in or left out: another spelling of the same JSON, or no password."""
    flow = KmsFlow(software_ring)
    message = flow.message(flow.announce())
    position = data.draw(st.integers(0, len(message)), label="position")
    edited = message[:position] + extra + message[position + length :]
    try:
        assert flow.unwrap(edited) == PASSWORD
        assert json.loads(edited) == json.loads(message)
    except Error as error:
        if type(error) is not TokenRejected:
            assert_is_the_one_failure(error)


@given(data=st.data())
def test_members_of_two_messages_for_kms_do_not_mix(software_ring: KeyRing, data: st.DataObject) -> None:
    """Two messages for one nonce: any mixture but the messages themselves is the one failure."""
    flow = KmsFlow(software_ring)
    information = flow.announce()
    pair = [kms_messages.split(flow.message(information, password)) for password in (b"one", b"two")]
    choice = data.draw(st.lists(st.integers(0, 1), min_size=3, max_size=3), label="choice")
    mixed = kms_messages.join({name: pair[which][name] for name, which in zip(MEMBERS, choice, strict=True)})
    if len(set(choice)) == 1:
        assert flow.unwrap(mixed) == ("one", "two")[choice[0]]
    else:
        with pytest.raises(Error) as caught:
            flow.unwrap(mixed)
        assert_is_the_one_failure(caught.value)


@given(data=st.data())
def test_parts_of_two_tokens_do_not_mix(software_key: Unwrapper, data: st.DataObject) -> None:
    """Any selection of parts from two tokens for one key opens only where it is one of the two."""
    pair = [
        encrypt(PAYLOAD, software_key.public_jwk, "RSA-OAEP-256", "A256GCM", {"kid": kid}).split(".") for kid in "ab"
    ]
    choice = data.draw(st.lists(st.integers(0, 1), min_size=5, max_size=5), label="choice")
    mixed = ".".join(pair[which][part] for part, which in enumerate(choice))
    if len(set(choice)) == 1:
        assert jwe.decrypt(mixed, software_key) == PAYLOAD
    else:
        assert_is_the_one_failure(_failure(mixed, software_key))
