# SPDX-License-Identifier: Apache-2.0
"""One load from two worker processes: begun together, merged exactly, and what a lost one leaves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sealpass.bench.load.distributed import run_distributed
from sealpass.bench.load.run import Step
from sealpass.bench.load.scenario import Settings
from sealpass.bench.simulated.device import Device
from sealpass.bench.simulated.sleeping import sleeping
from sealpass.core.errors import ConfigError, KeyNotFound
from sealpass.dask_connection import Cluster, connect
from tests.bench.load.conftest import Validate
from tests.bench.load.sources import locking
from tests.support.dask_cluster import DaskCluster, dask_cluster

ROOT = Path(__file__).parents[3]
SOURCE = partial(sleeping, Device(service_s=0.005))


def wait_for_workers(cluster: Cluster, number: int) -> None:
    """They are processes that start."""
    while len(cluster.workers()) < number:
        cluster.wait([], 0.05)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of two workers; a test that kills one adds it."""
    # Workers find the sources of the tests.
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2, {"PYTHONPATH": str(ROOT)}) as started:
        yield started


@pytest.fixture
def cluster(processes: DaskCluster) -> Iterator[Cluster]:
    """The connection to it, when both workers are there."""
    with connect(processes.address, processes.client_files) as connected:
        wait_for_workers(connected, 2)
        yield connected


@pytest.fixture
def brief(software_uri: str) -> Settings:
    """Two settings, each for a moment."""
    return Settings(keys=(software_uri,), threads=(1, 2), seconds=0.4, warm_up_min_s=0, warm_up_max_s=0)


def test_a_cluster_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """It is killed, and can clean up nothing: scheduler and worker end all the same."""
    code = (
        "import sys, pathlib; from tests.support.dask_cluster import DaskCluster\n"
        "cluster = DaskCluster(pathlib.Path(sys.argv[1])); cluster.start(1)\n"
        "print(*cluster.pids, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    until = time.monotonic() + 30
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def is_running(pid: int) -> bool:
    """Whether it is there, and no zombie that waits for its new parent."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_measure_together_and_are_merged(brief: Settings, cluster: Cluster, valid: Validate) -> None:
    """Histograms and counts are sums, throughput is that of both at once, and each host is kept."""
    document = valid(run_distributed(cluster, brief, source=SOURCE))
    assert document["status"] == "complete"
    assert len(document["merged_from"]) == 2
    workers = document["distributed"]["workers"]
    assert [worker["status"] for worker in workers] == ["measured", "measured"]
    assert all(worker["host"]["cores"] >= 1 for worker in workers)
    for one in document["measurements"]:
        assert one["verified"] == sum(part["verified"] for part in one["parts"]) == one["service"]["latency"]["n"]
        assert len(one["parts"]) == 2
        # Windows that did not overlap would have the rate of one worker: 200/s for each thread at most.
        assert one["throughput_per_s"] > 1.2 * max(part["throughput_per_s"] for part in one["parts"])
    assert 0 <= document["distributed"]["start_spread_ns"] < 400_000_000
    assert 0 < document["distributed"]["start_error_ns"] < 100_000_000


def test_a_rate_is_that_of_all_workers(brief: Settings, cluster: Cluster, valid: Validate) -> None:
    """100 starts a second are 50 on each of two."""
    settings = Settings(keys=brief.keys, threads=(4,), seconds=0.5, warm_up_min_s=0, warm_up_max_s=0, rate_per_s=100.0)
    (one,) = valid(run_distributed(cluster, settings, source=SOURCE))["measurements"]
    assert (one["load"]["rate_per_s"], one["load"]["intended"]) == (50.0, 50)


def test_an_interrupt_keeps_what_was_measured(brief: Settings, cluster: Cluster, valid: Validate) -> None:
    """The first setting is whole; the second says that its turn did not come."""

    def progress(step: Step) -> None:
        if (step.stage, step.done) == ("preparing", 1):
            raise KeyboardInterrupt

    document = valid(run_distributed(cluster, brief, progress, source=SOURCE))
    assert document["status"] == "interrupted"
    assert sorted(one["status"] for one in document["measurements"]) == ["measured", "not-measured"]


def test_a_key_that_a_worker_cannot_open_is_an_error_of_that_worker(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing is measured, and the text says where it was."""
    with pytest.raises((KeyNotFound, ConfigError), match=r"worker tls://"):
        run_distributed(cluster, Settings(keys=(f"software:path={tmp_path}/none.pem",)))


def test_a_pin_that_became_wrong_is_tried_by_one_worker(brief: Settings, cluster: Cluster, tmp_path: Path) -> None:
    """Each more could lock the token for all: nobody tries again, neither now nor for the next setting."""
    tries = tmp_path / "tries"
    document = run_distributed(cluster, brief, source=partial(locking, tries))
    assert tries.read_text().splitlines() == ["unwrap"]
    assert [one["status"] for one in document["measurements"]] == ["not-measured"] * 2
    assert all("authentication-failed" in one["reason"] for one in document["measurements"])


def test_a_lost_worker_leaves_the_others_figures(brief: Settings, processes: DaskCluster, valid: Validate) -> None:
    """It is killed while it measures: what the other one measured is the result, and it says who is missing."""
    with connect(processes.address, processes.client_files) as connected:
        victim = "victim"
        processes.add_worker(victim)
        wait_for_workers(connected, 3)

        def progress(step: Step) -> None:
            if (step.stage, step.done) == ("measuring", 0):
                timer = threading.Timer(0.3, processes.kill, [victim])
                timer.daemon = True
                timer.start()

        document = valid(run_distributed(connected, brief, progress, source=SOURCE))
        processes_left = connected.workers()
    assert len(processes_left) == 2
    assert document["status"] == "incomplete"
    assert sorted(worker["status"] for worker in document["distributed"]["workers"]) == ["lost", "measured", "measured"]
    for one in document["measurements"]:
        assert one["status"] == "measured"
        assert len(one["parts"]) == 2
        assert "was lost" in one["reason"]
