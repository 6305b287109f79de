# SPDX-License-Identifier: Apache-2.0
"""``sealpass softhsm``: soft tokens for development and tests."""

import shlex
from pathlib import Path

import click

from sealpass.cli.command import Group
from sealpass.cli.options import json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.core.uri import KeyUri
from sealpass.softhsm.provisioning import DEFAULT_TOKEN, KINDS, provision


@click.group(cls=Group)
def softhsm() -> None:
    """Set up soft tokens for development and tests."""


@softhsm.command(
    examples=(
        "sealpass softhsm init",
        'eval "$(sealpass softhsm init --key e2ee-2026 | grep ^export)"',
        "sealpass softhsm init --kind softhsm2 --dir ./token --token test --json",
    ),
)
@click.option(
    "--kind", type=click.Choice(tuple(KINDS)), default="softhsm2", show_default=True, help="Which soft token."
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the token lives.  [default: one directory per kind in $XDG_DATA_HOME/sealpass]",
)
@click.option("--token", default=DEFAULT_TOKEN, show_default=True, callback=not_empty, help="Label of the token.")
@click.option(
    "--key",
    "label",
    metavar="LABEL",
    callback=not_empty,
    help="Name this key in the URI, and export the URI as KEY.",
)
@json_option
def init(*, kind: str, directory: Path | None, token: str, label: str | None, as_json: bool) -> None:
    """Make a private soft token, or find the one made before.

    Prints the token's URI (--key makes it a key's), then the export lines that a shell needs before the token's
    module is loaded. PINs are drawn at random into files that only you can read. A system-wide
    token store is never touched. Needs the soft token's module and 'sealpass[pkcs11]'.

    For --kind nss one line is NSS_MAX_MP_PBE_ITERATION_COUNT=1: it makes development tokens fast by protecting the
    keys in their files hardly at all. Never set it in production.
    """
    made = provision(kind, directory, token)
    uri, variables = made.uri, dict(made.config)
    if label is not None:
        uri = variables["KEY"] = str(KeyUri.parse(uri).replace(path={"object": label.encode("utf-8")}))
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    say(f"{'made' if made.created else 'found'} the token '{token}'", as_json=as_json)
    write_result({"uri": uri, "config": made.config}, "\n".join((uri, *exports)), as_json=as_json)
