# SPDX-License-Identifier: Apache-2.0
"""Runs contract cases against a key and records what happened, as plain values without secrets."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sealpass.bench.qualification.cases.case import OPENS, Case, NonceRule, Outcome, Unexpected
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.dialect import dialect_of
from sealpass.bench.qualification.flow import Flow
from sealpass.bench.qualification.threads import run_together
from sealpass.core.errors import BackendUnavailable, DecryptionFailed, Error, TokenRejected


class Status(StrEnum):
    """What a case or a check says about the key."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    DEVIATION = "deviation"
    """Not as the contract wants it, and known to be no failure in the key's mode: reported, and passed."""
    NOT_SUPPORTED = "not-supported"
    """The key cannot do what the profile needs: counts as a failure."""
    NOT_APPLICABLE = "not-applicable"
    """Outside what the profile needs, and the key does not have it: no judgement."""
    INCONCLUSIVE = "inconclusive"
    """Not measured, because the device stopped answering."""


@dataclass(frozen=True, slots=True)
class FailureShape:
    """Everything by which a caller could tell one DecryptionFailed from another, and when it came."""

    kind: str
    text: str
    arguments: str
    members: str
    has_cause: bool
    has_context: bool

    @classmethod
    def of(cls, failure: BaseException) -> "FailureShape":
        """The shape of an exception."""
        return cls(
            type(failure).__qualname__,
            str(failure),
            repr(failure.args),
            repr(sorted(vars(failure).items())),
            failure.__cause__ is not None,
            failure.__context__ is not None,
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """What happened to a token."""

    outcome: Outcome
    reason: str | None
    """A RejectReason, the code of an operator error, or what a case of several steps saw."""
    duration_ns: int
    failure: FailureShape | None = None
    released_after: float | None = None
    """Seconds from the start to a failure, by the clock of the key's failure floor."""


def observe(flow: Flow, case: Case[Any]) -> Observed:
    """Make the case's token, send it, and tell what came back. Lets only KeyboardInterrupt and the like through."""
    clock = flow.subject.key.failure_floor.start
    started, floor_started = time.perf_counter_ns(), clock()
    try:
        token = case.make(flow)
        started, floor_started = time.perf_counter_ns(), clock()
        password = case.open(flow, token)
    except DecryptionFailed as failure:
        released_after = clock() - floor_started
        duration = time.perf_counter_ns() - started
        return Observed(Outcome.FAILED, None, duration, FailureShape.of(failure), released_after)
    except Exception as error:  # noqa: BLE001 - whatever a device raises is the observation
        return _from_error(error, time.perf_counter_ns() - started)
    duration = time.perf_counter_ns() - started
    right = password == flow.password
    return Observed(Outcome.ACCEPTED if right else Outcome.WRONG_PASSWORD, None, duration)


def _from_error(error: Exception, duration: int) -> Observed:
    if isinstance(error, TokenRejected):
        return Observed(Outcome.REJECTED, error.reason.value, duration)
    if isinstance(error, Error):
        return Observed(Outcome.ERROR, error.code, duration)
    if isinstance(error, Unexpected):
        return Observed(Outcome.ERROR, str(error), duration)
    # The type only: the text of a foreign exception may hold anything.
    return Observed(Outcome.ERROR, f"exception {type(error).__name__}", duration)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case with its verdict."""

    case: Case[Any]
    status: Status
    observed: Observed | None = None
    nonce: NonceRule | None = None
    reason: str | None = None
    """Why there is nothing observed."""

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        expected = self.case.expected
        observed = self.observed
        return {
            "id": self.case.id,
            "title": self.case.title,
            "reference": self.case.reference,
            "expected": {
                "outcome": expected.outcome.value,
                "reason": None if expected.reason is None else expected.reason.value,
                "nonce": None if expected.nonce is None else expected.nonce.value,
            },
            "observed": None
            if observed is None
            else {
                "outcome": observed.outcome.value,
                "reason": observed.reason,
                "nonce": None if self.nonce is None else self.nonce.value,
            },
            "status": self.status.value,
            "reason": self.reason,
            "duration_ns": None if observed is None else observed.duration_ns,
        }


def _judge(case: Case[Any], observed: Observed, nonce: NonceRule | None) -> Status:
    expected = case.expected
    reason = None if expected.reason is None else expected.reason.value
    right = (observed.outcome, observed.reason, nonce) == (expected.outcome, reason, expected.nonce)
    if right:
        return Status.PASS
    opened = observed.outcome is Outcome.ACCEPTED and nonce is expected.nonce
    return Status.DEVIATION if opened and case.deviation is not None else Status.FAIL


def run_case(subject: Subject, case: Case[Any]) -> CaseResult:
    """Run one case with a nonce of its own."""
    if case.not_applicable is not None:
        return CaseResult(case, Status.NOT_APPLICABLE, reason=case.not_applicable)
    flow = dialect_of(subject.profile).flow(subject, password=case.password, lifetime=case.lifetime)
    observed = observe(flow, case)
    nonce = None
    if case.expected.nonce is not None:
        nonce = NonceRule.SPENT if flow.is_spent() else NonceRule.KEPT
    return CaseResult(case, _judge(case, observed, nonce), observed, nonce)


_VALID = Case("V1", "a valid token", "RFC 7516 §5.2", OPENS, Flow.token)


def send_valid_token(subject: Subject) -> Observed:
    """Send one token that is right: what a key must still open after anything."""
    return observe(dialect_of(subject.profile).flow(subject), _VALID)


def run_cases(
    subject: Subject, cases: Sequence[Case[Any]], done: Callable[[int], None], threads: int = 1
) -> list[CaseResult]:
    """Run the cases; where the device is gone for good, the rest is inconclusive. Results are in the order of cases.

    ``done`` is called with the number of cases behind, never twice at once, and not always from this thread.
    """
    work = _Work(subject, cases, done)
    if threads == 1:
        work.run()  # in this thread: no other thread but those of the race R1c uses the key
    else:
        run_together([work.run_beside_others] * threads, stop=work.waiting.clear)
    if work.error is not None:
        raise work.error
    return [work.results[number] for number in range(len(cases))]


class _Work:
    """What the threads of one run share: cases that wait, results by number, and where the device was lost."""

    def __init__(self, subject: Subject, cases: Sequence[Case[Any]], done: Callable[[int], None]) -> None:
        self.waiting = deque(enumerate(cases))
        self.results: dict[int, CaseResult] = {}
        self.error: BaseException | None = None
        """What ended a thread: nobody announces a nonce where the store is full, say."""
        self._subject = subject
        self._done = done
        self._lock = threading.Lock()
        self._lost_at: str | None = None

    def run(self) -> None:
        """Run cases until none waits."""
        while True:
            try:
                number, case = self.waiting.popleft()
            except IndexError:
                return
            result = self._run(case)
            with self._lock:
                self.results[number] = result
                self._done(len(self.results))

    def run_beside_others(self) -> None:
        """The same in a thread of its own: an exception waits for whoever started it, and ends the other threads."""
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - raised again by run_cases
            self.waiting.clear()
            self.error = error

    def _run(self, case: Case[Any]) -> CaseResult:
        if self._lost_at is not None:
            return CaseResult(case, Status.INCONCLUSIVE, reason=f"the device stopped answering at case {self._lost_at}")
        result = run_case(self._subject, case)
        if _lost(result) and send_valid_token(self._subject).reason == BackendUnavailable.code:
            self._lost_at = case.id
            reason = "the device stopped answering"
            return CaseResult(case, Status.INCONCLUSIVE, result.observed, result.nonce, reason)
        return result


def _lost(result: CaseResult) -> bool:
    return result.observed is not None and result.observed.reason == BackendUnavailable.code
