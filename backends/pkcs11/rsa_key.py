# SPDX-License-Identifier: Apache-2.0
"""An RSA private key in a token, unwrapping in mode ``native``: two calls, C_DecryptInit and C_Decrypt."""

import secrets
from ctypes import byref
from types import TracebackType
from typing import Self

from pkcs11 import Attribute, Object

from sealpass.backends.pkcs11.connection import Connection, PooledSession, leave, logged_in
from sealpass.backends.pkcs11.cryptoki import CKM_RSA_X_509, CKU_CONTEXT_SPECIFIC, Mechanism, oaep_mechanism
from sealpass.backends.pkcs11.objects import find_key, handle_of, public_key_of, read, report_attributes
from sealpass.backends.pkcs11.return_values import (
    CKR_OK,
    CKR_OPERATION_ACTIVE,
    CKR_USER_NOT_LOGGED_IN,
    LOST,
    REFUSED_INPUT,
    login_failure,
    lost,
    name_of,
)
from sealpass.backends.secret_source import read_secret
from sealpass.core.algorithms import CONTENT_ENCRYPTIONS, OAEP_VARIANTS, ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.uri import KeyUri

DEFAULT_FLOOR_SECONDS = 0.05
_PROBE_BYTES = 32
_ALWAYS_ALLOWED = frozenset(CONTENT_ENCRYPTIONS)


