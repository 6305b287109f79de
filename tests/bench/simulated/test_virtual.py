# SPDX-License-Identifier: Apache-2.0
"""The simulated device does what it says: everything else is proved on it."""

import statistics
from functools import partial

import pytest

from sealpass.bench.load.operations import Name, Task
from sealpass.bench.load.processes import Rate, start
from sealpass.bench.load.recording import Taken
from sealpass.bench.simulated.device import Device, Spread
from sealpass.bench.simulated.sleeping import sleeping
from sealpass.bench.simulated.virtual import FAILED, VirtualCrew

MS = 1_000_000


def window(device: Device, clients: int, seconds: float, rate: float | None = None, seed: int = 1) -> Taken:
    """One window of a new device."""
    crew = VirtualCrew(device, clients, seed=seed)
    (taken,) = crew.measure(seconds, None if rate is None else Rate(rate))
    assert isinstance(taken, Taken)
    return taken


def throughput(taken: Taken) -> float:
    """Right answers a second."""
    return len(taken.service) * 1e9 / (taken.finished - taken.began)


@pytest.mark.parametrize("clients", [1, 2, 4, 16])
def test_servers_limit_a_closed_loop(clients: int) -> None:
    """With k servers of fixed time s, N clients get min(N, k)/s, and each waits for its turn."""
    device = Device(service_s=0.002, servers=4)
    taken = window(device, clients, 2.0)
    assert throughput(taken) == pytest.approx(device.throughput_per_s(clients), rel=0.005)
    assert statistics.median(taken.service) == pytest.approx(max(1, clients / 4) * 2 * MS)


@pytest.mark.parametrize("clients", [1, 3, 10, 40])
def test_contention_and_coherency_are_the_law(clients: int) -> None:
    """Throughput over clients is the Universal Scalability Law with the device's own coefficients."""
    device = Device(service_s=0.002, contention=0.04, coherency=0.001)
    expected = clients / 0.002 / (1 + 0.04 * (clients - 1) + 0.001 * clients * (clients - 1))
    assert throughput(window(device, clients, 4.0)) == pytest.approx(expected, rel=0.01)
    assert device.throughput_per_s(clients) == pytest.approx(expected)


@pytest.mark.parametrize("spread", list(Spread))
def test_service_times_have_their_mean(spread: Spread) -> None:
    """Whatever their distribution is."""
    taken = window(Device(service_s=0.002, spread=spread), 1, 60.0)
    assert statistics.mean(taken.service) == pytest.approx(2 * MS, rel=0.02)
    if spread is Spread.EXPONENTIAL:
        assert statistics.stdev(taken.service) == pytest.approx(2 * MS, rel=0.03)


def test_an_open_loop_keeps_its_starts_in_a_stall() -> None:
    """What was due in a stall of 100 ms waited, from its due time on; nothing is left out."""
    device = Device(service_s=0.001, servers=1, stalls=((0.5, 0.1),))
    taken = window(device, 1, 1.0, rate=100)
    response = [service + delay for service, delay in zip(taken.service, taken.delay, strict=True)]
    assert (taken.intended, taken.started, len(response)) == (100, 100, 100)
    assert max(response) == 101 * MS
    assert sum(value > MS for value in response) == 12  # 10, and 2 behind them
    assert max(taken.delay) > 90 * MS


def test_an_open_loop_beyond_saturation_leaves_starts_out() -> None:
    """What no client was free for is intended and not started."""
    taken = window(Device(service_s=0.01, servers=1), 1, 1.0, rate=150)
    assert (taken.intended, taken.started) == (150, 100)


def test_a_device_changes_over_its_own_time() -> None:
    """It drifts, is throttled, begins cold, and fails, as it was told; and its clock goes on between windows."""
    crew = VirtualCrew(Device(service_s=0.001, throttled_after_s=1.0, throttled_factor=2.0), 1)
    first, second = crew.measure(1.0, None)[0], crew.measure(1.0, None)[0]
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert (set(first.service), set(second.service)) == ({MS}, {2 * MS})
    drifting = window(Device(service_s=0.001, drift_per_s=0.1), 1, 2.0)
    assert drifting.service[-1] == pytest.approx(1.2 * MS, rel=0.01)
    cold = window(Device(service_s=0.001, cold_factor=3.0), 1, 3.0)
    assert cold.service[0] == 3 * MS
    assert cold.service[-1] == pytest.approx(MS, rel=0.01)
    failing = window(Device(service_s=0.001, error_share=0.1), 1, 10.0)
    assert failing.errors[FAILED] == pytest.approx(1000, rel=0.15)
    assert len(failing.service) + failing.errors[FAILED] == failing.started


def test_a_seed_repeats_a_window() -> None:
    """The same seed gives the same samples, another one others."""
    device = Device(spread=Spread.EXPONENTIAL)
    assert window(device, 2, 1.0).service == window(device, 2, 1.0).service
    assert window(device, 2, 1.0).service != window(device, 2, 1.0, seed=2).service


def test_calls_of_a_sleeping_device_wait_for_its_servers() -> None:
    """In real time, too: two threads on one server take turns, and no call is shorter than its service."""
    device = Device(service_s=0.002, servers=1, error_share=0.1)
    crew = start(Task(Name.UNWRAP, threads=2), partial(sleeping, device), None)
    try:
        (taken,) = crew.measure(0.3, None)
    finally:
        crew.close()
    assert isinstance(taken, Taken)
    assert min(taken.service) >= 2 * MS
    assert 2 <= taken.started <= 152  # one server: 150, and the last of each thread
    assert set(taken.errors) <= {"backend-unavailable"}
