# SPDX-License-Identifier: Apache-2.0
"""A logged-in token and its sessions.

One *anchor* session holds the login and closes last. The pool's sessions are opened without a PIN and kept; each does
one operation at a time (PKCS#11 section 5.6.7). Handles belong to an *epoch*: after a lost device the epoch ends, its
sessions are never used again, and keys look their objects up anew.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pkcs11 import Session, Slot
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.attribute_mapping import attribute_mapper
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.objects import handle_of_session
from sealpass.backends.pkcs11.reinitialising import forget, reinitialise, watch
from sealpass.backends.pkcs11.return_values import Answers, session_limit_errors, translate
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.token import Login, find_slot
from sealpass.backends.pkcs11.vendor_profiles import Choice
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, KeyNotFound
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)

DEFAULT_MAX_SESSIONS = 32
DEFAULT_WAIT_SECONDS = 30.0
RETRY_SECONDS = 1.0
"""At most one attempt in this time to reach a token that is away."""
SESSION_PAUSE_SECONDS = 0.02
"""Between two questions for a session of a token that has none left, and none of ours to wait for."""
SESSIONS_OUTSIDE_POOL = 2
"""The anchor, and one of :meth:`Connection.own_session`."""


class Connection:
    """The pool of one token. Thread-safe. Shared by the keys of one token; the last one to leave closes it."""

    def __init__(self, uri: KeyUri, module: Module, slot: Slot, vendor: Choice, *, force_login: bool) -> None:
        self.vendor = vendor
        self.answers = Answers.of(vendor.profile.meanings)
        self.module = module
        self.functions = module.functions
        self.users = 0
        self.epoch = 0
        self._uri = uri
        self._slot = slot
        self._login = Login(uri, module, force=force_login)
        self._max = _positive(uri, "max-sessions", _pool_size(vendor.profile.max_sessions))
        self._rw = vendor.profile.rw_sessions
        self._no_session_left = session_limit_errors(vendor.profile.session_limit)
        self._changed = threading.Condition()
        # Guarded by _changed, but for pop and append on _idle, which are atomic and take no lock.
        self._idle: list[PooledSession] = []
        self._ended: list[PooledSession] = []
        self._opened = 0
        self._waiting = 0
        self._stale = False
        self._closed = False
        self._next_attempt = 0.0
        self._generation = module.generation
        self._anchor: Session | None = self._open_anchor()
        watch(self)

    @property
    def slot(self) -> Slot:
        """Where the token is now; it may move when the module is initialised again."""
        return self._slot

    @contextmanager
    def own_session(self, *, rw: bool = False) -> Iterator[Session]:
        """A session outside the pool, closed at the end; raises BackendUnavailable."""
        deadline = Deadline.after(DEFAULT_WAIT_SECONDS)
        with self.module.alone(deadline):  # or the token is lost again between the two
            self.recover(deadline)
            with self.module.visit():
                generation = self.module.generation
                session = self._open_session(rw=rw)
                try:
                    yield session
                finally:
                    self._close_session(session, generation)

    def _open_session(self, *, rw: bool = False) -> Session:
        try:
            return self._slot.get_token().open(rw=rw or self._rw, attribute_mapper=attribute_mapper())
        except PKCS11Error as error:
            if isinstance(error, self._no_session_left):
                raise BackendUnavailable("the token has no free session", retryable=True) from None
            raise translate(error, "opening a session") from None

    def _open_anchor(self) -> Session:
        anchor = self._open_session()
        try:
            self._login(self._slot, handle_of_session(anchor))
        except BaseException as error:
            self._close_session(anchor, self.module.generation)
            if isinstance(error, PKCS11Error):
                raise translate(error, "logging in") from None
            raise
        return anchor

    # -- the pool ----------------------------------------------------------------------------------------------

    def acquire(self, deadline: Deadline | None) -> PooledSession:
        """Take a session; give it back with :meth:`release` or :meth:`discard`, exactly once.

        Raises BackendUnavailable(retryable) where none is free before the deadline (default 30 s).
        """
        try:
            return self._idle.pop()  # atomic: the fast path takes no lock
        except IndexError:
            session = self._acquire_slowly(deadline or Deadline.after(DEFAULT_WAIT_SECONDS))
        if session is None:
            raise BackendUnavailable(f"all {self._max} sessions with the token are busy", retryable=True)
        return session

    def acquire_if_free(self, deadline: Deadline) -> PooledSession | None:
        """As :meth:`acquire`, but None where all sessions stay busy."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._acquire_slowly(deadline)

    def _acquire_slowly(self, deadline: Deadline) -> PooledSession | None:
        may_open = True
        while True:
            self.recover(deadline)
            with self._changed:
                if self._closed:
                    raise ConfigError("the key is closed")
                if self._stale:
                    continue
                if self._idle:
                    return self._idle.pop()
                if self._opened >= self._max or not may_open:
                    if not self._wait(deadline):
                        return None
                    continue
                self._opened += 1
                home = self._idle
            try:
                return self._open_pooled(home)
            except self._no_session_left:
                may_open = not self._opened  # wait for one of ours; with none of ours open, try until the deadline
                if may_open and not deadline.remaining():
                    raise BackendUnavailable("the token has no free session", retryable=True) from None
                if may_open:  # CloudHSM has none left for whoever asks too fast
                    time.sleep(min(SESSION_PAUSE_SECONDS, deadline.remaining()))
            except PKCS11Error as error:
                self.lose(home)
                raise translate(error, "opening a session") from None

    def _open_pooled(self, home: list[PooledSession]) -> PooledSession:
        """One more session, which the caller has counted; not counted any more where it does not open."""
        generation, opened = self.module.generation, None
        try:
            opened = self._slot.get_token().open(rw=self._rw, attribute_mapper=attribute_mapper())
            pooled = PooledSession(opened, home, generation)
        except BaseException:
            if opened is not None:
                self._close_session(opened, generation)
            self._one_less()
            raise
        pooled.reclaim = self._reclaim
        return pooled

    def _wait(self, deadline: Deadline) -> bool:
        self._waiting += 1
        try:
            return self._changed.wait(deadline.remaining())
        finally:
            self._waiting -= 1

    def release(self, session: PooledSession) -> None:
        """Give a session back after an operation that left it usable."""
        home = session.home
        home.append(session)
        if home is not self._idle:
            self._drop_all(home)  # its epoch ended in the meantime
        elif self._waiting:
            with self._changed:
                self._changed.notify()

    def discard(self, session: PooledSession) -> None:
        """Give a session back that nobody should use again."""
        self._drop(session)

    def _drop(self, session: PooledSession) -> None:
        session.reclaim = None
        try:
            self._close_session(session.session, session.generation)
        finally:
            if self.is_current(session):  # one of before a fork was never counted here
                self._one_less()

    def is_current(self, session: PooledSession) -> bool:
        """Whether the session's handles are of this life of the module; others must not be used."""
        return session.generation == self.module.generation

    def _is_away(self) -> bool:
        return self._stale and not self._closed

    def renew(self, session: PooledSession) -> None:
        """Put a fresh session in the place of one that an old operation clings to. Raises BackendUnavailable."""
        fresh, generation = self._open_session(), self.module.generation
        self._close_session(session.session, session.generation)
        session.replace(fresh, generation)

    def _reclaim(self, session: PooledSession) -> None:
        """An exception from outside came between two owners, and nobody gave the session back."""
        self._drop(session)

    def _drop_all(self, home: list[PooledSession]) -> None:
        # pop() is atomic: of several threads that empty a list, one gets each session.
        with suppress(IndexError):
            while True:
                self._drop(home.pop())

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

    def lose(self, home: list[PooledSession]) -> None:
        """End the epoch: the device, the login or the handles are gone. The next acquire tries to recover."""
        with self._changed:
            if home is self._idle:
                self._end_epoch()

    def _end_epoch(self) -> None:
        """Holding _changed. A session that is released from now on finds that its home is no longer the pool."""
        ended, self._idle = self._idle, []
        self._stale = True
        with suppress(IndexError):
            while True:
                session = ended.pop()
                session.reclaim = None
                self._ended.append(session)  # closed later: a dead device may take its time
                self._opened -= 1
        self._changed.notify_all()

    def recover(self, deadline: Deadline) -> None:
        """Bring a lost connection back: a new login first, the whole module anew where that does not help.

        Raises BackendUnavailable(retryable) where the token stays away, ConfigError in the child of threads.
        """
        if not self._stale:
            return
        # Lock order: the gate, the module's, then a connection's. Never the other way round.
        with self.module.locked(deadline):
            if not self._is_away():  # somebody else has been here meanwhile
                return
            self.module.revive()
            now = time.monotonic()
            if now < self._next_attempt:
                raise BackendUnavailable("the PKCS#11 token is away", retryable=True)
            self._next_attempt = now + RETRY_SECONDS
            try:
                self._restart()
            except (BackendUnavailable, KeyNotFound):  # a token that is away is a slot without a token
                reinitialise(self.module, deadline)
                try:
                    self._restart()
                except KeyNotFound:
                    raise BackendUnavailable("the PKCS#11 token is away", retryable=True) from None

    def _restart(self) -> None:
        self._close_ended()
        self._slot = find_slot(self._uri, self.module)
        self._generation = self.module.generation
        self._anchor = self._open_anchor()
        with self._changed:
            self.epoch += 1
            self._stale = False
            self._changed.notify_all()

    def quiesce(self, deadline: Deadline) -> None:
        """Stop handing out sessions and wait for those in use; raises BackendUnavailable where one does not end."""
        with self._changed:
            if not self._stale:
                self._end_epoch()
            while self._opened > 0:
                if not self._changed.wait(deadline.remaining()):
                    # Initialising under a running call crashes the process; a hung call needs a process restart.
                    raise BackendUnavailable(
                        "an operation inside the PKCS#11 module does not end",
                        retryable=True,
                        hint="if it stays so, restart the process: PKCS#11 calls cannot be cancelled",
                    )

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self, deadline: Deadline) -> None:
        """Close the pool, then the anchor. Idempotent; sessions still in use are closed when they come back.

        Where the module is not free before the deadline, a warning is logged and no session is handed out any more,
        but those that nobody uses stay open in the module until this is called again. Raises nothing.
        """
        try:
            with self.module.alone(deadline), self.module.locked(deadline):
                self._hand_out_no_more()
                self._close_ended()
        except BackendUnavailable as error:
            self._hand_out_no_more()
            _log.warning("the last key of a PKCS#11 token is closed, and its sessions and login are not: %s", error)

    def _hand_out_no_more(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._end_epoch()
            in_use = self._opened
        if not in_use:  # or C_Finalize would not wait for those
            forget(self)

    def _close_ended(self) -> None:
        ended, self._ended = self._ended, []
        for pooled in ended:
            self._close_session(pooled.session, pooled.generation)
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            self._close_session(anchor, self._generation)

    def inherit(self) -> None:
        """In the child of a fork: forget the parent's sessions without touching them."""
        self._changed = threading.Condition()
        for session in self._idle:
            session.reclaim = None
        self._idle.clear()  # who releases an inherited session finds this list, and must not find the parent's others
        self._anchor = None
        self._idle, self._ended, self._opened, self._waiting = [], [], 0, 0
        self._stale = True
        self._next_attempt = 0.0


def _pool_size(max_sessions: int | None) -> int:
    return DEFAULT_MAX_SESSIONS if max_sessions is None else max(1, max_sessions - SESSIONS_OUTSIDE_POOL)


def _positive(uri: KeyUri, name: str, default: int) -> int:
    text = uri.text(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name} is a number from 1")
    return int(text)
