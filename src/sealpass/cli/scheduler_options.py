# SPDX-License-Identifier: Apache-2.0
"""``--scheduler``, however a command names it, and its certificates: to have workers of a Dask cluster do the work."""

import functools
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sealpass.cli.options import not_empty
from sealpass.dask_connection import Cluster, TlsFiles, connect


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The scheduler that was named."""

    address: str
    files: TlsFiles | None

    def connect(self) -> AbstractContextManager[Cluster]:
        """Its cluster; raises as dask_connection.connect()."""
        # Dask's own lines would come between ours. What they are about comes out as an error.
        with suppress(ImportError):
            import distributed  # noqa: F401 - which sets the levels of its loggers
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return connect(self.address, self.files)


def scheduler_options(
    name: str = "--scheduler", help_text: str = "Have the workers of this Dask scheduler do it: tls://HOST:PORT."
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--scheduler``, ``--tls-ca``, ``--tls-cert`` and ``--tls-key``, as one argument ``scheduler``, or None."""
    return functools.partial(_decorated, name, help_text)


def _decorated(name: str, help_text: str, command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def gathered(
        *, address: str | None, tls_ca: str | None, tls_cert: str | None, tls_key: str | None, **options: Any
    ) -> Any:
        named = [Path(path) for path in (tls_ca, tls_cert, tls_key) if path is not None]
        if named and (address is None or len(named) != len(TlsFiles.__slots__)):
            raise click.UsageError(
                f"--tls-ca, --tls-cert and --tls-key go together, and with {name}", click.get_current_context()
            )
        scheduler = None if address is None else Scheduler(address, TlsFiles(*named) if named else None)
        return command(scheduler=scheduler, **options)

    named = functools.partial(click.option, metavar="FILE", callback=not_empty)
    decorators = (
        click.option(
            name,
            "address",
            metavar="TLS-URL",
            callback=not_empty,
            help=help_text,
        ),
        named("--tls-ca", help="CA of the Dask cluster, PEM.  [default: as Dask is configured]"),
        named("--tls-cert", help="Our certificate for it, PEM.  [default: as Dask is configured]"),
        named("--tls-key", help="The key of that certificate, PEM.  [default: as Dask is configured]"),
    )
    for decorator in reversed(decorators):
        gathered = decorator(gathered)
    return gathered
