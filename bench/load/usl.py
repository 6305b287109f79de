# SPDX-License-Identifier: Apache-2.0
"""The Universal Scalability Law, fitted to throughput over threads, sessions or processes, and what to do about it.

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))

It is fitted by least squares of relative errors, with no coefficient below 0. lambda is the rate of one, sigma
contention (what waits for one another), kappa coherency (what grows with every pair). Throughput is greatest at
sqrt((1 - sigma) / kappa): Gunther, "Guerrilla Capacity Planning", Springer 2007, chapter 4.

Intervals are of a parametric bootstrap. Its errors are relative, as large as what is left after the fit, and the size
of that is itself drawn anew each time (chi square), because few points know it badly; it is at least 0.5 %.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sealpass.core.errors import MissingDependency

LEAST_POINTS = 6
FARTHEST = 2
"""Nothing is said about more than so many times the greatest number that was measured."""
ENOUGH = 0.95
"""More than the smallest number with this part of the greatest throughput is not worth it."""
POOR_FIT = 0.1
"""A point that lies farther from the curve: the device follows another law."""
_LITTLE = 100 * (1 / ENOUGH - 1)
_RESAMPLES = 1000
_LEAST_ERROR = 0.005
_PARAMETERS = 3
_CONFIDENCE = 0.95


class Point(NamedTuple):
    """What was measured with so many threads, sessions or processes."""

    n: int
    throughput_per_s: float


class Curve(NamedTuple):
    """The three coefficients."""

    rate: float
    sigma: float
    kappa: float

    def at(self, n: float) -> float:
        """Throughput a second."""
        return self.rate * n / (1 + self.sigma * (n - 1) + self.kappa * n * (n - 1))

    @property
    def peak(self) -> float:
        """Where throughput is greatest; infinite where it only levels off."""
        if self.sigma >= 1:
            return 1.0
        return math.inf if self.kappa <= 0 else max(1.0, math.sqrt((1 - self.sigma) / self.kappa))

    def enough(self, most: int) -> int:
        """The smallest number, of those up to ``most``, with nearly the greatest throughput of them."""
        values = [self.at(n) for n in range(1, most + 1)]
        return next(n for n, value in enumerate(values, 1) if value >= ENOUGH * max(values))


class Interval(NamedTuple):
    """A value and the 95 % interval around it; a bound that is not known is None."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Fit:
    """The law of one device. ``peak`` and ``peak_per_s`` are None where the peak lies too far beyond the points."""

    curve: Curve
    coefficients: Mapping[str, Interval]
    use: Interval
    peak: Interval | None
    peak_per_s: Interval | None
    farthest_point: float
    """How far a point is from the curve at most, as a part of it."""
    greatest: int
    """Number that was measured."""

    @property
    def is_poor(self) -> bool:
        """Whether the device follows another law."""
        return self.farthest_point > POOR_FIT

    def to_dict(self) -> dict[str, Any]:
        """The ``usl`` of a result document."""
        found = {**self.coefficients, "use_n": self.use, "peak_n": self.peak, "peak_throughput_per_s": self.peak_per_s}
        return {
            **{name: None if value is None else value._asdict() for name, value in found.items()},
            "confidence": _CONFIDENCE,
            "farthest_point": round(self.farthest_point, 4),
        }


def require_scipy() -> Any:
    """The module scipy.optimize, and so numpy; raises MissingDependency where the extra is not installed."""
    try:
        from scipy import optimize
    except ModuleNotFoundError as error:
        raise MissingDependency("stats", error.name or "scipy") from None
    return optimize


