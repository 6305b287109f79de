# SPDX-License-Identifier: Apache-2.0
"""openCryptoki, which tools/set-up installs for root on Linux and nobody else, on machines made of a folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("cat", "cksum", "dirname", "env", "mkdir", "rm", "sed", "sort", "tail", "tr")
PRESENT = (
    "softhsm/libsofthsm2.so",
    "x/pkcs11-spy.so",
    "x/libsoftokn3.so",
    "x/pkcs11/p11-kit-client.so",
)
MODULE, DAEMON = "usr/lib/x/pkcs11/libopencryptoki.so", "usr/sbin/pkcsslotd"
APT = "apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 opencryptoki"


class Machine:
    """A machine with all that is wanted but openCryptoki, and without a way to make a Python environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands, tree = folder / "bin", folder / "tree"
        for place in (self.commands, tree / "tools"):
            place.mkdir(parents=True)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.commands / tool).symlink_to(found)
        for name in PRESENT:
            self.plant(f"usr/lib/{name}")
        for command in ("certutil", "initdb", "p11-kit"):
            self.add(command, "exit 0")
        self.add("python3", f'[ "$1" != -m ] && exec "{sys.executable}" "$@"')
        # The script looks at fixed places: here they are below the folder.
        script = (ROOT / "tools" / "set-up").read_text(encoding="utf-8").replace(" /usr/", f" {folder}/usr/")
        (tree / "tools" / "set-up").write_text(script, encoding="utf-8")
        (tree / "pyproject.toml").touch()
        self.state = tree / ".state"

    def add(self, name: str, script: str) -> None:
        command = self.commands / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    def plant(self, name: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).touch()

    def set_up(self, manager: str, *, user: int = 0, system: str = "Linux", status: int = 0) -> tuple[list[str], str]:
        """The calls of the package manager, which exits with ``status``, and what was said."""
        calls = self.folder / "calls"
        calls.write_text("")
        self.add("id", f"echo {user}")
        self.add("uname", f"echo {system}")
        self.add(manager, f'echo "{manager} $*" >>"{calls}"; exit {status}')
        done = subprocess.run(
            ["/bin/sh", str(self.folder / "tree" / "tools" / "set-up"), str(self.folder / "venv")],
            env={"PATH": str(self.commands)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert "Python environment" in done.stderr  # which comes next, whatever became of openCryptoki
        return calls.read_text().splitlines(), done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without openCryptoki."""
    return Machine(tmp_path)


def test_root_gets_it(machine: Machine) -> None:
    """On Debian it is one package; the install is announced."""
    calls, words = machine.set_up("apt-get")
    assert calls == [APT]
    assert "installing opencryptoki" in words


def test_fedora_has_its_soft_token_in_a_package_of_its_own(machine: Machine) -> None:
    """Without opencryptoki-swtok there would be a daemon and no token."""
    assert machine.set_up("dnf")[0] == ["dnf install -y opencryptoki opencryptoki-swtok"]


@pytest.mark.parametrize(("user", "system"), [(1000, "Linux"), (0, "Darwin")])
def test_nobody_else_gets_it(machine: Machine, user: int, system: str) -> None:
    """Its tests need root on Linux, so nobody else is bothered."""
    calls, words = machine.set_up("apt-get", user=user, system=system)
    assert calls == []
    assert "openCryptoki" not in words


@pytest.mark.parametrize(
    ("there", "installed"), [((), True), ((MODULE,), True), ((DAEMON,), True), ((MODULE, DAEMON), False)], ids=str
)
def test_module_and_daemon_must_be_there(machine: Machine, there: tuple[str, ...], *, installed: bool) -> None:
    """The library may be there without the daemon, which another package brings."""
    for name in there:
        machine.plant(name)
    assert bool(machine.set_up("apt-get")[0]) is installed


def test_a_system_without_it_is_told_once(machine: Machine) -> None:
    """Where it cannot be installed set-up goes on, says so, and does not try again at every make."""
    calls, words = machine.set_up("apt-get", status=100)
    assert calls == [APT, "apt-get update", APT]
    assert "its tests will be skipped" in words
    assert machine.set_up("apt-get")[0] == []
    (machine.state / "no-opencryptoki").unlink()
    assert machine.set_up("apt-get")[0] == [APT]


def test_a_package_manager_that_has_none_is_not_asked(machine: Machine) -> None:
    """Alpine has no package of it."""
    calls, words = machine.set_up("apk")
    assert calls == []
    assert "its tests will be skipped" in words
