# SPDX-License-Identifier: Apache-2.0
import secrets

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from sealpass.core.algorithms import A128CBC_HS256, A256GCM, CONTENT_ENCRYPTIONS, ENC_BY_JWE_NAME, ContentEncryption
from sealpass.core.content_key import MemoryContentKey, encrypt_gcm
from tests.support.vectors import Vector, load

VECTORS = load("content")


def _octets(vector: Vector, *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_published_vectors_open(vector: Vector) -> None:
    """RFC 7518 Appendix B.1 to B.3 and test cases of the GCM paper for each key size."""
    key, iv, ciphertext, tag, aad, plaintext = _octets(vector, "key", "iv", "ciphertext", "tag", "aad", "plaintext")
    with MemoryContentKey(key, ENC_BY_JWE_NAME[vector["enc"]]) as content_key:
        assert content_key.decrypt(iv, ciphertext, tag, aad) == plaintext


@pytest.mark.parametrize("damaged", ["key", "iv", "ciphertext", "tag", "aad"])
@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_published_vectors_do_not_open_when_damaged(vector: Vector, damaged: str) -> None:
    """Any one bit of any input, at either end and in the middle, and the answer is None, never an exception."""
    names = ("key", "iv", "ciphertext", "tag", "aad")
    values = dict(zip(names, _octets(vector, *names), strict=True))
    intact = values[damaged]
    for position in (0, len(intact) // 2, len(intact) - 1):
        broken = bytearray(intact)
        broken[position] ^= 0x01
        values[damaged] = bytes(broken)
        key = MemoryContentKey(values["key"], ENC_BY_JWE_NAME[vector["enc"]])
        assert key.decrypt(values["iv"], values["ciphertext"], values["tag"], values["aad"]) is None


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_ciphertext_cannot_be_cut_or_grown(vector: Vector) -> None:
    """Not by a byte, not by a block, not down to nothing."""
    key, iv, ciphertext, tag, aad = _octets(vector, "key", "iv", "ciphertext", "tag", "aad")
    content_key = MemoryContentKey(key, ENC_BY_JWE_NAME[vector["enc"]])
    for wrong in (ciphertext[:-1], ciphertext[:-16], ciphertext[16:], b"", ciphertext + b"\0", ciphertext + bytes(16)):
        assert content_key.decrypt(iv, wrong, tag, aad) is None


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS, ids=str)
def test_random_key_opens_nothing(enc: ContentEncryption) -> None:
    """What stands in for a CEK that could not be unwrapped."""
    content_key = MemoryContentKey(secrets.token_bytes(enc.cek_bytes), enc)
    assert content_key.decrypt(bytes(enc.iv_bytes), bytes(32), bytes(enc.tag_bytes), b"aad") is None


def _cbc_with_valid_tag(
    cek: bytes, iv: bytes, padded: bytes, aad: bytes, *, aad_bits: int | None = None
) -> tuple[bytes, bytes]:
    encryptor = Cipher(algorithms.AES(cek[16:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    mac = HMAC(cek[:16], hashes.SHA256())
    mac.update(aad + iv + ciphertext + (8 * len(aad) if aad_bits is None else aad_bits).to_bytes(8, "big"))
    return ciphertext, mac.finalize()[:16]


@pytest.mark.parametrize(
    "padded",
    [bytes(16), b"x" * 15 + b"\x02", b"x" * 15 + b"\x11", b"x" * 13 + b"\x01\x02\x03"],
    ids=["0", "2", "17", "mixed"],
)
def test_bad_padding_behind_a_good_tag_opens_nothing(padded: bytes) -> None:
    """The last step of RFC 7518 section 5.2.2.2 fails like every other one."""
    cek, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    ciphertext, tag = _cbc_with_valid_tag(cek, iv, padded, b"aad")
    assert MemoryContentKey(cek, A128CBC_HS256).decrypt(iv, ciphertext, tag, b"aad") is None


def test_empty_ciphertext_behind_a_good_tag_opens_nothing() -> None:
    """CBC has at least one block of padding."""
    cek, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    ciphertext, tag = _cbc_with_valid_tag(cek, iv, b"", b"aad")
    assert MemoryContentKey(cek, A128CBC_HS256).decrypt(iv, ciphertext, tag, b"aad") is None


@pytest.mark.parametrize("aad_bits", [0, 3, 23, 25])
def test_tag_covers_the_length_of_the_aad_in_bits(aad_bits: int) -> None:
    """RFC 7518 section 5.2.2.1: AL is 24 for three bytes; a tag over another AL does not open."""
    cek, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    padded = b"secret" + b"\x0a" * 10
    key = MemoryContentKey(cek, A128CBC_HS256)
    assert key.decrypt(iv, *_cbc_with_valid_tag(cek, iv, padded, b"aad"), b"aad") == b"secret"
    assert key.decrypt(iv, *_cbc_with_valid_tag(cek, iv, padded, b"aad", aad_bits=aad_bits), b"aad") is None


def test_aad_and_iv_cannot_trade_bytes() -> None:
    """The MAC's input is a concatenation; AL is what keeps AAD and IV apart."""
    cek, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    ciphertext, tag = _cbc_with_valid_tag(cek, iv, b"x" * 15 + b"\x01", b"aad1")
    moved = b"1" + iv
    assert MemoryContentKey(cek, A128CBC_HS256).decrypt(moved[:16], moved[16:] + ciphertext[:-1], tag, b"aad") is None


@pytest.mark.parametrize("enc", [enc for enc in CONTENT_ENCRYPTIONS if enc.is_gcm], ids=str)
def test_what_a_probe_encrypts_opens(enc: ContentEncryption) -> None:
    """The other direction of AES-GCM, under a fresh IV each time, bound to its AAD."""
    cek = secrets.token_bytes(enc.cek_bytes)
    iv, ciphertext, tag = encrypt_gcm(cek, b"probe", b"aad")
    assert (len(iv), len(tag)) == (enc.iv_bytes, enc.tag_bytes)
    assert MemoryContentKey(cek, enc).decrypt(iv, ciphertext, tag, b"aad") == b"probe"
    assert MemoryContentKey(cek, enc).decrypt(iv, ciphertext, tag, b"") is None
    assert encrypt_gcm(cek, b"probe", b"aad")[0] != iv


def test_repr_hides_the_key() -> None:
    """A CEK in a log opens its token."""
    cek = b"0123456789abcdef0123456789abcdef"
    assert repr(MemoryContentKey(cek, A256GCM)) == "MemoryContentKey(***)"


def test_close_may_be_called_again() -> None:
    """A handle in memory holds nothing to give back."""
    key = MemoryContentKey(bytes(32), A256GCM)
    key.close()
    with key:
        key.close()
