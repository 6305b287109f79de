# SPDX-License-Identifier: Apache-2.0
"""Support modules in a process of their own, for what would take the test process along."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_module(
    name: str, *arguments: str, timeout: float = 30, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """``python -m tests.support.NAME ARGUMENTS``; raises subprocess.TimeoutExpired."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", f"tests.support.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
