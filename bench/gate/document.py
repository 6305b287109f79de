# SPDX-License-Identifier: Apache-2.0
"""The ``sealpass.gate/1`` document (bench/schemas/gate-1.json) of a gate and of a comparison; its verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sealpass import __version__
from sealpass.bench import fingerprint
from sealpass.bench.gate.decision import MEAN, TAIL, TITLES, Comparison, Outcome, Rule, overall
from sealpass.bench.gate.figures import Figures
from sealpass.bench.gate.rounds import BUDGET_SECONDS
from sealpass.bench.gate.spawn import Measured
from sealpass.bench.load.recording import WRONG_RESULT

SCHEMA = "sealpass.gate/1"
WARNING, NOT_DONE = "warning", "not-done"
CORRECTNESS, BASELINE, COMPARISON, OBJECTIVES = "correctness", "baseline", "comparison", "objectives"
_TITLES = {
    CORRECTNESS: "every plaintext right, no error",
    BASELINE: "as fast as the baseline",
    COMPARISON: "as fast as the other side",
    OBJECTIVES: "fast enough for the targets",
}
WRITTEN = "baseline written"
"""The title of the baseline's stage where nothing is compared with it, because it is made."""


def moment(instant: datetime) -> str:
    """UTC, to the second, as in all result files."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Stage:
    """One question of the gate, and its answer."""

    id: str
    outcome: str
    """Of an Outcome, or WARNING or NOT_DONE."""
    reasons: tuple[str, ...] = ()
    title: str | None = None
    """None: that of the id."""

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        title = self.title or _TITLES[self.id]
        return {"id": self.id, "title": title, "outcome": self.outcome, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one side."""

    name: str
    label: str
    processes: Sequence[Figures]
    started: str | None = None
    device: Mapping[str, Any] | None = None
    reference: Mapping[str, Any] | None = None
    host: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, name: str, label: str, measured: Sequence[Measured], started: str) -> "Side":
        """A side that was measured now."""
        first = measured[0] if measured else None
        return cls(
            name,
            label,
            [one.figures for one in measured],
            started,
            None if first is None else first.device,
            None if first is None else first.reference,
            None if first is None else first.host,
        )

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        facts = {"device": self.device, "reference": self.reference, "host": self.host}
        return {
            "name": self.name,
            "label": self.label,
            "started": self.started,
            **{name: None if found is None else dict(found) for name, found in facts.items()},
            "processes": [one.to_dict() for one in self.processes],
            "set_aside": sum(not one.counts for one in self.processes),
        }


@dataclass(slots=True)
class Findings:
    """Everything that a gate or a comparison found; nothing in it is secret."""

    kind: str
    """``gate`` or ``compare``."""
    rule: Rule
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    load_before: list[float] | None = field(default_factory=fingerprint.load_average)
    sides: list[Side] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    comparisons: Sequence[Comparison] = ()
    looks: int = 0
    objectives: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """``on_mismatch``, ``baseline``, ``targets``, ``slack``, where they were given."""
    budget: float = BUDGET_SECONDS
    max_error_rate: float = 0.0

    def document(self) -> dict[str, Any]:
        """The result file as JSON values; views are made from it alone."""
        stages = [stage.to_dict() for stage in self.stages]
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "tool": {"name": "sealpass", "version": __version__},
            "started": moment(self.started),
            "duration_s": round((datetime.now(UTC) - self.started).total_seconds(), 3),
            "settings": {
                "noise_floor": self.rule.noise_floor,
                "tail_floor": self.rule.tail_floor,
                "alarms": self.rule.alarms,
                "budget_s": self.budget,
                "max_error_rate": self.max_error_rate,
                **{name: self.settings.get(name) for name in ("on_mismatch", "baseline", "targets", "slack")},
            },
            "host": fingerprint.host(),
            "load": {"before": self.load_before, "after": fingerprint.load_average()},
            "sides": [side.to_dict() for side in self.sides],
            "looks": self.looks,
            "stages": stages,
            "comparisons": [one.to_dict() for one in self.comparisons],
            "objectives": self.objectives,
            "verdict": verdict(stages),
        }


