# SPDX-License-Identifier: Apache-2.0
"""From an empty or older database to this version's tables, and whether that is needed."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, inspect, select, table, text

from sealpass.core.errors import ConfigError
from sealpass.service.database import Database
from sealpass.service.database_errors import UPGRADE_HINT
from sealpass.service.schema import VERSION_TABLE

_LOCK = 0x7365616C70617373
"""Of PostgreSQL's advisory locks, which are numbers: the octets of ``sealpass``."""

_logger = logging.getLogger("sealpass.service")


def upgrade(database: Database) -> bool:
    """Bring the database to this version's tables, or make it; whether there was anything to do.

    All of it happens or nothing. Where several servers start at once, one does it and the others wait. Needs the
    right to create tables. Raises ConfigError where the database is of a later version, and as Database.read().
    """
    database.create_file()

    def work(connection: Connection) -> bool:
        if not database.is_sqlite:  # there the transaction itself is alone
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        current = _version(connection)
        head = _head()
        if current == head:
            return False
        _refuse_later(current)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _logger.info("the database went from version %s to %s", current, head)
        return True

    return database.write(work)


def check(database: Database) -> None:
    """Raise ConfigError unless the tables are those of this version; says what to run. Raises as Database.read()."""
    current = current_version(database)
    if current == _head():
        return
    _refuse_later(current)
    state = "is empty" if current is None else f"is of the older version {current}"
    raise ConfigError(f"the database {state}; this sealpass needs version {_head()}", hint=UPGRADE_HINT)


def current_version(database: Database) -> str | None:
    """The version of the tables; None where there are none. Raises as Database.read()."""
    return database.read(_version)


def _refuse_later(current: str | None) -> None:
    if current is not None and current not in {script.revision for script in _scripts().walk_revisions()}:
        raise ConfigError(
            f"the database is of version {current}, which this sealpass does not know",
            hint="a later sealpass made it: install that one here",
        )


def _version(connection: Connection) -> str | None:
    """Read without Alembic, which logs two lines whenever it looks: each start of a service would."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return version


def _head() -> str:
    head = _scripts().get_current_head()
    assert head is not None, "versions/ holds at least one"  # noqa: S101 - part of the package
    return head


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    # '%' is Alembic's; a path may hold one.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
