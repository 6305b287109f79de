# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error: data goes to the one, words go to the other."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from sealpass.core.errors import ConfigError


def write_result(value: Any, text: str, *, as_json: bool) -> None:
    """Write a command's result once it is complete: ``value`` as JSON, or ``text`` and a newline."""
    write((json.dumps(value, indent=2) if as_json else text).encode("utf-8") + b"\n")


def write(octets: bytes) -> None:
    """Write octets to standard output; raises BrokenPipeError, and ConfigError where it cannot be written."""
    if sys.stdout is None:
        raise ConfigError("standard output is closed")
    remaining = memoryview(octets)
    try:
        while remaining:
            # PYTHONUNBUFFERED makes this a raw stream, which may take a part only.
            remaining = remaining[sys.stdout.buffer.write(remaining) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot write to standard output: {error.strerror}") from None


def warn(message: str, *, as_json: bool) -> None:
    """Say something on standard error; with ``--json`` every line there is an object."""
    click.echo(json.dumps({"warning": {"message": message}}) if as_json else f"sealpass: warning: {message}", err=True)


def say(message: str, *, as_json: bool) -> None:
    """Tell what was done, on standard error; as :func:`warn`."""
    click.echo(json.dumps({"info": {"message": message}}) if as_json else message, err=True)


class _WarningLines(logging.Handler):
    """What the library logs, as the command's own warnings."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; no traceback, which may quote a secret."""
        with suppress(OSError):  # whoever read standard error has gone
            warn(" ".join(record.getMessage().split()), as_json=self._as_json)


@contextmanager
def log_as_warnings(*, as_json: bool) -> Iterator[None]:
    """Write what the library logs as warnings of the command, in place of logging's bare lines."""
    logger = logging.getLogger("sealpass")
    handler = _WarningLines(as_json=as_json)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def close_output() -> None:
    """Flush what is left; what cannot be flushed must not become a message of the interpreter at exit."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
