# SPDX-License-Identifier: Apache-2.0
"""A fresh Python process that sees what the tests see."""

import os
import subprocess
import sys

SECONDS = 50


def run_python(code: str) -> str:
    """Run ``code`` in a new interpreter with the same import path; what it printed. Raises where it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, timeout=SECONDS, text=True).stdout
