# SPDX-License-Identifier: Apache-2.0
"""Files that hold keys and PINs."""

import os
import stat
from pathlib import Path

from sealpass.core.errors import ConfigError


def write_private_file(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600: all of it, or no file. ``content`` is secret. Raises OSError (FileExistsError)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a full disk may say so only here
    except BaseException:
        path.unlink()
        raise


def read_private_file(path: Path, max_bytes: int) -> bytes:
    """The octets of a regular file: a pipe could keep us waiting, a device has no end.

    Raises FileNotFoundError, or ConfigError for what cannot be read, is no file or has over ``max_bytes``.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer; to files it means nothing.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path} is not a regular file")
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > max_bytes:
        raise ConfigError(f"{path} has over {max_bytes // 1024} KiB: that is no key file of ours")
    return content
