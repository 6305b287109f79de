# SPDX-License-Identifier: Apache-2.0
"""A database of each kind for each test, with the tables of this version."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from sealpass.core.protocols import Sealed
from sealpass.core.records import Record
from sealpass.service import migrations
from sealpass.service.database import Database
from tests.support.postgresql import PostgresServer


class Clock:
    """A clock that a test sets, in place of the database's own."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make_record(key_id: str = "key", number: int = 0, algorithm: str = "A256GCM") -> str:
    """A well-formed record; another one for each number."""
    nonce = b"" if algorithm == "awskms" else bytes(12)
    return str(Record(key_id, Sealed(algorithm, nonce, number.to_bytes(4, "big") + bytes(40))))


def open_database(source: str, clock: Callable[[], float] | None = None) -> Database:
    """A database that does not wait for the disk: no test pulls the plug."""
    database = Database(source, clock=clock)
    if database.is_sqlite:
        event.listen(database.engine, "connect", _do_not_wait)
    return database


def _do_not_wait(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with the tables, to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    with Database(f"sqlite:///{path}") as database:
        migrations.upgrade(database)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database; whoever uses this runs on both."""
    return str(request.param)


@pytest.fixture
def source(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nobody else uses now, with the tables and no rows. The tables stay as they are."""
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        return server.clean_database()
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def empty_source(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, to do anything with; of SQLite there is not even the file."""
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        return server.empty_database()
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def clock() -> Clock:
    """The clock of ``database``."""
    return Clock()


@pytest.fixture
def database(source: str, clock: Clock) -> Iterator[Database]:
    """A database with the tables and no rows, on a clock that stands."""
    with open_database(source, clock) as database:
        yield database
