# SPDX-License-Identifier: Apache-2.0
"""What every unwrapping key promises, on every device."""

import secrets
import threading

import pytest

from sealpass.backends.matrix import name_of
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import (
    A128GCM,
    A192GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    OAEP_BY_JWE_NAME,
    OAEP_VARIANTS,
    ContentEncryption,
    RsaOaep,
)
from sealpass.core.content_key import MemoryContentKey, encrypt_gcm
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, DecryptionFailed, TokenRejected, UnsupportedAlgorithm
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.protocols import Unwrapper
from tests.conformance.devices import UnwrappingDevice

ENC_IDS = [enc.name for enc in CONTENT_ENCRYPTIONS]


def _any_supported(key: Unwrapper) -> RsaOaep:
    return next(oaep for oaep in OAEP_VARIANTS if oaep in key.capabilities.unwrap)


def _alg(key: Unwrapper) -> str:
    return next(name for name, oaep in OAEP_BY_JWE_NAME.items() if oaep in key.capabilities.unwrap)


def _enc(key: Unwrapper) -> ContentEncryption:
    return next(enc for enc in (A256GCM, A192GCM, A128GCM) if enc in key.capabilities.content)


def test_capabilities_are_those_of_the_written_matrix(device: UnwrappingDevice, key: Unwrapper) -> None:
    """What the open key declares is what the shipped matrix says of its device."""
    if device.row is None:
        pytest.skip("a device of the user's own has no row in the shipped matrix")
    assert {name_of(oaep) for oaep in key.capabilities.unwrap} == set(device.row.unwrap)
    assert {enc.name for enc in key.capabilities.content} == set(device.row.content)
    assert key.capabilities.mode == device.row.mode


