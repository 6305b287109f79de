# SPDX-License-Identifier: Apache-2.0
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from sealpass.core.errors import ConfigError
from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.schema import METADATA, TABLE_PREFIX, VERSION_TABLE
from sealpass.service.storage import Counter, HistoryRecord, LockOut, PasswordStorage, StoredPassword
from tests.service.conftest import make_record
from tests.service.processes import race

R = [make_record(number=number) for number in range(3)]
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


@pytest.fixture
def of_version_1(empty_source: str) -> Iterator[Database]:
    """A database as the first version made it, with a subject whose password was changed."""

    def make(connection: Connection) -> None:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "1")
        connection.execute(text("INSERT INTO sealpass_subject VALUES ('s', true, 2, 99, 5)"))
        for sequence, (slot, record) in enumerate((("current", R[0]), ("history", R[1]))):
            row = {"slot": slot, "sequence": sequence, "record": record}
            columns = "'s', :slot, :sequence, :record, 'key', 'A256GCM', 5"
            connection.execute(text(f"INSERT INTO sealpass_record VALUES ({columns})"), row)  # noqa: S608 - our own

    with Database(empty_source, clock=lambda: 100.0) as database:
        database.create_file()
        database.write(make)
        yield database


def test_an_older_database_is_told_what_to_run(of_version_1: Database) -> None:
    """The error names both versions, and the command."""
    with pytest.raises(ConfigError, match="older version 1; this sealpass needs version 2") as caught:
        migrations.check(of_version_1)
    assert "sealpass db upgrade" in caught.value.hint


def test_an_upgrade_keeps_what_is_there(of_version_1: Database) -> None:
    """Subjects of before begin with generation 0, with nothing counted, and are written as any other."""
    assert migrations.upgrade(of_version_1)
    migrations.check(of_version_1)
    storage = PasswordStorage(of_version_1)
    before = storage.get("s")
    history = (HistoryRecord(1, R[1]),)
    assert before == StoredPassword(
        "s", R[0], None, 0.0, history, must_change=True, failures=2, locked_for=0.0, changed_at=5.0, generation=0
    )
    assert storage.count_attempt("s", LockOut(1, 60), Counter.REUSE)
    assert storage.change(before, R[2])
    after = storage.get("s")
    assert after is not None
    assert (after.current, after.generation) == (R[2], 1)


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
