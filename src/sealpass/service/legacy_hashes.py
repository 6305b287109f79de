# SPDX-License-Identifier: Apache-2.0
"""Legacy hashes by name, for configurations and commands, and bcrypt, which needs a package of its own."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.core.legacy_hashes import (
    LegacyArgon2id,
    LegacyHash,
    LegacyPbkdf2,
    LegacySaltedSha256,
    LegacyScrypt,
    too_dear,
    unreadable,
)

try:
    import bcrypt as _bcrypt
except ModuleNotFoundError:
    _bcrypt = None  # type: ignore[assignment]  # the extra is not installed

BCRYPT_BYTES = 72
# 2x marks the hashes of a broken implementation: not what it looks like, so not for us.
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class LegacyBcrypt:
    """``$2a$``, ``$2b$`` and ``$2y$`` with a cost of at most ``max_cost``; raises MissingDependency without bcrypt.

    bcrypt never saw more than 72 bytes of a password, and many programs ended it at a NUL. Any password that begins
    with the same bytes would match, so such passwords are refused, and told in :attr:`Verification.refusal`.
    """

    max_cost: int = 15

    def __post_init__(self) -> None:
        if _bcrypt is None:
            raise MissingDependency("legacy", "bcrypt")

    def recognises(self, value: str) -> bool:
        """See :class:`~sealpass.core.legacy_hashes.LegacyHash`."""
        return _BCRYPT.fullmatch(value) is not None

    def refusal(self, password: bytes) -> str | None:
        """See :class:`~sealpass.core.legacy_hashes.LegacyHash`."""
        if len(password) > BCRYPT_BYTES:
            return f"bcrypt knows {BCRYPT_BYTES} bytes of a password at most"
        if b"\0" in password:
            return "bcrypt may have known a password up to its first NUL only"
        return None

    def verify(self, value: str, password: bytes) -> bool:
        """See :class:`~sealpass.core.legacy_hashes.LegacyHash`."""
        cost = int(value[4:6])
        if cost > self.max_cost:
            raise too_dear("bcrypt", f"cost {cost}")
        try:
            return _bcrypt.checkpw(password, value.encode("ascii"))  # which compares in constant time
        except ValueError:  # the spare bits of the salt's last character are not zero
            raise unreadable("bcrypt") from None


LEGACY_HASHES: dict[str, Callable[[], LegacyHash]] = {
    "argon2id": LegacyArgon2id,
    "bcrypt": LegacyBcrypt,
    "scrypt": LegacyScrypt,
    "pbkdf2": LegacyPbkdf2,
    "sha256-base64": LegacySaltedSha256,
    "sha256-hex": lambda: LegacySaltedSha256("hex"),
    "sha256-base64-salt-last": lambda: LegacySaltedSha256(salt_first=False),
    "sha256-hex-salt-last": lambda: LegacySaltedSha256("hex", salt_first=False),
}
"""With the ceilings that are the default."""


def legacy_hash_named(name: str) -> LegacyHash:
    """Look a form up; raises ConfigError, and MissingDependency where its package is not installed."""
    make = LEGACY_HASHES.get(name)
    if make is None:
        raise ConfigError(f"no legacy hash '{name}'", hint=f"legacy hashes: {', '.join(LEGACY_HASHES)}")
    return make()
