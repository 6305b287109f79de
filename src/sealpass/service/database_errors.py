# SPDX-License-Identifier: Apache-2.0
"""From an SDK's error to ours. A driver's message quotes rows, so nothing of it is repeated but its code."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sealpass.core.errors import BackendUnavailable, ConfigError, OperatorError

UPGRADE_HINT = "bring the database to this version's schema with 'sealpass db upgrade DATABASE'"
_REACHABLE_HINT = "check that the database runs, is reachable and has room"

# Classes of SQLSTATE, PostgreSQL 15 appendix A: connection, rollback (deadlock), resources, operator intervention;
# then a lock that was not had in time, and a server that turned read-only because another one took over.
_PASSING_STATES = ("08", "40", "53", "57", "55P03", "25006")
_SCHEMA_STATES = ("42P01", "42703")  # undefined table, undefined column
_PASSING_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL)
_PRIMARY_CODE = 0xFF
"""The part of SQLite's extended result codes that tells their class."""


def operator_error(error: SQLAlchemyError) -> OperatorError:
    """What an operator is told about a database's failure; never text of the driver's own."""
    if isinstance(error, PoolTimeout):
        return _unavailable("no connection of the pool came free in time", retryable=True)
    if not isinstance(error, DBAPIError):
        return ConfigError(f"the database library refuses the statement ({type(error).__name__})")
    driver_error = error.orig
    if isinstance(driver_error, sqlite3.Error):
        return _of_sqlite(driver_error)
    return _of_postgresql(error, getattr(driver_error, "sqlstate", None))


def _of_sqlite(error: sqlite3.Error) -> OperatorError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE  # absent where the module, not SQLite, complains
    named = f"({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    if code in _PASSING_CODES:
        return _unavailable(f"others kept the database locked for too long {named}", retryable=True)
    if code in _BROKEN_CODES:
        return _unavailable(f"the database file cannot be written or read {named}", retryable=False)
    if code == sqlite3.SQLITE_ERROR:  # no such table, no such column
        return ConfigError(f"the database has not the tables that are expected {named}", hint=UPGRADE_HINT)
    if code == sqlite3.SQLITE_CONSTRAINT:
        return ConfigError(f"the database refuses the values {named}")
    if code == sqlite3.SQLITE_NOTADB:
        return ConfigError(f"the file is not an SQLite database {named}", hint="is it the right file?")
    return ConfigError(f"the database file cannot be used {named}")


def _of_postgresql(error: DBAPIError, state: str | None) -> OperatorError:
    if state is None:  # not an answer of the server's
        if isinstance(error, ProgrammingError | DataError):
            return ConfigError(f"the database driver refuses the URL or the values ({type(error).__name__})")
        return _unavailable("the database is not reachable, or does not let us in", retryable=True)
    if state.startswith(_PASSING_STATES):
        return _unavailable(f"the database could not do it now (SQLSTATE {state})", retryable=True)
    if state in _SCHEMA_STATES:
        return ConfigError(f"the database has not the tables that are expected (SQLSTATE {state})", hint=UPGRADE_HINT)
    return ConfigError(f"the database refuses the statement or its values (SQLSTATE {state})")


def _unavailable(message: str, *, retryable: bool) -> BackendUnavailable:
    return BackendUnavailable(message, retryable=retryable, hint=_REACHABLE_HINT)
