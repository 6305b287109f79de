# SPDX-License-Identifier: Apache-2.0
"""Plots as inline SVG, drawn by leather: docs/decisions/0012.

No color is written into a plot. A layer has the class ``s0`` to ``s5``, all else the library's own classes, and the
page's style sheet gives both their colors, in daylight, in the dark and on paper. Legends stand in the page, where
they can wrap.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from xml.etree import ElementTree as ET

from sealpass.core.errors import MissingDependency

COLORS = 6
"""Series that can be told apart, each by a color and a dash pattern of its own."""
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2")
_WIDTH, _HEIGHT = 560, 350
_ROW_HEIGHT = 46
_LIMIT, _END = 14, 5
"""Half the length of the strokes at a limit, and at the end of an interval."""
_ROWS_MARGIN = 130
"""Of a plot of intervals: margins, the axis and its name."""
_LEFT, _TOP, _BOTTOM, _LEGEND = 16, 14, 8, 18
"""What is cut off; the last where the library keeps room for a legend, which it does for more than one layer."""
_TICKS = 6
_DECADES_WITH_STEPS = 2
"""A logarithmic axis of no more decades than this also has ticks at 2 and 5."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """One series of a plot. Several of one color belong together: measured points and the curve fitted to them."""

    color: int
    points: Sequence[Point]
    kind: Literal["line", "dots"] = "line"


@dataclass(frozen=True, slots=True)
class Interval:
    """A row of a plot of intervals: a value, where it lies with confidence, and where the limits are."""

    name: str
    value: float
    low: float
    high: float
    limits: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: where a value lies, and what its ticks are called."""

    name: str
    low: float
    high: float
    marks: Sequence[float]
    label: Callable[[float], str]
    logarithmic: bool = False

    # From here on: what leather asks of a scale.

    def contains(self, value: float) -> bool:
        """Whether the value can be shown."""
        return self.low <= value <= self.high

    def project(self, value: float, start: float, end: float) -> float:
        """The coordinate, to a tenth of a unit, so that the text of a plot is short."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = map(math.log10, (value, low, high))
        return round(start + (end - start) * (value - low) / (high - low), 1)

    def ticks(self) -> Sequence[float]:
        """Values that have a label."""
        return self.marks

    def format_tick(self, value: float, _index: int, _count: int) -> str:
        """The label."""
        return self.label(value)


def number(value: float) -> str:
    """A number for people: at most four significant digits, no exponent, thousands apart."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def linear(name: str, values: Sequence[float], *, whole: bool = False) -> Scale:
    """An axis with even steps from zero around the values; ``whole``: of numbers of things."""
    low, high = min(*values, 0.0), max(*values, 0.0)
    if low == high:
        high = 1.0
    step = _step((high - low) / _TICKS)
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step), math.ceil(round(high / step, 6))
    marks = [round(index * step, 12) for index in range(first, last + 1)]
    return _enclosing(Scale(name, marks[0], marks[-1], marks, number), values)


def around(name: str, values: Sequence[float]) -> Scale:
    """An axis with even steps around values that differ by little; it does not begin at zero."""
    low, high = min(values), max(values)
    step = _step(max(high - low, abs(high) / 100, 1e-9) / _TICKS)
    marks = [round(index * step, 12) for index in range(math.floor(low / step), math.ceil(high / step) + 1)]
    return _enclosing(Scale(name, marks[0], marks[-1] if len(marks) > 1 else marks[0] + step, marks, number), values)


