# SPDX-License-Identifier: Apache-2.0
"""The key ring: the key that is announced now, and previous ones that still open what was made for them."""

import threading
from collections.abc import Sequence
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
        self._opened: dict[KeyUri, Key] = {}
        self._snapshot: _Snapshot | None = None
        try:
            self._snapshot = self._load(current, previous)
        except BaseException:
            self.close()
            raise

    def _load(self, current: str | KeyUri, previous: Sequence[str | KeyUri]) -> _Snapshot:
        uris = [KeyUri.parse(uri) if isinstance(uri, str) else uri for uri in (current, *previous)]
        by_id: dict[str, Key] = {}
        for uri in uris:
            key = self._opened.get(uri)
            if key is None:
                key = self._opened[uri] = open_key(uri, failure_floor=self._floor)
            if by_id.setdefault(key.key_id, key) is not key:
                raise ConfigError(f"two keys of the ring have the id {key.key_id}")
        # The roles are settled here, once: asking a key for its role costs more than parsing a token.
        unwrappers = {kid: as_unwrapper(key) for kid, key in by_id.items() if key.capabilities.unwrap}
        return _Snapshot(self._opened[uris[0]], by_id, unwrappers)

    def replace(self, current: str | KeyUri, previous: Sequence[str | KeyUri] = ()) -> None:
        """Change the ring in one step; on any error the ring stays as it was.

        Keys that left the ring stay open until :meth:`close`, because a thread may be using one.
        """
        with self._lock:
            self._open_snapshot()
            self._snapshot = self._load(current, previous)

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
                self._opened.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
