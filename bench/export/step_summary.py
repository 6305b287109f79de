# SPDX-License-Identifier: Apache-2.0
"""Markdown that fits on the page of a CI job: the verdict, why, and the tables behind it."""

from collections.abc import Iterator
from typing import Any

from sealpass.bench.export import GATE, Document
from sealpass.bench.gate import rows
from sealpass.bench.load.remarks import rates_not_kept, times_shown
from sealpass.bench.report.markdown import escape, table

_MILLISECOND = 1_000_000
_RUN_HEADERS = ("measurement", "operations/s", "p50 ms", "p99 ms", "errors", "")
_NUMBERS = frozenset({1, 2, 3, 4})


def render(document: Document) -> str:
    """The summary."""
    return "\n".join(_gate(document) if document["schema"] == GATE else _run(document)) + "\n"


def _gate(document: Document) -> Iterator[str]:
    yield f"### sealpass bench {document['kind']}: {escape(rows.headline(document))}"
    yield ""
    for line in rows.stage_lines(document):
        indent = "  " if line.startswith(" ") else ""
        yield f"{indent}- {escape(line.strip())}"
    yield ""
    if document["comparisons"]:
        yield from table(rows.comparison_headers(document), rows.comparison_rows(document))
        yield ""
    if document["objectives"]:
        yield from table(rows.OBJECTIVE_HEADERS, rows.objective_rows(document))
        yield ""
    for line in rows.side_lines(document):
        indent = "  " if line.startswith(" ") else ""
        yield f"{indent}- {escape(line.strip())}"
    yield ""
    yield _where(document)


def _run(document: Document) -> Iterator[str]:
    yield "### sealpass bench run"
    yield ""
    for device in document["devices"]:
        note = f" ({device['note']})" if device["note"] else ""
        yield f"- {escape(device['uri'] + note)}"
    yield ""
    yield from table(_RUN_HEADERS, map(_row, document["measurements"]), _NUMBERS)
    yield ""
    remarks = (times_shown(document), *rates_not_kept(document))
    yield from (f"- {escape(text)}" for text in remarks if text)
    yield ""
    yield _where(document)


def _row(measurement: Any) -> list[str]:
    if measurement["status"] != "measured":
        return [measurement["id"], "-", "-", "-", "-", measurement["reason"] or "not measured"]
    timing = measurement["response"] or measurement["service"]
    times = [None, None] if timing is None else [timing["latency"][name] for name in ("p50_ns", "p99_ns")]
    return [
        measurement["id"],
        f"{measurement['throughput_per_s']:.1f}",
        *("-" if time is None else f"{time / _MILLISECOND:.3f}" for time in times),
        str(sum(measurement["errors"].values())),
        measurement["stability"]["status"],
    ]


def _where(document: Document) -> str:
    host = document["host"]
    text = f"{host['cpu']}, {host['cores']} cores, {host['system']}; sealpass {document['tool']['version']}, "
    return escape(f"{text}{document['started']}, {document['duration_s']:.0f} s")
