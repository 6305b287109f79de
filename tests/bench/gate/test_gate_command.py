# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench gate``: exit status, what is shown and what is written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.bench.gate import gate
from sealpass.bench.gate.gate import Asked
from sealpass.cli.bench_gate import shown
from sealpass.core.errors import BackendUnavailable
from tests.bench.gate.conftest import EXAMPLES, a_baseline, example, processes
from tests.bench.gate.told import ToldCommand

KEY = "pkcs11:token=prod;object=e2ee"


Command = ToldCommand[Asked]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command."""
    made = Command("gate", "passed", capfd)
    monkeypatch.setattr(gate, "run", made.run)
    return made


@pytest.mark.parametrize(("name", "status"), [("passed", 0), ("slower", 1), ("wrong", 1), ("inconclusive", 4)])
def test_the_exit_status_is_the_verdict(command: Command, name: str, status: int) -> None:
    """And the last line says it in a word."""
    command.answer = example(name)
    found, output, _words = command(KEY, "--baseline", "b.json")
    assert found == status
    assert output.splitlines()[-1].startswith(command.answer["verdict"]["verdict"].upper())


def test_a_device_that_is_away_is_3(command: Command) -> None:
    """An error, and no verdict."""
    command.answer = BackendUnavailable("away", retryable=True)
    status, output, words = command(KEY, "--baseline", "b.json")
    assert (status, output) == (3, "")
    assert "away" in words


def test_json_is_the_document_and_a_file_has_the_same(command: Command, tmp_path: Path) -> None:
    """Words go to standard error, also as JSON."""
    status, output, words = command(KEY, "--baseline", "b.json", "--json", "--out", str(tmp_path / "reports"))
    assert status == 0
    assert json.loads(output) == command.answer
    assert json.loads((tmp_path / "reports" / "gate.json").read_text()) == command.answer
    assert [json.loads(line) for line in words.splitlines()] == [{"info": {"message": "measuring"}}]


def test_what_is_asked_for_arrives(command: Command, tmp_path: Path) -> None:
    """All options."""
    targets = tmp_path / "targets.toml"
    targets.write_text("[default]\nlogins-per-second = 1\np99-ms = 1")
    command(
        KEY, "--baseline", "b.json", "--targets", str(targets), "--reference", "pkcs11:object=ref", "--on-mismatch",
        "fail", "--noise-floor", "4%", "--max-error-rate", "0.5%", "--force-login",
    )  # fmt: skip
    command(KEY, "--baseline", "b.json", "--update-baseline", " new\n  firmware\u00a0\u2192 2 ")
    asked, update = command.asked
    assert (asked.request.uri, asked.request.reference, asked.request.force_login) == (KEY, "pkcs11:object=ref", True)
    assert asked.max_error_rate == 0.005
    assert (asked.reason, asked.fail_on_mismatch, asked.rule.noise_floor) == (None, True, 0.04)
    assert (update.reason, update.fail_on_mismatch) == ("new firmware \u2192 2", False)
    assert asked.targets is not None
    assert asked.targets.of("pkcs11").logins_per_s == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [KEY],
        [KEY, "--baseline", "b.json", "--update-baseline", "  "],
        [KEY, "--baseline", "b.json", "--update-baseline", "\udcff"],
        [KEY, "--baseline", "b.json", "--update-baseline", "\x1b[31m"],
        [KEY, "--baseline", "b.json", "--update-baseline", "x", "--on-mismatch", "fail"],
        [KEY, "--baseline", "b.json", "--update-baseline", "x", "--on-mismatch", "warn"],
        [KEY, "--baseline", "b.json", "--update-baseline", "x", "--noise-floor", "10%"],
        [KEY, "--baseline", "b.json", "--noise-floor", "0"],
        [KEY, "--baseline", "b.json", "--noise-floor", "250%"],
        [KEY, "--baseline", "b.json", "--noise-floor", "much"],
        [KEY, "--baseline", "b.json", "--max-error-rate", "-1%"],
        [KEY, "--baseline", "b.json", "--max-error-rate", "50%"],
        [KEY, "--baseline", "b.json", "--max-error-rate", "nan"],
        [KEY, "--baseline", "b.json", "--targets", "none.toml"],
        [KEY, "--baseline", "-"],
        [KEY, "--baseline", "b.json", "--out", "-"],
        [KEY, "--baseline", "b.json", "--junit", "-"],
        ["no-uri", "--baseline", "b.json"],
    ],
)
def test_what_is_wrong_on_the_command_line_is_2(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]
) -> None:
    """Nothing is measured, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert command(*arguments)[0] == 2
    assert command.asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--on-mismatch", "fail"], ["--noise-floor", "10%"]], ids=str)
def test_an_option_that_a_new_baseline_does_not_keep_is_named(command: Command, option: list[str]) -> None:
    """Whoever gives one would believe it to be in the file."""
    status, _output, words = command(KEY, "--baseline", "b.json", "--update-baseline", "x", *option)
    assert status == 2
    assert f"{option[0]} says how to compare, and --update-baseline compares nothing" in words


@pytest.mark.parametrize("update", [[], ["--update-baseline", "first"]], ids=["compare", "update"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
def test_a_file_name_that_is_no_text_is_shown_as_far_as_it_is(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    update: list[str],
    form: list[str],
) -> None:
    """Linux has such names; what was measured is told all the same, and no result holds half a character."""
    path = tmp_path / "b\udcff.json"
    if not update:
        a_baseline().save(path)
    monkeypatch.setattr(gate.run, "__kwdefaults__", {"take": processes()})
    assert main(["bench", "gate", KEY, "--baseline", str(path), *update, *form]) == 0
    output = capfd.readouterr().out
    assert ("b\ufffd.json" in output) or ("b\\ufffd.json" in output)
    assert "udcff" not in output
    assert path.exists()


def test_labels_of_a_baseline_write_no_control_sequences(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever writes to the file does not write to the terminal of who reads it."""
    path = tmp_path / "b.json"
    a_baseline(module={"status": "read", "reason": None, "values": {"library version": "\x1b[31m"}}).save(path)
    monkeypatch.setattr(gate.run, "__kwdefaults__", {"take": processes()})
    assert main(["bench", "gate", KEY, "--baseline", str(path)]) == 0
    output = capfd.readouterr().out
    assert "library version was \ufffd[31m and is 2.6" in output


def test_a_missing_baseline_is_2_and_says_how_to_make_one(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, software_uri: str
) -> None:
    """The real gate, before it measures anything."""
    assert main(["bench", "gate", software_uri, "--baseline", str(tmp_path / "none.json")]) == 2
    assert "--update-baseline" in capfd.readouterr().err


def test_a_baseline_of_something_else_is_2(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, software_uri: str
) -> None:
    """A file that was damaged in a merge, say."""
    path = tmp_path / "b.json"
    path.write_text(json.dumps(a_baseline().to_dict()).replace("processes", "process"))
    assert main(["bench", "gate", software_uri, "--baseline", str(path)]) == 2
    assert "baseline" in capfd.readouterr().err


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_shown(path: Path) -> None:
    """~ where nothing can be said, a figure where something can."""
    document = example(path.stem)
    text = shown(document)
    for comparison in document["comparisons"]:
        row = next(line for line in text.splitlines() if line.startswith(comparison["title"]))
        assert ("~" in row) != comparison["significant"]
        assert row.endswith(comparison["outcome"])
    for reason in document["verdict"]["reasons"]:
        assert reason in text
