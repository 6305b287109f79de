# SPDX-License-Identifier: Apache-2.0
"""Report files: whole or not there."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from sealpass.core.errors import ConfigError

_MAX_NAME = 100
_ELSEWHERE = "choose another place for it, or see to the permissions and the room there"


def file_name(*parts: str) -> str:
    """A name for a report out of texts that may hold anything."""
    name = "-".join(filter(None, (re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)))
    return name[:_MAX_NAME] or "report"


def make_directory(directory: Path) -> None:
    """Make the directory and see that files can be written there; raises ConfigError, before any long work."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the directory {directory}: {error.strerror}", hint=_ELSEWHERE) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write into the directory {directory}", hint=_ELSEWHERE)


def make_place(path: Path) -> None:
    """Make the file's directory and see that the file can be written; raises ConfigError, before any long work."""
    try:
        _refuse_other_than_file(path)
        target = Path(os.path.realpath(path))
    except OSError as error:  # a name that is too long, a directory that may not be looked into
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint=_ELSEWHERE) from None
    make_directory(target.parent)


def _refuse_other_than_file(path: Path) -> None:
    if path.exists() and not path.is_file():  # /dev/null, and all that use it, would not survive its replacement
        raise ConfigError(f"{path} is there, and is no file", hint=_ELSEWHERE)


def write_all(files: Mapping[Path, str]) -> None:
    """Write texts to files, each replaced in one step once all of them are on disk; raises ConfigError.

    An interrupt leaves the files as they were. A link stays, and the file that it leads to is replaced.
    """
    written: dict[Path, Path] = {}
    path: Path | None = None
    try:
        for path, text in files.items():
            _refuse_other_than_file(path)
            target = Path(os.path.realpath(path))
            partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
            with partial.open("x", encoding="utf-8") as file:
                written[target] = partial
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for path, partial in written.items():
            partial.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint=_ELSEWHERE) from None
    finally:
        for partial in written.values():
            partial.unlink(missing_ok=True)
