# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - a planted fault often is that an argument is not looked at
"""Nonce stores and readers of ``airlock-kms`` messages with one planted fault each."""

import base64
import json
from dataclasses import fields, replace
from typing import Any

from sealpass.core.errors import RejectReason, TokenRejected
from sealpass.core.jwe_profile import AIRLOCK_JWE
from sealpass.core.kms_profile import AIRLOCK_KMS, EncryptedPassword, KmsProfile, KmsSubmission
from sealpass.core.nonces import MemoryNonceStore, NonceRecord


class _Listed(MemoryNonceStore):
    """Finds the records of a step as the fault wants, oldest first."""

    def step(self, session: str, purpose: str, profile: str) -> list[NonceRecord]:
        """The records that live."""
        now = self._clock()
        return [
            record
            for expires, record in self._records.values()
            if now < expires and (record.session, record.purpose) == (session, purpose)
        ]

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        found = self.step(session, purpose, profile)
        for record in found:
            self.consume(record.nonce)
        return found[-1] if found else None


class AnswersTheOldest(_Listed):
    """Takes the first announcement of a step instead of the latest."""

    def step(self, session: str, purpose: str, profile: str) -> list[NonceRecord]:
        return super().step(session, purpose, profile)[::-1]


class KeepsOlderOnes(_Listed):
    """Takes the latest announcement of a step and leaves the others for later."""

    def step(self, session: str, purpose: str, profile: str) -> list[NonceRecord]:
        return super().step(session, purpose, profile)[-1:]


class ForgetsThePurpose(_Listed):
    """Takes whatever was announced last in a session."""

    def step(self, session: str, purpose: str, profile: str) -> list[NonceRecord]:
        return [record for _, record in self._records.values() if record.session == session][-1:]

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        record = super().consume_latest(session, purpose, profile)
        return None if record is None else _as(record, session, purpose)


class ForgetsTheSession(_Listed):
    """Takes whatever was announced last, to whomever."""

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        record = next((record for _, record in reversed(self._records.values())), None)
        if record is None:
            return None
        self.consume(record.nonce)
        return _as(record, session, purpose)


class ForgetsTheTime(_Listed):
    """Takes an announcement that has expired."""

    def step(self, session: str, purpose: str, profile: str) -> list[NonceRecord]:
        records = [record for _, record in self._records.values()]
        return [record for record in records if (record.session, record.purpose) == (session, purpose)]


def _as(record: NonceRecord, session: str, purpose: str) -> NonceRecord:
    """The record as if it were the one that was asked for."""
    return replace(record, session=session, purpose=type(record.purpose)(purpose))


class Planted(KmsProfile):
    """The profile with a reader of its own."""

    @classmethod
    def profile(cls) -> "Planted":
        """The faulty variant of the profile."""
        return cls(**{field.name: getattr(AIRLOCK_KMS, field.name) for field in fields(AIRLOCK_KMS)})


class ReadsAnyBase64(Planted):
    """Decodes what it can of base64 in any alphabet, and passes over the rest."""

    def parse(self, message: str | bytes) -> KmsSubmission:
        members = json.loads(message) if isinstance(message, str) and message.startswith("{") else {}
        if members.keys() == {"password", "key", "iv"}:
            message = json.dumps({name: _canonical(value) for name, value in members.items()})
        return super().parse(message)


def _canonical(text: object) -> object:
    if not isinstance(text, str):
        return text
    digits = text.encode("ascii", "ignore").rstrip(b" =").translate(bytes.maketrans(b"-_", b"+/"))
    return base64.b64encode(base64.b64decode(digits + b"=" * (-len(digits) % 4))).decode("ascii")


class ReadsAnyJson(Planted):
    """Takes Python's word for what JSON is, whatever stands beside the three members and around them."""

    def parse(self, message: str | bytes) -> KmsSubmission:
        text: Any = message.decode("utf-8-sig").rstrip("\0") if isinstance(message, bytes) else message
        try:
            value = json.JSONDecoder().raw_decode(text)[0] if isinstance(text, str) else text
            while not isinstance(value, dict):
                value = json.loads(value) if isinstance(value, str) else value[0]
            members = {name.lower(): member for name, member in value.items()}
            key, iv, password = (
                member[0] if isinstance(member, list) else member or ""
                for member in map(members.get, ("key", "iv", "password"))
            )
        except (ValueError, LookupError, TypeError, RecursionError):
            raise TokenRejected(RejectReason.FORM, "nothing that could be read") from None
        return super().parse(json.dumps({"key": key, "iv": iv, "password": password}))


class _BoundToNothing(KmsSubmission):
    def answering(self, record: NonceRecord) -> EncryptedPassword:
        return replace(super().answering(record), aad=b"")


class IgnoresTheNonce(Planted):
    """Authenticates nothing but the password."""

    def parse(self, message: str | bytes) -> KmsSubmission:
        parsed = super().parse(message)
        return _BoundToNothing(**{field.name: getattr(parsed, field.name) for field in fields(parsed)})


class _BoundToTheOctets(KmsSubmission):
    def answering(self, record: NonceRecord) -> EncryptedPassword:
        return replace(super().answering(record), aad=base64.urlsafe_b64decode(record.nonce))


class TakesTheOtherForm(Planted):
    """Authenticates the octets of the nonce, whatever is set."""

    def parse(self, message: str | bytes) -> KmsSubmission:
        parsed = super().parse(message)
        return _BoundToTheOctets(**{field.name: getattr(parsed, field.name) for field in fields(parsed)})


class TrimsPasswords(Planted):
    """Takes spaces and a byte order mark off a password."""

    def read_password(self, payload: bytes) -> str | None:
        password = super().read_password(payload)
        return None if password is None else password.strip(" \ufeff")


class RepairsPasswords(Planted):
    """Makes text of octets that are none."""

    def read_password(self, payload: bytes) -> str | None:
        return payload.decode("utf-8", "replace")


class TakesAJweToo(Planted):
    """Looks at a message to find out which dialect it is."""

    def parse(self, message: str | bytes) -> Any:
        return AIRLOCK_JWE.parse(message) if str(message).startswith("ey") else super().parse(message)


class GivesAnotherReason(Planted):
    """Refuses what it should, and says something else of it."""

    def parse(self, message: str | bytes) -> KmsSubmission:
        try:
            return super().parse(message)
        except TokenRejected:
            raise TokenRejected(RejectReason.HEADER, "no") from None
