# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench report``: result files as a page with plots, as Markdown or as tables."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sealpass.bench.report import files, html_page, markdown, terminal
from sealpass.bench.report.outline import Document
from sealpass.cli.command import Command
from sealpass.cli.options import json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.cli.table import is_terminal
from sealpass.core.errors import ConfigError

STDOUT = "-"
_FORMATS = ("html", "markdown", "terminal")
_WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What comes of a file that claims a schema and does not follow it."""


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
    text = _render(results, [read_result(Path(result)) for result in results], form, to_terminal=out == STDOUT)
    if out != STDOUT:
        files.write_all({Path(out): text})
    if as_json:
        written = {"report": text} if out == STDOUT else {"path": out}
        write_result({"format": form, **written}, "", as_json=True)
    elif out == STDOUT:
        write_result(None, text.removesuffix("\n"), as_json=False)
    else:
        say(f"report: {out}", as_json=False)


def read_result(path: Path) -> dict[str, Any]:
    """A result file of a schema that a report can be made of; raises ConfigError."""
    try:
        loaded = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not JSON") from None
    schema = loaded.get("schema") if isinstance(loaded, dict) else None
    if not isinstance(loaded, dict) or schema not in html_page.SCHEMAS:
        raise ConfigError(f"{path}: {_refused(schema)}", hint=f"a report is made of {', '.join(html_page.SCHEMAS)}")
    return loaded


def _refused(schema: object) -> str:
    known = re.fullmatch(r"(sealpass\.[a-z]{1,30}/)[0-9]{1,9}", schema) if isinstance(schema, str) else None
    if known is None:
        return "not a result file of sealpass"
    if any(each.startswith(known[1]) for each in html_page.SCHEMAS):
        return f"{known[0]} is of another version of sealpass"
    return f"there is no report on {known[0]}"


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
