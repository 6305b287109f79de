# SPDX-License-Identifier: Apache-2.0
"""Timing several ways to do one thing, side by side in one process, so that the machine's drift hits all of them.

A round gives each case a block of operations, beginning with another case each time. The figure of a case is the
median of its operations; a comparison is the median over rounds of the ratio of medians, with a bootstrapped interval.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_RESAMPLES = 1000
_PERCENT_95 = (25, 975)


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured of one case: nanoseconds per operation, round by round."""

    rounds: tuple[tuple[int, ...], ...]

    @property
    def median_us(self) -> float:
        """Microseconds, over all rounds."""
        return statistics.median(sample for one in self.rounds for sample in one) / 1000

    def medians(self) -> list[float]:
        """Nanoseconds, one a round."""
        return [statistics.median(one) for one in self.rounds]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How fast a case is, as a part of its reference: 1 is as fast, below 1 is slower."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


Operation = Callable[[int], object]
"""Does the operation with this number; numbers grow, so that each can have a token of its own."""


def measure(
    cases: Mapping[str, Operation], *, rounds: int, block: int, clock: Callable[[], int] = time.perf_counter_ns
) -> dict[str, Samples]:
    """Run every case in every round in one thread; the garbage collector runs between blocks only.

    ``clock`` answers nanoseconds: of the wall, or of this thread's CPU (time.thread_time_ns) for what waits for others.
    """
    names = list(cases)
    taken: dict[str, list[tuple[int, ...]]] = {name: [] for name in names}
    for name in names:
        cases[name](0)  # warm: caches, lazy imports
    number = 0
    gc.disable()
    try:
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                taken[name].append(_block(cases[name], number, block, clock))
                gc.collect(0)
            number += block
    finally:
        gc.enable()
    return {name: Samples(tuple(blocks)) for name, blocks in taken.items()}


def _block(operation: Operation, first: int, count: int, clock: Callable[[], int]) -> tuple[int, ...]:
    samples = []
    for number in range(first, first + count):
        start = clock()
        operation(number)
        samples.append(clock() - start)
    return tuple(samples)


def compare(case: Samples, reference: Samples, *, seed: int = 1) -> Ratio:
    """The speed of a case as a part of the reference's, with a 95 % interval over rounds."""
    return median_of([r / c for c, r in zip(case.medians(), reference.medians(), strict=True)], seed=seed)


def median_of(by_round: Sequence[float], *, seed: int = 1) -> Ratio:
    """The median of ratios, one a round, with a bootstrapped 95 % interval."""
    draw = random.Random(seed)  # noqa: S311 - resampling, not secrets
    medians = sorted(statistics.median(draw.choices(by_round, k=len(by_round))) for _ in range(_RESAMPLES))
    return Ratio(statistics.median(by_round), *(medians[at] for at in _PERCENT_95))
