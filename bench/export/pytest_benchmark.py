# SPDX-License-Identifier: Apache-2.0
"""The JSON of pytest-benchmark, which ``pytest-benchmark compare``, github-action-benchmark and bencher read.

Times are in seconds. A gate has one value for each process, its median; a run has its histogram. What those tools do
with it is theirs: only the gate's own verdict knows of a reference and of noise.
"""

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from sealpass.bench.export import GATE, Document

_NANOSECONDS = 1_000_000_000
_FORMAT_VERSION = "5.3.1"
"""The pytest-benchmark whose files these are like."""
_TUKEY = 1.5
_QUARTILE = 25


def render(document: Document) -> str:
    """The file."""
    host = document["host"]
    file = {
        "machine_info": {
            "node": "",
            "machine": host["machine"],
            "processor": host["cpu"],
            "system": host["system"],
            "release": host["kernel"],
            "python_implementation": str(host["python"]).partition(" ")[0],
            "python_version": str(host["python"]).partition(" ")[2],
            "cpu": {"brand_raw": host["cpu"], "count": host["cores"]},
        },
        # Nothing is asked of a version control system here.
        "commit_info": {
            "id": "unversioned",
            "time": None,
            "project": "sealpass",
            "dirty": False,
            "branch": "(unknown)",
        },
        "benchmarks": list(_of_gate(document) if document["schema"] == GATE else _of_run(document)),
        "datetime": document["started"].replace("Z", "+00:00"),
        "version": _FORMAT_VERSION,
    }
    return json.dumps(file, indent=2) + "\n"


def _benchmark(group: str, name: str, stats: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": group,
        "name": name,
        "fullname": f"sealpass::{group}::{name}",
        "params": None,
        "param": None,
        "extra_info": extra,
        "options": {"disable_gc": True, "timer": "perf_counter", "warmup": True},
        "stats": stats,
    }


def _of_gate(document: Document) -> Iterator[dict[str, Any]]:
    """The side that was measured, or both; a stored baseline is of another day."""
    sides = document["sides"] if document["kind"] == "compare" else document["sides"][-1:]
    for side in sides:
        taken = [one for one in side["processes"] if one["device_median_ns"] is not None]
        if not taken:
            continue
        extra = {
            "label": side["label"],
            "key_id": side["device"]["key_id"],
            "ratio_to_reference": round(math.exp(statistics.median(one["log_ratio"] for one in taken)), 4),
            "verdict": document["verdict"]["verdict"],
        }
        values = [one["device_median_ns"] / _NANOSECONDS for one in taken]
        yield _benchmark(document["kind"], f"unwrap[{side['name']}]", _stats(values), extra)


def _of_run(document: Document) -> Iterator[dict[str, Any]]:
    for one in document["measurements"]:
        if one["service"] is None or not one["verified"]:
            continue
        stats = _stats_of_histogram(one["service"])
        extra = {
            "device": document["devices"][one["device"]]["uri"],
            "throughput_per_s": one["throughput_per_s"],
            "errors": one["errors"],
            "stability": one["stability"]["status"],
        }
        yield _benchmark(one["operation"], one["id"], stats, extra)


def _stats(values: Sequence[float]) -> dict[str, Any]:
    """As pytest-benchmark counts."""
    ordered = sorted(values)
    q1, median, q3 = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    mean = statistics.fmean(ordered)
    deviation = statistics.stdev(ordered) if len(ordered) > 1 else 0.0
    low, high = q1 - _TUKEY * (q3 - q1), q3 + _TUKEY * (q3 - q1)
    inside = [value for value in ordered if low <= value <= high]
    return _members(
        (ordered[0], q1, median, q3, ordered[-1]),
        mean,
        deviation,
        len(ordered),
        fences=(inside[0], inside[-1]),
        outliers=(sum(abs(value - mean) > deviation for value in ordered), len(ordered) - len(inside)),
    )


def _stats_of_histogram(timing: Any) -> dict[str, Any]:
    """To the three digits of the histogram; outliers are not counted."""
    from sealpass.bench.distribution import read_histogram  # needs the extra

    found = read_histogram(timing["histogram"])
    points = [found.get_min_value(), *map(found.get_value_at_percentile, (_QUARTILE, 50, 100 - _QUARTILE))]
    low, q1, median, q3 = (point / _NANOSECONDS for point in points)
    high = timing["latency"]["max_ns"] / _NANOSECONDS
    mean, deviation = found.get_mean_value() / _NANOSECONDS, found.get_stddev() / _NANOSECONDS
    count = timing["latency"]["n"]
    return _members((low, q1, median, q3, high), mean, deviation, count, fences=(low, high), outliers=(0, 0))


def _members(
    five: Sequence[float],
    mean: float,
    deviation: float,
    count: int,
    *,
    fences: tuple[float, float],
    outliers: tuple[int, int],
) -> dict[str, Any]:
    low, q1, median, q3, high = five
    return {
        "min": low,
        "max": high,
        "mean": mean,
        "stddev": deviation,
        "rounds": count,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outliers[1],
        "stddev_outliers": outliers[0],
        "outliers": f"{outliers[0]};{outliers[1]}",
        "ld15iqr": fences[0],
        "hd15iqr": fences[1],
        "ops": 1 / mean,
        "total": mean * count,
        "iterations": 1,
    }
