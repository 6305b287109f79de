# SPDX-License-Identifier: Apache-2.0
"""A logged-in token and its sessions.

One *anchor* session holds the login and closes last. The pool's sessions are opened without a PIN and kept; each does
one operation at a time (PKCS#11 section 5.6.7). Handles belong to an *epoch*: after a lost device the epoch ends, its
sessions are never used again, and keys look their objects up anew.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakSet

from pkcs11 import Session, Slot
from pkcs11.exceptions import PKCS11Error, SessionCount

from sealpass.backends.pkcs11.attribute_mapping import attribute_mapper
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.objects import handle_of_session
from sealpass.backends.pkcs11.return_values import translate
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.token import Login, find_slot
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, OperatorError
from sealpass.core.uri import KeyUri

DEFAULT_MAX_SESSIONS = 32
DEFAULT_WAIT_SECONDS = 30.0
QUIESCE_SECONDS = 5.0
RETRY_SECONDS = 1.0
"""At most one attempt in this time to reach a token that is away."""


class Connection:
    """The pool of one token. Thread-safe. Shared by the keys of one token; the last one to leave closes it."""

    def __init__(self, uri: KeyUri, module: Module, slot: Slot, *, force_login: bool) -> None:
        self.module = module
        self.functions = module.functions
        self.users = 0
        self.epoch = 0
        self._uri = uri
        self._slot = slot
        self._login = Login(uri, module, force=force_login)
        self._max = _positive(uri, "max-sessions", DEFAULT_MAX_SESSIONS)
        self._changed = threading.Condition()
        self._idle: list[PooledSession] = []
        self._ended: list[PooledSession] = []
        self._opened = 0
        self._waiting = 0
        self._stale = False
        self._closed = False
        self._next_attempt = 0.0
        self._generation = module.generation
        self._anchor = self._open_anchor()
        with module.lock:
            _connections.add(self)

    @property
    def slot(self) -> Slot:
        """Where the token is now; it may move when the module is initialised again."""
        return self._slot

    @contextmanager
    def own_session(self, *, rw: bool = False) -> Iterator[Session]:
        """A session outside the pool, closed at the end; raises BackendUnavailable."""
        with self.module.alone():
            session = self._open_session(rw=rw)
            try:
                yield session
            finally:
                with suppress(PKCS11Error):  # it is gone, which is what closing wants
                    session.close()

    def _open_session(self, *, rw: bool = False) -> Session:
        try:
            return self._slot.get_token().open(rw=rw, attribute_mapper=attribute_mapper())
        except PKCS11Error as error:
            raise translate(error, "opening a session") from None

    def _open_anchor(self) -> Session:
        anchor = self._open_session()
        try:
            self._login(self._slot, handle_of_session(anchor))
        except PKCS11Error as error:
            anchor.close()
            raise translate(error, "logging in") from None
        except OperatorError:
            anchor.close()
            raise
        return anchor

    # -- the pool ----------------------------------------------------------------------------------------------

    def acquire(self, deadline: Deadline | None) -> PooledSession:
        """Take a session; give it back with :meth:`release` or :meth:`discard`.

        Raises BackendUnavailable(retryable) where none is free before the deadline (default 30 s).
        """
        try:
            return self._idle.pop()  # atomic: the fast path takes no lock
        except IndexError:
            return self._acquire_slowly(deadline or Deadline.after(DEFAULT_WAIT_SECONDS))

    def _acquire_slowly(self, deadline: Deadline) -> PooledSession:
        while True:
            if self._stale:
                self._recover()
            with self._changed:
                if self._closed:
                    raise ConfigError("the key is closed")
                if self._stale:
                    continue
                if self._idle:
                    return self._idle.pop()
                home = self._idle
                if self._opened < self._max:
                    self._opened += 1
                    break
                self._waiting += 1
                try:
                    if not self._changed.wait(deadline.remaining()):
                        raise BackendUnavailable(f"all {self._max} sessions with the token are busy", retryable=True)
                finally:
                    self._waiting -= 1
        try:
            return PooledSession(
                self._slot.get_token().open(attribute_mapper=attribute_mapper()), home, self.module.generation
            )
        except SessionCount:
            return self._at_limit(deadline)
        except PKCS11Error as error:
            self._one_less()
            self.lose(home)
            raise translate(error, "opening a session") from None

    def _at_limit(self, deadline: Deadline) -> PooledSession:
        """The token has fewer sessions than we thought: live with those that are open."""
        self._one_less()
        with self._changed:
            if self._opened == 0:
                raise BackendUnavailable("the token has no free session", retryable=True)
            self._max = self._opened
        return self._acquire_slowly(deadline)

    def release(self, session: PooledSession) -> None:
        """Give a session back after an operation that left it usable."""
        if session.home is self._idle:
            session.home.append(session)
            if self._waiting:
                with self._changed:
                    self._changed.notify()
        else:
            self._drop(session)

    def discard(self, session: PooledSession) -> None:
        """Give a session back that nobody should use again."""
        self._drop(session)

    def _drop(self, session: PooledSession) -> None:
        self._close_session(session.session, session.generation)
        self._one_less()

    def _close_session(self, session: Session, generation: int) -> None:
        # After C_Initialize handles count from 1 again: closing an old one would close somebody else's new session.
        if generation == self.module.generation:
            with suppress(PKCS11Error):  # it is gone, which is what closing wants
                session.close()

    def _one_less(self) -> None:
        with self._changed:
            self._opened -= 1
            self._changed.notify_all()

    # -- loss and recovery ---------------------------------------------------------------------------------------

    def lose(self, home: "list[PooledSession]") -> None:
        """End the epoch: the device, the login or the handles are gone. The next acquire tries to recover."""
        with self._changed:
            if home is self._idle:
                self._end_epoch()

    def _end_epoch(self) -> None:
        self._opened -= len(self._idle)
        self._ended += self._idle
        self._idle = []
        self._stale = True
        self._changed.notify_all()

    def _recover(self) -> None:
        """Bring the connection back: a new login first, the whole module anew where that does not help."""
        # Lock order: the module's, then a connection's. Never the other way round.
        with self.module.lock:
            if not self._stale or self._closed:
                return
            now = time.monotonic()
            if now < self._next_attempt:
                raise BackendUnavailable("the PKCS#11 token is away", retryable=True)
            self._next_attempt = now + RETRY_SECONDS
            self.module.revive()
            try:
                self._restart()
            except BackendUnavailable:
                self._reinitialise_module()
                self._restart()

    def _restart(self) -> None:
        self._close_all(self._ended)
        self._ended = []
        self._slot = find_slot(self._uri, self.module)
        self._generation = self.module.generation
        self._anchor = self._open_anchor()
        with self._changed:
            self.epoch += 1
            self._stale = False
            self._changed.notify_all()

    def _reinitialise_module(self) -> None:
        """C_Finalize voids the handles of every connection, so all of them stop first."""
        for connection in list(_connections):
            if connection.module is self.module:
                connection.quiesce()
        self.module.reinitialise()

    def quiesce(self) -> None:
        """Stop handing out sessions and wait for those in use; raises BackendUnavailable where one hangs."""
        deadline = Deadline.after(QUIESCE_SECONDS)
        with self._changed:
            if not self._stale:
                self._end_epoch()
            while self._opened:
                if not self._changed.wait(deadline.remaining()):
                    # Initialising under a running call crashes the process; a hung call needs a process restart.
                    raise BackendUnavailable(
                        "an operation hangs inside the PKCS#11 module", retryable=False, hint="restart the process"
                    )

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the pool, then the anchor. Idempotent; sessions still in use are closed when they come back."""
        with self.module.lock, self._changed:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, []
            self._opened -= len(idle)
            _connections.discard(self)
            self._changed.notify_all()
        self._close_all(idle + self._ended)

    def _close_all(self, sessions: list[PooledSession]) -> None:
        for pooled in sessions:
            self._close_session(pooled.session, pooled.generation)
        self._close_session(self._anchor, self._generation)

    def inherit(self) -> None:
        """In the child of a fork: forget the parent's sessions without touching them."""
        self._changed = threading.Condition()
        self._idle, self._ended, self._opened, self._waiting = [], [], 0, 0
        self._stale = True
        self._next_attempt = 0.0


