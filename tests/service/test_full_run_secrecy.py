# SPDX-License-Identifier: Apache-2.0
"""All that a full run wrote is searched for every password, PIN and inner hash in it, in many spellings.

The run is tests/support/full_run.py, on SoftHSM2 and either database, with every logger at DEBUG. Some passwords are
let out on purpose, one through each channel: those must be found, and then it means something that no other is.
"""

import base64
import json
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.support import postgresql as postgresql_server
from tests.support.leaks import leaks, spellings
from tests.support.process import ROOT
from tests.support.soft_tokens import need

NAMES = ("first", "second", "third", "reset", "admin", "wrong", "short", "blocked", "command")
QUALIFICATION, PLANTED = "qualification", "planted"
SAMPLE = "Käse 73d1 \"50%\" & 'Öl'/ß+1?>"
FEWEST_HASHES, FEWEST_OF_QUALIFICATION = 8, 100
CHANNELS = {
    "standard output": "standard-output",
    "standard error": "standard-error",
    "log": "debug.log",
    "warning": "debug.log",
    "exception": "tracebacks",
    "locals": "locals",
    "arguments": "arguments",
    "database": None,
    "inner hash": None,
}
"""Where a password that is let out must be found; None: in the files of the database."""
SERVER_LOG = {"logging_collector": "on", "log_directory": "log", "log_statement": "all"}


def new_password() -> str:
    """One that most spellings change, and that is nowhere by chance."""
    return SAMPLE.replace("73d1", secrets.token_hex(5))


def run_everything(directory: Path, outside: Path, database: str) -> tuple[dict[str, str], dict[str, str]]:
    """The secrets of a run, and those that it let out; its standard streams become files as well."""
    short = f"ü{secrets.token_hex(5)}\"'"  # too short for the policy, and long enough to be nowhere by chance
    passwords = {name: new_password() for name in NAMES} | {"short": short}
    planted = {channel: new_password() for channel in CHANNELS}
    (outside / "wrong-pin").write_text("618230457719")
    (outside / "block-list").write_text(passwords["blocked"])
    task = {
        "database": database,
        "secrets_file": str(outside / "secrets"),
        "wrong_pin_file": str(outside / "wrong-pin"),
        "block_list_file": str(outside / "block-list"),
        "passwords": passwords,
        "planted": planted,
    }
    with (directory / "standard-output").open("w") as out, (directory / "standard-error").open("w") as err:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.full_run"],
            input=json.dumps(task),
            text=True,
            cwd=directory,
            env=environment(PYTHONPATH=f"{ROOT}:{ROOT / 'src'}"),
            stdout=out,
            stderr=err,
            check=False,
        )
    assert done.returncode == 0, (directory / "standard-error").read_text()
    found: dict[str, str] = json.loads((outside / "secrets").read_text())
    return found, planted | {"inner hash": found.pop("planted inner hash")}


@pytest.mark.timeout(180)  # dozens of processes, which take long only where the machine is busy
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_full_run_lets_out_only_what_is_let_out_on_purpose(kind: str, tmp_path: Path) -> None:
    """That is found, through every channel; and no other secret is in anything that was written."""
    directory, outside = tmp_path / "run", tmp_path / "outside"
    directory.mkdir()
    outside.mkdir()
    with ExitStack() as stack:
        server, roots, source = None, [directory], "sqlite:///passwords.db"
        if kind == "postgresql":
            need(postgresql_server)
            server = stack.enter_context(postgresql_server.run_server(**SERVER_LOG))
            roots.append(server.directory)
            source = server.clean_database()
        since = time.time() - 1  # file systems and the clock do not agree on the millisecond
        used, planted = run_everything(directory, outside, source)
        if server is not None:
            server.checkpoint()
        made = [used.pop(name) for name in list(used) if name.startswith(QUALIFICATION)]
        assert {*NAMES, "pin", "so-pin", "wrong PIN", "letter"} <= used.keys()
        assert sum(name.startswith("inner hash") for name in used) > FEWEST_HASHES
        own = [directory / "token" / name for name in ("pin", "so-pin")]
        found = leaks(used | {f"{PLANTED} {name}": text for name, text in planted.items()}, roots, own=own, since=since)
        for channel, place in CHANNELS.items():
            paths = {leak.path for leak in found if leak.secret == f"{PLANTED} {channel}"}
            check_place(paths, [directory / place] if place else database_files(directory, server))
    assert [leak for leak in found if not leak.secret.startswith(PLANTED)] == []
    check_logs(directory)
    if kind == "sqlite":
        check_commands(directory, made)


def check_place(found: set[Path], places: list[Path]) -> None:
    """In each of these, files or directories."""
    for place in places:
        assert any(path.is_relative_to(place) for path in found), place


def database_files(directory: Path, server: postgresql_server.PostgresServer | None) -> list[Path]:
    """Where a value that is stored has to turn up: the tables, the write-ahead log, and what the server logs."""
    if server is not None:
        return [server.directory / "data" / name for name in ("base", "pg_wal", "log")]
    return [directory / name for name in ("passwords.db", "at-work-passwords.db-wal")]


def check_logs(directory: Path) -> None:
    """They hold the failures, the library's debug messages, and frames in the middle of the work."""
    log = (directory / "debug.log").read_text()
    expected = ("sqlalchemy.engine", "DEBUG", "does-not-open", "BackendUnavailable", "PolicyViolation")
    assert [text for text in (*expected, "DecryptionFailed") if text not in log] == []
    assert "in check" in (directory / "faults").read_text()


def check_commands(directory: Path, made: list[str]) -> None:
    """They failed with tracebacks; and no password that a qualification made is in its reports or output.

    It makes many, so only these files are searched, and for passwords as they are.
    """
    assert "Traceback" in (directory / "commands").read_text()
    assert len(made) > FEWEST_OF_QUALIFICATION
    reports = list((directory / "reports").iterdir())
    assert sorted(path.suffix for path in reports) == [".html", ".json", ".md"]
    for path in (*reports, *(directory / name for name in ("standard-output", "standard-error", "debug.log"))):
        content = path.read_text()
        assert [text for text in made if text in content or json.dumps(text)[1:-1] in content] == []


@pytest.mark.parametrize("spelling", spellings(SAMPLE))
def test_every_spelling_is_found(spelling: str, tmp_path: Path) -> None:
    """In the middle of a file, whatever is around it; of base64 the part that does not depend on that."""
    (tmp_path / "file").write_bytes(b"\0\xffx" + spellings(SAMPLE)[spelling] + b"\n")
    assert spelling in {leak.spelling for leak in leaks({"password": SAMPLE}, [tmp_path])}


@pytest.mark.parametrize("before", range(3))
def test_base64_of_something_around_it_is_found(before: int, tmp_path: Path) -> None:
    """Wherever in it the password begins."""
    whole = b"x" * before + SAMPLE.encode() + b"yy"
    (tmp_path / "file").write_bytes(base64.urlsafe_b64encode(whole))
    assert leaks({"password": SAMPLE}, [tmp_path])
