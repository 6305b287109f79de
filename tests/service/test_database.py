# SPDX-License-Identifier: Apache-2.0
import gc
import logging
import os
import pickle
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from sealpass.core.errors import BackendUnavailable, ConfigError, MissingDependency, OperatorError
from sealpass.service.database import Database, database_url
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import make_record, open_database
from tests.support.postgresql import PostgresServer

ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
SECRET = "hunter2-of-the-database"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "passwords.db",
        "mysql://host/name",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////tmp/x.db?mode=memory",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite://host/x.db",
        "postgresql+asyncpg://host/name",
        f"postgresql://user:{SECRET}@host:{SECRET}/name",
        f"postgresql://user@host/name?password={SECRET}",
    ],
)
def test_what_is_no_database_of_ours_is_refused(source: str) -> None:
    """Early, with an example, and without a word of what was given."""
    with pytest.raises(ConfigError) as caught:
        database_url(source)
    assert "postgresql://user@host/name" in caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind_of_source", ["env", "file", "plain"])
def test_the_url_comes_from_where_it_is_secret_and_never_shows(
    kind_of_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of a variable or a file, too; the password is in neither repr nor str."""
    url = f"postgresql://user:{SECRET}@host/name"
    monkeypatch.setenv("DATABASE_URL", url)
    (tmp_path / "url").write_text(url + "\n")
    sources = {"env": "env:DATABASE_URL", "file": f"file:{tmp_path / 'url'}", "plain": url}
    with Database(sources[kind_of_source]) as database:
        assert database.url.password == SECRET
        shown = f"{database!r} {database} {database.url} {database.engine} {database.url!r}"
    assert SECRET not in shown
    assert "user:***@host/name" in shown


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/a\0b.db", "postgresql://u:a%00b@host/name", "postgresql://a%00b@host/name"]
)
def test_a_nul_in_a_url_is_refused(url: str) -> None:
    """Before the operating system or a driver sees it."""
    with pytest.raises(ConfigError, match="NUL"):
        Database(url)


def test_a_driver_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is the hint."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependency) as caught:
        Database("postgresql://host/name")
    assert "sealpass[service]" in caught.value.hint


@ON_SQLITE
def test_sqlite_is_set_up_for_servers(database: Database) -> None:
    """Readers beside a writer, foreign keys, and what was committed survives a loss of power."""

    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert database.read(settings) == ["wal", 1, 10_000]
    with Database(str(database.url)) as untouched:
        assert untouched.read(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar()) == 2


@ON_SQLITE
def test_an_sqlite_file_that_is_gone_is_not_made_anew(kind: str, tmp_path: Path) -> None:
    """An empty database in the place of a lost one would let everybody register again."""
    with Database(f"sqlite:///{tmp_path}/gone.db") as database, pytest.raises(ConfigError) as caught:
        PasswordStorage(database).get("s")
    assert str(caught.value) == f"there is no database at {tmp_path}/gone.db: No such file or directory"
    assert not list(tmp_path.iterdir())


@ON_SQLITE
@pytest.mark.parametrize(("mode", "refused"), [(0o604, True), (0o602, True), (0o660, False), (0o600, False)])
def test_an_sqlite_file_for_everybody_is_refused(
    source: str,
    tmp_path: Path,
    mode: int,
    refused: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A group may be meant; everybody is not."""
    (tmp_path / "test.db").chmod(mode)
    with open_database(source) as database:
        if refused:
            with pytest.raises(ConfigError, match="everybody") as caught:
                PasswordStorage(database).get("s")
            assert caught.value.hint == f"chmod 600 {tmp_path}/test.db"
        else:
            assert PasswordStorage(database).get("s") is None


@ON_SQLITE
def test_a_file_that_is_no_database_is_a_config_error(source: str, tmp_path: Path) -> None:
    """And its content is not quoted."""
    (tmp_path / "test.db").write_text(SECRET * 100)
    with open_database(source) as database, pytest.raises(ConfigError) as caught:
        PasswordStorage(database).get("s")
    assert str(caught.value) == "the file is not an SQLite database (SQLITE_NOTADB)"


@ON_SQLITE
def test_a_writer_that_waits_too_long_may_try_again(source: str, tmp_path: Path) -> None:
    """Somebody else's open transaction is no bug of ours; a reader does not even wait."""
    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Database(source, timeout=0.05) as database:
        storage = PasswordStorage(database)
        with pytest.raises(BackendUnavailable, match="SQLITE_BUSY") as caught:
            storage.create("s", current=make_record())
        assert caught.value.retryable
        assert storage.get("s") is None
        other.execute("COMMIT")
        assert storage.create("s", current=make_record())
    other.close()


@ON_POSTGRESQL
def test_a_lock_that_is_not_had_in_time_may_be_tried_again(source: str) -> None:
    """As on SQLite, but only for the same subject."""
    with Database(source, timeout=0.05) as database, open_database(source) as other:
        storage = PasswordStorage(database)
        for subject in "st":
            assert storage.create(subject, current=make_record())

        def while_locked(connection: Connection) -> None:
            connection.execute(text("SELECT 1 FROM sealpass_subject WHERE subject = 's' FOR UPDATE"))
            with pytest.raises(BackendUnavailable, match="SQLSTATE 55P03") as caught:
                storage.clear_attempts("s")
            assert caught.value.retryable
            assert storage.clear_attempts("t")

        other.write(while_locked)


@ON_POSTGRESQL
def test_a_server_that_was_restarted_is_not_noticed(source: str, postgresql: PostgresServer) -> None:
    """Connections that lie in the pool are tried before they are used."""
    with open_database(source) as database:
        storage = PasswordStorage(database)
        assert storage.create("s", current=make_record())
        postgresql.disconnect_all()
        assert storage.get("s") is not None


def test_a_server_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    """Retryable, and without what the driver says of host and user."""
    with (
        Database(f"postgresql://{SECRET}@/name?host={tmp_path}") as database,
        pytest.raises(BackendUnavailable) as caught,
    ):
        PasswordStorage(database).get("s")
    assert caught.value.retryable
    assert str(caught.value) == "the database is not reachable, or does not let us in"


def test_an_unknown_option_of_the_driver_is_a_config_error() -> None:
    """It stands in the URL, and is not quoted."""
    with (
        Database(f"postgresql:///name?host=/no/such/directory&{SECRET}=1") as database,
        pytest.raises(ConfigError) as caught,
    ):
        PasswordStorage(database).get("s")
    assert SECRET not in str(caught.value)


def test_tables_that_are_missing_are_told_what_to_run(empty_source: str) -> None:
    """The hint is the command."""
    with open_database(empty_source) as database:
        database.create_file()
        with pytest.raises(ConfigError) as caught:
            PasswordStorage(database).get("s")
    assert "sealpass db upgrade" in caught.value.hint


def test_a_pool_that_is_used_up_may_be_tried_again(source: str) -> None:
    """Requests wait for a connection as long as the timeout says."""
    with Database(source, timeout=0.05, connections=1) as database:

        def holding(_: Connection) -> None:
            with pytest.raises(BackendUnavailable, match="of the pool") as caught:
                PasswordStorage(database).get("s")
            assert caught.value.retryable

        database.read(holding)


def _failures(database: Database) -> Iterator[OperatorError]:
    """Errors of every kind of statement that holds a secret."""
    record = make_record(SECRET)
    for statement in (
        "INSERT INTO sealpass_record VALUES (:secret, 'current', 0, :secret, NULL, NULL, 0)",  # no such subject
        "INSERT INTO sealpass_subject (subject, must_change) VALUES (:secret, NULL)",  # NOT NULL
        "INSERT INTO no_such_table VALUES (:secret)",
        "SELECT CAST(:secret AS integer) / 0 FROM no_such_column_of_anything, (",
        "SELECT :secret, :missing",
    ):
        try:
            database.write(lambda connection, sql=statement: connection.execute(text(sql), {"secret": record}))  # type: ignore[misc]
        except OperatorError as error:
            yield error
    for subject in (f"{SECRET}\ud800", SECRET * 100):
        try:
            PasswordStorage(database).create(subject, current=record)
        except OperatorError as error:
            yield error


def test_errors_hold_nothing_of_what_was_stored(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """No value in text, hint, arguments, or an exception that hangs on it, even where another one is handled."""
    caplog.set_level(logging.DEBUG)
    failures: list[OperatorError] = []
    outer = ValueError("of the caller")
    try:
        raise outer
    except ValueError:
        failures += _failures(database)
    assert len(failures) == 7
    for failure in failures:
        assert SECRET not in f"{failure} {failure.hint} {failure.args} {pickle.dumps(failure)!r}"
        assert failure.__cause__ is None
        assert failure.__context__ is outer
    assert SECRET not in caplog.text


def test_the_library_hides_values_even_where_its_error_is_read(database: Database) -> None:
    """Behind the interface: whoever uses the engine directly gets errors without parameters."""
    with database.engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("SELECT :secret FROM no_such_table"), {"secret": SECRET})
    assert SECRET not in str(caught.value)


def test_an_interruption_that_spoils_the_connection_is_still_one(database: Database) -> None:
    """Ctrl-C in the middle of a driver's call may leave a connection that cannot even be rolled back."""

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))

        @event.listens_for(connection, "rollback")
        def fail(_connection: Connection) -> None:
            raise ProgrammingError("ROLLBACK", None, Exception("another command is in progress"))

        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.read(work)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_failure_in_a_cleanup_is_not_the_interruption_before_it(
    database: Database, interruption: type[BaseException]
) -> None:
    """Who handles Ctrl-C, or the end of a generator, and asks the database then, is told why it fails."""
    outer = interruption()
    try:
        raise outer
    except interruption:
        with pytest.raises(ConfigError) as caught:
            database.read(lambda connection: connection.execute(text("SELECT 1 FROM no_such_table")))
    assert caught.value.__context__ is outer


