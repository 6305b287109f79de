# SPDX-License-Identifier: Apache-2.0
"""A contract case: a token that a sender could send, and what has to happen to it and to its nonce."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sealpass.bench.qualification.flow import Flow
from sealpass.core.errors import RejectReason
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS

GONE_SECONDS = 1e-6
"""A nonce of this life has expired before its token is made: one RSA encryption takes longer."""


class Outcome(StrEnum):
    """What happened to a token, or should."""

    ACCEPTED = "accepted"
    """It opened, and gave exactly the password that was sent."""
    REJECTED = "rejected"
    """TokenRejected: refused before any key was used."""
    FAILED = "failed"
    """DecryptionFailed: the one failure after a key was used."""
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - the name of an outcome
    """It opened and gave something else than was sent."""
    ERROR = "error"
    """Anything else; never expected."""


class NonceRule(StrEnum):
    """What a case does to the right to one key operation."""

    KEPT = "kept"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Expected:
    """The one right answer to a case."""

    outcome: Outcome
    nonce: NonceRule | None
    """None for a case of plain JWE, which has no nonce."""
    reason: RejectReason | None = None


OPENS = Expected(Outcome.ACCEPTED, NonceRule.SPENT)
FAILS = Expected(Outcome.FAILED, NonceRule.SPENT)


def refused(reason: RejectReason) -> Expected:
    """Rejected by form, size or header, or with no nonce of its own to spend: the nonce stays."""
    return Expected(Outcome.REJECTED, NonceRule.KEPT, reason)


def refused_late(reason: RejectReason) -> Expected:
    """Rejected after the nonce was taken, before any key was used."""
    return Expected(Outcome.REJECTED, NonceRule.SPENT, reason)


# Contravariant: a case that does with any flow is a case for the flows of each dialect.
F_contra = TypeVar("F_contra", bound=Flow, contravariant=True)
Make = Callable[[F_contra], Any]
"""Makes a token: text or octets, but for the few cases that are about something else."""
Open = Callable[[F_contra, Any], str]


@dataclass(frozen=True, slots=True)
class Case(Generic[F_contra]):
    """One line of the contract (the catalogue's id plus a letter where one line has several)."""

    id: str
    title: str
    reference: str
    expected: Expected
    make: Make[F_contra]
    open: Open[F_contra] = Flow.open
    password: str | None = None
    """The password to send where the case is about it; otherwise a random one."""
    lifetime: float = DEFAULT_LIFETIME_SECONDS
    not_applicable: str | None = None
    """Why the case says nothing about this key, where it does not."""
    deviation: str | None = None
    """What a report says where a token opens that should fail, if the key's mode makes that no failure of the key."""


class Unexpected(Exception):
    """A case of several steps ended otherwise than it should; the text holds no secret."""


def flip(octets: bytes, position: int, mask: int = 1) -> bytes:
    """The octets with one bit (or more, by ``mask``) changed."""
    changed = bytearray(octets)
    changed[position] ^= mask
    return bytes(changed)
