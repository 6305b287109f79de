# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench gate``: a key against its baseline and its targets, in the order in which the answers matter.

Correctness first; then the ratio to the reference against the baseline's, where the machine is like the one of the
baseline; then absolute objectives. Nothing that comes later makes good what failed before.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sealpass.bench.distribution import require_histograms
from sealpass.bench.gate import baseline as stored
from sealpass.bench.gate import decision, document, rounds
from sealpass.bench.gate.baseline import Baseline
from sealpass.bench.gate.decision import ANOTHER_DAY_SD, ANOTHER_KEY_SD, Outcome, Rule
from sealpass.bench.gate.document import Findings, Side, Stage
from sealpass.bench.gate.figures import MOST_SECONDS, Figures
from sealpass.bench.gate.rounds import BUDGET_SECONDS
from sealpass.bench.gate.spawn import Measured, Request, measure
from sealpass.bench.gate.targets import Targets
from sealpass.bench.report.files import make_directory
from sealpass.bench.report.outline import printable
from sealpass.core.uri import KeyUri

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
    max_error_rate: float = 0.0
    """Up to this share of operations may fail; a wrong plaintext never may."""


@dataclass(slots=True)
class _Gate:
    """A gate while it runs."""

    asked: Asked
    told: Told
    take: Callable[[Request], Measured]
    found: Findings
    began: float
    measured: list[Measured] = field(default_factory=list)
    longest: float = 0.0
    """Seconds of the longest process so far."""

    def one(self) -> Figures:
        """One more fresh process."""
        begin = time.monotonic()
        self.measured.append(self.take(self.asked.request.by(self.began)))
        self.longest = max(self.longest, time.monotonic() - begin)
        return self.measured[-1].figures

    def spent(self) -> float:
        """Seconds since the gate began."""
        return time.monotonic() - self.began

    def ends_it(self, figures: Figures) -> bool:
        """Whether a process makes all others pointless."""
        return document.ends_it(figures, self.asked.max_error_rate)

    def correctness(self) -> Stage:
        """Of all that was measured."""
        return document.correctness([self.now], self.asked.max_error_rate)

    @property
    def now(self) -> Side:
        return Side.of("now", self.measured[0].device["uri"], self.measured, document.moment(self.found.started))


def run(asked: Asked, told: Told = _nobody, *, take: Callable[[Request], Measured] = measure) -> dict[str, Any]:
    """Gate a key, or write its baseline; answers the document. Raises operator errors.

    The baseline is written where that was asked for, every answer was right, enough processes counted and no target
    was missed.
    """
    found = Findings("gate", asked.rule, budget=asked.budget, max_error_rate=asked.max_error_rate)
    found.settings = {
        "on_mismatch": "fail" if asked.fail_on_mismatch else "warn",
        "baseline": printable(asked.baseline),
        "targets": None if asked.targets_file is None else printable(asked.targets_file),
        "slack": None if asked.targets is None else asked.targets.slack,
    }
    if asked.targets is not None:
        require_histograms()  # before any work, as the next line
        asked.targets.of(KeyUri.parse(asked.request.uri).scheme)
    gate = _Gate(asked, told, take, found, time.monotonic())
    old = _old_baseline(asked)
    if asked.reason is None:
        assert old is not None  # noqa: S101 - _old_baseline raises otherwise
        _compare(gate, old)
        _judge_objectives(gate)
    else:
        make_directory(asked.baseline.parent)
        _write(gate, old, asked.reason)
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
    before = Side("baseline", printable(asked.baseline), old.processes, old.taken, old.device, old.reference, old.host)
    mismatch = _mismatch(
        stored.another_operation(old, device, reference), stored.another_host(old, host), fail=asked.fail_on_mismatch
    )
    if mismatch is not None:
        found.sides, found.stages = [before, gate.now], [gate.correctness(), mismatch]
        return
    given = [first]
    result = rounds.against_stored(
        old.processes,
        lambda: given.pop() if given else gate.one(),
        asked.rule,
        between=_between(old, device),
        budget=asked.budget - gate.spent(),
        longest=gate.longest,
        breaks=gate.ends_it,
    )
    found.sides, found.stages = [before, gate.now], [gate.correctness()]
    if found.stages[0].outcome == Outcome.FAIL:
        found.stages.append(Stage(document.BASELINE, document.NOT_DONE, ("a wrong answer has no speed",)))
        return
    found.comparisons, found.looks = result.comparisons, result.looks
    stage = document.speed(document.BASELINE, result.comparisons)
    passed, news = stage.outcome == Outcome.PASS, _news(old, device)
    stale = document.faster(result.comparisons) if passed else []
    outcome = document.WARNING if passed and (stale or news) else stage.outcome
    found.stages.append(Stage(stage.id, outcome, (*stale, *stage.reasons, *news)))


def _between(old: Baseline, device: Mapping[str, Any]) -> float:
    """The standard deviation between a baseline and today's processes of this device."""
    return ANOTHER_DAY_SD if old.device["key_id"] == device["key_id"] else max(ANOTHER_DAY_SD, ANOTHER_KEY_SD)


def _news(old: Baseline, device: Mapping[str, Any]) -> list[str]:
    """What is new about the device, and no reason not to compare."""
    news = stored.another_module(old, device)
    if old.device["key_id"] != device["key_id"]:
        news.append("the key is another one: only larger changes can be told from what a new key does")
    return news


