# SPDX-License-Identifier: Apache-2.0
"""What every key in a token shares: its sessions, its handle through recoveries, its own PIN, its reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pkcs11 import Attribute, Object, Session
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.cryptoki import CKU_CONTEXT_SPECIFIC, Reference
from sealpass.backends.pkcs11.objects import find_key, handle_of, read, report_attributes
from sealpass.backends.pkcs11.return_values import (
    CKR_OK,
    CKR_OPERATION_ACTIVE,
    CKR_USER_NOT_LOGGED_IN,
    login_failure,
    lost,
    name_of,
    translate,
)
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.sharing import leave
from sealpass.backends.pkcs11.token import check_pin_flags, pin_memory
from sealpass.backends.secret_source import read_secret
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.uri import KeyUri

_PROBE_SECONDS = 1.0


class TokenKey:
    """A private or secret key object in a token. Thread-safe; as many operations at a time as it has sessions."""

    def __init__(self, uri: KeyUri, connection: Connection, key: Object) -> None:
        self.uri = uri
        self._connection = connection
        self._functions = connection.functions
        self._answers = connection.answers
        self._handle = handle_of(key)
        self._epoch = connection.epoch
        self._closed = False
        self._pin_source = uri.text("key-pin-source")
        self._always_authenticate = read(key, Attribute.ALWAYS_AUTHENTICATE) is True
        if self._always_authenticate and self._pin_source is None:
            raise ConfigError(
                "the key wants its PIN before every operation (CKA_ALWAYS_AUTHENTICATE)",
                hint="add key-pin-source=file:PATH or env:NAME to the URI",
            )

    # -- sessions ------------------------------------------------------------------------------------------------

    def _session(self, deadline: Deadline | None) -> PooledSession:
        """A session of the pool in which ``_handle`` is valid. Give it back with _finish, or discard it."""
        if self._closed:
            raise ConfigError("the key is closed")
        if deadline is not None:
            deadline.check()
        session = self._connection.acquire(deadline)
        if self._epoch != self._connection.epoch:
            self._find_again(session)
        return session

    @contextmanager
    def _trial(self) -> Iterator[PooledSession]:
        """A session for trying what a key can do, thrown away with the operation or object that is left in it."""
        session = self._session(None)
        try:
            yield session
        finally:
            self._connection.discard(session)

    def _find_again(self, session: PooledSession) -> None:
        """After a recovery: handles are new, and the key must be the same key."""
        epoch = self._connection.epoch
        try:
            key = find_key(session.session, self.uri)
            if not self._is_same_key(session.session, key):
                raise ConfigError("the token answers to the URI with another key than before")  # noqa: TRY301
        except BaseException:
            self._connection.discard(session)
            raise
        self._handle = handle_of(key)
        self._epoch = epoch

    def _is_same_key(self, session: Session, key: Object) -> bool:
        raise NotImplementedError

    def _start(self, session: PooledSession, rv: int, mechanism: Reference) -> None:
        """What to do where C_DecryptInit refused, which no ciphertext can cause: once more, or raise."""
        if rv == CKR_OPERATION_ACTIVE:
            self._connection.renew(session)
            rv = self._functions.decrypt_init(session.handle, mechanism, self._handle)
        if rv != CKR_OK:
            self._check_lost(session, rv)
            raise BackendUnavailable(f"the token does not start the operation: {name_of(rv)}", retryable=False)

    def _check_lost(self, session: PooledSession, rv: int) -> None:
        """End the epoch and raise BackendUnavailable where session, login or token are gone."""
        if rv in self._answers.lost:
            self._connection.lose(session.home)
            raise lost(rv)

    def _finish(self, session: PooledSession, rv: int) -> None:
        """Give the session back after an operation that ended with ``rv``; raises BackendUnavailable for a loss."""
        if rv == CKR_OK or rv in self._answers.refused_input:
            self._connection.release(session)
            return
        home = session.home
        self._connection.discard(session)
        if rv in self._answers.lost:
            self._connection.lose(home)
            raise lost(rv)
        if rv in self._answers.trouble:
            raise BackendUnavailable(f"the token has trouble of its own: {name_of(rv)}", retryable=True)

    def _authenticate(self, session: PooledSession) -> None:
        """C_Login(CKU_CONTEXT_SPECIFIC): the key's own PIN, for the operation that was just started."""
        if not self._always_authenticate or self._pin_source is None:
            return
        pin = read_secret(self._pin_source, "key-pin-source").encode("utf-8")
        token = self._connection.slot.get_token()
        memory = pin_memory(self._connection.module, token, CKU_CONTEXT_SPECIFIC)
        memory.check(pin)
        if not memory.was_accepted(pin):
            check_pin_flags(token.flags, force=False)
        rv = self._functions.login(session.handle, CKU_CONTEXT_SPECIFIC, pin, len(pin))
        memory.learn(pin, rv)
        if rv != CKR_OK:
            self._check_lost(session, rv)
            raise login_failure(rv)

    def probe(self, deadline: Deadline | None = None) -> None:
        """C_GetSessionInfo on a session of the pool; raises BackendUnavailable where token or login are gone.

        Where all sessions stay busy until the deadline there is nothing to say: the token is at work.
        """
        if self._closed:
            raise ConfigError("the key is closed")
        session = self._connection.acquire_if_free(deadline or Deadline.after(_PROBE_SECONDS))
        if session is None:
            return
        try:
            rv = session.ask(self._functions)
        except BaseException:
            self._connection.discard(session)
            raise
        self._finish(session, rv if rv != CKR_OK or session.logged_in else CKR_USER_NOT_LOGGED_IN)
        if rv != CKR_OK:
            raise BackendUnavailable(f"the PKCS#11 session is not usable: {name_of(rv)}", retryable=True)

    # -- what reports ask ------------------------------------------------------------------------------------------

    def describe(self) -> dict[str, str]:
        """Module and token, for reports. Holds no secret."""
        try:
            with self._connection.own_session():
                library, token = self._connection.module.library, self._connection.slot.get_token()
        except PKCS11Error as error:
            raise translate(error, "reading the token's information") from None
        vendor = self._connection.vendor
        return {
            "vendor profile": f"{vendor.profile.name}, chosen by {vendor.how}; {vendor.profile.status}",
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