def test_work_that_fails_leaves_nothing(database: Database) -> None:
    """An exception of the caller's own rolls back and comes through."""

    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO sealpass_subject VALUES ('s', false, 0, NULL, 0, 0, 0, NULL)"))
        raise KeyError("of the caller")

    with pytest.raises(KeyError):
        database.write(work)
    assert database.read(lambda connection: connection.execute(text("SELECT 1 FROM sealpass_subject")).all()) == []


def test_the_databases_own_clock_is_the_time(source: str) -> None:
    """Seconds since 1970, with fractions: not minutes, days or local time."""
    with open_database(source) as database:
        query = select(database.now())
        before = time.time()
        now = database.read(lambda connection: connection.execute(query).scalar_one())
    assert before - 0.01 <= now <= time.time() + 0.01


def test_threads_share_a_database(database: Database) -> None:
    """More of them than connections; all that they write is there."""
    storage = PasswordStorage(database)

    def work(number: int) -> bool:
        return storage.create(f"s{number}", current=make_record()) and storage.get(f"s{number}") is not None

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(work, range(100)))


def test_a_fork_leaves_the_connections_to_the_parent(source: str) -> None:
    """Parent and child use the same object, and neither the other's connection; also in a child's child."""
    with open_database(source) as database:
        storage = PasswordStorage(database)
        assert storage.create("parent", current=make_record())
        inherited = database.engine.pool
        child = os.fork()
        if child == 0:
            fine = database.engine.pool is not inherited and storage.create("child", current=make_record())
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if storage.create("grandchild", current=make_record()) else 1)
            gc.collect()
            fine = fine and os.waitpid(grandchild, 0)[1] == 0 and storage.get("parent") is not None
            database.close()
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert database.engine.pool is inherited
        assert [storage.get(name) is not None for name in ("parent", "child", "grandchild")] == [True] * 3


def test_a_fork_while_a_thread_holds_a_connection(source: str) -> None:
    """The child has a whole pool, though a thread that it does not have took the only connection."""
    with Database(source, connections=1, timeout=5) as database:
        holds, go_on = threading.Event(), threading.Event()

        def hold(_: Connection) -> None:
            holds.set()
            go_on.wait(20)

        thread = threading.Thread(target=database.read, args=(hold,))
        thread.start()
        holds.wait(20)
        child = os.fork()
        if child == 0:
            os._exit(0 if PasswordStorage(database).create("s", current=make_record()) else 1)
        status = os.waitpid(child, 0)[1]
        go_on.set()
        thread.join()
        assert os.waitstatus_to_exitcode(status) == 0


def test_a_database_is_not_kept_alive(tmp_path: Path) -> None:
    """What is done at a fork knows the databases; it does not own them."""
    database = Database(f"sqlite:///{tmp_path}/x.db")
    gone = weakref.ref(database)
    del database
    gc.collect()
    assert gone() is None


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before 3.35 it has no RETURNING, and nothing would be atomic."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigError, match="too old"):
        Database(f"sqlite:///{tmp_path}/x.db")
