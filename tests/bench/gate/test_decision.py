# SPDX-License-Identifier: Apache-2.0
"""The rule on figures written by hand: significant and beyond the floor, or excluded, or neither."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import pytest

from sealpass.bench.gate.decision import (
    ANOTHER_DAY_SD,
    ANOTHER_KEY_SD,
    TITLES,
    Comparison,
    Outcome,
    Rule,
    compare,
    overall,
)
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
    """The outer fifths are trimmed; a little slower is no more than that."""
    after = side()
    after[0] = plain(math.log(2.2) + 0.05)
    assert medians(side(count=12), after).outcome is Outcome.PASS


def test_a_process_that_is_much_slower_is_trimmed_and_not_forgotten() -> None:
    """It is no failure, and nothing passes; unless the baseline had one like it."""
    after = [*side(count=4), plain(math.log(2.2) + 0.2)]
    for found in (compare(side(count=12), after, RULE)[at] for at in (0, 2)):
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "1 of 5 processes are much slower" in (found.reason or "")
    before = [*side(count=11), plain(math.log(2.2) + 0.21)]
    assert medians(before, after).outcome is Outcome.PASS


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


@pytest.mark.parametrize("between", [0.0, 0.02], ids=["beyond the floor", "beyond the interval"])
def test_what_would_have_been_seen_is_missed_in_5_of_100_runs(between: float) -> None:
    """Runs scatter by the standard error that the interval shows; one fails beyond the floor and the interval."""
    alike = [plain(math.log(2.2))] * 5
    found = medians(alike, alike, between)
    assert found.difference is not None
    assert found.visible is not None
    half = math.log1p(found.difference.high)
    error = half / NormalDist().inv_cdf(1 - RULE.level("median"))
    limit = max(math.log1p(RULE.noise_floor), half)
    assert NormalDist(math.log1p(found.visible), error).cdf(limit) == pytest.approx(0.05, abs=1e-4)


def test_a_p_value_is_that_of_a_difference_either_way() -> None:
    """1 where there is none; twice the level of a one-sided test where the interval ends at zero."""
    alike = [plain(math.log(2.2))] * 5
    assert medians(alike, alike).p_value == 1.0
    found = medians(alike, alike)
    assert found.difference is not None
    edge = [plain(math.log(2.2) + math.log1p(found.difference.high))] * 5
    assert medians(alike, edge).p_value == pytest.approx(2 * RULE.level("median"), rel=1e-3)


@pytest.mark.parametrize(("slow", "outcome"), [(0, "pass"), (1, "pass"), (10, "fail"), (40, "fail")])
def test_slow_operations_fail_the_tail(slow: int, outcome: str) -> None:
    """Ten more in 500 are one in 50; the median does not see them."""
    median, tail, _ = compare(side(count=12), side(slow=slow), RULE, between=ANOTHER_DAY_SD)
    assert median.outcome is Outcome.PASS
    assert tail.outcome == outcome


def test_a_device_that_always_had_a_tail_may_keep_it() -> None:
    """Shares are compared with those of the baseline."""
    assert compare(side(count=12, slow=10), side(count=12, slow=10), RULE)[1].outcome is Outcome.PASS


def test_shares_that_differ_between_processes_prove_less() -> None:
    """Five points more in a hundred are certain of a binomial, and nothing where processes differ by four."""
    before = [plain(math.log(2.2), slow=20 * (at % 2)) for at in range(12)]
    after = [plain(math.log(2.2), slow=slow) for slow in (0, 30, 35, 40, 60)]
    assert compare(before, after, RULE)[1].outcome is Outcome.INCONCLUSIVE
    alike = [plain(math.log(2.2), slow=10)] * 12
    assert compare(alike, after, RULE)[1].outcome is Outcome.FAIL


def test_few_operations_do_not_exclude_a_tail() -> None:
    """None slow in 200 does not show that it is not one in 70."""
    found = compare(side(count=12), side(witnessed=40), RULE)[1]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert not found.significant


def test_slow_operations_of_one_process_are_one_event() -> None:
    """A burst in one of five is no failure, and no pass; three slow ones are no burst."""
    for slow, outcome in ((3, Outcome.PASS), (60, Outcome.INCONCLUSIVE)):
        after = [*side(count=4), plain(math.log(2.2), slow=slow)]
        assert compare(side(count=12), after, RULE)[1].outcome is outcome


def test_means_show_what_medians_and_tails_do_not() -> None:
    """A fifth more in the mean fails; a few percent may be noise; a file without means is told."""
    for excess, outcome in ((0.02, Outcome.PASS), (0.23, Outcome.FAIL)):
        after = [replace(one, excess=excess) for one in side()]
        median, tail, mean = compare(side(count=12), after, RULE, between=ANOTHER_DAY_SD)
        assert (median.outcome, tail.outcome, mean.outcome) == (Outcome.PASS, Outcome.PASS, outcome)
    early = [replace(one, excess=None) for one in side(count=12)]
    found = compare(early, side(), RULE)[2]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "write it again" in (found.reason or "")


def test_a_slow_device_has_a_wider_floor_for_its_tail() -> None:
    """In 25 seconds it answers 250 times; what that cannot show is not looked for, and told."""
    slow = {"device_median_ns": 50_000_000, "reference_median_ns": 50_000_000, "pairs": 50, "warm": 50, "witnessed": 50}
    found = compare(side(count=12, **slow), side(**slow), RULE)[1]
    assert found.outcome is Outcome.PASS
    assert found.floor == pytest.approx(6 / 250)
    assert "too slowly to look for less than 2.4" in (found.reason or "")
    assert compare(side(count=12, **slow), side(**slow, slow=5), RULE)[1].outcome is Outcome.FAIL


def test_too_few_processes_are_inconclusive() -> None:
    """Also where there are many, and the host left none of them in peace."""
    crowded = [plain(None, warm=0)] * 20
    for after in (side(count=2), crowded):
        for found in compare(side(count=12), after, RULE):
            assert found.outcome is Outcome.INCONCLUSIVE
            assert found.difference is None
            assert found.reason is not None


def test_all_looks_and_statistics_share_the_alarms() -> None:
    """Whoever adds a look makes each of them stricter."""
    assert sum(RULE.level(name) for name in TITLES) * len(RULE.looks) == pytest.approx(RULE.alarms)
    assert all(Rule(looks=(5, 8)).level(name) > RULE.level(name) for name in TITLES)


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