class OneAtATimeConnection(Connection):
    """For a module that was initialised without locking: from acquire to release nobody else calls it."""

    def acquire(self, deadline: Deadline | None) -> PooledSession:
        """See :class:`Connection`."""
        seconds = DEFAULT_WAIT_SECONDS if deadline is None else deadline.remaining()
        if not self.module.gate.acquire(timeout=seconds):
            raise BackendUnavailable("the PKCS#11 module does one thing at a time, and is busy", retryable=True)
        try:
            return super().acquire(deadline)
        except BaseException:
            self.module.gate.release()
            raise

    def release(self, session: PooledSession) -> None:
        """See :class:`Connection`."""
        try:
            super().release(session)
        finally:
            self.module.gate.release()

    def discard(self, session: PooledSession) -> None:
        """See :class:`Connection`."""
        try:
            super().discard(session)
        finally:
            self.module.gate.release()


def _positive(uri: KeyUri, name: str, default: int) -> int:
    text = uri.text(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name} is a number from 1")
    return int(text)


_connections: "WeakSet[Connection]" = WeakSet()
_shared: dict[tuple[str, int], Connection] = {}
_shared_lock = threading.Lock()


def connect(uri: KeyUri, module: Module, *, force_login: bool) -> Connection:
    """The connection to the token that the URI names, shared with other keys; pair with :func:`leave`."""
    with _shared_lock, module.alone():
        with module.lock:
            module.revive()
        slot = find_slot(uri, module)
        where = (module.path, slot.slot_id)
        connection = _shared.get(where)
        if connection is None:
            made = OneAtATimeConnection if module.one_at_a_time else Connection
            connection = _shared[where] = made(uri, module, slot, force_login=force_login)
        connection.users += 1
        return connection


def leave(connection: Connection) -> None:
    """One user less; the last one closes the connection."""
    with _shared_lock:
        connection.users -= 1
        if connection.users:
            return
        for where, shared in list(_shared.items()):
            if shared is connection:
                del _shared[where]
    with connection.module.alone():
        connection.close()


def _after_fork_in_child() -> None:
    global _shared_lock  # noqa: PLW0603 - a thread that is gone may hold it
    _shared_lock = threading.Lock()
    for connection in list(_connections):
        connection.inherit()


# After the hook of library.py, which was registered first.
os.register_at_fork(after_in_child=_after_fork_in_child)
