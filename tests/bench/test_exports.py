# SPDX-License-Identifier: Apache-2.0
"""Results for other tools: each form is read back the way those tools read it."""

import copy
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.storage.file import FileStorage

from sealpass.bench import export
from sealpass.core.errors import ConfigError
from tests.bench.gate.conftest import EXAMPLES, example

GATES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
RUN = Path(__file__).parent / "load" / "example-run.json"
HOSTILE = 'a "label" <b>|\\ &amp;\n::error::\x1b[31m`x`\x00'
"""What a token may call itself."""


def document(name: str) -> dict[str, Any]:
    """A gate of the examples, or ``run``."""
    if name != "run":
        return example(name)
    found: dict[str, Any] = json.loads(RUN.read_text(encoding="utf-8"))
    return found


def suite(found: dict[str, Any]) -> ET.Element:
    """The testsuite of the JUnit report."""
    report = ET.fromstring(export.render(found, "junit"))  # noqa: S314 - our own
    assert report.tag == "testsuites"
    (only,) = report
    return only


@pytest.mark.parametrize("name", [*GATES, "run"])
def test_junit_counts_what_it_holds(name: str) -> None:
    """One testcase a check, each at most one of failed and skipped."""
    found = suite(document(name))
    cases = found.findall("testcase")
    assert cases
    assert int(found.attrib["tests"]) == len(cases)
    assert int(found.attrib["failures"]) == len(found.findall("testcase/failure"))
    assert int(found.attrib["skipped"]) == len(found.findall("testcase/skipped"))
    assert all(len(case) <= 1 for case in cases)
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)


@pytest.mark.parametrize("name", [*GATES, "run"])
def test_junit_gives_no_time_that_was_not_measured(name: str) -> None:
    """The suite has the time of the whole; a check has none of its own, and 0 would be a figure."""
    found = suite(document(name))
    assert float(found.attrib["time"]) > 0
    assert not [case for case in found.findall("testcase") if "time" in case.attrib]


@pytest.mark.parametrize("name", GATES)
def test_junit_fails_where_the_gate_fails(name: str) -> None:
    """An inconclusive gate has a skipped check with its reason, and no failure."""
    found = document(name)
    failures, skipped = suite(found).findall("testcase/failure"), suite(found).findall("testcase/skipped")
    assert bool(failures) == (found["verdict"]["verdict"] == "fail")
    assert all(each.attrib["message"] for each in (*failures, *skipped))
    if found["verdict"]["verdict"] == "inconclusive":
        assert any(found["verdict"]["reasons"][0] in each.attrib["message"] for each in skipped)


def test_a_baseline_that_was_not_compared_is_skipped() -> None:
    """A warning alone would look as if the speed had been judged."""
    found = example("passed") | {"comparisons": []}
    found["stages"][1] |= {"outcome": "warning", "reasons": ["not compared"]}
    (skipped,) = suite(found).findall("testcase/skipped")
    assert skipped.attrib["message"] == "not compared"


def stale() -> dict[str, Any]:
    """A gate whose baseline is slower than the key."""
    found = example("passed")
    found["stages"][1] |= {"outcome": "warning", "reasons": ["9.0 % faster than the baseline: renew it"]}
    found["verdict"] |= {"reasons": ["9.0 % faster than the baseline: renew it"]}
    return found


def test_what_a_pass_rests_on_is_in_every_report() -> None:
    """A warning stands beside the statistics that passed, as a check of its own that passed."""
    reports = suite(stale())
    assert any("renew it" in (case.findtext("system-out") or "") for case in reports.findall("testcase"))
    assert not reports.findall("testcase/skipped")
    assert "PASS: 9.0 % faster" in export.render(stale(), "markdown").splitlines()[0]
    assert [value for _labels, value in exposition(stale())["sealpass_gate_warnings"]] == [1]
    assert [value for _labels, value in exposition(example("passed"))["sealpass_gate_warnings"]] == [0]


