# SPDX-License-Identifier: Apache-2.0
"""The full report as Markdown (GitHub's tables)."""

from collections.abc import Iterator, Sequence

from sealpass.bench.report import outline
from sealpass.bench.report.outline import Document, Section

# What would otherwise become a table cell, a tag, a link, code or emphasis.
_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\|<[*`"})


def render(document: Document) -> str:
    """The report; ends with a newline."""
    lines = [f"# {_escape(outline.title(document))}", ""]
    for section in outline.full(document):
        lines += _section(section)
    return "\n".join(lines)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield ""
    for note in section.notes:
        yield f"- {_escape(note)}"
    if section.notes:
        yield ""
    if section.rows:
        yield _line(section.headers)
        yield _line(["--:" if column in section.numbers else "---" for column in range(len(section.headers))])
        for row in section.rows:
            yield _line([_escape(cell) for cell in row])
        yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
