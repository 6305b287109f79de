# SPDX-License-Identifier: Apache-2.0
"""Argon2id (RFC 9106) as the hash under every record: named parameters, PHC strings, and a ceiling on their cost.

Argon2 obeys the parameters of the string that it verifies. So a string is parsed here first, and whatever asks for
more than the ceilings allow never reaches it.
"""

import re
import secrets
from dataclasses import dataclass, field

from argon2 import low_level
from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError

from sealpass.core import phc
from sealpass.core.errors import BackendUnavailable, ConfigError, RecordProblem, RecordRefused

_VERSION = 0x13
"""RFC 9106 section 3.1; ``v=19`` in a PHC string."""
MIN_SALT_BYTES, MAX_SALT_BYTES = 8, 64
MIN_TAG_BYTES, MAX_TAG_BYTES = 16, 64
_MAX_LANES = 2**24 - 1
_MAX_NUMBER = 2**32 - 1
_KIB_A_LANE = 8
_PHC = re.compile(
    rf"\$argon2id\$v=19\$m=(?P<m>{phc.NUMBER}),t=(?P<t>{phc.NUMBER}),p=(?P<p>{phc.NUMBER})"
    rf"\$(?P<salt>{phc.BASE64})\$(?P<tag>{phc.BASE64})"
)
PREFIX = "$argon2id$"


@dataclass(frozen=True, slots=True)
class Argon2Parameters:
    """What a hash costs, and how long it is. Raises ConfigError for what RFC 9106 section 3.1 does not allow."""

    memory_kib: int
    """m."""
    passes: int
    """t."""
    lanes: int
    """p: threads of one hash."""
    salt_bytes: int = 16
    tag_bytes: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= _MAX_LANES or not 1 <= self.passes <= _MAX_NUMBER:
            raise ConfigError("Argon2id takes at least one pass and one lane")
        if not _KIB_A_LANE * self.lanes <= self.memory_kib <= _MAX_NUMBER:
            raise ConfigError(f"Argon2id takes at least {_KIB_A_LANE} KiB of memory for each lane")
        if not MIN_SALT_BYTES <= self.salt_bytes <= MAX_SALT_BYTES:
            raise ConfigError(f"the salt has {MIN_SALT_BYTES} to {MAX_SALT_BYTES} bytes")
        if not MIN_TAG_BYTES <= self.tag_bytes <= MAX_TAG_BYTES:
            raise ConfigError(f"the tag has {MIN_TAG_BYTES} to {MAX_TAG_BYTES} bytes")

    def __str__(self) -> str:
        return f"m={self.memory_kib} KiB, t={self.passes}, p={self.lanes}"


RFC_9106_HIGH_MEMORY = Argon2Parameters(memory_kib=2 * 1024**2, passes=1, lanes=4)
"""RFC 9106 section 4, first recommended option: 2 GiB for every hash in progress."""
RFC_9106_LOW_MEMORY = Argon2Parameters(memory_kib=64 * 1024, passes=3, lanes=4)
"""RFC 9106 section 4, second recommended option. The default."""
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: of equal strength.
OWASP_46_MIB = Argon2Parameters(memory_kib=46 * 1024, passes=1, lanes=1)
OWASP_19_MIB = Argon2Parameters(memory_kib=19 * 1024, passes=2, lanes=1)
OWASP_12_MIB = Argon2Parameters(memory_kib=12 * 1024, passes=3, lanes=1)

HASHING_PROFILES = {
    "rfc9106-low-memory": RFC_9106_LOW_MEMORY,
    "rfc9106-high-memory": RFC_9106_HIGH_MEMORY,
    "owasp-46-mib": OWASP_46_MIB,
    "owasp-19-mib": OWASP_19_MIB,
    "owasp-12-mib": OWASP_12_MIB,
}


@dataclass(frozen=True, slots=True)
class Argon2Ceilings:
    """The most that a stored hash may ask for when it is verified."""

    memory_kib: int = 256 * 1024
    passes: int = 16
    lanes: int = 16

    def raised_to(self, parameters: Argon2Parameters) -> "Argon2Ceilings":
        """These ceilings, or higher where ``parameters`` need it."""
        return Argon2Ceilings(
            max(self.memory_kib, parameters.memory_kib),
            max(self.passes, parameters.passes),
            max(self.lanes, parameters.lanes),
        )

    def admit(self, parameters: Argon2Parameters) -> bool:
        """Whether none of the costs is above its ceiling."""
        return (
            parameters.memory_kib <= self.memory_kib
            and parameters.passes <= self.passes
            and parameters.lanes <= self.lanes
        )


DEFAULT_CEILINGS = Argon2Ceilings()


@dataclass(frozen=True, slots=True)
class Argon2Hash:
    """A PHC string that was parsed and found affordable."""

    parameters: Argon2Parameters
    text: str = field(repr=False)
    """As secret as any password hash."""


def parse(text: str, ceilings: Argon2Ceilings) -> Argon2Hash:
    """Read the one spelling of a PHC string; raises RecordRefused(content or cost), which does not quote it."""
    fields = _PHC.fullmatch(text)
    if fields is None:
        raise _unreadable()
    try:
        salt, tag = phc.decode(fields["salt"]), phc.decode(fields["tag"])
        memory, passes, lanes = (int(fields[name]) for name in "mtp")
        parameters = Argon2Parameters(memory, passes, lanes, len(salt), len(tag))
    except (ValueError, ConfigError):
        raise _unreadable() from None
    if not ceilings.admit(parameters):
        raise RecordRefused(RecordProblem.COST, f"the hash asks for {parameters}")
    return Argon2Hash(parameters, text)


def _unreadable() -> RecordRefused:
    return RecordRefused(RecordProblem.CONTENT, "not an Argon2id hash as RFC 9106 allows it")


def hash_password(password: bytes, parameters: Argon2Parameters) -> str:
    """Hash a password (secret) under a fresh salt to a PHC string; raises BackendUnavailable without the memory."""
    try:
        encoded = low_level.hash_secret(
            password,
            secrets.token_bytes(parameters.salt_bytes),
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
            hash_len=parameters.tag_bytes,
            type=low_level.Type.ID,
            version=_VERSION,
        )
    except (HashingError, MemoryError) as error:
        raise _did_not_run(error) from None
    return encoded.decode("ascii")


def verify(stored: Argon2Hash, password: bytes) -> bool:
    """Whether it is the hash of ``password`` (secret), compared in constant time; raises as hash_password."""
    try:
        return low_level.verify_secret(stored.text.encode("ascii"), password, low_level.Type.ID)
    except VerifyMismatchError:
        return False
    except (VerificationError, MemoryError) as error:
        raise _did_not_run(error) from None


def matchless_hash(parameters: Argon2Parameters) -> str:
    """A PHC string that costs what any other does, and that no password is known for: its tag was drawn."""
    salt, tag = secrets.token_bytes(parameters.salt_bytes), secrets.token_bytes(parameters.tag_bytes)
    costs = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"{PREFIX}v={_VERSION}${costs}${phc.encode(salt)}${phc.encode(tag)}"


def _did_not_run(error: Exception) -> BackendUnavailable:
    # The library's texts name a reason ("Memory allocation error") and nothing that it was given.
    return BackendUnavailable(
        f"Argon2id did not run: {str(error) or 'out of memory'}",
        retryable=True,
        hint="hash with less memory, or fewer at a time",
    )
