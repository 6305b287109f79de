# SPDX-License-Identifier: Apache-2.0
"""From everything found to one word."""

from array import array
from collections import Counter
from typing import Any

import pytest

from sealpass.bench.qualification.cases.case import OPENS, Case
from sealpass.bench.qualification.checks import Check, right_under_load
from sealpass.bench.qualification.findings import Finding, Severity
from sealpass.bench.qualification.flow import Flow
from sealpass.bench.qualification.measurement import Run
from sealpass.bench.qualification.trial import CaseResult, Status
from sealpass.bench.qualification.verdict import Verdict, judge, overall


def case(status: Status) -> CaseResult:
    """The result of some case."""
    return CaseResult(Case("V1", "a valid token", "RFC 7516", OPENS, Flow.token), status)


def check(status: Status) -> Check:
    """The result of some check."""
    return Check("D9", "some check", "RFC 7516", status, "because")


def finding(severity: Severity) -> Finding:
    """Some finding."""
    return Finding("some", severity, f"something {severity.value}", "do something")


def run(samples: int = 50, errors: dict[str, int] | None = None) -> Run:
    """A measurement with one thread."""
    return Run(1, 10**9, array("Q", [1000] * samples), Counter(errors or {}))


SOUND: dict[str, Any] = {
    "unsupported": None,
    "cases": [case(Status.PASS)],
    "checks": [check(Status.PASS)],
    "findings": [finding(Severity.LOW)],
    "runs": [run()],
    "min_samples": 20,
}


@pytest.mark.parametrize(
    ("change", "expected", "reason"),
    [
        ({}, Verdict.PASS, None),
        ({"cases": [case(Status.PASS), case(Status.NOT_APPLICABLE)]}, Verdict.PASS, None),
        ({"cases": [case(Status.PASS), case(Status.DEVIATION)]}, Verdict.PASS, None),
        ({"cases": [case(Status.FAIL)]}, Verdict.FAIL, "1 contract case failed: V1"),
        ({"cases": [case(Status.FAIL)] * 9}, Verdict.FAIL, "9 contract cases failed"),
        ({"cases": [case(Status.INCONCLUSIVE)]}, Verdict.INCONCLUSIVE, "could not be tried"),
        ({"cases": [case(Status.INCONCLUSIVE), case(Status.FAIL)]}, Verdict.FAIL, "failed"),
        ({"checks": [check(Status.FAIL)]}, Verdict.FAIL, "D9"),
        ({"checks": [check(Status.INCONCLUSIVE)]}, Verdict.INCONCLUSIVE, "D9"),
        ({"findings": [finding(Severity.HIGH)]}, Verdict.FAIL, "something high"),
        ({"findings": [finding(Severity.LOW), finding(Severity.INFO)]}, Verdict.PASS, None),
        ({"unsupported": "no OAEP", "cases": [case(Status.NOT_SUPPORTED)], "runs": None}, Verdict.FAIL, "no OAEP"),
        ({"runs": None}, Verdict.INCONCLUSIVE, "not measured"),
        ({"runs": [run(samples=19)]}, Verdict.INCONCLUSIVE, "only 19"),
        ({"runs": [run(samples=20)]}, Verdict.PASS, None),
    ],
)
def test_the_verdict_follows_from_what_was_found(change: dict[str, Any], expected: Verdict, reason: str | None) -> None:
    """Fail comes before inconclusive before pass, and every verdict but pass says why."""
    judgement = judge(**(SOUND | change))
    assert judgement.verdict is expected
    if reason is None:
        assert judgement.reasons == ()
    else:
        assert reason in judgement.reasons[0]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "pass"], Verdict.PASS),
        (["pass", "inconclusive"], Verdict.INCONCLUSIVE),
        (["inconclusive", "fail", "pass"], Verdict.FAIL),
        ([], Verdict.INCONCLUSIVE),
    ],
)
def test_several_keys_are_as_good_as_the_worst(verdicts: list[str], expected: Verdict) -> None:
    """The overall verdict on several keys is the gravest; on none it is not a pass."""
    assert overall(map(Verdict, verdicts)) is expected


def test_exit_codes_are_those_of_the_command_line() -> None:
    """Pass, fail and inconclusive have the exit statuses 0, 1 and 4."""
    assert {verdict.value: verdict.exit_code for verdict in Verdict} == {"pass": 0, "fail": 1, "inconclusive": 4}


def test_an_error_under_load_fails_and_is_no_throughput() -> None:
    """Errors are counted by class beside the right answers, and one is enough to fail."""
    measured = run(samples=50, errors={"wrong-password": 2, "backend-unavailable": 1})
    found = right_under_load([measured])
    assert found.status is Status.FAIL
    assert "3 of 53" in found.detail
    assert "2 wrong-password" in found.detail
    assert measured.per_second == 50
    assert right_under_load([run()]).status is Status.PASS


@pytest.mark.parametrize(
    ("severities", "reasons"),
    [
        ([Severity.LOW, Severity.INFO], ()),
        ([Severity.MEDIUM], ("1 finding of severity medium; read it before you accept",)),
        ([Severity.MEDIUM, Severity.LOW] * 3, ("3 findings of severity medium; read them before you accept",)),
    ],
)
def test_a_pass_names_the_findings_to_read(severities: list[Severity], reasons: tuple[str, ...]) -> None:
    """A pass with findings of severity medium says so among its reasons."""
    judgement = judge(**SOUND | {"findings": [finding(severity) for severity in severities]})
    assert (judgement.verdict, judgement.reasons) == (Verdict.PASS, reasons)
