# SPDX-License-Identifier: Apache-2.0
"""Latency samples as a distribution: percentiles of the raw samples, and a histogram that merges exactly."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sealpass.core.errors import ConfigError, MissingDependency

LOWEST_NS = 1
HIGHEST_NS = 3_600_000_000_000
SIGNIFICANT_DIGITS = 3


Samples: TypeAlias = "array[int]"
"""A series of nanoseconds."""


def samples(values: Iterable[int] = ()) -> Samples:
    """A series, empty unless given: appending costs a fifth of recording into a histogram."""
    return array("Q", values)


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
    return _encoded(recorded)


def _encoded(recorded: Any) -> dict[str, Any]:
    return {
        "encoding": "HdrHistogram V2, deflated, base64",
        "unit": "ns",
        "lowest": LOWEST_NS,
        "highest": HIGHEST_NS,
        "significant_digits": SIGNIFICANT_DIGITS,
        "data": recorded.encode().decode("ascii"),
    }


def read_histogram(recorded: Mapping[str, Any]) -> Any:
    """The HdrHistogram of a document; raises ConfigError where it has another range than ours, or is none."""
    range_of = (recorded["lowest"], recorded["highest"], recorded["significant_digits"])
    if range_of != (LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS):
        raise ConfigError("a histogram has another range than those of this version, and cannot be added to them")
    try:
        return require_histograms().decode(recorded["data"])
    except Exception as error:  # noqa: BLE001 - the library has a class for each way in which it can be damaged
        raise ConfigError(f"a histogram cannot be read: {type(error).__name__}") from None


def add_histograms(recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All samples of several histograms as one, without loss."""
    total = require_histograms()(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for one in recorded:
        total.add(read_histogram(one))
    return _encoded(total)


def summary_of_histogram(recorded: Mapping[str, Any], greatest: int) -> dict[str, int | None]:
    """As :func:`summary`, to the three digits of a histogram; ``greatest`` is its largest sample as it was."""
    found = read_histogram(recorded)
    count = found.get_total_count()

    def at(percent: int) -> int:
        # The library rounds to the nearest rank, and names a bucket by its upper end.
        rank = max(1, math.ceil(percent / 100 * count))
        return min(greatest, int(found.get_value_at_percentile(100 * rank / count)))

    def known(percent: int) -> int | None:
        return at(percent) if count * (100 - percent) >= 100 else None  # noqa: PLR2004 - as in summary()

    return {"n": count, "p50_ns": at(50), "p90_ns": known(90), "p99_ns": known(99), "max_ns": greatest}
