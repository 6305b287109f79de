# SPDX-License-Identifier: Apache-2.0
"""The key ring: the key that is announced now, and previous ones that still open what was made for them."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sealpass.backends.registry import open_key
from sealpass.core.errors import ConfigError
from sealpass.core.protocols import Key, Unwrapper, as_unwrapper
from sealpass.core.uri import KeyUri


@dataclass(frozen=True, slots=True)
class _Snapshot:
    current: Key
    by_id: dict[str, Key]
    unwrappers: dict[str, Unwrapper]


def _check_distinct(first: Key | None, second: Key) -> None:
    if first is not None and first.uri != second.uri:
        raise ConfigError(f"two keys of the ring have the id {second.key_id}")


class KeyRing:
    """Keys by id. Thread-safe; rotation is :meth:`replace` with a new ``current`` and the old one in ``previous``.

    Opens every key at once, so that a ring that cannot work says so at start, and closes them in :meth:`close`.
    Raises what :func:`sealpass.open_key` raises, and ConfigError where two keys have one id.
    """

    def __init__(
        self, current: str | KeyUri, previous: Sequence[str | KeyUri] = (), *, failure_floor: float | None = None
    ) -> None:
        self._floor = failure_floor
        self._lock = threading.Lock()
        self._opened: list[Key] = []
        self._snapshot: _Snapshot | None = self._load(current, previous, {})

    def _load(self, current: str | KeyUri, previous: Sequence[str | KeyUri], known: Mapping[str, Key]) -> _Snapshot:
        """Open every key; one that is open under its URI and id already stays the one that it is."""
        if isinstance(previous, str | KeyUri) or not isinstance(current, str | KeyUri):
            raise ConfigError("a key ring has one current URI and a list of previous ones")
        by_id: dict[str, Key] = {}
        opened: list[Key] = []
        try:
            for uri in (current, *previous):
                key = open_key(uri, failure_floor=self._floor)
                opened.append(key)
                _check_distinct(by_id.get(key.key_id), key)
                same = by_id.get(key.key_id) or known.get(key.key_id)
                by_id[key.key_id] = same if same is not None and same.uri == key.uri else key
            # The roles are settled here, once: asking a key for its role costs more than parsing a token.
            unwrappers = {kid: as_unwrapper(key) for kid, key in by_id.items() if key.capabilities.unwrap}
        except BaseException:
            for key in opened:
                key.close()
            raise
        for key in opened:
            if by_id[key.key_id] is key:
                self._opened.append(key)
            else:
                key.close()
        return _Snapshot(next(iter(by_id.values())), by_id, unwrappers)

    def replace(self, current: str | KeyUri, previous: Sequence[str | KeyUri] = ()) -> None:
        """Change the ring in one step; on any error the ring stays as it was.

        Every URI is opened again, because an alias or a file may stand for another key by now. Keys that left the
        ring stay open until :meth:`close`: a thread may be using one.
        """
        with self._lock:
            self._snapshot = self._load(current, previous, self._open_snapshot().by_id)

    def _open_snapshot(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            raise ConfigError("the key ring is closed")
        return snapshot

    @property
    def current(self) -> Unwrapper:
        """The key to announce; raises UnsupportedAlgorithm where it does not unwrap."""
        return as_unwrapper(self._open_snapshot().current)

    def find(self, kid: str) -> Unwrapper | None:
        """The unwrapping key of that id, or None."""
        return self._open_snapshot().unwrappers.get(kid)

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
