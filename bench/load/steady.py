# SPDX-License-Identifier: Apache-2.0
"""When the warm-up is over: windows are measured and thrown away until what is left of them has no transient.

The rule is MSER: of a series, cut off so much of its begin that the standard error of the mean of the rest is least;
if that is half of it or more, there is no steady state yet (White, "An effective truncation heuristic for bias
reduction in simulation output", Simulation 69(6), 1997; White, Cobb and Spratt, "A comparison of five steady-state
truncation heuristics for simulation", Winter Simulation Conference 2000). A value of the series is here the median of
a window, because one descheduled call would rule its mean. And what is left must show no trend (Mann and Kendall's
test): half of a slow decay has less variance than all of it, and is no steady state.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from sealpass.bench.load.document import WarmUp
from sealpass.bench.load.processes import Crew, Lost, Rate
from sealpass.bench.load.recording import NANOSECONDS, Taken
from sealpass.bench.load.trend import trend

FIRST_WINDOW_SECONDS = 0.05
LEAST_WINDOWS = 10
_ENOUGH_SAMPLES = 5
"""Of a window, as in MSER-5."""
_TREND = 0.1
"""A false alarm costs one window more."""


def truncation(series: Sequence[float]) -> int | None:
    """How many values at the begin belong to a transient; None where there is no steady state, or too few values."""
    count = len(series)
    if count < LEAST_WINDOWS:
        return None
    best, least = 0, math.inf
    for cut in range(count // 2 + 1):
        rest = series[cut:]
        error = statistics.pvariance(rest) / len(rest)
        if error < least:
            best, least = cut, error
    return best if best < count // 2 else None


def is_steady(*several: Sequence[float]) -> bool:
    """Whether each of the series has come to a steady state, at a value above 0."""
    for series in several:
        cut = truncation(series)
        if cut is None or min(series[cut:]) <= 0 or trend(series[cut:]).p_value < _TREND:
            return False
    return True


def warm_up(crew: Crew, rate: Rate | None, least: float, most: float) -> tuple[WarmUp, bool]:
    """Measure windows and throw them away until they are steady; also answers whether it was interrupted.

    ``least`` and ``most`` are seconds. Medians of service times have to be steady, and, in a closed loop, rates.
    """
    spent, length = 0.0, min(FIRST_WINDOW_SECONDS, most)
    medians: list[float] = []
    rates: list[float] = []
    while spent < most:
        taken_seconds = min(length, most - spent)
        results = crew.measure(taken_seconds, rate)
        spent += taken_seconds
        taken = [one for one in results if isinstance(one, Taken)]
        if any(one.is_interrupted for one in taken):
            return WarmUp(spent, None, "interrupted"), True
        if any(isinstance(one, Lost) for one in results):
            return WarmUp(spent, None, "a process was lost"), False
        found = _window(taken)
        if found.samples < _ENOUGH_SAMPLES and spent + 2 * length * LEAST_WINDOWS <= most:
            length, medians, rates = 2 * length, [], []
            continue
        medians.append(found.median_ns)
        rates.append(found.per_second)
        if spent >= least and is_steady(medians, *([rates] if rate is None else [])):
            return WarmUp(spent, steady=True), False
    if most == 0:
        return WarmUp(0.0, None, "no warm-up was asked for"), False
    return WarmUp(spent, steady=False, reason=f"no steady state within {most:g} s"), False


class _Window(NamedTuple):
    samples: int
    median_ns: float
    per_second: float


def _window(taken: Sequence[Taken]) -> _Window:
    services = [value for one in taken for value in one.service]
    elapsed = max(one.finished for one in taken) - min(one.began for one in taken)
    per_second = len(services) * NANOSECONDS / elapsed if elapsed else 0.0
    return _Window(len(services), statistics.median(services) if services else 0.0, per_second)
