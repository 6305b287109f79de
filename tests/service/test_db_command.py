# SPDX-License-Identifier: Apache-2.0
"""``sealpass db`` as a user runs it, but in this process."""

import json
from pathlib import Path

import pytest

from sealpass.__main__ import main

SECRET = "hunter2-of-the-database"


class Command:
    """Runs ``sealpass db``."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._captured = capfdbinary

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Status, data and words."""
        status = main(["db", *arguments])
        captured = self._captured.readouterr()
        return status, captured.out.decode(), captured.err.decode()


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The command."""
    return Command(capfdbinary)


def test_a_new_database_is_made_and_checked(
    command: Command, empty_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check refuses before; upgrade makes the tables once; the check is content afterwards."""
    monkeypatch.setenv("DATABASE_URL", empty_source)
    status, out, words = command("check", "env:DATABASE_URL")
    assert (status, out) == (2, "")
    assert "sealpass: error [config]" in words
    assert "sealpass db upgrade" in words
    assert command("upgrade", "env:DATABASE_URL") == (0, "version 2\n", "the tables were brought to this version\n")
    assert command("upgrade", empty_source) == (0, "version 2\n", "nothing to do\n")
    assert command("check", "env:DATABASE_URL") == (0, "version 2\n", "")


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_json(command: Command, empty_source: str) -> None:
    """Data on standard output as one object."""
    status, out, _ = command("upgrade", empty_source, "--json")
    assert (status, json.loads(out)) == (0, {"version": "2", "changed": True})
    status, out, _ = command("check", empty_source, "--json")
    assert (status, json.loads(out)) == (0, {"version": "2"})


def test_a_password_as_an_argument_is_refused(command: Command) -> None:
    """Every process can read it there; it is not repeated either."""
    status, out, words = command("upgrade", f"postgresql://user:{SECRET}@127.0.0.1/name")
    assert (status, out) == (2, "")
    assert "file:PATH or env:NAME" in words
    assert SECRET not in words


def test_a_database_that_is_not_there_is_status_3(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any device that cannot be reached; its password does not show."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{SECRET}@/name?host=/no/such/directory")
    status, out, words = command("check", "env:DATABASE_URL")
    assert (status, out) == (3, "")
    assert "not reachable" in words
    assert SECRET not in words


def test_a_file_that_is_no_database_is_told(command: Command, tmp_path: Path) -> None:
    """By what it is not; and it stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 100)
    path.chmod(0o600)
    status, out, words = command("upgrade", f"sqlite:///{path}")
    assert (status, out) == (2, "")
    assert "not an SQLite database" in words
    assert path.read_text() == "buy milk\n" * 100