def fit(points: Sequence[Point], *, seed: int = 1) -> Fit | str:
    """The law of these points, or in words why there is none. Raises MissingDependency."""
    optimize = require_scipy()
    import numpy as np

    points = [point for point in points if point.throughput_per_s > 0]
    numbers = {point.n for point in points}
    if len(numbers) < LEAST_POINTS:
        return f"too few points: the law has three coefficients and wants {LEAST_POINTS} numbers; {len(numbers)} given"
    n = np.array([point.n for point in points], dtype=float)
    # Time a call takes, N / X(N), is linear in 1/lambda, sigma/lambda and kappa/lambda.
    terms = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)])

    def fitted(times: Any) -> Curve | None:
        (alone, contention, coherency), _ = optimize.nnls(terms / times[:, None], np.ones_like(times))
        return Curve(float(1 / alone), float(contention / alone), float(coherency / alone)) if alone > 0 else None

    measured = n / np.array([point.throughput_per_s for point in points], dtype=float)
    curve = fitted(measured)
    if curve is None:
        return "the law does not fit: more than one are not slower than one"
    ideal = np.array([point.n / curve.at(point.n) for point in points])
    relative = measured / ideal - 1
    freedom = len(points) - _PARAMETERS
    draw = np.random.default_rng(seed)
    squares = float(np.sum(relative**2)) + freedom * _LEAST_ERROR**2
    sizes = np.minimum(1.0, np.sqrt(squares / draw.chisquare(freedom, _RESAMPLES)))
    drawn = (fitted(ideal * np.exp(draw.normal(0, float(size), len(points)))) for size in sizes)
    curves = [one for one in drawn if one is not None]
    return _described(curve, curves, max(numbers), float(np.max(np.abs(relative))))


def _described(curve: Curve, curves: Sequence[Curve], greatest: int, farthest_point: float) -> Fit:
    most = FARTHEST * greatest

    def interval(of: Callable[[Curve], float], limit: float = math.inf) -> Interval:
        values = sorted(of(one) for one in curves)
        tail = (1 - _CONFIDENCE) / 2
        low, high = values[int(tail * len(values))], values[math.ceil((1 - tail) * len(values)) - 1]
        value = of(curve)
        return Interval(
            _rounded(value), _rounded(min(low, value)), _rounded(max(high, value)) if high < limit else None
        )

    is_near = curve.peak <= most
    return Fit(
        curve,
        {
            "lambda": interval(lambda one: one.rate),
            "sigma": interval(lambda one: one.sigma),
            "kappa": interval(lambda one: one.kappa),
        },
        interval(lambda one: one.enough(most)),
        interval(lambda one: one.peak, most) if is_near else None,
        interval(lambda one: one.at(min(one.peak, most))) if is_near else None,
        farthest_point,
        greatest,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def advice(found: Fit | str, points: Sequence[Point], axis: str) -> str | None:
    """What to do, in words; by what was measured where the law is not to be trusted. None where nothing was."""
    known = [point for point in points if point.throughput_per_s > 0]
    if not known:
        return None
    if isinstance(found, str) or found.is_poor:
        return _measured_advice(known, axis)
    use, most = int(found.use.value), FARTHEST * found.greatest
    low, high = found.use.low, found.use.high
    text = f"use {_count(use, axis)}: 95 % interval {low:.0f} to {high:.0f}; more would add less than {_LITTLE:.0f} %"
    if found.peak is not None:
        text = f"{text}, and beyond {found.peak.value:.0f} throughput falls"
    else:
        text = f"{text} up to {most}, and nothing is said about more than twice what was measured"
    if use > found.greatest:
        text = f"{text}; the greatest number measured is {found.greatest}: measure {use} before you rely on it"
    return text


def _count(number: int, axis: str) -> str:
    singular = {"processes": "process"}.get(axis, axis.removesuffix("s"))
    return f"{number} {singular if number == 1 else axis}"


def _measured_advice(points: Sequence[Point], axis: str) -> str:
    greatest = max(point.throughput_per_s for point in points)
    use = min(point.n for point in points if point.throughput_per_s >= ENOUGH * greatest)
    if use == max(point.n for point in points):
        return f"of the numbers measured, {_count(use, axis)} gave most; more may give more: measure them"
    return f"of the numbers measured, {_count(use, axis)} gave at least 95 % of the greatest throughput"
