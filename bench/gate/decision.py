# SPDX-License-Identifier: Apache-2.0
"""The rule of the gate: pure functions on the figures of processes; no clock, no device.

The unit is the process, because operations of one process share its heap, its session and its moment. Two statistics:
the logarithm of the ratio of medians (every operation a little slower) and the share of slow operations (a few of them
much slower). Each side is a 20 % trimmed mean over processes, the difference is tested by Yuen's form of Welch's test
(Yuen 1974), with variances that never fall below what is known of processes. docs/decisions/0011.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from sealpass.bench.gate import student
from sealpass.bench.gate.figures import SLOW, Figures

MIN_PROCESSES = 3
"""A side; fewer say nothing of how processes differ."""
_TRIMMED = 0.2
_POWER = 0.95
OVERDISPERSED = 3.0
"""Shares of slow operations are binomial, unless their variance between processes is larger by this factor."""
_SHOWN = 0.025
"""Each side of the 95 % intervals of one side."""
PROCESS_SD = 0.004
"""Of the logarithm of the ratio, between processes with one key on a quiet machine; measured."""
ANOTHER_DAY_SD = 0.006
"""The same between a stored baseline and today, another load of the machine included; measured."""
CROWDED = 0.5
"""From this share of operations that are not warm on, others keep the machine busy."""
CROWDED_SD = 0.009
"""The same on a machine where hardly an operation is warm: a neighbour on the other half of the core slows the device
more than the reference, undisturbed or not. In between in proportion."""
ANOTHER_KEY_SD = 0.01
"""The same between two keys of one size on one device: a fresh one moved the ratio by up to 3 % elsewhere."""


class Outcome(StrEnum):
    """What the rule says; overall fail before inconclusive before pass."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """The exit status of the commands."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 4}[self]


