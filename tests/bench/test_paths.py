# SPDX-License-Identifier: Apache-2.0
"""No file that a command writes takes the place of one that it reads, or of another that it writes."""

import os
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.bench.gate import compare, gate
from sealpass.bench.load import run as load_run
from sealpass.cli.options import check_apart
from sealpass.core.errors import ConfigError

KEY = "pkcs11:token=prod;object=e2ee"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory of the test, where no key is measured."""

    def measured(*_asked: object) -> None:
        pytest.fail("it was measured before the paths were looked at")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gate, "run", measured)
    monkeypatch.setattr(compare, "run", measured)


@pytest.mark.parametrize(
    ("arguments", "first", "second"),
    [
        (["gate", KEY, "--baseline", "gate.json", "--update-baseline", "first", "--out", "."], "--baseline", "--out"),
        (["gate", KEY, "--baseline", "b.json", "--junit", "./b.json"], "--baseline", "--junit"),
        (
            ["gate", KEY, "--baseline", "b.json", "--targets", "t.toml", "--markdown", "t.toml"],
            "--targets",
            "--markdown",
        ),
        (["gate", "software:path=k.pem", "--baseline", "b.json", "--prometheus", "k.pem"], "KEY", "--prometheus"),
        (["gate", KEY, "--baseline", "b.json", "--junit", "x", "--markdown", "x"], "--junit", "--markdown"),
        (["compare", KEY, KEY, "--out", ".", "--pytest-benchmark", "compare.json"], "--out", "--pytest-benchmark"),
        (["compare", KEY, "software:path=k.pem", "--junit", "k.pem"], "B", "--junit"),
    ],
)
def test_a_gate_refuses_one_file_for_two_things(
    capfd: pytest.CaptureFixture[str], arguments: list[str], first: str, second: str
) -> None:
    """Exit 2 before any work, with both names; what was there stays, and no directory is made."""
    held = {Path(name): f"old {name}" for name in ("gate.json", "b.json", "t.toml", "k.pem")}
    for path, text in held.items():
        path.write_text(text)
    assert main(["bench", *arguments]) == 2
    assert f"{first} and {second} are the same file" in capfd.readouterr().err
    assert {path: path.read_text() for path in Path().iterdir()} == held


def test_a_directory_of_one_result_is_no_file_of_another(capfd: pytest.CaptureFixture[str]) -> None:
    """Told before any work, and not when the result cannot be written."""
    assert main(["bench", "gate", KEY, "--baseline", "b.json", "--out", "new", "--junit", "new"]) == 2
    assert "new is there, and is no file" in capfd.readouterr().err


def test_links_lead_to_the_same_file(tmp_path: Path) -> None:
    """Symbolic ones to a file, or to its directory, and hard ones; also where there is no file yet."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "real" / "a").write_text("a")
    (tmp_path / "to-a").symlink_to("real/a")
    os.link(tmp_path / "real" / "a", tmp_path / "hard")
    for other in ("linked/a", "to-a", "hard", "linked/../real/a"):
        with pytest.raises(ConfigError, match="--two and --one are the same file"):
            check_apart([("--one", tmp_path / other)], [("--two", tmp_path / "real" / "a")])
    with pytest.raises(ConfigError, match="same file"):
        check_apart([("--one", tmp_path / "linked" / "new"), ("--two", tmp_path / "real" / "new")])


def test_what_is_apart_goes(tmp_path: Path) -> None:
    """What is not given is no file, nor is a name with a NUL; and what is only read may be read twice."""
    (tmp_path / "loop").symlink_to("loop")
    outputs = [("--one", tmp_path / "one"), ("--loop", tmp_path / "loop"), ("--none", None)]
    check_apart(outputs, [("--in", "b"), ("--in", "b"), ("--none", None), ("KEY", "\0")])


@pytest.mark.parametrize("option", ["--out", "--targets"])
def test_qualify_takes_no_dash_for_a_file(capfd: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    """It would be a directory of that name; --json is what prints a result."""
    assert main(["qualify", "software:path=none.pem", option, "-"]) == 2
    assert "it takes a path, and no '-'" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "merge"])
def test_a_result_that_cannot_be_written_is_told_before_any_work(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """And not after hours of measuring."""
    os.mkfifo("pipe")
    monkeypatch.setattr(load_run, "run", lambda *_asked, **_how: pytest.fail("it was measured"))
    arguments = {"run": [KEY], "merge": ["a.json", "b.json"]}[command]
    assert main(["bench", command, *arguments, "--out", "pipe"]) == 2
    assert "pipe is there, and is no file" in capfd.readouterr().err