def verdict(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From the stages to one word: fail before inconclusive before pass. Warnings are told, and change nothing.

    What was asked for and not done is no pass.
    """
    outcome = overall([Outcome(stage["outcome"]) for stage in stages if stage["outcome"] in set(Outcome)])
    words = {outcome.value, Outcome.INCONCLUSIVE.value, WARNING} if outcome is not Outcome.PASS else {WARNING}
    if outcome is not Outcome.FAIL and any(stage["outcome"] == NOT_DONE for stage in stages):
        outcome = Outcome.INCONCLUSIVE
        words = {outcome.value, NOT_DONE, WARNING}
    reasons = [reason for stage in stages if stage["outcome"] in words for reason in stage["reasons"]]
    return {"verdict": outcome.value, "exit_code": outcome.exit_code, "reasons": reasons}


def correctness(sides: Sequence[Side], max_error_rate: float = 0.0) -> Stage:
    """Whether the operations of these sides, measured now, gave the right answers.

    One wrong plaintext fails. So do other errors, where more than this share of a side's operations ended with one.
    """
    compared, failed = 0, False
    reasons = []
    for side in sides:
        errors: Counter[str] = Counter()
        for one in side.processes:
            errors.update(one.errors)
        right = sum(one.pairs for one in side.processes)
        compared += right
        if not errors.total():
            continue
        operations = right + errors.total()
        failed |= are_too_many(errors, operations, max_error_rate)
        whose = f"{side.name}: " if len(sides) > 1 else ""
        reasons.append(f"{whose}{failures(errors, operations)}")
    if failed:
        return Stage(CORRECTNESS, Outcome.FAIL, tuple(reasons))
    return Stage(CORRECTNESS, Outcome.PASS, (f"{compared} plaintexts compared", *reasons))


def are_too_many(errors: Mapping[str, int], operations: int, max_error_rate: float) -> bool:
    """Whether operations fail with these errors: more than this share of all, or a single wrong answer."""
    wrong = any(count and _is_wrong(code) for code, count in errors.items())
    return wrong or sum(errors.values()) > max_error_rate * operations


def failures(errors: Mapping[str, int], operations: int) -> str:
    """Errors in words."""
    return f"of {operations} operations failed: " + ", ".join(f"{n} x {code}" for code, n in sorted(errors.items()))


def _is_wrong(code: str) -> bool:
    """Whether a class of errors is that of wrong answers, of the device or of the reference."""
    return code.endswith(WRONG_RESULT)


def ends_it(figures: Figures, max_error_rate: float) -> bool:
    """Whether the correctness has failed with this process, whatever the next ones do."""
    return any(count and (not max_error_rate or _is_wrong(code)) for code, count in figures.errors.items())


def speed(stage: str, comparisons: Sequence[Comparison]) -> Stage:
    """What the rule says of the statistics, in words; of one that passed, what limits it."""
    outcome = overall([one.outcome for one in comparisons])
    reasons = [
        one.reason or _slower(one, "A" if stage == COMPARISON else "before")
        for one in comparisons
        if one.outcome is outcome and (one.reason is not None or outcome is not Outcome.PASS)
    ]
    return Stage(stage, outcome, tuple(reasons))


def faster(comparisons: Sequence[Comparison]) -> list[str]:
    """In words, where a key outran its baseline: significantly, and by more than the noise floor.

    From then on a slowdown is measured against a speed that the key has left behind, and the first part of it is free.
    """
    for one in comparisons:
        difference = one.difference
        if one.id != TAIL and difference is not None and one.significant and difference.value < -one.floor:
            low, value, high = (100 * -bound for bound in (difference.high, difference.value, difference.low))
            by = f"{value:.1f} % faster {'in the mean ' if one.id == MEAN else ''}than the baseline"
            renew = "renew it (--update-baseline REASON), or a slowdown back to its speed will pass"
            return [f"{by} ({low:.1f} to {high:.1f} %): {renew}"]
    return []


def _slower(comparison: Comparison, than: str) -> str:
    difference, visible = comparison.difference, comparison.visible
    assert difference is not None  # noqa: S101 - there is one where the outcome is a failure
    assert visible is not None  # noqa: S101 - as above
    if comparison.id != TAIL:
        return (
            f"{100 * difference.value:.1f} % slower {'in the mean ' if comparison.id == MEAN else ''}than {than} "
            f"({100 * difference.low:.1f} to {100 * difference.high:.1f} %; floor {100 * comparison.floor:g} %)"
        )
    return (
        f"{100 * difference.value:.2f} more in a hundred {TITLES[comparison.id]} "
        f"(floor {100 * comparison.floor:g}): stalls, and not the usual speed"
    )
