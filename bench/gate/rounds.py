# SPDX-License-Identifier: Apache-2.0
"""Fresh processes until the rule is sure, or the time is over.

The clock and the processes are given, so that tests bring their own. The figures are looked at only where the rule
says so (:attr:`Rule.looks`): a look after every process would find something sooner or later.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sealpass.bench.gate.decision import CROWDED, Comparison, Outcome, Rule, compare, crowding, overall
from sealpass.bench.gate.figures import Figures

BUDGET_SECONDS = 50.0
"""No process begins that would end after it: with what comes before and after, a gate ends within a minute."""

Take = Callable[[], Figures]
"""Runs one fresh process of a side; raises operator errors."""
Breaks = Callable[[Figures], bool]
"""Says of a process that was just measured whether it makes all others pointless."""


def any_error(figures: Figures) -> bool:
    """Whether an operation failed or answered wrong."""
    return any(figures.errors.values())


@dataclass(slots=True)
class Rounds:
    """What was measured, and what the rule says of it."""

    before: list[Figures]
    after: list[Figures]
    comparisons: tuple[Comparison, ...] = ()
    looks: int = 0

    @property
    def outcome(self) -> Outcome:
        """What the rule says of the comparisons."""
        return overall([one.outcome for one in self.comparisons])


@dataclass(slots=True)
class _Side:
    """One side while it is measured."""

    take: Take | None
    """None: the side is a stored one."""
    taken: list[Figures]
    counted: int = field(init=False)

    def __post_init__(self) -> None:
        self.counted = sum(one.counts for one in self.taken)

    def wants(self, look: int) -> bool:
        return self.take is not None and self.counted < look

    def go(self) -> Figures:
        assert self.take is not None  # noqa: S101 - asked for by wants() only
        found = self.take()
        self.taken.append(found)
        self.counted += found.counts
        return found


def against_stored(
    before: Sequence[Figures],
    take: Take,
    rule: Rule,
    *,
    between: float,
    budget: float = BUDGET_SECONDS,
    longest: float = 0.0,
    breaks: Breaks = any_error,
    clock: Callable[[], float] = time.monotonic,
) -> Rounds:
    """Measure one side against figures of another day. ``longest`` is how long a process before these took."""
    patience = _Patience(budget, clock, longest)
    return _rounds(_Side(None, list(before)), _Side(take, []), rule, between, patience, breaks)


def in_turn(
    take_before: Take,
    take_after: Take,
    rule: Rule,
    *,
    between: float = 0.0,
    budget: float = BUDGET_SECONDS,
    longest: float = 0.0,
    breaks: Breaks = any_error,
    clock: Callable[[], float] = time.monotonic,
) -> Rounds:
    """Measure two sides in one job: A B, B A, A B, …, so that what changes with time hits both."""
    patience = _Patience(budget, clock, longest)
    return _rounds(_Side(take_before, []), _Side(take_after, []), rule, between, patience, breaks)


@dataclass(slots=True)
class _Patience:
    """Whether there is time for one more process."""

    budget: float
    clock: Callable[[], float]
    longest: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def allows_another(self) -> bool:
        return self.clock() - self.began + self.longest <= self.budget

    def time(self, work: Take) -> Figures:
        begin = self.clock()
        found = work()
        self.longest = max(self.longest, self.clock() - begin)
        return found


def _rounds(before: _Side, after: _Side, rule: Rule, between: float, patience: _Patience, breaks: Breaks) -> Rounds:
    rounds = Rounds(before.taken, after.taken)
    turn = 0
    for look in rule.looks:
        while before.wants(look) or after.wants(look):
            order = (before, after) if turn % 2 == 0 else (after, before)
            turn += 1
            for side in order:
                if not side.wants(look):
                    continue
                if not patience.allows_another():
                    return _looked(rounds, rule, between, apart=before.take is None)
                if breaks(patience.time(side.go)):
                    return rounds  # a wrong answer is not made good by its speed
        _looked(rounds, rule, between, apart=before.take is None)
        if rounds.outcome is Outcome.PASS or (rounds.outcome is Outcome.FAIL and not _hasty(rounds)):
            break
    return rounds


def _hasty(rounds: Rounds) -> bool:
    """Whether a failure may be a burst of the neighbours, which the time of another look outlasts."""
    counted = [one for one in rounds.after if one.counts]
    return rounds.looks == 1 and bool(counted) and crowding(counted) > CROWDED


def _looked(rounds: Rounds, rule: Rule, between: float, *, apart: bool) -> Rounds:
    rounds.comparisons = compare(rounds.before, rounds.after, rule, between=between, apart=apart)
    rounds.looks += 1
    return rounds
