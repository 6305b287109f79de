# SPDX-License-Identifier: Apache-2.0
"""What of a recording counts: warm operations, and slow ones that the reference vouches for."""

import math
import random

import pytest

from sealpass.bench.gate import spawn
from sealpass.bench.gate.figures import (
    DEVICE_FIRST,
    DEVICE_INTERRUPTED,
    DEVICE_TORN,
    MIN_WARM,
    MOST_SECONDS,
    REFERENCE_INTERRUPTED,
    WARM_NS,
    Figures,
    Recording,
    figures,
    warm_wanted,
)

DEVICE, REFERENCE = 500_000, 250_000


def recording(pairs: int = 200) -> tuple[list[int], list[int], list[int]]:
    """Times and marks of a quiet machine."""
    return [DEVICE] * pairs, [REFERENCE] * pairs, [DEVICE_FIRST * (pair % 2) for pair in range(pairs)]


def recorded(device: list[int], reference: list[int], marks: list[int], cpu: list[int] | None = None) -> Figures:
    """The figures of a device that computes in this thread, and waits for nothing but its core."""
    if cpu is None:
        cpu = [
            min(taken, DEVICE) if mark & DEVICE_INTERRUPTED else taken
            for taken, mark in zip(device, marks, strict=True)
        ]
    return figures(Recording(device, reference, cpu, marks))


def test_the_ratio_is_that_of_the_medians() -> None:
    """On a logarithmic scale, so that twice and half are as far from 1."""
    found = recorded(*recording())
    assert found.log_ratio == pytest.approx(math.log(2))
    assert (found.pairs, found.warm, found.witnessed, found.slow) == (200, 200, 200, 0)
    assert found.counts


def test_an_interrupted_operation_and_the_cold_ones_after_it_say_nothing() -> None:
    """Whatever they took: neither the ratio nor the share of slow operations changes."""
    device, reference, marks = recording(300)
    for at in range(10, 290, 5):
        marks[at] |= DEVICE_INTERRUPTED
        device[at] = 30 * DEVICE
        device[at + 1] = round(1.5 * DEVICE)
    found = recorded(device, reference, marks)
    assert found.log_ratio == pytest.approx(math.log(2))
    assert found.slow == 0
    assert MIN_WARM <= found.warm < 200


def test_operations_are_cold_until_there_was_undisturbed_work_for_a_while() -> None:
    """A second long enough interruption-free stretch makes them count again, in the order in which they ran."""
    device, reference, marks = recording(100)
    marks[50] |= DEVICE_INTERRUPTED
    cold = 1 + math.ceil(WARM_NS / (DEVICE + REFERENCE))
    assert recorded(device, reference, marks).warm == 100 - cold


def test_the_order_within_a_pair_decides_what_came_before() -> None:
    """After an interrupted device operation, two reference operations make the next one of the device warm."""
    device, _, marks = recording(100)
    marks[51] |= DEVICE_INTERRUPTED  # device first; in the next pair the reference is first
    assert recorded(device, [700_000] * 100, marks).warm == 99


def test_a_process_that_is_never_left_in_peace_does_not_count() -> None:
    """It has no ratio at all, in place of a wrong one."""
    device, reference, _ = recording()
    found = recorded(device, reference, [REFERENCE_INTERRUPTED] * 200)
    assert found.log_ratio is None
    assert not found.counts


def test_slow_operations_are_counted_where_the_reference_is_as_fast_as_ever() -> None:
    """Each of them, from 2.2 times the median on."""
    device, reference, marks = recording()
    for at in (20, 60, 100):
        device[at] = round(2.3 * DEVICE)
    device[140] = round(2.1 * DEVICE)
    assert recorded(device, reference, marks).slow == 3


@pytest.mark.parametrize("distance", [-2, 0, 2])
def test_a_stall_that_the_reference_shares_is_none_of_the_device(distance: int) -> None:
    """The machine stood still; the kernel of a guest does not count that."""
    device, reference, marks = recording()
    device[100], reference[100 + distance] = 3 * DEVICE, 3 * REFERENCE
    found = recorded(device, reference, marks)
    assert found.slow == 0
    assert found.witnessed == 195


def test_an_interrupted_reference_vouches_for_nothing_and_hides_nothing() -> None:
    """Its length is explained; the device's slow operation before it stays what it is."""
    device, reference, marks = recording()
    device[100], reference[101], marks[101] = 3 * DEVICE, 9 * REFERENCE, REFERENCE_INTERRUPTED | DEVICE_FIRST
    assert recorded(device, reference, marks).slow == 1


def test_an_interrupted_operation_is_judged_by_its_cpu_time() -> None:
    """Long ones are interrupted more often: to leave them out would hide what is looked for."""
    device, reference, marks = recording()
    for at in (50, 100):
        marks[at] |= DEVICE_INTERRUPTED
        device[at] = 20 * DEVICE
    cpu = [DEVICE] * 200
    cpu[50] = 3 * DEVICE
    found = recorded(device, reference, marks, cpu)
    assert (found.slow, found.witnessed) == (1, 200)


