# SPDX-License-Identifier: Apache-2.0
"""RSA private keys in a token, in two modes.

``native`` is two calls, C_DecryptInit and C_Decrypt: the private key stays in the token, the CEK comes out.
``in-token`` is four, C_UnwrapKey, C_DecryptInit, C_Decrypt and C_DestroyObject: the CEK stays in the token as well.
Where the module tells the truth about CKA_VALUE_LEN a fifth call reads it: a CEK of another size then opens nothing.
"""

import os
import secrets
from ctypes import byref
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from pkcs11 import Object, Session

from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.cryptoki import (
    CKM_RSA_PKCS,
    CKM_RSA_X_509,
    AesKeyTemplate,
    Mechanism,
    Reference,
    oaep_mechanism,
)
from sealpass.backends.pkcs11.objects import public_key_of
from sealpass.backends.pkcs11.return_values import CKR_FUNCTION_CANCELED, CKR_OK, lost
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.token_key import TokenKey
from sealpass.backends.pkcs11.vendor_profile import ValueLen
from sealpass.core.algorithms import (
    A128GCM,
    A192GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    OAEP_VARIANTS,
    ContentEncryption,
    RsaOaep,
)
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import ContentKey, MemoryContentKey, encrypt_gcm
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.uri import KeyUri

DEFAULT_FLOOR_SECONDS = 0.05
_LONGEST_CEK = max(enc.cek_bytes for enc in CONTENT_ENCRYPTIONS)
_PROBE_BYTES = 32
_IN_TOKEN_CONTENT = (A128GCM, A192GCM, A256GCM)
_PROBE_TEXT = b"sealpass asks what the token can do"


class RsaTokenKey(TokenKey):
    """What both modes share: the public half, the failure floor, the OAEP variants that were seen to work."""

    capabilities: Capabilities

    def __init__(self, uri: KeyUri, connection: Connection, key: Object, floor_seconds: float | None) -> None:
        super().__init__(uri, connection, key)
        self._public_key = public_key_of(key.session, key)
        self.public_jwk = PublicJwk.from_public_key(self._public_key)
        self.key_id = self.public_jwk.kid
        self.failure_floor = FailureFloor(DEFAULT_FLOOR_SECONDS if floor_seconds is None else floor_seconds)
        self._mechanisms: dict[RsaOaep, Reference] = {}
        self._kept: list[Mechanism] = []

    def _is_same_key(self, session: Session, key: Object) -> bool:
        return public_key_of(session, key) == self._public_key

    def _candidates(self) -> list[RsaOaep]:
        size = self.public_jwk.modulus_bytes
        worth_trying = self._connection.vendor.profile.oaep
        return [oaep for oaep in OAEP_VARIANTS if oaep in worth_trying and oaep.max_plaintext(size) >= _LONGEST_CEK]

    def _keep(self, oaep: RsaOaep, mechanism: Mechanism) -> None:
        self._kept.append(mechanism)
        self._mechanisms[oaep] = byref(mechanism)

    def _permits(self, mechanism: int) -> bool:
        """Whether the key may be used with a mechanism that it should not be used with."""
        raise NotImplementedError

    def attributes(self) -> dict[str, bool | int | str | None]:
        """The private key's attributes, and what was found by trying.

        ``raw_rsa`` and ``rsa_pkcs``: with CKM_RSA_X_509 or CKM_RSA_PKCS the key is a decryption oracle for whoever
        holds the PIN.
        """
        tried = {"raw_rsa": self._permits(CKM_RSA_X_509), "rsa_pkcs": self._permits(CKM_RSA_PKCS)}
        return super().attributes() | tried


class NativeRsaKey(RsaTokenKey):
    """:class:`~sealpass.core.protocols.Unwrapper` with C_Decrypt. Needs CKA_DECRYPT."""

    def __init__(self, uri: KeyUri, connection: Connection, key: Object, floor_seconds: float | None) -> None:
        super().__init__(uri, connection, key, floor_seconds)
        for oaep in self._candidates():
            self._try(oaep)
        self.capabilities = Capabilities(
            mode=UnwrapMode.NATIVE,
            unwrap=frozenset(self._mechanisms),
            content=frozenset(CONTENT_ENCRYPTIONS) if self._mechanisms else frozenset(),
        )

    def _try(self, oaep: RsaOaep) -> None:
        """What works is what opens a ciphertext that we made ourselves; mechanism lists are not believed."""
        expected = secrets.token_bytes(_PROBE_BYTES)
        ciphertext = oaep_encrypt(self._public_key, expected, oaep)
        mechanism = oaep_mechanism(oaep)
        with self._trial() as session:
            rv = self._functions.decrypt_init(session.handle, byref(mechanism), self._handle)
            if rv == CKR_OK:
                self._authenticate(session)
                rv = session.decrypt(self._functions, ciphertext)
            self._check_lost(session, rv)
            if rv == CKR_OK and session.output.take() == expected:
                self._keep(oaep, mechanism)

    def _permits(self, mechanism: int) -> bool:
        with self._trial() as session:
            rv = self._functions.decrypt_init(session.handle, byref(Mechanism.of(mechanism)), self._handle)
            self._check_lost(session, rv)
            return bool(rv == CKR_OK)

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        mechanism = self._mechanisms.get(oaep)
        if mechanism is None or enc not in self.capabilities.content:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        cek = os.urandom(enc.cek_bytes)
        session = self._session(deadline)
        try:
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
            if rv != CKR_OK:
                self._start(session, rv, mechanism)
            if self._always_authenticate:
                self._authenticate(session)
            rv = session.decrypt(self._functions, encrypted_key)
            if rv == CKR_OK:
                unwrapped = session.output.take()
                if len(unwrapped) == enc.cek_bytes:
                    cek = unwrapped
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        return MemoryContentKey(cek, enc)


