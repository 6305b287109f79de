# SPDX-License-Identifier: Apache-2.0
"""The command ``sealpass``, also as ``python -m sealpass``."""

import os
import sys
from collections.abc import Sequence

import click

from sealpass.cli import failures
from sealpass.cli.output import close_output, log_as_warnings
from sealpass.cli.root import COMPLETION_VARIABLE, PROGRAM, root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; only ``SystemExit`` passes through."""
    arguments = tuple(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments  # not among the parsed options, because parsing may be what fails
    try:
        with log_as_warnings(as_json=as_json):
            status = _run(arguments)
    except BrokenPipeError:
        status = failures.BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every failure ends here, as one line
        status = failures.report(error, as_json=as_json, debug="--debug" in arguments)
    finally:
        close_output()
    return status


def _run(arguments: Sequence[str]) -> int:
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    try:
        # Not root.main(): it would turn interrupts and broken pipes into statuses of its own.
        with root.make_context(PROGRAM, list(arguments)) as context:
            root.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
