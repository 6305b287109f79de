# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error: data goes to the one, words go to the other."""

import json
import os
import sys
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
