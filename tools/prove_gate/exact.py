# SPDX-License-Identifier: Apache-2.0
"""Exact intervals for counts (Clopper and Pearson 1934), by bisection on the binomial distribution."""

import math
from collections.abc import Callable

_BISECTIONS = 60


def at_most(events: int, trials: int, rate: float) -> float:
    """The probability of so many events or fewer."""
    return math.fsum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(events + 1))


def interval(events: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The rates with which what was seen is not implausible; (0, 1) of no trials."""
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else _where(lambda rate: 1 - at_most(events - 1, trials, rate) > tail)
    high = 1.0 if events == trials else _where(lambda rate: at_most(events, trials, rate) < tail)
    return low, high


def _where(above: Callable[[float], bool]) -> float:
    """The rate from which on ``above`` holds."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if above(middle):
            high = middle
        else:
            low = middle
    return high
