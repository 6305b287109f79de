# SPDX-License-Identifier: Apache-2.0
"""PINs and passwords from ``file:PATH`` or ``env:NAME``, read again at each use and never kept."""

import os
from pathlib import Path

from sealpass.core.errors import ConfigError

MAX_SECRET_BYTES = 4096
"""Of a file with a PIN or password; a device file would never end."""


def _read_file(path: str, attribute: str) -> str:
    if "\0" in path:
        raise ConfigError(f"{attribute}: a path holds no NUL")
    try:
        with Path(path).open("rb") as file:
            octets = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{attribute}: cannot read {path}: {error.strerror}") from None
    if len(octets) > MAX_SECRET_BYTES:
        raise ConfigError(f"{attribute}: {path} has over {MAX_SECRET_BYTES} bytes", hint="is it the right file?")
    secret = octets.decode("utf-8", "replace")  # the error of a strict decode() would hold the secret
    if secret.encode("utf-8") != octets:
        raise ConfigError(f"{attribute}: {path} is not UTF-8 text")
    return secret


def _is_unicode(text: str) -> bool:
    # A variable with octets that are no UTF-8 comes with lone surrogates; the error of encode() would hold the secret.
    return not any("\ud800" <= character <= "\udfff" for character in text)


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
        secret = _read_file(where, attribute).removesuffix("\n").removesuffix("\r")
    if not _is_unicode(secret):
        raise ConfigError(f"{attribute}: {where} is not UTF-8 text")
    if not secret:
        raise ConfigError(f"{attribute}: the secret is empty")
    return secret