class InTokenContentKey:
    """A CEK that is a session object of the token. Closing destroys it and gives the session back."""

    __slots__ = ("_handle", "_key", "_rv", "_session")

    def __init__(self, key: "InTokenRsaKey", session: PooledSession, handle: int) -> None:
        self._key = key
        self._session: PooledSession | None = session
        self._handle = handle
        self._rv = CKR_OK

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        """See :class:`~sealpass.core.content_key.ContentKey`: AES-GCM inside the token."""
        session = self._session
        if session is None or not self._key.is_current(session):
            return None
        functions = self._key.functions
        rv = functions.decrypt_init(session.handle, session.gcm.prepare(iv, aad), self._handle)
        if rv == CKR_OK:
            rv = session.decrypt(functions, ciphertext + tag)
            if rv == CKR_OK:
                return session.output.take()
        if rv not in self._key.refused_input:
            self._rv = rv  # close() will not use the session again
        return None

    def close(self) -> None:
        """Destroy the CEK. Idempotent. Raises BackendUnavailable where the token got lost meanwhile."""
        session, self._session = self._session, None
        if session is not None:
            # After a fork, or C_Initialize, the handles are somebody else's.
            rv = self._rv if self._key.is_current(session) else CKR_FUNCTION_CANCELED
            self._key.destroy(session, self._handle, rv)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:  # an operation may be under way; closing the session ends it and takes the CEK along
            self._rv = CKR_FUNCTION_CANCELED
        self.close()

    def __repr__(self) -> str:
        return "InTokenContentKey(***)"


