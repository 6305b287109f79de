# SPDX-License-Identifier: Apache-2.0
"""Whether the device stayed the same while it was measured: a trend is a drift, a lasting step down is throttling.

Both have to be significant and large: of many series one is always significant, and with many operations so is a change
that nobody cares for. What is looked at are medians of windows, so that single stalls are no findings, and in a closed
loop rates, in which a slow tail shows (trend.py has the tests). Where both are found, it is a step only if the windows
deviate clearly less from it than from the trend.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from sealpass.bench.load.recording import NANOSECONDS, Taken
from sealpass.bench.load.trend import step, trend

SIGNIFICANCE = 0.0025
"""Of each test; there are two, for each of two series, so that 1 in 100 steady runs is called unsteady at most."""
LEAST_CHANGE = 0.05
"""Over the whole measurement: less is no finding."""
LEAST_STEP = 0.1
"""A device slower by less than this was not throttled."""
_CLEARLY = 0.9
_WINDOWS = 30
_LEAST_WINDOWS = 10
_ENOUGH_SAMPLES = 10


@dataclass(slots=True)
class Findings:
    """In words, each naming size and time."""

    throttled: list[str] = field(default_factory=list)
    drifting: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """How a series changed."""

    kind: str
    """``trend`` or ``step``."""
    part: float
    """0.1: at the end a tenth more than at the begin."""
    at: int = 0
    """Of a step: the first window after it."""


def findings(taken: Sequence[Taken], *, is_closed: bool) -> Findings:
    """What changed in a window, all processes together; nothing where there are too few operations to tell."""
    found = Findings()
    begin = min((one.began for one in taken), default=0)
    length = (max((one.finished for one in taken), default=0) - begin) / NANOSECONDS
    windows = _windows(taken, begin)
    services = [statistics.median(window) for window in windows]
    change = changed(services)
    if change is not None:
        _say(found, "service time", change, change.part, length / len(windows))
    elif is_closed:
        change = changed([float(len(window)) for window in windows])
        if change is not None:
            _say(found, "the rate", change, 1 / (1 + change.part) - 1, length / len(windows))
    return found


def _say(found: Findings, what: str, change: Change, slower: float, seconds: float) -> None:
    size = f"{what} {'rose' if change.part > 0 else 'fell'} by {100 * abs(change.part):.0f} %"
    if change.kind == "trend":
        found.drifting.append(f"{size} from begin to end")
    elif slower >= LEAST_STEP:
        found.throttled.append(f"{size} after {change.at * seconds:.3g} s, and stayed there: throttled?")
    else:
        found.drifting.append(f"{size} after {change.at * seconds:.3g} s, and stayed there")


def _windows(taken: Sequence[Taken], begin: int) -> list[list[int]]:
    """Service times by when the calls ended, in as many windows as the samples allow; empty where that is too few."""
    samples = sum(len(one.service) for one in taken)
    count = min(_WINDOWS, samples // _ENOUGH_SAMPLES)
    if count < _LEAST_WINDOWS:
        return []
    width = max(1, -(-(max(one.finished for one in taken) - begin) // count))
    windows: list[list[int]] = [[] for _ in range(count)]
    for one in taken:
        for ended, service in zip(one.ended, one.service, strict=True):
            windows[min(count - 1, (ended - begin) // width)].append(service)
    return windows if all(windows) else [window for window in windows if window]


def changed(series: Sequence[float]) -> Change | None:
    """The trend or step of a series of positive values, if it is significant and large."""
    if len(series) < _LEAST_WINDOWS:
        return None
    trended, stepped = _trend(series), _step(series)
    if trended is None or stepped is None:
        return trended or stepped
    return stepped if _deviation(series, stepped) < _CLEARLY * _deviation(series, trended) else trended


def _trend(series: Sequence[float]) -> Change | None:
    p_value, total = trend(series)
    middle = statistics.median(series)
    # From a begin to an end that are the middle less and more half the change; it is kept above nothing.
    part = total / max(middle - total / 2, middle / 10)
    return Change("trend", part) if p_value < SIGNIFICANCE and abs(part) >= LEAST_CHANGE else None


def _step(series: Sequence[float]) -> Change | None:
    p_value, at = step(series)
    part = statistics.median(series[at:]) / statistics.median(series[:at]) - 1
    return Change("step", part, at) if p_value < SIGNIFICANCE and abs(part) >= LEAST_CHANGE else None


def _deviation(series: Sequence[float], change: Change) -> float:
    """How far the windows lie from the step, or from the line."""
    if change.kind == "step":
        before, after = statistics.median(series[: change.at]), statistics.median(series[change.at :])
        return sum(abs(value - (before if place < change.at else after)) for place, value in enumerate(series))
    slope, intercept = statistics.linear_regression(range(len(series)), series)
    return sum(abs(value - intercept - slope * place) for place, value in enumerate(series))
