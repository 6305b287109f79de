# SPDX-License-Identifier: Apache-2.0
"""The real command in a process of its own, as a user starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sealpass as package
from sealpass.core.jwk import PublicJwk
from sealpass.core.protocols import Unwrapper

COMMAND = (sys.executable, "-W", "error", "-m", "sealpass")


@dataclass(frozen=True)
class Ran:
    """What a run left: its exit status, its data and its words."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The data as text without the final newline."""
        return self.out.decode().removesuffix("\n")

    @property
    def json(self) -> Any:
        """The data as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str | None]:
        """The error of a failed run with ``--json``: the last line of standard error."""
        error = json.loads(self.err.splitlines()[-1])["error"]
        assert isinstance(error, dict)
        return error


Run = Callable[..., Ran]


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of the user's own, and with this very package."""
    own = ("SEALPASS_", "_SEALPASS", "PYTHONUNBUFFERED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return inherited | {"PYTHONPATH": str(Path(package.__file__).parents[1])} | variables


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command in a directory of its own; standard input is empty unless given."""

    def run(*arguments: str, stdin: bytes | str = b"", **variables: str) -> Ran:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    return run


@pytest.fixture
def public_jwk(software_key: Unwrapper) -> PublicJwk:
    """The public half of the software key."""
    return software_key.public_jwk


@pytest.fixture
def jwk_file(tmp_path: Path, public_jwk: PublicJwk) -> str:
    """The public half of the software key as a file that names no algorithm."""
    path = tmp_path / "server.jwk"
    path.write_text(json.dumps(public_jwk.to_dict()))
    return str(path)


@pytest.fixture(scope="session")
def other_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another RSA-2048 key than ``software_uri``."""
    from sealpass.backends.registry import key_maker
    from sealpass.core.capabilities import UnwrapMode
    from sealpass.core.uri import KeyUri

    path = tmp_path_factory.mktemp("other") / "other.pem"
    return str(key_maker(KeyUri("software", {"path": bytes(path)})).create_rsa(2048, UnwrapMode.NATIVE))
