# SPDX-License-Identifier: Apache-2.0
"""Whether a series of numbers changed: tests that look at ranks, and so know no distribution.

- a trend: Mann, "Nonparametric tests against trend", Econometrica 13, 1945, and Kendall's variance with ties; its size
  is the slope of Theil and Sen.
- a step: the greatest standardised rank sum over all places where the series can be cut (Pettitt, "A non-parametric
  approach to the change-point problem", Applied Statistics 28(2), 1979, who weighs the places otherwise), and how often
  the same numbers in a random order have one as great.
"""

import math
import random
import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

_ORDERS = 999
_ENOUGH = 10
"""Orders with one as great; then it is clear (Besag and Clifford, "Sequential Monte Carlo p-values", 1991)."""
_SIDE = 3
"""Values on each side of a step, at least."""


class Trend(NamedTuple):
    """By its p-value, two-sided, and what it adds up to from begin to end."""

    p_value: float
    total: float


def trend(series: Sequence[float]) -> Trend:
    """The trend of at least two values."""
    count = len(series)
    pairs = list(combinations(range(count), 2))
    score = sum(_sign(series[later] - series[earlier]) for earlier, later in pairs)
    ties = sum(times * (times - 1) * (2 * times + 5) for times in (series.count(value) for value in set(series)))
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if variance <= 0 or score == 0:
        return Trend(1.0, 0.0)
    slope = statistics.median((series[later] - series[earlier]) / (later - earlier) for earlier, later in pairs)
    return Trend(math.erfc((abs(score) - 1) / math.sqrt(2 * variance)), slope * (count - 1))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


class Step(NamedTuple):
    """By its p-value, and its place: the first value after it."""

    p_value: float
    at: int


def step(series: Sequence[float], *, seed: int = 1) -> Step:
    """The likeliest step of at least six values."""
    ranks = _ranks(series)
    found, at = _greatest(ranks)
    draw = random.Random(seed)  # noqa: S311 - resampling, no secret
    as_great = 0
    for orders in range(1, _ORDERS + 1):
        as_great += _greatest(draw.sample(ranks, len(ranks)))[0] >= found
        if as_great >= _ENOUGH:
            return Step(_ENOUGH / orders, at)
    return Step((1 + as_great) / (1 + _ORDERS), at)


def _ranks(series: Sequence[float]) -> list[float]:
    """From the middle; ties share theirs."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(series)):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) - (len(series) - 1) / 2 for value in series]


def _greatest(ranks: Sequence[float]) -> tuple[float, int]:
    count, total, best, at = len(ranks), 0.0, -1.0, 0
    for cut in range(1, count - _SIDE + 1):
        total += ranks[cut - 1]
        if cut >= _SIDE:
            score = total * total / (cut * (count - cut))
            if score > best:
                best, at = score, cut
    return best, at
