# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from distributed.comm import tcp

from sealpass.__main__ import main
from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker
from sealpass.core.errors import ConfigError, KeyNotFound
from sealpass.core.passwords import Passwords
from sealpass.dask_connection import Cluster, connect
from sealpass.service import distributed_rotation, rotation_tasks
from sealpass.service.checkpoints import Checkpoints
from sealpass.service.distributed_rotation import DistributedRotation
from sealpass.service.record_table import EVERYTHING, RecordTable
from sealpass.service.rotation import Progress
from sealpass.service.rotation_tasks import RotationJob
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import open_database
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.sealing import CHEAP

SUBJECTS = [f"subject-{number:03}" for number in range(240)]


@dataclass(frozen=True, slots=True)
class Table:
    """A database full of records under the old key, and the URIs of the keys."""

    source: str
    old: str
    new: str

    def under(self) -> dict[str | None, int]:
        """How many records each key has."""
        with open_database(self.source) as database:
            return {count.key_id: count.records for count in RecordTable(database).counts()}

    def all_verify(self) -> bool:
        """Whether every password verifies with the new key alone."""
        with open_database(self.source) as database, KeyRing(self.new) as ring:
            storage, passwords = PasswordStorage(database), Passwords(ring, hashing=CHEAP)
            stored = [storage.get(subject) for subject in SUBJECTS]
            return all(
                seen is not None and seen.current is not None and passwords.verify(seen.current, "x", seen.subject)
                for seen in stored
            )


@pytest.fixture
def table(source: str, tmp_path: Path) -> Table:
    """One record for each subject."""
    old, new = (str(key_maker(f"software:path={tmp_path / name}").create_aes(256)) for name in ("old.jwk", "new.jwk"))
    with open_database(source) as database, KeyRing(old) as ring:
        storage, passwords = PasswordStorage(database), Passwords(ring, hashing=CHEAP)
        for subject in SUBJECTS:
            assert storage.create(subject, current=passwords.hash("x", subject))
    return Table(source, old, new)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster for tests that leave it whole."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2) as cluster:
        with connect(cluster.address, cluster.client_files) as connected:
            wait_for_workers(connected, 2)
        yield cluster


def wait_for_workers(connected: Cluster, number: int) -> None:
    """They are processes that start."""
    while len(connected.workers()) < number:
        connected.wait([], 0.05)


on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


