# SPDX-License-Identifier: Apache-2.0
"""How often the rule is wrong, on modelled recordings: in virtual time, with fixed seeds."""

from collections import Counter

import pytest

from sealpass.bench.gate.decision import ANOTHER_DAY_SD, Outcome, Rule
from sealpass.bench.gate.rounds import against_stored, in_turn
from tests.bench.gate.modelled import SLOWER, TAIL, UNCHANGED, Effect, Machine
from tools.prove_gate.exact import interval

RULE = Rule()
RUNS_PER_BASELINE = 20
SECONDS_A_PROCESS = 1.2


class Clock:
    """A clock that a process moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def outcomes(effect: Effect, runs: int, interruptions: float) -> Counter[Outcome]:
    """How gates against baselines of other days end."""
    counts: Counter[Outcome] = Counter()
    stored = []
    for run in range(runs):
        if run % RUNS_PER_BASELINE == 0:
            quiet = Machine(1_000_000 + run, interruptions=0.02)
            stored = [quiet.process() for _ in range(12)]
        clock, machine = Clock(), Machine(run, interruptions=interruptions, effect=effect)

        def take(clock: Clock = clock, machine: Machine = machine) -> object:
            clock.now += SECONDS_A_PROCESS
            return machine.process()

        found = against_stored(stored, take, RULE, between=ANOTHER_DAY_SD, clock=clock)  # type: ignore[arg-type]
        counts[found.outcome] += 1
    return counts


@pytest.mark.parametrize("interruptions", [0.02, 0.12], ids=["quiet", "noisy"])
def test_an_unchanged_device_hardly_ever_fails(interruptions: float) -> None:
    """At most 1 % false alarms, whether the machine is quiet or a neighbour takes it every few operations."""
    counts = outcomes(UNCHANGED, 160, interruptions)
    assert counts[Outcome.FAIL] / counts.total() <= 0.01
    assert interval(counts[Outcome.FAIL], counts.total())[1] < 0.05
    assert counts[Outcome.INCONCLUSIVE] / counts.total() <= 0.05


@pytest.mark.parametrize("interruptions", [0.02, 0.12], ids=["quiet", "noisy"])
@pytest.mark.parametrize("effect", [SLOWER, TAIL], ids=["slower", "tail"])
def test_a_planted_slowdown_is_caught(effect: Effect, interruptions: float) -> None:
    """Every operation 5 % slower, and one operation in 50 three times as long: each in 95 of 100 runs or more."""
    counts = outcomes(effect, 60, interruptions)
    assert counts[Outcome.FAIL] / counts.total() >= 0.95


def test_two_sides_of_one_job() -> None:
    """The same for sides that are measured in turn: no day lies between them."""

    def run(seed: int, effect: Effect) -> Outcome:
        clock, before, after = Clock(), Machine(seed), Machine(seed, effect=effect)
        return in_turn(before.process, after.process, RULE, clock=clock).outcome

    unchanged = Counter(run(seed, UNCHANGED) for seed in range(80))
    slower = Counter(run(seed, SLOWER) for seed in range(40))
    assert unchanged[Outcome.FAIL] == 0
    assert slower[Outcome.FAIL] >= 38
