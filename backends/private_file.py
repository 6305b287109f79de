# SPDX-License-Identifier: Apache-2.0
"""Files that hold keys and PINs."""

import os
from pathlib import Path


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
