# SPDX-License-Identifier: Apache-2.0
"""Algorithms as values: RSA-OAEP with both of its hashes, and the content encryptions of RFC 7518 section 5.

An OAEP variant is never a bare string and never has a default MGF hash: Java, PKCS#11 and JOSE disagree on that
default, and the disagreement shows only as "decryption failed" (RFC 8017 section A.2.1).
"""

from dataclasses import dataclass, field
from enum import Enum


class Hash(Enum):
    """A hash function by its FIPS 180-4 name; ``bytes`` is the digest length."""

    SHA1 = ("SHA-1", 20)
    SHA224 = ("SHA-224", 28)
    SHA256 = ("SHA-256", 32)
    SHA384 = ("SHA-384", 48)
    SHA512 = ("SHA-512", 64)

    def __init__(self, label: str, length: int) -> None:
        self.label = label
        self.bytes = length

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class RsaOaep:
    """RSAES-OAEP (RFC 8017 section 7.1) with an empty label; both hashes are always stated."""

    hash: Hash
    mgf_hash: Hash
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Both values are looked up for every token, and hashing an enumeration's members anew each time shows.
        object.__setattr__(self, "_hash", hash((self.hash.label, self.mgf_hash.label)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def jwe_name(self) -> str | None:
        """The JWE ``alg`` (RFC 7518 section 4.3, WebCrypto for the longer hashes), or None where JWE has no name."""
        return _JWE_NAMES.get(self)

    def max_plaintext(self, modulus_bytes: int) -> int:
        """How many bytes fit under a modulus of this many bytes (RFC 8017 section 7.1.1)."""
        return modulus_bytes - 2 * self.hash.bytes - 2

    def __str__(self) -> str:
        return f"RSA-OAEP({self.hash}, MGF1 {self.mgf_hash})"


RSA_OAEP = RsaOaep(Hash.SHA1, Hash.SHA1)
RSA_OAEP_256 = RsaOaep(Hash.SHA256, Hash.SHA256)
RSA_OAEP_384 = RsaOaep(Hash.SHA384, Hash.SHA384)
RSA_OAEP_512 = RsaOaep(Hash.SHA512, Hash.SHA512)
RSA_OAEP_256_MGF1_SHA1 = RsaOaep(Hash.SHA256, Hash.SHA1)
"""What Java's "OAEPWithSHA-256AndMGF1Padding" really does; no JWE algorithm, kept to name the mistake."""

_JWE_NAMES = {
    RSA_OAEP: "RSA-OAEP",
    RSA_OAEP_256: "RSA-OAEP-256",
    RSA_OAEP_384: "RSA-OAEP-384",
    RSA_OAEP_512: "RSA-OAEP-512",
}
OAEP_BY_JWE_NAME = {"RSA-OAEP": RSA_OAEP, "RSA-OAEP-256": RSA_OAEP_256}
"""The ``alg`` values that sealpass accepts in a token, in any profile."""

OAEP_VARIANTS = (RSA_OAEP, RSA_OAEP_256, RSA_OAEP_384, RSA_OAEP_512, RSA_OAEP_256_MGF1_SHA1)
"""The variants that a backend tries at open."""


_GCM_IV_BYTES = 12


@dataclass(frozen=True, slots=True)
class ContentEncryption:
    """A JWE ``enc`` (RFC 7518 section 5.1). Sizes in bytes."""

    name: str
    cek_bytes: int
    iv_bytes: int
    tag_bytes: int
    is_gcm: bool = field(init=False, repr=False, compare=False)
    """AES-GCM, and not AES-CBC with HMAC."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_gcm", self.iv_bytes == _GCM_IV_BYTES)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


A128GCM = ContentEncryption("A128GCM", 16, _GCM_IV_BYTES, 16)
A192GCM = ContentEncryption("A192GCM", 24, _GCM_IV_BYTES, 16)
A256GCM = ContentEncryption("A256GCM", 32, _GCM_IV_BYTES, 16)
A128CBC_HS256 = ContentEncryption("A128CBC-HS256", 32, 16, 16)
A192CBC_HS384 = ContentEncryption("A192CBC-HS384", 48, 16, 24)
A256CBC_HS512 = ContentEncryption("A256CBC-HS512", 64, 16, 32)

CONTENT_ENCRYPTIONS = (A128GCM, A192GCM, A256GCM, A128CBC_HS256, A192CBC_HS384, A256CBC_HS512)
ENC_BY_JWE_NAME = {enc.name: enc for enc in CONTENT_ENCRYPTIONS}
"""The ``enc`` values that sealpass accepts in a token, in any profile."""


@dataclass(frozen=True, slots=True)
class SealAlgorithm:
    """How a key seals; ``name`` stands in each record. Sizes in bytes."""

    name: str
    nonce_bytes: int
    """0 where the ciphertext holds everything."""
    key_bits: int


SEAL_A128GCM = SealAlgorithm(A128GCM.name, _GCM_IV_BYTES, 128)
SEAL_A192GCM = SealAlgorithm(A192GCM.name, _GCM_IV_BYTES, 192)
SEAL_A256GCM = SealAlgorithm(A256GCM.name, _GCM_IV_BYTES, 256)
SEAL_AWSKMS = SealAlgorithm("awskms", 0, 256)
"""SYMMETRIC_DEFAULT of AWS KMS: a ciphertext blob of its own form, opened by KMS only."""
SEAL_ALGORITHMS = (SEAL_A128GCM, SEAL_A192GCM, SEAL_A256GCM, SEAL_AWSKMS)
GCM_SEAL_BY_KEY_BYTES = {16: SEAL_A128GCM, 24: SEAL_A192GCM, 32: SEAL_A256GCM}

MIN_RSA_BITS = 2048
"""RFC 7518 section 4.3: a key of this size or larger MUST be used."""
MAX_RSA_BITS = 8192
"""A larger modulus only makes every operation slower; the contract's token would not fit either."""
