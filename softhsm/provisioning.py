# SPDX-License-Identifier: Apache-2.0
"""A private soft token in a directory of its own. Idempotent; a system-wide token store is never touched."""

import fcntl
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealpass.backends.private_file import write_private_file
from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.softhsm import nss, softhsm2

DEFAULT_TOKEN = "sealpass"  # noqa: S105 - a label
_LABEL_BYTES = 32
_PIN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A token ready for use."""

    uri: str
    """The token's URI; add ``object=…`` before the ``?`` to name a key."""
    config: dict[str, str]
    """Environment variables that the module needs *before* it is loaded."""
    created: bool
    """False where the token was there already."""


KINDS: dict[str, Callable[[Path, str], tuple[str, dict[str, str], bool]]] = {
    "softhsm2": softhsm2.provision,
    "nss": nss.provision,
}


def default_directory(kind: str) -> Path:
    """Where tokens of a kind live unless the user says otherwise."""
    data_home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data_home) / "sealpass" / kind


def provision(kind: str = "softhsm2", directory: Path | None = None, token: str = DEFAULT_TOKEN) -> Provisioned:
    """Make the token, or find it; PINs are drawn at random and kept in files of mode 0600 beside it.

    Raises ConfigError where the module is missing or the directory cannot be used.
    """
    if importlib.util.find_spec("pkcs11") is None:
        raise MissingDependency("pkcs11", "pkcs11")
    make = KINDS.get(kind)
    if make is None:
        raise ConfigError(f"no soft token of kind '{kind}'", hint=f"kinds: {', '.join(KINDS)}")
    if not token or len(token.encode("utf-8")) > _LABEL_BYTES:
        raise ConfigError("a token label has 1 to 32 bytes (PKCS#11 CK_TOKEN_INFO)")
    if token != token.strip(" "):
        raise ConfigError("a token label neither begins nor ends with a blank: PKCS#11 pads labels with blanks")
    where = (directory or default_directory(kind)).absolute()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(where):
            for name in ("pin", "so-pin"):
                _keep_pin(where / name)
            uri, config, created = make(where, token)
    except OSError as error:
        raise ConfigError(f"cannot make a token in {where}: {error.strerror or error}") from None
    return Provisioned(uri, config, created)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One provisioning at a time in a directory."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep_pin(path: Path) -> None:
    """Draw the PIN where there is none yet; an interrupted run leaves the whole of it or nothing."""
    if path.exists():
        if path.stat().st_size == 0:
            raise ConfigError(f"{path} is empty", hint="put the PIN back, or remove the file if there is no token yet")
        return
    pin = "".join(secrets.choice("0123456789") for _ in range(_PIN_DIGITS)) + "\n"
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    write_private_file(temporary, pin.encode("ascii"))
    temporary.replace(path)
