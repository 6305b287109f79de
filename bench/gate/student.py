# SPDX-License-Identifier: Apache-2.0
"""Student's t distribution by the standard library, so that the base install can gate without scipy."""

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL_FROM = 200.0
"""Degrees of freedom from which the normal distribution is as good."""
_PANELS = 200
_BISECTIONS = 60


def upper_tail(t: float, df: float) -> float:
    """The probability of a value above ``t``; ``df`` is 1 or more, and need not be whole.

    With t = sqrt(df) tan(a) the density becomes a power of a cosine, which Simpson's rule integrates well.
    """
    if df >= _NORMAL_FROM:
        return 1 - NormalDist().cdf(t)
    if t < 0:
        return 1 - upper_tail(-t, df)
    begin = math.atan(t / math.sqrt(df))
    step = (math.pi / 2 - begin) / _PANELS
    total = 0.0
    for panel in range(_PANELS + 1):
        weight = 1 if panel in (0, _PANELS) else 4 if panel % 2 else 2
        total += weight * max(math.cos(begin + panel * step), 0.0) ** (df - 1)
    whole = math.exp(math.lgamma(df / 2) - math.lgamma((df + 1) / 2)) * math.sqrt(math.pi)
    return total * step / 3 / whole


def quantile(tail: float, df: float) -> float:
    """The value that is exceeded with probability ``tail``, at most one half; ``df`` is taken to one decimal."""
    return _quantile(tail, round(min(df, _NORMAL_FROM), 1))


@lru_cache(maxsize=4096)
def _quantile(tail: float, df: float) -> float:
    if df >= _NORMAL_FROM:
        return NormalDist().inv_cdf(1 - tail)
    low, high = 0.0, 1.0
    while upper_tail(high, df) > tail:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if upper_tail(middle, df) > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2
