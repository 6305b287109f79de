# SPDX-License-Identifier: Apache-2.0
"""From what one fresh process recorded to its few figures. Pure: no clock, no device.

The kernel counts how often it took the core away from a thread (``ru_nivcsw``). An operation in which it did says
something of the host and nothing of the device; and whoever gets the core back finds other people's data in its caches,
so that the next operations are slower, the device's more than the reference's. The median rests on warm operations
only: those before which the thread worked undisturbed for a while.

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
"""An operation is slow from so many times the median on."""
WARM_NS = 1_200_000
"""Nanoseconds of undisturbed work after which the caches are our own again; measured."""
MIN_WARM = 40
"""A process with fewer warm operations of either kind does not count."""
_WITNESSES = 2
"""So many reference operations before and after have to be as fast as ever, or interrupted, which explains them."""
_AS_FAST_AS_EVER = 1.3
"""Times the median of the reference. OpenSSL renews its blinding with every 32nd operation, at twice the time."""
CPU_BOUND = 0.8
"""A device whose operations spend this part of their time or more on this thread's CPU computes in it."""
DEVICE_INTERRUPTED, REFERENCE_INTERRUPTED, DEVICE_FIRST, DEVICE_TORN = 1, 2, 4, 8
"""Bits of a mark; torn is more than TORN interruptions in one operation."""
TORN = 2
"""After more interruptions than this, cold caches alone make an operation slow: its CPU time says nothing, either."""
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

    @property
    def counts(self) -> bool:
        """Whether the host left the process in peace long enough to say something of the device."""
        return self.warm >= MIN_WARM

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
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> "Figures":
        """From a baseline that has the form of its schema."""
        return cls(**members)


def figures(recording: Recording) -> Figures:
    """The figures of a recording."""
    device, reference = recording.device_ns, recording.reference_ns
    device_warm, reference_warm = _warm(recording)
    own = [device[at] for at in device_warm]
    others = [reference[at] for at in reference_warm]
    if min(len(own), len(others)) < MIN_WARM:
        return Figures(len(device), None, None, None, 0, 0, 0, recording.errors)
    median, other = statistics.median(own), statistics.median(others)
    calm = [
        time <= _AS_FAST_AS_EVER * other or bool(mark & REFERENCE_INTERRUPTED)
        for time, mark in zip(reference, recording.marks, strict=True)
    ]
    cpu = statistics.median(recording.device_cpu_ns[at] for at in device_warm)
    judged = _judged(recording, computes_here=cpu >= CPU_BOUND * median)
    witnessed = [time for at, time in judged if all(calm[max(0, at - _WITNESSES) : at + _WITNESSES + 1])]
    slow = sum(time >= SLOW * median for time in witnessed)
    log_ratio = math.log(median / other)
    return Figures(
        len(device), log_ratio, round(median), round(other), len(own), slow, len(witnessed), recording.errors
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


def _judged(recording: Recording, *, computes_here: bool) -> list[tuple[int, int]]:
    """The numbers of the pairs whose device operation may be found slow, and the time to go by."""
    times = zip(recording.device_ns, recording.device_cpu_ns, recording.marks, strict=True)
    return [
        (at, cpu if mark & DEVICE_INTERRUPTED else taken)
        for at, (taken, cpu, mark) in enumerate(times)
        if not mark & DEVICE_TORN and (computes_here or not mark & DEVICE_INTERRUPTED)
    ]
