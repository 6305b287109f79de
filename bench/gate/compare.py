# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench compare``: two keys, modules, configurations or installations, measured in turn in one job.

What the machine does meanwhile hits both, so that nothing has to be known of the machine: the way for runners that
change from job to job. Every process is a fresh one, and the turns go A B, B A, A B, …
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sealpass.bench.gate import document, rounds
from sealpass.bench.gate.decision import ANOTHER_KEY_SD, Outcome, Rule
from sealpass.bench.gate.document import Findings, Side, Stage
from sealpass.bench.gate.figures import Figures
from sealpass.bench.gate.operation import SOFTWARE, naming
from sealpass.bench.gate.rounds import BUDGET_SECONDS
from sealpass.bench.gate.spawn import Measured, Request, measure, worker_command
from sealpass.bench.report.outline import printable
from sealpass.core.errors import ConfigError

SECONDS = 0.4
"""Of measuring in each process: with five a side a clear answer comes within ten seconds."""
Told = Callable[[str], None]
"""Called with what begins."""


def _nobody(_stage: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the two that are compared."""

    uri: str
    python: str | None = None
    """The interpreter whose installation of sealpass measures it; None: this one."""

    def request(self, asked: "Asked") -> Request:
        """What its processes are asked."""
        # Also for a device of its own: the reference here has to be the same for both, and need not be like either.
        return Request(self.uri, asked.reference or SOFTWARE, seconds=SECONDS, force_login=asked.force_login)


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison as it was asked for."""

    a: Contender
    b: Contender
    reference: str | None = None
    force_login: bool = False
    rule: Rule = field(default_factory=Rule)
    budget: float = BUDGET_SECONDS
    max_error_rate: float = 0.0
    """Up to this share of a side's operations may fail; a wrong plaintext never may."""


Take = Callable[[Contender, Request], Measured]


def _take(contender: Contender, request: Request) -> Measured:
    return measure(request, None if contender.python is None else worker_command(contender.python))


@dataclass(slots=True)
class _Turns:
    """The processes of one side, the first of which was taken before the rounds began."""

    name: str
    contender: Contender
    request: Request
    take: Take
    began: float
    measured: list[Measured] = field(default_factory=list)
    unit: int | None = None
    """Nanoseconds that take the place of the reference's median; None: the ratio is as it was measured."""
    handed: int = 0
    longest: float = 0.0
    """Seconds of the longest process so far."""

    def first(self) -> Measured:
        """The process that tells what is compared."""
        self._measure()
        return self.measured[0]

    def _measure(self) -> None:
        begin, python = time.monotonic(), self.contender.python
        with naming(self.name if python is None else f"{self.name} ({python})"):
            self.measured.append(self.take(self.contender, self.request.by(self.began)))
        self.longest = max(self.longest, time.monotonic() - begin)

    def one(self) -> Figures:
        """The next process."""
        if self.handed == len(self.measured):
            self._measure()
        if self.unit is not None:
            self.measured[self.handed] = _in_units(self.measured[self.handed], self.unit)
        self.handed += 1
        return self.measured[self.handed - 1].figures

    def side(self, started: str) -> Side:
        """What was measured, for the result file."""
        first, python = self.measured[0], self.contender.python
        label = str(first.device["uri"]) if python is None else printable(f"{python} (sealpass {first.version})")
        return Side.of(self.name, label, self.measured, started)


def _in_units(measured: Measured, unit: int) -> Measured:
    figures = measured.figures
    if figures.device_median_ns is None:
        return measured
    return replace(measured, figures=replace(figures, log_ratio=math.log(figures.device_median_ns / unit)))


def run(asked: Asked, told: Told = _nobody, *, take: Take = _take) -> dict[str, Any]:
    """Compare; answers the document. Raises operator errors."""
    began = time.monotonic()
    found = Findings("compare", asked.rule, budget=asked.budget, max_error_rate=asked.max_error_rate)
    told("measuring fresh processes of A and B in turn")
    a, b = (_Turns(name, each, each.request(asked), take, began) for name, each in (("A", asked.a), ("B", asked.b)))
    first_a, first_b = a.first(), b.first()
    if first_a.device["bits"] != first_b.device["bits"]:
        raise ConfigError(
            f"A has {first_a.device['bits']} bits and B has {first_b.device['bits']}",
            hint="compare keys of one size",
        )
    notes = _notes(first_a.device, first_b.device)
    if not _same_reference(first_a, first_b):
        # A ratio to what differs as well says nothing; one figure for all leaves the times as they are.
        a.unit = b.unit = first_a.figures.reference_median_ns or first_b.figures.reference_median_ns or 1
        notes.append("the installations decrypt their reference with different libraries: times are compared as such")
    result = rounds.in_turn(
        a.one,
        b.one,
        asked.rule,
        between=0.0 if first_a.device["key_id"] == first_b.device["key_id"] else ANOTHER_KEY_SD,
        budget=asked.budget - (time.monotonic() - began),
        longest=max(a.longest, b.longest),
        breaks=lambda figures: document.ends_it(figures, asked.max_error_rate),
    )
    started = document.moment(found.started)
    found.sides = [a.side(started), b.side(started)]
    correct = document.correctness(found.sides, asked.max_error_rate)
    if correct.outcome == Outcome.FAIL:
        undone = Stage(document.COMPARISON, document.NOT_DONE, ("a wrong answer has no speed",))
        found.stages = [correct, undone]
    else:
        found.comparisons, found.looks = result.comparisons, result.looks
        found.stages = [correct, _judged(result, notes)]
    return found.document()


def _judged(result: rounds.Rounds, notes: list[str]) -> Stage:
    stage = document.speed(document.COMPARISON, result.comparisons)
    if stage.outcome == Outcome.PASS:
        return Stage(stage.id, document.WARNING, tuple(notes)) if notes else stage
    return replace(stage, reasons=(*stage.reasons, *notes))


def _same_reference(a: Measured, b: Measured) -> bool:
    """Whether both sides time the same reference by the same means."""
    if a.reference["key_id"] != b.reference["key_id"]:
        return False
    libraries = ("cryptography", "openssl")
    return a.reference["kind"] != SOFTWARE or all(a.host[name] == b.host[name] for name in libraries)


def _notes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What limits the comparison without forbidding it."""
    notes = []
    if a["key_id"] != b["key_id"]:
        notes.append("A and B are two keys: only larger changes can be told from what another key does")
    notes += [f"A opens with {a[name]} and B with {b[name]}" for name in ("alg", "mode") if a[name] != b[name]]
    return notes
