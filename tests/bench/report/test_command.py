# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench report`` as a user starts it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sealpass.bench.report import html_page
from sealpass.cli.bench_report import report
from sealpass.core.errors import ConfigError, MissingDependency
from tests.bench.report.results import FILES, result

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs the command; errors of sealpass come through as they are."""

    def start(*arguments: str | Path) -> Result:
        return CliRunner().invoke(report, [str(each) for each in arguments], catch_exceptions=False)

    return start


def test_the_page_goes_into_a_file_or_to_standard_output(run: Run, tmp_path: Path) -> None:
    """It is the same page, and where it is written, is said on standard error."""
    out = tmp_path / "run.html"
    written = run(FILES["run"], "--out", out)
    assert (written.exit_code, written.stdout) == (0, "")
    assert str(out) in written.stderr
    assert out.read_text(encoding="utf-8") == run(FILES["run"]).stdout == html_page.render([result("run")])


@pytest.mark.parametrize(
    ("form", "heading"), [("markdown", "## How far to trust this"), ("terminal", "How far to trust this")]
)
@pytest.mark.parametrize("name", FILES)
def test_other_forms_say_the_same(run: Run, form: str, heading: str, name: str) -> None:
    """Markdown and tables have the sections of the page, and the data of its plots in place of them."""
    told = run(FILES[name], "--format", form).stdout.replace("\\", "").splitlines()
    assert heading in told
    for block in html_page.page([result(name)]).blocks:
        assert not block.section.rows or any(block.section.title in line for line in told)
        assert all(any(figure.title in line for line in told) for figure in block.figures)


@pytest.mark.parametrize("form", ["html", "markdown", "terminal"])
def test_files_are_named_without_their_directories(run: Run, form: str) -> None:
    """In every form; where somebody keeps files is nobody else's business."""
    told = run(FILES["run"], FILES["gate"], "--format", form).stdout
    assert "run.json" in told
    assert "gate.json" in told
    assert str(FILES["run"].parent) not in told


def test_json_tells_where_the_report_is(run: Run, tmp_path: Path) -> None:
    """With --json one object is on standard output: the path, or the report itself."""
    out = str(tmp_path / "a.html")
    assert json.loads(run(FILES["gate"], "--json", "--out", out).stdout) == {"format": "html", "path": out}
    assert json.loads(run(FILES["gate"], "--json").stdout)["report"].startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "not a result file of sealpass"),
        (200_000 * b"[", "is not JSON"),
        (b'{"schema": "<script>/1"}', "not a result file of sealpass"),
        (b'{"schema": "sealpass.run/2"}', r"sealpass\.run/2 is of another version"),
        (b'{"schema": "sealpass.baseline/1"}', r"sealpass\.baseline/1 is of no use here"),
        (b'{"schema": "sealpass.run/1"}', r"does not follow the schema sealpass\.run/1"),
        (b'{"schema": "sealpass.gate/1", "verdict": 7}', r"does not follow the schema sealpass\.gate/1"),
    ],
)
def test_what_is_no_result_file_is_refused(run: Run, tmp_path: Path, content: bytes, message: str) -> None:
    """With what is wrong, the file's name, and no traceback, among files that are right."""
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        run(FILES["run"], wrong)
    assert "wrong.json" in str(caught.value)


@pytest.mark.parametrize("form", ["html", "markdown", "terminal"])
@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("run", ("duration_s",), 10**400),
        ("run", ("duration_s",), 1e308),
        ("run", ("host", "load_before"), [10**400, 1, 1]),
        ("run", ("measurements", 0, "verified"), -1),
        ("run", ("measurements", 0, "elapsed_ns"), 10**400),
        ("gate", ("load", "before"), [10**400, 1, 1]),
        ("gate", ("settings", "alarms"), 10**400),
        ("gate", ("sides", 0, "processes", 0, "log_ratio"), 1e308),
        ("gate", ("sides", 0, "processes", 0, "log_ratio"), 2**52),
        ("emulator", ("duration_s",), 10**400),
    ],
)
def test_figures_that_nobody_measured_are_refused(
    run: Run, tmp_path: Path, form: str, name: str, where: tuple[str | int, ...], value: object
) -> None:
    """A file that claims a schema and does not keep to it is named, in every form."""
    document: Any = result(name)
    inner = document
    for place in where[:-1]:
        inner = inner[place]
    assert where[-1] in inner
    inner[where[-1]] = value
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"wrong\.json does not follow the schema"):
        run(path, "--format", form)


def test_what_can_be_read_is_named(run: Run, tmp_path: Path) -> None:
    """Whoever has a file of a later version reads which ones there are."""
    later = tmp_path / "later.json"
    later.write_text('{"schema": "sealpass.gate/9"}')
    with pytest.raises(ConfigError) as caught:
        run(later)
    assert all(
        schema in caught.value.hint for schema in ("sealpass.run/1", "sealpass.gate/1", "sealpass.qualification/1")
    )


def test_members_of_a_later_version_do_no_harm(run: Run, tmp_path: Path) -> None:
    """A schema grows by addition: what is not known is left out."""
    document = result("run")
    document["later"] = document["measurements"][0]["later"] = {"more": 1}
    path = tmp_path / "later.json"
    path.write_text(json.dumps(document))
    assert run(path).stdout == html_page.render([result("run")])


@pytest.mark.parametrize("module", ["jinja2", "leather"])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """With the extra that brings it, before any long work."""
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingDependency) as caught:
        html_page.require()
    assert caught.value.extra == "bench"
