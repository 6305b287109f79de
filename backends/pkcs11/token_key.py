# SPDX-License-Identifier: Apache-2.0
"""What every key in a token shares: its sessions, its handle through recoveries, its own PIN, its reports."""

from types import TracebackType
from typing import NoReturn, Self

from pkcs11 import Attribute, Object, Session
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.connection import Connection, leave
from sealpass.backends.pkcs11.cryptoki import CKU_CONTEXT_SPECIFIC, Reference
from sealpass.backends.pkcs11.objects import find_key, handle_of, read, report_attributes
from sealpass.backends.pkcs11.return_values import (
    CKR_OK,
    CKR_OPERATION_ACTIVE,
    CKR_USER_NOT_LOGGED_IN,
    LOST,
    REFUSED_INPUT,
    login_failure,
    lost,
    name_of,
    translate,
)
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.token import RefusedPin
from sealpass.backends.secret_source import read_secret
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.uri import KeyUri


class TokenKey:
    """A private or secret key object in a token. Thread-safe; as many operations at a time as it has sessions."""

    def __init__(self, uri: KeyUri, connection: Connection, key: Object) -> None:
        self.uri = uri
        self._connection = connection
        self._functions = connection.functions
        self._handle = handle_of(key)
        self._epoch = connection.epoch
        self._closed = False
        self._pin_source = uri.text("key-pin-source")
        self._refused_pin = RefusedPin()
        self._always_authenticate = read(key, Attribute.ALWAYS_AUTHENTICATE) is True
        if self._always_authenticate and self._pin_source is None:
            raise ConfigError(
                "the key wants its PIN before every operation (CKA_ALWAYS_AUTHENTICATE)",
                hint="add key-pin-source=file:PATH or env:NAME to the URI",
            )

    # -- sessions ------------------------------------------------------------------------------------------------

    def _session(self, deadline: Deadline | None) -> PooledSession:
        """A session of the pool in which ``_handle`` is valid."""
        if self._closed:
            raise ConfigError("the key is closed")
        if deadline is not None:
            deadline.check()
        session = self._connection.acquire(deadline)
        if self._epoch != self._connection.epoch:
            self._find_again(session)
        return session

    def _find_again(self, session: PooledSession) -> None:
        """After a recovery: handles are new, and the key must be the same key."""
        epoch = self._connection.epoch
        try:
            key = find_key(session.session, self.uri)
            same = self._is_same_key(session.session, key)
        except BaseException:
            self._connection.discard(session)
            raise
        if not same:
            self._connection.release(session)
            raise ConfigError("the token answers to the URI with another key than before")
        self._handle = handle_of(key)
        self._epoch = epoch

    def _is_same_key(self, session: Session, key: Object) -> bool:
        raise NotImplementedError

    def _start(self, session: PooledSession, rv: int, mechanism: Reference, deadline: Deadline | None) -> PooledSession:
        """C_DecryptInit refused, which no ciphertext can cause: once more where an old operation was left over."""
        if rv == CKR_OPERATION_ACTIVE:
            self._connection.discard(session)
            session = self._session(deadline)
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
            if rv == CKR_OK:
                return session
        self._give_up(session, rv)
        raise BackendUnavailable(f"the token does not start the operation: {name_of(rv)}", retryable=False)

    def _after_refusal(self, session: PooledSession, rv: int) -> None:
        """Give the session back after an operation that the token refused; raises BackendUnavailable for a loss."""
        if rv in REFUSED_INPUT:
            self._connection.release(session)
        else:
            self._give_up(session, rv)

    def _give_up(self, session: PooledSession, rv: int) -> None:
        """Do not use the session again; where token or login are gone, end the epoch and raise."""
        home = session.home
        self._connection.discard(session)
        if rv in LOST:
            self._connection.lose(home)
            raise lost(rv)

    def _authenticate(self, session: PooledSession) -> None:
        """C_Login(CKU_CONTEXT_SPECIFIC): the key's own PIN, for the operation that was just started."""
        if not self._always_authenticate or self._pin_source is None:
            return
        try:
            pin = read_secret(self._pin_source, "key-pin-source").encode("utf-8")
            self._refused_pin.check(pin)
        except BaseException:
            self._connection.discard(session)  # takes the started operation with it
            raise
        rv = self._functions.login(session.handle, CKU_CONTEXT_SPECIFIC, pin, len(pin))
        if rv != CKR_OK:
            self._give_up(session, rv)
            self._refused_pin.remember(pin)
            raise login_failure(rv)

    def _try_session(self) -> PooledSession:
        """A session for trying what a key can do; discard it after a refusal, which may have left it unusable."""
        return self._connection.acquire(None)

    def _tried(self, session: PooledSession, *, well: bool) -> None:
        if well:
            self._connection.release(session)
        else:
            self._connection.discard(session)

    def probe(self) -> None:
        """C_GetSessionInfo on a session of the pool; raises BackendUnavailable where token or login are gone."""
        session = self._session(None)
        rv = session.ask(self._functions)
        if rv == CKR_OK and session.logged_in:
            self._connection.release(session)
            return
        self._lost_session(session, rv)

    def _lost_session(self, session: PooledSession, rv: int) -> NoReturn:
        self._give_up(session, CKR_USER_NOT_LOGGED_IN if rv == CKR_OK else rv)
        raise BackendUnavailable(f"the PKCS#11 session is not usable: {name_of(rv)}", retryable=True)

    # -- what reports ask ------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, str]:
        """Module and token, for reports. Holds no secret."""
        try:
            library, token = self._connection.module.library, self._connection.slot.get_token()
        except PKCS11Error as error:
            raise translate(error, "reading the token's information") from None
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
        """The key's attributes, for a qualification."""
        with self._connection.own_session() as session:
            return report_attributes(find_key(session, self.uri))

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
        return f"<{type(self).__name__} {self.uri!r}>"
