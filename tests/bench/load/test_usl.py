# SPDX-License-Identifier: Apache-2.0
"""The Universal Scalability Law: recovered from a device that follows it, refused or doubted where it does not hold."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sealpass.bench.load.recording import Taken
from sealpass.bench.load.scaling import scaling
from sealpass.bench.load.usl import Fit, Interval, Point, advice, fit, require_scipy
from sealpass.bench.simulated.device import Device, Spread
from sealpass.bench.simulated.virtual import VirtualCrew
from sealpass.core.errors import MissingDependency

NUMBERS = (1, 2, 4, 6, 8, 12, 16)
NOISY = Device(service_s=0.002, spread=Spread.EXPONENTIAL, contention=0.05, coherency=0.01)


def points(device: Device, numbers: Sequence[int] = NUMBERS, seed: int = 1, seconds: float = 1.0) -> list[Point]:
    """What a closed loop measures, number by number."""
    measured = []
    for n in numbers:
        (taken,) = VirtualCrew(device, n, seed=1000 * seed + n).measure(seconds, None)
        assert isinstance(taken, Taken)
        measured.append(Point(n, len(taken.service) * 1e9 / (taken.finished - taken.began)))
    return measured


def fitted(given: Sequence[Point], seed: int = 1) -> Fit:
    """The law, which is found."""
    found = fit(given, seed=seed)
    assert isinstance(found, Fit)
    return found


def holds(interval: Interval | None, truth: float) -> bool:
    """Whether the truth lies within."""
    return interval is not None and (interval.low or 0.0) <= truth and (interval.high is None or truth <= interval.high)


@pytest.mark.parametrize(
    ("device", "numbers"),
    [
        (NOISY, NUMBERS),
        (Device(service_s=0.002, spread=Spread.LOG_NORMAL, contention=0.02, coherency=0.002), (1, 2, 4, 8, 16, 32)),
        (Device(service_s=0.002, contention=0.05, coherency=0.01), NUMBERS),
    ],
    ids=["exponential", "log-normal", "no noise"],
)
def test_the_truth_lies_in_the_interval(device: Device, numbers: Sequence[int]) -> None:
    """Of 30 seeded runs, in nine of ten at least: coefficients, peak, and throughput at the peak."""
    runs = [fitted(points(device, numbers, seed, 0.6), seed) for seed in range(30)]
    truths: dict[str, tuple[Callable[[Fit], Interval | None], float]] = {
        "lambda": (lambda found: found.coefficients["lambda"], 1 / device.service_s),
        "sigma": (lambda found: found.coefficients["sigma"], device.contention),
        "kappa": (lambda found: found.coefficients["kappa"], device.coherency),
        "peak": (lambda found: found.peak, device.peak_clients),
        "rate": (
            lambda found: found.peak_per_s,
            device.peak_clients / device.service_s / device.slowdown(device.peak_clients),
        ),
    }
    for name, (of, truth) in truths.items():
        assert sum(holds(of(found), truth) for found in runs) >= 27, name


def test_the_interval_is_narrow_enough_to_be_of_use() -> None:
    """The true peak of 9.7 is known to less than five, and the number to use to one or two."""
    found = fitted(points(NOISY))
    assert found.peak is not None
    assert found.peak.high is not None
    assert found.peak.high - (found.peak.low or 0) < 5
    assert found.use.value in {6, 7, 8}
    said = advice(found, points(NOISY), "sessions")
    assert said is not None
    assert said.startswith("use 7 sessions: 95 % interval 7 to ")
    assert said.endswith("beyond 10 throughput falls")


def test_a_seed_repeats_a_fit() -> None:
    """The interval is the same each time."""
    assert fitted(points(NOISY)) == fitted(points(NOISY))


def test_too_few_points_are_refused() -> None:
    """Five numbers, however often each was measured, are too few for three coefficients and an interval."""
    given = points(NOISY, NUMBERS[:5]) * 3
    found = fit(given)
    assert isinstance(found, str)
    assert found.startswith("too few points")
    said = advice(found, given, "threads")
    assert said is not None
    assert said.startswith("of the numbers measured")


def test_nothing_is_said_about_what_lies_far_beyond_the_points() -> None:
    """With numbers up to 6, a peak at 22 is not given; the advice is to measure before relying on it."""
    device = Device(service_s=0.002, contention=0.02, coherency=0.002)
    given = points(device, (1, 2, 3, 4, 5, 6))
    found = fitted(given)
    assert (found.peak, found.peak_per_s) == (None, None)
    assert found.use.value <= 12
    said = advice(found, given, "threads")
    assert said is not None
    assert "nothing is said about more than twice what was measured" in said
    assert "before you rely on it" in said


def test_a_device_with_another_law_gets_no_advice_from_this_one() -> None:
    """Four servers saturate at once, which the law cannot do: so what was measured counts."""
    given = points(Device(service_s=0.002, servers=4), (1, 2, 4, 8, 16, 32))
    found = fitted(given)
    assert found.is_poor
    assert advice(found, given, "sessions") == (
        "of the numbers measured, 4 sessions gave at least 95 % of the greatest throughput"
    )


def measurement(axes: dict[str, int | None], rate: float, **others: Any) -> dict[str, Any]:
    """As much of an entry of ``measurements`` as is looked at."""
    given = {"threads": 1, "sessions": None, "processes": 1, "rsa_bits": 2048, "payload_bytes": 64, "mode": "native"}
    entry: dict[str, Any] = {"operation": "unwrap", "device": 0, "sealing_device": None, "status": "measured"}
    return entry | {"load": {"kind": "closed"}, "axes": given | axes, "throughput_per_s": rate} | others


def test_each_axis_is_fitted_apart() -> None:
    """Threads over sessions: an entry for each axis with all else the same; open loops and failures are left out."""
    rates = dict(points(NOISY))
    both = [
        measurement({"threads": threads, "sessions": sessions}, rates[sessions])
        for threads in (16, 32)
        for sessions in NUMBERS
    ]
    both.append(measurement({"threads": 99, "sessions": 1}, 1.0, status="not-measured", throughput_per_s=None))
    both.append(measurement({"threads": 99, "sessions": 1}, 1.0, load={"kind": "open"}))
    entries = scaling(both)
    assert [entry["axis"] for entry in entries] == ["threads"] * len(NUMBERS) + ["sessions"] * 2
    assert all(entry["reason"].startswith("too few points") for entry in entries if entry["axis"] == "threads")
    sessions = entries[-1]
    assert sessions["axes"]["threads"] == 32
    assert [point["n"] for point in sessions["points"]] == list(NUMBERS)
    assert sessions["usl"]["peak_n"]["value"] == pytest.approx(9.7, rel=0.1)


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is needed for this option alone."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingDependency, match="scipy") as raised:
        require_scipy()
    assert "sealpass[stats]" in f"{raised.value} {raised.value.hint}"
