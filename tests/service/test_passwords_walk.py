# SPDX-License-Identifier: Apache-2.0
"""docs/passwords.md: the walk from nothing to a retired key, as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import environment

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "passwords.md").read_text(encoding="utf-8")
(WALK,) = re.findall(r"^## The whole way.*?(?=^## )", GUIDE, flags=re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```console\n(.*?)^```", WALK, flags=re.DOTALL | re.MULTILINE)
(SERVICE,) = re.findall(r"^```python\n(.*?)^```", WALK, flags=re.DOTALL | re.MULTILINE)


def lines_of(keys: str) -> list[str]:
    """The lines of all console blocks, but of those that make keys only the ones for this kind."""
    other = "software:" if keys == "softhsm2" else "softhsm init"
    return [line for block in BLOCKS if other not in block for line in block.splitlines()]


def run(commands: list[str], directory: Path) -> "subprocess.CompletedProcess[str]":
    """In one shell, with the sealpass of this environment and nothing of the user's own."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    own = {name: value for name, value in environment().items() if name not in ("SOFTHSM2_CONF", "PREVIOUS")}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],  # noqa: S607 - wherever this machine has it
        cwd=directory,
        env=own | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(180)  # twenty processes, which take long only where the machine is busy
@pytest.mark.parametrize("keys", ["softhsm2", "software"])
def test_the_walk(keys: str, tmp_path: Path) -> None:
    """Every command works and prints what is shown, audits say what the text says, and a token works once."""
    (tmp_path / "service.py").write_text(SERVICE)
    lines = lines_of(keys)
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    shown = [line for line in lines if not line.startswith("$ ")]
    assert shown == ["done", "welcome", "done", "welcome"]
    once_more = commands[-1]
    assert "log-in" in once_more
    done = run([*commands, "echo END OF THE WALK", once_more], tmp_path)
    printed = done.stdout.splitlines()
    assert printed[-1] == "END OF THE WALK", done.stderr
    assert "TokenRejected" in done.stderr
    assert [line for line in printed if line in shown] == shown
    standings = re.findall(r" (the current key|in use: keep it|no records: may be retired)$", done.stdout, re.MULTILINE)
    assert set(standings[1:]) == {"the current key", *re.findall(r'the audit says "(.*?)"', WALK)}
    assert standings[-1] == "no records: may be retired"