def overall(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several; of none it is a pass."""
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS


@dataclass(frozen=True, slots=True)
class Rule:
    """What fails, and how sure the rule has to be."""

    noise_floor: float = 0.025
    """A median that is slower by up to this (0.025 is 2.5 %) never fails; twice this must not slip through."""
    tail_floor: float = 0.0075
    """The same for the share of slow operations: one in 133."""
    alarms: float = 0.01
    """How often an unchanged key may fail, over both statistics and all looks together."""
    looks: tuple[int, ...] = (5, 8, 12, 18)
    """At how many processes a side the figures are looked at; each look has the same part of ``alarms``."""

    @property
    def level(self) -> float:
        """The one-sided level of one test at one look (Bonferroni)."""
        return self.alarms / 2 / len(self.looks)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how far it may be off."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """For the result file."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One statistic, after against before; positive differences are slower."""

    id: str
    before: Interval | None
    after: Interval | None
    difference: Interval | None
    p_value: float | None
    visible: float | None
    """The smallest slowdown that would have been caught in 95 of 100 runs."""
    floor: float
    processes: tuple[int, int]
    outcome: Outcome
    reason: str | None = None

    @property
    def significant(self) -> bool:
        """Whether anything can be said of the difference."""
        return self.difference is not None and not self.difference.low <= 0 <= self.difference.high

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        nothing = {"value": None, "low": None, "high": None}
        sides = {
            name: nothing if interval is None else interval.to_dict()
            for name, interval in (("before", self.before), ("after", self.after), ("difference", self.difference))
        }
        return {
            "id": self.id,
            "title": TITLES[self.id],
            "unit": "relative" if self.id == MEDIAN else "share",
            **sides,
            "p_value": None if self.p_value is None else float(f"{self.p_value:.3g}"),
            "significant": self.significant,
            "floor": self.floor,
            "tolerable": 2 * self.floor,
            "visible": None if self.visible is None else round(self.visible, 6),
            "processes": {"before": self.processes[0], "after": self.processes[1]},
            "outcome": self.outcome.value,
            "reason": self.reason,
        }


MEDIAN, TAIL = "median", "tail"
TITLES = {MEDIAN: "median, device to reference", TAIL: f"operations of {SLOW:g} times the median or longer"}


@dataclass(frozen=True, slots=True)
class _Mean:
    """A trimmed mean with its variance and degrees of freedom."""

    value: float
    variance: float
    df: float

    def interval(self) -> Interval:
        half = student.quantile(_SHOWN, self.df) * math.sqrt(self.variance)
        return Interval(self.value, self.value - half, self.value + half)


def _trimmed_mean(values: Sequence[float], known_variance: float, times: float = 1.0) -> _Mean:
    """Yuen (1974): the mean without the outer fifths, its variance from the winsorised values.

    ``known_variance`` is what one value varies by, whatever these few happen to do; only where they vary by more than
    so many ``times`` this, is their own variance taken.
    """
    ordered, n = sorted(values), len(values)
    cut = int(_TRIMMED * n)
    kept = n - 2 * cut
    mean = math.fsum(ordered[cut : n - cut]) / kept
    winsorised = [ordered[cut]] * cut + ordered[cut : n - cut] + [ordered[n - cut - 1]] * cut
    centre = math.fsum(winsorised) / n
    squares = math.fsum((value - centre) ** 2 for value in winsorised)
    variance = squares / (kept * (kept - 1))
    known = known_variance / kept
    if variance <= times * known:
        return _Mean(mean, known, math.inf)
    return _Mean(mean, variance, kept - 1)


def compare(
    before: Sequence[Figures], after: Sequence[Figures], rule: Rule, *, between: float = 0.0, apart: bool = False
) -> tuple[Comparison, Comparison]:
    """Both statistics, on the processes that count.

    ``between`` is the standard deviation that moves a whole side and not its processes: ANOTHER_DAY_SD, ANOTHER_KEY_SD.
    ``apart``: the sides were not measured in turn, so that each had neighbours of its own.
    """
    old = [one for one in before if one.counts]
    new = [one for one in after if one.counts]
    if min(len(old), len(new)) < MIN_PROCESSES:
        reason = f"fewer than {MIN_PROCESSES} processes a side were left in peace by the host"
        return (
            _Test(MEDIAN, rule.noise_floor, (len(old), len(new))).nothing(reason),
            _Test(TAIL, rule.tail_floor, (len(old), len(new))).nothing(reason),
        )
    if apart:
        between = math.hypot(between, CROWDED_SD * crowding(old), CROWDED_SD * crowding(new))
    return _medians(old, new, rule, between), _tails(old, new, rule)


def crowding(side: Sequence[Figures]) -> float:
    """The share of operations that were not warm: how busy others kept the machine."""
    return 1 - math.fsum(one.warm / one.pairs for one in side) / len(side)


def _medians(old: Sequence[Figures], new: Sequence[Figures], rule: Rule, between: float) -> Comparison:
    means = [
        _trimmed_mean([one.log_ratio for one in side if one.log_ratio is not None], PROCESS_SD**2)
        for side in (old, new)
    ]
    return _Test(MEDIAN, rule.noise_floor, (len(old), len(new))).run(means[0], means[1], between, rule.level)


def _tails(old: Sequence[Figures], new: Sequence[Figures], rule: Rule) -> Comparison:
    test = _Test(TAIL, rule.tail_floor, (len(old), len(new)))
    witnessed = sum(one.witnessed for one in (*old, *new))
    if min(one.witnessed for one in (*old, *new)) == 0:
        return test.nothing("in a process no operation was witnessed by a calm reference")
    # Half an event more than was seen: nothing seen in a thousand is not a rate of zero.
    rate = (sum(one.slow for one in (*old, *new)) + 0.5) / (witnessed + 1)
    means = [
        _trimmed_mean(
            [one.slow / one.witnessed for one in side], rate * (1 - rate) / _typical_witnessed(side), OVERDISPERSED
        )
        for side in (old, new)
    ]
    # None seen in a hundred excludes little: what is to be excluded has the variance of its own rate.
    worse = 2 * rule.tail_floor
    error = math.sqrt(worse * (1 - worse) / sum(one.witnessed for one in new))
    return test.run(means[0], means[1], 0.0, rule.level, error)


def _typical_witnessed(side: Sequence[Figures]) -> float:
    """The harmonic mean of how many operations were witnessed: what the variance of a mean share goes by."""
    return len(side) / math.fsum(1 / one.witnessed for one in side)


@dataclass(frozen=True, slots=True)
class _Test:
    """One statistic, whatever it is; the median's scale is logarithmic until it is shown."""

    name: str
    floor: float
    processes: tuple[int, int]

    def run(self, before: _Mean, after: _Mean, between: float, level: float, error_if_worse: float = 0.0) -> Comparison:
        """Welch's test with a floor: fail only if significant and beyond it, pass only if twice it is excluded.

        ``error_if_worse`` is the standard error that the difference had at least, if it were twice the floor.
        """
        difference = after.value - before.value
        variance = before.variance + after.variance + between**2
        error = math.sqrt(variance)
        # Welch and Satterthwaite; a known variance has no part in the denominator.
        df = variance**2 / (before.variance**2 / before.df + after.variance**2 / after.df or math.ulp(0.0))
        half = student.quantile(level, df) * error
        above = max(half, student.quantile(level, math.inf) * error_if_worse)
        limits = Interval(difference, difference - half, difference + above)
        floor = self._internal(self.floor)
        outcome, reason = Outcome.INCONCLUSIVE, None
        if limits.low > 0 and difference > floor:
            outcome = Outcome.FAIL
        elif limits.high < self._internal(2 * self.floor):
            outcome = Outcome.PASS
        else:
            worst = 100 * self._shown(limits.high)
            what = f"a slowdown of {worst:.1f} %" if self.name == MEDIAN else f"{worst:.1f} more slow ones in 100"
            reason = f"{what} cannot be excluded, and nothing is proved"
        return Comparison(
            id=self.name,
            before=self._value(before.interval()),
            after=self._value(after.interval()),
            difference=Interval(*map(self._shown, (limits.value, limits.low, limits.high))),
            p_value=min(1.0, 2 * student.upper_tail(abs(difference) / error, df)),
            visible=self._shown(max(floor, half) + NormalDist().inv_cdf(_POWER) * max(error, error_if_worse)),
            floor=self.floor,
            processes=self.processes,
            outcome=outcome,
            reason=reason,
        )

    def nothing(self, reason: str) -> Comparison:
        """What is said where nothing can be said."""
        nothing = (None, None, None, None, None)
        return Comparison(self.name, *nothing, self.floor, self.processes, Outcome.INCONCLUSIVE, reason)

    def _internal(self, shown: float) -> float:
        return math.log1p(shown) if self.name == MEDIAN else shown

    def _shown(self, internal: float) -> float:
        return math.expm1(internal) if self.name == MEDIAN else internal

    def _value(self, interval: Interval) -> Interval:
        if self.name == MEDIAN:
            return Interval(*map(math.exp, (interval.value, interval.low, interval.high)))
        return Interval(interval.value, max(0.0, interval.low), min(1.0, interval.high))
