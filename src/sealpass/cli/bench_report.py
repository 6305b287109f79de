# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench report``: result files as a page with plots, as Markdown or as tables."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sealpass.bench.report import files, html_page, markdown, terminal
from sealpass.bench.report.outline import Document
from sealpass.bench.report.reading import read
from sealpass.cli.command import Command
from sealpass.cli.options import check_apart, json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.cli.table import is_terminal
from sealpass.core.errors import ConfigError

STDOUT = "-"
_FORMATS = ("html", "markdown", "terminal")
_WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What comes of a file that has the form of a schema, and figures or members that nobody measured."""


@click.command(
    cls=Command,
    examples=(
        "sealpass bench report run.json --out run.html",
        "sealpass bench report before.json after.json gate.json --out both.html",
        "sealpass bench report gate.json --format markdown",
    ),
)
@click.argument("results", metavar="RESULT...", nargs=-1, required=True, callback=not_empty)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="html", show_default=True, help="The form of the report."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    default=STDOUT,
    show_default=True,
    callback=not_empty,
    help="Write the report into this file; - is standard output.",
)
@json_option
def report(*, results: tuple[str, ...], form: str, out: str, as_json: bool) -> None:
    """Make a page of result files, with plots.

    Reads what bench run, bench merge, bench gate, bench compare and qualify wrote. Several files give one report, and
    the plots of several runs lie over each other. The HTML file needs nothing from elsewhere: it can be filed, sent
    and printed. Of one set of result files the report is always the same.
    """
    check_apart([("--out", out if out != STDOUT else None)], [("a result", result) for result in results])
    documents = [read(Path(result), html_page.SCHEMAS, leniently=True) for result in results]
    text = _render(results, documents, form, to_terminal=out == STDOUT)
    if out != STDOUT:
        files.write_all({Path(out): text})
    if as_json:
        written = {"report": text} if out == STDOUT else {"path": out}
        write_result({"format": form, **written}, "", as_json=True)
    elif out == STDOUT:
        write_result(None, text.removesuffix("\n"), as_json=False)
    else:
        say(f"report: {out}", as_json=False)


def _render(results: Sequence[str], documents: Sequence[Document], form: str, *, to_terminal: bool) -> str:
    try:
        return _form(documents, [Path(result).name for result in results], form, to_terminal=to_terminal)
    except _WRONG:
        for result, document in zip(results, documents, strict=True):
            try:
                html_page.page([document])
            except _WRONG as error:
                kind = type(error).__name__
                raise ConfigError(f"{result} does not follow the schema {document['schema']} ({kind})") from None
        raise  # each file is as it should be: a bug


def _form(documents: Sequence[Document], names: Sequence[str], form: str, *, to_terminal: bool) -> str:
    if form == "html":
        return html_page.render(documents, names)
    sections = html_page.sections(documents, names)
    if form == "markdown":
        return markdown.render_sections("sealpass report", sections)
    width = shutil.get_terminal_size().columns if to_terminal and is_terminal(sys.stdout) else terminal.UNFOLDED
    return terminal.render_sections(sections, width=width)
