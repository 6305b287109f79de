# SPDX-License-Identifier: Apache-2.0
"""AES keys in a token: Sealer and Opener with CKM_AES_GCM inside it, or with a vendor's variety of it."""

from pkcs11 import Attribute, Object, Session

from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.gcm import TAG_BYTES, sealing
from sealpass.backends.pkcs11.objects import read
from sealpass.backends.pkcs11.return_values import CKR_MECHANISM_INVALID, CKR_OK, name_of
from sealpass.backends.pkcs11.token_key import TokenKey
from sealpass.backends.pkcs11.vendor_profile import GcmIv, GcmSealing
from sealpass.core import base64url
from sealpass.core.algorithms import GCM_SEAL_BY_KEY_BYTES
from sealpass.core.capabilities import Capabilities
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.protocols import MAX_SEALED_BYTES, Sealed, check_sealable
from sealpass.core.uri import KeyUri

_PROBE_TEXT = b"sealpass asks what the token can do"


class AesTokenKey(TokenKey):
    """A secret key object with CKA_ENCRYPT and CKA_DECRYPT. A token without AES-GCM has no ``seal`` capability.

    Who makes the IV, and how long it is, is the vendor profile's; :class:`Sealed` has the IV that was used.
    """

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
        how = connection.vendor.profile.sealing or GcmSealing()
        self._sealing = sealing(how)
        self._iv_lengths = how.opens
        self._longest = how.longest or MAX_SEALED_BYTES
        self.capabilities = Capabilities(seal=frozenset({self._algorithm}))
        # A token that makes the same IV each time must show it before a record depends on it.
        tries = 1 if how.iv is GcmIv.OURS else 2
        if connection.vendor.profile.sealing is None or not self._has_mechanism() or not self._seals(tries):
            self.capabilities = Capabilities()

    def _is_same_key(self, session: Session, key: Object) -> bool:  # noqa: ARG002 - RSA keys need it
        return bool(read(key, Attribute.ID) == self._identifier)

    def _has_mechanism(self) -> bool:
        with self._trial() as session:
            mechanism, _buffer = self._sealing.begin(session, _PROBE_TEXT)
            rv = self._functions.encrypt_init(session.handle, mechanism, self._handle)
            return bool(rv != CKR_MECHANISM_INVALID)  # openCryptoki; at any later time the same answer is trouble

    def _seals(self, tries: int) -> bool:
        try:
            return all(
                self.open_sealed(self.seal(_PROBE_TEXT, _PROBE_TEXT), _PROBE_TEXT) == _PROBE_TEXT for _ in range(tries)
            )
        except BackendUnavailable as error:
            if error.retryable:
                raise
            return False  # C_EncryptInit or C_Encrypt said no

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See :class:`~sealpass.core.protocols.Sealer`. Raises BackendUnavailable also for an IV that is not fresh."""
        if not self.capabilities.seal:
            raise self.capabilities.refuse_seal()
        check_sealable(plaintext, aad)
        if len(plaintext) > self._longest:
            raise ConfigError(f"the device seals at most {self._longest} bytes at a time")
        session = self._session(deadline)
        try:
            mechanism, place = self._sealing.begin(session, aad)
            rv = self._functions.encrypt_init(session.handle, mechanism, self._handle)
            if rv == CKR_OK:
                rv = session.encrypt(self._functions, plaintext)
            output = session.output.copy() if rv == CKR_OK else b""
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        if rv != CKR_OK:
            raise BackendUnavailable(f"the token does not encrypt: {name_of(rv)}", retryable=False)
        iv, ciphertext = self._sealing.end(place, output, len(plaintext))
        return Sealed(self._algorithm.name, iv, ciphertext)

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See :class:`~sealpass.core.protocols.Opener`."""
        if not self.capabilities.seal:
            raise self.capabilities.refuse_seal()
        if sealed.algorithm != self._algorithm.name or len(sealed.nonce) not in self._iv_lengths:
            return None
        if not TAG_BYTES <= len(sealed.ciphertext) <= MAX_SEALED_BYTES + TAG_BYTES:
            return None
        session = self._session(deadline)
        try:
            mechanism = self._sealing.mechanism_to_open(session, sealed.nonce, aad)
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
            if rv != CKR_OK:
                self._start(session, rv, mechanism)
            rv = session.decrypt(self._functions, self._sealing.octets_to_open(sealed))
            plaintext = session.output.take() if rv == CKR_OK else None
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        return plaintext
