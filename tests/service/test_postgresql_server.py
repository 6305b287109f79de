# SPDX-License-Identifier: Apache-2.0
"""The server of the tests does not outlive them, and is nobody else's."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.support import postgresql as server_of_tests
from tests.support.postgresql import PostgresServer
from tests.support.process import ROOT

_KILLED = """
import os, signal, sys
from tests.support.postgresql import run_server
with run_server() as server:
    print(server.directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
_SECONDS = 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_ends_with_a_run_that_is_killed(postgresql: PostgresServer) -> None:
    """Even with SIGKILL; and no shared memory is left."""
    done = subprocess.run([sys.executable, "-c", _KILLED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    directory = Path(done.stdout.strip())
    try:
        until = time.monotonic() + _SECONDS
        pid_file = directory / "data" / "postmaster.pid"
        while pid_file.exists():  # its last act is to remove it, after its memory
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        shutil.rmtree(directory)
    memory = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    assert all(Path(f"/proc/{line.split()[4]}").exists() for line in memory if line.split()[7:8] == ["0"])


def test_it_listens_on_a_private_socket_only(postgresql: PostgresServer) -> None:
    """No port, and a directory that only its user enters."""
    with psycopg.connect(host=str(postgresql.directory), user="postgres", dbname="postgres") as session:
        row = session.execute("SHOW listen_addresses").fetchone()
    assert row == ("",)
    assert postgresql.directory.stat().st_mode & 0o077 == 0


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without PostgreSQL, and root without setpriv: the reason of a skip."""
    monkeypatch.setenv("POSTGRESQL_BIN", str(tmp_path))
    assert "initdb and postgres are not installed" in str(server_of_tests.missing())
    assert server_of_tests.obstacle() == server_of_tests.missing()
    for program in ("initdb", "postgres"):
        (tmp_path / program).touch()
    assert server_of_tests.missing() is None
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    assert "setpriv" in str(server_of_tests.obstacle())
