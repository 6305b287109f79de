# SPDX-License-Identifier: Apache-2.0
"""The ciphertexts of the KMS emulator: RSA-OAEP as AWS does it, and AES-GCM in a format of our own.

A symmetric ciphertext is: mark, version of the key material, fingerprint of the key, IV, filler, ciphertext, tag.
All that stands before the ciphertext is authenticated, together with the encryption context. The filler stands where
AWS has its own structures, so that a ciphertext is as long as a real one: 152 bytes more than its plaintext
(https://github.com/aws/aws-cli/issues/8497 shows one).
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OVERHEAD = 152  # bytes
_MARK = b"emulated KMS\x01"
_FINGERPRINT_START = len(_MARK) + 4
_IV_START = _FINGERPRINT_START + 32
_HEADER = OVERHEAD - 16  # the tag stands at the end

OAEP: dict[str, hashes.HashAlgorithm] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1(),  # noqa: S303 (KMS offers it)
    "RSAES_OAEP_SHA_256": hashes.SHA256(),
}


def oaep_padding(algorithm: str) -> padding.OAEP:
    """OAEP as KMS does it: one hash for OAEP and MGF1, and no label."""
    return padding.OAEP(padding.MGF1(OAEP[algorithm]), OAEP[algorithm], None)


def longest_oaep_plaintext(bits: int, algorithm: str) -> int:
    """In bytes; RFC 8017 section 7.1.1."""
    return bits // 8 - 2 * OAEP[algorithm].digest_size - 2


def fingerprint(arn: str) -> bytes:
    """What a symmetric ciphertext names its key by."""
    return hashlib.sha256(arn.encode()).digest()


@dataclass(frozen=True)
class SymmetricCiphertext:
    """A symmetric ciphertext in its two parts."""

    header: bytes
    ciphertext: bytes

    @classmethod
    def seal(cls, arn: str, materials: Sequence[bytes], plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypt under the newest AES key of the key named by its ARN."""
        iv = os.urandom(12)
        header = _MARK + (len(materials) - 1).to_bytes(4, "big") + fingerprint(arn) + iv
        header += os.urandom(_HEADER - len(header))
        return header + AESGCM(materials[-1]).encrypt(iv, plaintext, header + _canonical(context))

    @classmethod
    def parse(cls, blob: bytes) -> Self:
        """The parts of a ciphertext that ``seal`` made; raises ValueError for anything else."""
        if len(blob) < OVERHEAD or not blob.startswith(_MARK):
            raise ValueError("not a symmetric ciphertext of the emulator")
        return cls(blob[:_HEADER], blob[_HEADER:])

    @property
    def fingerprint(self) -> bytes:
        """That of the key."""
        return self.header[_FINGERPRINT_START:_IV_START]

    def open(self, materials: Sequence[bytes], context: Mapping[str, str]) -> bytes:
        """Decrypt; raises InvalidTag, or IndexError for a version that the key never had."""
        version = int.from_bytes(self.header[len(_MARK) : _FINGERPRINT_START], "big")
        iv = self.header[_IV_START : _IV_START + 12]
        return AESGCM(materials[version]).decrypt(iv, self.ciphertext, self.header + _canonical(context))


def _canonical(context: Mapping[str, str]) -> bytes:
    """An encryption context as bytes; two contexts give the same bytes only if they are equal."""
    return json.dumps(sorted(context.items())).encode()
