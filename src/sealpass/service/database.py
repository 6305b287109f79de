# SPDX-License-Identifier: Apache-2.0
"""The connection to the database: SQLite in a file, or PostgreSQL."""

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Integer,
    QueuePool,
    Table,
    cast,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from sealpass.backends.secret_source import read_secret
from sealpass.core.errors import ConfigError, MissingDependency, OperatorError
from sealpass.service.database_errors import UPGRADE_HINT, operator_error

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_URL_HINT = "it is sqlite:////path/to/file or postgresql://user@host/name, or env:NAME or file:PATH that holds it"
_SECRET_OPTIONS = ("password", "secret", "scram_")
"""In names of libpq's options: sslpassword, oauth_client_secret, scram_client_key."""
_OLDEST_SQLITE = (3, 35)  # RETURNING
_WRITE = "sealpass_write"
"""The execution option of transactions that will write."""

T = TypeVar("T")


def _interruption(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """The Ctrl-C or exit that ``error`` followed: a driver that it hit in the middle may be unable to roll back.

    ``handled`` is what the caller was handling already, as a cleanup after an interruption does: that one is over.
    """
    context = error.__context__
    while isinstance(context, Exception) and context is not handled:
        context = context.__context__
    return None if context is handled else context


def database_url(source: str) -> URL:
    """The URL that ``source`` is, or that ``env:NAME`` or ``file:PATH`` holds; raises ConfigError without it.

    Write a URL with a password into a file or variable: it is secret then, and ``str`` of the URL hides it.
    """
    if source.startswith(("env:", "file:")):
        source = read_secret(source, "database")
    try:
        url = make_url(source)
    except (ArgumentError, ValueError):  # ValueError: the port, which may be a piece of a password
        raise ConfigError("this is not the URL of a database", hint=_URL_HINT) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigError("sealpass stores in SQLite or PostgreSQL only", hint=_URL_HINT)
    url = url.set(drivername=driver)
    if "\0" in source or "\0" in f"{url.username}{url.password}":  # the latter are decoded from %00
        raise ConfigError("the URL of a database holds no NUL", hint=_URL_HINT)
    if any(secret in option for option in url.query for secret in _SECRET_OPTIONS):  # there the library hides nothing
        raise ConfigError("a password stands before the host of a database URL, or in a passfile", hint=_URL_HINT)
    if url.get_backend_name() == "sqlite" and (
        url.host or url.query or not url.database or url.database == ":memory:" or url.database.startswith("file:")
    ):
        raise ConfigError("an SQLite database is one file, named by its path and nothing else", hint=_URL_HINT)
    return url


class Database:
    """A pool of connections, opened when they are needed. Thread-safe, and safe to fork; whoever makes it closes it.

    ``timeout``: seconds to wait for a connection or a lock. ``connections``: how many at most. ``clock``: seconds
    since 1970 in place of the database's own clock, for tests.
    """

    def __init__(
        self,
        source: str,
        *,
        timeout: float = 10.0,
        connections: int = 10,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.url = database_url(source)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._timeout = timeout
        self._clock = clock
        # hide_parameters: the library's errors and logs would show records.
        settings: dict[str, Any] = {
            "hide_parameters": True,
            "pool_size": connections,
            "max_overflow": 0,
            "pool_timeout": timeout,
        }
        try:
            self._engine = self._sqlite_engine(settings) if self.is_sqlite else self._postgresql_engine(settings)
        except ImportError:
            raise MissingDependency("service", "psycopg") from None
        _DATABASES.add(self)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @property
    def engine(self) -> Engine:
        """The library's engine. Its errors are not ours: storage goes through read() and write()."""
        return self._engine

    def _sqlite_engine(self, settings: dict[str, Any]) -> Engine:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 is the first that can do this")
        engine = create_engine(self.url, creator=self._connect_to_file, poolclass=QueuePool, **settings)
        event.listen(engine, "begin", _begin_on_sqlite)
        return engine

    def _connect_to_file(self) -> sqlite3.Connection:
        path = Path(self.url.database or "").absolute()
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise ConfigError(f"there is no database at {path}: {error.strerror}", hint=UPGRADE_HINT) from None
        if mode & stat.S_IRWXO:  # a group may be meant: container platforms give volumes to one
            raise ConfigError(f"everybody on this machine may use the database {path}", hint=f"chmod 600 {path}")
        # mode=rw: a database that has gone is not silently begun anew.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,  # transactions begin in _begin_on_sqlite
            check_same_thread=False,  # the pool gives a connection to one thread at a time
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: after a loss of power a used nonce stays used and a changed password stays changed.
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _postgresql_engine(self, settings: dict[str, Any]) -> Engine:
        wait = {"connect_timeout": max(1, round(self._timeout))}
        engine = create_engine(self.url, connect_args=wait, pool_pre_ping=True, **settings)
        milliseconds = round(self._timeout * 1000)

        def set_up(connection: Any, _: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {milliseconds}")
            connection.commit()

        event.listen(engine, "connect", set_up)
        return engine

    def create_file(self) -> None:
        """Make an empty SQLite database of mode 0600 where there is none; nothing to do for PostgreSQL."""
        path = Path(self.url.database or "")
        if not self.is_sqlite or path.exists():
            return
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(new)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
            os.link(new, path)  # whole or not at all: another server may start now
        except FileExistsError:
            pass
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise ConfigError(f"cannot make the database {path}: {reason}") from None
        finally:
            new.unlink(missing_ok=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` answers in one transaction that writes nothing.

        Raises ConfigError, or BackendUnavailable; neither holds anything of what was stored or asked for.
        """
        return self._run(work, write=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` answers in one transaction, committed unless ``work`` rolls it back itself; raises as read().

        On SQLite the transaction takes the write lock at its begin: one that reads first and then writes could
        otherwise fail in the middle.
        """
        return self._run(work, write=True)

    def _run(self, work: Callable[[Connection], T], *, write: bool) -> T:
        failure: OperatorError
        handled = sys.exception()
        try:
            with self._engine.connect() as connection:
                connection.execution_options(**{_WRITE: write})
                answer = work(connection)
                connection.commit()
                return answer
        except SQLAlchemyError as error:
            if (interruption := _interruption(error, handled)) is not None:
                raise interruption from None
            failure = operator_error(error)
        except UnicodeEncodeError:  # it holds the text
            failure = ConfigError("a value for the database is not Unicode text")
        # Here, where nothing is being handled: the library's error, with the values in it, must not be our context.
        raise failure

    def now(self) -> ColumnElement[float]:
        """The time, in seconds since 1970, as an expression: one clock for all servers, the database's."""
        if self._clock is not None:
            return literal(self._clock(), Double)
        if self.is_sqlite:
            return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)
        return cast(func.extract("epoch", func.clock_timestamp()), Double)

    def insert_if_absent(self, connection: Connection, table: Table, row: dict[str, Any]) -> bool:
        """Insert a row; False, and nothing done, where a key of it is taken."""
        insert = sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)
        # RETURNING, because drivers differ in what they count for an INSERT.
        statement = insert.values(row).on_conflict_do_nothing().returning(literal_column("1", Integer))
        return connection.execute(statement).first() is not None

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave_connections_to_the_parent(self) -> None:
        _INHERITED.append(self._engine.pool)
        self._engine.dispose(close=False)


def _begin_on_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_DATABASES: WeakSet[Database] = WeakSet()
_INHERITED: list[object] = []
"""Pools of before a fork. Kept, because a child that closes them would end the parent's sessions or drop its locks."""


def _start_anew_after_fork() -> None:
    for database in _DATABASES:
        database._leave_connections_to_the_parent()  # noqa: SLF001 - the class's own business, for all its databases


os.register_at_fork(after_in_child=_start_anew_after_fork)
