# SPDX-License-Identifier: Apache-2.0
"""One announced nonce and what a sender needs to answer it well or badly, in either dialect of the contract."""

import itertools
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.device import Subject
from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.jwe_profile import PADDING_BYTES, JweProfile
from sealpass.core.kms_profile import KmsProfile, additional_data
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, Purpose

PATIENCE_SECONDS = 30.0
"""How long a case waits for a session of the device."""
_NUMBERS = itertools.count(1)


class Flow(ABC):
    """A login flow in which one nonce was announced, in a session of its own: flows do not meet in the nonce store."""

    def __init__(
        self,
        subject: Subject,
        *,
        session: str | None = None,
        purpose: Purpose = Purpose.CHECK,
        password: str | None = None,
        lifetime: float = DEFAULT_LIFETIME_SECONDS,
    ) -> None:
        self.subject = subject
        self.session = f"qualification-{next(_NUMBERS)}" if session is None else session
        self.purpose = purpose
        self.password = secrets.token_urlsafe(12) if password is None else password
        """What the token should give (secret)."""
        self.information: E2eeInformation = announce(
            subject.ring, subject.profile, subject.nonces, self.session, purpose, lifetime=lifetime
        )

    def new(self) -> Self:
        """Another flow of the same subject."""
        return type(self)(self.subject)

    def again(self, purpose: Purpose = Purpose.CHECK) -> Self:
        """The same flow after another announcement; it has another password, too."""
        return type(self)(self.subject, session=self.session, purpose=purpose)

    def payload(self) -> bytes:
        """The right payload."""
        return self.subject.profile.write_payload(self.password)

    @abstractmethod
    def parts(
        self,
        payload: bytes | None = None,
        *,
        cek: bytes | None = None,
        encrypted_key: bytes | None = None,
        iv_bytes: int = 12,
    ) -> crafting.Parts:
        """The parts of a token; whatever is not given is right."""

    def _material(
        self, payload: bytes | None, cek: bytes | None, encrypted_key: bytes | None
    ) -> tuple[bytes, bytes, bytes]:
        """Encrypted key, CEK and payload; whatever is not given is right."""
        key = crafting.new_cek(self.subject.content_encryption) if cek is None else cek
        wrapped = self.encrypt_key(key) if encrypted_key is None else encrypted_key
        return wrapped, key, self.payload() if payload is None else payload

    def token(self, payload: bytes | None = None) -> str:
        """A token that is right but for what is given."""
        return self.parts(payload).token()

    def with_key(self, make: Callable[[bytes], bytes]) -> str:
        """A token whose encrypted key is what ``make`` does of the CEK."""
        cek = crafting.new_cek(self.subject.content_encryption)
        return self.parts(cek=cek, encrypted_key=make(cek)).token()

    def encrypt_key(self, cek: bytes) -> bytes:
        """The right encrypted key."""
        return crafting.encrypt_key(self.subject.public_key, self.subject.oaep, cek)

    def open(
        self,
        token: str | bytes,
        *,
        session: str | None = None,
        purpose: Purpose | None = None,
        ring: UnwrapperRing | None = None,
    ) -> str:
        """Send a token through the public API; answers the password (secret)."""
        return unwrap_password(
            token,
            self.subject.ring if ring is None else ring,
            self.subject.profile,
            self.subject.nonces,
            self.session if session is None else session,
            self.purpose if purpose is None else purpose,
            deadline=Deadline.after(PATIENCE_SECONDS),
        )

    def is_spent(self) -> bool:
        """Whether the nonce is used up; looking spends it."""
        return self.subject.nonces.consume(self.information.nonce) is None


class JweFlow(Flow):
    """Answers with a compact JWE that has the nonce in its header."""

    @staticmethod
    def profile_of(subject: Subject) -> JweProfile:
        """The rules of the dialect."""
        assert isinstance(subject.profile, JweProfile)  # noqa: S101 - the dialect was chosen by the profile
        return subject.profile

    def header(self, **changes: Any) -> dict[str, Any]:
        """The members of the right header, with changes; a change to None removes the member."""
        members = {
            "alg": self.information.alg,
            "enc": self.information.enc,
            "kid": self.information.public_key.kid,
            "nonce": self.information.nonce,
        } | changes
        return {name: value for name, value in members.items() if value is not None}

    def pad(self, payload: bytes) -> bytes:
        """A wrong payload of the right length, so that nothing but its content is wrong."""
        return payload + b" " * (-len(payload) % PADDING_BYTES)

    def parts(
        self,
        payload: bytes | None = None,
        *,
        header: bytes | dict[str, Any] | None = None,
        cek: bytes | None = None,
        encrypted_key: bytes | None = None,
        iv_bytes: int = 12,
    ) -> crafting.JweParts:
        """See :class:`Flow`; under the right header, or another one."""
        members = self.header() if header is None else header
        octets = members if isinstance(members, bytes) else crafting.write_header(members)
        return crafting.seal(octets, *self._material(payload, cek, encrypted_key), iv_bytes)

    def token(self, payload: bytes | None = None, header: bytes | dict[str, Any] | None = None) -> str:
        """See :class:`Flow`."""
        return self.parts(payload, header=header).token()


class KmsFlow(Flow):
    """Answers with Airlock's message for AWS KMS, in which the nonce is the additional data and nothing else."""

    @staticmethod
    def profile_of(subject: Subject) -> KmsProfile:
        """The rules of the dialect."""
        assert isinstance(subject.profile, KmsProfile)  # noqa: S101 - the dialect was chosen by the profile
        return subject.profile

    def aad(self) -> bytes:
        """The right additional data."""
        return additional_data(self.information.nonce, self.profile_of(self.subject).nonce_form)

    def parts(
        self,
        payload: bytes | None = None,
        *,
        aad: bytes | None = None,
        cek: bytes | None = None,
        encrypted_key: bytes | None = None,
        iv_bytes: int = 12,
    ) -> crafting.KmsParts:
        """See :class:`Flow`; bound to the nonce, or to something else."""
        wrapped, key, plaintext = self._material(payload, cek, encrypted_key)
        bound = self.aad() if aad is None else aad
        return crafting.KmsParts(wrapped, *crafting.encrypt_gcm(key, plaintext, bound, iv_bytes))
