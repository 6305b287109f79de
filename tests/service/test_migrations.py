# SPDX-License-Identifier: Apache-2.0
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from sealpass.core.errors import ConfigError
from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.schema import METADATA, TABLE_PREFIX, VERSION_TABLE
from tests.service.processes import race

_SET_VERSION = "UPDATE sealpass_schema_version SET version_num = :version"


def _set_version(database: Database, version: str) -> None:
    database.write(lambda connection: connection.execute(text(_SET_VERSION), {"version": version}))


@pytest.fixture
def upgraded(empty_source: str) -> Iterator[Database]:
    """A database of the test's own, with the tables of this version."""
    with Database(empty_source) as database:
        migrations.upgrade(database)
        yield database


def test_an_empty_database_gets_the_tables_and_only_once(empty_source: str) -> None:
    """Upgrade says whether there was anything to do; afterwards check is content."""
    with Database(empty_source) as database:
        assert migrations.upgrade(database)
        assert not migrations.upgrade(database)
        migrations.check(database)


def test_models_and_migrations_agree(upgraded: Database) -> None:
    """What the code believes the tables to be is what the migrations made."""
    options = {"version_table": VERSION_TABLE, "compare_type": True}
    assert upgraded.read(lambda c: compare_metadata(MigrationContext.configure(c, opts=options), METADATA)) == []


def test_models_and_migrations_agree_on_checks(upgraded: Database) -> None:
    """Alembic does not compare CHECKs; their names and texts are the same whoever makes the tables."""

    def checks(table: str) -> dict[str | None, str]:
        found = upgraded.read(lambda connection: inspect(connection).get_check_constraints(table))
        return {check["name"]: check["sqltext"] for check in found}

    made = {name: checks(name) for name in METADATA.tables}

    def make_anew(connection: object) -> None:
        METADATA.drop_all(connection)  # type: ignore[arg-type]
        METADATA.create_all(connection)  # type: ignore[arg-type]

    upgraded.write(make_anew)
    assert {name: checks(name) for name in METADATA.tables} == made
    assert sum(len(found) for found in made.values()) == 5


def test_every_table_carries_the_prefix(upgraded: Database) -> None:
    """They may stand in a database beside the tables of others."""
    tables = upgraded.read(lambda connection: inspect(connection).get_table_names())
    assert len(tables) == 5
    assert all(name.startswith(TABLE_PREFIX) for name in tables)


def test_a_database_without_tables_is_told_what_to_run(empty_source: str) -> None:
    """The error names the command."""
    with Database(empty_source) as database:
        database.create_file()
        with pytest.raises(ConfigError) as caught:
            migrations.check(database)
    assert "is empty" in str(caught.value)
    assert "sealpass db upgrade" in caught.value.hint


def test_a_database_of_a_later_version_is_left_alone(upgraded: Database) -> None:
    """Neither check nor upgrade touches what a later sealpass made."""
    _set_version(upgraded, "later")
    for attempt in (migrations.check, migrations.upgrade):
        with pytest.raises(ConfigError, match="version later, which this sealpass does not know"):
            attempt(upgraded)


def test_an_older_database_is_told_what_to_run(upgraded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is a second version, a database of the first one needs an upgrade."""
    monkeypatch.setattr(migrations, "_head", lambda: "2")
    with pytest.raises(ConfigError, match="older version 1; this sealpass needs version 2") as caught:
        migrations.check(upgraded)
    assert "sealpass db upgrade" in caught.value.hint


def test_servers_that_start_at_once_upgrade_once(empty_source: str) -> None:
    """Of several processes one makes the tables; the others wait, and find nothing to do."""

    def start(_: int) -> bool:
        with Database(empty_source) as database:
            upgraded = migrations.upgrade(database)
            migrations.check(database)
            return upgraded

    assert sorted(race(6, start)) == [False] * 5 + [True]


def test_a_failed_upgrade_leaves_nothing(empty_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables or none: the next attempt begins from the start."""

    def fail(*_: object) -> None:
        raise ConfigError("the last moment")

    with Database(empty_source) as database:
        with monkeypatch.context() as broken:
            broken.setattr(migrations._logger, "info", fail)
            with pytest.raises(ConfigError, match="last moment"):
                migrations.upgrade(database)
        assert database.read(lambda connection: inspect(connection).get_table_names()) == []
        assert migrations.upgrade(database)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_an_sqlite_file_is_private_from_its_first_moment(empty_source: str, tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, for the database and for the files that SQLite puts beside it."""
    with Database(empty_source) as database:
        migrations.upgrade(database)
        files = list(tmp_path.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_an_sqlite_file_that_cannot_be_made_is_a_config_error(kind: str) -> None:
    """A missing directory is named with its path."""
    with Database("sqlite:////no/such/directory/test.db") as database, pytest.raises(ConfigError) as caught:
        migrations.upgrade(database)
    assert str(caught.value) == "cannot make the database /no/such/directory/test.db: No such file or directory"
