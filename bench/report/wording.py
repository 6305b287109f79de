# SPDX-License-Identifier: Apache-2.0
"""Values of result files as words for people."""

from collections.abc import Mapping
from typing import Any

from sealpass.bench.report.outline import NOT_MEASURED, printable
from sealpass.bench.report.plots import number

_LEAST_SHOWN = 0.001
"""Of p-values."""


def sentence(text: object) -> str:
    """A reason as a sentence: with a capital letter, unless it begins with a name such as p99, and a full stop."""
    shown = printable(text).rstrip(".")
    first = shown.partition(" ")[0]
    return f"{shown[:1].upper()}{shown[1:]}." if first.isalpha() else f"{shown}."


def probability(value: float | None) -> str:
    """A p-value; what would round to 0 or 1 is neither."""
    if value is None:
        return NOT_MEASURED
    if value < _LEAST_SHOWN:
        return f"< {_LEAST_SHOWN:g}"
    if value > 1 - _LEAST_SHOWN:
        return f"> {1 - _LEAST_SHOWN:g}"
    return f"{value:.3f}".rstrip("0")


def one_line(value: Any) -> str:
    """A value of any form as one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(name).replace('_', ' ')} {one_line(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(one_line, value))
    return number(value) if isinstance(value, float) else printable(value)
