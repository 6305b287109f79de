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
    REFERENCE_INTERRUPTED,
    WARM_NS,
    Figures,
    Recording,
    figures,
)

DEVICE_NS, REFERENCE_NS = 480_000, 216_000
_BODY_SD, _PROCESS_SD, _DAY_SD = 0.02, 0.004, 0.004
_CROWDED_SD, _CROWDED_AT = 0.011, 0.12
"""Beside neighbours who interrupt 12 in 100 operations of the reference, 24 of the device."""


@dataclass(frozen=True)
class Effect:
    """What is planted into the device."""

    slower: float = 0.0
    tail_rate: float = 0.0
    tail_times: float = 3.0


UNCHANGED, SLOWER, TAIL = Effect(), Effect(slower=0.05), Effect(tail_rate=1 / 50)


class Machine:
    """One day of a machine: its processes share a shift of the ratio."""

    def __init__(self, seed: int, *, interruptions: float = 0.05, effect: Effect = UNCHANGED) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - noise, not secrets
        self._interruptions = interruptions
        self._effect = effect
        # Neighbours on the other half of the core: only ever slower, and more so the busier they are.
        crowded = abs(self._draw.gauss(0, _CROWDED_SD)) * interruptions / _CROWDED_AT
        self._day = self._draw.gauss(0, _DAY_SD) + crowded

    def record(self, pairs: int = 260, warm: int = 150) -> Recording:
        """What a fresh process records: so many pairs, and until so many are warm."""
        draw, effect = self._draw, self._effect
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


def plain(log_ratio: float | None, *, slow: int = 0, witnessed: int = 500, **others: Any) -> Figures:
    """Figures as they are written by hand."""
    members: dict[str, Any] = {
        "pairs": 600,
        "log_ratio": log_ratio,
        "device_median_ns": 480_000,
        "reference_median_ns": 216_000,
        "warm": 500,
        "slow": slow,
        "witnessed": witnessed,
        "errors": {},
    }
    return Figures.from_dict(members | others)
