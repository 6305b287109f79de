# SPDX-License-Identifier: Apache-2.0
"""Password hashes that other systems stored, kept until their users log in again.

None is allowed unless it is asked for: a value without a seal can be put into the database by whoever writes to it.
Each form has ceilings on its cost, because such values say themselves how dear they are. What needs a package besides
the standard library is in sealpass.service.legacy_hashes.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Protocol

from sealpass.core import argon2_hash, phc
from sealpass.core.argon2_hash import DEFAULT_CEILINGS, Argon2Ceilings
from sealpass.core.errors import RecordProblem, RecordRefused

MAX_VALUE_CHARACTERS = 1024


class LegacyHash(Protocol):
    """One form of stored hashes."""

    def recognises(self, value: str) -> bool:
        """Whether a stored value has this form; a value may be of several."""
        ...

    def refusal(self, password: bytes) -> str | None:
        """Why this form cannot tell such a password (secret) from others, or None where it can."""
        ...

    def verify(self, value: str, password: bytes) -> bool:
        """Whether a recognised value is the hash of ``password`` (secret), compared in constant time.

        Raises RecordRefused(content or cost), which does not quote the value.
        """
        ...


class _AnyPassword:
    """For forms that hash all bytes of a password, and any."""

    def refusal(self, password: bytes) -> str | None:  # noqa: ARG002 - the protocol's
        """See :class:`LegacyHash`."""
        return None


def unreadable(form: str) -> RecordRefused:
    """The error for a value that only looks like one of its form."""
    return RecordRefused(RecordProblem.CONTENT, f"not a {form} value as its description has it")


def too_dear(form: str, costs: str) -> RecordRefused:
    """The error for a value that asks for more than its ceilings."""
    return RecordRefused(RecordProblem.COST, f"the {form} value asks for {costs}")


@dataclass(frozen=True, slots=True)
class LegacyArgon2id(_AnyPassword):
    """``$argon2id$v=19$m=…,t=…,p=…$salt$hash``, as every Argon2 library writes it; not sealed."""

    ceilings: Argon2Ceilings = DEFAULT_CEILINGS

    def recognises(self, value: str) -> bool:
        """See :class:`LegacyHash`."""
        return value.startswith(argon2_hash.PREFIX)

    def verify(self, value: str, password: bytes) -> bool:
        """See :class:`LegacyHash`."""
        return argon2_hash.verify(argon2_hash.parse(value, self.ceilings), password)


_SCRYPT = re.compile(
    rf"\$scrypt\$ln=(?P<ln>{phc.NUMBER}),r=(?P<r>{phc.NUMBER}),p=(?P<p>{phc.NUMBER})"
    rf"\$(?P<salt>{phc.BASE64})\$(?P<hash>{phc.BASE64})"
)
_MIN_HASH_BYTES, _MAX_HASH_BYTES = 16, 64
_MAX_EXPONENT = 31


@dataclass(frozen=True, slots=True)
class LegacyScrypt(_AnyPassword):
    """``$scrypt$ln=17,r=8,p=1$salt$hash`` (RFC 7914), as passlib and Rust's password-hash write it."""

    max_memory_kib: int = 256 * 1024
    max_lanes: int = 8

    def recognises(self, value: str) -> bool:
        """See :class:`LegacyHash`."""
        return value.startswith("$scrypt$")

    def verify(self, value: str, password: bytes) -> bool:
        """See :class:`LegacyHash`."""
        fields = _SCRYPT.fullmatch(value)
        if fields is None:
            raise unreadable("scrypt")
        try:
            salt, expected = phc.decode(fields["salt"]), phc.decode(fields["hash"])
        except ValueError:
            raise unreadable("scrypt") from None
        exponent, block, lanes = (int(fields[name]) for name in ("ln", "r", "p"))
        if not _MIN_HASH_BYTES <= len(expected) <= _MAX_HASH_BYTES or exponent >= 16 * block:  # RFC 7914 section 2
            raise unreadable("scrypt")
        # A stored exponent is compared before it is one: the power alone could fill the memory.
        memory = (128 * block) << min(exponent, _MAX_EXPONENT)
        if exponent > _MAX_EXPONENT or memory > 1024 * self.max_memory_kib or lanes > self.max_lanes:
            raise too_dear("scrypt", f"ln={exponent}, r={block}, p={lanes}")
        ceiling = memory + 128 * block * (lanes + 2) + 1024  # RFC 7914 section 5: besides V, B and what mixes it
        found = hashlib.scrypt(
            password, salt=salt, n=1 << exponent, r=block, p=lanes, maxmem=ceiling, dklen=len(expected)
        )
        return hmac.compare_digest(found, expected)