class InTokenRsaKey(RsaTokenKey):
    """:class:`~sealpass.core.protocols.Unwrapper` with C_UnwrapKey. Needs CKA_UNWRAP, and AES-GCM in the token."""

    def __init__(self, uri: KeyUri, connection: Connection, key: Object, floor_seconds: float | None) -> None:
        super().__init__(uri, connection, key, floor_seconds)
        if self._always_authenticate:
            raise ConfigError("a key with CKA_ALWAYS_AUTHENTICATE does not unwrap: C_UnwrapKey takes no PIN of its own")
        self.functions = connection.functions
        self.is_current = connection.is_current
        self.refused_input = connection.answers.refused_input
        self._value_len = connection.vendor.profile.value_len
        self._templates: dict[int, AesKeyTemplate] = {}
        self._tells_length = True
        content = set(_IN_TOKEN_CONTENT)
        for oaep in self._candidates():
            mechanism = oaep_mechanism(oaep)
            works = {enc for enc in _IN_TOKEN_CONTENT if self._try(oaep, byref(mechanism), enc)}
            if works:
                self._keep(oaep, mechanism)
                content &= works  # what is declared works with every variant that is declared
        self.capabilities = Capabilities(
            mode=UnwrapMode.IN_TOKEN,
            unwrap=frozenset(self._mechanisms),
            content=frozenset(content if self._mechanisms else ()),
        )

    def _try(self, oaep: RsaOaep, mechanism: Reference, enc: ContentEncryption) -> bool:
        """Unwrap and open what we made ourselves, with the first template that the module takes."""
        cek = secrets.token_bytes(enc.cek_bytes)
        encrypted_key = oaep_encrypt(self._public_key, cek, oaep)
        iv, ciphertext, tag = encrypt_gcm(cek, _PROBE_TEXT, _PROBE_TEXT)
        known = self._templates.get(enc.cek_bytes)
        for template in [known] if known else self._new_templates(enc.cek_bytes):
            with self._trial() as session:
                rv = session.unwrap(self.functions, mechanism, self._handle, encrypted_key, template)
                self._check_lost(session, rv)
                if rv != CKR_OK:
                    continue
                length = session.value_len(self.functions)
                rv = self.functions.decrypt_init(
                    session.handle, session.gcm.prepare(iv, _PROBE_TEXT), session.new_handle
                )
                if rv == CKR_OK:
                    rv = session.decrypt(self.functions, ciphertext + tag)
                if rv == CKR_OK and session.output.take() == _PROBE_TEXT:
                    self._tells_length = self._tells_length and length == enc.cek_bytes
                    self._templates[enc.cek_bytes] = template
                    return True
        return False

    def _new_templates(self, cek_bytes: int) -> list[AesKeyTemplate]:
        # Luna wants CKA_VALUE_LEN in the template, SoftHSM refuses it: where nothing is known both are tried.
        lengths = {ValueLen.TRIED: (None, cek_bytes), ValueLen.REQUIRED: (cek_bytes,), ValueLen.REFUSED: (None,)}
        return [AesKeyTemplate(value_len=value_len) for value_len in lengths[self._value_len]]

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> ContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        mechanism = self._mechanisms.get(oaep)
        if mechanism is None or enc not in self.capabilities.content:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        cek = os.urandom(enc.cek_bytes)
        session = self._session(deadline)
        try:
            rv = session.unwrap(self.functions, mechanism, self._handle, encrypted_key, self._templates[enc.cek_bytes])
            if rv == CKR_OK:
                if not self._tells_length or session.value_len(self.functions) == enc.cek_bytes:
                    return InTokenContentKey(self, session, session.new_handle)
                rv = self.functions.destroy_object(session.handle, session.new_handle)
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv)
        return MemoryContentKey(cek, enc)

    def destroy(self, session: PooledSession, handle: int, rv: int) -> None:
        """C_DestroyObject, and the session back to the pool; after an ``rv`` that is no success, only the latter."""
        try:
            if rv == CKR_OK:
                rv = self.functions.destroy_object(session.handle, handle)
        except BaseException:
            self._connection.discard(session)
            raise
        if rv == CKR_OK:
            self._connection.release(session)
        else:
            # Not _finish(): here ``rv`` may be the sender's doing. SoftHSM2 answers CKR_MECHANISM_INVALID to the
            # decryption under a CEK of a size that no AES key has, which must not look like trouble in the token.
            # Closing a session takes its objects with it.
            home = session.home
            self._connection.discard(session)
            if rv in self._answers.lost:
                self._connection.lose(home)
                raise lost(rv)

    def _permits(self, mechanism: int) -> bool:
        cek = secrets.token_bytes(_PROBE_BYTES)
        if mechanism == CKM_RSA_PKCS:
            encrypted_key = self._public_key.encrypt(cek, PKCS1v15())
        else:
            numbers, size = self._public_key.public_numbers(), self.public_jwk.modulus_bytes
            encrypted_key = pow(int.from_bytes(cek, "big"), numbers.e, numbers.n).to_bytes(size, "big")
        # Raw RSA leaves a block as long as the modulus, from which a length takes a key. And a module that wants a
        # length would refuse its own misuse for the wrong reason without one.
        wants_length = {ValueLen.TRIED: mechanism == CKM_RSA_X_509, ValueLen.REQUIRED: True, ValueLen.REFUSED: False}
        template = AesKeyTemplate(value_len=_PROBE_BYTES if wants_length[self._value_len] else None)
        wanted = byref(Mechanism.of(mechanism))
        with self._trial() as session:
            rv = session.unwrap(self.functions, wanted, self._handle, encrypted_key, template)
            self._check_lost(session, rv)
            return rv == CKR_OK

    def _lets_cek_out(self) -> bool:
        """Try what a thief of the PIN would: unwrap a CEK as readable, and read it."""
        cek = secrets.token_bytes(_PROBE_BYTES)
        template = AesKeyTemplate(value_len=self._templates[_PROBE_BYTES].value_len, readable=True)
        for oaep, mechanism in self._mechanisms.items():
            encrypted_key = oaep_encrypt(self._public_key, cek, oaep)
            with self._trial() as session:
                rv = session.unwrap(self.functions, mechanism, self._handle, encrypted_key, template)
                self._check_lost(session, rv)
                if rv == CKR_OK and session.value(self.functions) == cek:
                    return True
        return False

    def attributes(self) -> dict[str, bool | int | str | None]:
        """Also ``cek_readable``: whether a holder of the PIN gets CEKs out, and ``cek_length_checked``.

        Where the length of a CEK is not checked, the module answers CKA_VALUE_LEN with something else than the
        length, and a CEK of another size than ``enc`` wants does open: a deviation that reports name.
        """
        readable = self._lets_cek_out() if _PROBE_BYTES in self._templates else None
        return super().attributes() | {"cek_readable": readable, "cek_length_checked": self._tells_length}
