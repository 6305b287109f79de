# SPDX-License-Identifier: Apache-2.0
"""The open loop: operations are due at a constant rate, whether the ones before have ended or not.

A late start does not move the starts after it. So an operation that waits behind a stall keeps the instant at which it
was due, and the waiting is measured: from the intended start to the end is what a user would have seen. Starts for
which no thread was free before the window ended are counted, and never dropped in silence.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice

from sealpass.bench.load.closed import Clock
from sealpass.bench.load.recording import NANOSECONDS, WRONG_RESULT, Operation, Share, Window, code_of

_PR_SET_TIMERSLACK = 29
_COARSE_NS = 2_000_000
_BEFORE_NS = 1_000_000
"""A long sleep ends this long before the instant; short ones do the rest."""

Wait = Callable[[int], None]
"""Sleeps until an instant of the clock, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The part of one process in a constant rate: every ``step``-th start, from ``first`` on."""

    rate_per_s: float
    """Of all processes together."""
    shared: bool = True
    """Whether the threads take the next start from one list, or each has its own."""
    first: int = 0
    step: int = 1
    """How many processes there are."""

    def due(self, number: int) -> int:
        """When the start with this number is due, in nanoseconds from the begin of the window."""
        return int(number * NANOSECONDS / self.rate_per_s)

    def intended(self, nanoseconds: int) -> int:
        """How many starts of this process lie in a window of this length."""
        whole = int(nanoseconds * self.rate_per_s / NANOSECONDS)  # to the one or two that rounding costs
        while self.due(whole) < nanoseconds:
            whole += 1
        while whole and self.due(whole - 1) >= nanoseconds:
            whole -= 1
        return max(0, -(-(whole - self.first) // self.step))

    def numbers(self, threads: int) -> list[Iterator[int]]:
        """For each thread the numbers of its starts. ``next`` of a count is atomic, so a shared one needs no lock."""
        if self.shared:
            one = count(self.first, self.step)
            return [one] * threads
        return [count(self.first + thread * self.step, self.step * threads) for thread in range(threads)]


def wait_finely() -> None:
    """Let the sleeps of this thread end on time: 20 instead of 75 µs late (Linux; elsewhere nothing changes).

    prctl(PR_SET_TIMERSLACK): https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html. No spinning, because
    that would take a core, and Python's lock, from what is measured.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def wait_until(instant: int, stopped: threading.Event | None = None) -> None:
    """Sleep until an instant of ``time.perf_counter_ns``, or until about the moment at which the event is set."""
    while (left := instant - time.perf_counter_ns()) > 0:
        if left <= _COARSE_NS:
            time.sleep(left / NANOSECONDS)
        elif stopped is None:
            time.sleep((left - _BEFORE_NS) / NANOSECONDS)
        elif stopped.wait((left - _BEFORE_NS) / NANOSECONDS):
            return


def run_open(
    operation: Operation,
    thread: int,
    window: Window,
    share: Share,
    schedule: Schedule,
    numbers: Iterator[int],
    *,
    clock: Clock = time.perf_counter_ns,
    wait: Wait | None = None,
) -> None:
    """Start the operation at each of its instants, or as soon after it as the one before has ended. Never raises."""
    wait = wait or partial(wait_until, stopped=window.stopped)
    call, rearm, inputs = operation.call, operation.rearm, islice(cycle(operation.inputs[thread]), operation.most)
    take, note_end, note_delay = share.service.append, share.ended.append, share.delay.append
    has_check, keep = operation.check is not None, share.unchecked.append
    begin, end, due = window.begin, window.end, schedule.due
    share.began = share.finished = begin
    for argument, expected in inputs:
        intended = begin + due(next(numbers))
        if intended >= end:
            return
        if rearm is not None:
            rearm(argument)
        if clock() < intended:
            wait(intended)
        began = clock()
        if began >= window.end:
            return
        share.started += 1
        try:
            answer = call(argument)
        except Exception as error:  # noqa: BLE001 - whatever a device raises is counted
            share.finished = clock()
            share.fail(code_of(error), share.finished)
            continue
        share.finished = ended = clock()
        if has_check:
            keep((argument, answer))
        elif answer != expected:
            share.fail(WRONG_RESULT, ended)
            continue
        take(ended - began)
        note_end(ended)
        note_delay(began - intended)
    share.is_cut = True
