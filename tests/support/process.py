# SPDX-License-Identifier: Apache-2.0
"""Python in a process of its own: for what would take the test process along, or has to start afresh."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _python(
    *arguments: str, timeout: float, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the interpreter in ROOT with the import path of the tests."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path)), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_module(
    name: str, *arguments: str, timeout: float = 30, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """``python -m tests.support.NAME ARGUMENTS``; raises subprocess.TimeoutExpired."""
    return _python("-m", f"tests.support.{name}", *arguments, timeout=timeout, environment=environment)


def run_python(code: str) -> str:
    """Run ``code``; what it printed. Raises CalledProcessError where it fails."""
    done = _python("-c", code, timeout=50)
    sys.stderr.write(done.stderr)
    done.check_returncode()
    return done.stdout
