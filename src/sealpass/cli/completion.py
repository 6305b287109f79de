# SPDX-License-Identifier: Apache-2.0
"""``sealpass completion``: the script that teaches a shell the commands and options."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from sealpass.cli.command import Command
from sealpass.cli.options import json_option
from sealpass.cli.output import write_result
from sealpass.cli.root import COMPLETION_VARIABLE, PROGRAM

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    cls=Command,
    examples=(
        'eval "$(sealpass completion bash)"   # in ~/.bashrc',
        'eval "$(sealpass completion zsh)"    # in ~/.zshrc',
        "sealpass completion fish > ~/.config/fish/completions/sealpass.fish",
    ),
)
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@json_option
def completion(*, shell: str, as_json: bool) -> None:
    """Print the completion script for a shell.

    Needs the command sealpass on the PATH, and bash 4.4 or later.
    """
    root = click.get_current_context().find_root().command
    script = SHELLS[shell](root, {}, PROGRAM, COMPLETION_VARIABLE).source()
    write_result({"script": script}, script.rstrip("\n"), as_json=as_json)
