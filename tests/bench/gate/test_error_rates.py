# SPDX-License-Identifier: Apache-2.0
"""How often the rule is wrong, on modelled recordings: in virtual time, with fixed seeds."""

import math
import random
from collections import Counter

import pytest

from sealpass.bench.gate.decision import ANOTHER_DAY_SD, Outcome, Rule
from sealpass.bench.gate.figures import Figures
from sealpass.bench.gate.rounds import against_stored, in_turn
from tests.bench.gate.modelled import SLOWER, TAIL, UNCHANGED, Effect, Machine, Remote, plain
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
    counts = outcomes(UNCHANGED, 80, interruptions)
    assert counts[Outcome.FAIL] / counts.total() <= 0.01
    assert interval(counts[Outcome.FAIL], counts.total())[1] < 0.05
    assert counts[Outcome.INCONCLUSIVE] / counts.total() <= 0.05


@pytest.mark.parametrize("interruptions", [0.02, 0.12], ids=["quiet", "noisy"])
@pytest.mark.parametrize("effect", [SLOWER, TAIL], ids=["slower", "tail"])
def test_a_planted_slowdown_is_caught(effect: Effect, interruptions: float) -> None:
    """Every operation 5 % slower, and one operation in 50 three times as long: each in 95 of 100 runs or more."""
    counts = outcomes(effect, 24, interruptions)
    assert counts[Outcome.FAIL] / counts.total() >= 0.95


@pytest.mark.parametrize(
    "effect",
    [
        Effect(tail_rate=0.2, tail_times=2.1),
        Effect(tail_rate=0.3, tail_times=2.1),
        Effect(tail_rate=1 / 150, tail_times=20),
    ],
    ids=["1 in 5 twice", "3 in 10 twice", "1 in 150 twenty times"],
)
def test_what_lies_between_median_and_tail_is_caught_by_the_mean(effect: Effect) -> None:
    """Neither the median nor the share of slow operations says much of these; few very long ones may end unclear."""
    counts = outcomes(effect, 12, 0.02)
    assert counts[Outcome.PASS] == 0
    assert counts[Outcome.FAIL] >= 9


@pytest.mark.parametrize(
    "effect", [Effect(slower=1.0, every=5), Effect(tail_rate=0.1, every=5)], ids=["all of it twice", "a tail"]
)
def test_some_processes_that_are_much_slower_do_not_pass(effect: Effect) -> None:
    """One of five is trimmed away, and is not how the device behaves for all that."""
    assert outcomes(effect, 8, 0.02)[Outcome.PASS] == 0


@pytest.mark.parametrize("share", [0.01, 0.02, 0.04])
@pytest.mark.parametrize("more", [1.0, 2.5])
def test_a_tail_that_differs_between_processes_raises_no_alarms(share: float, more: float) -> None:
    """Shares that vary by 2.5 times what a binomial does, half of it by the process."""
    draw = random.Random(f"{share} {more}")  # noqa: S311 - noise, not secrets
    witnessed = 250

    def process() -> Figures:
        sd = math.sqrt(more * share * (1 - share) * witnessed)
        slow = min(witnessed, max(0, round(draw.gauss(share * witnessed, sd))))
        return plain(math.log(2.2) + draw.gauss(0, 0.003), slow=slow, witnessed=witnessed)

    runs = 400
    found = [
        against_stored([process() for _ in range(12)], process, RULE, between=ANOTHER_DAY_SD, clock=lambda: 0.0)
        for _ in range(runs)
    ]
    assert sum(one.outcome is Outcome.FAIL for one in found) / runs <= 0.01


def remote(runs: int, **device: float) -> tuple[Counter[Outcome], float, list[str | None]]:
    """How gates of a device that is waited for end, how long the longest took, and what is said of its tail."""
    counts: Counter[Outcome] = Counter()
    longest, reasons = 0.0, []
    slower = device.pop("slower", 0.0)
    for run in range(runs):
        old, new = Remote(1000 + run, **device), Remote(run, **device, slower=slower)
        stored = [old.process() for _ in range(9)]
        found = against_stored(stored, new.process, RULE, between=ANOTHER_DAY_SD, clock=lambda new=new: new.seconds)  # type: ignore[misc]
        counts[found.outcome] += 1
        longest = max(longest, new.seconds)
        reasons.append(found.comparisons[1].reason)
    return counts, longest, reasons


@pytest.mark.parametrize("milliseconds", [8, 45, 65, 150])
def test_a_slow_device_is_judged_in_time_and_its_tail_as_far_as_can_be(milliseconds: float) -> None:
    """Few operations are enough for a median; of which share of slow ones the gate speaks is told."""
    passed, seconds, reasons = remote(3, milliseconds=milliseconds, jitter=0.03)
    assert passed == {Outcome.PASS: 3}
    assert seconds <= 50
    assert all(("too slowly" in (reason or "")) is (milliseconds > 20) for reason in reasons)
    assert remote(3, milliseconds=milliseconds, jitter=0.03, slower=0.1)[0] == {Outcome.FAIL: 3}


def test_a_device_that_answers_much_too_slowly_is_not_blamed_on_the_host() -> None:
    """Of 600 ms an operation, four fit into a process."""
    counts, _, reasons = remote(1, milliseconds=600, jitter=0.03)
    assert counts == {Outcome.INCONCLUSIVE: 1}
    assert "too slowly" in (reasons[0] or "")


def test_a_device_of_wide_times_gets_more_of_them() -> None:
    """Times that vary by a fifth or more (a network) hide nothing, and are no tail."""
    counts, seconds, _ = remote(8, milliseconds=3, jitter=0.2)
    assert counts[Outcome.PASS] >= 7
    assert seconds <= 50
    assert remote(8, milliseconds=3, jitter=0.2, slower=0.05)[0][Outcome.FAIL] >= 7


def test_two_sides_of_one_job() -> None:
    """The same for sides that are measured in turn: no day lies between them."""

    def run(seed: int, effect: Effect) -> Outcome:
        clock, before, after = Clock(), Machine(seed), Machine(seed, effect=effect)
        return in_turn(before.process, after.process, RULE, clock=clock).outcome

    unchanged = Counter(run(seed, UNCHANGED) for seed in range(50))
    slower = Counter(run(seed, SLOWER) for seed in range(24))
    assert unchanged[Outcome.FAIL] == 0
    assert slower[Outcome.FAIL] >= 23
