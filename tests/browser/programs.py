# SPDX-License-Identifier: Apache-2.0
"""Programs of other languages: found, or the test is skipped and says what is missing; and run."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MIN_NODE = 20
MIN_JAVA = 17
_TIMEOUT_SECONDS = 50


@dataclass(frozen=True, slots=True)
class Program:
    """An installed program that runs in this folder."""

    path: str

    def run(self, *arguments: str, text: str = "") -> str:
        """Its standard output; a failure shows all that it printed."""
        done = subprocess.run(
            [self.path, *arguments],
            cwd=HERE,
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def encrypt(self, script: str, jobs: Sequence[dict[str, Any]]) -> list[str]:
        """The tokens that a script of this folder makes for announcements and passwords."""
        tokens = json.loads(self.run(script, text=json.dumps(jobs)))
        assert len(tokens) == len(jobs)
        return list(tokens)


def find(name: str, version_option: str, pattern: str, minimum: int) -> Program:
    """A program of at least that major version; skips the test where there is none."""
    missing = f"{name} {minimum} or newer is not installed"
    path = shutil.which(name)
    if path is None:
        pytest.skip(missing)
    said = subprocess.run([path, version_option], capture_output=True, text=True, check=False)
    version = re.search(pattern, said.stdout + said.stderr)
    if version is None or int(version[1]) < minimum:
        pytest.skip(missing)
    return Program(path)
