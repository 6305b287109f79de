# SPDX-License-Identifier: Apache-2.0
"""Trimmed means of a few values that may hold one out of line, with what is known of how they vary (Yuen 1974)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sealpass.bench.gate import student

_TRIMMED = 0.2
_SHOWN = 0.025
"""Each side of the 95 % intervals of one side."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how far it may be off."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """For the result file."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


@dataclass(frozen=True, slots=True)
class Mean:
    """A trimmed mean with its variance and degrees of freedom."""

    value: float
    variance: float
    df: float

    def interval(self) -> Interval:
        """With 95 %."""
        half = student.quantile(_SHOWN, self.df) * math.sqrt(self.variance)
        return Interval(self.value, self.value - half, self.value + half)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A side without its outer fifths (Yuen 1974); what varies is taken from the winsorised values."""

    mean: float
    kept: int
    squares: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Trimmed":
        """Of all values of a side."""
        ordered, n = sorted(values), len(values)
        cut = int(_TRIMMED * n)
        winsorised = [ordered[cut]] * cut + ordered[cut : n - cut] + [ordered[n - cut - 1]] * cut
        centre = math.fsum(winsorised) / n
        squares = math.fsum((value - centre) ** 2 for value in winsorised)
        return cls(math.fsum(ordered[cut : n - cut]) / (n - 2 * cut), n - 2 * cut, squares)

    @property
    def one(self) -> float:
        """The variance of one process, as far as these tell it."""
        return self.squares / (self.kept - 1)

    def with_known(self, variance: float) -> Mean:
        """One process varies by ``variance`` at least, whatever these few happen to do."""
        if self.one <= variance:
            return Mean(self.mean, variance / self.kept, math.inf)
        return Mean(self.mean, self.one / self.kept, self.kept - 1)
