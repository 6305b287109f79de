# SPDX-License-Identifier: Apache-2.0
"""What plots hold: series, points, labels and limits, whatever the library writes around them."""

import re
from collections.abc import Callable, Sequence

import pytest

from sealpass.bench.report import html_page, percentiles, plots, run_figures
from sealpass.bench.report.page import Figure
from sealpass.bench.report.plots import Interval, Scale, Trace
from sealpass.core.errors import ConfigError
from tests.bench.report.results import find, parse_svg, result, text


def figures(*names: str) -> dict[str, Figure]:
    """The plots of a report, by title."""
    page = html_page.page([result(name) for name in names])
    return {figure.title: figure for block in page.blocks for figure in block.figures}


def points(figure: Figure, color: int) -> int:
    """The number of points of the lines of a color."""
    root = parse_svg(figure.svg)
    paths = [path for group in find(root, "g", f"s{color}") for path in find(group, "path")]
    return sum(len(re.findall("[ML]", path.get("d", ""))) for path in paths)


def axis(svg: str, side: str) -> list[str]:
    """The labels of an axis."""
    [group] = find(parse_svg(svg), "g", side)
    return [text(each) for each in find(group, "text")]


def test_the_fitted_law_is_drawn_beside_the_points() -> None:
    """One dot a measured point, a curve through the law's values, and the coefficients with their intervals."""
    figure = figures("run")["Throughput over sessions: seal"]
    root = parse_svg(figure.svg)
    assert len(find(root, "circle")) == 6
    assert points(figure, 1) > 50
    assert figure.legend == [(0, "measured"), (1, "fitted: Universal Scalability Law")]
    assert figure.data is not None
    [note] = figure.data.notes
    assert "sigma 0.1 (from 0.09 to 0.11), kappa 0.01 (from 0.009)" in note
    assert list(figure.data.rows[1]) == ["2", "2,650", "2,679"]  # 1500 * 2 / (1 + 0.1 + 0.02)


def test_without_a_fit_medians_are_joined() -> None:
    """What was measured at several numbers of threads is plotted, from the measurements alone."""
    figure = figures("run")["Throughput over threads: unwrap"]
    assert points(figure, 0) == 2
    assert figure.data is not None
    assert [list(row)[1:] for row in figure.data.rows] == [["1", "1,520"], ["2", "2,780"]]


def test_percentiles_end_at_the_slowest_operation() -> None:
    """The curve has the recorded percentiles and ends, at one in all operations, with the maximum."""
    timing = result("run")["measurements"][0]["service"]
    found = percentiles.read(timing)
    latency = timing["latency"]
    assert found.curve[-1] == (latency["n"], latency["max_ns"] / 1_000_000)
    assert found.shown[99.0] == pytest.approx(latency["p99_ns"] / 1_000_000, rel=2e-3)
    assert [value for _, value in found.curve] == sorted(value for _, value in found.curve)
    assert found.p99 is not None
    assert found.p99[0] < found.shown[99.0] < found.p99[1]


def test_a_percentile_that_no_operation_lies_above_is_not_shown() -> None:
    """With 2498 operations there is a 99.9th percentile and no 99.99th, nor an axis that reaches there."""
    figure = figures("run")["Latency percentiles: unwrap, response time"]
    assert figure.data is not None
    assert figure.data.rows[-3][0] == "99.9%"
    assert axis(figure.svg, "bottom") == ["percentile", "50%", "90%", "99%", "99.9%"]


def test_what_is_no_histogram_is_said() -> None:
    """A result file with a damaged histogram is a wrong file, and no traceback."""
    timing = result("run")["measurements"][0]["service"]
    timing["histogram"]["data"] = "HISTFAAAAAA="
    with pytest.raises(ConfigError, match="histogram"):
        percentiles.read(timing)


def test_several_runs_lie_over_each_other() -> None:
    """The plots of two runs hold the series of both, named by their letters."""
    figure = figures("run", "run")["Latency percentiles: unwrap, response time"]
    assert [name.split(",")[0] for _, name in figure.legend] == ["run A", "run B"]


def test_more_series_than_colors_are_several_plots() -> None:
    """Nine series make two plots of at most six."""
    start = "Latency percentiles: unwrap, service time, "
    found = figures("run", "run", "run")
    titles = [title.removeprefix(start) for title in found if title.startswith(start)]
    assert titles == ["part 1 of 2", "part 2 of 2"]
    assert [len(found[start + title].legend) for title in titles] == [6, 3]


def test_time_series_have_every_interval() -> None:
    """Rate and p99 of each measurement, in the plots and, of every interval, in the table."""
    found = figures("run")
    series = [len(entry["series"]) for entry in result("run")["measurements"] if entry["series"]]
    for title in ("Rate over time: unwrap", "Service p99 over time: unwrap"):
        assert sorted(points(found[title], color) for color in range(len(series))) == sorted(series)
    data = found["Rate over time: unwrap"].data
    assert data is not None
    assert len(data.rows) == sum(series)


