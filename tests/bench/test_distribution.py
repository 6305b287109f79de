# SPDX-License-Identifier: Apache-2.0
"""Latencies as percentiles and as a histogram, on recorded samples."""

import sys
from itertools import pairwise

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from sealpass.bench import distribution
from sealpass.core.errors import MissingDependency

# Nanoseconds of 20 unwraps with SoftHSM 2.6.1, as they came.
RECORDED = [
    512034, 498112, 530977, 501455, 497003, 1204880, 505161, 499871, 503222, 500018,
    498730, 502914, 2950112, 499004, 511876, 500611, 504413, 498555, 507700, 501102,
]  # fmt: skip


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 497003), (50, 501455), (90, 530977), (95, 1204880), (99, 2950112), (100, 2950112)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    """A percentile is the smallest sample that this share of all samples does not exceed."""
    assert distribution.percentile(sorted(RECORDED), percent) == expected


@given(st.lists(st.integers(min_value=1, max_value=10**10), min_size=1))
def test_percentiles_are_samples_and_grow(series: list[int]) -> None:
    """Percentiles are measured values, never interpolated, and do not fall as the percentage grows."""
    ordered = sorted(series)
    found = [distribution.percentile(ordered, percent) for percent in (1, 25, 50, 75, 99, 100)]
    assert set(found) <= set(series)
    assert all(low <= high for low, high in pairwise(found))
    assert found[-1] == max(series)


def test_a_summary_of_few_samples_leaves_high_percentiles_out() -> None:
    """Twenty samples have a p90 but no p99; a hundred have one."""
    assert distribution.summary(RECORDED) == {
        "n": 20,
        "p50_ns": 501455,
        "p90_ns": 530977,
        "p99_ns": None,
        "max_ns": 2950112,
    }
    hundred = distribution.summary(range(1, 101))
    assert hundred is not None
    assert (hundred["p50_ns"], hundred["p90_ns"], hundred["p99_ns"]) == (50, 90, 99)


def test_a_summary_of_nothing_is_nothing() -> None:
    """Where nothing was measured there is no number."""
    assert distribution.summary([]) is None


def test_histograms_of_two_runs_add_up() -> None:
    """The encoded histograms of two runs merge into that of both together, to three digits."""
    first, second = RECORDED[:10], RECORDED[10:]
    merged = HdrHistogram(distribution.LOWEST_NS, distribution.HIGHEST_NS, distribution.SIGNIFICANT_DIGITS)
    for part in (first, second):
        merged.decode_and_add(distribution.histogram(part)["data"].encode("ascii"))
    whole = HdrHistogram.decode(distribution.histogram(RECORDED)["data"].encode("ascii"))
    assert merged.get_total_count() == len(RECORDED)
    for percent in (50, 90, 99, 100):
        assert merged.get_value_at_percentile(percent) == whole.get_value_at_percentile(percent)
    assert merged.get_value_at_percentile(100) == pytest.approx(max(RECORDED), rel=0.001)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hdrhistogram the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "hdrh", None)
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    with pytest.raises(MissingDependency) as caught:
        distribution.require_histograms()
    assert caught.value.extra == "bench"
    assert "sealpass[bench]" in caught.value.hint
