# SPDX-License-Identifier: Apache-2.0
"""What has to be said beside the table of a result: which times it shows, and which rates were not kept."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from sealpass.bench.load.objective import CARRIED
from sealpass.bench.load.recording import NANOSECONDS
from sealpass.bench.report import measured
from sealpass.bench.report.page import Labelled

_RESPONSE = "response times, from when an operation was due to its end"
_SERVICE = "service times, from the start of a call to its end"
_ENOUGH_STARTS = 100
"""Of fewer, how long the last ones take is a large part of the whole time."""


def times_shown(document: Mapping[str, Any]) -> str | None:
    """Which times stand in a table of latencies; None where there are none."""
    timed = [one for one in document["measurements"] if one["response"] or one["service"]]
    kinds = {one["response"] is not None for one in timed}
    if not kinds:
        return None
    if kinds == {True}:
        return f"Latencies are {_RESPONSE} (open loop)."
    if kinds == {False}:
        return f"Latencies are {_SERVICE} (closed loop): nobody waits behind a stall."
    return f"Latencies of open loops are {_RESPONSE}; those of closed loops are {_SERVICE}. Do not compare the two."


def rates_not_kept(document: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each open loop that was overloaded, as reports judge it, or that fell behind."""
    is_searched = bool(document["objectives"])
    for each in measured.of([Labelled("", dict(document))]):
        one = each.entry
        if not each.is_measured or one["load"]["kind"] != "open":
            continue
        asked, parts = one["load"]["rate_per_s"], one["parts"] or [one]
        did = statistics.mean(part["operations"] * NANOSECONDS / max(1, part["elapsed_ns"]) for part in parts)
        of_each = f" of each of {len(parts)}" if len(parts) > 1 else ""
        figures = f"{one['id']}: asked for {asked:g}/s{of_each}, did {did:.4g}/s"
        if each.is_overloaded:
            advice = (
                "It held the objective, but the queue was growing: hold it for longer (--hold)"
                if is_searched
                else "The key does not keep this rate with so many threads: "
                "--find-max finds the rate that it keeps; more --threads help only where the device has room for them"
            )
            yield (
                f"{figures}; {each.unstarted} of {one['load']['intended']} operations were due and never started, "
                f"so the percentiles are better than the truth. {advice}"
            )
        elif not is_searched and did < CARRIED * asked and one["load"]["intended"] >= _ENOUGH_STARTS:
            started = f"{each.unstarted} of {one['load']['intended']}" if each.unstarted else ""
            started = f"{started} were never started, and" if started else "all were started, but"
            yield (
                f"{figures}; {started} many answers came after the end. "
                "Measure for longer (--seconds) to see if the key keeps this rate"
            )
