# SPDX-License-Identifier: Apache-2.0
"""Nonce records: what the server promised a sender, and the right to one key operation.

The record, never the token, decides which key, algorithm and purpose apply. Taking it is atomic, so a token works
once, whoever races.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from weakref import WeakSet

from sealpass.core.errors import BackendUnavailable

DEFAULT_LIFETIME_SECONDS = 300.0


class Purpose(StrEnum):
    """What the password in a token is for. One token carries one password: a voluntary change takes two tokens."""

    CHECK = "check"
    CHANGE = "change"
    RESET = "reset"
    REGISTER = "register"
    ADMIN_SET = "admin-set"


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """What was announced under a nonce. The nonce is public; it compares as an exact string."""

    nonce: str
    session: str
    purpose: Purpose
    profile: str
    alg: str
    encs: tuple[str, ...]
    """The announced ``enc``; two where the protocol leaves the choice to the client (airlock-jwe)."""
    kid: str
    lifetime: float = DEFAULT_LIFETIME_SECONDS
    """Seconds from the moment the store takes the record."""


class NonceStore(Protocol):
    """Where nonce records wait. Thread-safe."""

    def put(self, record: NonceRecord) -> None:
        """Keep a record; raises BackendUnavailable(retryable) where there is no room."""
        ...

    def consume(self, nonce: str) -> NonceRecord | None:
        """Take the record out, atomically; None where it is unknown, used or expired."""
        ...

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        """Take out the latest record of a step of a login flow, atomically; None where there is none, or it expired.

        For messages that do not name their nonce (profile airlock-kms). Older records of the same step go with it,
        however long they would live: a step has one nonce, and each buys one key operation.
        """
        ...


class MemoryNonceStore:
    """Nonce records in this process: for one server process, tests and tools. A child process starts empty.

    Bounded twice. A session that asks for more than ``per_session`` nonces loses its own oldest one; a full store
    refuses new records rather than drop those of others.
    """

    def __init__(
        self, *, capacity: int = 100_000, per_session: int = 16, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._per_session = per_session
        self._clock = clock
        self._start_empty()
        _STORES.add(self)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, tuple[float, NonceRecord]] = {}
        self._sessions: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: NonceRecord) -> None:
        """See :class:`NonceStore`."""
        with self._lock:
            if (same := self._records.pop(record.nonce, None)) is not None:  # put twice, by whoever writes records
                self._forget(same[1])
            if len(self._records) >= self._capacity:
                self._drop_expired()
            own = self._sessions.get(record.session)
            if own is not None and len(own) >= self._per_session:
                self._records.pop(own.popleft(), None)
            if len(self._records) >= self._capacity:
                raise BackendUnavailable(
                    f"{self._capacity} nonces are outstanding", retryable=True, hint="raise the store's capacity"
                )
            if own is None:
                own = self._sessions[record.session] = deque()
            own.append(record.nonce)
            self._records[record.nonce] = (self._clock() + record.lifetime, record)

    def consume(self, nonce: str) -> NonceRecord | None:
        """See :class:`NonceStore`."""
        with self._lock:
            entry = self._records.pop(nonce, None)
            if entry is None:
                return None
            expires, record = entry
            self._forget(record)
            return record if self._clock() < expires else None

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        """See :class:`NonceStore`."""
        with self._lock:
            found = [
                self._records[nonce]
                for nonce in self._sessions.get(session, ())
                if (self._records[nonce][1].purpose, self._records[nonce][1].profile) == (purpose, profile)
            ]
            for _, record in found:
                del self._records[record.nonce]
                self._forget(record)
            if not found:
                return None
            expires, latest = found[-1]
            return latest if self._clock() < expires else None

    def _forget(self, record: NonceRecord) -> None:
        own = self._sessions[record.session]
        own.remove(record.nonce)
        if not own:
            del self._sessions[record.session]

    def _drop_expired(self) -> None:
        """From the oldest on, and no further than the first that lives: a full store must not cost a scan a request."""
        now = self._clock()
        while self._records:
            nonce, (expires, record) = next(iter(self._records.items()))
            if expires > now:
                return
            del self._records[nonce]
            self._forget(record)


_STORES: WeakSet[MemoryNonceStore] = WeakSet()


def _start_empty_after_fork() -> None:
    """Empty the child's stores while it has one thread, or a nonce would work once in every process."""
    for store in _STORES:
        store._start_empty()  # noqa: SLF001 - the class's own business, in one place for all its stores


os.register_at_fork(after_in_child=_start_empty_after_fork)
