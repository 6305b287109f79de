# SPDX-License-Identifier: Apache-2.0
"""AES keys in a token: Sealer and Opener with CKM_AES_GCM inside it."""

import secrets

from pkcs11 import Attribute, Object, Session

from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.objects import read
from sealpass.backends.pkcs11.return_values import CKR_OK, name_of
from sealpass.backends.pkcs11.token_key import TokenKey
from sealpass.core import base64url
from sealpass.core.algorithms import A256GCM, GCM_SEAL_BY_KEY_BYTES
from sealpass.core.capabilities import Capabilities
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.protocols import Sealed
from sealpass.core.uri import KeyUri

_TAG_BYTES = A256GCM.tag_bytes
_PROBE_TEXT = b"sealpass asks what the token can do"
MAX_PLAINTEXT_BYTES = 4096
"""As AWS KMS has it; a record is a tenth of that."""


class AesTokenKey(TokenKey):
    """A secret key object with CKA_ENCRYPT and CKA_DECRYPT. A token without AES-GCM has no ``seal`` capability."""

    def __init__(self, uri: KeyUri, connection: Connection, key: Object) -> None:
        super().__init__(uri, connection, key)
        length, identifier = read(key, Attribute.VALUE_LEN), read(key, Attribute.ID)
        if length not in GCM_SEAL_BY_KEY_BYTES:
            raise ConfigError("the token does not say that the key is an AES key of 16, 24 or 32 bytes")
        if not identifier:
            raise ConfigError("the key has no CKA_ID", hint="records name their key by it; set one on the object")
        self._algorithm = GCM_SEAL_BY_KEY_BYTES[length]
        self._identifier = bytes(identifier)
        self.key_id = base64url.encode(self._identifier).decode("ascii")
        self.capabilities = Capabilities(seal=frozenset({self._algorithm}))
        if not self._seals():
            self.capabilities = Capabilities()

    def _is_same_key(self, session: Session, key: Object) -> bool:  # noqa: ARG002 - RSA keys need it
        return bool(read(key, Attribute.ID) == self._identifier)

    def _seals(self) -> bool:
        try:
            return self.open_sealed(self.seal(_PROBE_TEXT, _PROBE_TEXT), _PROBE_TEXT) == _PROBE_TEXT
        except BackendUnavailable as error:
            if error.retryable:
                raise
            return False  # C_EncryptInit or C_Encrypt said no

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See :class:`~sealpass.core.protocols.Sealer`. The nonce is ours: 12 random bytes."""
        self._check(plaintext)
        nonce = secrets.token_bytes(self._algorithm.nonce_bytes)
        session = self._session(deadline)
        try:
            rv = self._functions.encrypt_init(session.handle, session.gcm.prepare(nonce, aad), self._handle)
            if rv == CKR_OK:
                rv = session.encrypt(self._functions, plaintext)
            ciphertext = session.output.take() if rv == CKR_OK else b""
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        if rv != CKR_OK:
            raise BackendUnavailable(f"the token does not encrypt: {name_of(rv)}", retryable=False)
        if len(ciphertext) != len(plaintext) + _TAG_BYTES:
            raise BackendUnavailable("the token's ciphertext has not the length of AES-GCM", retryable=False)
        return Sealed(self._algorithm.name, nonce, ciphertext)

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See :class:`~sealpass.core.protocols.Opener`."""
        self._check(b"")
        if sealed.algorithm != self._algorithm.name or len(sealed.nonce) != self._algorithm.nonce_bytes:
            return None
        if not _TAG_BYTES <= len(sealed.ciphertext) <= MAX_PLAINTEXT_BYTES + _TAG_BYTES:
            return None
        session = self._session(deadline)
        try:
            mechanism = session.gcm.prepare(sealed.nonce, aad)
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
            if rv != CKR_OK:
                self._start(session, rv, mechanism)
            rv = session.decrypt(self._functions, sealed.ciphertext)
            plaintext = session.output.take() if rv == CKR_OK else None
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        return plaintext

    def _check(self, plaintext: bytes) -> None:
        if not self.capabilities.seal:
            raise self.capabilities.refuse_seal()
        if len(plaintext) > MAX_PLAINTEXT_BYTES:
            raise ConfigError(f"at most {MAX_PLAINTEXT_BYTES} bytes can be sealed")
