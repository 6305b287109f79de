# SPDX-License-Identifier: Apache-2.0
"""What is said beside a table: which times it shows, and which rates were not kept; on devices in virtual time."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from sealpass.bench.load.cells import Cell
from sealpass.bench.load.cells import Device as Key
from sealpass.bench.load.document import Evidence, measurement
from sealpass.bench.load.operations import Name
from sealpass.bench.load.processes import Rate
from sealpass.bench.load.remarks import rates_not_kept, times_shown
from sealpass.bench.load.scenario import Settings
from sealpass.bench.report import measured
from sealpass.bench.report.page import Labelled
from sealpass.bench.simulated.device import Device
from sealpass.bench.simulated.virtual import VirtualCrew
from sealpass.core.uri import KeyUri

SLOW = Device(service_s=0.0032, servers=1)
"""312 calls a second."""


def loop(rate: float | None, clients: int, *, seconds: float = 1.0, device: Device = SLOW) -> dict[str, Any]:
    """A document of one measurement."""
    results = VirtualCrew(device, clients).measure(seconds, None if rate is None else Rate(rate))
    cell = Cell(Name.UNWRAP, 0, None, clients, None, 1, 64)
    key = Key(KeyUri.parse("software:path=k.pem"), unwraps=True, seals=False, bits=2048, mode="software")
    one = measurement(Evidence(cell, results=results), Settings(rate_per_s=rate, seconds=seconds), key)
    return {"measurements": [one], "objectives": []}


def is_overloaded(document: dict[str, Any]) -> bool:
    """What the report says of it."""
    document = document | {"devices": [{"note": None}]}
    return bool(measured.overload(measured.of([Labelled("", document)])))


def test_a_rate_that_is_not_kept_is_told_with_its_figures() -> None:
    """Asked for 500 a second of a device that does 312; reports call it an overload, too."""
    document = loop(500, 4)
    (text,) = rates_not_kept(document)
    unstarted = document["measurements"][0]["load"]["unstarted"]
    assert f"asked for 500/s, did 31{text.partition('did 31')[2][0]}" in text
    assert f"{unstarted} of 500 operations were due and never started" in text
    assert "--find-max" in text
    assert is_overloaded(document)


def test_a_rate_that_was_searched_for_gets_another_advice() -> None:
    """An objective that is generous for its hold lets a queue grow: to search once more would not show it."""
    (text,) = rates_not_kept(loop(500, 4) | {"objectives": [{}]})
    assert "never started" in text
    assert "--hold" in text
    assert "--find-max" not in text


def test_threads_enough_to_start_everything_hide_no_slow_device() -> None:
    """All 500 calls of a second began, and the last answer came 0.6 s after its end."""
    document = loop(500, 1000)
    (text,) = rates_not_kept(document)
    assert "asked for 500/s, did 312.5/s; all were started" in text
    assert "--seconds" in text
    assert not is_overloaded(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(loop(300, 4), id="the device is quick enough"),
        pytest.param(loop(None, 4), id="a closed loop has no rate"),
        pytest.param(loop(50, 50, device=replace(SLOW, service_s=0.1, servers=50)), id="too few to tell"),
        pytest.param(loop(300, 4, device=replace(SLOW, error_share=0.5)), id="errors are told as errors"),
        pytest.param(loop(500, 1000) | {"objectives": [{}]}, id="an objective has judged the response times"),
    ],
)
def test_nothing_is_said_of_a_rate_that_is_kept(document: dict[str, Any]) -> None:
    """Nor where it is no question."""
    assert list(rates_not_kept(document)) == []


def test_how_many_were_never_started_is_said_of_a_slow_device() -> None:
    """Seven of a thousand are no overload, and not all were started."""
    document = loop(1000, 1000)
    document["measurements"][0]["load"] |= {"started": 993, "unstarted": 7}
    (text,) = rates_not_kept(document)
    assert "7 of 1000 were never started, and many answers came after the end" in text
    assert "all were started" not in text


def test_the_rate_of_merged_runs_is_that_of_each() -> None:
    """Two clients that asked for 500 a second each, and did 312 each."""
    document = loop(500, 1000)
    (one,) = document["measurements"]
    part = {name: one[name] for name in ("elapsed_ns", "operations")}
    merged = one | {"parts": [part, part], "operations": 2 * one["operations"]}
    (text,) = rates_not_kept({"measurements": [merged], "objectives": []})
    assert "asked for 500/s of each of 2, did 312.5/s" in text


def test_which_times_they_are_is_said() -> None:
    """Response times of open loops, service times of closed ones, and which is which where there are both."""
    opened, closed = loop(300, 4), loop(None, 4)
    nothing = copy.deepcopy(closed)
    nothing["measurements"][0] |= {"service": None}
    assert (times_shown(opened) or "").startswith("Latencies are response times")
    assert (times_shown(closed) or "").startswith("Latencies are service times")
    both = times_shown({"measurements": [*opened["measurements"], *closed["measurements"]]}) or ""
    assert "open loops are response times" in both
    assert "closed loops are service times" in both
    assert times_shown(nothing) is None