def test_a_killed_workers_range_is_taken_up_by_another(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two is killed in the middle of its part; afterwards every record is moved and verifies."""
    monkeypatch.setattr(distributed_rotation, "PARTS_A_WORKER", 1)
    told: list[int] = []
    with dask_cluster(tmp_path, 2) as processes, connect(processes.address, processes.client_files) as cluster:
        wait_for_workers(cluster, 2)

        def kill_in_the_middle(progress: Progress) -> None:
            if progress.moved and not told:
                told.append(progress.moved)
                processes.kill("worker-1")

        with DistributedRotation(cluster, table.source, table.new, [table.old], batch=5, rate=150) as rotation:
            done = rotation.run(kill_in_the_middle)
            assert len(cluster.workers()) == 1
        assert told[0] < len(SUBJECTS) / 2  # neither part was finished
        # What the lost worker had not yet told is moved, and counted by nobody.
        assert len(SUBJECTS) / 2 < done.moved <= len(SUBJECTS)
        assert done.settled
        assert table.under() == {rotation.target: len(SUBJECTS)}
        assert table.all_verify()
        with open_database(table.source) as database:
            assert Checkpoints(database).get(f"rotate to {rotation.target}") == []


@pytest.fixture
def overheard(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """All that goes from this process to a scheduler or comes from it, as it is before TLS."""
    octets = bytearray()

    def listening(to_or_from: Callable[..., Any], find_frames: Callable[[Any, Any], Iterable[Any]]) -> Any:
        async def listen(given: Any, **settings: Any) -> Any:
            answer = await to_or_from(given, **settings)
            for frame in find_frames(given, answer):
                octets.extend(bytes(frame))
            return answer

        return listen

    wrap: dict[str, Callable[[Any, Any], Any]] = {
        "to_frames": lambda _message, frames: frames,
        "from_frames": lambda frames, _message: frames,
    }
    for name, find_frames in wrap.items():
        monkeypatch.setattr(tcp, name, listening(getattr(tcp, name), find_frames))
    return octets


@contextmanager
def tasks_that_tell_always(cluster: Cluster) -> Iterator[None]:
    """After each batch, on all workers."""
    run = cluster._client.run
    run(setattr, rotation_tasks, "LOOK_SECONDS", 0.0)
    try:
        yield
    finally:
        run(setattr, rotation_tasks, "LOOK_SECONDS", rotation_tasks.LOOK_SECONDS)


@on_sqlite
def test_no_record_and_no_code_goes_over_the_wire(table: Table, two_workers: DaskCluster, overheard: bytearray) -> None:
    """Functions are sent by their names; no subject, record or key is sent, answered or told on the way."""
    with connect(two_workers.address, two_workers.client_files) as cluster, tasks_that_tell_always(cluster):
        overheard.clear()
        with DistributedRotation(cluster, table.source, table.new, [table.old], batch=10) as rotation:
            assert rotation.run().moved == len(SUBJECTS)
        heard = bytes(overheard)
    # It would have heard what is sent, what is answered, and what is told.
    for present in (
        b"sealpass.service.rotation_tasks",
        b"run_part",
        rotation.target.encode(),
        rotation._job.run.encode(),
    ):
        assert present in heard
    assert any(attempt.encode() in heard for attempt in rotation._told)
    for absent in (b"subject-", b"$sealpass$", b"co_code", b"cloudpickle"):
        assert absent not in heard


@on_sqlite
def test_what_one_machine_left_is_finished_in_many_parts(table: Table, two_workers: DaskCluster) -> None:
    """The job's one part is cut anew; parts that a cluster left stay as they are."""
    with connect(two_workers.address, two_workers.client_files) as cluster:
        with DistributedRotation(cluster, table.source, table.new, [table.old]) as rotation:
            job = f"rotate to {rotation.target}"

            def stop(_: Progress) -> None:
                raise KeyboardInterrupt

            with open_database(table.source) as database:
                Checkpoints(database).begin(job, [EVERYTHING])
                with pytest.raises(KeyboardInterrupt):
                    rotation.run(stop)
                assert len(Checkpoints(database).get(job)) == 2 * distributed_rotation.PARTS_A_WORKER
        with DistributedRotation(cluster, table.source, table.new, [table.old]) as rotation:
            assert rotation.run().settled
    assert table.under() == {rotation.target: len(SUBJECTS)}


def arguments_of(table: Table, cluster: DaskCluster) -> list[str]:
    """The command line of a rotation on the cluster."""
    files = cluster.client_files
    tls = ["--tls-ca", str(files.ca), "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    return ["records", "rotate", table.source, table.new, "--previous", table.old, "--scheduler", cluster.address, *tls]


@on_sqlite
def test_the_command_says_what_the_cluster_did(
    table: Table, two_workers: DaskCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same result as of one machine; a dry run tries a hundred records on each worker and stores nothing."""
    command = [*arguments_of(table, two_workers), "--json"]
    assert main([*command, "--dry-run"]) == 0
    dry = json.loads(capsys.readouterr().out)
    assert (dry["to_move"], dry["tried"], dry["moved"]) == (len(SUBJECTS), 200, 0)
    assert main(command) == 0
    out, err = capsys.readouterr()
    done = json.loads(out)
    assert (done["to_move"], done["moved"], done["complete"]) == (len(SUBJECTS), len(SUBJECTS), True)
    assert err == ""
    assert table.all_verify()


# One part for each worker, so that a task which goes on would do so for minutes.
IN_TWO_PARTS = """
import sys
from sealpass.__main__ import main
from sealpass.service import distributed_rotation, rotation_tasks
distributed_rotation.PARTS_A_WORKER = 1
sys.exit(main())
"""


@on_sqlite
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_ends_takes_its_tasks_along(table: Table, two_workers: DaskCluster, by: signal.Signals) -> None:
    """Interrupted (exit status 130 and two lines) or killed; nothing is lost, and asked again the job goes on."""
    arguments = [*arguments_of(table, two_workers), "--batch", "1", "--rate", "4"]
    command = [sys.executable, "-c", IN_TWO_PARTS, *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        while len(table.under()) == 1:  # nothing is moved yet
            assert run.poll() is None
        run.send_signal(by)
        out, err = run.communicate(timeout=30)
    assert out == b""
    if by is signal.SIGINT:
        assert run.returncode == 130
        assert len(err.splitlines()) == 2
        assert b"the same command goes on from here" in err
    with connect(two_workers.address, two_workers.client_files) as cluster:
        cluster.on_each(os.getpid, seconds=30)  # each worker has one thread: this waits for what runs there
        left = table.under()
        with DistributedRotation(cluster, table.source, table.new, [table.old]) as rotation:
            assert rotation.run().moved == len(SUBJECTS) - left[rotation.target] > len(SUBJECTS) / 2
    assert table.all_verify()


@on_sqlite
def test_an_error_of_a_worker_names_it(
    table: Table, two_workers: DaskCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status and class are those of the error; nothing is begun."""
    command = arguments_of(table, two_workers)
    command[command.index(table.old)] = "software:path=/nowhere/key.jwk"
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "(worker tls://127.0.0.1:" in error
    assert "/nowhere/key.jwk" in error
    assert "Traceback" not in error
    assert len(table.under()) == 1


@on_sqlite
def test_one_uri_is_one_key_on_all_workers(table: Table, two_workers: DaskCluster) -> None:
    """Workers that have another key under the same name are refused before anything is moved."""
    for worker in ("worker-0", "worker-1"):
        key_maker(f"software:path={two_workers.directory / worker / 'here.jwk'}").create_aes(256)
    with (
        connect(two_workers.address, two_workers.client_files) as cluster,
        pytest.raises(ConfigError, match="not the same one on all workers"),
    ):
        DistributedRotation(cluster, table.source, "software:path=here.jwk", [table.old])


@on_sqlite
def test_a_worker_opens_once_for_a_run(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and database stay open between tasks, until the run leaves, or another run comes after a killed client."""
    rings: list[KeyRing] = []
    closed: list[KeyRing] = []

    class Ring(KeyRing):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            rings.append(self)

        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr(rotation_tasks, "KeyRing", Ring)
    jobs = [RotationJob(run, table.source, table.new, (table.old,)) for run in ("1", "2", "3")]
    for job in (jobs[0], jobs[0], jobs[1], jobs[1]):
        assert not rotation_tasks.inspect(job).target.startswith("$")
    assert (len(rings), closed) == (2, rings[:1])
    asyncio.run(rotation_tasks.leave(jobs[1]))
    assert closed == rings
    with pytest.raises(KeyNotFound):
        rotation_tasks.inspect(replace(jobs[2], current="software:path=/nowhere"))
    with rotation_tasks._opened(jobs[2]):
        asyncio.run(rotation_tasks.leave(jobs[2]))
        assert len(closed) == 2  # somebody uses it
    assert closed == rings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tls-ca", "ca.pem"], "go together"),
        (["--scheduler", "tls://127.0.0.1:1", "--tls-ca", "ca.pem"], "go together"),
        (["--scheduler", "tls://127.0.0.1:1", "--estimate"], "--estimate"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "tls://HOST:PORT"),
        (["--scheduler", ""], "empty"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anybody is asked."""
    assert main(["records", "rotate", "sqlite:////nowhere/x.db", "software:path=a", *options]) == 2
    assert said in capsys.readouterr().err
