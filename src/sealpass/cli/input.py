# SPDX-License-Identifier: Apache-2.0
"""Passwords, payloads and tokens from standard input; they never come as arguments, which every process can read."""

import sys
from pathlib import Path

import click

from sealpass.core.errors import ConfigError
from sealpass.core.jwe import MAX_TOKEN_BYTES

# The longest line end, and one byte more than what is allowed: too much must show.
_TOKEN_READ_BYTES = MAX_TOKEN_BYTES + len(b"\r\n") + 1


def read_password() -> str:
    """The password (secret) from a pipe, or from a hidden prompt on a terminal; raises ConfigError.

    One trailing newline is dropped, because ``echo`` and editors add it. Nothing at all is refused: it is nearly
    always a command before the pipe that failed. At the prompt, Enter alone is the empty password.
    """
    if _is_terminal():
        typed: str = click.prompt("Password", hide_input=True, err=True, default="", show_default=False)
        return typed
    octets = _read_bounded("password")
    if not octets:
        raise ConfigError("no password: standard input is empty", hint="an empty password is one newline")
    octets = _without_newline(octets)
    password = octets.decode("utf-8", "replace")  # the error of a strict decode() would hold the password
    if password.encode("utf-8") != octets:
        raise ConfigError("the password is not UTF-8 text")
    return password


def read_payload() -> bytes:
    """The payload (secret) of a plain JWE, exactly as it comes; raises ConfigError."""
    if _is_terminal():
        typed: str = click.prompt("Payload", hide_input=True, err=True, default="", show_default=False)
        return typed.encode("utf-8", "surrogateescape")
    return _read_bounded("payload")


def read_token() -> bytes:
    """The token without one trailing newline; raises ConfigError where there is none, or one in quotes.

    Whether it is a token is the parser's business; these two are slips of whoever wrote the command line.
    """
    if _is_terminal():
        click.echo("Token, then Enter and Ctrl-D:", err=True)
    token = _without_newline(_read(_TOKEN_READ_BYTES))
    if not token:
        raise ConfigError("no token: standard input is empty", hint="did the command before the pipe fail?")
    if token.startswith((b"'", b'"')):
        raise ConfigError("no token: standard input begins with a quotation mark", hint="are there quotes around it?")
    return token


def read_file(path: str, what: str, *, hint: str | None = None) -> bytes:
    """A whole file; raises ConfigError, which names ``what`` and not the path: that may be a misplaced password."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(f"cannot read {what}: {reason}", hint=hint) from None


def _without_newline(octets: bytes) -> bytes:
    return octets[:-1].removesuffix(b"\r") if octets.endswith(b"\n") else octets


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _read_bounded(what: str) -> bytes:
    octets = _read(MAX_TOKEN_BYTES + 1)
    if len(octets) > MAX_TOKEN_BYTES:
        raise ConfigError(f"the {what} is too long: even its token may have only {MAX_TOKEN_BYTES} bytes")
    return octets


def _read(limit: int) -> bytes:
    if sys.stdin is None:
        raise ConfigError("standard input is closed")
    try:
        return sys.stdin.buffer.read(limit)
    except OSError as error:
        raise ConfigError(f"cannot read standard input: {error.strerror}") from None
