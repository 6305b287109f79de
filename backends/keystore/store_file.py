# SPDX-License-Identifier: Apache-2.0
"""From a path to the entries of a key store, whatever its name ends in: its first octets tell the format."""

from pathlib import Path

from sealpass.backends.keystore import pkcs12, sun
from sealpass.backends.keystore.entries import MAX_STORE_BYTES, Entry
from sealpass.backends.private_file import read_private_file
from sealpass.core.errors import ConfigError, KeyNotFound

_SEQUENCE = b"\x30"
_BKS_VERSIONS = (b"\0\0\0\1", b"\0\0\0\2")
_FORMATS = "JKS, JCEKS and PKCS #12 are read"


def _read(path: Path) -> bytes:
    try:
        return read_private_file(path, MAX_STORE_BYTES)
    except FileNotFoundError:
        raise KeyNotFound(
            f"no key store {path}", hint="make one with keytool; docs/keystore.md has the commands"
        ) from None


def _unknown_format(path: Path, content: bytes) -> ConfigError:
    hint = _FORMATS
    if not content:
        looks = "it is empty"
    elif content.lstrip().startswith(b"-----BEGIN "):
        looks, hint = "it looks like PEM", "open a PEM key with software:path=…"
    elif content.startswith(_BKS_VERSIONS):
        looks = "it looks like a BKS or UBER store of Bouncy Castle"
        hint = "convert it: keytool -importkeystore -deststoretype PKCS12"
    else:
        looks = "its first octets are of no format that we know"
    return ConfigError(f"{path} is not a key store: {looks}", hint=hint)


def read_entries(path: Path, store_password: str) -> list[Entry]:
    """The entries of a store whose integrity the password establishes; ``store_password`` is secret.

    No key is decrypted. Raises KeyNotFound where there is no file, ConfigError, UnsupportedAlgorithm.
    """
    content = _read(path)
    if content.startswith((sun.JKS_MAGIC, sun.JCEKS_MAGIC)):
        entries = sun.read_entries(content, store_password)
    elif content.startswith(_SEQUENCE):
        entries = pkcs12.read_entries(content, store_password)
    else:
        raise _unknown_format(path, content)
    _check_distinct(entries)
    return entries


def _check_distinct(entries: list[Entry]) -> None:
    aliases = [comparable(entry.alias) for entry in entries]
    if len(set(aliases)) != len(aliases):
        raise ConfigError("two entries of the key store have the same alias, apart from upper and lower case")


def comparable(alias: str) -> str:
    """An alias as Java compares it: without regard to upper and lower case."""
    return alias.lower()
