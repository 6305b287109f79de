# SPDX-License-Identifier: Apache-2.0
"""How every command of sealpass looks and what it refuses, and the group that loads commands by name."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

from sealpass.core.errors import MissingDependency

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@contextmanager
def _telling_the_place(option: str, place: str, ctx: click.Context) -> Iterator[None]:
    """Where an option stands in a place that does not know it, say where it goes."""
    try:
        yield
    except click.NoSuchOption as error:
        if error.option_name != option:
            raise
        raise click.UsageError(f"{option} goes {place}", ctx) from None


_DEBUG_GOES = "before the command: sealpass --debug COMMAND …"


class Command(click.Command):
    """A command that shows examples and never repeats an argument that it did not ask for."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse surplus arguments without quoting them: the usual one is a password."""
        ctx.allow_extra_args = True
        with _telling_the_place("--debug", _DEBUG_GOES, ctx):
            surplus = super().parse_args(ctx, args)
        if surplus and not ctx.resilient_parsing:
            ctx.fail("an argument too many; passwords and tokens come on standard input, never as arguments")
        return surplus

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one unwrapped line each, so that they can be copied."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """Commands that share a noun."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say where ``--json`` and ``--debug`` go, to whoever writes them where other programs want them."""
        json = _telling_the_place("--json", "after the command, with its other options", ctx)
        with json, _telling_the_place("--debug", _DEBUG_GOES, ctx):
            return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives; its attribute there has the command's name."""

    module: str
    summary: str
    """The first sentence of the command's help, repeated here so that the list needs no import."""
    extra: str | None = None
    """The optional dependency that the module imports, if any."""


class LazyGroup(Group):
    """A group that imports the one command that is asked for, and none to list them."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the table's order, which is by subject."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import the command; raises MissingDependency where its extra is not installed."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            # A missing module of our own is a bug, not a missing extra.
            if entry.extra is None or (error.name or "").startswith("sealpass"):
                raise
            raise MissingDependency(entry.extra, error.name or entry.extra) from None
        return cast("click.Command", getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with the nearest known ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.entries, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete command names from the table."""
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        # Not Group.shell_complete: it would load every command.
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]
