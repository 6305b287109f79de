# SPDX-License-Identifier: Apache-2.0
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from distributed.protocol import pickle as sending

from sealpass.core.errors import AuthenticationFailed, BackendUnavailable, ConfigError
from sealpass.dask_connection import Cluster, TlsFiles, WorkerFailed, connect, run_on_worker
from sealpass.service import rotation_tasks
from tests.support.dask_cluster import Authority, DaskCluster, dask_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and a worker."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 1) as cluster:
        yield cluster


@pytest.fixture
def foreign(tmp_path: Path) -> TlsFiles:
    """Files of somebody else's CA."""
    return Authority(tmp_path).issue("somebody")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:8786",
        "127.0.0.1:8786",
        "tls://",
        "tls://127.0.0.1",
        "tls://:8786",
        "tls://127.0.0.1:port",
        "tls://[::1",
        "tls://127.0.0.1:8786/path",
        "ucx://127.0.0.1:8786",
    ],
)
def test_there_is_only_tls(address: str, foreign: TlsFiles) -> None:
    """Anything but tls://HOST:PORT is refused, on loopback too, and says where certificates come from."""
    with pytest.raises(ConfigError, match="tls://HOST:PORT") as refused, connect(address, foreign):
        pass
    assert "docs/distributed.md" in refused.value.hint


@pytest.mark.parametrize("host", [80 * "a", "a..b"])
def test_a_name_that_no_host_can_have_is_refused(cluster: DaskCluster, host: str) -> None:
    """As a mistake of the user; nobody is asked."""
    with pytest.raises(ConfigError, match="no host"), connect(f"tls://{host}:8786", cluster.client_files):
        pass


def test_certificates_are_files_that_go_together(cluster: DaskCluster, foreign: TlsFiles, tmp_path: Path) -> None:
    """Without them, with one that is missing, with the key of another or under a passphrase: a mistake of the user."""
    ours = cluster.client_files
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    for files, said in (
        (None, "no certificate"),
        (TlsFiles(ours.ca, ours.certificate, tmp_path / "no.key"), "cannot read"),
        (TlsFiles(ours.ca, ours.certificate, foreign.key), "do not go together"),
        (TlsFiles(ours.key, ours.certificate, ours.key), "do not go together"),
        (TlsFiles(ours.ca, ours.certificate, locked), "passphrase"),
    ):
        with pytest.raises(ConfigError, match=said), connect(cluster.address, files):
            pass


def test_both_sides_want_a_certificate_of_the_ca(cluster: DaskCluster, foreign: TlsFiles) -> None:
    """A scheduler of another CA is not believed, and a client of another CA is not let in."""
    with pytest.raises(AuthenticationFailed, match="not accepted"), connect(cluster.address, foreign):
        pass
    stranger = TlsFiles(cluster.client_files.ca, foreign.certificate, foreign.key)
    with pytest.raises(AuthenticationFailed, match="refuses our certificate"), connect(cluster.address, stranger):
        pass


def test_a_scheduler_that_is_not_there(cluster: DaskCluster) -> None:
    """Nobody listens, somebody says nothing, or somebody speaks no TLS: said at once or after the time given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BackendUnavailable), connect(address, cluster.client_files, seconds=0.2):
            pass
        thread = threading.Thread(target=_speak_plainly, args=(silent,))
        thread.start()
        with pytest.raises(AuthenticationFailed, match="does not speak TLS"), connect(address, cluster.client_files):
            pass
        thread.join()
    with pytest.raises(BackendUnavailable, match="not reachable"), connect(address, cluster.client_files):
        pass


def _speak_plainly(listening: socket.socket) -> None:
    listening.accept()[0].close()  # the one who was not answered
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(4096)


def test_what_is_sent_is_a_name() -> None:
    """Dask's way of sending a function, too, sends these by their names: workers run what is installed there."""
    for function in (run_on_worker, rotation_tasks.run_part, rotation_tasks.sweep_part, rotation_tasks.leave):
        sent: bytes = sending.dumps(function)  # type: ignore[no-untyped-call] # it has no types
        assert len(sent) < 100
        assert pickle.loads(sent) is function  # noqa: S301 - ours


def test_what_goes_wrong_on_a_worker(cluster: DaskCluster, caplog: pytest.LogCaptureFixture) -> None:
    """Our errors come back as they are, with the worker's address; of others only type and place, no text."""
    with connect(cluster.address, cluster.client_files) as connected:
        (worker,) = connected.workers()
        with pytest.raises(ConfigError, match=f"X is not set.*{worker}"):
            connected.result(_done(connected, rotation_tasks.inspect, rotation_tasks.RotationJob("run", "env:X", "a")))
        with pytest.raises(WorkerFailed):
            connected.result(_done(connected, int, "secret"))
        assert "ValueError" in caplog.text
        assert "secret" not in caplog.text
    for log in cluster.directory.glob("*.log"):
        assert "Traceback" not in log.read_text()


def _done(connected: Cluster, function: Any, *arguments: object) -> Any:
    future = connected.submit(function, *arguments)
    assert connected.wait([future], 30)
    return future


def test_everybody_has_the_same_version(cluster: DaskCluster, tmp_path: Path) -> None:
    """A worker that came with another one is named, whether it is there at the begin or comes later."""
    about = tmp_path / "sealpass-99.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sealpass\nVersion: 99.0\n")
    with connect(cluster.address, cluster.client_files) as connected:
        (known,) = connected.workers()
        cluster.add_worker("other", {"PYTHONPATH": str(tmp_path)})
        while len(connected.workers()) < 2:
            connected.wait([], 0.05)
        (other,) = set(connected.workers()) - {known}
        with pytest.raises(ConfigError, match=f"{other} has sealpass 99.0, and here it is"):
            connected.on_each(os.getpid, seconds=30)
        with pytest.raises(ConfigError, match=f"{other} has sealpass 99.0"):
            connected.check(30)
    cluster.kill("other")


def test_a_machine_without_the_package_is_named() -> None:
    """The scheduler needs it as well, since it reads the names of functions."""

    class Client:
        status = "running"

        def wait_for_workers(self, *_: object, **__: object) -> None:
            pass

        def run(self, *_: object, **__: object) -> dict[str, object]:
            return {"tls://10.0.0.1:1": metadata.version("sealpass")}

        def run_on_scheduler(self, *_: object) -> str:
            raise metadata.PackageNotFoundError

    with pytest.raises(ConfigError, match="the scheduler has no sealpass"):
        Cluster(Client()).check(1)


def test_work_that_ends_its_worker_is_given_up(tmp_path: Path) -> None:
    """And then, without a scheduler, everything is: an error that one may try again after."""
    environment = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with (
        dask_cluster(tmp_path, 1, environment) as cluster,
        connect(cluster.address, cluster.client_files, seconds=5) as connected,
    ):
        with pytest.raises(BackendUnavailable, match="one worker after the other") as ended:
            connected.result(_done(connected, os._exit, 1))
        assert not ended.value.retryable
        cluster.add_worker("next")
        assert connected.result(_done(connected, int, "1")) == 1
        cluster.kill("scheduler")
        with pytest.raises(BackendUnavailable, match="went away"):
            connected.result(_done(connected, int, "1"))
