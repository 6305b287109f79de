# SPDX-License-Identifier: Apache-2.0
"""openCryptoki's token: its own, however many there are, and gone without a trace."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from sealpass.core.errors import ConfigError
from sealpass.softhsm import opencryptoki
from tests.support.process import ROOT
from tests.support.soft_tokens import need

SCRIPT = """
import os, sys
from pathlib import Path
from sealpass.softhsm.opencryptoki import FACTORY_SO_PIN, private_token
from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.uri import KeyUri

directory = Path(sys.argv[1])
with private_token(directory, "one of its own") as provisioned:
    uri = KeyUri.parse(provisioned.uri)
    tokens = list(key_maker(uri).list_keys())
    key_maker(uri.replace(path={"object": b"key"})).create_rsa(2048, UnwrapMode.NATIVE)
    daemon = Path("/run/pkcsslotd.pid").read_text().strip()
    print(daemon, len(tokens), len(list(key_maker(uri).list_keys())), flush=True)
    sys.stdin.read()
print("left", Path(f"/proc/{daemon}").exists(), flush=True)
"""


class OtherProcess:
    """A process with an openCryptoki token, which holds it until told to end."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.daemon, self.keys_before, self.keys_after = map(int, self.process.stdout.readline().split())

    def end(self) -> str:
        """Let it end by itself; what it said last."""
        return self.process.communicate(timeout=30)[0]

    def kill(self) -> None:
        """SIGKILL, which leaves it no time to clean up."""
        self.process.kill()
        self.process.communicate(timeout=30)


def traces() -> dict[str, list[str]]:
    """What openCryptoki would leave on this machine, as this process sees it."""
    found = {}
    for place in ("/run", "/run/lock", "/var/log", "/dev/shm"):  # noqa: S108 - one of openCryptoki's places
        names = [path.name for path in Path(place).iterdir()] if Path(place).is_dir() else []
        found[place] = sorted(name for name in names if "pkcs" in name or "opencryptoki" in name)
    for place in ("/run/lock/opencryptoki", "/var/lib/opencryptoki", "/etc/opencryptoki"):
        found[place] = sorted(map(str, Path(place).rglob("*")))
    found["mounts"] = sorted(Path("/proc/self/mounts").read_text().splitlines())
    found["configuration"] = [opencryptoki.CONFIG.read_text()]
    return found


def shared_memory_of(pid: int) -> list[str]:
    """The System V segments that this process made, as we see them."""
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()
    creator = segments[0].split().index("cpid")
    return [segment for segment in segments[1:] if segment.split()[creator] == str(pid)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A place for the PINs, on a machine where there can be such a token."""
    need(opencryptoki)
    return tmp_path / "token"


def test_two_processes_have_a_token_each(directory: Path) -> None:
    """Two at a time, under one label, do not see each other's keys."""
    one, two = OtherProcess(directory / "1"), OtherProcess(directory / "2")
    assert (one.keys_before, one.keys_after) == (two.keys_before, two.keys_after) == (0, 1)
    one.end()
    two.end()


def test_nothing_is_left(directory: Path) -> None:
    """Neither while the token is there nor after it does this process see files, mounts or shared memory of it."""
    before = traces()
    other = OtherProcess(directory)
    assert traces() == before
    assert shared_memory_of(other.daemon) == []
    assert other.end() == "left False\n"
    assert traces() == before
    assert shared_memory_of(other.daemon) == []


def test_the_daemon_dies_with_a_process_that_is_killed(directory: Path) -> None:
    """A SIGKILL leaves no time to clean up, and yet nothing stays."""
    before = traces()
    other = OtherProcess(directory)
    ends = select.poll()
    daemon = os.pidfd_open(other.daemon)
    ends.register(daemon, select.POLLIN)
    assert ends.poll(0) == []
    other.kill()
    assert ends.poll(20_000) != []
    os.close(daemon)
    assert traces() == before


def test_the_pins_are_private_and_not_the_factorys(tmp_path: Path) -> None:
    """The user PIN is drawn at random, as long as openCryptoki takes it, and can be read by its owner only."""
    pins = set()
    for _ in range(2):
        opencryptoki._write_pins(tmp_path)
        pins.add((tmp_path / "pin").read_text().strip())
    assert len(pins) == 2
    assert all(len(pin) == 8 and pin.isdecimal() for pin in pins)
    for name in ("pin", "so-pin"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_directory_that_would_vanish_is_refused(directory: Path) -> None:
    """The PINs cannot lie where the process gets an empty directory; it is told before it enters a namespace."""
    before = traces()
    with pytest.raises(ConfigError, match="/run/token"), opencryptoki.private_token(Path("/run/token")):
        pass
    assert traces() == before


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root there is no mount namespace; the reason says so and nothing is tried."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was tried"))
    assert "root only" in str(opencryptoki.obstacle())


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """MacOS has no namespaces."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux only" in str(opencryptoki.obstacle())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where openCryptoki is missing the reason names it and the way to get it."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("OPENCRYPTOKI_MODULE", "/nonexistent/libopencryptoki.so")
    assert "OPENCRYPTOKI_MODULE" in str(opencryptoki.obstacle())


def test_a_root_that_may_not_mount_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container root need not have CAP_SYS_ADMIN: a child tries, and the reason names what is missing."""
    refused: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    assert "CAP_SYS_ADMIN" in str(opencryptoki.obstacle())
