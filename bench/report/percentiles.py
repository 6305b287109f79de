# SPDX-License-Identifier: Apache-2.0
"""Percentiles of a recorded histogram, as far as its samples reach, and how exactly they are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealpass.bench.distribution import require_histograms
from sealpass.bench.report.plots import Point
from sealpass.core.errors import ConfigError

SHOWN = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 99.999)
"""In tables, in percent."""
_POINTS_A_DECADE = 12
_NS_PER_MS = 1_000_000
_SIGMAS = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds, of one series of operations."""

    samples: int
    curve: Sequence[Point]
    """1/(1-p) and the percentile; ends with the maximum, at one in all samples."""
    shown: Mapping[float, float]
    """By percent; those that some sample lies above."""
    maximum: float
    p99: tuple[float, float] | None
    """Where the 99th percentile lies with 95 % confidence, if the samples were independent; None: too few."""


def read(timing: Mapping[str, Any]) -> Percentiles:
    """Of a timing of a result file, which holds samples; raises ConfigError where the histogram is none."""
    latency = timing["latency"]
    samples: int = latency["n"]
    decode = require_histograms().decode
    try:
        histogram = decode(timing["histogram"]["data"])
    except Exception:  # noqa: BLE001 - each of its layers (base64, zlib, its own header) has errors of its own
        raise ConfigError("a histogram in the result file cannot be read", hint="measure again") from None
    steps = range(1, math.floor(_POINTS_A_DECADE * math.log10(max(samples, 1))) + 1)
    curve = {10 ** (step / _POINTS_A_DECADE): _percent(10 ** (step / _POINTS_A_DECADE)) for step in steps}
    shown = [percent for percent in SHOWN if samples * (100 - percent) >= 100]  # noqa: PLR2004 - as distribution.summary
    ranks = _ranks(samples, 0.99)
    around = [] if ranks is None else [100 * rank / samples for rank in ranks]
    found = {
        percent: nanoseconds / _NS_PER_MS
        for percent, nanoseconds in histogram.get_percentile_to_value_dict([*curve.values(), *shown, *around]).items()
    }
    maximum = latency["max_ns"] / _NS_PER_MS
    points = [(one_in, min(found[percent], maximum)) for one_in, percent in curve.items() if percent in found]
    return Percentiles(
        samples,
        [*points, (float(samples), maximum)],
        {percent: found[percent] for percent in shown},
        maximum,
        (found[around[0]], found[around[1]]) if around else None,
    )


def _percent(one_in: float) -> float:
    return 100 - 100 / one_in


def _ranks(samples: int, share: float) -> tuple[int, int] | None:
    """Which order statistics enclose a percentile (normal approximation of the binomial); None where there are none."""
    middle, spread = samples * share, _SIGMAS * math.sqrt(samples * share * (1 - share))
    low, high = math.floor(middle - spread), math.ceil(middle + spread) + 1
    return (low, high) if low > 0 and high <= samples else None
