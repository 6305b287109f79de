# SPDX-License-Identifier: Apache-2.0
"""A contract case: a token that a sender could send, and what has to happen to it and to its nonce."""

import dataclasses
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.device import Subject
from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.errors import RejectReason
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, Purpose
from sealpass.core.profile import Profile

SESSION = "qualification"
PATIENCE_SECONDS = 30.0
"""How long a case waits for a session of the device."""


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
    """Rejected by form, size or header: the nonce stays."""
    return Expected(Outcome.REJECTED, NonceRule.KEPT, reason)


def refused_late(reason: RejectReason) -> Expected:
    """Rejected after the nonce was taken, before any key was used."""
    return Expected(Outcome.REJECTED, NonceRule.SPENT, reason)


class Flow:
    """One announced nonce, and what a sender needs to answer it well or badly."""

    def __init__(
        self, subject: Subject, *, password: str | None = None, lifetime: float = DEFAULT_LIFETIME_SECONDS
    ) -> None:
        self.subject = subject
        self.password = secrets.token_urlsafe(12) if password is None else password
        """What the token should give (secret)."""
        self.information: E2eeInformation = announce(
            subject.ring, subject.profile, subject.nonces, SESSION, Purpose.CHECK, lifetime=lifetime
        )

    @property
    def profile(self) -> Profile:
        """The profile under which the nonce was announced."""
        return self.subject.profile

    def new(self) -> "Flow":
        """Another flow of the same subject."""
        return Flow(self.subject)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The members of the right header, with changes; a change to None removes the member."""
        members = {
            "alg": self.information.alg,
            "enc": self.information.enc,
            "kid": self.information.public_key.kid,
            "nonce": self.information.nonce,
        } | changes
        return {name: value for name, value in members.items() if value is not None}

    def payload(self) -> bytes:
        """The right payload."""
        return self.profile.write_payload(self.password)

    def pad(self, payload: bytes) -> bytes:
        """A wrong payload of the right length, so that nothing but its content is wrong."""
        return payload + b" " * (-len(payload) % 64)

    def parts(
        self,
        header: bytes | dict[str, Any] | None = None,
        payload: bytes | None = None,
        *,
        cek: bytes | None = None,
        encrypted_key: bytes | None = None,
        iv_bytes: int = 12,
    ) -> crafting.Parts:
        """The five parts; whatever is not given is right."""
        members = self.header() if header is None else header
        octets = members if isinstance(members, bytes) else crafting.write_header(members)
        key = crafting.new_cek(self.subject.content_encryption) if cek is None else cek
        return crafting.seal(
            octets,
            self.encrypt_key(key) if encrypted_key is None else encrypted_key,
            key,
            self.payload() if payload is None else payload,
            iv_bytes,
        )

    def token(self, header: bytes | dict[str, Any] | None = None, payload: bytes | None = None) -> str:
        """A token that is right but for what is given."""
        return self.parts(header, payload).compact()

    def with_key(self, make: Callable[[bytes], bytes]) -> str:
        """A token whose encrypted key is what ``make`` does of the CEK."""
        cek = crafting.new_cek(self.subject.content_encryption)
        return self.parts(cek=cek, encrypted_key=make(cek)).compact()

    def encrypt_key(self, cek: bytes) -> bytes:
        """The right encrypted key."""
        return crafting.encrypt_key(self.subject.public_key, self.subject.oaep, cek)

    def open(
        self,
        token: str | bytes,
        *,
        session: str = SESSION,
        purpose: Purpose = Purpose.CHECK,
        ring: UnwrapperRing | None = None,
    ) -> str:
        """Send a token through the public API; answers the password (secret)."""
        return unwrap_password(
            token,
            self.subject.ring if ring is None else ring,
            self.profile,
            self.subject.nonces,
            session,
            purpose,
            deadline=Deadline.after(PATIENCE_SECONDS),
        )

    def nonce_rule(self) -> NonceRule:
        """Whether the nonce was spent; looking spends it."""
        return NonceRule.SPENT if self.subject.nonces.consume(self.information.nonce) is None else NonceRule.KEPT


Make = Callable[[Flow], str | bytes]
Open = Callable[[Flow, str | bytes], str]


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the contract (the catalogue's id plus a letter where one line has several)."""

    id: str
    title: str
    reference: str
    expected: Expected
    make: Make
    open: Open = Flow.open
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


def changed(parts: crafting.Parts, **values: bytes) -> str:
    """The token of ``parts`` with some of them replaced, not sealed again."""
    return dataclasses.replace(parts, **values).compact()
