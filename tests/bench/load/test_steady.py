# SPDX-License-Identifier: Apache-2.0
"""Steady state, drift and throttling, on a device with planted behaviour: how often it is seen, and how often not."""

import math
import random

import pytest

from sealpass.bench.load.processes import Rate
from sealpass.bench.load.recording import Taken
from sealpass.bench.load.stability import Findings, findings
from sealpass.bench.load.steady import is_steady, truncation, warm_up
from sealpass.bench.load.trend import step, trend
from sealpass.bench.simulated.device import Device, Spread
from sealpass.bench.simulated.virtual import VirtualCrew

SEEDS = range(200)
FEW = range(60)
NOISY = Spread.LOG_NORMAL


def found(device: Device, seed: int, *, clients: int = 1, rate: float | None = None) -> Findings:
    """What is said of ten seconds."""
    results = VirtualCrew(device, clients, seed=seed).measure(10.0, None if rate is None else Rate(rate))
    return findings([one for one in results if isinstance(one, Taken)], is_closed=rate is None)


@pytest.mark.parametrize(
    ("device", "clients", "rate"),
    [
        (Device(service_s=0.01, spread=NOISY), 1, None),
        (Device(service_s=0.02, spread=Spread.EXPONENTIAL), 1, None),
        (Device(service_s=0.01, servers=2, spread=Spread.EXPONENTIAL), 2, 150.0),
        (Device(service_s=0.01, spread=NOISY, stalls=((3.0, 0.5),)), 1, None),
    ],
    ids=["log-normal", "exponential", "queue", "one stall"],
)
def test_a_steady_device_is_called_steady(device: Device, clients: int, rate: float | None) -> None:
    """False alarms: at most 1 in 50, whatever the distribution; a single stall is none."""
    alarms = sum(found(device, seed, clients=clients, rate=rate) != Findings() for seed in SEEDS)
    assert alarms <= len(SEEDS) // 50


@pytest.mark.parametrize(("after", "factor"), [(2.5, 1.3), (5.0, 1.3), (8.0, 1.5)])
def test_throttling_is_seen_wherever_it_sets_in(after: float, factor: float) -> None:
    """A lasting step is seen in 9 of 10 runs as what it is, and with its time."""
    device = Device(service_s=0.01, spread=NOISY, throttled_after_s=after, throttled_factor=factor)
    said = [found(device, seed).throttled for seed in FEW]
    assert sum(bool(one) for one in said) >= 0.9 * len(FEW)
    assert "after" in next(one for one in said if one)[0]


def test_a_drift_is_seen() -> None:
    """30 % in ten seconds: in 19 of 20 runs, and in 4 of 5 as a trend."""
    said = [found(Device(service_s=0.01, spread=NOISY, drift_per_s=0.03), seed) for seed in FEW]
    assert sum(bool(one.drifting) for one in said) >= 0.8 * len(FEW)
    assert sum(one != Findings() for one in said) >= 0.95 * len(FEW)


def test_a_change_nobody_cares_for_is_no_finding() -> None:
    """2 % is significant with many operations, and still not said."""
    device = Device(service_s=0.001, spread=NOISY, throttled_after_s=5.0, throttled_factor=1.02)
    assert sum(found(device, seed) != Findings() for seed in range(20)) <= 1


def test_too_few_operations_tell_nothing() -> None:
    """Nothing is said of 50 operations, or of none."""
    assert found(Device(service_s=0.2, throttled_after_s=5.0), 1) == Findings()
    assert findings([], is_closed=True) == Findings()


def test_a_faster_device_was_not_throttled() -> None:
    """A step up is a change, too, but of the other kind."""
    said = found(Device(service_s=0.01, spread=NOISY, throttled_after_s=5.0, throttled_factor=0.6), 1)
    assert not said.throttled
    assert "fell by" in said.drifting[0]


def test_trend_and_step_keep_their_significance() -> None:
    """Of series without either, 1 in 20 has p < 0.05, within the chance of 400 series; ties do no harm."""
    draw = random.Random(1)  # noqa: S311 - test data
    series = [[float(draw.randrange(30)) for _ in range(20)] for _ in range(400)]
    assert 8 <= sum(trend(one).p_value < 0.05 for one in series) <= 33
    assert 8 <= sum(step(one).p_value < 0.05 for one in series) <= 33
    assert trend([5.0] * 20) == (1.0, 0.0)
    assert trend([float(value) for value in range(20)]).total == pytest.approx(19)
    assert step([1.0] * 7 + [2.0] * 13).at == 7


def test_the_truncation_is_where_the_transient_ends() -> None:
    """Five high values before ten low ones; none of a slope, or of too few values, is steady."""
    low = [1.0, 1.1, 1.0, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 1.0]
    assert truncation([9.0, 7.0, 5.0, 4.0, 3.0, *low]) == 5
    assert truncation([float(value) for value in range(20)]) is None
    assert truncation(low[:9]) is None
    assert is_steady(low)
    assert not is_steady(low, [0.0] * 10)


@pytest.mark.parametrize(("factor", "fades"), [(3.0, 0.1), (3.0, 0.3)])
def test_the_warm_up_ends_after_the_cold_start(factor: float, fades: float) -> None:
    """In 9 of 10 runs at most 10 % is left of the transient, and it is not endless."""
    device = Device(service_s=0.002, spread=NOISY, cold_factor=factor, cold_s=fades)
    left = []
    for seed in range(100):
        done, _ = warm_up(VirtualCrew(device, 1, seed=seed), None, 0.5, 10.0)
        assert done.steady
        left.append((factor - 1) * math.exp(-done.seconds / fades))
    assert sorted(left)[90] <= 0.1


def test_a_warm_device_is_not_kept_waiting() -> None:
    """Of a device that is steady from the begin on, the median warm-up is a second at most; a slow one gets longer."""
    spent = sorted(
        warm_up(VirtualCrew(Device(service_s=0.002, spread=NOISY), 1, seed=seed), None, 0.5, 10.0)[0].seconds
        for seed in SEEDS
    )
    assert spent[100] <= 1.0
    slow, _ = warm_up(VirtualCrew(Device(service_s=0.05, spread=NOISY), 1), None, 0.5, 10.0)
    assert slow.steady
    assert slow.seconds >= 2.5  # ten windows of five operations


def test_a_device_that_gets_slower_does_not_warm_up() -> None:
    """A strong drift is no steady state, and the reason says so."""
    done, was_interrupted = warm_up(VirtualCrew(Device(service_s=0.002, drift_per_s=0.5), 1), None, 0.5, 5.0)
    assert (done.steady, was_interrupted) == (False, False)
    assert done.reason == "no steady state within 5 s"
