# SPDX-License-Identifier: Apache-2.0
"""RSA and AES keys in the memory of this process: what key files and key stores become once they are read."""

import secrets
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealpass.core.algorithms import (
    CONTENT_ENCRYPTIONS,
    GCM_SEAL_BY_KEY_BYTES,
    OAEP_VARIANTS,
    ContentEncryption,
    RsaOaep,
)
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_padding
from sealpass.core.protocols import Sealed, check_sealable
from sealpass.core.uri import KeyUri

DEFAULT_FLOOR_SECONDS = 0.05


class _MemoryKey:
    """What both kinds share: the URI and closing."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri
        self._closed = False

    @property
    def uri(self) -> KeyUri:
        return self._uri

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("the key is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._uri!r}>"


class RsaMemoryKey(_MemoryKey):
    """An RSA private key in memory: :class:`~sealpass.core.protocols.Unwrapper`."""

    def __init__(self, uri: KeyUri, private_key: rsa.RSAPrivateKey, floor_seconds: float | None = None) -> None:
        super().__init__(uri)
        self._private_key = private_key
        self.public_jwk = PublicJwk.from_public_key(private_key.public_key())
        self.key_id = self.public_jwk.kid
        self.failure_floor = FailureFloor(DEFAULT_FLOOR_SECONDS if floor_seconds is None else floor_seconds)
        self._paddings = {
            oaep: oaep_padding(oaep)
            for oaep in OAEP_VARIANTS
            if oaep.max_plaintext(self.public_jwk.modulus_bytes) >= max(enc.cek_bytes for enc in CONTENT_ENCRYPTIONS)
        }
        self.capabilities = Capabilities(
            mode=UnwrapMode.SOFTWARE, unwrap=frozenset(self._paddings), content=frozenset(CONTENT_ENCRYPTIONS)
        )

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        self._check_open()
        scheme = self._paddings.get(oaep)
        if scheme is None or enc not in self.capabilities.content:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        if deadline is not None:
            deadline.check()
        cek = secrets.token_bytes(enc.cek_bytes)
        try:
            unwrapped = self._private_key.decrypt(encrypted_key, scheme)
        except ValueError:
            unwrapped = b""
        return MemoryContentKey(unwrapped if len(unwrapped) == enc.cek_bytes else cek, enc)

    def probe(self, deadline: Deadline | None = None) -> None:  # noqa: ARG002 - nothing to wait for
        """Memory always answers."""
        self._check_open()


class AesMemoryKey(_MemoryKey):
    """An AES key in memory: Sealer and Opener."""

    def __init__(self, uri: KeyUri, key: bytes, key_id: str) -> None:
        super().__init__(uri)
        self._gcm = AESGCM(key)
        self._algorithm = GCM_SEAL_BY_KEY_BYTES[len(key)]
        self.bits = 8 * len(key)
        self.key_id = key_id
        self.capabilities = Capabilities(seal=frozenset({self._algorithm}))

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See :class:`~sealpass.core.protocols.Sealer`."""
        self._check_open()
        check_sealable(plaintext, aad)
        if deadline is not None:
            deadline.check()
        nonce = secrets.token_bytes(self._algorithm.nonce_bytes)
        return Sealed(self._algorithm.name, nonce, self._gcm.encrypt(nonce, plaintext, aad))

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See :class:`~sealpass.core.protocols.Opener`."""
        self._check_open()
        if deadline is not None:
            deadline.check()
        if sealed.algorithm != self._algorithm.name or len(sealed.nonce) != self._algorithm.nonce_bytes:
            return None
        try:
            return self._gcm.decrypt(sealed.nonce, sealed.ciphertext, aad)
        except InvalidTag:
            return None