def test_prometheus_says_what_a_slowdown_is() -> None:
    """Relative for ratios, and a difference of shares for slow operations."""
    text = export.render(example("slower"), "prometheus")
    (line,) = (line for line in text.splitlines() if line.startswith("# HELP sealpass_gate_slowdown "))
    assert "median and mean: relative" in line
    assert "tail: a difference of shares" in line


def test_a_run_with_errors_fails_and_what_was_not_measured_is_skipped() -> None:
    """Throughput is no test."""
    cases = suite(document("run")).findall("testcase")
    assert [[child.tag for child in case] for case in cases] == [
        ["failure"], ["system-out"], ["system-out"], ["skipped"],
    ]  # fmt: skip


def storage(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    """The benchmarks as pytest-benchmark itself loads them."""
    folder = tmp_path / "machine"
    folder.mkdir(parents=True)
    (folder / "0001_sealpass.json").write_text(export.render(document(name), "pytest-benchmark"))
    reader: Any = FileStorage
    loaded: list[dict[str, Any]] = list(reader(tmp_path, None).load_benchmarks())
    return loaded


def test_pytest_benchmark_reads_a_comparison(tmp_path: Path) -> None:
    """Both sides in one group, in seconds, a round for each process."""
    a, b = storage(tmp_path, "compared")
    assert (a["name"], b["name"], a["group"]) == ("unwrap[A]", "unwrap[B]", b["group"])
    taken = [one["device_median_ns"] / 1e9 for one in example("compared")["sides"][0]["processes"]]
    assert (a["rounds"], a["min"], a["max"]) == (len(taken), min(taken), max(taken))
    assert a["mean"] == pytest.approx(sum(taken) / len(taken))
    assert a["ops"] == pytest.approx(1 / a["mean"])
    assert a["min"] <= a["ld15iqr"] <= a["q1"] <= a["median"] <= a["q3"] <= a["hd15iqr"] <= a["max"]


def test_pytest_benchmark_reads_a_gate(tmp_path: Path) -> None:
    """Only what was measured now, with the ratio that the verdict rests on beside it."""
    (now,) = storage(tmp_path, "slower")
    after = example("slower")["comparisons"][0]["after"]["value"]
    assert now["name"] == "unwrap[now]"
    assert now["extra_info"]["ratio_to_reference"] == pytest.approx(after, rel=0.01)


def test_pytest_benchmark_reads_a_run(tmp_path: Path) -> None:
    """From the histogram: what was measured, and nothing else."""
    found = [one for one in document("run")["measurements"] if one["service"] is not None]
    loaded = storage(tmp_path, "run")
    assert [one["name"] for one in loaded] == [one["id"] for one in found]
    for one, measured in zip(loaded, found, strict=True):
        latency = measured["service"]["latency"]
        assert one["rounds"] == latency["n"]
        assert one["median"] == pytest.approx(latency["p50_ns"] / 1e9, rel=0.005)
        assert one["max"] == latency["max_ns"] / 1e9
        assert 0 < one["min"] <= one["q1"] <= one["median"] <= one["q3"] <= one["max"]


def test_the_program_of_pytest_benchmark_shows_it(tmp_path: Path) -> None:
    """The file alone, by its path."""
    path = tmp_path / "gate.json"
    path.write_text(export.render(example("compared"), "pytest-benchmark"))
    program = "from pytest_benchmark.cli import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", program, "compare", str(path)],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "unwrap[A]" in shown.stdout
    assert "unwrap[B]" in shown.stdout


def test_what_github_action_benchmark_needs_is_there() -> None:
    """It shows operations a second, their deviation, and the commit's benchmarks by full name."""
    file = json.loads(export.render(example("passed"), "pytest-benchmark"))
    for one in file["benchmarks"]:
        assert one["fullname"]
        assert {"ops", "stddev", "mean", "rounds"} <= one["stats"].keys()
    assert file["commit_info"]["id"]
    assert file["machine_info"]["cpu"]["brand_raw"]


