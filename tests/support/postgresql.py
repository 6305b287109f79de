# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own: on a unix socket in a private directory, and not for keeping anything."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.schema import METADATA
from sealpass.softhsm.daemon import Daemon

BIN_VARIABLE = "POSTGRESQL_BIN"
"""Names the directory of initdb and postgres, where they are in no usual place."""
_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/libexec/postgresql*",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
_USERS = ("postgres", "nobody")
"""Whom it runs as where the tests run as root, which PostgreSQL refuses."""
_SETTINGS = {
    "listen_addresses": "",  # no TCP
    "fsync": "off",  # what is in it may be lost
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "dynamic_shared_memory_type": "mmap",  # in its directory, so that nothing stays in /dev/shm
    "autovacuum": "off",
    "deadlock_timeout": "100ms",
}
_START_SECONDS = 20.0


def missing() -> str | None:
    """Why PostgreSQL is not installed, or None."""
    return None if _binaries() else f"PostgreSQL's initdb and postgres are not installed, or {BIN_VARIABLE} is not set"


def obstacle() -> str | None:
    """Why it cannot be run, or None: root has to become somebody else."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return missing() or "root cannot run PostgreSQL without setpriv"
    return missing()


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    named = os.environ.get(BIN_VARIABLE)
    candidates = [Path(named)] if named else [path for folder in _FOLDERS for path in sorted(Path("/").glob(folder))]
    if found and not named:
        candidates.append(Path(found).resolve().parent)
    usable = [path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()]
    return usable[-1] if usable else None


class PostgresServer:
    """A running server, with one database that tests share one after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = itertools.count()
        self._admin = self._connect("postgres")
        self._shared = self.empty_database()
        with Database(self._shared) as database:
            migrations.upgrade(database)
        self._cleaner = self._connect("test_0")

    def clean_database(self) -> str:
        """The URL of the shared database, with the tables and no rows. Making one for each test would be slow."""
        for table in METADATA.tables:
            self._cleaner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        return self._shared

    def empty_database(self) -> str:
        """The URL of a new database, for tests of the tables themselves."""
        name = f"test_{next(self._numbers)}"
        self._admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return f"postgresql://postgres@/{name}?host={self.directory}"

    def checkpoint(self) -> None:
        """Write to its files what is still in its memory."""
        self._admin.execute("CHECKPOINT")

    def disconnect_all(self) -> None:
        """End all sessions of others, as a restart of the server does."""
        self._admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        self._cleaner.close()
        self._cleaner = self._connect("test_0")

    def close(self) -> None:
        """End our own sessions; the server goes on."""
        self._cleaner.close()
        self._admin.close()

    def _connect(self, name: str) -> "psycopg.Connection[tuple[object, ...]]":
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                return psycopg.connect(host=str(self.directory), user="postgres", dbname=name, autocommit=True)
            except psycopg.OperationalError:  # it takes connections a little before it can serve them
                if time.monotonic() > until:
                    raise
            time.sleep(0.01)


@contextmanager
def run_server(**more_settings: str) -> Iterator[PostgresServer]:
    """A server, until the ``with`` ends or, on Linux, the thread that began it, however that happens."""
    binaries = _binaries()
    assert binaries is not None
    # Not a directory of pytest's: those are closed to the user whom it runs as.
    directory = Path(tempfile.mkdtemp(prefix="sealpass-pg-"))
    try:
        become, as_user = _unprivileged(directory)
        data = directory / "data"
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [*become, str(binaries / "initdb"), f"--pgdata={data}", *options],
            cwd=directory,
            check=True,
            capture_output=True,
        )
        settings = [f"--{name}={value}" for name, value in {**_SETTINGS, **more_settings}.items()]
        command = [*as_user, str(binaries / "postgres"), "-D", str(data), "-k", str(directory), *settings]
        with Daemon(command, at=directory / ".s.PGSQL.5432") as daemon:
            try:
                server = PostgresServer(directory)
                try:
                    yield server
                finally:
                    server.close()
            finally:
                # Killed, it would leave a segment of shared memory behind.
                os.kill(daemon.pid, signal.SIGQUIT)
                os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    finally:
        shutil.rmtree(directory)


def _unprivileged(directory: Path) -> tuple[list[str], list[str]]:
    """What goes before a command to run it as somebody who may use the directory; the second, for the server's life.

    A program that changes its user forgets that it is to end with its parent, so it is told again.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    become: list[str] = []
    if os.geteuid() == 0:
        assert setpriv is not None
        user = next(pwd.getpwnam(name) for name in _USERS if name in {entry.pw_name for entry in pwd.getpwall()})
        os.chown(directory, user.pw_uid, user.pw_gid)
        become = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if setpriv is None:
        return become, become
    return become, [*(become or [setpriv]), "--pdeathsig=QUIT"]
