# SPDX-License-Identifier: Apache-2.0
"""Recordings of a modelled device beside a modelled reference, with the noise that was seen on a real machine.

Fitted to SoftHSM2 against software RSA-2048 on two busy cores: bodies that vary by a few percent, a process and a day
that shift the ratio, interruptions with cold caches after them, stalls of the whole machine that the kernel does not
count, a machine whose speed drifts, and OpenSSL's new blinding in every 32nd operation of the reference.
"""

import math
import random
from dataclasses import dataclass
from typing import Any

from sealpass.bench.gate.figures import (
    DEVICE_FIRST,
    DEVICE_INTERRUPTED,
    MOST_SECONDS,
    REFERENCE_INTERRUPTED,
    WARM_NS,
    Figures,
    Recording,
    figures,
    warm_wanted,
)

DEVICE_NS, REFERENCE_NS = 480_000, 216_000
_BODY_SD, _PROCESS_SD, _DAY_SD = 0.02, 0.004, 0.005
_CROWDED_SD, _CROWDED_AT = 0.007, 0.12
"""Beside neighbours who interrupt 12 in 100 operations of the reference, 24 of the device. With the days (two of
them lie 0.007 apart) the ratio is moved half as far again as on the real machine."""


@dataclass(frozen=True)
class Effect:
    """What is planted into the device."""

    slower: float = 0.0
    tail_rate: float = 0.0
    tail_times: float = 3.0
    every: int = 1
    """Only in each process with such a number, the first one included."""


UNCHANGED, SLOWER, TAIL = Effect(), Effect(slower=0.05), Effect(tail_rate=1 / 50)


class Machine:
    """One day of a machine: its processes share a shift of the ratio."""

    def __init__(self, seed: int, *, interruptions: float = 0.05, effect: Effect = UNCHANGED) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - noise, not secrets
        self._interruptions = interruptions
        self._effect = effect
        self._processes = 0
        # Neighbours on the other half of the core: only ever slower, and more so the busier they are.
        crowded = abs(self._draw.gauss(0, _CROWDED_SD)) * interruptions / _CROWDED_AT
        self._day = self._draw.gauss(0, _DAY_SD) + crowded

    def record(self, pairs: int = 260, warm: int = 150) -> Recording:
        """What a fresh process records: so many pairs, and until so many are warm."""
        draw = self._draw
        effect = self._effect if self._processes % self._effect.every == 0 else UNCHANGED
        self._processes += 1
        own = DEVICE_NS * math.exp(self._day + draw.gauss(0, _PROCESS_SD)) * (1 + effect.slower)
        phase, depth = draw.uniform(0, 6), draw.uniform(0, 0.2)
        cold = stalled = 0
        device, reference, cpu, marks = [], [], [], []
        found_warm = undisturbed = 0
        for pair in range(10 * pairs):
            if pair >= pairs and found_warm >= warm:
                break
            found_warm += undisturbed > WARM_NS
            undisturbed += DEVICE_NS + REFERENCE_NS
            speed = 1 + depth * math.sin(phase + 4 * pair / pairs)
            mark = DEVICE_FIRST * (pair % 2)
            taken = {}
            for is_device in (True, False) if pair % 2 else (False, True):
                time = (own if is_device else REFERENCE_NS) * speed * math.exp(draw.gauss(0, _BODY_SD))
                if is_device and draw.random() < effect.tail_rate:
                    time *= effect.tail_times
                if not is_device and pair % 32 == 0:
                    time *= 2
                busy = time
                if draw.random() < self._interruptions * (2 if is_device else 1):
                    time += draw.expovariate(1 / 2_000_000)
                    mark |= DEVICE_INTERRUPTED if is_device else REFERENCE_INTERRUPTED
                    cold, undisturbed = 4, 0
                elif cold:
                    time *= 1 + cold * (0.03 if is_device else 0.015)
                    cold -= 1
                if draw.random() < 1 / 2000:
                    stalled = 12
                if stalled:
                    time *= draw.uniform(1.7, 3.5)
                    stalled -= 1
                taken[is_device] = round(time)
                if is_device:
                    cpu.append(round(busy))
            device.append(taken[True])
            reference.append(taken[False])
            marks.append(mark)
        return Recording(device, reference, cpu, marks)

    def process(self) -> Figures:
        """The figures of a fresh process."""
        return figures(self.record())


class Remote:
    """A device that is waited for, and a reference on it: times vary by themselves, and nothing interrupts."""

    def __init__(self, seed: int, *, milliseconds: float, jitter: float, slower: float = 0.0) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - noise, not secrets
        self._milliseconds, self._jitter, self._slower = milliseconds, jitter, slower
        self.seconds = 0.0
        """Of all processes so far."""

    def process(self) -> Figures:
        """The figures of a fresh process, which measures for as long as the worker does."""
        pair_s = 2 * self._milliseconds / 1000
        most = math.ceil(MOST_SECONDS / pair_s)
        recording = self._record(min(most, max(150, math.ceil(0.8 / pair_s))))
        more = min(most, warm_wanted(recording)) - len(recording.marks)
        if more > 0:
            recording = self._record(len(recording.marks) + more)
        self.seconds += 0.6 + pair_s * len(recording.marks)
        return figures(recording)

    def _record(self, pairs: int) -> Recording:
        unit = 1e6 * self._milliseconds
        reference, device = (
            [round(unit * (1 + slower) * self._draw.lognormvariate(0, self._jitter)) for _ in range(pairs)]
            for slower in (0.0, self._slower)
        )
        return Recording(device, reference, [20_000] * pairs, [DEVICE_FIRST * (pair % 2) for pair in range(pairs)])


def plain(log_ratio: float | None, *, slow: int = 0, witnessed: int = 500, **others: Any) -> Figures:
    """Figures as they are written by hand; of 216 µs for the reference, unless others are given."""
    members: dict[str, Any] = {
        "pairs": 600,
        "log_ratio": log_ratio,
        "device_median_ns": round(REFERENCE_NS * math.exp(log_ratio or 0.0)),
        "reference_median_ns": REFERENCE_NS,
        "warm": 500,
        "slow": slow,
        "witnessed": witnessed,
        "errors": {},
        "excess": 0.01,
    }
    return Figures.from_dict(members | others)
