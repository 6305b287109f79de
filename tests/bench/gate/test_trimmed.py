# SPDX-License-Identifier: Apache-2.0
"""Trimmed means by hand: five values lose the outer two, and what varies is that of the winsorised ones."""

import math

import pytest

from sealpass.bench.gate.trimmed import Trimmed


def test_the_outer_fifths_are_no_part_of_the_mean() -> None:
    """Of 0, 1, 2, 3 and 99 the middle three are kept."""
    found = Trimmed.of([99.0, 0.0, 2.0, 1.0, 3.0])
    assert (found.mean, found.kept) == (2.0, 3)


def test_the_variance_of_one_is_that_of_the_winsorised_by_what_is_kept_less_one() -> None:
    """1, 1, 2, 3 and 3 have 4 as their sum of squares, and 3 are kept (Yuen 1974)."""
    found = Trimmed.of([99.0, 0.0, 2.0, 1.0, 3.0])
    assert found.squares == pytest.approx(4.0)
    assert found.one == pytest.approx(2.0)
    mean = found.with_known(0.1)
    assert mean.variance == pytest.approx(2 / 3)
    assert mean.df == 2


def test_what_is_known_to_vary_is_the_least() -> None:
    """And then it is known, and not estimated from few."""
    mean = Trimmed.of([1.0, 1.0, 1.0, 1.0, 1.0]).with_known(0.3)
    assert mean.variance == pytest.approx(0.1)
    assert (mean.value, mean.df) == (1.0, math.inf)
