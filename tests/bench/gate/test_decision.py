# SPDX-License-Identifier: Apache-2.0
"""The rule on figures written by hand: significant and beyond the floor, or excluded, or neither."""

import math
from collections.abc import Sequence

import pytest

from sealpass.bench.gate.decision import ANOTHER_DAY_SD, ANOTHER_KEY_SD, Comparison, Outcome, Rule, compare, overall
from sealpass.bench.gate.figures import Figures
from tests.bench.gate.modelled import plain

RULE = Rule()
SPREAD = (-0.004, -0.002, 0.0, 0.002, 0.004)


def side(slower: float = 0.0, *, spread: float = 1.0, count: int = 5, **others: int) -> list[Figures]:
    """Processes around a ratio of 2.2, slower by a part of it."""
    return [plain(math.log(2.2 * (1 + slower)) + spread * SPREAD[at % 5], **others) for at in range(count)]


def medians(before: Sequence[Figures], after: Sequence[Figures], between: float = ANOTHER_DAY_SD) -> Comparison:
    """The comparison of the medians."""
    return compare(before, after, RULE, between=between)[0]


@pytest.mark.parametrize(
    ("slower", "outcome"), [(0.0, "pass"), (0.02, "pass"), (0.05, "fail"), (0.3, "fail"), (-0.1, "pass")]
)
def test_what_a_slowdown_leads_to(slower: float, outcome: str) -> None:
    """Up to the floor it passes, beyond it fails; faster is never a failure."""
    found = medians(side(count=12), side(slower))
    assert found.outcome == outcome
    assert found.difference is not None
    assert found.difference.value == pytest.approx(slower, abs=1e-3)


def test_significant_and_within_the_floor_is_a_pass() -> None:
    """With many processes 1 % is certain, and still nothing to fail for."""
    found = medians(side(count=50), side(0.01, count=50), between=0.0)
    assert found.significant
    assert found.outcome is Outcome.PASS


def test_beyond_the_floor_and_not_significant_is_inconclusive() -> None:
    """Processes that differ by more than what is looked for show nothing."""
    found = medians(side(spread=10), side(0.04, spread=10))
    assert not found.significant
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason is not None
    assert "cannot be excluded" in found.reason


def test_one_process_out_of_line_changes_nothing() -> None:
    """The outer fifths are trimmed."""
    after = side()
    after[0] = plain(math.log(2.2) + 0.2)
    assert medians(side(count=12), after).outcome is Outcome.PASS


def test_processes_that_happen_to_agree_are_not_taken_for_certain() -> None:
    """What is known of processes is the least that they vary by."""
    alike = [plain(math.log(2.2))] * 5
    found = medians(alike, alike, between=0.0)
    assert found.difference is not None
    assert found.difference.high > 0.005


def test_another_key_makes_the_rule_more_careful() -> None:
    """4 % is caught with the same key, and may be the new key otherwise."""
    before, after = side(count=12), side(0.035)
    assert medians(before, after).outcome is Outcome.FAIL
    found = medians(before, after, between=2 * ANOTHER_KEY_SD)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.visible is not None
    assert found.visible > 0.06


def test_a_crowded_machine_makes_the_rule_more_careful() -> None:
    """3 % may be the neighbours, unless both sides had the same ones; 6 % are not."""
    before, slower, much = side(count=12), side(0.028, warm=100), side(0.06, warm=100)
    assert compare(before, slower, RULE, between=ANOTHER_DAY_SD, apart=True)[0].outcome is Outcome.INCONCLUSIVE
    assert compare(before, slower, RULE)[0].outcome is Outcome.FAIL
    assert compare(before, much, RULE, between=ANOTHER_DAY_SD, apart=True)[0].outcome is Outcome.FAIL


def test_what_would_have_been_seen_is_caught_and_less_than_twice_the_floor() -> None:
    """The promise of a pass: a slowdown of this size fails."""
    found = medians(side(count=12), side())
    assert found.visible is not None
    assert RULE.noise_floor < found.visible < 2 * RULE.noise_floor
    assert medians(side(count=12), side(found.visible)).outcome is Outcome.FAIL


@pytest.mark.parametrize(("slow", "outcome"), [(0, "pass"), (1, "pass"), (10, "fail"), (40, "fail")])
def test_slow_operations_fail_the_tail(slow: int, outcome: str) -> None:
    """Ten more in 500 are one in 50; the median does not see them."""
    median, tail = compare(side(count=12), side(slow=slow), RULE, between=ANOTHER_DAY_SD)
    assert median.outcome is Outcome.PASS
    assert tail.outcome == outcome


def test_a_device_that_always_had_a_tail_may_keep_it() -> None:
    """Shares are compared with those of the baseline."""
    assert compare(side(count=12, slow=10), side(count=12, slow=10), RULE)[1].outcome is Outcome.PASS


def test_few_operations_do_not_exclude_a_tail() -> None:
    """None slow in 200 does not show that it is not one in 70."""
    found = compare(side(count=12), side(witnessed=40), RULE)[1]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert not found.significant


def test_slow_operations_of_one_process_are_one_event() -> None:
    """A burst in one of five is not how the device behaves."""
    after = [*side(count=4), plain(math.log(2.2), slow=60)]
    assert compare(side(count=12), after, RULE)[1].outcome is Outcome.PASS


def test_too_few_processes_are_inconclusive() -> None:
    """Also where there are many, and the host left none of them in peace."""
    crowded = [plain(None, warm=0)] * 20
    for after in (side(count=2), crowded):
        for found in compare(side(count=12), after, RULE):
            assert found.outcome is Outcome.INCONCLUSIVE
            assert found.difference is None
            assert found.reason is not None


def test_all_looks_and_both_statistics_share_the_alarms() -> None:
    """Whoever adds a look makes each of them stricter."""
    assert RULE.level * 2 * len(RULE.looks) == pytest.approx(RULE.alarms)
    assert Rule(looks=(5, 8)).level > RULE.level


def test_a_wider_floor_is_asked_for() -> None:
    """5 % pass where 10 % are tolerated."""
    rule = Rule(noise_floor=0.1)
    assert compare(side(count=12), side(0.05), rule)[0].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("outcomes", "result", "status"),
    [([], "pass", 0), (["pass", "inconclusive"], "inconclusive", 4), (["inconclusive", "fail", "pass"], "fail", 1)],
)
def test_fail_before_inconclusive_before_pass(outcomes: list[str], result: str, status: int) -> None:
    """The exit status says the same."""
    found = overall([Outcome(one) for one in outcomes])
    assert found == result
    assert found.exit_code == status