METRIC = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def exposition(found: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Samples by family; every line is checked against the text format."""
    samples: dict[str, list[tuple[str, float]]] = {}
    text = export.render(found, "prometheus")
    assert text.endswith("\n")
    lines = text.splitlines()
    while lines:
        help_line, type_line = lines.pop(0), lines.pop(0)
        family = help_line.split()[2]
        assert help_line.startswith(f"# HELP {family} ")
        assert type_line == f"# TYPE {family} gauge"
        assert family not in samples
        samples[family] = []
        while lines and not lines[0].startswith("#"):
            match = METRIC.fullmatch(lines.pop(0))
            assert match is not None
            assert match[1] == family
            samples[family].append((match[2] or "", float(match[3])))
        labels = [each for each, _value in samples[family]]
        assert labels
        assert len(set(labels)) == len(labels)
    return samples


@pytest.mark.parametrize("name", [*GATES, "run"])
def test_prometheus_could_scrape_it(name: str) -> None:
    """Families apart, no sample twice, every value a finite number."""
    samples = exposition(document(name))
    assert all(math.isfinite(value) for family in samples.values() for _labels, value in family)


def test_prometheus_has_the_verdict_and_base_units() -> None:
    """Shares and seconds, and one verdict of three."""
    samples = exposition(example("slower"))
    verdicts = dict(samples["sealpass_gate_verdict"])
    assert sorted(verdicts.values()) == [0, 0, 1]
    assert next(value for labels, value in verdicts.items() if 'verdict="fail"' in labels) == 1
    run = exposition(document("run"))
    assert all(0 < value < 10 for _labels, value in run["sealpass_run_service_seconds"])


@pytest.mark.parametrize("name", GATES)
def test_markdown_has_the_verdict_first_and_all_tables(name: str) -> None:
    """Every row of a table has as many cells as its head."""
    found = document(name)
    lines = export.render(found, "markdown").splitlines()
    assert found["verdict"]["verdict"].upper() in lines[0]
    assert sum(line.startswith("| ---") for line in lines) == bool(found["comparisons"]) + bool(found["objectives"])
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")}
    assert len(cells) <= 1 + bool(found["objectives"])


def test_markdown_of_a_run_shows_every_measurement() -> None:
    """Also what was not measured, with the reason."""
    text = export.render(document("run"), "markdown")
    for one in document("run")["measurements"]:
        assert one["id"] in text
        assert one["reason"] is None or one["reason"] in text


def test_markdown_of_a_run_says_which_times_it_shows_and_which_rates_were_not_kept() -> None:
    """The latencies of its loops are not of one kind; of an overload, the figures and what to do."""
    found = document("run")
    lines = export.render(found, "markdown").splitlines()
    said = [line for line in lines if line.startswith("- Latencies")]
    assert len(said) == 1
    assert "open loops are response times" in said[0]
    assert "closed loops are service times" in said[0]
    assert not any("asked for" in line for line in lines)
    for one in found["measurements"]:
        if one["load"]["kind"] == "open":
            one["load"]["unstarted"] = one["load"]["intended"] // 2
    (overload,) = (line for line in export.render(found, "markdown").splitlines() if "asked for" in line)
    assert overload.startswith("- unwrap ")
    assert "never started" in overload


@pytest.mark.parametrize("form", export.FORMS)
def test_a_hostile_label_breaks_no_form(form: str) -> None:
    """A device's texts are quoted, or cleaned where the form has no way to quote them."""
    found = copy.deepcopy(example("slower"))
    for side in found["sides"]:
        side["label"] = side["device"]["uri"] = HOSTILE
    found["stages"][1]["reasons"] = [HOSTILE]
    found["verdict"]["reasons"] = [HOSTILE]
    text = export.render(found, form)
    assert "\x1b" not in text
    assert "\n::error" not in text
    match form:
        case "junit":
            suite(found)
        case "prometheus":
            exposition(found)
        case "markdown":
            assert "<b>" not in text.replace("\\<", "")
        case _:
            json.loads(text)


def test_another_document_is_refused() -> None:
    """A qualification has reports of its own."""
    with pytest.raises(ConfigError, match="qualification"):
        export.render({"schema": "sealpass.qualification/1"}, "junit")
