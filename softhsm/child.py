# SPDX-License-Identifier: Apache-2.0
"""Initialising a token in a child process, which gets the names of the PIN files and not the PINs.

A module reads its environment when it is initialised, and this process may have it loaded with another one.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sealpass.core.errors import ConfigError


def initialise_in_child(
    device: str, module: Path, token: str, directory: Path, environment: Mapping[str, str] | None = None
) -> bool:
    """Run :mod:`sealpass.softhsm.initialise`; True where the token was made. Raises ConfigError."""
    child = subprocess.run(  # noqa: S603 - our own interpreter and module
        # -P: what lies in the current directory is not to be imported where PINs are read
        [sys.executable, "-P", "-m", "sealpass.softhsm.initialise", str(module), token, str(directory)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        reason = (child.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(f"{device} does not make a token in {directory}: {reason}")
    return child.stdout.strip() == "created"
