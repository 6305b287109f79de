# SPDX-License-Identifier: Apache-2.0
"""How far to trust the figures of a report: what speaks against them, in words and numbers, above them all."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sealpass.bench.gate.rows import set_aside, visible
from sealpass.bench.report import measured, percentiles
from sealpass.bench.report.measured import Measured
from sealpass.bench.report.outline import NOT_MEASURED, Document, Section, milliseconds, printable
from sealpass.bench.report.page import Labelled, titled
from sealpass.bench.report.plots import number
from sealpass.bench.report.wording import probability, sentence

TITLE = "How far to trust this"
FEW = 1000
"""Operations; the 99th percentile of fewer rests on less than ten."""
BUSY = 0.1
"""Of all cores: what others used, from which on a host is called busy."""


def section(labelled: Labelled) -> Section:
    """For one result file, of any kind."""
    document = labelled.document
    schema = document["schema"]
    make = _run if schema == "sealpass.run/1" else _gate if schema == "sealpass.gate/1" else _qualification
    return titled(labelled, make(document))


def _claims(notes: Sequence[str | None]) -> Iterator[str]:
    for note in dict.fromkeys(filter(None, notes)):
        yield f"No figure of speed here is a claim about a device: {printable(note)}."


def _run(document: Document) -> Section:
    group = measured.of([Labelled("", document)])
    found = [each for each in group if each.is_measured]
    notes = [*_claims([device["note"] for device in document["devices"]]), *measured.overload(group)]
    if document["status"] != "complete":
        notes.append(
            f"The run is {printable(document['status'])}: {len(found)} of {len(group)} measurements have figures."
        )
    odd = [each for each in found if each.entry["stability"]["status"] != "steady"]
    notes.append(
        f"{len(found) - len(odd)} of {len(found)} measurements were steady." if found else "Nothing was measured."
    )
    notes += [*_load(document["host"]["load_before"], document["host"]["load_after"], document["host"]["cores"])]
    notes += [*_others(document["host"]["others_cpu_share"])]
    notes += [*_spread(found)]
    if any(each.entry["load"]["kind"] == "closed" for each in found):
        notes.append(
            "In a closed loop a stall keeps back the operations that would have met it: service times tell how fast an"
            " answer comes, and not how long users wait at a given rate. An open loop tells that."
        )
    unstarted = sum(each.unstarted for each in found if not each.is_overloaded)
    if unstarted:
        notes.append(f"{unstarted:,} operations of open loops were never started, and are in no percentile.")
    dead = sum(worker["status"] != "measured" for each in group for worker in each.entry["workers"])
    if dead:
        notes.append(f"{dead} worker processes died or failed; the figures are those of the others.")
    notes += [
        f"{printable(entry['operation'])} over {printable(entry['axis'])}: {sentence(entry['reason'])}"
        for entry in document["scaling"]
        if entry["reason"]
    ]
    names = measured.varying(group) or ["operation"]
    timings = ["response", "service"] if any(each.entry["load"]["kind"] == "open" for each in found) else ["service"]
    percentile = [f"{timing} p99 ms (95 % interval)" for timing in timings]
    headers = ("measurement", "n", *percentile, "processes", "warmed up", "others' CPU", "state")
    rows = [_judged(each, names, timings) for each in found]
    if rows:
        notes.append("The interval is that of independent operations; stalls come in groups, so the true one is wider.")
    return Section(
        TITLE, notes, headers if rows else (), rows, frozenset((*range(1, 3 + len(timings)), 4 + len(timings)))
    )


def _judged(each: Measured, names: Sequence[str], timings: Sequence[str]) -> list[str]:
    entry = each.entry
    warm, machine = entry["warm_up"], entry["machine"]
    state = "; ".join(map(printable, [entry["stability"]["status"], *entry["stability"]["reasons"]]))
    if entry["reason"]:
        state += f"; {printable(entry['reason'])}"
    return [
        measured.name(each, names),
        f"{entry['verified']:,}" + (" (few)" if entry["verified"] < FEW else ""),
        *(_p99(entry[timing]) for timing in timings),
        each.attributes["processes"],
        _warm(warm),
        NOT_MEASURED if machine is None else _percent(machine["others_cpu_share"]),
        state,
    ]


def _p99(timing: Mapping[str, Any] | None) -> str:
    """The 99th percentile in milliseconds, and where it lies."""
    if timing is None or not timing["latency"]["n"]:
        return NOT_MEASURED
    interval = percentiles.read(timing).p99
    known = "too few operations" if interval is None else f"{number(interval[0])} to {number(interval[1])}"
    return f"{milliseconds(timing['latency']['p99_ns'])} ({known})"


def _warm(warm_up: Mapping[str, Any] | None) -> str:
    if warm_up is None:
        return "not known"
    words = {True: "steady", False: "never steady", None: "nobody looked"}[warm_up["steady"]]
    reason = f": {printable(warm_up['reason'])}" if warm_up["reason"] else ""
    return f"{words} after {warm_up['seconds']:g} s{reason}"


def _percent(share: float | None) -> str:
    return NOT_MEASURED if share is None else f"{100 * share:.3g}%"


def _load(before: Sequence[float] | None, after: Sequence[float] | None, cores: int | None) -> Iterator[str]:
    if before is None:
        yield "How busy the host was before is not known."
    else:
        ended = "" if after is None else f" and {after[0]:.2f} after"
        on = "" if cores is None else f", on {cores} cores"
        yield f"The load average of one minute was {before[0]:.2f} before{ended}{on}."


def _others(share: float | None) -> Iterator[str]:
    if share is None:
        yield "How much of the CPU other processes used is not known."
    elif share >= BUSY:
        yield f"The host was busy: other processes used {_percent(share)} of its CPU."


def _spread(found: Sequence[Measured]) -> Iterator[str]:
    """How far repeats lie apart, or that there are none."""
    repeated: dict[tuple[str, ...], list[float]] = {}
    for each in found:
        key = tuple(value for name, value in each.attributes.items() if name != "repeat")
        repeated.setdefault(key, []).append(each.entry["throughput_per_s"])
    several = [rates for rates in repeated.values() if len(rates) > 1 and max(rates) > 0]
    if several:
        widest = max(1 - min(rates) / max(rates) for rates in several)
        yield f"Between repeats of one measurement the rate differed by up to {_percent(widest)}."
    elif found:
        yield "Each measurement was made once: how far one would differ from the next is not known."


def _gate(document: Document) -> Section:
    notes = [*_claims([(side["device"] or {}).get("note") for side in document["sides"]])]
    notes += [*_load(document["load"]["before"], document["load"]["after"], document["host"].get("cores"))]
    for side in document["sides"]:
        kind = (
            "no reference"
            if side["reference"] is None
            else f"a reference of kind {printable(side['reference']['kind'])}"
        )
        count = len(side["processes"])
        fresh = f"{count} fresh process{'' if count == 1 else 'es'}{set_aside(side)}"
        notes.append(f"{printable(side['name'])}: {fresh}; {kind}.")
    stages = [stage for stage in document["stages"] if stage["outcome"] in {"warning", "inconclusive"}]
    notes += [f"{printable(stage['title'])}: {sentence(reason)}" for stage in stages for reason in stage["reasons"]]
    looks = "once" if document["looks"] == 1 else f"{document['looks']} times"
    alarms = _percent(document["settings"]["alarms"])
    notes.append(
        f"The rule looked {looks} and may raise a false alarm in {alarms} of runs of an unchanged key."
        if document["looks"]
        else "Nothing was compared: of a slowdown nothing was shown."
    )
    rows = [
        [
            printable(each["title"]),
            f"{each['processes']['before']} and {each['processes']['after']}",
            visible(each),
            probability(each["p_value"]),
        ]
        for each in document["comparisons"]
    ]
    headers = ("compared", "processes", "smallest visible slowdown", "p")
    return Section(TITLE, notes, headers if rows else (), rows, frozenset((2, 3)))


def _qualification(document: Document) -> Section:
    measurement = document["measurement"]
    notes = [*_claims([measurement["note"]])]
    if measurement["runs"] is not None:
        few = [run for run in measurement["runs"] if run["verified"] < FEW]
        notes.append("Speed was measured by one process, once with each number of threads, in a closed loop.")
        threads = ", ".join(f"{run['threads']} ({run['verified']} operations)" for run in few)
        if threads:
            notes.append(f"The 99th percentile rests on less than ten operations with these threads: {threads}.")
    load = document["host"]
    notes += [*_load(load.get("load_before"), load.get("load_after"), load.get("cores"))]
    uncertain = [case["id"] for case in document["cases"] if case["status"] == "inconclusive"]
    if uncertain:
        notes.append(f"Inconclusive cases: {', '.join(map(printable, uncertain))}.")
    missing = len(document["not_covered"])
    if missing:
        notes.append(f"{missing} entries of the catalogue have no case; they stand at the end.")
    return Section(TITLE, notes)
