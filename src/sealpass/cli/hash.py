# SPDX-License-Identifier: Apache-2.0
"""``sealpass hash``: a password becomes a record; ``sealpass hash tune`` measures what a hash may cost here."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from sealpass.backends.keyring import KeyRing
from sealpass.cli.command import Command
from sealpass.cli.failures import FAILED
from sealpass.cli.input import read_password
from sealpass.cli.options import json_option, key_argument, subject_option, use_option
from sealpass.cli.output import warn, write_result
from sealpass.cli.table import is_terminal
from sealpass.core.argon2_hash import HASHING_PROFILES, Argon2Parameters
from sealpass.core.argon2_tuning import MIN_MEMORY_MIB, Tuned
from sealpass.core.argon2_tuning import tune as find_parameters
from sealpass.core.errors import ConfigError
from sealpass.core.passwords import Passwords

DEFAULT_TARGET_MS = 250
MAX_MEMORY_MIB = 4096


hashing_option = click.option(
    "--hashing",
    type=click.Choice(tuple(HASHING_PROFILES)),
    default="rfc9106-low-memory",
    show_default=True,
    help="Cost of new Argon2id hashes, by its name in RFC 9106 or at OWASP.",
)


class CommandOrTune(Command):
    """``tune`` in place of the key is a command of its own: a key is a URI, which has a scheme."""

    @property
    def instead(self) -> dict[str, click.Command]:
        """Commands by the word that stands in place of the key."""
        return {"tune": tune}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand the rest of the line to the command that its first word names."""
        other = self.instead.get(args[0]) if args else None
        if other is None:
            return super().make_context(info_name, args, parent, **extra)
        return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@click.command(
    cls=CommandOrTune,
    examples=(
        "sealpass hash software:path=seal.jwk --subject 6f1c2d1e-5a8b-4c0e-9d57-3a1b7e2f4c60 < password.txt",
        'sealpass hash "$KEY" --subject "$USER_ID" --hashing owasp-19-mib --json',
    ),
)
@key_argument
@subject_option
@use_option
@hashing_option
@json_option
def hash(*, uri: str, subject: str, use: str, hashing: str, as_json: bool) -> None:  # noqa: A001 - the command's name
    """Hash a password and seal the hash: print its record.

    Needs the URI of a symmetric key, its PIN, and the password on standard input, as one line of at most 4096 bytes:
    its end is dropped, and a terminal is asked without echo. The record is one line, which only this key can open, and
    only for this subject and use.

    'sealpass hash tune' measures which costs this machine can bear; see 'sealpass hash tune --help'.
    """
    with KeyRing(uri) as ring:
        passwords = Passwords(ring, hashing=HASHING_PROFILES[hashing])
        record = passwords.hash(_one_line(read_password()), subject, use)
    write_result({"record": record}, record, as_json=as_json)


def _one_line(password: str) -> str:
    """The password (secret); raises ConfigError where it has several lines."""
    if "\n" in password or "\r" in password:
        raise ConfigError(
            "the password has several lines, which nobody can type into a login form",
            hint="one line end after it is dropped; is it the right file?",
        )
    return password


def _above_zero(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 < value < float("inf"):  # also false for what is not a number
        raise click.BadParameter("it is a number above 0")
    return value


@click.command(cls=Command, examples=("sealpass hash tune --target-ms 250", "sealpass hash tune --memory-mib 128"))
@click.option(
    "--target-ms",
    type=float,
    metavar="MS",
    default=DEFAULT_TARGET_MS,
    show_default=True,
    callback=_above_zero,
    help="The longest that one hash may take.",
)
@click.option(
    "--memory-mib",
    type=click.IntRange(MIN_MEMORY_MIB, MAX_MEMORY_MIB),
    default=64,
    show_default=True,
    help="The most memory of one hash; every login in progress takes as much.",
)
@click.option(
    "--lanes",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Threads of one hash. More make a lone hash faster, and many at a time no faster.",
)
@json_option
def tune(*, target_ms: float, memory_mib: int, lanes: int, as_json: bool) -> None:
    """Measure which Argon2id parameters fit this machine.

    Needs a machine that is doing nothing else, and takes some seconds. Prints the strongest parameters of at most
    that time and memory, as lines of a configuration. Where even the weakest that OWASP accepts take longer, those
    are printed, and the exit status is 1.
    """
    with _progress(as_json=as_json) as tried:
        found = find_parameters(target_ms, memory_mib=memory_mib, lanes=lanes, tried=tried)
    parameters = found.parameters
    result = {
        "memory_kib": parameters.memory_kib,
        "passes": parameters.passes,
        "lanes": parameters.lanes,
        "milliseconds": round(found.milliseconds, 1),
        "target_ms": target_ms,
        "met": found.met,
    }
    write_result(result, _toml(found), as_json=as_json)
    if not found.met:
        warn(f"no parameters that OWASP accepts take at most {target_ms:g} ms here", as_json=as_json)
        click.get_current_context().exit(FAILED)


def _toml(found: Tuned) -> str:
    parameters = found.parameters
    return "\n".join(
        (
            f"# Argon2id, {found.milliseconds:.0f} ms a hash on the machine where it was measured, one at a time",
            "[hashing]",
            f"memory-kib = {parameters.memory_kib}",
            f"passes = {parameters.passes}",
            f"lanes = {parameters.lanes}",
        )
    )


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[Argon2Parameters, float], None]]:
    """The latest try, on a terminal; nothing elsewhere."""
    if as_json or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield lambda _parameters, _milliseconds: None
        return
    from rich.console import Console

    with Console(stderr=True).status("measuring") as status:
        yield lambda parameters, milliseconds: status.update(f"measuring: {parameters}: {milliseconds:.0f} ms")
