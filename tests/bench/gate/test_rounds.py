# SPDX-License-Identifier: Apache-2.0
"""How many processes are run, in which order and for how long; in virtual time."""

import math
from collections.abc import Callable
from itertools import cycle
from typing import Any

from sealpass.bench.gate.decision import Outcome, Rule
from sealpass.bench.gate.figures import Figures
from sealpass.bench.gate.rounds import Rounds, against_stored, in_turn
from tests.bench.gate.modelled import plain

SPREAD = cycle((0.0, 0.003, -0.003, 0.001, -0.001))


class Bench:
    """A clock, and processes that take their time on it."""

    def __init__(self, seconds: float = 1.2) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.order = ""

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def side(self, name: str, slower: float = 0.0, spread: float = 1.0, **others: Any) -> Callable[[], Figures]:
        """A side whose processes are all like this."""

        def take() -> Figures:
            self.now += self.seconds
            self.order += name
            return plain(math.log(2.2 * (1 + slower)) + spread * next(SPREAD), **others)

        return take

    def against_stored(self, take: Callable[[], Figures], **others: Any) -> Rounds:
        """Against a baseline of twelve."""
        stored = [plain(math.log(2.2) + next(SPREAD)) for _ in range(12)]
        return against_stored(stored, take, Rule(), between=0.004, clock=self.clock, **others)


def test_a_clear_answer_takes_the_first_look() -> None:
    """Five processes, six seconds; slow or not."""
    for slower, outcome in ((0.0, Outcome.PASS), (0.08, Outcome.FAIL)):
        bench = Bench()
        found = bench.against_stored(bench.side("a", slower))
        assert (found.outcome, found.looks, len(found.after)) == (outcome, 1, 5)
        assert bench.now <= 10


def test_a_failure_beside_busy_neighbours_waits_for_another_look() -> None:
    """A burst of theirs is over by then; one that lasts is believed."""
    bench = Bench()
    burst = iter([bench.side("a", 0.08, warm=100)] * 5 + [bench.side("a", warm=100)] * 20)

    def take() -> Figures:
        return next(burst)()

    assert bench.against_stored(take).outcome is not Outcome.FAIL
    found = Bench().against_stored(bench.side("a", 0.08, warm=100))
    assert (found.outcome, found.looks) == (Outcome.FAIL, 2)


def test_an_unclear_one_takes_more_looks_and_ends_in_time() -> None:
    """Processes that differ too much are not measured for ever."""
    bench = Bench(seconds=2.5)
    found = bench.against_stored(bench.side("a", 0.04, spread=15.0), budget=50.0)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.looks == len(Rule().looks)
    assert 40 < bench.now <= 50


def test_no_process_begins_that_would_end_too_late() -> None:
    """However slow the device is."""
    bench = Bench(seconds=9.0)
    found = bench.against_stored(bench.side("a"), budget=50.0)
    assert bench.now <= 50
    assert len(found.after) == 5


def test_processes_that_do_not_count_are_replaced() -> None:
    """They are kept in the result, and the look waits for others."""
    bench = Bench()
    peaceful, crowded = bench.side("a"), bench.side("a", warm=3)
    turns = iter([crowded, peaceful] * 5)

    def take() -> Figures:
        return next(turns)()

    found = bench.against_stored(take)
    assert found.outcome is Outcome.PASS
    assert sum(one.counts for one in found.after) == 5
    assert len(found.after) == 10


def test_a_host_that_leaves_none_in_peace_is_inconclusive() -> None:
    """After the whole budget, and with a reason."""
    bench = Bench()
    found = bench.against_stored(bench.side("a", warm=3), budget=30.0)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.comparisons[0].reason is not None
    assert bench.now <= 30


def test_a_wrong_answer_ends_it_at_once() -> None:
    """And nothing is said of speed."""
    bench = Bench()
    found = bench.against_stored(bench.side("a", errors={"wrong-result": 1}))
    assert (len(found.after), found.comparisons) == (1, ())


def test_errors_that_are_not_fatal_end_nothing() -> None:
    """Which ones are, says who asked."""
    bench = Bench()
    found = bench.against_stored(bench.side("a", errors={"backend-unavailable": 1}), breaks=lambda _figures: False)
    assert (found.outcome, len(found.after)) == (Outcome.PASS, 5)


def test_the_first_process_counts_although_it_ran_before() -> None:
    """One that took long leaves no time for more of its kind."""
    bench = Bench(seconds=20.0)
    found = bench.against_stored(bench.side("a"), budget=30.0, longest=20.0)
    assert (found.outcome, len(found.after)) == (Outcome.INCONCLUSIVE, 1)


def test_two_sides_take_turns_and_the_first_one_changes() -> None:
    """A B, B A, A B, …: neither side always runs after the other."""
    bench = Bench()
    found = in_turn(bench.side("a"), bench.side("b"), Rule(), clock=bench.clock)
    assert bench.order == "abbaabbaab"
    assert found.outcome is Outcome.PASS


def test_two_sides_end_with_as_many_processes_that_count() -> None:
    """The side that was set aside more often runs more often."""
    bench = Bench()
    after = iter([bench.side("b", warm=0), bench.side("b", warm=0)] + [bench.side("b")] * 20)

    def take() -> Figures:
        return next(after)()

    found = in_turn(bench.side("a"), take, Rule(), clock=bench.clock)
    assert found.comparisons[0].processes == (5, 5)
    assert (len(found.before), len(found.after)) == (5, 7)
