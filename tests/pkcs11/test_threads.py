# SPDX-License-Identifier: Apache-2.0
"""Threads: safe with our initialisation of the module, deadly with the binding's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.soft_tokens import SoftToken

ROOT = Path(__file__).parents[2]


def stress(uri: str, seconds: float, *extra: str) -> int:
    """The exit status of a stress run in a process of its own; -1 for one that hung."""
    command = [sys.executable, "-m", "tests.support.thread_stress", uri, str(seconds), *extra]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    try:
        # PYTHONFAULTHANDLER off: the crash that we provoke should not fill the log
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return -1
    return run.returncode


def test_four_threads_with_os_locking(softhsm2: SoftToken) -> None:
    """Unwrapping, finding and opening sessions in four threads at once gives right results and no crash."""
    assert stress(softhsm2.shared_key(), 3) == 0


@pytest.mark.timeout(200)
def test_the_stock_initialisation_breaks(softhsm2: SoftToken) -> None:
    """The same run with C_Initialize(NULL) crashes or hangs: the guard above guards something.

    The day that this fails, python-pkcs11 or SoftHSM2 have mended it, and backends/pkcs11/library.py can shrink.
    """
    assert any(stress(softhsm2.shared_key(), 3, "stock") != 0 for _ in range(6))
