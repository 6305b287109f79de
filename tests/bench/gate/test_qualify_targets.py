# SPDX-License-Identifier: Apache-2.0
"""A qualification with targets: what its speed measurement says of them."""

from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.load import host_watch
from sealpass.bench.load.host_watch import Reading
from sealpass.bench.qualification import Options, qualify
from sealpass.bench.qualification.checks import fast_enough
from sealpass.bench.qualification.measurement import Run
from sealpass.bench.qualification.trial import Status
from sealpass.core.contract import profile_named
from sealpass.core.protocols import Unwrapper

TARGET = Target("pkcs11", 100.0, 50.0, 300.0)
"""With 4 threads."""
BUSY = ["other processes used 40 % of all cores"]


def run(threads: int, per_second: int, milliseconds: float = 1.0) -> Run:
    """A second of measuring."""
    return Run(threads, 10**9, array("Q", [round(milliseconds * 1_000_000)] * per_second), Counter())


CASES = [
    ([run(1, 150), run(4, 210)], Status.PASS),
    ([run(1, 150), run(4, 190)], Status.FAIL),
    ([run(1, 250, milliseconds=74)], Status.PASS),
    ([run(1, 250, milliseconds=76)], Status.FAIL),
    ([run(1, 250), run(4, 250, milliseconds=300)], Status.PASS),
    ([run(1, 150), run(2, 250), run(4, 190)], Status.FAIL),
    ([run(1, 150), run(2, 190), run(4, 210), run(8, 190)], Status.PASS),
    ([run(1, 50), run(4, 250)], Status.INCONCLUSIVE),
    ([run(1, 50)], Status.FAIL),
]


@pytest.mark.parametrize(("runs", "status"), CASES)
def test_the_reserve_with_their_threads_and_the_time_with_the_fewest(runs: list[Run], status: Status) -> None:
    """With a slack of 1.5: 200 of the 300 a second with 4 threads, 75 ms of the 50; more threads may queue."""
    assert fast_enough(runs, TARGET, 1.5).status is status


@pytest.mark.parametrize(("runs", "status"), CASES)
def test_what_a_troubled_host_misses_shows_nothing(runs: list[Run], status: Status) -> None:
    """And what it holds it holds all the more."""
    check = fast_enough(runs, TARGET, 1.5, BUSY)
    assert check.status is (Status.INCONCLUSIVE if status is Status.FAIL else status)
    assert ("40 %" in check.detail) == (status is Status.FAIL)


def test_a_time_without_a_queue_is_called_one() -> None:
    """Threads that wait for their answer show nothing of tokens that arrive meanwhile."""
    assert "with 1 thread and no queue" in fast_enough([run(1, 250), run(4, 250)], TARGET, 1.5).detail
    assert "with 2 threads and no queue" in fast_enough([run(2, 250), run(4, 250)], TARGET, 1.5).detail


def test_what_is_wanted_is_told_apart_from_the_slack() -> None:
    """Nobody wrote 200 or 75 into the file."""
    detail = fast_enough([run(1, 250), run(4, 250)], TARGET, 1.5).detail
    assert "250/s with 4 threads, wanted 300/s (200/s with the slack of 1.5)" in detail
    assert detail.endswith("wanted 50 ms (75 ms with the slack of 1.5)")
    assert "slack" not in fast_enough([run(1, 250), run(4, 250)], TARGET, 1.0).detail


@pytest.mark.parametrize(("rate", "status"), [(0.001, "pass"), (1e9, "fail")])
def test_the_check_is_in_the_report(
    monkeypatch: pytest.MonkeyPatch, software_key: Unwrapper, tiny: Options, rate: float, status: str
) -> None:
    """And decides with the others; the threads of the targets are measured and written down."""
    monkeypatch.setattr(host_watch, "take", lambda _pids: None)  # other tests keep this host busy
    targets = Targets(1.5, {"default": Target("default", rate, 60_000.0, threads=3)})
    plan = replace(tiny.chosen_plan, threads=(1,), max_tokens=120)
    options = replace(tiny, plan=plan, targets=targets)
    document = qualify(software_key, profile_named("sealpass"), options)
    (check,) = [check for check in document["checks"] if check["id"] == "T1"]
    assert check["status"] == status
    assert any("T1" in reason for reason in document["verdict"]["reasons"]) == (status == "fail")
    assert "with 3 threads" in check["detail"]
    assert document["measurement"]["plan"]["threads"] == [1, 3]


def test_a_busy_host_is_asked_for(monkeypatch: pytest.MonkeyPatch, software_key: Unwrapper, tiny: Options) -> None:
    """Its own counters say so, before and after the measurement."""
    readings = iter([Reading(0, 0, 0, 0, None), Reading(1000, 0, 0, 500, None)])
    monkeypatch.setattr(host_watch, "take", lambda _pids: next(readings))
    targets = Targets(1.5, {"default": Target("default", 1e9, 60_000.0, threads=1)})
    plan = replace(tiny.chosen_plan, threads=(1,), max_tokens=120)
    document = qualify(software_key, profile_named("sealpass"), replace(tiny, plan=plan, targets=targets))
    (check,) = [check for check in document["checks"] if check["id"] == "T1"]
    assert check["status"] == "inconclusive"
    assert "other processes used 50 % of all cores" in check["detail"]


def test_targets_without_a_table_for_a_key_are_an_error_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not after minutes of measuring."""
    path = tmp_path / "targets.toml"
    path.write_text("[awskms]\nlogins-per-second = 1\np99-ms = 1")
    assert main(["qualify", "pkcs11:token=x;object=y", "--targets", str(path)]) == 2
    assert "no table for pkcs11" in capfd.readouterr().err
