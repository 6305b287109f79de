# SPDX-License-Identifier: Apache-2.0
"""The short report for a terminal."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sealpass.bench.report import outline
from sealpass.bench.report.outline import Document, Section

UNFOLDED = 10_000
"""Columns; wider than any row, so that pipes and files get a row a line."""
_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "high": "bold red",
    "medium": "yellow",
    "deviation": "yellow",
    "inconclusive": "yellow",
    "not-supported": "red",
}


def render(document: Document, *, width: int = UNFOLDED, color: bool = False) -> str:
    """The report on a qualification, folded to ``width`` columns; ends with a newline."""
    headline = Text(outline.title(document), style=_STYLES[document["verdict"]["verdict"]])
    return _render(outline.summary(document), headline, width=width, color=color)


def render_sections(sections: Iterable[Section], *, width: int = UNFOLDED, color: bool = False) -> str:
    """Any sections; as :func:`render`."""
    return _render(sections, None, width=width, color=color)


def _render(sections: Iterable[Section], headline: Text | None, *, width: int, color: bool) -> str:
    buffer = StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, color_system="standard" if color else None, highlight=False
    )
    for section in sections:
        _print(console, section)
    if headline is not None:
        console.print(headline, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _print(console: Console, section: Section) -> None:
    console.print(Text(section.heading, style="bold"))
    for note in section.notes:
        console.print(Text(note))
    if section.rows:
        # Text everywhere, because rich reads a plain str as markup: a URI may hold [brackets].
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(section.headers))
        for column, header in enumerate(section.headers):
            table.add_column(
                Text(header),
                justify="right" if column in section.numbers else "left",
                overflow="fold",
                header_style="dim",
            )
        for row in section.rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        console.print(table)
    console.print()
