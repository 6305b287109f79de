# SPDX-License-Identifier: Apache-2.0
"""Whole runs: their document, what is not measured, and interrupts."""

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.load import document as load_document
from sealpass.bench.load.cells import Cell, Device
from sealpass.bench.load.document import Evidence, WarmUp
from sealpass.bench.load.operations import Name, Task
from sealpass.bench.load.processes import Lost
from sealpass.bench.load.recording import Operation, Share, Taken
from sealpass.bench.load.run import Step, run
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.stability import Findings
from sealpass.core.errors import AuthenticationFailed, ConfigError, UnsupportedAlgorithm
from sealpass.core.uri import KeyUri
from tests.bench.load import sources
from tests.bench.load.conftest import Validate

EXAMPLE = Path(__file__).parent / "example-run.json"
DEVICE = Device(KeyUri.parse("software:path=k"), unwraps=True, seals=False, bits=2048, mode="software")
CELL = Cell(Name.UNWRAP, 0, None, 1, None, 2, 64)
MS = 1_000_000


def test_the_schema_is_a_schema(run_schema: dict[str, Any]) -> None:
    """The published file is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(run_schema)


def test_the_example_follows_the_schema(valid: Validate) -> None:
    """What views are tested with is a document as it could be."""
    valid(json.loads(EXAMPLE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("rate", [None, 1000.0])
def test_every_operation_makes_a_document(rate: float | None, short: Settings, aes_uri: str, valid: Validate) -> None:
    """All operations, closed and open, with the figures that belong to each."""
    settings = replace(short, operations=tuple(Name), seal_key=aes_uri, rate_per_s=rate, raw=True)
    document = valid(run(settings, source=sources.limited))
    assert document["status"] == "incomplete"  # each ended early
    assert {one["operation"] for one in document["measurements"]} == set(Name)
    for one in document["measurements"]:
        assert one["status"] == "measured"
        assert one["errors"] == {}
        assert one["verified"] == one["operations"] == len(one["raw_ns"]) == one["service"]["latency"]["n"] > 0
        assert one["throughput_per_s"] == pytest.approx(one["verified"] / one["elapsed_ns"] * 1e9, rel=1e-3)
        assert sum(part["verified"] for part in one["series"]) == one["verified"]
        assert (one["response"] is None) is (one["start_delay"] is None) is (rate is None)
    assert [device["kind"] for device in document["devices"]] == ["rsa", "symmetric"]
    assert "no performance claim" in document["devices"][0]["note"]
    login = next(one for one in document["measurements"] if one["operation"] == "login")
    assert (login["device"], login["sealing_device"]) == (0, 1)


def test_several_processes_make_one_measurement(short: Settings, valid: Validate) -> None:
    """Figures of all processes together, and a line for each."""
    settings = replace(short, processes=(2,))
    document = valid(run(settings, source=sources.noop))
    (one,) = document["measurements"]
    assert [worker["status"] for worker in one["workers"]] == ["measured", "measured"]
    assert sum(worker["verified"] for worker in one["workers"]) == one["verified"] > 0


def test_wrong_answers_are_errors(short: Settings, valid: Validate) -> None:
    """They are counted, and neither fast nor slow."""
    (one,) = valid(run(short, source=sources.wrong))["measurements"]
    assert one["errors"]["wrong-result"] == one["operations"] - one["verified"] > 0


def test_a_run_of_errors_has_no_latency(short: Settings, valid: Validate) -> None:
    """Nothing was answered: throughput 0, and null where a time would stand. No text of an error appears."""
    document = valid(run(short, source=sources.busy))
    (one,) = document["measurements"]
    assert set(one["errors"]) == {"backend-unavailable", "exception ValueError"}
    assert (one["throughput_per_s"], one["service"], one["verified"]) == (0.0, None, 0)
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_window_in_which_nothing_was_measured_is_no_measurement(
    rate: float | None, short: Settings, valid: Validate
) -> None:
    """Ten microseconds: neither an answer nor an error is there, and that is said."""
    document = valid(run(replace(short, seconds=0.00001, rate_per_s=rate), source=no_time))
    (one,) = document["measurements"]
    assert (document["status"], one["verified"], one["errors"]) == ("incomplete", 0, {})
    assert "nothing was answered" in one["reason"]


@contextmanager
def no_time(task: Task) -> Iterator[Operation]:
    """Its threads come after the end of a very short window, however quick they are."""
    with sources.noop(task) as work:
        yield replace(work, rearm=lambda _given: time.sleep(0.001))


def test_what_cannot_be_measured_says_why(short: Settings, valid: Validate) -> None:
    """The document is incomplete, and not shorter."""
    document = valid(run(replace(short, threads=(1, 2)), source=sources.refusing))
    assert document["status"] == "incomplete"
    assert [one["reason"] for one in document["measurements"]] == [
        "unsupported-algorithm: there is no such thing here"
    ] * 2
    assert {one["throughput_per_s"] for one in document["measurements"]} == {None}


def test_a_login_that_was_refused_is_not_tried_again(short: Settings, aes_uri: str, valid: Validate) -> None:
    """A few wrong PINs lock a token, and several keys may be in one: nothing is opened after a refusal."""
    attempts = []

    def locked(task: Task) -> AbstractContextManager[Operation]:
        attempts.append(task.threads)
        raise AuthenticationFailed("the PIN is wrong")

    settings = replace(short, threads=(1, 2, 3), keys=(*short.keys, aes_uri), operations=sources.REAL)
    document = valid(run(settings, source=locked))
    assert len(attempts) == 1
    first, *others = [one["reason"] for one in document["measurements"]]
    assert first == "authentication-failed: the PIN is wrong"
    assert len(others) == 5
    assert set(others) == {f"not tried, because a login was refused before ({first})"}


def test_keys_that_do_not_do_the_profile_are_refused_at_once(short: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured, and the error says what would help."""
    from sealpass.bench.load import run as module

    def refuse(*_: object) -> tuple[str, str]:
        raise UnsupportedAlgorithm("the key does none of profile sealpass", hint="--allow-sha1")

    monkeypatch.setattr(module, "announced_algorithms", refuse)
    with pytest.raises(UnsupportedAlgorithm, match="none of profile sealpass; --allow-sha1"):
        run(short, source=sources.noop)
    with pytest.raises(ConfigError, match="which keys"):
        run(Settings())


