# SPDX-License-Identifier: Apache-2.0
"""A Dask cluster on this machine, as docs/distributed.md sets it up: its own CA, TLS both ways, one task a worker."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sealpass.dask_connection import TlsFiles

_ENDS_WITH_PARENT = Path(__file__).with_name("ends_with_parent.py")
_START_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.02
_QUIET = {
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
_NOWHERE_ELSE = ["--host", "tls://127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]


class Authority:
    """A CA, and the files of those whom it certified, in a private directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealpass test cluster")])
        certificate = self._certificate(self._name, self._key.public_key(), is_ca=True)
        self._ca = self._write("ca.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> TlsFiles:
        """A certificate with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key.public_key(), is_ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return TlsFiles(
            ca=self._ca,
            certificate=self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            key=self._write(f"{name}.key", private),
        )

    def _certificate(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *, is_ca: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path


class DaskCluster:
    """A scheduler and its workers: processes of the commands ``dask scheduler`` and ``dask worker``.

    ``directory`` gets their logs. Each of them ends when this process does: nothing stays if it is killed.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.authority = Authority(directory)
        self.client_files = self.authority.issue("client")
        self._environment = {**os.environ, **_QUIET, **(environment or {})}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._scheduler_file = directory / "scheduler.json"

    def start(self, workers: int) -> None:
        """Start all at once, and wait until the scheduler has an address; workers come to it when they are ready."""
        arguments = ["--port", "0", "--scheduler-file", str(self._scheduler_file)]
        self._start("scheduler", [*_NOWHERE_ELSE, *arguments])
        for number in range(workers):
            self.add_worker(f"worker-{number}")
        self._wait_for_scheduler()

    def add_worker(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start one more, in a directory of its own."""
        memory = ["--no-nanny", "--nthreads", "1", "--memory-limit", "0", "--name", name]
        files = ["--local-directory", str(self.directory / name), "--scheduler-file", str(self._scheduler_file)]
        self._start(name, [*_NOWHERE_ELSE, *memory, *files], environment)

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(json.loads(self._scheduler_file.read_text())["address"])

    @property
    def pids(self) -> list[int]:
        """All of them, the scheduler first."""
        return [process.pid for process in self._processes.values()]

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes[name]
        process.kill()
        process.communicate()  # also closes the pipe

    def stop(self) -> None:
        """End all of them."""
        for name in self._processes:
            self.kill(name)  # asked politely, they wait for each other for seconds

    def _start(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        files = self.authority.issue(name)
        tls = ["--tls-ca-file", str(files.ca), "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
        role = "scheduler" if name == "scheduler" else "worker"
        (self.directory / name).mkdir()
        with (self.directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-P", str(_ENDS_WITH_PARENT), "dask", role, *tls, *arguments],
                cwd=self.directory / name,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def _wait_for_scheduler(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                _ = self.address
            except (OSError, ValueError):
                if time.monotonic() > until or self._processes["scheduler"].poll() is not None:
                    raise
                time.sleep(_LOOK_AGAIN_SECONDS)
            else:
                return


@contextmanager
def dask_cluster(directory: Path, workers: int, environment: Mapping[str, str] | None = None) -> Iterator[DaskCluster]:
    """A cluster that is there as long as the ``with`` is."""
    cluster = DaskCluster(directory, environment)
    try:
        cluster.start(workers)
        yield cluster
    finally:
        cluster.stop()