_PBKDF2_PHC = re.compile(
    rf"\$pbkdf2(?:-(?P<digest>sha1|sha256|sha512))?\$(?:i=)?(?P<i>{phc.NUMBER})(?:,l=(?P<l>{phc.NUMBER}))?"
    r"\$(?P<salt>[A-Za-z0-9+/.]{1,1024})\$(?P<hash>[A-Za-z0-9+/.]{1,1024})"
)
_PBKDF2_DJANGO = re.compile(
    rf"pbkdf2_(?P<digest>sha1|sha256)\$(?P<i>{phc.NUMBER})\$(?P<salt>[!-#%-~]{{1,128}})\$(?P<hash>{phc.BASE64}={{0,2}})"
)


@dataclass(frozen=True, slots=True)
class LegacyPbkdf2(_AnyPassword):
    """PBKDF2-HMAC (RFC 8018) with SHA-1, SHA-256 or SHA-512 in three spellings.

    ``$pbkdf2-sha256$i=600000,l=32$salt$hash`` (PHC), ``$pbkdf2-sha256$600000$salt$hash`` (passlib, with ``.`` for
    ``+``) and ``pbkdf2_sha256$600000$salt$hash`` (Django, whose salt is text).
    """

    max_iterations: int = 4_000_000

    def recognises(self, value: str) -> bool:
        """See :class:`LegacyHash`."""
        return value.startswith(("$pbkdf2$", "$pbkdf2-", "pbkdf2_"))

    def verify(self, value: str, password: bytes) -> bool:
        """See :class:`LegacyHash`."""
        try:
            digest, iterations, salt, expected = self._read(value)
        except ValueError:
            raise unreadable("PBKDF2") from None
        if iterations > self.max_iterations:
            raise too_dear("PBKDF2", f"{iterations} iterations")
        found = hashlib.pbkdf2_hmac(digest, password, salt, iterations, len(expected))
        return hmac.compare_digest(found, expected)

    @staticmethod
    def _read(value: str) -> tuple[str, int, bytes, bytes]:
        """Digest, iterations, salt and hash; raises ValueError."""
        if fields := _PBKDF2_PHC.fullmatch(value):
            salt, expected = (phc.decode(fields[name].replace(".", "+")) for name in ("salt", "hash"))
            if fields["l"] is not None and int(fields["l"]) != len(expected):
                raise ValueError("l is not the length of the hash")
        elif fields := _PBKDF2_DJANGO.fullmatch(value):
            salt, expected = fields["salt"].encode("ascii"), phc.decode(fields["hash"].rstrip("="))
        else:
            raise ValueError("none of the spellings")
        if not _MIN_HASH_BYTES <= len(expected) <= _MAX_HASH_BYTES:
            raise ValueError("no sensible length of a hash")
        return fields["digest"] or "sha1", int(fields["i"]), salt, expected


_SHA256_BYTES = 32
_BASE64_FORM = re.compile(r"[A-Za-z0-9+/]{86}==")
_HEX_FORM = re.compile(r"[0-9a-f]{128}|[0-9A-F]{128}")


@dataclass(frozen=True, slots=True)
class LegacySaltedSha256(_AnyPassword):
    """SHA-256 of salt and password, 32 bytes each of salt and hash, in base64 (88 characters) or hex (128).

    Airlock IAM's "SHA256 Base64" and "SHA256 Hex" password hashes. Its manual says for the raw form that the salt comes
    first in the value; where another system put it behind the hash, say ``salt_first=False``.
    """

    encoding: str = "base64"
    """``base64`` or ``hex``."""
    salt_first: bool = True

    def recognises(self, value: str) -> bool:
        """See :class:`LegacyHash`."""
        return (_HEX_FORM if self.encoding == "hex" else _BASE64_FORM).fullmatch(value) is not None

    def verify(self, value: str, password: bytes) -> bool:
        """See :class:`LegacyHash`."""
        try:
            octets = bytes.fromhex(value) if self.encoding == "hex" else base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raise unreadable("salted SHA-256") from None
        first, second = octets[:_SHA256_BYTES], octets[_SHA256_BYTES:]
        salt, expected = (first, second) if self.salt_first else (second, first)
        return hmac.compare_digest(hashlib.sha256(salt + password).digest(), expected)
