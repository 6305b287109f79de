# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench compare``: what it takes, its exit status, and the files that it leaves."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.bench import export
from sealpass.bench.gate import compare
from sealpass.bench.gate.compare import Asked
from sealpass.core.errors import BackendUnavailable
from tests.bench.gate.conftest import example
from tests.bench.gate.told import ToldCommand

A, B = "pkcs11:token=prod;object=a", "pkcs11:token=prod;object=b"


Command = ToldCommand[Asked]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command."""
    made = Command("compare", "compared", capfd)
    monkeypatch.setattr(compare, "run", made.run)
    return made


@pytest.mark.parametrize(("name", "status"), [("compared", 1), ("inconclusive", 4), ("passed", 0)])
def test_the_exit_status_is_the_verdict(command: Command, name: str, status: int) -> None:
    """And the table names both sides."""
    command.answer = example(name)
    found, output, _words = command(A, B)
    assert found == status
    names = [side["name"] for side in command.answer["sides"]]
    assert any(all(name in line.split() for name in names) for line in output.splitlines())


def test_a_device_that_is_away_is_3(command: Command, tmp_path: Path) -> None:
    """And leaves no file."""
    command.answer = BackendUnavailable("away", retryable=True)
    assert command(A, B, "--junit", str(tmp_path / "junit.xml"))[0] == 3
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_for_arrives(command: Command) -> None:
    """Two keys; or one key in two installations."""
    command(A, B, "--reference", "pkcs11:object=ref", "--noise-floor", "0.04", "--force-login")
    command(A, "--python", "old/python", "--python", "new/python")
    two, one = command.asked
    assert [(side.uri, side.python) for side in (two.a, two.b)] == [(A, None), (B, None)]
    assert (two.reference, two.rule.noise_floor, two.force_login) == ("pkcs11:object=ref", 0.04, True)
    assert [(side.uri, side.python) for side in (one.a, one.b)] == [(A, "old/python"), (A, "new/python")]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [A],
        [A, B, A],
        [A, ""],
        [A, "no-uri"],
        [A, B, "--python", "one"],
        [A, "--python", "one", "--python", "two", "--python", "three"],
        [A, B, "--noise-floor", "lots"],
        [A, B, "--junit", "/dev/null/junit.xml"],
    ],
)
def test_what_is_wrong_on_the_command_line_is_2(command: Command, arguments: Sequence[str]) -> None:
    """Nothing is measured."""
    assert command(*arguments)[0] == 2
    assert command.asked == []


@pytest.mark.parametrize("option", ["--out", *(f"--{form}" for form in export.FORMS)])
def test_a_dash_is_no_file(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """A file of that name is what nobody means; the words say what to do."""
    monkeypatch.chdir(tmp_path)
    status, _output, words = command(A, B, option, "-")
    assert (status, command.asked) == (2, [])
    assert f"'{option}'" in words
    assert "--json" in words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "whose"),
    [(["no-uri", B], "A: "), ([A, "no-uri"], "B: "), ([A, B, "--reference", "no-uri"], "the ref")],
)
def test_which_uri_is_wrong_is_told(command: Command, arguments: Sequence[str], whose: str) -> None:
    """Of three that look alike."""
    status, _output, words = command(*arguments)
    assert (status, command.asked) == (2, [])
    assert f"error [config]: {whose}" in words


def test_all_files_are_written(command: Command, tmp_path: Path) -> None:
    """Each into the place that was named, its directory made."""
    options = [option for form in export.FORMS for option in (f"--{form}", str(tmp_path / "new" / form))]
    status, output, _words = command(A, B, "--json", "--out", str(tmp_path / "out"), *options)
    assert status == 1
    assert json.loads(output) == json.loads((tmp_path / "out" / "compare.json").read_text()) == command.answer
    for form in export.FORMS:
        assert (tmp_path / "new" / form).read_text() == export.render(example("compared"), form)


def test_a_gate_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are shared."""
    from sealpass.bench.gate import gate

    monkeypatch.setattr(gate, "run", lambda *_arguments: example("slower"))
    path = tmp_path / "junit.xml"
    assert main(["bench", "gate", A, "--baseline", "b.json", "--junit", str(path)]) == 1
    assert path.read_text() == export.render(example("slower"), "junit")
