# SPDX-License-Identifier: Apache-2.0
"""What a key store holds once its integrity is established, and the limits that every format shares.

An entry keeps its key encrypted: reading a store derives nothing for entries that nobody asked for.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sealpass.core.errors import ConfigError

MAX_STORE_BYTES = 1024 * 1024
"""Hundreds of RSA entries fit. Of the worst kind, this much takes asn1crypto a second and up to 100 MiB."""
MAX_KEY_BYTES = 64 * 1024
"""Of one encrypted key: RSA-16384 takes 10 KB, and the JKS and JCEKS algorithms run octet by octet in Python."""
MAX_ITERATIONS = 5_000_000
"""Java's own ceiling, for JCEKS (jdk.jceks.iterationCount) and for PKCS #12; a few seconds of one core."""
MAX_SALT_BYTES = 1024


class WrongKeyPassword(Exception):
    """An entry did not decrypt. The message of what failed stays behind, because it may describe the plaintext."""


@dataclass(frozen=True, slots=True)
class PrivateKeyEntry:
    """A private key with its certificate."""

    alias: str
    certificate: bytes | None
    """X.509, DER; None where the store has none for this key."""
    decrypt: Callable[[str], bytes] = field(repr=False)
    """From the key password (secret) to PKCS #8 DER (secret). Raises WrongKeyPassword or operator errors."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A decrypted symmetric key."""

    algorithm: str
    """Java's name for it (``AES``), or an object identifier."""
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecretKeyEntry:
    """A symmetric key; its algorithm and size are encrypted, too."""

    alias: str
    decrypt: Callable[[str], SecretKey] = field(repr=False)
    """From the key password (secret). Raises WrongKeyPassword or operator errors."""


@dataclass(frozen=True, slots=True)
class CertificateEntry:
    """A trusted certificate: no key."""

    alias: str


Entry = PrivateKeyEntry | SecretKeyEntry | CertificateEntry


def check_iterations(count: int) -> int:
    """The count itself, or ConfigError before anything is derived: a file must not decide how long we compute."""
    if not 1 <= count <= MAX_ITERATIONS:
        raise ConfigError(f"the key store asks for a number of iterations that is not 1 to {MAX_ITERATIONS}")
    return count


def check_salt(salt: bytes) -> bytes:
    """The salt itself; raises ConfigError where it is absurdly long."""
    if len(salt) > MAX_SALT_BYTES:
        raise ConfigError(f"the key store has a salt of over {MAX_SALT_BYTES} bytes")
    return salt


def check_encrypted_key(octets: bytes) -> bytes:
    """The octets themselves; raises ConfigError where they are too many for a key."""
    if len(octets) > MAX_KEY_BYTES:
        raise ConfigError(f"the key store has an entry of over {MAX_KEY_BYTES} bytes")
    return octets


@contextmanager
def refusing_damage(what: str) -> Iterator[None]:
    """Turn what parsers raise at octets that they cannot read into ConfigError.

    asn1crypto documents ValueError only, but its lazy objects also raise KeyError, TypeError and AttributeError. It
    limits nesting where we looked; RecursionError is here for where we did not.
    """
    try:
        yield
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, struct.error):
        raise ConfigError(f"{what} is damaged, or written by something we do not know") from None