def logarithmic(name: str, values: Sequence[float]) -> Scale:
    """An axis of decades around the values, which are positive."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    last = max(last, first + 1)
    steps = (1, 2, 5) if last - first <= _DECADES_WITH_STEPS else (1,)
    marks = [step * 10.0**decade for decade in range(first, last) for step in steps] + [10.0**last]
    while len(marks) > 2 and marks[1] <= min(values):  # noqa: PLR2004 - an axis has two ends
        marks.pop(0)
    while len(marks) > 2 and marks[-2] >= max(values):  # noqa: PLR2004 - as above
        marks.pop()
    return _enclosing(Scale(name, marks[0], marks[-1], marks, number, logarithmic=True), values)


def _enclosing(scale: Scale, values: Sequence[float]) -> Scale:
    """The scale with ends that no value is beyond: one may be past its round mark by an error of floating point."""
    return replace(scale, low=min(scale.low, *values), high=max(scale.high, *values))


def percentiles(name: str, rarest: float) -> Scale:
    """An axis on which 90 %, 99 % and 99.9 % are as far apart as 0 % and 90 %: of 1/(1-p), to one in ``rarest``."""
    last = max(1, math.ceil(math.log10(rarest)))
    marks = [2.0, *(10.0**decade for decade in range(1, last)), *([10.0**last] if 10.0**last <= rarest else [])]
    return Scale(name, 1.0, max(rarest, 10.0), marks, _share, logarithmic=True)


def _share(one_in: float) -> str:
    """What the label of 1/(1-p) is: p in percent."""
    digits = max(0, round(math.log10(one_in)) - 2)
    return f"{100 - 100 / one_in:.{digits}f}%"


def _step(rough: float) -> float:
    """The next step of 1, 2 or 5 by a power of ten."""
    unit: float = 10.0 ** math.floor(math.log10(rough))
    return next((unit * step for step in (1, 2, 5) if unit * step >= rough * (1 - 1e-9)), 10 * unit)


def require() -> Any:
    """The plot library; raises MissingDependency where the extra is not installed."""
    try:
        import leather
    except ModuleNotFoundError as error:
        raise MissingDependency("bench", error.name or "leather") from None
    return leather


def lines(identity: str, title: str, description: str, x: Scale, y: Scale, traces: Sequence[Trace]) -> str:
    """A plot of lines and dots. ``identity`` is unique in the page; traces hold at least one point each."""
    leather = require()
    chart = leather.Chart()
    for trace in traces:
        shape = leather.Dots("currentColor", 4) if trace.kind == "dots" else _line(leather, trace.color)
        chart.add_series(leather.Series([*trace.points]), _Layer(shape, trace.color))
    return _svg(chart, (identity, title, description), x, y, _HEIGHT, len(traces))


def intervals(identity: str, title: str, description: str, x: Scale, rows: Sequence[Interval]) -> str:
    """A plot of one interval a row, the first on top, in the order of the colors."""
    leather = require()
    chart = leather.Chart()
    last = len(rows) - 1
    names = {float(last - index): row.name for index, row in enumerate(rows)}
    y = Scale("", -0.5, last + 0.5, sorted(names), lambda place: names[place])
    for index, row in enumerate(rows):
        data = [(row.value, last - index, row)]
        chart.add_series(leather.Series(data, x=0, y=1), _Layer(_IntervalShape(), index))
    return _svg(chart, (identity, title, description), x, y, _ROWS_MARGIN + _ROW_HEIGHT * len(rows), len(rows))


def _line(leather: Any, color: int) -> Any:
    return leather.Line("currentColor", 2, DASHES[color % COLORS])


def _svg(chart: Any, texts: tuple[str, str, str], x: Scale, y: Scale, height: int, layers: int) -> str:
    """The plot under its alternative text, without the margins that the library leaves for a title and a legend."""
    identity, title, description = texts
    for scale, set_scale, add_axis in (
        (x, chart.set_x_scale, chart.add_x_axis),
        (y, chart.set_y_scale, chart.add_y_axis),
    ):
        set_scale(scale)
        add_axis(name=scale.name or None)
    top = _TOP + (_LEGEND if layers > 1 else 0)
    root = ET.Element("svg", viewBox=f"{_LEFT} {top} {_WIDTH - _LEFT} {height - top - _BOTTOM}", role="img")
    root.set("aria-labelledby", f"{identity}-title {identity}-text")
    for tag, text, suffix in (("title", title, "title"), ("desc", description, "text")):
        ET.SubElement(root, tag, id=f"{identity}-{suffix}").text = text
    root.append(chart.to_svg_group(_WIDTH, height))
    return ET.tostring(root, encoding="unicode")


class _IntervalShape:
    """What the library has no shape for: a dot on the line of its interval, and strokes at the limits."""

    def validate_series(self, _series: Any) -> None:
        """Any will do."""

    def to_svg(self, width: float, height: float, x: Scale, y: Scale, series: Any, _palette: Any) -> ET.Element:
        """The group of elements."""
        group = ET.Element("g", {"class": "series interval"})
        for datum in series.data():
            row: Interval = datum.row[2]
            middle = y.project(datum.y, height, 0)
            for limit in row.limits:
                _stroke(group, "limit", x.project(limit, 0, width), middle - _LIMIT, middle + _LIMIT)
            low, high = (x.project(end, 0, width) for end in (row.low, row.high))
            ET.SubElement(group, "line", x1=str(low), y1=str(middle), x2=str(high), y2=str(middle))
            for end in (low, high):
                _stroke(group, "end", end, middle - _END, middle + _END)
            value = x.project(row.value, 0, width)
            ET.SubElement(group, "circle", cx=str(value), cy=str(middle), r="4", fill="currentColor")
        return group


def _stroke(group: ET.Element, name: str, x: float, top: float, bottom: float) -> None:
    ET.SubElement(group, "line", {"class": name}, x1=str(x), y1=str(round(top, 1)), x2=str(x), y2=str(round(bottom, 1)))


class _Layer:
    """A shape of the library under the class of its color, without an entry in the library's own legend."""

    def __init__(self, shape: Any, color: int) -> None:
        self._shape = shape
        self._color = color

    def validate_series(self, series: Any) -> None:
        """What the library asks of a shape."""
        self._shape.validate_series(series)

    def to_svg(self, *args: Any) -> Any:
        """The shape's group of elements."""
        group = self._shape.to_svg(*args)
        group.set("class", f"{group.get('class')} s{self._color % COLORS}")
        return group

    def legend_to_svg(self, _series: Any, _palette: Any) -> list[Any]:
        """Nothing: legends stand in the page."""
        return []
