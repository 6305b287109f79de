# SPDX-License-Identifier: Apache-2.0
"""Student's t against printed tables (two-sided levels of Fisher and Yates, table III)."""

import pytest

from sealpass.bench.gate import student


@pytest.mark.parametrize(
    ("tail", "df", "value"),
    [
        (0.025, 1, 12.706),
        (0.025, 4, 2.776),
        (0.005, 2, 9.925),
        (0.05, 10, 1.812),
        (0.0005, 30, 3.646),
        (0.025, 1e9, 1.96),
    ],
)
def test_quantiles_are_those_of_the_tables(tail: float, df: float, value: float) -> None:
    """To the three decimals that tables have."""
    assert student.quantile(tail, df) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("df", [1.0, 2.7, 18.0, 500.0])
def test_the_tail_and_its_quantile_are_inverse(df: float) -> None:
    """Also for degrees of freedom that are no whole number, rounded to a tenth."""
    assert student.upper_tail(student.quantile(0.01, df), df) == pytest.approx(0.01, rel=1e-6)


def test_both_tails_are_alike() -> None:
    """The distribution is symmetric about 0."""
    assert student.upper_tail(-1.3, 5) + student.upper_tail(1.3, 5) == pytest.approx(1)
    assert student.upper_tail(0, 3) == pytest.approx(0.5)
