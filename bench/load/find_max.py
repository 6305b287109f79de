# SPDX-License-Identifier: Apache-2.0
"""The highest rate of an open loop that holds an objective for a stated time.

The search goes up in steps of 1.5 from half of what a closed loop reached, in short trials, until one is missed. Then
it bisects, each trial for the whole time, until the rates that held and that did not are 5 % apart. The answer is a
rate that held for the whole time itself.

**A breach counts only if it lasts.** A trial is cut into ten slices. If the objective is missed, but would be held
without its worst slice, that was a moment (another guest of the machine, one stall of the device): the rate is tried
once more, and then it counts. What is missed without the worst slice, too, counts at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sealpass.bench.load.objective import Objective, Trial
from sealpass.bench.load.processes import Crew, Lost, Rate
from sealpass.bench.load.recording import NANOSECONDS, Taken
from sealpass.bench.load.scenario import MAX_SECONDS
from sealpass.bench.load.worker import Watch
from sealpass.core.errors import ConfigError

SLICES = 10
PRECISION = 0.05
RULE = (
    "a breach counts if it lasts: a rate that misses the objective, but not without the worst tenth of its time, "
    "is tried once more"
)
_UP = 1.5
_SHORT = 0.2
"""A trial on the way up, as a part of the whole time."""
_LEAST_OPERATIONS = 200
"""Of a trial on the way up."""
_LEAST_ABOVE = 2
"""Operations above a percentile; with fewer it is the slowest one, and says nothing about the next hundred."""
_MOST_TRIALS = 40
_CLOSED_SECONDS = 0.5
_INTERRUPTED = "interrupted: a higher rate may hold"


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; raises ConfigError."""

    objective: Objective
    hold_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.hold_s <= MAX_SECONDS:
            raise ConfigError(f"a rate is held for more than 0 seconds, and at most {MAX_SECONDS}")
        longest = max(limit for _, limit in self.objective.times) / NANOSECONDS
        if self.hold_s < SLICES * longest:
            raise ConfigError(
                f"an objective of {longest:g} s cannot be seen in {self.hold_s:g} s",
                hint=f"hold a rate for ten times as long, --hold {SLICES * longest:g}",
            )

    def too_few(self, rate_per_s: float, taken: Sequence[Taken]) -> str | None:
        """Why the objective is not known to hold at this rate: too few operations lie above a percentile of it."""
        percents = [percent for percent, _ in self.objective.times if percent < 100]  # noqa: PLR2004 - not the maximum
        if not percents:
            return None
        percent = max(percents)
        needed = round(_LEAST_ABOVE / (1 - percent / 100), 6)  # as in 2 / (1 - 0.99), which is a little more than 200
        count = sum(one.started for one in taken)
        if count >= needed:
            return None
        hold_s = math.ceil(1.1 * needed / rate_per_s)
        return f"p{percent:g} of only {count} operations says little: raise --hold to {hold_s} s"


@dataclass(slots=True)
class Outcome:
    """What was found."""

    max_rate_per_s: float | None = None
    """None: no rate held."""
    reason: str | None = None
    """Why there is no rate, or what is missing."""
    tried: list[dict[str, Any]] = field(default_factory=list)
    best: list[Taken] = field(default_factory=list)
    """What was taken at that rate."""
    is_interrupted: bool = False
    is_inside: bool = False
    """A second interrupt ended it: a thread may be inside the device, and must not be waited for."""

    def to_dict(self, operation: str, device: int, axes: Mapping[str, Any], search: Search) -> dict[str, Any]:
        """One of the ``objectives`` of a result document."""
        rate = self.max_rate_per_s
        return {
            "operation": operation,
            "device": device,
            "axes": dict(axes),
            "slo": str(search.objective),
            "max_rate_per_s": None if rate is None else round(rate, 3),
            "held_for_s": None if rate is None else search.hold_s,
            "tried": self.tried,
            "reason": self.reason,
            "rule": RULE,
        }


WatchOf = Callable[[float], "Watch | None"]
"""Told each rate before it is tried; answers who watches."""


class _Stopped(Exception):
    """Why the search ends before its time."""


