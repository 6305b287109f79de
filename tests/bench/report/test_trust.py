# SPDX-License-Identifier: Apache-2.0
"""The box "how far to trust this" tells what speaks against the figures."""

from typing import Any

import pytest

from sealpass.bench.gate import rows
from sealpass.bench.report import trust
from sealpass.bench.report.page import Labelled
from tests.bench.report.results import overloaded, result


def told(document: dict[str, Any]) -> str:
    """All that the box says."""
    section = trust.section(Labelled("", document))
    return " ".join([*section.notes, *(cell for row in section.rows for cell in row)])


def test_a_busy_host_and_its_reasons_are_told() -> None:
    """What others used, and what a measurement says of its own stability."""
    words = told(result("run"))
    assert "The host was busy: other processes used 31% of its CPU." in words
    assert "busy-host; others used 31 % of the CPU" in words
    assert "2 of 3 measurements were steady." in words


def test_a_quiet_host_is_not_called_busy() -> None:
    """Below a tenth of the CPU nothing is said of it."""
    document = result("run")
    document["host"]["others_cpu_share"] = 0.05
    assert "busy: other" not in told(document)


def test_what_nobody_knows_is_told() -> None:
    """A system that does not tell its load is not a quiet one."""
    document = result("run")
    document["host"] |= {"others_cpu_share": None, "load_before": None, "load_after": None}
    assert "How busy the host was before is not known." in told(document)
    assert "How much of the CPU other processes used is not known." in told(document)


def test_few_operations_are_told() -> None:
    """A percentile of few operations says so, and has no interval where none can be given."""
    document = result("run")
    document["measurements"][0]["verified"] = 120
    document["measurements"][0]["service"]["latency"]["n"] = 120
    assert "120 (few)" in told(document)
    assert "too few operations" in told(document)


def test_repeats_tell_how_far_they_differ() -> None:
    """One measurement says nothing of the next; two do."""
    document = result("run")
    assert "Each measurement was made once" in told(document)
    again = {
        **document["measurements"][0],
        "repeat": 2,
        "throughput_per_s": document["measurements"][0]["throughput_per_s"] / 2,
    }
    document["measurements"].append(again)
    assert "Between repeats of one measurement the rate differed by up to 50%." in told(document)


def test_load_that_was_not_carried_and_dead_workers_are_told() -> None:
    """Both make a run look better than it was."""
    words = told(result("run"))
    assert "2 operations of open loops were never started, and are in no percentile." in words
    assert "2 worker processes died or failed" in words


def test_an_overload_is_told() -> None:
    """The percentiles of a rate that was not carried lack the slowest operations; which one it was is said."""
    words = told(overloaded())
    assert "Overload at 20,000 a second (threads 2, processes 1): 38,002 of 40,000 operations never started." in words
    assert "The rate was not carried: percentiles are better than the truth." in words


def test_a_percentile_says_of_which_time_it_is() -> None:
    """What users wait comes first, each with its interval; a closed loop has no response time."""
    section = trust.section(Labelled("", result("run")))
    assert list(section.headers[2:4]) == ["response p99 ms (95 % interval)", "service p99 ms (95 % interval)"]
    opened = next(row for row in section.rows if "open" in row[0])
    assert [cell.split()[0] for cell in opened[2:4]] == ["1.606", "1.674"]
    assert all(row[2] == "-" for row in section.rows if "closed" in row[0])
    document = result("run")
    document["measurements"] = [each for each in document["measurements"] if each["load"]["kind"] == "closed"]
    assert trust.section(Labelled("", document)).headers[2] == "service p99 ms (95 % interval)"


def test_a_law_that_does_not_fit_is_told() -> None:
    """The reason of a fit is no footnote of its plot."""
    document = result("run")
    document["scaling"][0]["reason"] = "a point is 73 % off the curve"
    assert "seal over sessions: A point is 73 % off the curve." in told(document)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "< 0.001"), (3.4e-9, "< 0.001"), (0.001, "0.001"), (0.12, "0.12"), (0.726, "0.726"), (0.998, "0.998"),
     (0.9996, "> 0.999"), (1.0, "> 0.999"), (None, "-")],
)  # fmt: skip
def test_no_chance_is_zero_or_one(value: float | None, shown: str) -> None:
    """A p-value that rounds to either is a bound."""
    document = result("gate")
    document["comparisons"][0]["p_value"] = value
    assert trust.section(Labelled("", document)).rows[0][-1] == shown


@pytest.mark.parametrize(("looks", "words"), [(1, "looked once"), (3, "looked 3 times")])
def test_a_gate_tells_its_rule_and_what_it_could_see(looks: int, words: str) -> None:
    """Processes and reference of each side, looks, false alarms, and the smallest slowdown it would have caught."""
    document = result("gate")
    document["looks"] = looks
    document["stages"][1] |= {"outcome": "warning", "reasons": ["another CPU"]}
    said = told(document)
    assert words in said
    assert "now: 5 fresh processes; a reference of kind software." in said
    assert f"{document['stages'][1]['title']}: Another CPU." in said
    assert [row[2] for row in trust.section(Labelled("", document)).rows] == ["+3.7 %", "+1.07 in 100"]


def test_a_gate_that_compared_nothing_has_no_false_alarms() -> None:
    """It may have written a baseline, or met another machine: the rule was not asked, and nothing was shown."""
    document = result("gate")
    document |= {"looks": 0, "comparisons": []}
    said = told(document)
    assert "alarm" not in said
    assert "Nothing was compared: of a slowdown nothing was shown." in said


@pytest.mark.parametrize(
    ("figures", "why"),
    [({"pairs": 6, "warm": 6}, "operations of a slow device"), ({"warm": 1}, "undisturbed operations")],
    ids=["slow", "busy"],
)
def test_why_processes_were_set_aside_is_what_the_terminal_says(figures: dict[str, int], why: str) -> None:
    """A slow device is no busy host."""
    document = result("gate")
    document["sides"][1]["set_aside"] = 2
    for one in document["sides"][1]["processes"][:2]:
        one.update(figures)
    assert f"now: 5 fresh processes, 2 of them set aside: too few {why}; " in told(document)
    assert any(line.endswith(f"5 processes, 2 of them set aside: too few {why}") for line in rows.side_lines(document))


def test_a_qualification_tells_how_speed_was_measured() -> None:
    """By one process, once, in a closed loop, and with how many operations."""
    words = told(result("failed"))
    assert "by one process, once with each number of threads" in words
    assert "with these threads: 1 (40 operations), 2 (40 operations)" in words
