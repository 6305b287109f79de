# SPDX-License-Identifier: Apache-2.0
"""NSS softokn: the soft token that does the whole default profile inside itself.

It has no configuration file: everything goes to C_Initialize in a string (``module-args`` of the URI).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm.modules import NSS, find_module, install_command

FAST_KEYS = {"NSS_MAX_MP_PBE_ITERATION_COUNT": "1"}
"""Without it softokn derives a key from the PIN, for some 36 ms, whenever it loads a private key: a development
token's keys are not worth that, and every figure would be about the derivation."""


def provision(directory: Path, token: str) -> tuple[str, dict[str, str], bool]:
    """Make or find the token; the answer is its URI, its environment and whether it was made."""
    module = find_module(NSS)
    if any(character in f"{directory}{token}" for character in "'\\\n"):
        raise ConfigError("NSS cannot name a directory or token with a quote, backslash or newline in it")
    database = directory / f"nss-{token.encode('utf-8').hex()}"
    created = not (database / "key4.db").exists()
    if created:
        _make_database(database, directory / "pin")
    arguments = f"configdir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' dbTokenDescription='{token}'"
    uri = KeyUri(
        "pkcs11",
        {"token": token.encode("utf-8")},
        {
            "module-path": os.fsencode(module),
            "module-args": os.fsencode(arguments),
            "pin-source": b"file:" + os.fsencode(directory / "pin"),
        },
    )
    return str(uri), dict(FAST_KEYS), created


def _make_database(database: Path, pin: Path) -> None:
    """``certutil -N`` beside the place and a rename: an interrupted run leaves no half of a database."""
    certutil = shutil.which("certutil")
    if certutil is None:
        raise ConfigError("certutil of NSS is not installed", hint=install_command(NSS))
    with tempfile.TemporaryDirectory(dir=database.parent, prefix="new-") as temporary:
        made = Path(temporary) / "db"
        made.mkdir(mode=0o700)
        child = subprocess.run(  # noqa: S603 - a program of this machine, no argument from outside
            [certutil, "-N", "-d", f"sql:{made}", "-f", str(pin)],
            env={**os.environ, **FAST_KEYS},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode != 0:
            reason = (child.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ConfigError(f"certutil does not make a database in {database.parent}: {reason}")
        made.rename(database)
