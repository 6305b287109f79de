# SPDX-License-Identifier: Apache-2.0
"""The key ring: the key that is announced now, and previous ones that still open what was made for them."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from weakref import WeakSet

from sealpass.backends.registry import open_key
from sealpass.core.errors import ConfigError, OperatorError, UnsupportedAlgorithm
from sealpass.core.protocols import FollowsAlias, Key, Opener, Sealer, Unwrapper, as_sealer, as_unwrapper
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 1.0
"""A key id that the ring does not know may be the alias's new key: it is asked for then, and no more often."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    current: Key
    by_id: dict[str, Key]
    unwrappers: dict[str, Unwrapper]
    openers: dict[str, Opener]
    sealer: Sealer | None
    """The current key, where it seals."""

    @classmethod
    def of(cls, current: Key, by_id: dict[str, Key]) -> "_Snapshot":
        """The roles are settled here, once: asking a key for its role costs more than parsing a token."""
        unwrappers = {kid: as_unwrapper(key) for kid, key in by_id.items() if key.capabilities.unwrap}
        openers = {kid: key for kid, key in by_id.items() if key.capabilities.seal and isinstance(key, Opener)}
        seals = current.capabilities.seal and isinstance(current, Sealer)
        return cls(current, by_id, unwrappers, openers, as_sealer(current) if seals else None)


def _check_distinct(first: Key | None, second: Key) -> None:
    if first is None or first.uri == second.uri:
        return
    if first.uri.scheme == second.uri.scheme and (isinstance(first, FollowsAlias) or isinstance(second, FollowsAlias)):
        return  # an alias and the key behind it: of AWS KMS keys the id says which key it is
    raise ConfigError(f"two keys of the ring have the id {second.key_id}")


def _roles(key: Key) -> tuple[bool, bool]:
    """Whether it unwraps, and whether it seals."""
    return bool(key.capabilities.unwrap), bool(key.capabilities.seal)


def _open(uri: str | KeyUri, floor: float | None) -> Key:
    """Open a key of a ring; an error says which of its URIs it is about."""
    try:
        return open_key(uri, failure_floor=floor)
    except OperatorError as error:
        try:
            shown = (KeyUri.parse(uri) if isinstance(uri, str) else uri).shown()
        except ConfigError:  # what is no URI may hold anything
            raise error from None
        error.args = (f"{error} (key ring: {shown})",)
        raise


