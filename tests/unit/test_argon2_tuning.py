# SPDX-License-Identifier: Apache-2.0
"""Tuning on simulated machines: the time of a hash is a function of its parameters."""

import pytest

from sealpass.core import argon2_tuning
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.argon2_tuning import Tuned, measured, tune
from tests.support.sealing import CHEAP


def machine(ms_a_mib_and_pass: float, fixed: float = 0.0) -> argon2_tuning.Measure:
    """A machine whose time grows with memory and passes."""
    return lambda parameters: fixed + ms_a_mib_and_pass * parameters.memory_kib / 1024 * parameters.passes


def found(target_ms: float, measure: argon2_tuning.Measure, memory_mib: int = 64) -> tuple[int, int, bool]:
    """MiB, passes and whether the target was met."""
    tuned = tune(target_ms, memory_mib=memory_mib, lanes=1, measure=measure)
    return tuned.parameters.memory_kib // 1024, tuned.parameters.passes, tuned.met


def test_as_many_passes_as_fit() -> None:
    """64 ms a pass: three of them in 200 ms, and the memory that was allowed."""
    assert found(200, machine(1)) == (64, 3, True)
    assert found(191, machine(1)) == (64, 2, True)
    assert found(192, machine(1)) == (64, 3, True)


def test_memory_is_given_up_only_where_the_fewest_passes_take_too_long() -> None:
    """Never below what OWASP accepts for a memory: 19 MiB with two passes, 12 with three."""
    assert found(50, machine(1)) == (46, 1, True)
    assert found(40, machine(1)) == (19, 2, True)
    assert found(37, machine(1)) == (12, 3, True)
    assert found(300, machine(1), memory_mib=512) == (256, 1, True)


def test_a_slow_machine_is_told() -> None:
    """Not even OWASP's cheapest is quick enough: it is answered all the same, and not as a success."""
    assert found(10, machine(1)) == (7, 5, False)


def test_a_machine_whose_first_pass_is_the_dearest() -> None:
    """The estimate is too low then; it never is above the target."""
    memory, passes, met = found(200, machine(1, fixed=60))
    assert met
    assert 60 + memory * passes <= 200


def test_an_estimate_that_was_too_high_is_mended() -> None:
    """More passes than expected cost more: the number goes down until it fits."""

    def warming(parameters: Argon2Parameters) -> float:
        return 10.0 * float(parameters.passes**1.3)

    memory, passes, met = found(100, warming)
    assert (memory, met) == (64, True)
    assert 10.0 * passes**1.3 <= 100 < 10.0 * (passes + 2) ** 1.3


def test_tries_are_told_and_lanes_are_kept() -> None:
    """Whoever watches hears of each try; the last one that fits is the answer."""
    tries: list[tuple[Argon2Parameters, float]] = []
    tuned = tune(200, memory_mib=64, lanes=4, measure=machine(1), tried=lambda *one: tries.append(one))
    assert tuned == Tuned(Argon2Parameters(65536, 3, 4), 192.0, met=True)
    assert tries == [(Argon2Parameters(65536, 1, 4), 64.0), (Argon2Parameters(65536, 3, 4), 192.0)]


def test_a_target_without_bounds_ends() -> None:
    """Nobody waits for a thousand passes more."""
    assert found(1e9, machine(1)) == (64, 1000, True)


def test_measuring_hashes() -> None:
    """A real hash takes a time that is not nothing."""
    assert measured(CHEAP) > 0


@pytest.mark.parametrize(("memory", "passes"), [(46, 1), (45, 2), (19, 2), (18, 3), (12, 3), (9, 4), (8, 5), (7, 5)])
def test_fewest_passes_are_those_of_owasp(memory: int, passes: int) -> None:
    """With less memory come more passes."""
    assert argon2_tuning._least_passes(memory) == passes
