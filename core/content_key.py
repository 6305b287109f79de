# SPDX-License-Identifier: Apache-2.0
"""The content encryption key after unwrapping: a handle, so that a CEK inside a token and one in memory look alike."""

import hmac
import secrets
from types import TracebackType
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from sealpass.core.algorithms import A256GCM, ContentEncryption


class ContentKey(Protocol):
    """A CEK for one decryption. Close it (or use ``with``): an in-token CEK is an object that must be destroyed."""

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        """The plaintext (secret), or None where the content does not open; an exception would carry its cause along.

        Raises BackendUnavailable only.
        """
        ...

    def close(self) -> None:
        """Give back what the handle holds. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MemoryContentKey:
    """A CEK in the memory of this process (secret). Python cannot wipe it."""

    __slots__ = ("_cek", "_enc")

    def __init__(self, cek: bytes, enc: ContentEncryption) -> None:
        self._cek = cek
        self._enc = enc

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        """See :class:`ContentKey`. RFC 7518 sections 5.2 and 5.3."""
        if self._enc.is_gcm:
            try:
                return AESGCM(self._cek).decrypt(iv, ciphertext + tag, aad)
            except InvalidTag:
                return None
        return _decrypt_cbc_hmac(self._cek, iv, ciphertext, tag, aad)

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return "MemoryContentKey(***)"


def encrypt_gcm(cek: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes, bytes]:
    """IV, ciphertext and tag of AES-GCM (RFC 7518 section 5.3), for probes of a device; a fresh random IV each time."""
    iv = secrets.token_bytes(A256GCM.iv_bytes)
    sealed = AESGCM(cek).encrypt(iv, plaintext, aad)
    return iv, sealed[: -A256GCM.tag_bytes], sealed[-A256GCM.tag_bytes :]


_CBC_HASHES: dict[int, hashes.HashAlgorithm] = {16: hashes.SHA256(), 24: hashes.SHA384(), 32: hashes.SHA512()}


def _decrypt_cbc_hmac(cek: bytes, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
    """AES_CBC_HMAC_SHA2 (RFC 7518 section 5.2.2.2): the tag is checked before the padding is looked at."""
    half = len(cek) // 2
    mac = HMAC(cek[:half], _CBC_HASHES[half])
    mac.update(aad + iv + ciphertext + (8 * len(aad)).to_bytes(8, "big"))
    if not hmac.compare_digest(mac.finalize()[:half], tag) or not ciphertext or len(ciphertext) % 16:
        return None
    decryptor = Cipher(algorithms.AES(cek[half:]), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    try:
        return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None
