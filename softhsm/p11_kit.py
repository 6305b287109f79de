# SPDX-License-Identifier: Apache-2.0
"""A token at the far end of a socket: SoftHSM2 behind ``p11-kit server``, and p11-kit's client as the module.

A stand-in for a network HSM: the module is in our process, the token in another one, which may hang or die.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm.daemon import Daemon
from sealpass.softhsm.modules import P11_KIT_CLIENT, find_module, install_command
from sealpass.softhsm.provisioning import DEFAULT_TOKEN, Provisioned, provision

ADDRESS_VARIABLE = "P11_KIT_SERVER_ADDRESS"


@dataclass(frozen=True, slots=True)
class RemoteToken(Provisioned):
    """A token and its server, which may be stopped and started again. The server has a child for each client."""

    server: Daemon


def missing() -> str | None:
    """Which of its programs are not installed, and how to get them, or None."""
    try:
        _programs()
    except ConfigError as error:
        return f"{error}: {error.hint}"
    return None


def obstacle() -> str | None:
    """Why there can be no such token here, or None: it needs its programs, and nothing else."""
    return missing()


def _programs() -> tuple[Path, str]:
    client, program = find_module(P11_KIT_CLIENT), shutil.which("p11-kit")
    if program is None:
        raise ConfigError("p11-kit is not installed", hint=install_command(P11_KIT_CLIENT))
    return client, program


@contextmanager
def remote_token(directory: Path, token: str = DEFAULT_TOKEN) -> Iterator[RemoteToken]:
    """A SoftHSM2 token in ``directory``, made or found, and served until the ``with`` ends. Raises ConfigError."""
    client, program = _programs()
    behind = provision("softhsm2", directory, token)
    local = KeyUri.parse(behind.uri)
    uri = KeyUri(local.scheme, local.path, {**local.query, "module-path": os.fsencode(client)})
    # A directory of its own: the path of a socket has 104 bytes at most.
    with tempfile.TemporaryDirectory(prefix="sealpass-") as temporary:
        socket = Path(temporary) / "p11-kit"
        wanted = KeyUri("pkcs11", {"token": token.encode("utf-8")})
        command = [program, "server", "--foreground", "--name", str(socket)]
        command += ["--provider", local.require("module-path"), str(wanted)]
        with Daemon(command, at=socket, environment=behind.config) as server:
            config = {ADDRESS_VARIABLE: f"unix:path={socket}"}
            yield RemoteToken(str(uri), config, behind.created, server)
