# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from sealpass import __version__
from sealpass.cli.hash import CommandOrTune
from sealpass.cli.root import COMMANDS, root
from tests.cli.conftest import Run, environment


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name."""
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", found) for below, found in command.commands.items())
        else:
            yield name, command
        if isinstance(command, CommandOrTune):
            yield from ((f"{name} {word}", found) for word, found in command.instead.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The summary in the table of commands is the first sentence of the command's own help."""
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name].summary


def test_help_lists_every_command_by_subject(run: Run) -> None:
    """The list of commands has the order of the table, which begins with the main job."""
    ran = run("--help")
    assert (ran.status, ran.err) == (0, "")
    listed = re.findall(r"^  ([a-z]+)  ", ran.text.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)


def test_help_loads_no_command_and_no_heavy_package() -> None:
    """The help stays quick because nothing is imported that it does not need."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sealpass", "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not {"cryptography", "jwcrypto", "rich", "pkcs11", "sealpass.core.jwe", "sealpass.cli.unwrap"} & loaded


def test_every_command_takes_json_and_shows_an_example(run: Run) -> None:
    """Each command has one sentence as its summary, --json, and an example that begins with a command line."""
    for name, command in commands():
        assert any("--json" in parameter.opts for parameter in command.params), name
        summary = (command.help or "").split("\n\n")[0]
        assert summary.endswith("."), name
        assert summary.count(". ") == 0, name
    text = run("encrypt", "--help").text
    assert "sealpass encrypt --info e2ee.json < password.txt" in text.partition("Examples:")[2]


def test_every_command_says_what_it_needs() -> None:
    """The help of a command names what must be there before it can work."""
    for name, command in commands():
        assert "needs" in (command.help or "").lower(), name


def test_examples_name_existing_commands_and_options() -> None:
    """An example that a user copies must parse."""
    known = {
        name: {option for parameter in command.params for option in parameter.opts} for name, command in commands()
    }
    for name, command in commands():
        examples = getattr(command, "examples", ())
        assert examples, name
        for called, arguments in re.findall(
            r"\bsealpass ((?:config |db |keys |records |softhsm |hash (?=tune))?[a-z]+)([^|)]*)", "\n".join(examples)
        ):
            assert set(re.findall(r"(?<= )--[a-z0-9-]+", arguments)) <= known[called], name


def test_help_says_what_is_easily_missed(run: Run) -> None:
    """What KEY may be, where --json goes, and that a fast token database is for development only."""
    words = " ".join(run("--help").text.split())
    assert "KEY is a URI (encrypt also takes a JWK file)" in words
    assert "every command takes --json, after its name; --debug goes before it" in words
    words = " ".join(run("softhsm", "init", "--help").text.split())
    assert "NSS_MAX_MP_PBE_ITERATION_COUNT=1" in words
    assert "Never set it in production" in words


@pytest.mark.parametrize("group", [[], ["keys"]])
def test_json_before_the_command_is_told_where_it_goes(run: Run, group: list[str]) -> None:
    """Many programs take it there; the answer is JSON all the same."""
    ran = run(*group, "--json", "list", "software:path=x")
    assert (ran.status, ran.out) == (2, b"")
    assert "--json goes after the command" in str(ran.error["message"])


@pytest.mark.parametrize("command", [["doctor", "software:path=x"], ["keys"], ["keys", "list", "software:path=x"]])
def test_debug_after_the_command_is_told_where_it_goes(run: Run, command: list[str]) -> None:
    """--debug is an option of the program, not of a command."""
    ran = run(*command, "--debug")
    assert (ran.status, ran.out) == (2, b"")
    assert "--debug goes before the command" in ran.err
    ran = run(*command, "--debug", "--json")
    assert "--debug goes before the command" in str(ran.error["message"])


@pytest.mark.parametrize("command", [[], ["doctor"], ["qualify"]])
def test_help_shows_a_key_of_each_kind_of_device(run: Run, command: list[str]) -> None:
    """A reader with a KMS or a key store sees what to write."""
    text = run(*command, "--help").text
    for start in ("pkcs11:token=", "awskms:key-id=alias/", "keystore:path="):
        assert start in text


def test_version(run: Run) -> None:
    """--version prints name and version."""
    assert run("--version").text == f"sealpass {__version__}"


def test_no_arguments_is_a_usage_error_that_helps(run: Run) -> None:
    """Without a command the help goes to standard error, and the exit status is 2."""
    for arguments in ([], ["keys"], ["softhsm"]):
        ran = run(*arguments)
        assert (ran.status, ran.out) == (2, b"")
        assert "Commands:" in ran.err
