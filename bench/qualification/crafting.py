# SPDX-License-Identifier: Apache-2.0
"""Tokens made by hand from a public key, so that every part of them can be wrong on purpose.

No JOSE library is used: a library refuses to write most of what a device must refuse to open.
"""

import base64
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from sealpass.core import base64url
from sealpass.core.algorithms import ContentEncryption, Hash, RsaOaep
from sealpass.core.oaep import oaep_encrypt, oaep_padding

_HASHLIB_NAMES = {Hash.SHA1: "sha1", Hash.SHA256: "sha256"}
_CBC_HASHES: dict[int, hashes.HashAlgorithm] = {16: hashes.SHA256(), 24: hashes.SHA384(), 32: hashes.SHA512()}


def write_header(members: Mapping[str, Any]) -> bytes:
    """The octets of a protected header, as a browser would write them."""
    return json.dumps(members, separators=(",", ":")).encode("utf-8")


@dataclass(frozen=True, slots=True)
class Parts(ABC):
    """What every token holds, whatever its dialect writes around it."""

    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes

    @abstractmethod
    def token(self) -> str:
        """The parts as a sender writes them."""

    def changed(self, **values: bytes) -> Self:
        """The same parts with some of them replaced, not sealed again."""
        return replace(self, **values)


@dataclass(frozen=True, slots=True)
class JweParts(Parts):
    """The five parts of a compact JWE (RFC 7516 section 7.1) before they are base64url-encoded."""

    header: bytes

    def encoded(self) -> list[str]:
        """The parts as they stand between the dots."""
        octets = (self.header, self.encrypted_key, self.iv, self.ciphertext, self.tag)
        return [base64url.encode(part).decode("ascii") for part in octets]

    def token(self) -> str:
        """See :class:`Parts`."""
        return ".".join(self.encoded())


@dataclass(frozen=True, slots=True)
class KmsParts(Parts):
    """What stands in the three members of an ``airlock-kms`` message before it is base64-encoded."""

    def members(self) -> dict[str, str]:
        """The members, in the order of Airlock's example."""
        octets = {"password": self.ciphertext + self.tag, "key": self.encrypted_key, "iv": self.iv}
        return {name: base64.b64encode(part).decode("ascii") for name, part in octets.items()}

    def token(self) -> str:
        """See :class:`Parts`."""
        return json.dumps(self.members(), separators=(",", ":"))


def encrypt_gcm(cek: bytes, payload: bytes, aad: bytes, iv_bytes: int = 12) -> tuple[bytes, bytes, bytes]:
    """IV, ciphertext and tag of AES-GCM."""
    iv = os.urandom(iv_bytes) if iv_bytes else b""
    # A tag needs some IV: an empty one is put into the token only.
    sealed = AESGCM(cek).encrypt(iv or bytes(12), payload, aad)
    return iv, sealed[:-16], sealed[-16:]


def seal(header: bytes, encrypted_key: bytes, cek: bytes, payload: bytes, iv_bytes: int = 12) -> JweParts:
    """Encrypt ``payload`` with AES-GCM under ``cek`` and bind it to ``header`` (RFC 7516 section 5.1 steps 9 to 15)."""
    iv, ciphertext, tag = encrypt_gcm(cek, payload, base64url.encode(header), iv_bytes)
    return JweParts(encrypted_key, iv, ciphertext, tag, header)


def seal_cbc(header: bytes, encrypted_key: bytes, cek: bytes, payload: bytes, *, al_error: int = 0) -> JweParts:
    """Encrypt with AES_CBC_HMAC_SHA2 (RFC 7518 section 5.2.2.1).

    ``al_error`` is added to AL, the bit length of the AAD that goes into the MAC.
    """
    half = len(cek) // 2
    iv = os.urandom(16)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(cek[half:]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(payload) + padder.finalize()) + encryptor.finalize()
    aad = base64url.encode(header)
    mac = HMAC(cek[:half], _CBC_HASHES[half])
    mac.update(aad + iv + ciphertext + (8 * len(aad) + al_error).to_bytes(8, "big"))
    return JweParts(encrypted_key, iv, ciphertext, mac.finalize()[:half], header)


def new_cek(enc: ContentEncryption) -> bytes:
    """A fresh content encryption key."""
    return os.urandom(enc.cek_bytes)


def encrypt_key(public_key: rsa.RSAPublicKey, oaep: RsaOaep, cek: bytes, label: bytes | None = None) -> bytes:
    """The JWE encrypted key (RFC 8017 section 7.1.1); ``label`` is empty in every right one (RFC 7518 section 4.3)."""
    if label is None:
        return oaep_encrypt(public_key, cek, oaep)
    unlabelled = oaep_padding(oaep)
    return public_key.encrypt(cek, padding.OAEP(unlabelled.mgf, unlabelled.algorithm, label))


def encrypt_key_with_leading_zero(public_key: rsa.RSAPublicKey, oaep: RsaOaep, cek: bytes) -> bytes:
    """An encrypted key whose first octet is zero: one of 256 is, so trying finds one."""
    while True:
        encrypted_key = encrypt_key(public_key, oaep, cek)
        if encrypted_key[0] == 0:
            return encrypted_key


def encrypt_key_pkcs1(public_key: rsa.RSAPublicKey, cek: bytes) -> bytes:
    """The encrypted key that RSA1_5 would make (RFC 8017 section 7.2.1)."""
    return public_key.encrypt(cek, padding.PKCS1v15())


def raw_encrypt(public_key: rsa.RSAPublicKey, block: bytes) -> bytes:
    """RSA without any padding scheme (RFC 8017 section 5.1.1), to put chosen blocks under the modulus."""
    numbers = public_key.public_numbers()
    size = (public_key.key_size + 7) // 8
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")


def _mgf1(name: str, seed: bytes, length: int) -> bytes:
    mask = b""
    counter = 0
    while len(mask) < length:
        mask += hashlib.new(name, seed + counter.to_bytes(4, "big")).digest()
        counter += 1
    return mask[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


@dataclass(frozen=True, slots=True)
class OaepFault:
    """What is wrong in a hand-made OAEP block (RFC 8017 section 7.1.1 step 2)."""

    first_octet: int = 0
    """Y; anything but 0 is what Manger's attack looks for."""
    label_hash_flip: int = 0
    """XORed into the last octet of lHash."""
    padding_octet: int = 0
    """Stands in PS where zeros should."""
    separator: int = 1


def oaep_block(message: bytes, size: int, oaep: RsaOaep, fault: OaepFault) -> bytes:
    """An encoded message EM of ``size`` octets with one fault in it."""
    name = _HASHLIB_NAMES[oaep.hash]
    mgf_name = _HASHLIB_NAMES[oaep.mgf_hash]
    label_hash = bytearray(hashlib.new(name, b"").digest())
    label_hash[-1] ^= fault.label_hash_flip
    zeros = size - len(message) - 2 * oaep.hash.bytes - 2
    filler = bytes([fault.padding_octet]) * zeros
    data = bytes(label_hash) + filler + bytes([fault.separator]) + message
    seed = os.urandom(oaep.hash.bytes)
    masked_data = _xor(data, _mgf1(mgf_name, seed, len(data)))
    masked_seed = _xor(seed, _mgf1(mgf_name, masked_data, len(seed)))
    return bytes([fault.first_octet]) + masked_seed + masked_data
