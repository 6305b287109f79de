# SPDX-License-Identifier: Apache-2.0
"""From what went wrong to an exit status and one line on standard error. Never a secret, never an unasked traceback."""

import json
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from sealpass.core.errors import AuthenticationFailed, BackendUnavailable, DecryptionFailed, Error, TokenRejected

FAILED = 1
WRONG_INPUT = 2
DEVICE_UNAVAILABLE = 3
INCONCLUSIVE = 4
BUG = 70
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended; 128 + 13, as INTERRUPTED is 128 + 2."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as it is shown."""

    status: int
    code: str
    message: str
    hint: str | None = None


def describe(error: BaseException) -> Failure:
    """What to show for any exception that reaches the top."""
    match error:
        case TokenRejected() | DecryptionFailed():
            return Failure(FAILED, error.code, str(error), error.hint)
        case BackendUnavailable() | AuthenticationFailed():
            return Failure(DEVICE_UNAVAILABLE, error.code, str(error), error.hint)
        case Error():
            return Failure(WRONG_INPUT, error.code, str(error), error.hint)
        case click.UsageError():
            hint = f"see {error.ctx.command_path} --help" if error.ctx else None
            return Failure(WRONG_INPUT, "usage", error.format_message(), hint)
        case click.ClickException():
            return Failure(WRONG_INPUT, "usage", error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return Failure(INTERRUPTED, "interrupted", "interrupted")
        case _:
            # The message stays out: it may quote what was being worked on.
            what = f"{type(error).__name__} ({_place(error)})"
            if getattr(error, "is_printable", False):
                what = str(error)
            text = f"{what}; run with --debug for the traceback"
            return Failure(BUG, "internal", text, "please report it: this is a bug in sealpass")


def report(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Write the failure to standard error and return the exit status."""
    failure = describe(error)
    trace = list(_frames(error)) if debug and not isinstance(error, click.ClickException) else []
    with suppress(OSError):  # whoever read standard error has gone
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            click.echo(error.format_message(), err=True)
        elif as_json:
            _write_json(failure, trace)
        else:
            _write_lines(failure, trace)
    return failure.status


def _write_json(failure: Failure, trace: list[str]) -> None:
    members = {"code": failure.code, "message": _one_line(failure.message), "hint": failure.hint or None}
    click.echo(json.dumps({"error": members | {"traceback": trace} if trace else members}), err=True)


def _write_lines(failure: Failure, trace: list[str]) -> None:
    click.echo("".join(trace), err=True, nl=False)
    match failure.code:
        case "internal":
            click.echo(f"sealpass: internal error: {failure.message}", err=True)
        case "interrupted":
            click.echo("sealpass: interrupted", err=True)
        case _:
            click.echo(f"sealpass: error [{failure.code}]: {_one_line(failure.message)}", err=True)
    if failure.hint:
        click.echo(f"  hint: {_one_line(failure.hint)}", err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _place(error: BaseException) -> str:
    """File and line of the innermost frame that is ours."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [found for found in frames if str(found[0].f_globals.get("__name__", "")).startswith("sealpass.")]
    if not frames:
        return "no traceback"
    frame, line = (own or frames)[-1]
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def _frames(error: BaseException) -> Iterator[str]:
    """The traceback with the types of exceptions but not their messages, which may quote a secret."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _frames(cause)
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
