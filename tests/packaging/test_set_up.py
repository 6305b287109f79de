# SPDX-License-Identifier: Apache-2.0
"""tools/set-up on machines that lack something; each is a PATH of nothing but what such a machine has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SET_UP = Path(__file__).resolve().parents[2] / "tools" / "set-up"
TOOLS = ("dirname", "sed", "sort", "tr")


class Machine:
    """A folder of commands, and what tools/set-up answers where only those exist."""

    def __init__(self, commands: Path) -> None:
        self.commands = commands
        commands.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (commands / tool).symlink_to(found)

    def add(self, name: str, script: str) -> None:
        command = self.commands / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    def set_up(self, *arguments: str) -> tuple[int, str]:
        result = subprocess.run(
            ["/bin/sh", str(SET_UP), str(self.commands.parent / "venv"), *arguments],
            env={"PATH": str(self.commands)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.stdout == ""
        return result.returncode, result.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without Python, package manager or sudo, whose user is not root."""
    machine = Machine(tmp_path / "bin")
    machine.add("id", "echo 1000")
    return machine


def _with_python(machine: Machine) -> Machine:
    machine.add("python3", f'exec "{sys.executable}" "$@"')
    return machine


def test_no_python_is_said_plainly(machine: Machine) -> None:
    """Without Python, set-up says which version it needs and how to name one."""
    code, words = machine.set_up()
    assert code == 2
    assert "no Python 3.11 or newer was found" in words
    assert "make PYTHON=" in words


def test_an_older_python_is_passed_over(machine: Machine) -> None:
    """A python3 that is too old does not stop set-up from finding a newer one under another name."""
    machine.add("python3", "exit 1")
    machine.add("python3.12", f'exec "{sys.executable}" "$@"')
    _, words = machine.set_up()
    assert "Python" not in words


def test_a_named_python_that_does_not_fit_is_refused(machine: Machine) -> None:
    """PYTHON= is an order: where it does not fit, set-up takes no other one."""
    code, words = _with_python(machine).set_up("python3.9")
    assert code == 2
    assert "'python3.9' is not a working Python 3.11 or newer" in words


@pytest.mark.parametrize(
    ("manager", "command", "nss_tools"),
    [
        ("apt-get", "sudo apt-get update && sudo apt-get install -y --no-install-recommends ", "libnss3-tools"),
        ("dnf", "sudo dnf install -y ", "nss-tools"),
        ("apk", "sudo apk add ", "nss-tools"),
    ],
)
def test_who_may_not_install_gets_the_exact_command(
    machine: Machine, manager: str, command: str, nss_tools: str
) -> None:
    """Without root and sudo, set-up installs nothing, prints the command to run, and exits with 2."""
    machine.add(manager, "echo 'must not be called'; exit 99")
    code, words = _with_python(machine).set_up()
    assert code == 2
    before, _, packages = words.partition(f"  {command}")
    assert before.endswith("Run this, then try again:\n")
    # certutil and p11-kit are sought on PATH, the other parts where this machine has them
    assert {nss_tools, "p11-kit"} <= set(packages.split())


def test_an_unknown_system_is_told_what_to_install(machine: Machine) -> None:
    """Where there is no package manager that set-up knows, it names the programs."""
    code, words = _with_python(machine).set_up()
    assert code == 2
    assert "SoftHSM 2, OpenSC (for pkcs11-spy), the NSS tools, p11-kit with its server and PostgreSQL" in words


@pytest.mark.parametrize(("target", "without"), [("run", "yes"), ("run-kms", "yes"), ("test", ""), ("check", "")])
def test_a_run_installs_no_packages_for_tests(tmp_path: Path, target: str, without: str) -> None:
    """The npm packages are peers for tests: whoever only qualifies a soft token does not wait for them."""
    (tmp_path / "tools").mkdir()
    shutil.copy(SET_UP.parents[1] / "Makefile", tmp_path)
    stand_in = tmp_path / "tools" / "set-up"
    stand_in.write_text('#!/bin/sh\necho "without=$WITHOUT_NODE_PACKAGES"\nexit 1\n')
    stand_in.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", target],  # noqa: S607 - wherever this machine has it
        cwd=tmp_path,
        env=inherited,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[0] == f"without={without}"
    assert "WITHOUT_NODE_PACKAGES" in SET_UP.read_text(encoding="utf-8")
