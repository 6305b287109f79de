# SPDX-License-Identifier: Apache-2.0
"""Where commands on records find their database and keys: in their arguments, or in a configuration."""

import functools
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from sealpass.cli.options import not_empty, previous_option
from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri


def database_and_ring(*, needs_key: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``DATABASE``, ``KEY`` and ``--previous``, or ``--config``: the arguments ``source``, ``uri`` and ``previous``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def gathered(
            *, source: str | None, uri: str | None, previous: tuple[str, ...], config: str | None, **options: Any
        ) -> Any:
            context = click.get_current_context()
            if config is not None:
                if source is not None or context.get_parameter_source("previous") is ParameterSource.COMMANDLINE:
                    raise click.UsageError("--config stands in the place of DATABASE, KEY and --previous", context)
                source, uri, previous = _configured(config)
            if source is None:
                raise click.UsageError("Missing argument DATABASE, or --config FILE", context)
            if needs_key and uri is None:
                raise click.UsageError("Missing argument KEY", context)
            if uri is not None:
                _refuse_twice(uri, previous)
            return command(source=source, uri=uri, previous=previous, **options)

        database = click.argument("source", metavar="[DATABASE]", required=False, callback=not_empty)
        key = click.argument("uri", metavar="[KEY]", required=False, callback=not_empty)
        config_option = click.option(
            "--config",
            type=click.Path(),
            metavar="FILE",
            callback=not_empty,
            help="Take the database and the ring of records from a configuration.",
        )
        return database(key(previous_option(config_option(gathered))))

    return decorate


def _refuse_twice(uri: str, previous: tuple[str, ...]) -> None:
    """Raise ConfigError where the current key is one of the previous ones: nothing would be moved."""
    if KeyUri.parse(uri) in map(KeyUri.parse, previous):
        raise ConfigError(
            "the same key is current and previous", hint="KEY is the new key, and --previous names those before it"
        )


def _configured(path: str) -> tuple[str, str, tuple[str, ...]]:
    """The database, the current key and the previous ones; raises ConfigError."""
    from sealpass.service.configuration.reading import read_configuration

    configuration = read_configuration(path)
    ring = configuration.rings[configuration.records_ring]
    return configuration.database.url, str(ring.current), tuple(map(str, ring.previous))
