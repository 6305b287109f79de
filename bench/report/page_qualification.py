# SPDX-License-Identifier: Apache-2.0
"""What a page says on ``sealpass.qualification/1`` documents: the full outline, and plots of its speed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast

from sealpass.bench.report import outline, percentiles, plots, run_figures
from sealpass.bench.report.page import Block, Card, Figure, Labelled, titled
from sealpass.bench.report.plots import Trace
from sealpass.bench.report.run_figures import Named


def card(labelled: Labelled) -> Card:
    """The verdict and its reasons."""
    verdict = labelled.document["verdict"]["verdict"]
    word, _, title = outline.title(labelled.document).partition(": ")
    kind = cast("Literal['pass', 'fail', 'inconclusive']", verdict)
    return Card(labelled.label, word, kind, title, outline.verdict_section(labelled.document).notes)


def blocks(documents: Sequence[Labelled], identity: Callable[[], str]) -> Iterator[Block]:
    """The sections of each document but the verdict, which is the card."""
    for labelled in documents:
        _verdict, *sections = outline.full(labelled.document)
        for section in sections:
            figures = [*_figures(labelled, identity)] if section.title.startswith(outline.SPEED) else []
            yield Block(titled(labelled, section), figures)


def _figures(labelled: Labelled, identity: Callable[[], str]) -> Iterator[Figure]:
    measurement = labelled.document["measurement"]
    runs = measurement["runs"] or []
    note = measurement["note"]
    claims = [] if note is None else [outline.printable(note)]
    if len(runs) > 1:
        points = [(float(run["threads"]), run["throughput_per_s"]) for run in runs]
        title, text = labelled.of("Throughput over threads"), "Right passwords a second."
        x = plots.linear("threads", [at for at, _ in points], whole=True)
        y = plots.linear("passwords/s", [rate for _, rate in points])
        svg = plots.lines(identity(), title, text, x, y, [Trace(0, points), Trace(0, points, "dots")])
        yield Figure(title, text, svg, (), claims)
    timed = [run for run in runs if run["latency"] is not None and run["histogram"] is not None]
    for index in range(0, len(timed), plots.COLORS):
        batch = timed[index : index + plots.COLORS]
        series = [Named(f"threads {run['threads']}", percentiles.read(run)) for run in batch]
        title = labelled.of("Latency percentiles")
        text = "From a token to its password."
        yield run_figures.percentile_figure(identity(), title, text, series, claims)
