# SPDX-License-Identifier: Apache-2.0
"""Throughput over threads, sessions or processes: what was measured, and the law fitted to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from sealpass.bench.report import measured, plots
from sealpass.bench.report.measured import Measured
from sealpass.bench.report.outline import NOT_MEASURED, Section, cells, printable
from sealpass.bench.report.page import Figure, Labelled
from sealpass.bench.report.plots import Point, Trace, number
from sealpass.bench.report.run_figures import batches, claims, part
from sealpass.bench.report.wording import sentence

_AXES = ("threads", "sessions", "processes")
_CURVE_POINTS = 60


def figures(documents: Sequence[Labelled], group: Sequence[Measured], identity: Callable[[], str]) -> Iterator[Figure]:
    """Fitted curves where a run has them, and plain points for whatever else was measured at several numbers."""
    fitted = [(labelled, entry) for labelled in documents for entry in labelled.document["scaling"]]
    for labelled, entry in fitted:
        figure = _fitted(labelled, entry, identity)
        if figure is not None:
            yield figure
    done = {(labelled.label, entry["device"], entry["operation"], entry["axis"]) for labelled, entry in fitted}
    for axis in _AXES:
        yield from _plain(axis, group, done, identity)


def _fitted(labelled: Labelled, entry: Mapping[str, Any], identity: Callable[[], str]) -> Figure | None:
    points = [
        (float(each["n"]), each["throughput_per_s"]) for each in entry["points"] if each["throughput_per_s"] is not None
    ]
    if not points:
        return None
    axis = printable(entry["axis"])
    title = labelled.of(f"Throughput over {axis}: {printable(entry['operation'])}")
    law = _law(entry["usl"])
    traces = [Trace(0, points, "dots")]
    legend = [(0, "measured")]
    if law is not None:
        last = max(at for at, _ in points)
        steps = (1 + (last - 1) * step / _CURVE_POINTS for step in range(_CURVE_POINTS + 1))
        traces.append(Trace(1, [(at, law(at)) for at in steps] if last > 1 else [(1.0, law(1.0))]))
        legend.append((1, "fitted: Universal Scalability Law"))
    text = " ".join(sentence(each) for each in (entry["advice"], entry["reason"]) if each) or "Right answers a second."
    note = labelled.document["devices"][entry["device"]]["note"]
    rows = [cells(f"{at:g}", number(rate), number(law(at)) if law else NOT_MEASURED) for at, rate in points]
    data = Section("", _coefficients(entry["usl"]), (axis, "right answers/s", "fitted"), rows, frozenset(range(3)))
    svg = _draw(identity(), title, text, axis, traces)
    return Figure(title, text, svg, legend, [] if note is None else [printable(note)], data)


def _law(usl: Mapping[str, Any] | None) -> Callable[[float], float] | None:
    """X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)): Gunther's law; None where it was not fitted."""
    found = [_coefficient(usl, name) for name in ("lambda", "sigma", "kappa")] if usl is not None else [None]
    if any(value is None for value in found):
        return None
    rate, contention, coherency = (value for value in found if value is not None)
    return lambda n: rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


def _coefficient(usl: Mapping[str, Any], name: str) -> float | None:
    value = usl.get(name)
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, int | float) else None


def _coefficients(usl: Mapping[str, Any] | None) -> list[str]:
    """What was fitted, with its intervals; a bound that is not known is not said."""
    shown = []
    for name, value in (usl or {}).items():
        found = value if isinstance(value, Mapping) else {"value": value}
        if not isinstance(found["value"], int | float):
            continue
        low, high = found.get("low"), found.get("high")
        bounds = [] if low is None else [f"from {number(low)}"]
        bounds += [] if high is None else [f"to {number(high)}"]
        interval = f" ({' '.join(bounds)})" if bounds else ""
        shown.append(f"{printable(name).replace('_', ' ')} {number(found['value'])}{interval}")
    return [f"Fitted: {', '.join(shown)}."] if shown else []


def _plain(
    axis: str, group: Sequence[Measured], done: set[tuple[Any, ...]], identity: Callable[[], str]
) -> Iterator[Figure]:
    """Points of closed loops that differ in nothing but this axis; those of several runs together."""
    series: dict[tuple[str, ...], list[Measured]] = {}
    for each in group:
        key = (each.labelled.label, each.entry["device"], each.entry["operation"], axis)
        if each.is_measured and each.entry["load"]["kind"] == "closed" and key not in done and each.entry["axes"][axis]:
            others = tuple(value for name, value in each.attributes.items() if name not in {axis, "repeat"})
            series.setdefault(others, []).append(each)
    several = [found for found in series.values() if len({each.entry["axes"][axis] for each in found}) > 1]
    for operation in dict.fromkeys(found[0].attributes["operation"] for found in several):
        chosen = [found for found in several if found[0].attributes["operation"] == operation]
        names = [name for name in measured.varying([found[0] for found in chosen]) if name not in {axis, "repeat"}]
        parts = batches([found[0] for found in chosen])
        for index, batch in enumerate(parts):
            lines = [found for found in chosen if found[0] in batch]
            title = part(f"Throughput over {axis}: {operation}", index, len(parts))
            yield _measured(identity(), title, axis, lines, names)


def _measured(identity: str, title: str, axis: str, lines: Sequence[list[Measured]], names: Sequence[str]) -> Figure:
    traces, legend, rows = [], [], []
    for color, found in enumerate(lines):
        name = measured.name(found[0], names)
        points: list[Point] = [(float(each.entry["axes"][axis]), each.entry["throughput_per_s"]) for each in found]
        numbers = sorted({at for at, _ in points})
        middle = [(at, median(rate for other, rate in points if other == at)) for at in numbers]
        traces += [Trace(color, middle), Trace(color, points, "dots")]
        legend.append((color, name))
        rows += [cells(name, f"{at:g}", number(rate)) for at, rate in sorted(points)]
    text = "Right answers a second; the line joins medians."
    data = Section("", (), ("series", axis, "right answers/s"), rows, frozenset((1, 2)))
    svg = _draw(identity, title, text, axis, traces)
    return Figure(title, text, svg, legend, claims([each for found in lines for each in found]), data)


def _draw(identity: str, title: str, text: str, axis: str, traces: Sequence[Trace]) -> str:
    points = [point for trace in traces for point in trace.points]
    x = plots.linear(axis, [at for at, _ in points], whole=True)
    return plots.lines(identity, title, text, x, plots.linear("right answers/s", [rate for _, rate in points]), traces)
