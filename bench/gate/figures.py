# SPDX-License-Identifier: Apache-2.0
"""From what one fresh process recorded to its few figures. Pure: no clock, no device.

The kernel counts how often it took the core away from a thread (``ru_nivcsw``). An operation in which it did says
something of the host and nothing of the device; and whoever gets the core back finds other people's data in its caches,
so that the next operations are slower, the device's more than the reference's. The median rests on warm operations
only: those before which the thread worked undisturbed for a while.

The mean is put together from two parts, each from the operations that can tell it: up to the limit of slow ones from
warm operations, and what is above it from all that can be judged.

Slow operations are interrupted more often than others, so that they cannot be left out without hiding what is looked
for: of a device that computes in this thread, interrupted operations are judged by their CPU time. What remains of the
host (a hypervisor that stops the machine, a neighbour on the other half of the core) hits the reference operations
around as well: an operation only counts as slow where these were as fast as ever. docs/decisions/0011.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SLOW = 2.2
"""An operation is slow from so many times the median on; later where the device's times are wide by nature."""
_SLOW_SPREADS, _CALM_SPREADS = 5.0, 4.0
"""So many times the distance from the lower quartile to the median (logarithms; 3.4 and 2.7 standard deviations of a
normal one) is what a wide body has by nature. The lower quartile: slow operations are none of it."""
_QUARTILE_SDS = 0.674
"""From a quartile to the median of a normal distribution, in standard deviations."""
_MEDIAN_VARIANCE = math.pi / 2
"""Of the median of n, as a part of that of the mean."""
RATIO_ERROR = 0.01
"""The standard error of a process's ratio that is worth some more time."""
LONGEST = 20.0
"""Times the median: what a longer operation has above this adds nothing to the mean, so that one is not a process."""
WARM_NS = 1_200_000
"""Nanoseconds of undisturbed work after which the caches are our own again; measured."""
MIN_WARM = 40
"""A process with fewer warm operations of either kind does not count ..."""
MIN_WARM_LONG, LONG_NS = 12, 2_000_000_000
"""... unless a few took so long together: a device that answers slowly is no busy host."""
MOST_SECONDS = 5.0
"""A process measures no longer."""
_PEACEFUL = 1.25
"""Pairs for each warm operation, at most, where the host left a process in peace."""
_WITNESSES = 2
"""So many reference operations before and after have to be as fast as ever, or interrupted, which explains them."""
_AS_FAST_AS_EVER = 1.3
"""Times the median of the reference. OpenSSL renews its blinding with every 32nd operation, at twice the time."""
CPU_BOUND = 0.8
"""A device whose operations spend this part of their time or more on this thread's CPU computes in it."""
DEVICE_INTERRUPTED, REFERENCE_INTERRUPTED, DEVICE_FIRST, DEVICE_TORN = 1, 2, 4, 8
"""Bits of a mark; torn is more than TORN interruptions in one operation."""
TORN = 2
"""After more interruptions than this, cold caches alone make an operation slow: its CPU time says nothing either ..."""
TORN_SLOW = 4.0
"""... unless it is so many times the median; 1.9 was the most in 337 of unchanged devices."""
PROTOCOL = 1
"""Of what a process is asked and answers. Another number where a recording means something else than before, because
who asks and who answers may be two versions of sealpass."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What one process measured: pairs of operations in turn, in the order in which they ran."""

    device_ns: Sequence[int]
    reference_ns: Sequence[int]
    device_cpu_ns: Sequence[int]
    """CPU time of this thread in the device's operations: all of it in a soft token, little elsewhere."""
    marks: Sequence[int]
    """For each pair: which of its operations were interrupted, and which came first."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """By class; operations that failed have no times."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rule sees of a process."""

    pairs: int
    log_ratio: float | None
    """Logarithm of the ratio of the medians of warm operations; None where there are none."""
    device_median_ns: int | None
    reference_median_ns: int | None
    warm: int
    """How many operations of the device the median rests on."""
    slow: int
    witnessed: int
    """How many operations could have been found slow."""
    errors: Mapping[str, int] = field(default_factory=dict)
    excess: float | None = None
    """By how much the mean is above the median, as a part of the median; None in a file of an earlier version."""

    @property
    def counts(self) -> bool:
        """Whether there were enough warm operations to say something of the device."""
        medians = (self.device_median_ns, self.reference_median_ns)
        return None not in medians and _enough(self.warm, sum(median or 0 for median in medians))

    @property
    def too_slow(self) -> bool:
        """Whether a process that does not count was left in peace: the device had no time for enough operations."""
        return not self.counts and 0 < self.pairs <= _PEACEFUL * self.warm

    def to_dict(self) -> dict[str, Any]:
        """For the baseline and the result file."""
        return {
            "pairs": self.pairs,
            "log_ratio": None if self.log_ratio is None else round(self.log_ratio, 6),
            "device_median_ns": self.device_median_ns,
            "reference_median_ns": self.reference_median_ns,
            "warm": self.warm,
            "slow": self.slow,
            "witnessed": self.witnessed,
            "errors": dict(sorted(self.errors.items())),
            "excess": None if self.excess is None else round(self.excess, 6),
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> "Figures":
        """From a baseline that has the form of its schema."""
        return cls(**members)


def _enough(warm: int, pair_ns: float) -> bool:
    """Whether so many operations of a pair of so many nanoseconds are enough."""
    return warm >= MIN_WARM or (warm >= MIN_WARM_LONG and warm * pair_ns >= LONG_NS)


def _width(times: Sequence[int], spreads: float) -> float:
    """How many times its median a body may reach by nature."""
    lower, median, _ = statistics.quantiles(times, n=4)
    return float((median / max(lower, 1)) ** spreads)


def warm_wanted(recording: Recording) -> int:
    """How many warm pairs make the ratio of the medians as sure as it can be used, by the width of both bodies."""
    device, reference = _warm(recording)
    times = [
        [taken[at] for at in warm]
        for taken, warm in ((recording.device_ns, device), (recording.reference_ns, reference))
    ]
    if min(map(len, times)) < MIN_WARM_LONG:
        return 0
    variance = math.fsum((math.log(_width(each, 1.0)) / _QUARTILE_SDS) ** 2 for each in times)
    return math.ceil(_MEDIAN_VARIANCE * variance / RATIO_ERROR**2)


def figures(recording: Recording) -> Figures:
    """The figures of a recording."""
    device, reference = recording.device_ns, recording.reference_ns
    device_warm, reference_warm = _warm(recording)
    own = [device[at] for at in device_warm]
    others = [reference[at] for at in reference_warm]
    fewest = min(len(own), len(others))
    if fewest < 2 or not _enough(fewest, statistics.median(own) + statistics.median(others)):  # noqa: PLR2004 - a median
        return Figures(len(device), None, None, None, fewest, 0, 0, recording.errors)
    median, other = statistics.median(own), statistics.median(others)
    limit, calm_limit = max(SLOW, _width(own, _SLOW_SPREADS)), max(_AS_FAST_AS_EVER, _width(others, _CALM_SPREADS))
    calm = [
        time <= calm_limit * other or bool(mark & REFERENCE_INTERRUPTED)
        for time, mark in zip(reference, recording.marks, strict=True)
    ]
    witnessed = [all(calm[max(0, at - _WITNESSES) : at + _WITNESSES + 1]) for at in range(len(calm))]
    cpu = statistics.median(recording.device_cpu_ns[at] for at in device_warm)
    judged = _judged(recording, TORN_SLOW * median, computes_here=cpu >= CPU_BOUND * median)
    times = [time / median for at, time in judged if witnessed[at]]
    body = [min(device[at] / median, limit) for at in device_warm if witnessed[at]]
    above = math.fsum(max(min(time, LONGEST) - limit, 0) for time in times)
    return Figures(
        len(device),
        math.log(median / other),
        round(median),
        round(other),
        len(own),
        sum(time >= limit for time in times),
        len(times),
        recording.errors,
        statistics.fmean(body) - 1 + above / len(times) if body and times else 0.0,
    )


def _warm(recording: Recording) -> tuple[list[int], list[int]]:
    """The numbers of the pairs whose device operation is warm, and of those whose reference operation is."""
    device: list[int] = []
    reference: list[int] = []
    undisturbed = WARM_NS  # there was a warm-up
    times = zip(recording.device_ns, recording.reference_ns, recording.marks, strict=True)
    for at, (device_ns, reference_ns, mark) in enumerate(times):
        turns = [
            (device, device_ns, mark & DEVICE_INTERRUPTED),
            (reference, reference_ns, mark & REFERENCE_INTERRUPTED),
        ]
        for warm, taken, interrupted in turns if mark & DEVICE_FIRST else reversed(turns):
            if interrupted:
                undisturbed = 0
                continue
            if undisturbed >= WARM_NS:
                warm.append(at)
            undisturbed += taken
    return device, reference


def _judged(recording: Recording, torn_slow_ns: float, *, computes_here: bool) -> list[tuple[int, int]]:
    """The numbers of the pairs whose device operation may be found slow, and the time to go by."""
    times = zip(recording.device_ns, recording.device_cpu_ns, recording.marks, strict=True)
    return [
        (at, cpu if mark & DEVICE_INTERRUPTED else taken)
        for at, (taken, cpu, mark) in enumerate(times)
        if (not mark & DEVICE_TORN or cpu >= torn_slow_ns) and (computes_here or not mark & DEVICE_INTERRUPTED)
    ]
