# SPDX-License-Identifier: Apache-2.0
"""What only all cases together show: failures that look alike and come at one time, a key that still works after."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sealpass.bench import distribution
from sealpass.bench.gate.targets import Target
from sealpass.bench.qualification.cases.case import Outcome
from sealpass.bench.qualification.device import Answer, Facts, Subject
from sealpass.bench.qualification.findings import Finding, Severity
from sealpass.bench.qualification.measurement import Run
from sealpass.bench.qualification.trial import CaseResult, FailureShape, Observed, Status, send_valid_token
from sealpass.core.errors import BackendUnavailable, DecryptionFailed, OperatorError

_CLOCK_ERROR_SECONDS = 1e-6
"""A sleep never ends early; the difference of two readings of a clock may be rounded down."""
_RIGHT = FailureShape.of(DecryptionFailed())
_MILLISECOND_NS = 1_000_000
VALID_TOKENS_AFTER = 8


@dataclass(frozen=True, slots=True)
class Check:
    """A statement about the whole run."""

    id: str
    title: str
    reference: str
    status: Status
    detail: str

    def to_dict(self) -> dict[str, str]:
        """For the result file."""
        return {
            "id": self.id,
            "title": self.title,
            "reference": self.reference,
            "status": self.status.value,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class FloorReading:
    """What the failure floor of a key counted during the cases."""

    seconds: float
    failures: int
    overruns: int

    def to_dict(self) -> dict[str, float | int]:
        """For the result file."""
        return {"seconds": self.seconds, "failures": self.failures, "overruns": self.overruns}


_ATTRIBUTES_STATUS = {
    Answer.READ: Status.PASS,
    Answer.NOT_AVAILABLE: Status.NOT_APPLICABLE,
    Answer.NO_ANSWER: Status.INCONCLUSIVE,
}


def attributes_read(attributes: Facts) -> Check:
    """A key that has attributes showed them; where it did not, nobody knows whether it can be taken away."""
    detail = f"{len(attributes.values)} read" if attributes.values is not None else attributes.reason or ""
    status = _ATTRIBUTES_STATUS[attributes.status]
    return Check("D6", "the attributes of the key could be read", "PKCS #11 §4.9", status, detail)


def _failures(results: Sequence[CaseResult]) -> list[tuple[str, Observed, FailureShape]]:
    return [
        (result.case.id, result.observed, result.observed.failure)
        for result in results
        if result.observed is not None and result.observed.failure is not None
    ]


def uniform_failures(results: Sequence[CaseResult]) -> Check:
    """Every DecryptionFailed is equal in type, text, arguments and members, and nothing is chained to it."""
    failures = _failures(results)
    odd = [name for name, _observed, shape in failures if shape != _RIGHT]
    if odd:
        status, detail = Status.FAIL, f"{len(odd)} of {len(failures)} failures can be told apart: {', '.join(odd)}"
    elif not failures:
        status, detail = Status.INCONCLUSIVE, "no failure was seen"
    else:
        status, detail = Status.PASS, f"{len(failures)} failures that end a case, all alike"
    return Check("D2", "failures cannot be told apart by what they say", "RFC 7516 §11.5", status, detail)


def no_early_failure(results: Sequence[CaseResult], floor: FloorReading) -> Check:
    """No failure is released before the fixed time after the unwrap began."""
    failures = _failures(results)
    limit = floor.seconds - _CLOCK_ERROR_SECONDS
    early = [
        name
        for name, observed, _shape in failures
        if observed.released_after is not None and observed.released_after < limit
    ]
    if early:
        status = Status.FAIL
        detail = f"{len(early)} of {len(failures)} failures came before {floor.seconds * 1000:g} ms: {', '.join(early)}"
    elif not failures:
        status, detail = Status.INCONCLUSIVE, "no failure was seen"
    else:
        status, detail = (
            Status.PASS,
            f"{len(failures)} failures that end a case, none before {floor.seconds * 1000:g} ms",
        )
        inside = floor.failures - len(failures)
        if inside > 0:  # R1d fails first and is then refused, which is what the case is about
            was = "was a step" if inside == 1 else "were steps"
            detail += f"; {inside} more {was} inside a case that ends otherwise: {floor.failures} failures in all"
    return Check("D3", "no failure is released before the fixed time", "RFC 7516 §11.5", status, detail)


def slowest_failure(results: Sequence[CaseResult]) -> float | None:
    """Seconds until the last of all failures was released, or None where there was none."""
    times = (observed.released_after for _name, observed, _shape in _failures(results))
    return max((seconds for seconds in times if seconds is not None), default=None)


def failure_floor(floor: FloorReading, slowest: float | None, *, emulated: bool) -> list[Finding]:
    """A finding where failures came later than their fixed time, so that the device's own time shows through.

    An emulator's time is nobody's: it is told, and not judged.
    """
    if not floor.overruns:
        return []
    severity = Severity.HIGH if floor.overruns * 2 > floor.failures else Severity.MEDIUM
    return [
        Finding(
            "failure-floor",
            Severity.INFO if emulated else severity,
            f"{floor.overruns} of {floor.failures} failures were released later than {floor.seconds * 1000:g} ms"
            + ("" if slowest is None else f", the slowest after {slowest * 1000:.0f} ms"),
            "find out what delays the device, or qualify it with --failure-floor above its slowest failure, and open"
            " the key with that same failure_floor",
        )
    ]


def still_works(subject: Subject) -> Check:
    """After all the bad tokens the device opens good ones, and answers a probe."""
    name, title = "D4", "after all bad tokens the device still opens good ones"
    reference = "a failed operation must not spoil the session"
    for count in range(VALID_TOKENS_AFTER):
        observed = send_valid_token(subject)
        if observed.reason == BackendUnavailable.code:
            return Check(name, title, reference, Status.INCONCLUSIVE, "the device stopped answering")
        if observed.outcome is not Outcome.ACCEPTED:
            what = observed.outcome.value + (f" ({observed.reason})" if observed.reason else "")
            return Check(name, title, reference, Status.FAIL, f"good token {count + 1}: {what}")
    try:
        subject.key.probe()
    except OperatorError as error:
        return Check(name, title, reference, Status.FAIL, f"the session probe says {error.code}")
    return Check(name, title, reference, Status.PASS, f"{VALID_TOKENS_AFTER} of {VALID_TOKENS_AFTER} opened")


def right_under_load(runs: Sequence[Run]) -> Check:
    """Every operation of the speed measurement gave the password that was sent."""
    errors: Counter[str] = Counter()
    for run in runs:
        errors += run.errors
    right = sum(len(run.latencies) for run in runs)
    if errors:
        counted = ", ".join(f"{count} {code}" for code, count in sorted(errors.items()))
        status, detail = Status.FAIL, f"{errors.total()} of {right + errors.total()} went wrong: {counted}"
    else:
        status, detail = Status.PASS, f"{right} of {right} right"
    return Check("D5", "under load every password is the one that was sent", "RFC 7516 §5.2", status, detail)


def fast_enough(runs: Sequence[Run], target: Target, slack: float, troubles: Sequence[str] = ()) -> Check:
    """The threads of the targets do its logins, and the smallest number of threads does them in time.

    Each thread asks again when it has its answer, so that nothing waits: what tokens that arrive at the rate of the
    targets wait for one another is not in the p99. ``sealpass bench gate --targets`` measures that. ``troubles`` says
    what kept the host from being ours alone: a limit that is missed then shows nothing.
    """
    busy = next((run for run in runs if run.threads == target.threads), max(runs, key=lambda run: run.per_second))
    alone = min(runs, key=lambda run: run.threads)
    wanted = max(target.logins_per_s, target.minimum_per_s or 0.0)
    slowest = (distribution.summary(alone.latencies) or {}).get("p99_ns")
    is_missed = busy.per_second < wanted / slack
    said = f"{busy.per_second:.0f}/s with {_threads(busy)}, wanted {wanted:g}/s{_slack(wanted / slack, '/s', slack)}; "
    if slowest is None:
        said += "too few operations for a 99th percentile"
    else:
        is_missed |= slowest > target.p99_ms * slack * _MILLISECOND_NS
        allowed = f"{target.p99_ms:g} ms{_slack(target.p99_ms * slack, ' ms', slack)}"
        said += f"p99 {slowest / _MILLISECOND_NS:.1f} ms with {_threads(alone)} and no queue, wanted {allowed}"
    if is_missed:
        status = Status.INCONCLUSIVE if troubles else Status.FAIL
        said += f"; missed on a troubled host: {'; '.join(troubles)}" if troubles else ""
    else:
        status = Status.INCONCLUSIVE if slowest is None else Status.PASS
    return Check("T1", "fast enough for the targets", f"[{target.backend}] of the targets", status, said)


def _threads(run: Run) -> str:
    return "1 thread" if run.threads == 1 else f"{run.threads} threads"


def _slack(limit: float, unit: str, slack: float) -> str:
    """What is let pass, beside what is wanted."""
    return "" if slack == 1 else f" ({limit:.4g}{unit} with the slack of {slack:g})"
