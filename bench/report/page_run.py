# SPDX-License-Identifier: Apache-2.0
"""What a report says on ``sealpass.run/1`` documents; several of them lie over each other."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, Literal

from sealpass.bench.report import measured, run_figures, scaling
from sealpass.bench.report.measured import Measured
from sealpass.bench.report.outline import (
    NOT_MEASURED,
    SPEED,
    Section,
    cells,
    fact_section,
    host_section,
    milliseconds,
    printable,
)
from sealpass.bench.report.page import Block, Card, Labelled, titled
from sealpass.bench.report.plots import number
from sealpass.bench.report.wording import one_line, sentence

_WORDS = {"complete": "MEASURED", "interrupted": "INTERRUPTED", "incomplete": "INCOMPLETE"}
_PERCENTILES = ("p50_ns", "p90_ns", "p99_ns", "max_ns")
_TIMINGS = {"response": "response", "service": "service", "start_delay": "start delay"}
_COLUMNS = {"run": "run", "key": "key", "RSA": "RSA bits", "payload": "payload B"}
"""Attributes whose column has another name."""


def card(labelled: Labelled) -> Card:
    """No verdict: a run has none. What was measured, what was not or not as asked, and what the key bears."""
    document = labelled.document
    entries = document["measurements"]
    done = sum(entry["status"] == "measured" for entry in entries)
    notes = [f"{done} of {len(entries)} measurements were made; a run has no verdict, a gate has."]
    overload = measured.overload(measured.of([labelled]))
    notes += overload
    notes += [
        f"Not measured: {printable(entry['id'])}: {printable(entry['reason'])}."
        for entry in entries
        if entry["status"] != "measured"
    ]
    notes += [_objective(entry) for entry in document["objectives"]]
    notes += [sentence(entry["advice"]) for entry in document["scaling"] if entry["advice"]]
    keys = ", ".join(printable(device["uri"]) for device in document["devices"])
    is_plain = document["status"] == "complete" and not overload
    kind: Literal["plain", "inconclusive"] = "plain" if is_plain else "inconclusive"
    return Card(labelled.label, _WORDS[document["status"]], kind, f"load on {keys}", notes)


def _objective(entry: Mapping[str, Any]) -> str:
    asked = f"{printable(entry['operation'])} with {printable(entry['slo'])}"
    if entry["max_rate_per_s"] is None:
        return f"No rate was found for {asked}: {printable(entry['reason'])}."
    held = "" if entry["held_for_s"] is None else f", held for {entry['held_for_s']:g} s"
    return f"{asked}: at most {number(entry['max_rate_per_s'])} a second{held}."


def blocks(documents: Sequence[Labelled], identity: Callable[[], str]) -> Iterator[Block]:
    """The sections on runs."""
    if not documents:
        return
    group = measured.of(documents)
    for labelled in documents:
        for index in range(len(labelled.document["devices"])):
            rows = [each for each in group if each.labelled == labelled and each.entry["device"] == index]
            if rows:
                yield Block(_speed(labelled, index, rows))
    curves = list(scaling.figures(documents, group, identity))
    if curves:
        yield Block(Section("Throughput"), curves)
    latencies = list(run_figures.latency(group, identity))
    if latencies:
        yield Block(Section("Latency"), latencies)
    series = list(run_figures.over_time(group, identity))
    if series:
        yield Block(Section("Over time"), series)
    for labelled in documents:
        yield from _tried(labelled)
    yield Block(_errors(group))
    for labelled in documents:
        yield from (Block(section) for section in _circumstances(labelled))


def _speed(labelled: Labelled, index: int, rows: Sequence[Measured]) -> Section:
    title = labelled.of(SPEED if len(labelled.document["devices"]) == 1 else f"{SPEED} of key {index + 1}")
    names = [name for name in measured.varying(rows) if name not in {"run", "key"}] or ["operation"]
    kinds = {each.entry["load"]["kind"] for each in rows}
    timings = _timings(kinds)
    headers = (
        *(_COLUMNS.get(name, name) for name in names),
        "right answers/s",
        "errors",
        *(("not started",) if "open" in kinds else ()),
        *(f"{_TIMINGS[timing]} {name.removesuffix('_ns')} ms" for timing, shown in timings.items() for name in shown),
        "n",
    )
    notes = [measured.constant(rows)]
    if "open" in kinds:
        notes.append("Response time: from when an operation was due to its end, which is what users wait.")
    notes.append("Service time: from the start of a call to its end.")
    return Section(
        title,
        list(filter(None, notes)),
        headers,
        [_speed_row(each, names, timings, is_open="open" in kinds) for each in rows],
        frozenset(range(len(names), len(headers))),
        rows[0].claim or "",
    )


def _timings(kinds: Container[str]) -> dict[str, Sequence[str]]:
    """Which percentiles of which time are shown, what users wait first."""
    if "open" not in kinds:
        return {"service": _PERCENTILES}
    if "closed" not in kinds:
        return {"response": _PERCENTILES, "service": ("p50_ns", "p99_ns"), "start_delay": ("p99_ns",)}
    # Fewer of both, so that a row can be seen without scrolling.
    few = ("p50_ns", "p99_ns", "max_ns")
    return {"response": few, "service": few, "start_delay": ("p99_ns",)}


def _speed_row(
    each: Measured, names: Sequence[str], timings: Mapping[str, Sequence[str]], *, is_open: bool
) -> list[str]:
    entry, attributes = each.entry, each.attributes
    first = [attributes[name] for name in names]
    if not each.is_measured:
        columns = sum(map(len, timings.values())) + is_open + 2
        return [*first, f"not measured: {printable(entry['reason'])}", *[NOT_MEASURED] * columns]
    errors = sum(entry["errors"].values())
    return [
        *first,
        number(entry["throughput_per_s"]),
        "none" if not errors else f"{errors:,}",
        *([NOT_MEASURED if entry["load"]["kind"] == "closed" else f"{each.unstarted:,}"] if is_open else []),
        *(
            milliseconds(((entry[timing] or {}).get("latency") or {}).get(name))
            for timing, shown in timings.items()
            for name in shown
        ),
        f"{entry['verified']:,}",
    ]


def _tried(labelled: Labelled) -> Iterator[Block]:
    """The rates at which an objective was tried."""
    for entry in labelled.document["objectives"]:
        names = list(dict.fromkeys(name for step in entry["tried"] for name in step))
        rows = [[one_line(step.get(name)) for name in names] for step in entry["tried"]]
        if rows:
            title = labelled.of(f"Rates tried for {printable(entry['operation'])} with {printable(entry['slo'])}")
            yield Block(Section(title, (), [printable(name).replace("_", " ") for name in names], rows))


def _errors(group: Sequence[Measured]) -> Section:
    names = [name for name in measured.varying(group) if name != "key"] or ["operation"]
    rows = [
        [
            *(each.attributes[name] for name in names),
            *cells(code, f"{count:,}", f"{100 * count / each.entry['operations']:.3g}%"),
        ]
        for each in group
        for code, count in each.entry["errors"].items()
        if each.entry["operations"]
    ]
    if not rows:
        return Section("Errors", ["None: every answer was the right one."])
    headers = (*(_COLUMNS.get(name, name) for name in names), "error", "operations", "of all")
    notes = ["Errors are no throughput. With wrong-result an answer came, and was not the right one."]
    return Section("Errors", notes, headers, rows, frozenset((len(headers) - 2, len(headers) - 1)))


def _circumstances(labelled: Labelled) -> Iterator[Section]:
    document = labelled.document
    several = len(document["devices"]) > 1
    for index, device in enumerate(document["devices"]):
        facts = {name: device[name] for name in ("uri", "kind", "key_id", "bits", "mode", "note")}
        found = {name.replace("_", " "): value for name, value in facts.items() if value is not None}
        module = fact_section("Device", device["module"])
        rows = [cells(*each) for each in found.items()] + [*map(list, module.rows)]
        title = f"Key {index + 1} and its device" if several else "Key and device"
        yield titled(labelled, Section(title, module.notes, ("", ""), rows))
    yield titled(labelled, host_section(document))
    yield titled(labelled, _settings(document))
    sources = document["merged_from"]
    if sources:
        rows = [
            cells(
                source["started"],
                f"{source['duration_s']:g}",
                source["status"],
                source["host"]["cpu"],
                source["host"]["cores"],
            )
            for source in sources
        ]
        headers = ("started", "seconds", "status", "CPU", "cores")
        yield titled(labelled, Section("Merged from", ["Histograms were added, exactly."], headers, rows))


def _settings(document: Mapping[str, Any]) -> Section:
    rows = [
        cells(name.replace("_", " "), one_line(value))
        for name, value in document["settings"].items()
        if value is not None
    ]
    rows.append(cells("seed", document["seed"]))
    rows.append(cells("when", f"{document['started']}, {document['duration_s']:.1f} s"))
    rows.append(cells("by", f"{document['tool']['name']} {document['tool']['version']}"))
    return Section("Settings", headers=("", ""), rows=rows)
