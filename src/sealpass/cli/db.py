# SPDX-License-Identifier: Apache-2.0
"""``sealpass db``: the tables of the password database."""

import click

from sealpass.cli.command import Group
from sealpass.cli.options import json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.core.errors import ConfigError
from sealpass.service import migrations
from sealpass.service.database import Database

database_argument = click.argument("source", metavar="DATABASE", callback=not_empty)


@click.group(cls=Group)
def db() -> None:
    """Make and check the tables of the password database."""


@db.command(
    examples=(
        "sealpass db upgrade sqlite:////var/lib/sealpass/passwords.db",
        "sealpass db upgrade file:/run/secrets/database-url",
    ),
)
@database_argument
@json_option
def upgrade(*, source: str, as_json: bool) -> None:
    """Make the tables, or bring them to this version.

    DATABASE is sqlite:////path/to/file or postgresql://user@host/name, or env:NAME or file:PATH that holds such a
    URL. All of it happens or nothing, and servers that do it at the same time wait for each other; there is no way
    back but a backup. Needs 'sealpass[service]' and the right to create tables.
    """
    with open_named(source) as database:
        changed = migrations.upgrade(database)
        version = migrations.current_version(database)
    say("the tables were brought to this version" if changed else "nothing to do", as_json=as_json)
    write_result({"version": version, "changed": changed}, f"version {version}", as_json=as_json)


@db.command(examples=("sealpass db check env:SEALPASS_DATABASE_URL",))
@database_argument
@json_option
def check(*, source: str, as_json: bool) -> None:
    """Say whether the tables are those of this version.

    Where they are not the exit status is 2, and the error says what to do. DATABASE is as in 'sealpass db upgrade'.
    Needs 'sealpass[service]'.
    """
    with open_named(source) as database:
        migrations.check(database)
        version = migrations.current_version(database)
    write_result({"version": version}, f"version {version}", as_json=as_json)


def open_named(source: str) -> Database:
    """The database that an argument names; raises ConfigError, also for a password in the argument itself."""
    database = Database(source)
    if not source.startswith(("env:", "file:")) and database.url.password:
        raise ConfigError(
            "a password as an argument can be read by every process of this machine",
            hint="write the URL into a file or variable, and name that: file:PATH or env:NAME",
        )
    return database
