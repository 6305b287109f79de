# SPDX-License-Identifier: Apache-2.0
"""PINs and passwords from ``file:PATH`` or ``env:NAME``, read again at each use and never kept."""

import os
from pathlib import Path

from sealpass.core.errors import ConfigError


def read_secret(source: str, attribute: str) -> str:
    """The secret that a ``…-source`` attribute names; raises ConfigError, whose text holds no secret.

    One trailing newline of a file is dropped, because editors add it. An empty secret is refused: it is nearly
    always a variable that somebody forgot to set.
    """
    kind, colon, where = source.partition(":")
    if not colon or kind not in ("file", "env") or not where:
        raise ConfigError(f"{attribute} is neither file:PATH nor env:NAME")
    if kind == "env":
        secret = os.environ.get(where)
        if secret is None:
            raise ConfigError(f"{attribute}: the environment variable {where} is not set")
    else:
        try:
            secret = Path(where).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{attribute}: cannot read {where}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{attribute}: {where} is not UTF-8 text") from None
        secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigError(f"{attribute}: the secret is empty")
    return secret
