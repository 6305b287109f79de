# SPDX-License-Identifier: Apache-2.0
"""What a report says on ``sealpass.run/1`` documents; several of them lie over each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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

_WORDS = {"complete": "MEASURED", "interrupted": "INTERRUPTED", "incomplete": "INCOMPLETE"}
_PERCENTILES = ("p50_ns", "p90_ns", "p99_ns", "max_ns")
_COLUMNS = {"run": "run", "key": "key", "RSA": "RSA bits", "payload": "payload B"}
"""Attributes whose column has another name."""


def card(labelled: Labelled) -> Card:
    """No verdict: a run has none. What was measured, what was not, and what the key bears."""
    document = labelled.document
    entries = document["measurements"]
    done = sum(entry["status"] == "measured" for entry in entries)
    notes = [f"{done} of {len(entries)} measurements were made; a run has no verdict, a gate has."]
    notes += [
        f"Not measured: {printable(entry['id'])}: {printable(entry['reason'])}."
        for entry in entries
        if entry["status"] != "measured"
    ]
    notes += [_objective(entry) for entry in document["objectives"]]
    notes += [printable(entry["advice"]) for entry in document["scaling"] if entry["advice"]]
    keys = ", ".join(printable(device["uri"]) for device in document["devices"])
    kind: Literal["plain", "inconclusive"] = "plain" if document["status"] == "complete" else "inconclusive"
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
    claim = rows[0].claim
    heading = labelled.of(SPEED if len(labelled.document["devices"]) == 1 else f"{SPEED} of key {index + 1}")
    names = [name for name in measured.varying(rows) if name not in {"run", "key"}] or ["operation"]
    is_open = any(each.entry["load"]["kind"] == "open" for each in rows)
    late = ("response p99 ms", "start delay p99 ms", "not started") if is_open else ()
    headers = (
        *(_COLUMNS.get(name, name) for name in names),
        "right answers/s",
        *("p50 ms", "p90 ms", "p99 ms", "max ms"),
        *late,
        *("n", "errors"),
    )
    notes = [measured.constant(rows), "Milliseconds of service time: from the start of a call to its end."]
    return Section(
        heading if claim is None else f"{heading} ({claim})",
        list(filter(None, notes)),
        headers,
        [_speed_row(each, names, is_open=is_open) for each in rows],
        frozenset(range(len(names), len(headers))),
    )


def _speed_row(each: Measured, names: Sequence[str], *, is_open: bool) -> list[str]:
    entry, attributes = each.entry, each.attributes
    first = [attributes[name] for name in names]
    if not each.is_measured:
        columns = len(_PERCENTILES) + (3 if is_open else 0) + 2
        return [*first, f"not measured: {printable(entry['reason'])}", *[NOT_MEASURED] * columns]
    latency = (entry["service"] or {}).get("latency") or {}
    late = []
    if is_open:
        tails = (((entry[name] or {}).get("latency") or {}).get("p99_ns") for name in ("response", "start_delay"))
        late = [*map(milliseconds, tails), printable(entry["load"].get("unstarted"))]
    errors = sum(entry["errors"].values())
    return [
        *first,
        number(entry["throughput_per_s"]),
        *(milliseconds(latency.get(name)) for name in _PERCENTILES),
        *late,
        f"{entry['verified']:,}",
        "none" if not errors else f"{errors:,}",
    ]


def _tried(labelled: Labelled) -> Iterator[Block]:
    """The rates at which an objective was tried."""
    for entry in labelled.document["objectives"]:
        names = list(dict.fromkeys(name for step in entry["tried"] for name in step))
        rows = [[_value(step.get(name)) for name in names] for step in entry["tried"]]
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
    notes = ["Errors are no throughput. wrong-result: an answer came, and was not the right one."]
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
        cells(name.replace("_", " "), _value(value))
        for name, value in document["settings"].items()
        if value is not None
    ]
    rows.append(cells("seed", document["seed"]))
    rows.append(cells("when", f"{document['started']}, {document['duration_s']:.1f} s"))
    rows.append(cells("by", f"{document['tool']['name']} {document['tool']['version']}"))
    return Section("Settings", headers=("", ""), rows=rows)


def _value(value: Any) -> str:
    """A value of any form as one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(name).replace('_', ' ')} {_value(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return number(value) if isinstance(value, float) else printable(value)
