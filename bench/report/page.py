# SPDX-License-Identifier: Apache-2.0
"""What a report on one or several result files is made of, before it has a form; every text in it is printable."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sealpass.bench.report.outline import Document, Section, printable


@dataclass(frozen=True, slots=True)
class Labelled:
    """A result file, and the letter and the file name that name it beside others; alone it needs neither."""

    label: str
    document: Document
    name: str = ""

    def of(self, text: str) -> str:
        """The text, under the letter."""
        return f"{self.label}: {text}" if self.label else text


@dataclass(frozen=True, slots=True)
class Card:
    """The verdict on one result file, or that there is none."""

    label: str
    word: str
    kind: Literal["pass", "fail", "inconclusive", "plain"]
    title: str
    notes: Sequence[str]
    name: str = ""
    """Of the file, beside others."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot, what it shows in words, and its data as a table."""

    title: str
    text: str
    svg: str
    legend: Sequence[tuple[int, str]] = ()
    """Number of the color, and name."""
    claims: Sequence[str] = ()
    """Why its figures are no claim about a device."""
    data: Section | None = None
    """None where the table beside the plot holds them."""


@dataclass(frozen=True, slots=True)
class Block:
    """A section and its plots."""

    section: Section
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report: verdicts first, then how far to trust them, then all else."""

    title: str
    cards: Sequence[Card]
    trust: Sequence[Section]
    blocks: Sequence[Block]


def label(documents: Sequence[Document], names: Sequence[str] = ()) -> list[Labelled]:
    """Letters for several documents, in their order, and the names of their files, where they are known."""
    if len(documents) == 1:
        return [Labelled("", documents[0])]
    shown = [printable(name) for name in names] or [""] * len(documents)
    together = zip(documents, shown, strict=True)
    return [Labelled(_letters(index), document, name) for index, (document, name) in enumerate(together)]


def _letters(index: int) -> str:
    letters = string.ascii_uppercase
    return (
        letters[index] if index < len(letters) else _letters(index // len(letters) - 1) + letters[index % len(letters)]
    )


def titled(labelled: Labelled, section: Section) -> Section:
    """The section under the letter of its document."""
    return replace(section, title=labelled.of(section.title))
