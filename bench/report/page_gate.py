# SPDX-License-Identifier: Apache-2.0
"""What a report says on ``sealpass.gate/1`` documents: gates, and comparisons of two sides."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from sealpass.bench.gate.rows import NOT_COMPARED, is_not_compared
from sealpass.bench.report import plots
from sealpass.bench.report.outline import NOT_MEASURED, Document, Section, cells, fact_section, host_section, printable
from sealpass.bench.report.page import Block, Card, Figure, Labelled, titled
from sealpass.bench.report.plots import Interval, Trace, number
from sealpass.bench.report.wording import sentence

_SHORT = {"median": "median", "tail": "slow share", "mean": "mean"}


def card(labelled: Labelled) -> Card:
    """The verdict, its reasons, and what they are reasons for."""
    document, verdict = labelled.document, labelled.document["verdict"]
    word = verdict["verdict"]
    subject = " against ".join(printable(side["label"]) for side in reversed(document["sides"]))
    title = f"{'comparison' if document['kind'] == 'compare' else 'gate'}: {subject}"
    kind = cast("Literal['pass', 'fail', 'inconclusive']", word)
    shown = NOT_COMPARED if is_not_compared(document) else word.upper()
    return Card(labelled.label, shown, kind, title, [*map(printable, verdict["reasons"])])


def blocks(documents: Sequence[Labelled], identity: Callable[[], str]) -> Iterator[Block]:
    """The sections on gates."""
    for labelled in documents:
        yield Block(titled(labelled, _stages(labelled.document)))
    compared = [each for each in documents if each.document["comparisons"]]
    for labelled in compared:
        figures = (
            [_processes(labelled, identity)]
            if labelled is not compared[0]
            else [*_differences(compared, identity), _processes(labelled, identity)]
        )
        yield Block(titled(labelled, _comparisons(labelled.document)), [each for each in figures if each is not None])
    for labelled in documents:
        yield from (Block(titled(labelled, section)) for section in _rest(labelled.document))


def _claims(document: Document) -> list[str]:
    notes = [side["device"]["note"] for side in document["sides"] if side["device"] is not None]
    return list(dict.fromkeys(printable(note) for note in notes if note is not None))


def _stages(document: Document) -> Section:
    stages = [
        cells(stage["title"], stage["outcome"], " ".join(map(sentence, stage["reasons"])) or None)
        for stage in document["stages"]
    ]
    return Section("Stages", ["In the order in which they are judged."], ("stage", "outcome", "why"), stages)


def _comparisons(document: Document) -> Section:
    before, after = _names(document)
    rows = [
        [
            printable(each["title"]),
            _bounded(each["before"], each["unit"], of="side"),
            _bounded(each["after"], each["unit"], of="side"),
            _bounded(each["difference"], each["unit"])
            if each["significant"]
            else f"~ {_bounded(each['difference'], each['unit'])}",
            f"{100 * each['floor']:.3g}%",
            printable(each["outcome"]),
            printable(each["reason"]),
        ]
        for each in document["comparisons"]
    ]
    notes = ["Positive differences are slower. ~: no difference can be told from noise."]
    headers = ("compared", before, after, "difference", "floor", "outcome", "why")
    return Section("Comparison", notes, headers, rows, claim="; ".join(_claims(document)))


def _names(document: Document) -> tuple[str, str]:
    names = [printable(side["name"]) for side in document["sides"]]
    return (names[0], names[1]) if len(names) > 1 else ("before", "after")


def _bounded(interval: Mapping[str, Any], unit: str, of: str = "difference") -> str:
    """A figure and its interval; a ratio as it is, all else in percent."""
    if interval["value"] is None:
        return "not measured"
    if of == "side" and unit == "relative":
        texts = [number(interval[name]) for name in ("value", "low", "high")]
    else:
        texts = [f"{100 * interval[name]:{'' if of == 'side' else '+'}.2f}%" for name in ("value", "low", "high")]
    return f"{texts[0]} ({texts[1]} to {texts[2]})"


def _differences(documents: Sequence[Labelled], identity: Callable[[], str]) -> Iterator[Figure]:
    """One plot for the comparisons of all documents."""
    rows = [
        Interval(
            labelled.of(_SHORT.get(each["id"], printable(each["id"]))),
            100 * each["difference"]["value"],
            100 * each["difference"]["low"],
            100 * each["difference"]["high"],
            (100 * each["floor"], 100 * each["tolerable"]),
        )
        for labelled in documents
        for each in labelled.document["comparisons"]
        if each["difference"]["value"] is not None
    ]
    if not rows:
        return
    ends = [value for row in rows for value in (row.low, row.high, row.value, *row.limits)]
    title = "Difference, with the interval in which the rule believes"
    text = (
        "Right of zero is slower. The two strokes in each row are its limits: a slowdown up to the first never fails;"
        " it passes only where one of the second can be excluded."
    )
    claims = list(dict.fromkeys(note for labelled in documents for note in _claims(labelled.document)))
    scale = plots.linear("slower by, %", ends)
    yield Figure(title, text, plots.intervals(identity(), title, text, scale, rows), (), claims)


def _processes(labelled: Labelled, identity: Callable[[], str]) -> Figure | None:
    """Each process of both sides: what the unit of the statistics is."""
    traces, legend, rows = [], [], []
    for color, side in enumerate(labelled.document["sides"]):
        ratios = [process["log_ratio"] for process in side["processes"]]
        points = [(float(place), math.exp(ratio)) for place, ratio in enumerate(ratios, 1) if ratio is not None]
        if points:
            traces.append(Trace(color, points, "dots"))
            legend.append((color, printable(side["name"])))
        rows += [
            cells(
                side["name"],
                place,
                NOT_MEASURED if process["log_ratio"] is None else number(math.exp(process["log_ratio"])),
                process["pairs"],
                f"{process['slow']} of {process['witnessed']}",
                process["warm"],
                ", ".join(f"{count} {code}" for code, count in process["errors"].items() if count) or "none",
            )
            for place, process in enumerate(side["processes"], 1)
        ]
    if not traces:
        return None
    title = labelled.of("Ratio of each process")
    text = "The median time of the device's operation, as a multiple of the reference's. Each dot is one fresh process."
    points = [point for trace in traces for point in trace.points]
    x = plots.linear("process", [at for at, _ in points], whole=True)
    y = plots.around("device to reference", [ratio for _, ratio in points])
    headers = ("side", "process", "ratio", "pairs", "slow", "warm", "errors")
    data = Section("", (), headers, rows, frozenset((1, 2, 3, 4, 5)))
    svg = plots.lines(identity(), title, text, x, y, traces)
    return Figure(title, text, svg, legend, _claims(labelled.document), data)


def _rest(document: Document) -> Iterator[Section]:
    if document["objectives"]:
        rows = [
            cells(
                each["title"],
                _quantity(each["wanted"], each["unit"]),
                _quantity(each["limit"], each["unit"]),
                "not measured" if each["measured"] is None else _quantity(each["measured"], each["unit"]),
                each["outcome"],
                each["reason"],
            )
            for each in document["objectives"]
        ]
        headers = ("objective", "wanted", "with slack", "measured", "outcome", "why")
        yield Section("Objectives", (), headers, rows, frozenset((1, 2, 3)), "; ".join(_claims(document)))
    for side in document["sides"]:
        yield _side(side)
    yield host_section(document)
    settings = [
        cells(name.replace("_", " "), value) for name, value in document["settings"].items() if value is not None
    ]
    settings.append(cells("when", f"{document['started']}, {document['duration_s']:.1f} s"))
    settings.append(cells("by", f"{document['tool']['name']} {document['tool']['version']}"))
    yield Section("Settings", headers=("", ""), rows=settings)


def _quantity(value: float, unit: str) -> str:
    return f"{number(value / 1_000_000)} ms" if unit == "ns" else f"{number(value)}/s"


def _side(side: Mapping[str, Any]) -> Section:
    device, reference = side["device"], side["reference"]
    rows = [cells("what", side["label"]), cells("started", side["started"])]
    notes: Sequence[str] = ()
    if device is not None:
        shown = ("uri", "key_id", "bits", "mode", "alg", "note")
        rows += [cells(name.replace("_", " "), device[name]) for name in shown if device[name] is not None]
        module = fact_section("", device["module"])
        notes = module.notes
        rows += map(list, module.rows)
    if reference is not None:
        rows += [
            cells(f"reference {name.replace('_', ' ')}", value)
            for name, value in reference.items()
            if value is not None
        ]
    if side["host"] is not None:
        rows += [cells(f"host {name}", value) for name, value in side["host"].items()]
    return Section(f"Side: {printable(side['name'])}", notes, ("", ""), rows)
