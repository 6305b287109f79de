# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench gate``: a key against its baseline and its targets, in the order in which the answers matter.

Correctness first; then the ratio to the reference against the baseline's, where the machine is like the one of the
baseline; then absolute objectives. Nothing that comes later makes good what failed before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sealpass.bench.gate import baseline as stored
from sealpass.bench.gate import decision, document, rounds
from sealpass.bench.gate.baseline import Baseline
from sealpass.bench.gate.decision import ANOTHER_DAY_SD, ANOTHER_KEY_SD, Outcome, Rule
from sealpass.bench.gate.document import Findings, Side, Stage
from sealpass.bench.gate.figures import Figures
from sealpass.bench.gate.rounds import BUDGET_SECONDS
from sealpass.bench.gate.spawn import Measured, Request, measure
from sealpass.bench.gate.targets import Targets

_LEAST_FOR_A_BASELINE = 8
"""Processes that have to count; fewer make every later comparison unsure."""
Told = Callable[[str], None]
"""Called with what begins."""


def _nobody(_stage: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A gate as it was asked for."""

    request: Request
    baseline: Path
    reason: str | None = None
    """Why the baseline is to be written; None: compare with it."""
    targets: Targets | None = None
    targets_file: str | None = None
    fail_on_mismatch: bool = False
    rule: Rule = field(default_factory=Rule)
    budget: float = BUDGET_SECONDS


@dataclass(slots=True)
class _Gate:
    """A gate while it runs."""

    asked: Asked
    told: Told
    take: Callable[[Request], Measured]
    found: Findings
    measured: list[Measured] = field(default_factory=list)

    def one(self) -> Figures:
        """One more fresh process."""
        self.measured.append(self.take(self.asked.request))
        return self.measured[-1].figures

    @property
    def now(self) -> Side:
        return Side.of("now", self.measured[0].device["uri"], self.measured, document.moment(self.found.started))


def run(asked: Asked, told: Told = _nobody, *, take: Callable[[Request], Measured] = measure) -> dict[str, Any]:
    """Gate a key, or write its baseline; answers the document. Raises operator errors.

    The baseline is written where that was asked for, every answer was right and enough processes counted.
    """
    found = Findings("gate", asked.rule, budget=asked.budget)
    found.settings = {
        "on_mismatch": "fail" if asked.fail_on_mismatch else "warn",
        "baseline": str(asked.baseline),
        "targets": asked.targets_file,
        "slack": None if asked.targets is None else asked.targets.slack,
    }
    gate = _Gate(asked, told, take, found)
    old = _old_baseline(asked)
    if asked.reason is None:
        assert old is not None  # noqa: S101 - _old_baseline raises otherwise
        _compare(gate, old)
    else:
        _write(gate, old, asked.reason)
    if asked.targets is not None:
        _judge_objectives(gate, asked.targets)
    return found.document()


def _old_baseline(asked: Asked) -> Baseline | None:
    if asked.reason is not None and not asked.baseline.exists():
        return None
    hint = "make one on purpose: 'sealpass bench gate KEY --baseline FILE --update-baseline REASON'"
    return stored.load(asked.baseline, hint)


def _compare(gate: _Gate, old: Baseline) -> None:
    found, asked = gate.found, gate.asked
    gate.told("measuring fresh processes in turn with the reference")
    first = gate.one()
    device, reference, host = gate.measured[0].device, gate.measured[0].reference, gate.measured[0].host
    before = Side("baseline", str(asked.baseline), old.processes, old.taken, old.device, old.reference, old.host)
    unlike = stored.unlike(old, device, reference, host)
    if unlike:
        found.sides = [before, gate.now]
        found.stages = [document.correctness([gate.now]), _mismatch(unlike, fail=asked.fail_on_mismatch)]
        return
    news = stored.another_module(old, device)
    between = ANOTHER_DAY_SD
    if old.device["key_id"] != device["key_id"]:
        between = max(between, ANOTHER_KEY_SD)
        news.append("the key is another one: only larger changes can be told from what a new key does")
    given = [first]
    result = rounds.against_stored(
        old.processes,
        lambda: given.pop() if given else gate.one(),
        asked.rule,
        between=between,
        budget=asked.budget,
    )
    found.sides, found.comparisons, found.looks = [before, gate.now], result.comparisons, result.looks
    found.stages = [document.correctness([gate.now])]
    if result.errors:
        found.stages.append(Stage(document.BASELINE, document.NOT_DONE, ("a wrong answer has no speed",)))
        return
    stage = document.speed(document.BASELINE, result.comparisons)
    if news and stage.outcome == Outcome.PASS:
        stage = Stage(stage.id, document.WARNING, tuple(news))
    found.stages.append(stage)


def _mismatch(unlike: list[str], *, fail: bool) -> Stage:
    reasons = ("not compared: a ratio of another machine or operation says nothing of this one", *unlike)
    return Stage(document.BASELINE, Outcome.FAIL if fail else document.WARNING, reasons)


def _write(gate: _Gate, old: Baseline | None, reason: str) -> None:
    found, asked = gate.found, gate.asked
    gate.told("measuring fresh processes for a new baseline")
    began, counted = time.monotonic(), 0
    while not gate.measured or (counted < stored.PROCESSES and time.monotonic() - began < asked.budget):
        figures = gate.one()
        counted += figures.counts
        if figures.errors:
            break
    found.sides = [gate.now]
    correct = document.correctness([gate.now])
    found.stages = [correct]
    if correct.outcome == Outcome.FAIL:
        found.stages.append(Stage(document.BASELINE, document.NOT_DONE, ("no baseline is made of wrong answers",)))
        return
    if counted < _LEAST_FOR_A_BASELINE:
        reasons = (f"the host left only {counted} processes in peace; the baseline was not written",)
        found.stages.append(Stage(document.BASELINE, Outcome.INCONCLUSIVE, reasons))
        return
    first = gate.measured[0]
    processes = [one.figures for one in gate.measured if one.figures.counts]
    made = Baseline(document.moment(found.started), first.device, first.reference, first.host, processes, history=())
    ratio = decision.compare(processes, processes, asked.rule)[0].after
    assert ratio is not None  # noqa: S101 - there are enough processes
    stored.updated(old, made, reason, ratio.value).save(asked.baseline)
    found.stages.append(Stage(document.BASELINE, Outcome.PASS, (f"written to {asked.baseline}: {reason}",)))


def _judge_objectives(gate: _Gate, targets: Targets) -> None:
    from sealpass.bench.gate import objectives  # with it comes the load engine, which a gate without targets can spare

    found = gate.found
    if found.stages[0].outcome == Outcome.FAIL:
        found.stages.append(Stage(document.OBJECTIVES, document.NOT_DONE, ("a wrong answer has no speed",)))
        return
    gate.told("measuring against the targets")
    found.objectives = objectives.measure(gate.asked.request.uri, targets, gate.measured[0].device)
    found.stages.append(objectives.stage(found.objectives))
