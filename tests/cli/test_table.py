# SPDX-License-Identifier: Apache-2.0
import io
import sys

import pytest

from sealpass.cli.table import render

ROWS = [("RSA-2048", "software:path=/a/very/long/path/to/a/key.pem"), ("AES-256", "software:path=[red]x[/red]")]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_a_pipe_gets_a_line_for_each_row() -> None:
    """Nothing is folded, cut or padded at the end, and brackets are text."""
    lines = render(ROWS, ("KIND", "URI")).splitlines()
    assert lines == [
        "KIND      URI",
        "RSA-2048  software:path=/a/very/long/path/to/a/key.pem",
        "AES-256   software:path=[red]x[/red]",
    ]


def test_a_terminal_gets_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal long cells are folded, and no character is lost."""
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("COLUMNS", "30")
    text = render(ROWS)
    assert all(len(line) <= 30 for line in text.splitlines())
    assert sorted("".join(text.split())) == sorted("".join("".join(row) for row in ROWS))


def test_no_rows_leave_the_headers() -> None:
    """An empty listing is a table, too."""
    assert render([], ("KIND", "URI")) == "KIND  URI"
