# SPDX-License-Identifier: Apache-2.0
"""What a user may expect of a service: ``p99=20ms``, ``errors=0.1%``; and whether a window held it.

Times are response times: from when an operation was due to its end, so waiting for a device that cannot keep up counts.
Starts that were due and never begun count with the time for which they had waited when the window ended.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sealpass.bench.load.recording import NANOSECONDS, Taken
from sealpass.core.errors import ConfigError

_UNITS = {"us": 1_000, "ms": 1_000_000, "s": NANOSECONDS}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_TIME = re.compile(rf"(p[0-9]{{1,2}}(?:\.[0-9]{{1,6}})?|max)=({_NUMBER})(us|ms|s)")
_SHARE = re.compile(rf"({_NUMBER})(%?)")
_ERRORS = "errors="
CARRIED = 0.95
"""Of the starts that were due: with fewer, the rate is another one."""
_HINT = "objectives are p50=5ms, p99=20ms, p99.9=1s, max=2s and errors=0.1%"


@dataclass(frozen=True, slots=True)
class Objective:
    """Several terms, all of which have to hold. Raises ConfigError where there is no time among them."""

    times: tuple[tuple[float, int], ...]
    """Percentile (100: the greatest), and the nanoseconds that it may be."""
    error_share: float = 0.0
    """Of all operations; none, unless something else was asked for."""

    def __str__(self) -> str:
        names = [f"{'max' if percent == 100 else f'p{percent:g}'}={_shown(limit)}" for percent, limit in self.times]  # noqa: PLR2004
        return " ".join([*names, f"errors={100 * self.error_share:g}%" if self.error_share else "errors=0"])


def _shown(nanoseconds: int) -> str:
    unit = next(unit for unit in ("s", "ms", "us") if nanoseconds >= _UNITS[unit] or unit == "us")
    return f"{nanoseconds / _UNITS[unit]:g}{unit}"


def error_share(text: str) -> float:
    """``0.1%`` or ``0.001``, less than all; raises ConfigError."""
    found = _SHARE.fullmatch(text)
    if found is None:
        raise ConfigError(f"no share of errors: '{text}'", hint="for example 0.1%")
    share = float(found[1]) / (100 if found[2] else 1)
    if share >= 1:
        raise ConfigError(f"a share that errors cannot exceed: '{text}'", hint="for example 0.1%")
    return share


def parse(terms: Sequence[str]) -> Objective:
    """Terms as on a command line, each maybe several with commas between; raises ConfigError."""
    times: dict[float, int] = {}
    share: float | None = None
    for term in (part.strip() for given in terms for part in given.split(",")):
        if (found := _TIME.fullmatch(term)) is not None:
            percent = 100.0 if found[1] == "max" else float(found[1][1:])
            limit = round(float(found[2]) * _UNITS[found[3]])
            if percent == 0 or limit == 0 or percent in times:
                raise ConfigError(f"no objective (no unit?), or one that is there twice: '{term}'", hint=_HINT)
            times[percent] = limit
        elif term.startswith(_ERRORS) and share is None:
            share = error_share(term.removeprefix(_ERRORS))
        else:
            raise ConfigError(f"no objective (no unit?), or one that is there twice: '{term}'", hint=_HINT)
    if not times:
        raise ConfigError("an objective needs a response time", hint=_HINT)
    return Objective(tuple(sorted(times.items())), share or 0.0)


class Response(NamedTuple):
    """One operation that was due."""

    due_ns: int
    """Since the begin of the window."""
    response_ns: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate, for some time."""

    rate_per_s: float
    seconds: float
    responses: Sequence[Response]
    errors: int
    unstarted: int

    @classmethod
    def of(cls, taken: Sequence[Taken], rate_per_s: float, seconds: float) -> "Trial":
        """What the processes took together."""
        begin = min(one.began for one in taken)
        responses = [
            Response(ended - service - delay - begin, service + delay)
            for one in taken
            for service, delay, ended in zip(one.service, one.delay, one.ended, strict=True)
        ]
        unstarted = sum(one.intended - one.started for one in taken)
        length = int(seconds * NANOSECONDS)
        # Those were the last ones in the schedule.
        waited = (int((number + 0.5) * NANOSECONDS / rate_per_s) for number in range(unstarted))
        responses += [Response(max(0, length - wait), wait) for wait in waited]
        return cls(rate_per_s, seconds, responses, sum(one.errors.total() for one in taken), unstarted)

    def breaches(self, objective: Objective) -> list[str]:
        """Terms that were missed, in words; and whether it was that rate at all."""
        missed = list(_missed(self.responses, self.errors, objective))
        return missed if self._is_carried else [*missed, f"{self.unstarted} starts found no thread until the end"]

    @property
    def _is_carried(self) -> bool:
        return self.unstarted <= (1 - CARRIED) * (len(self.responses) + self.errors)

    def lasted(self, objective: Objective, slices: int) -> bool:
        """Whether it would have been missed without the worst of so many slices, too."""
        if not self._is_carried:
            return True
        limits = [limit for _, limit in objective.times]
        late = [0] * slices
        places = [min(slices - 1, int(one.due_ns * slices / (self.seconds * NANOSECONDS))) for one in self.responses]
        for one, place in zip(self.responses, places, strict=True):
            late[place] += one.response_ns > min(limits)
        worst = late.index(max(late))
        rest = [one for one, place in zip(self.responses, places, strict=True) if place != worst]
        # Errors have no slice here: they are counted in full.
        return any(_missed(rest, self.errors, objective))

    def measured(self, objective: Objective) -> dict[str, Any]:
        """The figures of the objective's percentiles, in nanoseconds."""
        ordered = sorted(one.response_ns for one in self.responses)
        return {f"p{percent:g}_ns" if percent < 100 else "max_ns": _at(ordered, percent)  # noqa: PLR2004
                for percent, _ in objective.times}  # fmt: skip


def _missed(responses: Sequence[Response], errors: int, objective: Objective) -> Iterator[str]:
    ordered = sorted(one.response_ns for one in responses)
    if not ordered:
        yield "nothing was answered"
        return
    for percent, limit in objective.times:
        value = _at(ordered, percent) or 0
        if value > limit:
            name = "max" if percent == 100 else f"p{percent:g}"  # noqa: PLR2004
            yield f"{name} was {value / 1e6:.3g} ms"
    if errors > objective.error_share * (len(ordered) + errors):
        yield f"{errors} of {len(ordered) + errors} failed"


def _at(ordered: Sequence[int], percent: float) -> int | None:
    """The nearest-rank percentile; of few samples the greatest."""
    # As in 99.9 / 100 * 1000, which is a little more than 999.
    return ordered[max(1, math.ceil(round(percent / 100 * len(ordered), 6))) - 1] if ordered else None
