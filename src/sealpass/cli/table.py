# SPDX-License-Identifier: Apache-2.0
"""Tables for people: folded to the terminal's width, one line a row elsewhere."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TextIO

_UNFOLDED = 10_000
"""Columns; wider than any row, so that pipes and files get a row a line."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person watches the stream; a stream that the caller closed is None."""
    return stream is not None and stream.isatty()


def render(rows: Iterable[Sequence[str]], headers: Sequence[str] = ()) -> str:
    """The table as text without a trailing newline."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _UNFOLDED
    console = Console(file=StringIO(), width=width, color_system=None)
    table = Table(box=None, pad_edge=False, show_header=bool(headers), padding=(0, 2, 0, 0))
    for header in headers or [""] * len(rows[0]):
        table.add_column(header, overflow="fold")
    for row in rows:
        # Text, because a plain str would be read as markup: a URI may hold [brackets].
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
