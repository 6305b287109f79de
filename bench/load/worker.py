# SPDX-License-Identifier: Apache-2.0
"""One process's part of a measurement: its threads, started at an agreed instant, and what they wrote down."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sealpass.bench import distribution
from sealpass.bench.load.closed import run_closed
from sealpass.bench.load.interrupts import outlast
from sealpass.bench.load.open import Schedule, run_open, wait_finely, wait_until
from sealpass.bench.load.recording import NANOSECONDS, Operation, Share, Taken, Window
from sealpass.bench.qualification.threads import run_together

GARBAGE_COLLECTOR = "frozen and off while measured; collected before every window"
_TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tick:
    """What a live display shows: the last moment of one process."""

    process: int
    verified: int
    """Since the begin of the window; answers that are checked later count as right so far."""
    per_second: float
    """Since the tick before."""
    p99_ns: int | None
    errors: int
    """Since the begin of the window."""


Watch = Callable[[Tick], None]


class Part:
    """The threads of one process on one operation, window after window."""

    def __init__(self, operation: Operation, *, process: int = 0) -> None:
        self._operation = operation
        self._process = process
        self._window: Window | None = None
        self._is_stopped = False

    def measure(
        self, begin: int, seconds: float, schedule: Schedule | None = None, watch: Watch | None = None
    ) -> Taken:
        """Run all threads from ``begin`` on; a closed loop unless there is a schedule.

        ``begin`` is on the clock of ``time.perf_counter_ns``, which all processes of a machine share. An interrupt
        ends the window; what was measured is checked and answered all the same, and a second interrupt is raised.
        """
        planned = begin + int(seconds * NANOSECONDS)
        window = self._window = Window(begin, planned)
        if self._is_stopped:
            window.stop(time.perf_counter_ns())
        shares = [Share() for _ in self._operation.inputs]
        with _no_garbage_collection(), _watching(watch, shares, self._process):
            _run(self._operation, window, shares, schedule)
        taken, was_interrupted = outlast(partial(self._checked, shares), is_second=window.is_stopped)
        taken.is_interrupted = was_interrupted or window.is_stopped
        taken.is_shortened = window.end < planned
        if schedule is not None:
            # Of a window that its answers, or an interrupt, ended early, only the starts until then were intended.
            end = taken.finished if all(share.is_cut for share in shares) else max(begin, window.end)
            taken.intended = schedule.intended(end - begin)
            taken.finished = max(taken.finished, end)  # the last start may lie well before the end
        return taken

    def _checked(self, shares: list[Share]) -> Taken:
        """All threads together, once the answers were looked at that nobody knew beforehand."""
        if self._operation.check is not None:
            run_together([partial(share.check, self._operation.check) for share in shares])
        return Taken.of(shares, process=self._process)

    def stop(self) -> None:
        """End the window that is being measured, and let no other begin. From any thread."""
        self._is_stopped = True
        if self._window is not None:
            self._window.stop(time.perf_counter_ns())


def _run(operation: Operation, window: Window, shares: list[Share], schedule: Schedule | None) -> None:
    numbers = None if schedule is None else schedule.numbers(len(shares))
    ended: list[int] = []

    def work(thread: int) -> None:
        wait_finely()
        wait_until(window.begin, window.stopped)
        if schedule is None or numbers is None:
            run_closed(operation, thread, window, shares[thread])
        else:
            run_open(operation, thread, window, shares[thread], schedule, numbers[thread])
        ended.append(thread)

    try:
        run_together(
            [partial(work, thread) for thread in range(len(shares))], stop=lambda: window.stop(time.perf_counter_ns())
        )
    except KeyboardInterrupt:
        if len(ended) < len(shares):  # the second one
            raise


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect now, and not while it is measured. What is reachable by now will stay: it is not looked at again."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


@contextmanager
def _watching(watch: Watch | None, shares: list[Share], process: int) -> Iterator[None]:
    """Call ``watch`` now and then from a thread of its own."""
    if watch is None:
        yield
        return
    over = threading.Event()

    def look() -> None:
        seen, before = [0] * len(shares), time.perf_counter()
        while not over.wait(_TICK_SECONDS):
            counts, now = [len(share.ended) for share in shares], time.perf_counter()
            recent = [
                value
                for share, start, end in zip(shares, seen, counts, strict=True)
                for value in share.service[start:end]
            ]
            summary = distribution.summary(recent)
            watch(
                Tick(
                    process,
                    sum(counts),
                    len(recent) / (now - before),
                    None if summary is None else summary["p99_ns"],
                    sum(len(share.failed) for share in shares),
                )
            )
            seen, before = counts, now

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
