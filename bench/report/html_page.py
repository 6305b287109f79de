# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML file that needs nothing from elsewhere; a pure function of the result files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import count
from types import ModuleType
from typing import Any

from sealpass.bench.report import outline, page_gate, page_qualification, page_run, plots, trust
from sealpass.bench.report.outline import Document, Section
from sealpass.bench.report.page import Block, Card, Figure, Labelled, Page, label
from sealpass.bench.report.wording import one_line
from sealpass.core.errors import MissingDependency

_MODULES: dict[str, ModuleType] = {
    "sealpass.qualification/1": page_qualification,
    "sealpass.gate/1": page_gate,
    "sealpass.run/1": page_run,
}
"""In the order in which they stand in a page."""
SCHEMAS = tuple(_MODULES)
"""What a report can be made of."""
_COLUMNS = 26
"""No table has more."""
_OUTCOMES = {
    "pass": "good",
    "fail": "bad",
    "high": "bad",
    "not-supported": "bad",
    "medium": "fair",
    "deviation": "fair",
    "inconclusive": "fair",
    "warning": "fair",
}
"""Words of verdicts in tables, and how they look."""


def require() -> None:
    """Raises MissingDependency where the extra is not installed: before long work, not after it."""
    plots.require()
    _jinja()


def page(documents: Sequence[Document], names: Sequence[str] = ()) -> Page:
    """The report, before it has a form; the documents follow their schemas, and ``names`` are those of their files."""
    labelled = label(documents, names)
    numbers = count(1)

    def identity() -> str:
        return f"plot-{next(numbers)}"

    blocks: list[Block] = []
    if len(labelled) > 1:
        blocks.append(Block(_documents(labelled)))
    for schema, module in _MODULES.items():
        blocks += module.blocks([each for each in labelled if each.document["schema"] == schema], identity)
    cards = [_card(each) for each in labelled]
    title = f"{cards[0].word}: {cards[0].title}" if len(cards) == 1 else f"Comparison of {len(cards)} results"
    return Page(title, cards, [trust.section(each) for each in labelled], blocks)


def render(documents: Sequence[Document], names: Sequence[str] = ()) -> str:
    """The file, of what :func:`page` takes; ends with a newline.

    Raises MissingDependency, and ConfigError for what is no histogram.
    """
    jinja2 = _jinja()
    here = files("sealpass.bench.report")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    template = environment.from_string((here / "report.html").read_text(encoding="utf-8"))
    style = (here / "report.css").read_text(encoding="utf-8")
    text: str = template.render(
        page=page(documents, names),
        style=style,
        dashes=plots.DASHES,
        colors=plots.COLORS,
        outcomes=_OUTCOMES,
        columns=_COLUMNS,
    )
    return text


def _jinja() -> Any:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingDependency("bench", error.name or "jinja2") from None
    return jinja2


def _card(labelled: Labelled) -> Card:
    card: Card = _MODULES[labelled.document["schema"]].card(labelled)
    return replace(card, name=labelled.name)


def _documents(labelled: Sequence[Labelled]) -> Section:
    """The files, and in which settings those of one form differ."""
    rows = []
    for each in labelled:
        document = each.document
        alike = [other.document for other in labelled if other.document["schema"] == document["schema"]]
        differing = "; ".join(_differing(document, alike)) or None
        rows.append(
            outline.cells(
                each.label, each.name or None, differing, document["schema"], document["started"], _version(document)
            )
        )
    return Section("Result files", (), ("", "file", "settings that differ", "form", "started", "by"), rows)


def _differing(document: Document, alike: Sequence[Document]) -> Iterator[str]:
    """The settings of a document, its keys among them, that are not those of all others of its form."""
    found, others = _asked(document), [_asked(other) for other in alike]
    for name in dict.fromkeys(name for other in others for name in other):
        if any(other.get(name) != found.get(name) for other in others):
            yield f"{outline.printable(name).replace('_', ' ')} {one_line(found.get(name))}"


def _asked(document: Document) -> Mapping[str, Any]:
    if document["schema"] == "sealpass.run/1":
        return {"key": [device["uri"] for device in document["devices"]], **document["settings"]}
    if document["schema"] == "sealpass.gate/1":
        return {"side": [side["label"] for side in document["sides"]], **document["settings"]}
    return {"key": document["key"]["uri"], **document["settings"]}


def _version(document: Document) -> str:
    return f"{document['tool']['name']} {document['tool']['version']}"


def sections(documents: Sequence[Document], names: Sequence[str] = ()) -> Iterator[Section]:
    """The page without its plots, for forms that have none."""
    made = page(documents, names)
    for card in made.cards:
        named = f"{card.label}, {card.name}" if card.name else card.label
        yield Section(f"{named}: {card.word}" if named else card.word, [card.title, *card.notes])
    yield from made.trust
    for block in made.blocks:
        if block.section.notes or block.section.rows:
            yield block.section
        yield from map(_data, block.figures)


def _data(figure: Figure) -> Section:
    if figure.data is None:
        return Section(figure.title, [figure.text, *figure.claims])
    data = figure.data
    return Section(figure.title, [figure.text, *figure.claims, *data.notes], data.headers, data.rows, data.numbers)
