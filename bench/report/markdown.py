# SPDX-License-Identifier: Apache-2.0
"""The full report as Markdown (GitHub's tables)."""

from collections.abc import Container, Iterable, Iterator, Sequence

from sealpass.bench.report import outline
from sealpass.bench.report.outline import Document, Section

# What would otherwise become a table cell, a tag, a link, code or emphasis.
_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\|<[*`"})


def render(document: Document) -> str:
    """The report on a qualification; ends with a newline."""
    return render_sections(outline.title(document), outline.full(document))


def render_sections(title: str, sections: Iterable[Section]) -> str:
    """Any sections under a title; ends with a newline."""
    lines = [f"# {escape(title)}", ""]
    for section in sections:
        lines += _section(section)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text as it is, whatever characters are in it."""
    return text.translate(_ESCAPES)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.heading)}"
    yield ""
    for note in section.notes:
        yield f"- {escape(note)}"
    if section.notes:
        yield ""
    if section.rows:
        yield from table(section.headers, section.rows, section.numbers)
        yield ""


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], numbers: Container[int] = frozenset()
) -> Iterator[str]:
    """The lines of a table; columns of ``numbers`` are set flush right."""
    yield _line([escape(header) for header in headers])
    yield _line(["--:" if column in numbers else "---" for column in range(len(headers))])
    for row in rows:
        yield _line([escape(cell) for cell in row])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
