# SPDX-License-Identifier: Apache-2.0
"""Latency samples as a distribution: percentiles of the raw samples, and a histogram that merges exactly."""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from sealpass.core.errors import MissingDependency

LOWEST_NS = 1
HIGHEST_NS = 3_600_000_000_000
SIGNIFICANT_DIGITS = 3


Samples: TypeAlias = "array[int]"
"""A series of nanoseconds."""


def samples() -> Samples:
    """An empty series: appending costs a fifth of recording into a histogram."""
    return array("Q")


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The nearest-rank percentile: the smallest sample that ``percent`` of all samples do not exceed.

    Always a measured value, never interpolated. ``ordered`` is sorted and not empty.
    """
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def summary(series: Iterable[int]) -> dict[str, int | None] | None:
    """Number of samples, percentiles and maximum in nanoseconds, or None where nothing was measured.

    A percentile is None where there are too few samples for one of them to lie above it.
    """
    ordered = sorted(series)
    if not ordered:
        return None

    def found(percent: int) -> int | None:
        return percentile(ordered, percent) if len(ordered) * (100 - percent) >= 100 else None  # noqa: PLR2004

    return {
        "n": len(ordered),
        "p50_ns": percentile(ordered, 50),
        "p90_ns": found(90),
        "p99_ns": found(99),
        "max_ns": ordered[-1],
    }


def require_histograms() -> Any:
    """The class HdrHistogram; raises MissingDependency where the extra is not installed."""
    try:
        from hdrh.histogram import HdrHistogram
    except ModuleNotFoundError as error:
        raise MissingDependency("bench", error.name or "hdrh") from None
    return HdrHistogram


def histogram(series: Iterable[int]) -> dict[str, Any]:
    """The samples as an HdrHistogram, so that runs of several machines can be added without loss."""
    recorded = require_histograms()(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for value in series:
        recorded.record_value(value)
    return {
        "encoding": "HdrHistogram V2, deflated, base64",
        "unit": "ns",
        "lowest": LOWEST_NS,
        "highest": HIGHEST_NS,
        "significant_digits": SIGNIFICANT_DIGITS,
        "data": recorded.encode().decode("ascii"),
    }