@pytest.mark.parametrize("stage", ["preparing", "warming up", "measuring"])
def test_an_interrupt_keeps_what_was_measured(stage: str, short: Settings, valid: Validate) -> None:
    """What was under way and what had not begun say so; what was complete stays complete."""
    settings = replace(short, threads=(1, 2, 3), warm_up_max_s=0.01)

    def progress(step: Step) -> None:
        if step.done == 1 and step.stage == stage:
            raise KeyboardInterrupt

    document = valid(run(settings, progress, source=sources.noop))
    assert document["status"] == "interrupted"
    first, second, third = document["measurements"]
    assert (first["status"], first["verified"]) == ("measured", sources.MOST * first["axes"]["threads"])
    assert (second["status"], third["status"]) == ("not-measured", "not-measured")
    assert "interrupted" in second["reason"]
    assert third["reason"] == "interrupted before its turn came"


def taken(process: int = 0, *, began: int = 0, finished: int = 100 * MS) -> Taken:
    """One process's ten right answers and one error in 100 ms."""
    share = Share(began=began, finished=finished)
    for number in range(10):
        share.service.append((number + 1) * MS)
        share.ended.append(began + (number + 1) * 10 * MS)
    share.fail("backend-unavailable", began + 55 * MS)
    return Taken.of([share], process=process)


def test_throughput_is_right_answers_by_wall_clock(valid: Validate) -> None:
    """Two processes of which one began later: from the first begin to the last end."""
    results = [taken(0), taken(1, began=100 * MS, finished=250 * MS)]
    one = load_document.measurement(Evidence(CELL, results=results), Settings(seconds=0.25), DEVICE)
    assert (one["elapsed_ns"], one["verified"], one["operations"]) == (250 * MS, 20, 22)
    assert one["throughput_per_s"] == 80.0
    assert one["errors"] == {"backend-unavailable": 2}


def test_a_series_says_when(valid: Validate) -> None:
    """Right answers and errors fall into the interval in which they ended."""
    parts = load_document.series([taken()], 0.1)
    assert [part["at_s"] for part in parts] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1]
    assert [part["verified"] for part in parts] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 2]
    assert [part["errors"] for part in parts] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert parts[1]["p50_ns"] == MS


def test_a_lost_process_is_an_error_beside_the_others_figures() -> None:
    """What the others measured counts, and that one is missing is said."""
    results: list[Taken | Lost] = [taken(), Lost(1, "died", "exit status -9")]
    one = load_document.measurement(Evidence(CELL, results=results), Settings(seconds=0.1), DEVICE)
    assert one["errors"] == {"backend-unavailable": 1, "worker-died": 1}
    assert one["reason"] == "process 1 died: exit status -9"
    assert [worker["status"] for worker in one["workers"]] == ["measured", "died"]
    only_lost = load_document.measurement(Evidence(CELL, results=results[1:]), Settings(), DEVICE)
    assert (only_lost["status"], only_lost["reason"]) == ("not-measured", "process 1 died: exit status -9")


def test_the_gravest_finding_names_the_state() -> None:
    """A machine that was held back, one that others used, and one that had not settled."""
    quiet: dict[str, Any] = {"others_cpu_share": 0.0, "own_cpu_share": 0.5, "steal_share": 0.0, "throttled_periods": 0}
    quiet |= {"slowest_core_mhz": None, "fastest_core_mhz": None}
    warm, cold = WarmUp(1.0, steady=True), WarmUp(1.0, steady=False, reason="no steady state within 1 s")
    none, drifting = Findings(), Findings(drifting=["service time rose by 9 % from begin to end"])
    assert load_document.stability(warm, quiet, none) == {"status": "steady", "reasons": []}
    assert load_document.stability(cold, quiet, none)["status"] == "unknown"
    assert load_document.stability(cold, quiet, drifting)["status"] == "drifting"
    busy = quiet | {"others_cpu_share": 0.5}
    assert load_document.stability(cold, busy, drifting)["status"] == "busy-host"
    found = load_document.stability(cold, busy | {"throttled_periods": 3}, drifting)
    assert (found["status"], len(found["reasons"])) == ("throttled", 4)
    assert load_document.stability(warm, busy, Findings(throttled=["slower"]))["status"] == "throttled"
