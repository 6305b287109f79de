# SPDX-License-Identifier: Apache-2.0
"""From everything found to one word: fail before inconclusive before pass."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sealpass.bench.qualification.checks import Check
from sealpass.bench.qualification.findings import Finding, Severity
from sealpass.bench.qualification.measurement import Run
from sealpass.bench.qualification.trial import CaseResult, Status

_NAMED = 8
"""How many ids a reason lists before it only counts."""


class Verdict(StrEnum):
    """The three answers of a qualification."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """The exit status of ``sealpass qualify``."""
        return _EXIT_CODES[self]


_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 4}
_GRAVEST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on several keys: the gravest one."""
    found = set(verdicts)
    return next((verdict for verdict in _GRAVEST_FIRST if verdict in found), Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one key, and why."""

    verdict: Verdict
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {"verdict": self.verdict.value, "exit_code": self.verdict.exit_code, "reasons": list(self.reasons)}


def judge(
    unsupported: str | None,
    cases: Sequence[CaseResult],
    checks: Sequence[Check],
    findings: Sequence[Finding],
    runs: Sequence[Run] | None,
    min_samples: int,
) -> Judgement:
    """Weigh it all. ``unsupported`` says what the profile needs and the key lacks; ``runs`` None = not measured."""
    failures: list[str] = []
    doubts: list[str] = []
    if unsupported is not None:
        failures.append(f"not supported: {unsupported}")
    by_status: dict[Status, list[str]] = {status: [] for status in Status}
    for result in cases:
        by_status[result.status].append(result.case.id)
    if by_status[Status.FAIL]:
        failures.append(_counted("contract case", "failed", by_status[Status.FAIL]))
    if by_status[Status.INCONCLUSIVE]:
        doubts.append(_counted("contract case", "could not be tried", by_status[Status.INCONCLUSIVE]))
    for check in checks:
        if check.status is Status.FAIL:
            failures.append(f"{check.id} {check.title}: no; {check.detail}")
        elif check.status is Status.INCONCLUSIVE:
            doubts.append(f"{check.id} {check.title}: not known; {check.detail}")
    failures += [finding.text for finding in findings if finding.severity is Severity.HIGH]
    if unsupported is None:
        doubts += _too_few(runs, min_samples)
    if failures:
        return Judgement(Verdict.FAIL, (*failures, *doubts))
    if doubts:
        return Judgement(Verdict.INCONCLUSIVE, tuple(doubts))
    return Judgement(Verdict.PASS, _to_read(findings))


def _to_read(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What a pass must not hide."""
    count = sum(finding.severity is Severity.MEDIUM for finding in findings)
    if not count:
        return ()
    what, them = ("finding", "it") if count == 1 else ("findings", "them")
    return (f"{count} {what} of severity medium; read {them} before you accept",)


def _too_few(runs: Sequence[Run] | None, min_samples: int) -> list[str]:
    """Where speed was not measured well enough to say anything."""
    if not runs:
        return ["speed was not measured"]
    return [
        f"only {len(run.latencies)} operations were measured with {run.threads} thread{'s' if run.threads > 1 else ''}"
        for run in runs
        if len(run.latencies) < min_samples
    ]


def _counted(noun: str, verb: str, ids: Sequence[str]) -> str:
    plural = "" if len(ids) == 1 else "s"
    shown = ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")
    return f"{len(ids)} {noun}{plural} {verb}: {shown}"


def counts(cases: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many cases of a result file have each status; every status is there."""
    found = Counter(case["status"] for case in cases)
    return {status.value: found[status.value] for status in Status}
