# SPDX-License-Identifier: Apache-2.0
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealpass.core.errors import AuthenticationFailed
from sealpass.dask_connection import TlsFiles, connect
from tests.support.process import ROOT

PAGE = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
DASK = f"{sys.executable} -m dask"


def blocks(language: str) -> list[str]:
    """What the page has of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """The client's, after what the page does with openssl."""
    shell = shutil.which("sh")
    if shell is None or shutil.which("openssl") is None:
        pytest.skip("the page makes certificates with openssl, in a shell")
    (making,) = blocks("sh")
    subprocess.run([shell, "-euc", making], cwd=tmp_path, check=True, capture_output=True)
    return TlsFiles(tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key")


@contextmanager
def scheduler(command: str, directory: Path) -> Iterator[str]:
    """The address of a scheduler that runs, and its configuration in ``directory``."""
    told = directory / "scheduler.json"
    command = command.replace("10.20.0.1", "127.0.0.1").replace("--port 8786", f"--port 0 --scheduler-file {told}")
    with running(command, directory) as process:
        while not told.exists() or not told.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        yield str(json.loads(told.read_text())["address"])


@contextmanager
def running(command: str, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of the page that runs in ``directory`` until the ``with`` ends."""
    words = shlex.split(command.replace("/opt/sealpass/bin/dask", DASK))
    environment = {"DASK_CONFIG": str(directory / "config")}
    with subprocess.Popen(words, cwd=directory, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def configure(directory: Path, content: str) -> None:
    """Put the page's configuration, with the certificates of ``directory``, where running() looks for it."""
    (directory / "config").mkdir()
    (directory / "config" / "distributed.yaml").write_text(content.replace("/etc/dask/tls", str(directory)))


def commands() -> list[str]:
    """What the units of the page start."""
    return [re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)[0] for unit in blocks("ini")]


def test_the_guide_leaves_only_what_is_needed(files: TlsFiles, tmp_path: Path) -> None:
    """A certificate and a key for each role, which only their owner reads; the CA's key is gone."""
    made = {f"{name}.{kind}" for name in ("scheduler", "worker", "client") for kind in ("key", "pem")}
    assert {path.name for path in tmp_path.iterdir()} == made | {"ca.pem"}
    assert all(path.stat().st_mode & 0o77 == 0 for path in tmp_path.iterdir())


def test_the_guide_makes_a_cluster(files: TlsFiles, tmp_path: Path) -> None:
    """Its certificates, its configuration and the command lines of its units, as they stand there."""
    configure(tmp_path, *blocks("yaml"))
    of_scheduler, of_worker = commands()
    with scheduler(of_scheduler, tmp_path) as address:
        of_worker = of_worker.replace("tls://10.20.0.1:8786", address).replace("10.20.0.11", "127.0.0.1")
        of_worker = of_worker.replace("%i", "0").replace("/run", str(tmp_path))
        with running(of_worker, tmp_path), connect(address, files) as cluster:
            assert len(cluster.workers()) == 1


def test_with_the_clients_certificate_nobody_is_a_scheduler(files: TlsFiles, tmp_path: Path) -> None:
    """Clients do not believe one that shows it."""
    (content,) = blocks("yaml")
    configure(tmp_path, content.replace("tls/scheduler.", "tls/client."))
    with (
        scheduler(commands()[0], tmp_path) as address,
        pytest.raises(AuthenticationFailed, match="not accepted"),
        connect(address, files),
    ):
        pass