class KeyRing:
    """Keys by id. Thread-safe; rotation is :meth:`replace` with a new ``current`` and the old one in ``previous``.

    Opens every key at once, so that a ring that cannot work says so at start, and closes them in :meth:`close`.
    Raises what :func:`sealpass.open_key` raises, and ConfigError where two keys have one id. A URI that is
    given twice is one key.

    Where ``current`` is an alias (AWS KMS), the ring asks now and then which key it names. A new one becomes the
    current key, and the one of before stays in the ring for as long as the alias is its ``current``. No thread does
    that: it happens in :attr:`current` and :attr:`current_sealer`, and where a key id is not known.
    """

    def __init__(
        self,
        current: str | KeyUri,
        previous: Sequence[str | KeyUri] = (),
        *,
        failure_floor: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._floor = failure_floor
        self._lock = threading.Lock()
        self._opened: list[Key] = []
        self._clock = clock
        self._asked = clock()
        self._interval: float | None = None
        self._snapshot: _Snapshot | None = self._load(current, previous, {})
        _RINGS.add(self)

    def _load(self, current: str | KeyUri, previous: Sequence[str | KeyUri], known: Mapping[str, Key]) -> _Snapshot:
        """Open every key; one that is open under its URI and id already stays the one that it is."""
        if isinstance(previous, str | KeyUri) or not isinstance(current, str | KeyUri):
            raise ConfigError("a key ring has one current URI and a list of previous ones")
        by_id: dict[str, Key] = {}
        opened: list[Key] = []
        try:
            for uri in (current, *previous):
                key = _open(uri, self._floor)
                opened.append(key)
                first = by_id.get(key.key_id)
                _check_distinct(first, key)
                if first is None:
                    same = known.get(key.key_id)
                    by_id[key.key_id] = same if same is not None and same.uri == key.uri else key
            first_key = next(iter(by_id.values()))
            if isinstance(first_key, FollowsAlias):  # what the alias named before it was opened again
                by_id |= {kid: key for kid, key in known.items() if key.uri == first_key.uri and kid not in by_id}
            if any(bool(key.capabilities.unwrap) is not bool(first_key.capabilities.unwrap) for key in by_id.values()):
                raise ConfigError("a key ring has keys of one kind: those that unwrap, or those that seal")  # noqa: TRY301
            snapshot = _Snapshot.of(first_key, by_id)
        except BaseException:
            for key in opened:
                key.close()
            raise
        for key in opened:
            if by_id[key.key_id] is key:
                self._opened.append(key)
            else:
                key.close()
        self._interval = snapshot.current.alias_interval if isinstance(snapshot.current, FollowsAlias) else None
        return snapshot

    def replace(self, current: str | KeyUri, previous: Sequence[str | KeyUri] = ()) -> None:
        """Change the ring in one step; on any error the ring stays as it was.

        Every URI is opened again, because an alias or a file may stand for another key by now. Keys that left the
        ring stay open until :meth:`close`: a thread may be using one. What the alias of the current key named before
        does not leave it, as long as that alias stays the current URI.
        """
        with self._lock:
            self._snapshot = self._load(current, previous, self._open_snapshot().by_id)

    def _open_snapshot(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            raise ConfigError("the key ring is closed")
        return snapshot

    # -- aliases -------------------------------------------------------------------------------------------------

    def _ask_after(self, seconds: float) -> None:
        """Follow the alias of the current key, where there is one and it was not asked for that long."""
        if self._clock() - self._asked < seconds or not self._lock.acquire(blocking=False):
            return  # somebody else is asking: this thread goes on with what is known
        try:
            self._ask()
        finally:
            self._lock.release()

    def _ask_for_unknown_id(self, interval: float) -> None:
        """Another process may have followed the alias already, and announced its new key.

        Waits for whoever is asking at this moment: going on would refuse a good token for good.
        """
        with self._lock:
            if self._clock() - self._asked >= min(ASK_AGAIN_SECONDS, interval):
                self._ask()

    def _ask(self) -> None:
        """Holding the lock."""
        try:
            self._asked = self._clock()
            self._follow()
        except OperatorError as error:
            _log.warning("the alias of the current key cannot be followed, the ring stays as it is: %s", error.code)

    def _follow(self) -> None:
        """Holding the lock. Open the key that the alias names now; the one of before stays."""
        before = self._open_snapshot()
        if not isinstance(before.current, FollowsAlias) or not before.current.has_moved():
            return
        key = open_key(before.current.uri, failure_floor=self._floor)
        if _roles(key) != _roles(before.current):  # the alias was deleted, and made again for something else
            key.close()
            raise UnsupportedAlgorithm("the alias names a key of another kind now")
        self._opened.append(key)
        self._snapshot = _Snapshot.of(key, {**before.by_id, key.key_id: key})
        _log.info("the alias of the current key names another key now: %s", key.key_id)

    # -- the keys ------------------------------------------------------------------------------------------------

    def _followed(self) -> _Snapshot:
        if self._interval is not None:
            self._ask_after(self._interval)
        return self._open_snapshot()

    @property
    def current(self) -> Unwrapper:
        """The key to announce; raises UnsupportedAlgorithm where it does not unwrap."""
        return as_unwrapper(self._followed().current)

    @property
    def current_sealer(self) -> Sealer:
        """The key that new records are sealed with; raises UnsupportedAlgorithm where it does not seal."""
        snapshot = self._followed()
        return snapshot.sealer or as_sealer(snapshot.current)

    def find(self, kid: str) -> Unwrapper | None:
        """The unwrapping key of that id, or None."""
        found = self._open_snapshot().unwrappers.get(kid)
        if found is None and self._interval is not None:
            self._ask_for_unknown_id(self._interval)
            found = self._open_snapshot().unwrappers.get(kid)
        return found

    def find_opener(self, kid: str) -> Opener | None:
        """The key of that id that opens what it sealed, or None."""
        found = self._open_snapshot().openers.get(kid)
        if found is None and self._interval is not None:
            self._ask_for_unknown_id(self._interval)
            found = self._open_snapshot().openers.get(kid)
        return found

    def close(self) -> None:
        """Close every key. Idempotent."""
        with self._lock:
            self._snapshot = None
            while self._opened:
                self._opened.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_RINGS: WeakSet[KeyRing] = WeakSet()


def _new_locks_after_fork() -> None:
    """A thread that is gone may hold the lock."""
    for ring in _RINGS:
        ring._lock = threading.Lock()  # noqa: SLF001 - the class's own business, in one place for all its rings


os.register_at_fork(after_in_child=_new_locks_after_fork)
