# SPDX-License-Identifier: Apache-2.0
"""A qualification with targets: what its speed measurement says of them."""

from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.qualification import Options, qualify
from sealpass.bench.qualification.checks import fast_enough
from sealpass.bench.qualification.measurement import Run
from sealpass.bench.qualification.trial import Status
from sealpass.core.contract import profile_named
from sealpass.core.protocols import Unwrapper

TARGET = Target("pkcs11", 100.0, 50.0, 300.0)


def run(threads: int, per_second: int, milliseconds: float = 1.0) -> Run:
    """A second of measuring."""
    return Run(threads, 10**9, array("Q", [round(milliseconds * 1_000_000)] * per_second), Counter())


@pytest.mark.parametrize(
    ("runs", "status"),
    [
        ([run(1, 150), run(4, 210)], Status.PASS),
        ([run(1, 150), run(4, 190)], Status.FAIL),
        ([run(1, 250, milliseconds=74)], Status.PASS),
        ([run(1, 250, milliseconds=76)], Status.FAIL),
        ([run(1, 250), run(4, 250, milliseconds=300)], Status.PASS),
        ([run(1, 50), run(4, 250)], Status.INCONCLUSIVE),
        ([run(1, 50)], Status.FAIL),
    ],
)
def test_the_reserve_with_any_threads_and_the_time_with_the_fewest(runs: list[Run], status: Status) -> None:
    """With a slack of 1.5: 200 of the 300 a second, 75 ms of the 50; more threads may queue."""
    assert fast_enough(runs, TARGET, 1.5).status is status


def test_a_time_without_a_queue_is_called_one() -> None:
    """Threads that wait for their answer show nothing of tokens that arrive meanwhile."""
    assert fast_enough([run(1, 250), run(4, 250)], TARGET, 1.5).detail.endswith("with 1 thread and no queue")
    assert fast_enough([run(2, 250), run(4, 250)], TARGET, 1.5).detail.endswith("with 2 threads and no queue")


@pytest.mark.parametrize(("rate", "status"), [(0.001, "pass"), (1e9, "fail")])
def test_the_check_is_in_the_report(software_key: Unwrapper, tiny: Options, rate: float, status: str) -> None:
    """And decides with the others."""
    targets = Targets(1.5, {"default": Target("default", rate, 60_000.0)})
    plan = replace(tiny.chosen_plan, threads=(1,), max_tokens=120)
    options = replace(tiny, plan=plan, targets=targets)
    document = qualify(software_key, profile_named("sealpass"), options)
    (check,) = [check for check in document["checks"] if check["id"] == "T1"]
    assert check["status"] == status
    assert any("T1" in reason for reason in document["verdict"]["reasons"]) == (status == "fail")


def test_targets_without_a_table_for_a_key_are_an_error_before_any_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not after minutes of measuring."""
    path = tmp_path / "targets.toml"
    path.write_text("[awskms]\nlogins-per-second = 1\np99-ms = 1")
    assert main(["qualify", "pkcs11:token=x;object=y", "--targets", str(path)]) == 2
    assert "no table for pkcs11" in capfd.readouterr().err
