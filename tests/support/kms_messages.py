# SPDX-License-Identifier: Apache-2.0
"""Messages of profile ``airlock-kms`` to test with: built by hand, taken apart, and damaged in one place.

As in :mod:`tests.support.tokens` the builder uses cryptography only, and makes what a correct client never would.
"""

import base64
import itertools
import json
import secrets
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile, NonceForm
from sealpass.core.nonces import MemoryNonceStore, NonceStore, Purpose
from tests.support import tokens
from tests.support.contract import PASSWORD, SESSION

MEMBERS = ("password", "key", "iv")
SETTINGS = {
    f"{bits}-{form.value}": AIRLOCK_KMS.with_key_bits(bits).authenticating(form)
    for bits, form in itertools.product((128, 256), NonceForm)
}
"""The profile under every combination of what Airlock does not document."""


def split(message: str) -> dict[str, bytes]:
    """The decoded members, by the standard library."""
    return {name: base64.b64decode(text, validate=True) for name, text in json.loads(message).items()}


def join(members: dict[str, bytes]) -> str:
    """The inverse of :func:`split`."""
    return json.dumps({name: base64.b64encode(octets).decode("ascii") for name, octets in members.items()})


def changed(message: str, member: str, change: Callable[[bytes], bytes]) -> str:
    """The message with the octets of one member changed."""
    members = split(message)
    return join(members | {member: change(members[member])})


def flip_bit(message: str, member: str, bit: int) -> str:
    """The message with one bit of one decoded member flipped; bit 0 is the lowest of the first byte."""

    def flipped(octets: bytes) -> bytes:
        number = int.from_bytes(octets, "little") ^ 1 << bit
        return number.to_bytes(len(octets), "little")

    return changed(message, member, flipped)


class KmsFlow:
    """Announces, builds and unwraps for one session and purpose; cf. :class:`tests.support.contract.Flow`."""

    def __init__(
        self, ring: UnwrapperRing, profile: KmsProfile = AIRLOCK_KMS, nonces: NonceStore | None = None
    ) -> None:
        self.ring = ring
        self.profile = profile
        self.nonces = MemoryNonceStore() if nonces is None else nonces

    def announce(self, **options: Any) -> E2eeInformation:
        """A nonce for one password."""
        return announce(self.ring, self.profile, self.nonces, SESSION, Purpose.CHECK, **options)

    def message(
        self,
        information: E2eeInformation,
        payload: bytes = PASSWORD.encode(),
        *,
        oaep: padding.OAEP | None = None,
        cek: bytes | None = None,
        iv: bytes | None = None,
        aad: bytes | None = None,
    ) -> str:
        """A message with a valid tag that answers an announcement, but for what is given."""
        if oaep is None:
            oaep = tokens.OAEP_SHA1 if information.alg == "RSA-OAEP" else tokens.OAEP_SHA256
        if cek is None:
            cek = secrets.token_bytes(tokens.CEK_BYTES[information.enc])
        iv = secrets.token_bytes(12) if iv is None else iv
        if aad is None:
            text = self.profile.nonce_form is NonceForm.TEXT
            aad = information.nonce.encode("ascii") if text else base64.urlsafe_b64decode(information.nonce)
        sealed = AESGCM(cek).encrypt(iv, payload, aad)
        return join({"password": sealed, "key": information.public_key.public_key().encrypt(cek, oaep), "iv": iv})

    def unwrap(self, message: Any, *, deadline: Deadline | None = None) -> str:
        """The password. ``message`` is whatever a web framework found in the field."""
        return unwrap_password(message, self.ring, self.profile, self.nonces, SESSION, Purpose.CHECK, deadline=deadline)

    def is_spent(self) -> bool:
        """Whether the step has no nonce left; takes it."""
        return self.nonces.consume_latest(SESSION, Purpose.CHECK, self.profile.name) is None