def _mismatch(another_operation: list[str], another_host: list[str], *, fail: bool) -> Stage | None:
    """Why nothing is compared; None where it is. What became of the key is not excused by what became of the host."""
    renew = "if that is meant to be so, renew the baseline: --update-baseline REASON"
    if another_operation:
        reasons = ("not compared: this is not what the baseline measured", *another_operation, *another_host, renew)
        return Stage(document.BASELINE, Outcome.FAIL, reasons)
    if another_host:
        reasons = ("not compared: a ratio of another machine says nothing of this one", *another_host, renew)
        return Stage(document.BASELINE, Outcome.FAIL if fail else document.WARNING, reasons)
    return None


def _write(gate: _Gate, old: Baseline | None, reason: str) -> None:
    found, asked = gate.found, gate.asked
    gate.told("measuring fresh processes for a new baseline")
    kept: list[Figures] = []
    while not gate.measured or (len(kept) < stored.PROCESSES and gate.spent() + gate.longest <= asked.budget):
        figures = gate.one()
        if gate.ends_it(figures):
            break
        if figures.counts and not any(figures.errors.values()):
            kept.append(figures)
    found.sides, found.stages = [gate.now], [gate.correctness()]
    _judge_objectives(gate)
    found.stages.append(_written(gate, old, reason, kept))


def _written(gate: _Gate, old: Baseline | None, reason: str, processes: list[Figures]) -> Stage:
    """Write the baseline, unless something speaks against it; raises ConfigError."""
    found, asked = gate.found, gate.asked
    outcomes = [stage.outcome for stage in found.stages]

    def stage(outcome: str, *reasons: str) -> Stage:
        return Stage(document.BASELINE, outcome, reasons, document.WRITTEN)

    if outcomes[0] == Outcome.FAIL:
        return stage(document.NOT_DONE, "no baseline is made of wrong answers")
    if len(processes) < _LEAST_FOR_A_BASELINE:
        return stage(Outcome.INCONCLUSIVE, _too_few([one.figures for one in gate.measured], len(processes)))
    if any(outcome != Outcome.PASS for outcome in outcomes):
        return stage(document.NOT_DONE, "not written: the targets were not shown to be met")
    first = gate.measured[0]
    made = Baseline(document.moment(found.started), first.device, first.reference, first.host, processes, history=())
    ratio, told = _ratio(old, made, asked.rule)
    stored.updated(old, made, reason, ratio).save(asked.baseline)
    return stage(Outcome.PASS, f"{printable(asked.baseline)}: {reason}", *told)


def _too_few(measured: Sequence[Figures], kept: int) -> str:
    """Why no baseline can be made of these processes."""
    failed = sum(any(one.errors.values()) for one in measured)
    slow = sum(one.too_slow and not any(one.errors.values()) for one in measured)
    disturbed = len(measured) - kept - failed - slow
    causes = {
        f"in {slow} the device answered too slowly for enough operations in {MOST_SECONDS:g} s": slow > 0,
        f"{disturbed} had no peace from other processes": disturbed > 0,
        f"in {failed} operations failed": failed > 0,
        "there was no time for more": len(measured) < _LEAST_FOR_A_BASELINE,
    }
    shown = ", ".join(cause for cause, is_one in causes.items() if is_one)
    return (
        f"not written: of {len(measured)} processes {kept} count, and a baseline needs {_LEAST_FOR_A_BASELINE}: {shown}"
    )


def _ratio(old: Baseline | None, made: Baseline, rule: Rule) -> tuple[float, list[str]]:
    """The new ratio of medians; then in words how it differs from the old one, where they can be compared."""
    before = made if old is None else old
    between = _between(before, made.device)
    median = decision.compare(before.processes, made.processes, rule, between=between, apart=True)[0]
    assert median.before is not None  # noqa: S101 - there are enough processes
    assert median.after is not None  # noqa: S101 - as above
    assert median.difference is not None  # noqa: S101 - as above
    was, ratio = median.before.value, median.after.value
    if old is None:
        return ratio, [f"ratio {ratio:.3f}"]
    unlike = [*stored.another_operation(old, made.device, made.reference), *stored.another_host(old, made.host)]
    if unlike:
        return ratio, [f"ratio {ratio:.3f}; the old one, {was:.3f}, is no measure of it: {', '.join(unlike)}"]
    noise = "" if median.significant else ", within the noise"
    change = f"ratio {was:.3f} → {ratio:.3f}: {100 * median.difference.value:+.1f} %{noise}"
    return ratio, [change, *_news(old, made.device)]


def _judge_objectives(gate: _Gate) -> None:
    targets = gate.asked.targets
    if targets is None:
        return
    from sealpass.bench.gate import objectives  # with it comes the load engine, which a gate without targets can spare

    found = gate.found
    if found.stages[0].outcome == Outcome.FAIL:
        found.stages.append(Stage(document.OBJECTIVES, document.NOT_DONE, ("a wrong answer has no speed",)))
        return
    gate.told("measuring against the targets")
    found.objectives = objectives.measure(
        gate.asked.request.uri, targets, gate.measured[0].device, gate.asked.max_error_rate
    )
    found.stages.append(objectives.stage(found.objectives))
