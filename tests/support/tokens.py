# SPDX-License-Identifier: Apache-2.0
"""Tokens to test with: built by hand from any header, CEK and OAEP variant, taken apart, and damaged in one place.

The builder uses cryptography only, not the code under test and not jwcrypto: it makes what a correct library would
refuse to make, with a tag that is valid, so that only the rule under test can be what refuses the token.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER, ENCRYPTED_KEY, IV, CIPHERTEXT, TAG = range(5)
PART_NAMES = ("header", "encrypted-key", "iv", "ciphertext", "tag")
GCM_TAG_BYTES = 16
CEK_BYTES = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}

OAEP_SHA1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - RFC 7518 section 4.3
OAEP_SHA256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
OAEP_SHA512 = padding.OAEP(padding.MGF1(hashes.SHA512()), hashes.SHA512(), None)
OAEP_SHA256_MGF1_SHA1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA256(), None)  # noqa: S303 - Java's default
OAEP_SHA256_LABELLED = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
_OAEP_BY_ALG = {"RSA-OAEP": OAEP_SHA1, "RSA-OAEP-256": OAEP_SHA256}


def encode(octets: bytes) -> str:
    """Base64url without padding, by the standard library."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The inverse of :func:`encode`."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def split(token: str) -> list[bytes]:
    """The five decoded parts of a token."""
    return [decode(part) for part in token.split(".")]


def join(parts: list[bytes]) -> str:
    """The inverse of :func:`split`."""
    return ".".join(map(encode, parts))


def with_part(token: str, part: int, octets: bytes) -> str:
    """The token with one part replaced; the other parts keep their spelling."""
    texts = token.split(".")
    texts[part] = encode(octets)
    return ".".join(texts)


def flip_bit(token: str, part: int, bit: int) -> str:
    """The token with one bit of one decoded part flipped; bit 0 is the lowest of the first byte."""
    octets = bytearray(decode(token.split(".")[part]))
    octets[bit // 8] ^= 1 << bit % 8
    return with_part(token, part, bytes(octets))


def header_of(token: str) -> dict[str, Any]:
    """The header's members, read by the standard library."""
    members = json.loads(split(token)[HEADER])
    assert isinstance(members, dict)
    return members


def build(
    public_key: rsa.RSAPublicKey,
    header: Mapping[str, Any] | bytes,
    payload: bytes,
    *,
    oaep: padding.OAEP | None = None,
    cek: bytes | None = None,
    iv: bytes | None = None,
) -> str:
    """A token with a valid AES-GCM tag. ``header`` is sent as it is, or as JSON where it is a mapping.

    The OAEP variant and the size of the CEK follow the header where they are not given.
    """
    octets = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    if oaep is None:
        oaep = _OAEP_BY_ALG[json.loads(octets)["alg"]]
    if cek is None:
        cek = secrets.token_bytes(CEK_BYTES[json.loads(octets)["enc"]])
    iv = secrets.token_bytes(12) if iv is None else iv
    encrypted_key = public_key.encrypt(cek, oaep)
    sealed = AESGCM(cek).encrypt(iv, payload, encode(octets).encode("ascii"))
    return join([octets, encrypted_key, iv, sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]])


def padded_payload(password: str) -> bytes:
    """The payload of profile ``sealpass``: one member, trailing spaces up to a multiple of 64 bytes."""
    payload = json.dumps({"password": password}, ensure_ascii=False).encode()
    return payload + b" " * (-len(payload) % 64)