def test_an_operation_torn_by_many_interruptions_is_not_judged() -> None:
    """Its caches were cold over and over."""
    device, reference, marks = recording()
    marks[100] |= DEVICE_INTERRUPTED | DEVICE_TORN
    device[100] = 3 * DEVICE
    found = recorded(device, reference, marks, device)
    assert (found.slow, found.witnessed) == (0, 199)


def test_no_cold_cache_makes_an_operation_four_times_as_long() -> None:
    """Torn or not, so much CPU time is the device's own: a busy host hides no very long ones."""
    device, reference, marks = recording()
    marks[100] |= DEVICE_INTERRUPTED | DEVICE_TORN
    device[100] = 5 * DEVICE
    found = recorded(device, reference, marks, device)
    assert (found.slow, found.witnessed) == (1, 200)


def test_the_mean_is_above_the_median_by_what_some_operations_take_longer() -> None:
    """A fifth of them at twice the time is a fifth more; one of a thousand times is clipped at 20."""
    device, reference, marks = recording()
    assert recorded(device, reference, marks).excess == 0
    some = [2 * DEVICE if at % 5 == 0 else DEVICE for at in range(200)]
    assert recorded(some, reference, marks).excess == pytest.approx(0.2)
    device[100] = 1000 * DEVICE
    assert recorded(device, reference, marks).excess == pytest.approx(19 / 200)


def test_a_slow_operation_that_was_interrupted_is_in_the_mean_as_well() -> None:
    """By its CPU time; what is not slow and was interrupted is not."""
    device, reference, marks = recording()
    marks[100] |= DEVICE_INTERRUPTED
    cpu = list(device)
    cpu[100] = 5 * DEVICE
    slow = recorded(device, reference, marks, cpu).excess
    assert slow == pytest.approx((5 - 2.2) / 200)
    cpu[100] = 2 * DEVICE
    assert recorded(device, reference, marks, cpu).excess == 0


def test_times_that_are_wide_by_nature_are_no_tail_and_vouch_for_each_other() -> None:
    """Seen by the lower half, so that slow operations do not widen what they are held against."""
    draw = random.Random(1)  # noqa: S311 - noise, not secrets
    wide = [round(draw.lognormvariate(math.log(DEVICE), 0.4)) for _ in range(400)]
    marks = [0] * 400
    found = figures(Recording(wide, wide[::-1], [DEVICE // 10] * 400, marks))
    assert found.slow <= 2
    assert found.witnessed >= 360
    slow = [9 * time if at % 40 == 0 else time for at, time in enumerate(wide)]
    assert figures(Recording(slow, wide[::-1], [DEVICE // 10] * 400, marks)).slow >= 7


@pytest.mark.parametrize(("pairs", "milliseconds", "counts"), [(11, 200, False), (12, 200, True), (12, 50, False)])
def test_few_operations_are_enough_where_they_took_long(pairs: int, milliseconds: int, *, counts: bool) -> None:
    """Two seconds of them, and twelve at least: a device that answers slowly is no busy host."""
    times = [milliseconds * 1_000_000] * pairs
    found = figures(Recording(times, times, [0] * pairs, [0] * pairs))
    assert found.counts is counts
    assert found.too_slow is not counts


def test_wide_times_want_more_pairs() -> None:
    """So many that the ratio is sure to a hundredth; a narrow body wants none beyond the usual."""
    draw = random.Random(1)  # noqa: S311 - noise, not secrets
    device, reference, marks = recording()
    assert warm_wanted(Recording(device, reference, device, marks)) == 0
    wide = [round(draw.lognormvariate(math.log(DEVICE), 0.2)) for _ in range(1000)]
    assert warm_wanted(Recording(wide, wide, wide, [0] * 1000)) == pytest.approx(1260, rel=0.3)
    assert warm_wanted(Recording([], [], [], [])) == 0


def test_an_interrupted_operation_of_a_device_elsewhere_is_not_judged() -> None:
    """Its CPU time tells nothing of it."""
    device, reference, marks = recording()
    marks[100] |= DEVICE_INTERRUPTED
    device[100], device[150] = 20 * DEVICE, 3 * DEVICE
    found = recorded(device, reference, marks, [DEVICE // 10] * 200)
    assert (found.slow, found.witnessed) == (1, 199)


def test_nothing_recorded_is_no_figure() -> None:
    """A device that only failed gives errors, and no ratio."""
    found = figures(Recording([], [], [], [], {"backend-unavailable": 7}))
    assert found.log_ratio is None
    assert found.errors == {"backend-unavailable": 7}


def test_figures_survive_their_file() -> None:
    """To six decimals of the logarithm."""
    device, reference, marks = recording()
    found = figures(Recording(device, reference, device, marks, {"wrong-result": 1}))
    back = Figures.from_dict(found.to_dict())
    assert back.to_dict() == found.to_dict()
    assert back.log_ratio == pytest.approx(found.log_ratio, abs=1e-6)


def test_the_time_that_the_rule_counts_with_is_what_a_process_is_given() -> None:
    """Otherwise a slow device would have another floor for its tail than it can be held to."""
    assert spawn.Request("").most_seconds == MOST_SECONDS
