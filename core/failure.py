# SPDX-License-Identifier: Apache-2.0
"""The fixed time at which every DecryptionFailed is released.

A token's own failure paths differ by 15 to 90 µs whatever its caller does (the soft tokens do; docs/decisions/0003).
So a failure is not answered when it happens but at a fixed time after the unwrap began, with the session already
returned. A success is never delayed: it shows anyway.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn
from weakref import WeakSet

from sealpass.core.errors import ConfigError, DecryptionFailed


class FailureFloor:
    """Counts and times the failures of one key. Thread-safe.

    ``seconds`` must exceed the device's slowest failure, or the time shows through: each such case is counted in
    ``overruns``, and one that is not zero means that the floor is too low for the device.
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 <= seconds < math.inf:
            raise ConfigError("the failure floor is a number of seconds from 0")
        self.seconds = seconds
        self.start = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._failures = 0
        self._overruns = 0
        _FLOORS.add(self)

    @property
    def failures(self) -> int:
        """How many failures were released."""
        return self._failures

    @property
    def overruns(self) -> int:
        """How many of them came later than the fixed time."""
        return self._overruns

    def release(self, started: float) -> NoReturn:
        """Wait until the fixed time after ``started``, then raise DecryptionFailed with nothing attached."""
        remaining = started + self.seconds - self.start()
        with self._lock:
            self._failures += 1
            if remaining < 0:
                self._overruns += 1
        if remaining > 0:
            self._sleep(remaining)
        failure = DecryptionFailed()
        try:
            raise failure
        finally:
            # Whoever calls from within an except block would otherwise find its exception chained to ours.
            failure.__context__ = None


_FLOORS: WeakSet[FailureFloor] = WeakSet()


def _new_locks_after_fork() -> None:
    """A thread that is gone may hold the lock, and every failure would then wait for ever."""
    for floor in _FLOORS:
        floor._lock = threading.Lock()  # noqa: SLF001 - the class's own business, in one place for all its floors


os.register_at_fork(after_in_child=_new_locks_after_fork)
