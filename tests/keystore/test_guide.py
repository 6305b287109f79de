# SPDX-License-Identifier: Apache-2.0
"""The example of docs/keystore.md runs as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keystore.make_stores import keytool_is_missing

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "keystore.md").read_text(encoding="utf-8")


@pytest.mark.skipif(keytool_is_missing(), reason="no JDK on this machine")
def test_the_commands_of_the_guide_work(tmp_path: Path) -> None:
    """From an empty folder to a password, with keytool and the sealpass of this environment."""
    (block,) = re.findall(r"```console\n(.*?)```", GUIDE, flags=re.DOTALL)
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],  # noqa: S607 - wherever this machine has it
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "NONCE": "A" * 43},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\ncorrect horse battery staple\n" in done.stdout
    assert "hashes-2026" in done.stdout