def test_thinning_keeps_the_worst() -> None:
    """Of neighbors the worst is plotted, so that one slow interval in a thousand stays."""
    series = [(float(at), 9.0 if at == 777 else 1.0) for at in range(1000)]
    found = run_figures.thinned(series, max)
    assert len(found) <= run_figures.MAX_POINTS
    assert max(value for _, value in found) == 9.0
    assert found[-1][0] == 999.0


def test_an_interval_is_drawn_from_end_to_end_with_its_limits() -> None:
    """The line of a row spans its interval, its dot is the value, and its strokes are the limits."""
    scale = plots.linear("slower by, %", [-2.0, 8.0])
    rows = [Interval("median", 4.0, 2.0, 6.0, (2.5, 5.0)), Interval("b", 0, 0, 0)]
    svg = plots.intervals("p", "t", "d", scale, rows)
    group = find(parse_svg(svg), "g", "interval")[0]
    line = next(each for each in find(group, "line") if not each.get("class"))
    [dot] = find(group, "circle")
    low, high, value = (float(each or 0) for each in (line.get("x1"), line.get("x2"), dot.get("cx")))
    assert low < value < high
    assert value - low == pytest.approx(high - value, abs=0.2)
    assert len(find(group, "line", "limit")) == 2
    assert set(axis(svg, "left")) == {"b", "median"}


def test_a_gate_shows_its_differences_and_each_process() -> None:
    """Median and slow share with their limits, and a dot for each process of both sides."""
    found = figures("gate")
    assert (
        len(find(parse_svg(found["Difference, with the interval in which the rule believes"].svg), "g", "interval"))
        == 2
    )
    sides = result("gate")["sides"]
    assert len(find(parse_svg(found["Ratio of each process"].svg), "circle")) == sum(
        len(side["processes"]) for side in sides
    )


def test_colors_are_left_to_the_page() -> None:
    """A series has a class and the current color, so that daylight, dark and paper can differ."""
    svg = plots.lines(
        "p",
        "t",
        "d",
        plots.linear("x", [1]),
        plots.linear("y", [1]),
        [Trace(2, [(0, 0), (1, 1)]), Trace(2, [(1, 1)], "dots")],
    )
    groups = find(parse_svg(svg), "g", "s2")
    shapes = [each for group in groups for each in group]
    assert {each.get("stroke") or each.get("fill") for each in shapes} == {"currentColor"}


@pytest.mark.parametrize(
    ("scale", "labels"),
    [
        (plots.linear("x", [1, 2, 8]), ["0", "2", "4", "6", "8"]),
        (plots.linear("x", [1, 2], whole=True), ["0", "1", "2"]),
        (plots.linear("x", [0, 0]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (plots.linear("x", [-1.5, 3.2]), ["-2", "-1", "0", "1", "2", "3", "4"]),
        (plots.around("x", [2.21, 2.34]), ["2.2", "2.25", "2.3", "2.35"]),
        (plots.logarithmic("x", [0.6, 2.8]), ["0.5", "1", "2", "5"]),
        (plots.logarithmic("x", [1, 1]), ["1", "2"]),
        (plots.logarithmic("x", [0.3, 40000]), ["0.1", "1", "10", "100", "1,000", "10,000", "100,000"]),
        (plots.percentiles("x", 3000), ["50%", "90%", "99%", "99.9%"]),
        (plots.percentiles("x", 1), ["50%"]),
    ],
)
def test_an_axis_encloses_its_values_with_round_ticks(scale: Scale, labels: list[str]) -> None:
    """Steps of 1, 2 and 5; the ends are ticks, or lie just behind the values."""
    assert [scale.label(mark) for mark in scale.marks] == labels
    assert all(scale.contains(mark) for mark in scale.marks)


@pytest.mark.parametrize("value", [5000.00000000055, 0.7000000000000001, 1000 * (1 - 1e-16), -0.30000000000000004])
@pytest.mark.parametrize("axis_of", [plots.linear, plots.around])
def test_a_value_a_rounding_error_past_a_tick_is_on_the_axis(
    axis_of: Callable[[str, Sequence[float]], Scale], value: float
) -> None:
    """The library warns of what lies outside an axis, and its warning would stand on standard error."""
    scale = axis_of("y", [value, 1.0])
    assert scale.contains(value)
    assert scale.contains(1.0)
    plots.lines("p", "t", "d", plots.linear("x", [1]), scale, [Trace(0, [(0, value), (1, 1.0)])])


def test_response_times_come_before_service_times() -> None:
    """In an open loop they are what users wait."""
    titles = [title for title in figures("run") if title.startswith("Latency percentiles: unwrap, ")]
    assert [title.rpartition(", ")[2] for title in titles] == ["response time", "service time", "start delay"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0123, "0.0123"), (12.5, "12.5"), (2779.9, "2,780"), (1234567, "1,234,567"), (100, "100")],
)
def test_numbers_are_for_people(value: float, shown: str) -> None:
    """Four significant digits, thousands apart, no exponent."""
    assert plots.number(value) == shown
