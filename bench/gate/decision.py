# SPDX-License-Identifier: Apache-2.0
"""The rule of the gate: pure functions on the figures of processes; no clock, no device.

The unit is the process, because operations of one process share its heap, its session and its moment. Three statistics:
the logarithm of the ratio of medians (every operation a little slower), the share of slow operations (a few of them
much slower) and the logarithm of the ratio of means (what lies between the two, and few very long ones). Each side is a
20 % trimmed mean over processes, the difference is tested by Yuen's form of Welch's test (Yuen 1974), with variances
that never fall below what is known of processes. What is trimmed is not forgotten: where it is much slower, nothing
passes. docs/decisions/0011.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from sealpass.bench.gate import student
from sealpass.bench.gate.figures import MOST_SECONDS, SLOW, Figures
from sealpass.bench.gate.trimmed import Interval, Mean, Trimmed

MIN_PROCESSES = 3
"""A side; fewer say nothing of how processes differ."""
_POWER = 0.95
_STRAY_SDS = 3.0
"""A process is a stray beyond twice the floor and so many standard deviations of the processes before."""
_STRAY_SLOW = 4
"""And with so many slow operations, where these are counted: a stray is no single one."""
_NONE_SEEN = 6.0
"""Of n operations none is slow: then a rate of twice this / n can be excluded at one look, with some reserve."""
PROCESS_SD = 0.004
"""Of the logarithm of the ratio, between processes with one key on a quiet machine; measured."""
MEAN_SD = 0.006
"""Of the logarithm of the ratio of means, between such processes; measured."""
ANOTHER_DAY_SD = 0.007
"""Of both ratios, between a stored baseline and today, another load included; 0.0048 was seen in 221 runs."""
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
    """How often an unchanged key may fail, over all statistics and all looks together."""
    looks: tuple[int, ...] = (5, 8, 12, 18)
    """At how many processes a side the figures are looked at; each look has the same part of ``alarms``."""

    def level(self, name: str) -> float:
        """The one-sided level of one test of a statistic at one look (Bonferroni)."""
        return self.alarms * _SHARES[name] / len(self.looks)

    @property
    def mean_floor(self) -> float:
        """The noise floor of means, which vary by more than medians."""
        return 2 * self.noise_floor


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
            "unit": "share" if self.id == TAIL else RELATIVE,
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


MEDIAN, TAIL, MEAN = "median", "tail", "mean"
RELATIVE = "relative"
"""The unit of ratios; slow operations are a share."""
TITLES = {
    MEDIAN: "median, device to reference",
    TAIL: f"operations of {SLOW:g} times the median or longer",
    MEAN: "mean, device to reference",
}
_SHARES = {MEDIAN: 0.4, TAIL: 0.3, MEAN: 0.3}
"""Of the alarms. The median shows the smallest slowdowns; of the others what is looked for is larger."""


def compare(
    before: Sequence[Figures], after: Sequence[Figures], rule: Rule, *, between: float = 0.0, apart: bool = False
) -> tuple[Comparison, Comparison, Comparison]:
    """All statistics (median, tail, mean), on the processes that count.

    ``between`` is the standard deviation that moves a whole side and not its processes: ANOTHER_DAY_SD, ANOTHER_KEY_SD.
    ``apart``: the sides were not measured in turn, so that each had neighbours of its own.
    """
    old = [one for one in before if one.counts]
    new = [one for one in after if one.counts]
    median, tail, mean = (
        _Test(name, floor, rule.level(name), (len(old), len(new)))
        for name, floor in ((MEDIAN, rule.noise_floor), (TAIL, rule.tail_floor), (MEAN, rule.mean_floor))
    )
    if min(len(old), len(new)) < MIN_PROCESSES:
        reason = _too_few([*before, *after])
        return (median.nothing(reason), tail.nothing(reason), mean.nothing(reason))
    if apart:
        between = math.hypot(between, CROWDED_SD * crowding(old), CROWDED_SD * crowding(new))
    return (
        _ratios(median, [list(map(_log_ratio, side)) for side in (old, new)], PROCESS_SD, between),
        _tails(tail, old, new, MOST_SECONDS * rule.looks[0]),
        _means(mean, old, new, between),
    )


def _too_few(processes: Sequence[Figures]) -> str:
    """Why too few processes count."""
    if any(one.too_slow for one in processes):
        return f"the device answers too slowly: too few operations in the {MOST_SECONDS:g} s of a process"
    return f"fewer than {MIN_PROCESSES} processes a side were left in peace by the host"


def crowding(side: Sequence[Figures]) -> float:
    """The share of operations that were not warm: how busy others kept the machine."""
    return 1 - math.fsum(one.warm / one.pairs for one in side) / len(side)


def _log_ratio(one: Figures) -> float:
    assert one.log_ratio is not None  # noqa: S101 - of the processes that count
    return one.log_ratio


def _means(test: "_Test", old: Sequence[Figures], new: Sequence[Figures], between: float) -> Comparison:
    if any(one.excess is None for one in (*old, *new)):
        return test.nothing("a baseline of an earlier version has no means: write it again")
    sides = [[_log_ratio(one) + math.log1p(one.excess or 0.0) for one in side] for side in (old, new)]
    return _ratios(test, sides, MEAN_SD, between)


def _ratios(test: "_Test", sides: Sequence[Sequence[float]], sd: float, between: float) -> Comparison:
    old, new = (Trimmed.of(side) for side in sides)
    found = test.run(old.with_known(sd**2), new.with_known(sd**2), between)
    limit = max(*sides[0], old.mean + 2 * math.log1p(test.floor) + _STRAY_SDS * math.sqrt(max(sd**2, old.one)))
    return _passed_by_all(found, sum(value > limit for value in sides[1]))


def _tails(test: "_Test", old: Sequence[Figures], new: Sequence[Figures], seconds: float) -> Comparison:
    """``seconds`` is how long the first look may measure."""
    if min(one.witnessed for one in (*old, *new)) == 0:
        return test.nothing("in a process no operation was witnessed by a calm reference")
    widened = _NONE_SEEN / _reachable((*old, *new), seconds)
    note = None
    if widened > test.floor:
        note = f"the device answers too slowly to look for less than {100 * widened:.1f} slow ones in 100"
        test = replace(test, floor=widened)
    # Half an event more than was seen: nothing seen in a thousand is not a rate of zero.
    rate = (sum(one.slow for one in (*old, *new)) + 0.5) / (sum(one.witnessed for one in (*old, *new)) + 1)
    shares = [[one.slow / one.witnessed for one in side] for side in (old, new)]
    sides = [Trimmed.of(side) for side in shares]
    # A binomial varies by so much. By how much more these shares do is asked of both sides together: alone, a side has
    # too few processes to tell.
    known = [rate * (1 - rate) / _typical_witnessed(side) for side in (old, new)]
    df = sum(side.kept - 1 for side in sides)
    more = max(1.0, math.fsum(side.squares / least for side, least in zip(sides, known, strict=True)) / df)
    means = [Mean(side.mean, more * least / side.kept, df) for side, least in zip(sides, known, strict=True)]
    # None seen in a hundred excludes little: what is to be excluded has the variance of its own rate.
    worse = 2 * test.floor
    error = math.sqrt(worse * (1 - worse) / sum(one.witnessed for one in new))
    found = test.run(means[0], means[1], 0.0, error, df=df)
    limit = max(*shares[0], sides[0].mean + worse + _STRAY_SDS * math.sqrt(known[0]))
    strays = sum(one.slow >= _STRAY_SLOW and share > limit for one, share in zip(new, shares[1], strict=True))
    found = _passed_by_all(found, strays)
    return found if note is None or found.reason is not None else replace(found, reason=note)


def _passed_by_all(found: Comparison, strays: int) -> Comparison:
    """Nothing passes where some processes are much slower than the rest, and than any before."""
    if found.outcome is not Outcome.PASS or not strays:
        return found
    reason = f"{strays} of {found.processes[1]} processes are much slower than the others, and than any before"
    return replace(found, outcome=Outcome.INCONCLUSIVE, reason=reason)


def _reachable(processes: Sequence[Figures], seconds: float) -> float:
    """How many operations of so slow a device this time has room for."""
    pair_ns = statistics.median((one.device_median_ns or 0) + (one.reference_median_ns or 0) for one in processes)
    return seconds * 1e9 / max(pair_ns, 1)


def _typical_witnessed(side: Sequence[Figures]) -> float:
    """The harmonic mean of how many operations were witnessed: what the variance of a mean share goes by."""
    return len(side) / math.fsum(1 / one.witnessed for one in side)


@dataclass(frozen=True, slots=True)
class _Test:
    """One statistic, whatever it is; the scale of ratios is logarithmic until they are shown."""

    name: str
    floor: float
    level: float
    """One-sided, of one look."""
    processes: tuple[int, int]

    def run(
        self,
        before: Mean,
        after: Mean,
        between: float,
        error_if_worse: float = 0.0,
        df: float | None = None,
    ) -> Comparison:
        """Welch's test with a floor: fail only if significant and beyond it, pass only if twice it is excluded.

        ``error_if_worse`` is the standard error that the difference had at least, if it were twice the floor; ``df``
        belongs to a variance that both sides have in common.
        """
        difference = after.value - before.value
        variance = before.variance + after.variance + between**2
        error = math.sqrt(variance)
        # Welch and Satterthwaite; a known variance has no part in the denominator.
        if df is None:
            df = variance**2 / (before.variance**2 / before.df + after.variance**2 / after.df or math.ulp(0.0))
        half = student.quantile(self.level, df) * error
        above = max(half, student.quantile(self.level, math.inf) * error_if_worse)
        limits = Interval(difference, difference - half, difference + above)
        floor = self._internal(self.floor)
        outcome, reason = Outcome.INCONCLUSIVE, None
        if limits.low > 0 and difference > floor:
            outcome = Outcome.FAIL
        elif limits.high < self._internal(2 * self.floor):
            outcome = Outcome.PASS
        else:
            worst = 100 * self._shown(limits.high)
            what = {
                MEDIAN: f"a slowdown of {worst:.1f} %",
                TAIL: f"{worst:.1f} more slow ones in 100",
                MEAN: f"a slowdown of {worst:.1f} % in the mean",
            }[self.name]
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
        return math.log1p(shown) if self.name != TAIL else shown

    def _shown(self, internal: float) -> float:
        return math.expm1(internal) if self.name != TAIL else internal

    def _value(self, interval: Interval) -> Interval:
        if self.name != TAIL:
            return Interval(*map(math.exp, (interval.value, interval.low, interval.high)))
        return Interval(interval.value, max(0.0, interval.low), min(1.0, interval.high))