class FindMax:
    """One search on one crew, whose device is warm."""

    def __init__(
        self, crew: Crew, search: Search, *, shared: bool = True, watch_of: WatchOf = lambda _rate: None
    ) -> None:
        self._crew = crew
        self._search = search
        self._shared = shared
        self._watch_of = watch_of
        self._outcome = Outcome()
        self._is_measuring = False

    def run(self) -> Outcome:
        """Search; an interrupt, or a process that is lost, ends it, and what was found until then counts.

        Raises no KeyboardInterrupt.
        """
        outcome = self._outcome
        try:
            self._bisect(*self._bracket())
        except _Stopped as stopped:
            outcome.reason = str(stopped)
        except KeyboardInterrupt:  # between two windows; out of one comes only the second
            outcome.reason, outcome.is_interrupted, outcome.is_inside = _INTERRUPTED, True, self._is_measuring
        if outcome.max_rate_per_s is not None:
            reasons = (outcome.reason, self._search.too_few(outcome.max_rate_per_s, outcome.best))
            outcome.reason = "; ".join(filter(None, reasons)) or None
        elif outcome.reason is None:
            last = outcome.tried[-1]
            outcome.reason = f"no rate held the objective: at {last['rate_per_s']:g}/s {'; '.join(last['missed'])}"
        return outcome

    def _bracket(self) -> tuple[float, float]:
        """A rate that held, or 0, and one that did not; the first only on trial where it held for a short time."""
        low, high = 0.0, 0.0
        rate = self._closed_rate() / 2
        while not high:
            if self._holds(rate, self._short(rate)):
                low, rate = rate, rate * _UP
            else:
                high = rate
        while not low and high * self._search.hold_s > 1:
            rate = high / 2
            if self._holds(rate, self._short(rate)):
                low = rate
            else:
                high = rate
        return low, high

    def _short(self, rate: float) -> float:
        return min(self._search.hold_s, max(_SHORT * self._search.hold_s, _LEAST_OPERATIONS / rate))

    def _bisect(self, low: float, high: float) -> None:
        held = 0.0
        while True:
            if high > (1 + PRECISION) * low:
                rate = (low * high) ** 0.5
            elif held < low:  # so far it held for a short time only
                rate = low
            else:
                return
            if rate * self._search.hold_s < 1:
                return
            if self._holds(rate, self._search.hold_s):
                low = held = rate
            else:
                high = rate
                if high <= low:
                    low = max(held, low / _UP)

    def _closed_rate(self) -> float:
        taken = self._measure(_CLOSED_SECONDS, None)
        elapsed = max(one.finished for one in taken) - min(one.began for one in taken)
        return sum(len(one.service) for one in taken) * NANOSECONDS / max(1, elapsed)

    def _holds(self, rate: float, seconds: float) -> bool:
        is_second = False
        while True:
            taken = self._measure(seconds, Rate(rate, self._shared), self._watch_of(rate))
            trial = Trial.of(taken, rate, seconds)
            missed = trial.breaches(self._search.objective)
            lasted = trial.lasted(self._search.objective, SLICES) if missed else None
            self._note(trial, missed, lasted)
            if not missed:
                if seconds == self._search.hold_s:
                    self._outcome.max_rate_per_s, self._outcome.best = rate, list(taken)
                return True
            if lasted or is_second:
                return False
            is_second = True

    def _note(self, trial: Trial, missed: list[str], lasted: bool | None) -> None:  # noqa: FBT001 - may be unknown
        self._outcome.tried.append(
            {
                "rate_per_s": round(trial.rate_per_s, 3),
                "seconds": round(trial.seconds, 3),
                "held": not missed,
                "lasted": lasted,
                "missed": missed,
                "operations": len(trial.responses) - trial.unstarted,
                "errors": trial.errors,
                "unstarted": trial.unstarted,
                "response": trial.measured(self._search.objective),
            }
        )

    def _measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> list[Taken]:
        if len(self._outcome.tried) >= _MOST_TRIALS:
            raise _Stopped(f"no answer after {_MOST_TRIALS} trials: the device does not keep to one behaviour")
        self._is_measuring = True
        results = self._crew.measure(seconds, rate, watch)
        self._is_measuring = False
        taken = [one for one in results if isinstance(one, Taken)]
        lost = [one for one in results if isinstance(one, Lost)]
        if any(one.is_interrupted for one in taken):
            self._outcome.is_interrupted = True
            raise _Stopped(_INTERRUPTED)
        if lost:
            raise _Stopped("; ".join(f"process {one.process} {one.status}: {one.reason}" for one in lost))
        if rate is None and not any(one.service for one in taken):
            self._outcome.best = taken  # its errors say why
            raise _Stopped("nothing was answered")
        if any(one.is_cut for one in taken):
            raise _Stopped("its answers are checked afterwards, and no more of them can be kept: hold for less long")
        return taken
