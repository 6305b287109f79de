# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands share, so that one name means one thing everywhere."""

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from sealpass.cli.profiles import PROFILE_NAMES, AesGcm
from sealpass.core.algorithms import OAEP_BY_JWE_NAME
from sealpass.core.errors import ConfigError
from sealpass.core.kms_profile import NonceForm
from sealpass.core.records import RecordUse

Command = Callable[..., Any]

T = TypeVar("T", bound=str | tuple[str, ...] | None)
NamedPath = tuple[str, str | Path | None]
"""The name of an option or argument, and the file that it names; None where it was not given."""


def not_empty(_context: click.Context, _parameter: click.Parameter, value: T) -> T:
    """Refuse empty text, a value of its own or among several: it is nearly always a shell variable that is not set."""
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.BadParameter("it is empty; is the shell variable set?")
    return value


def file_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse empty text, and the dash that means a stream elsewhere: here it would be a file of that name."""
    if value == "-":
        raise click.BadParameter("it takes a path, and no '-'; --json prints the result itself on standard output")
    return not_empty(context, parameter, value)


def check_apart(outputs: Iterable[NamedPath], inputs: Iterable[NamedPath] = ()) -> None:
    """See that no output is the file of an input or of another output, also by way of links; raises ConfigError."""
    taken = [(name, path) for name, path in inputs if path is not None]
    for name, path in outputs:
        if path is None:
            continue
        for other, other_path in taken:
            if _same_file(path, other_path):
                message = f"{other} and {name} are the same file, {path}"
                raise ConfigError(message, hint="give each of them a file of its own")
        taken.append((name, path))


def _same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file; it need not be there yet."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or Path(one).samefile(other)
    except (OSError, ValueError):  # not there; or a NUL in it, which no file has
        return False


key_argument = click.argument("uri", metavar="KEY", callback=not_empty)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: the result on standard output, an error on standard error."
)
force_login_option = click.option(
    "--force-login", is_flag=True, help="Log in even where one more wrong PIN locks the token."
)
profile_option = click.option(
    "--profile",
    type=click.Choice(PROFILE_NAMES),
    default="sealpass",
    show_default=True,
    envvar="SEALPASS_PROFILE",
    show_envvar=True,
    help="Dialect of the token; jwe is any RSA-OAEP JWE, without a nonce.",
)
pointer_option = click.option(
    "--pointer",
    metavar="POINTER",
    help="JSON Pointer to the password in the payload; profile airlock-jwe only.  [default: /password]",
)
nonce_option = click.option(
    "--nonce", metavar="NONCE", callback=not_empty, help="The nonce that the server announced; not secret."
)
alg_option = click.option(
    "--alg",
    type=click.Choice(tuple(OAEP_BY_JWE_NAME)),
    help="The algorithm that was announced.  [default: the first that profile and key have]",
)


subject_option = click.option(
    "--subject",
    metavar="ID",
    required=True,
    callback=not_empty,
    help="Whose record it is: the user's immutable random id, not the login name.",
)
use_option = click.option(
    "--use",
    type=click.Choice(tuple(use.value for use in RecordUse)),
    default=RecordUse.CURRENT.value,
    show_default=True,
    help="Which of the subject's records it is.",
)


def aes_gcm_options(command: Command) -> Command:
    """``--kms-key-bits`` and ``--kms-aad``, as one argument ``aes_gcm``."""

    @functools.wraps(command)
    def gathered(*arguments: Any, kms_key_bits: str | None, kms_aad: str | None, **options: Any) -> Any:
        bits = None if kms_key_bits is None else int(kms_key_bits)
        return command(*arguments, aes_gcm=AesGcm(bits, kms_aad), **options)

    sizes = click.option(
        "--kms-key-bits",
        type=click.Choice(("128", "256")),
        help="Size of the AES key; profile airlock-kms only.  [default: 256]",
    )
    aad = click.option(
        "--kms-aad",
        type=click.Choice(tuple(form.value for form in NonceForm)),
        help="What of the nonce is authenticated; profile airlock-kms only.  [default: text]",
    )
    return sizes(aad(gathered))


previous_option = click.option(
    "--previous",
    metavar="URI",
    multiple=True,
    callback=not_empty,
    envvar="SEALPASS_PREVIOUS",
    show_envvar=True,
    help="A key from before a rotation, for what was made under it; may be repeated.",
)
allow_sha1_option = click.option(
    "--allow-sha1", is_flag=True, help="Also take RSA-OAEP with SHA-1, for tokens that can do nothing else."
)
