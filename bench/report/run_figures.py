# SPDX-License-Identifier: Apache-2.0
"""The plots of measurements: latency percentiles and time series. Those of several runs lie over each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sealpass.bench.report import measured, percentiles, plots
from sealpass.bench.report.measured import Measured
from sealpass.bench.report.outline import NOT_MEASURED, Section, cells, milliseconds
from sealpass.bench.report.page import Figure
from sealpass.bench.report.percentiles import Percentiles
from sealpass.bench.report.plots import Point, Trace, number

MAX_POINTS = 200
"""Of one series in a plot; the table beside it has them all."""
_TIMINGS = {"response": "response time", "service": "service time", "start_delay": "start delay"}
_TIMING_TEXTS = {
    "response": "From when an operation was due to its end, so that waiting behind a stall counts.",
    "service": "From the start of a call to its end.",
    "start_delay": "From when an operation was due to its start.",
}
_PERCENTILE_TEXT = "Each step to the right is ten times rarer; a line ends at the slowest of its operations."


@dataclass(frozen=True, slots=True)
class Named:
    """The percentiles of one series, for a plot."""

    name: str
    percentiles: Percentiles


def claims(group: Sequence[Measured]) -> list[str]:
    """Why figures are no claim about a device, each reason once."""
    return list(dict.fromkeys(each.claim for each in group if each.claim is not None))


def batches(group: Sequence[Measured]) -> list[Sequence[Measured]]:
    """Parts of no more series than can be told apart."""
    return [group[start : start + plots.COLORS] for start in range(0, len(group), plots.COLORS)]


def part(title: str, index: int, count: int) -> str:
    """The title of one of several plots."""
    return title if count == 1 else f"{title}, part {index + 1} of {count}"


def by_operation(group: Sequence[Measured]) -> Iterator[tuple[str, list[Measured]]]:
    """The measurements that hold figures, by operation."""
    for operation in dict.fromkeys(each.attributes["operation"] for each in group):
        found = [each for each in group if each.attributes["operation"] == operation and each.is_measured]
        if found:
            yield operation, found


def latency(group: Sequence[Measured], identity: Callable[[], str]) -> Iterator[Figure]:
    """Percentile plots: of each operation, of each way to time it."""
    for operation, found in by_operation(group):
        names = measured.varying(found)
        for timing, words in _TIMINGS.items():
            timed = [each for each in found if each.entry[timing] is not None and each.entry[timing]["latency"]["n"]]
            parts = batches(timed)
            for index, batch in enumerate(parts):
                series = [Named(measured.name(each, names), percentiles.read(each.entry[timing])) for each in batch]
                title = part(f"Latency percentiles: {operation}, {words}", index, len(parts))
                yield percentile_figure(identity(), title, _TIMING_TEXTS[timing], series, claims(batch))


def percentile_figure(identity: str, title: str, text: str, series: Sequence[Named], notes: Sequence[str]) -> Figure:
    """One percentile plot, in the manner of HdrHistogram."""
    curves = [each.percentiles.curve for each in series]
    x = plots.percentiles("percentile", max(each.percentiles.samples for each in series))
    y = plots.logarithmic("ms", [max(value, 1e-6) for curve in curves for _, value in curve])
    text = f"{text} {_PERCENTILE_TEXT}"
    traces = [Trace(index, [(at, max(value, 1e-6)) for at, value in curve]) for index, curve in enumerate(curves)]
    legend = [(index, each.name) for index, each in enumerate(series)]
    return Figure(
        title, text, plots.lines(identity, title, text, x, y, traces), legend, notes, _percentile_table(series)
    )


def _percentile_table(series: Sequence[Named]) -> Section:
    rows = [
        [
            f"{percent:g}%",
            *(
                number(each.percentiles.shown[percent]) if percent in each.percentiles.shown else NOT_MEASURED
                for each in series
            ),
        ]
        for percent in percentiles.SHOWN
        if any(percent in each.percentiles.shown for each in series)
    ]
    rows.append(["maximum", *(number(each.percentiles.maximum) for each in series)])
    rows.append(["operations", *(f"{each.percentiles.samples:,}" for each in series)])
    notes = ["Milliseconds. A dash: too few operations for one of them to lie above."]
    return Section(
        "", notes, ("percentile", *(each.name for each in series)), rows, frozenset(range(1, len(series) + 1))
    )


def over_time(group: Sequence[Measured], identity: Callable[[], str]) -> Iterator[Figure]:
    """Time series of each operation: the rate, and the slow end of the latency."""
    for operation, found in by_operation(group):
        names = measured.varying(found)
        parts = batches([each for each in found if each.entry["series"]])
        for index, batch in enumerate(parts):
            legend = [(color, measured.name(each, names)) for color, each in enumerate(batch)]
            yield _rate(identity(), part(f"Rate over time: {operation}", index, len(parts)), batch, legend)
            yield _slow_end(identity(), part(f"Service p99 over time: {operation}", index, len(parts)), batch, legend)


def _rate(identity: str, title: str, batch: Sequence[Measured], legend: Sequence[tuple[int, str]]) -> Figure:
    traces = [Trace(color, thinned(_rates(each), min)) for color, each in enumerate(batch)]
    traces = [trace for trace in traces if trace.points] or [Trace(0, [(0.0, 0.0)])]
    text = "Right answers a second, interval by interval." + _thinning(batch, "slowest")
    return Figure(
        title,
        text,
        _timed(identity, title, text, "right answers/s", traces),
        legend,
        claims(batch),
        _table(batch, legend),
    )


def _slow_end(identity: str, title: str, batch: Sequence[Measured], legend: Sequence[tuple[int, str]]) -> Figure:
    traces = [Trace(color, thinned(_p99s(each), max)) for color, each in enumerate(batch)]
    traces = [trace for trace in traces if trace.points]
    text = "The 99th percentile of the service time, interval by interval." + _thinning(batch, "slowest")
    shown = traces or [Trace(0, [(0.0, 0.0)])]
    return Figure(title, text, _timed(identity, title, text, "service p99, ms", shown), legend, claims(batch))


def _timed(identity: str, title: str, text: str, unit: str, traces: Sequence[Trace]) -> str:
    x = plots.linear("seconds", [at for trace in traces for at, _ in trace.points])
    y = plots.linear(unit, [value for trace in traces for _, value in trace.points])
    return plots.lines(identity, title, text, x, y, traces)


def _rates(each: Measured) -> list[Point]:
    found, began = [], 0.0
    for step in each.entry["series"]:
        if step["at_s"] > began:
            found.append((step["at_s"], step["verified"] / (step["at_s"] - began)))
        began = step["at_s"]
    return found


def _p99s(each: Measured) -> list[Point]:
    steps = each.entry["series"]
    return [(step["at_s"], step["p99_ns"] / 1_000_000) for step in steps if step["p99_ns"] is not None]


def thinned(points: Sequence[Point], worst: Callable[[Iterator[float]], float]) -> list[Point]:
    """At most MAX_POINTS points, each the worst of as many neighbors, so that no stall is lost."""
    size = -(-len(points) // MAX_POINTS)
    groups = (points[start : start + size] for start in range(0, len(points), max(size, 1)))
    return [(group[-1][0], worst(value for _, value in group)) for group in groups]


def _thinning(batch: Sequence[Measured], word: str) -> str:
    size = max(-(-len(each.entry["series"]) // MAX_POINTS) for each in batch)
    return f" A point is the {word} of up to {size} intervals; the table has them all." if size > 1 else ""


def _table(batch: Sequence[Measured], legend: Sequence[tuple[int, str]]) -> Section:
    rows = [
        cells(
            name,
            f"{step['at_s']:g}",
            step["verified"],
            step["errors"],
            milliseconds(step["p50_ns"]),
            milliseconds(step["p99_ns"]),
        )
        for each, (_, name) in zip(batch, legend, strict=True)
        for step in each.entry["series"]
    ]
    headers = ("series", "second", "right answers", "errors", "service p50 ms", "service p99 ms")
    return Section("", ["The second is the end of each interval."], headers, rows, frozenset(range(1, 6)))
