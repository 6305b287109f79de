# SPDX-License-Identifier: Apache-2.0
"""A gate document as rows for people, in the form of benchstat: ~ where nothing can be said. Pure."""

from collections.abc import Mapping
from typing import Any

from sealpass.bench.gate.decision import RELATIVE, Outcome
from sealpass.bench.gate.document import BASELINE, WARNING
from sealpass.bench.gate.figures import Figures
from sealpass.bench.report.wording import probability

NOTHING_CAN_BE_SAID = "~"
_NOT_MEASURED = "-"
NOT_COMPARED = "NOT COMPARED"
_UNITS = {"ns": (1_000_000, "ms"), "per-second": (1, "/s")}

Document = Mapping[str, Any]


def comparison_headers(document: Document) -> list[str]:
    """Of :func:`comparison_rows`; the sides by their names."""
    names = [side["name"] for side in document["sides"]]
    return ["", *names, "change", "p", "would be seen from", "verdict"]


def comparison_rows(document: Document) -> list[list[str]]:
    """A row for each statistic."""
    return [comparison_row(one) for one in document["comparisons"]]


def comparison_row(comparison: Mapping[str, Any]) -> list[str]:
    """The row of one statistic."""
    return [
        comparison["title"],
        _side(comparison, "before"),
        _side(comparison, "after"),
        change(comparison),
        probability(comparison["p_value"]),
        visible(comparison),
        comparison["outcome"],
    ]


def change(comparison: Mapping[str, Any]) -> str:
    """The difference, or ~ where it is not significant."""
    if not comparison["significant"]:
        return NOTHING_CAN_BE_SAID
    value = comparison["difference"]["value"]
    return f"{'+' if value > 0 else '-'}{_size(comparison, abs(value))}"


def visible(comparison: Mapping[str, Any]) -> str:
    """From which slowdown on it would have been seen: relative, or a share of operations."""
    value = comparison["visible"]
    return _NOT_MEASURED if value is None else f"+{_size(comparison, value)}"


def _size(comparison: Mapping[str, Any], value: float) -> str:
    return f"{100 * value:.1f} %" if comparison["unit"] == RELATIVE else f"{100 * value:.2f} in 100"


def _side(comparison: Mapping[str, Any], name: str) -> str:
    interval, count = comparison[name], comparison["processes"][name]
    value = interval["value"]
    if value is None:
        return _NOT_MEASURED
    half = max(interval["high"] - value, value - interval["low"])
    if comparison["unit"] == RELATIVE:
        return f"{value:.3f} ±{100 * half / value:.1f} % (n={count})"
    return f"{100 * value:.2f} in 100 ±{100 * half:.2f} (n={count})"


OBJECTIVE_HEADERS = ("", "wanted", "limit with slack", "measured", "verdict")


def objective_rows(document: Document) -> list[list[str]]:
    """A row for each absolute objective."""
    return [
        [
            one["title"],
            _quantity(one, one["wanted"]),
            _quantity(one, one["limit"]),
            _NOT_MEASURED if one["measured"] is None else _quantity(one, one["measured"]),
            one["outcome"],
        ]
        for one in document["objectives"]
    ]


def _quantity(objective: Mapping[str, Any], value: float) -> str:
    divisor, unit = _UNITS[objective["unit"]]
    return f"{value / divisor:.4g} {unit}"


def stage_lines(document: Document) -> list[str]:
    """A line for each stage, and one for each of its reasons."""
    lines = []
    for stage in document["stages"]:
        lines.append(f"{stage['title']}: {stage['outcome']}")
        lines += [f"  {reason}" for reason in stage["reasons"]]
    return lines


def side_lines(document: Document) -> list[str]:
    """What the sides are, and what stands beside every figure of theirs."""
    lines = []
    for side in document["sides"]:
        text = f"{side['name']}: {side['label']}"
        device = side["device"]
        if device is not None:
            text += f", RSA-{device['bits']}, {device['mode']}, {device['alg']}"
        text += f"; {_counted(side)}"
        lines.append(text)
        if device is not None and device["note"] is not None:
            lines.append(f"  {device['note']}")
    return lines


def _counted(side: Mapping[str, Any]) -> str:
    count = len(side["processes"])
    return f"{count} process{'' if count == 1 else 'es'}{set_aside(side)}"


def set_aside(side: Mapping[str, Any]) -> str:
    """How many processes of a side do not count, and why; empty where all do."""
    if not side["set_aside"]:
        return ""
    is_slow = any(Figures.from_dict(one).too_slow for one in side["processes"])
    what = "operations of a slow device" if is_slow else "undisturbed operations"
    return f", {side['set_aside']} of them set aside: too few {what}"


def headline(document: Document) -> str:
    """The verdict in one line; a pass for want of a comparison is not called one."""
    verdict = document["verdict"]
    reasons = verdict["reasons"]
    word = NOT_COMPARED if is_not_compared(document) else verdict["verdict"].upper()
    return word + (f": {reasons[0].removeprefix(f'{word.lower()}: ')}" if reasons else "")


def is_not_compared(document: Document) -> bool:
    """Whether a gate passed because its baseline is of another machine."""
    warned = any(stage["id"] == BASELINE and stage["outcome"] == WARNING for stage in document["stages"])
    return bool(document["verdict"]["verdict"] == Outcome.PASS) and warned and not document["comparisons"]