@pytest.mark.parametrize("oaep", OAEP_VARIANTS, ids=str)
def test_a_declared_variant_works_and_another_is_refused_before_any_io(
    key: Unwrapper, oaep: RsaOaep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared equals actual, in both directions, for every OAEP variant."""
    enc = _enc(key)
    cek = secrets.token_bytes(enc.cek_bytes)
    encrypted_key = oaep_encrypt(key.public_jwk.public_key(), cek, oaep)
    if oaep in key.capabilities.unwrap:
        iv, ciphertext, tag = encrypt_gcm(cek, b"payload", b"aad")
        with key.unwrap(encrypted_key, oaep, enc) as content_key:
            assert content_key.decrypt(iv, ciphertext, tag, b"aad") == b"payload"
        return
    # No I/O: a deadline that has passed is only looked at on the way to the device.
    with pytest.raises(UnsupportedAlgorithm):
        key.unwrap(encrypted_key, oaep, enc, Deadline.after(-1))


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS, ids=ENC_IDS)
def test_a_declared_content_encryption_works_and_another_is_refused_before_any_io(
    key: Unwrapper, enc: ContentEncryption
) -> None:
    """Every enc of RFC 7518 either opens a whole token or is refused as unsupported, before any I/O."""
    token = encrypt.encrypt(b"payload", key.public_jwk, _alg(key), enc.name)
    if enc in key.capabilities.content:
        assert jwe.decrypt(token, key) == b"payload"
    else:
        # No I/O: a deadline that has passed is only looked at on the way to the device.
        with pytest.raises(UnsupportedAlgorithm):
            jwe.decrypt(token, key, deadline=Deadline.after(-1))


def _bad_keys(key: Unwrapper) -> dict[str, bytes]:
    """Encrypted keys of the right length that no sender should send (RFC 8017 section 7.1.2)."""
    size = key.public_jwk.modulus_bytes
    public_key, oaep, enc = key.public_jwk.public_key(), _any_supported(key), _enc(key)
    modulus = public_key.public_numbers().n
    good = oaep_encrypt(public_key, secrets.token_bytes(enc.cek_bytes), oaep)
    return {
        "zero": bytes(size),
        "one": (1).to_bytes(size, "big"),
        "n minus 1": (modulus - 1).to_bytes(size, "big"),
        "n": modulus.to_bytes(size, "big"),
        "all ones": b"\xff" * size,
        "bit flipped": bytes((good[0] ^ 1,)) + good[1:],
        "short CEK": oaep_encrypt(public_key, secrets.token_bytes(enc.cek_bytes - 1), oaep),
        "long CEK": oaep_encrypt(public_key, secrets.token_bytes(enc.cek_bytes + 1), oaep),
        "empty CEK": oaep_encrypt(public_key, b"", oaep),
        "one byte short": good[:-1],
        "one byte long": good + b"\0",
        "nothing": b"",
    }


def test_a_bad_encrypted_key_gives_a_content_key_that_opens_nothing(key: Unwrapper) -> None:
    """Whatever the encrypted key, unwrap answers a ContentKey, that opens nothing, and the key works afterwards."""
    oaep, enc = _any_supported(key), _enc(key)
    iv, ciphertext, tag = encrypt_gcm(bytes(enc.cek_bytes), b"payload", b"aad")
    for what, encrypted_key in _bad_keys(key).items():
        with key.unwrap(encrypted_key, oaep, enc) as content_key:
            assert content_key.decrypt(iv, ciphertext, tag, b"aad") is None, what
        key.probe()
    assert jwe.decrypt(encrypt.encrypt(b"still here", key.public_jwk, _alg(key), enc.name), key) == b"still here"


def test_a_cek_of_another_size_opens_nothing(key: Unwrapper) -> None:
    """A CEK of 16 bytes opens no content that was announced as A256GCM, though the bytes fit (RFC 7516 section 5.2)."""
    oaep, enc = _any_supported(key), _enc(key)
    assert enc is A256GCM
    cek = secrets.token_bytes(A128GCM.cek_bytes)
    iv, ciphertext, tag = encrypt_gcm(cek, b"payload", b"aad")
    with key.unwrap(oaep_encrypt(key.public_jwk.public_key(), cek, oaep), oaep, enc) as content_key:
        assert content_key.decrypt(iv, ciphertext, tag, b"aad") is None


def test_every_failure_is_the_one_failure(key: Unwrapper) -> None:
    """Damage to encrypted key, IV, ciphertext, tag or AAD is one DecryptionFailed in type, text and args."""
    token = encrypt.encrypt(b"payload", key.public_jwk, _alg(key), _enc(key).name)
    parsed = jwe.parse(token, jwe.plain_members)
    seen = set()
    for part in ("encrypted_key", "iv", "ciphertext", "tag", "aad"):
        damaged = jwe.parse(token, jwe.plain_members)
        octets = bytearray(getattr(parsed, part))
        octets[-1] ^= 1
        setattr(damaged, part, bytes(octets))
        with pytest.raises(DecryptionFailed) as caught:
            jwe.open_token(damaged, key, lambda plaintext: plaintext)
        error = caught.value
        seen.add((type(error), str(error), error.args, error.__cause__, error.__context__))
    assert len(seen) == 1


def test_an_encrypted_key_of_another_length_is_rejected_before_the_key_is_used(key: Unwrapper) -> None:
    """The modulus's length is public, so a wrong length is TokenRejected, not a decryption failure."""
    parsed = jwe.parse(encrypt.encrypt(b"x", key.public_jwk, _alg(key), _enc(key).name), jwe.plain_members)
    parsed.encrypted_key = parsed.encrypted_key[:-1]
    failures = key.failure_floor.failures
    with pytest.raises(TokenRejected):
        jwe.open_token(parsed, key, lambda plaintext: plaintext)
    assert key.failure_floor.failures == failures


def test_key_id_is_the_thumbprint_of_the_public_key(key: Unwrapper) -> None:
    """The key id is the RFC 7638 thumbprint, whoever computes it."""
    assert key.key_id == key.public_jwk.kid == PublicJwk.from_public_key(key.public_jwk.public_key()).kid


def test_eight_threads_unwrap_their_own_tokens(key: Unwrapper) -> None:
    """Eight threads at once each get the payload of their own token and nobody else's."""
    alg, enc = _alg(key), _enc(key).name
    tokens = [encrypt.encrypt(str(number).encode(), key.public_jwk, alg, enc) for number in range(48)]
    wrong: list[object] = []

    def work(start: int) -> None:
        try:
            for number in range(start, len(tokens), 8):
                assert jwe.decrypt(tokens[number], key) == str(number).encode()
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_passed_deadline_stops_before_the_device(key: Unwrapper) -> None:
    """After its deadline an unwrap is not started; the error says that trying again may help."""
    oaep, enc = _any_supported(key), _enc(key)
    with pytest.raises(BackendUnavailable) as caught:
        key.unwrap(bytes(key.public_jwk.modulus_bytes), oaep, enc, Deadline.after(-1))
    assert caught.value.retryable


def test_a_closed_key_refuses_and_closing_twice_is_fine(key: Unwrapper) -> None:
    """close() is idempotent and any later use is a ConfigError."""
    oaep, enc = _any_supported(key), _enc(key)
    key.close()
    key.close()
    with pytest.raises(ConfigError):
        key.unwrap(bytes(key.public_jwk.modulus_bytes), oaep, enc)
    with pytest.raises(ConfigError):
        key.probe()


def test_repr_shows_no_secret_of_key_or_content_key(key: Unwrapper) -> None:
    """The repr of a key and of its content key hold neither CEK nor private key."""
    cek = secrets.token_bytes(32)
    assert repr(MemoryContentKey(cek, _enc(key))) == "MemoryContentKey(***)"
    assert "PRIVATE" not in repr(key)