class Pkcs11RsaKey:
    """:class:`~sealpass.core.protocols.Unwrapper` over one RSA private key object.

    Needs CKA_DECRYPT on the key. Thread-safe: as many unwraps at a time as the token has sessions (``max-sessions``).
    """

    def __init__(self, uri: KeyUri, connection: Connection, key: Object, floor_seconds: float | None) -> None:
        self.uri = uri
        self.failure_floor = FailureFloor(DEFAULT_FLOOR_SECONDS if floor_seconds is None else floor_seconds)
        self._connection = connection
        self._functions = connection.functions
        self._pin_source = uri.text("key-pin-source")
        self._always_authenticate = read(key, Attribute.ALWAYS_AUTHENTICATE) is True
        if self._always_authenticate and self._pin_source is None:
            raise ConfigError(
                "the key wants its PIN before every operation (CKA_ALWAYS_AUTHENTICATE)",
                hint="add key-pin-source=file:PATH or env:NAME to the URI",
            )
        self._public_key = public_key_of(key.session, key)
        self.public_jwk = PublicJwk.from_public_key(self._public_key)
        self.key_id = self.public_jwk.kid
        self._handle = handle_of(key)
        self._epoch = connection.epoch
        self._closed = False
        self._mechanisms: dict[RsaOaep, object] = {}
        self._kept: list[Mechanism] = []
        self.capabilities = self._try_everything()

    # -- capabilities --------------------------------------------------------------------------------------------

    def _try_everything(self) -> Capabilities:
        """What works is what opened a ciphertext that we made ourselves; mechanism lists are not believed."""
        probe = secrets.token_bytes(_PROBE_BYTES)
        for oaep in OAEP_VARIANTS:
            if oaep.max_plaintext(self.public_jwk.modulus_bytes) < max(enc.cek_bytes for enc in CONTENT_ENCRYPTIONS):
                continue
            mechanism = oaep_mechanism(oaep)
            if self._opens(mechanism, oaep_encrypt(self._public_key, probe, oaep), probe):
                self._kept.append(mechanism)
                self._mechanisms[oaep] = byref(mechanism)
        return Capabilities(
            mode=UnwrapMode.NATIVE,
            unwrap=frozenset(self._mechanisms),
            content=_ALWAYS_ALLOWED if self._mechanisms else frozenset(),
        )

    def _opens(self, mechanism: Mechanism, ciphertext: bytes, expected: bytes) -> bool:
        session = self._connection.acquire(None)
        rv = self._functions.decrypt_init(session.handle, byref(mechanism), self._handle)
        if rv == CKR_OK:
            self._authenticate(session)
            rv = self._decrypt(session, ciphertext)
        opened = rv == CKR_OK and session.output.take() == expected
        # A refused operation may leave some modules' sessions unusable, so a session that saw one is not kept.
        if opened:
            self._connection.release(session)
        else:
            self._connection.discard(session)
        if rv in LOST:
            raise lost(rv)
        return opened

    def permits_raw_rsa(self) -> bool:
        """Whether the key may be used with CKM_RSA_X_509: a decryption oracle for whoever holds the PIN."""
        session = self._session(None)
        rv = self._functions.decrypt_init(session.handle, byref(Mechanism.of(CKM_RSA_X_509)), self._handle)
        self._connection.discard(session)  # takes the started operation with it
        return bool(rv == CKR_OK)

    # -- unwrapping ----------------------------------------------------------------------------------------------

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        mechanism = self._mechanisms.get(oaep)
        if mechanism is None or enc not in _ALWAYS_ALLOWED:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        cek = secrets.token_bytes(enc.cek_bytes)
        session = self._session(deadline)
        rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
        if rv != CKR_OK:
            session = self._start_again(session, mechanism, rv, deadline)
        if self._always_authenticate:
            self._authenticate(session)
        rv = self._decrypt(session, encrypted_key)
        if rv == CKR_OK:
            unwrapped = session.output.take()
            self._connection.release(session)
            return MemoryContentKey(unwrapped if len(unwrapped) == enc.cek_bytes else cek, enc)
        self._after_refusal(session, rv)
        return MemoryContentKey(cek, enc)

    def _session(self, deadline: Deadline | None) -> PooledSession:
        if self._closed:
            raise ConfigError("the key is closed")
        if deadline is not None:
            deadline.check()
        session = self._connection.acquire(deadline)
        if self._epoch != self._connection.epoch:
            self._find_again(session)
        return session

    def _decrypt(self, session: PooledSession, ciphertext: bytes) -> int:
        output = session.output
        output.prepare()
        rv: int = self._functions.decrypt(session.handle, ciphertext, len(ciphertext), output.data, output.length)
        return rv

    def _start_again(
        self, session: PooledSession, mechanism: object, rv: int, deadline: Deadline | None
    ) -> PooledSession:
        """C_DecryptInit refused, which no ciphertext can cause: once more with a fresh session if one was left over."""
        if rv == CKR_OPERATION_ACTIVE:
            self._connection.discard(session)
            session = self._session(deadline)
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
            if rv == CKR_OK:
                return session
        self._give_up(session, rv)
        raise BackendUnavailable(f"the token does not start the decryption: {name_of(rv)}", retryable=False)

    def _give_up(self, session: PooledSession, rv: int) -> None:
        if rv in LOST:
            home = session.home
            self._connection.discard(session)
            self._connection.lose(home)
            raise lost(rv)
        self._connection.discard(session)

    def _after_refusal(self, session: PooledSession, rv: int) -> None:
        if rv in REFUSED_INPUT:
            self._connection.release(session)
        else:
            self._give_up(session, rv)

    def _authenticate(self, session: PooledSession) -> None:
        """C_Login(CKU_CONTEXT_SPECIFIC): the key's own PIN, for the operation that was just started."""
        if not self._always_authenticate or self._pin_source is None:
            return
        pin = read_secret(self._pin_source, "key-pin-source").encode("utf-8")
        rv = self._functions.login(session.handle, CKU_CONTEXT_SPECIFIC, pin, len(pin))
        if rv != CKR_OK:
            self._give_up(session, rv)
            raise login_failure(rv)

    def _find_again(self, session: PooledSession) -> None:
        """After a recovery: handles are new, and the key must be the same key."""
        epoch = self._connection.epoch
        try:
            key = find_key(session.session, self.uri)
            same = public_key_of(session.session, key) == self._public_key
        except BaseException:
            self._connection.discard(session)
            raise
        if not same:
            self._connection.release(session)
            raise ConfigError("the token answers to the URI with another key than before")
        self._handle = handle_of(key)
        self._epoch = epoch

    def probe(self) -> None:
        """C_GetSessionInfo on a session of the pool; raises BackendUnavailable where token or login are gone."""
        session = self._session(None)
        rv = self._connection.probe(session)
        if rv == CKR_OK and logged_in(session):
            self._connection.release(session)
            return
        self._give_up(session, CKR_USER_NOT_LOGGED_IN if rv == CKR_OK else rv)
        raise BackendUnavailable(f"the PKCS#11 session is not usable: {name_of(rv)}", retryable=True)

    # -- what reports ask ------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, str]:
        """Module and token, for reports. Holds no secret."""
        library, token = self._connection.module.library, self._connection.slot.get_token()
        return {
            "module": self._connection.module.path.rsplit("/", 1)[-1],
            "library": library.library_description,
            "library manufacturer": library.manufacturer_id,
            "library version": "{}.{}".format(*library.library_version),
            "cryptoki version": "{}.{}".format(*library.cryptoki_version),
            "token": token.label,
            "token manufacturer": token.manufacturer_id,
            "token model": token.model,
            "token serial": token.serial.decode("utf-8", errors="replace").strip("\0 "),
            "token firmware": "{}.{}".format(*token.firmware_version),
        }

    def attributes(self) -> dict[str, bool | int | str | None]:
        """The private key's attributes, for a qualification."""
        session = self._session(None)
        found = report_attributes(find_key(session.session, self.uri))
        self._connection.release(session)
        return found | {"raw_rsa": self.permits_raw_rsa()}

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See :class:`~sealpass.core.protocols.Key`."""
        if not self._closed:
            self._closed = True
            leave(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Pkcs11RsaKey {self.uri!r}>"
