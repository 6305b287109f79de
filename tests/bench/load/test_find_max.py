# SPDX-License-Identifier: Apache-2.0
"""The highest rate that holds an objective: against the truth of queues, in virtual time; and a run that sleeps."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from sealpass.bench.distribution import samples
from sealpass.bench.load.find_max import FindMax, Outcome, Search
from sealpass.bench.load.objective import Objective, Response, Trial, parse
from sealpass.bench.load.processes import Lost, Rate
from sealpass.bench.load.recording import Taken
from sealpass.bench.load.run import run
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.worker import Watch
from sealpass.bench.simulated.device import Device, Spread
from sealpass.bench.simulated.sleeping import sleeping
from sealpass.bench.simulated.virtual import VirtualCrew
from sealpass.core.errors import ConfigError
from tests.bench.load.conftest import Validate

MS = 1_000_000


def search(device: Device, slo: str, hold: float, *, clients: int = 200, seed: int = 1) -> Outcome:
    """The search on a new device."""
    return FindMax(VirtualCrew(device, clients, seed=seed), Search(parse([slo]), hold)).run()


def rate_of_d_m_1(service_per_s: float, percent: float, limit_s: float) -> float:
    """The rate at which that percentile of a D/M/1 queue is the limit.

    Response times are exponential with rate mu (1 - s), and s = exp(-mu (1 - s) / rate): Kleinrock, "Queueing Systems",
    volume 1, section 6.4.
    """
    needed = -math.log(1 - percent / 100) / limit_s
    return -needed / math.log(1 - needed / service_per_s)


@pytest.mark.parametrize("servers", [1, 4])
def test_fixed_times_hold_up_to_saturation(servers: int) -> None:
    """D/D/k: nobody waits up to k/s, and beyond it the queue grows without end."""
    device = Device(service_s=0.002, servers=servers)
    found = search(device, "p99=20ms", 2.0)
    assert found.max_rate_per_s == pytest.approx(device.saturation_per_s, rel=0.05)
    assert found.max_rate_per_s is not None
    assert found.max_rate_per_s <= device.saturation_per_s
    assert found.reason is None


def test_random_times_hold_up_to_the_rate_of_the_queue() -> None:
    """D/M/1: within 5 % of the analytic rate, in five of six seeded searches at least, and never 10 % off."""
    truth = rate_of_d_m_1(1000.0, 99, 0.020)
    device = Device(service_s=0.001, servers=1, spread=Spread.EXPONENTIAL)
    ratios = [(search(device, "p99=20ms", 15.0, seed=seed).max_rate_per_s or 0) / truth for seed in range(6)]
    assert sum(abs(ratio - 1) <= 0.05 for ratio in ratios) >= 5
    assert all(abs(ratio - 1) <= 0.1 for ratio in ratios)


def test_what_is_answered_was_held_for_the_whole_time() -> None:
    """The rate is one that was tried for as long as was asked for, and each trial is written down."""
    found = search(Device(service_s=0.002, servers=4), "p99=20ms", 2.0)
    whole = [trial for trial in found.tried if trial["seconds"] == 2.0 and trial["held"]]
    assert found.max_rate_per_s == pytest.approx(max(trial["rate_per_s"] for trial in whole), abs=0.001)
    failed = [trial for trial in found.tried if not trial["held"]]
    assert min(trial["rate_per_s"] for trial in failed) <= 1.05 * (found.max_rate_per_s or 0)
    assert all(trial["lasted"] for trial in failed)
    assert sum(len(one.service) for one in found.best) == pytest.approx(2 * (found.max_rate_per_s or 0), rel=0.01)


class Scripted(VirtualCrew):
    """Its device stands still for 20 ms in its first open windows, so many of them, and never again."""

    def __init__(self, stalled: int) -> None:
        super().__init__(Device(service_s=0.001, servers=1), 200)
        self.rates: list[float] = []
        self._stalled = stalled

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """Plants the stall."""
        if rate is not None:
            self.rates.append(rate.per_second)
            at = self.now_ns / 1e9 + 0.1
            self._device = replace(self._device, stalls=((at, 0.02),) if len(self.rates) <= self._stalled else ())
        return super().measure(seconds, rate, watch)


def test_a_moment_is_tried_once_more() -> None:
    """A stall that only the worst tenth of the time saw does not count; the same rate is tried again, and holds."""
    crew = Scripted(1)
    found = FindMax(crew, Search(parse(["p99=10ms"]), 1.0)).run()
    assert crew.rates[0] == crew.rates[1]
    assert [(trial["held"], trial["lasted"]) for trial in found.tried[:2]] == [(False, False), (True, None)]
    assert found.max_rate_per_s == pytest.approx(1000, rel=0.05)


def test_a_moment_that_comes_back_counts() -> None:
    """A device that stalls the second time, too, did not hold the rate: the next one is lower."""
    crew = Scripted(2)
    found = FindMax(crew, Search(parse(["p99=10ms"]), 1.0)).run()
    assert [(trial["held"], trial["lasted"]) for trial in found.tried[:2]] == [(False, False), (False, False)]
    assert crew.rates[0] == crew.rates[1] > crew.rates[2]


def test_a_rate_that_is_not_carried_did_not_hold() -> None:
    """However short the others waited: with a tenth of the starts missing it was another rate."""
    answered = [Response(number * MS, MS) for number in range(90)]
    trial = Trial(1000.0, 0.1, answered + [Response(99 * MS, MS)] * 10, errors=0, unstarted=10)
    assert trial.breaches(parse(["p99=20ms"])) == ["10 starts found no thread until the end"]
    assert trial.lasted(parse(["p99=20ms"]), 10)
    assert Trial(1000.0, 0.1, answered, errors=0, unstarted=4).breaches(parse(["p99=20ms"])) == []


def test_errors_are_part_of_the_objective() -> None:
    """One error in a hundred breaks an objective that says none, and holds one that says 3 %."""
    device = Device(service_s=0.002, servers=4, error_share=0.01)
    found = search(device, "p99=20ms", 2.0)
    assert (found.max_rate_per_s or 0) < 100  # a hundred calls without an error are luck
    assert any("failed" in " ".join(trial["missed"]) for trial in found.tried)
    assert search(device, "p99=20ms,errors=3%", 2.0).max_rate_per_s == pytest.approx(2000, rel=0.07)


@pytest.mark.parametrize(("errors", "missed"), [(10, []), (11, ["11 of 1000 failed"]), (25, ["25 of 1000 failed"])])
def test_a_share_of_errors_is_missed_by_one_more(errors: int, missed: list[str]) -> None:
    """Of a thousand, 1 % is ten: eleven are too many, and so are twenty-five."""
    trial = Trial(1000.0, 1.0, [Response(number * MS, MS) for number in range(1000 - errors)], errors, unstarted=0)
    assert trial.breaches(parse(["p99=20ms", "errors=1%"])) == missed


def test_an_objective_that_no_rate_holds_has_none() -> None:
    """A call takes longer than it may at any rate; what was missed is said."""
    found = search(Device(service_s=0.05, servers=2), "p50=20ms", 2.0)
    assert found.max_rate_per_s is None
    assert "no rate held the objective" in (found.reason or "")
    assert "p50 was 50 ms" in (found.reason or "")


@pytest.mark.parametrize(
    ("slo", "hold", "words"),
    [
        ("p99=1s", 12.0, "p99 of only"),
        ("p90=1s,p50=1s", 12.0, None),
        ("p50=1s,p99.9=1s", 50.0, "p99.9 of only"),
        ("p99=1s", 50.0, None),
        ("max=1s", 12.0, None),
    ],
)
def test_a_percentile_of_few_operations_is_no_answer(slo: str, hold: float, words: str | None) -> None:
    """Ten calls a second: 120 of them have no p99, nor 500 a p99.9; how long it takes is said, and is long enough."""
    device = Device(service_s=0.1, servers=1)
    found = search(device, slo, hold)
    assert found.max_rate_per_s == pytest.approx(10, rel=0.15)
    if words is None:
        assert found.reason is None
        return
    match = re.fullmatch(rf"{words} (\d+) operations says little: raise --hold to (\d+) s", found.reason or "")
    assert match is not None
    assert int(match[1]) == sum(one.started for one in found.best)
    assert search(device, slo, float(match[2])).reason is None


def test_what_ended_a_search_is_said_beside_how_little_it_rests_on() -> None:
    """An interrupt after a rate held for a few operations: both are reasons."""
    crew = Scripted(0)
    search_of = FindMax(crew, Search(parse(["p99.9=10ms"]), 1.0))
    measure, held = crew.measure, list[float]()

    def interrupted(seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        results = measure(seconds, rate, watch)
        for one in results:
            if isinstance(one, Taken) and seconds == 1.0 and rate is not None:
                one.is_interrupted = bool(held)
                held.append(rate.per_second)
        return results

    crew.measure = interrupted  # type: ignore[method-assign]
    found = search_of.run()
    assert found.is_interrupted
    reasons = (found.reason or "").split("; ")
    assert [reason.split(" ")[0] for reason in reasons] == ["interrupted:", "p99.9"]


def test_too_few_threads_are_no_better_than_a_slow_device() -> None:
    """What is due and finds no thread waits, so the rate is that of the threads."""
    found = search(Device(service_s=0.01), "p99=30ms", 5.0, clients=3)
    assert found.max_rate_per_s == pytest.approx(300, rel=0.05)


def test_starts_that_never_came_count_as_waiting() -> None:
    """They waited from when they were due to the end of the window, at least."""
    (taken,) = VirtualCrew(Device(service_s=0.01, servers=1), 1).measure(1.0, Rate(150.0))
    assert isinstance(taken, Taken)
    trial = Trial.of([taken], 150.0, 1.0)
    assert (len(trial.responses), trial.unstarted) == (150, 50)
    assert trial.breaches(parse(["p50=50ms"])) != []
    assert trial.lasted(parse(["p50=50ms"]), 10)


def test_each_start_that_never_came_waited_since_it_was_due() -> None:
    """Four starts a second, of which one thread began two: the third was due 375 ms before the end, the last 125."""
    service, ended = samples([400 * MS, 600 * MS]), samples([400 * MS, 1000 * MS])
    empty = samples()
    taken = Taken(0, 1000 * MS, service, ended, samples([0, 150 * MS]), Counter(), empty, 2, is_cut=False, intended=4)
    waited = Trial.of([taken], 4.0, 1.0).responses[2:]
    assert sorted(waited) == [(625 * MS, 375 * MS), (875 * MS, 125 * MS)]
    assert Trial.of([taken], 4.0, 1.0).measured(parse(["p50=1s"])) == {"p50_ns": 375 * MS}


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["p99=20ms"], Objective(((99.0, 20 * MS),))),
        (["p99=20ms, p50=500us", "errors=0.1%"], Objective(((50.0, MS // 2), (99.0, 20 * MS)), 0.001)),
        (["max=1.5s", "p99.9=1s", "errors=0"], Objective(((99.9, 1000 * MS), (100.0, 1500 * MS)))),
    ],
)
def test_terms_are_read_and_shown(terms: Sequence[str], expected: Objective) -> None:
    """What is shown reads as the same objective."""
    assert parse(terms) == expected
    assert parse(str(expected).split()) == expected


@pytest.mark.parametrize(
    "term",
    [
        *("p99", "p99=20", "p0=1ms", "p100=1ms", "p99=0ms", "errors=1%", "errors=100%", "rate=5", ""),
        *(f"p99={'9' * 400}s", "p99.99999999999999999999=1s", "p٩٩=1s", "p99=٣s", f"p99=1.{'9' * 20}s"),
    ],
)
def test_what_is_no_objective_is_refused(term: str) -> None:
    """A unit that is missing, a percentile that is none, errors alone."""
    with pytest.raises(ConfigError):
        parse([term])
    with pytest.raises(ConfigError):
        parse(["p99=20ms", "p99=30ms"])


def test_a_run_finds_the_rate_of_a_device_that_sleeps(short: Settings, valid: Validate) -> None:
    """In real time: the document has the objective, and the measurement at its rate."""
    settings = replace(short, threads=(8,))
    source = partial(sleeping, Device(service_s=0.004, servers=2))
    document = valid(run(settings, source=source, search=Search(parse(["p90=20ms"]), 0.2)))
    (objective,) = document["objectives"]
    (one,) = document["measurements"]
    assert objective["slo"] == "p90=20ms errors=0"
    assert 0 < objective["max_rate_per_s"] < 700  # 500, and what waits at the end
    assert one["load"]["rate_per_s"] == pytest.approx(objective["max_rate_per_s"], abs=0.001)
    assert one["status"] == "measured"
    assert document["status"] == "complete"


def test_a_time_that_is_too_short_for_the_objective_is_refused() -> None:
    """A second of waiting cannot be told from holding in a second."""
    with pytest.raises(ConfigError, match="cannot be seen"):
        Search(parse(["p50=1ms", "p99=1s"]), 9.0)
    for hold in (0.0, float("nan"), 1e300):
        with pytest.raises(ConfigError, match="more than 0 seconds, and at most 604800"):
            Search(parse(["p99=1ms"]), hold)
