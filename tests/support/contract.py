# SPDX-License-Identifier: Apache-2.0
"""One login flow to test the contract with: a nonce store, a ring, a profile, and tokens that answer announcements."""

from typing import Any

from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.errors import RejectReason, TokenRejected
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from sealpass.core.nonces import MemoryNonceStore, Purpose
from sealpass.core.protocols import Unwrapper
from tests.support import tokens

JWE_PROFILES = {profile.name: profile for profile in (SEALPASS, AIRLOCK_JWE)}
PASSWORD = "korrekt Pferd ☃ Batterie"
SESSION = "session-1"


class OneKeyRing:
    """The smallest ring: one key, or none once it is retired."""

    def __init__(self, key: Unwrapper) -> None:
        self.current = key
        self.retired = False

    def find(self, kid: str) -> Unwrapper | None:
        """See UnwrapperRing."""
        return self.current if kid == self.current.key_id and not self.retired else None


class Flow:
    """Announces and unwraps for one session and purpose."""

    def __init__(self, ring: UnwrapperRing, profile: JweProfile) -> None:
        self.ring = ring
        self.profile = profile
        self.nonces = MemoryNonceStore()

    def announce(self, **options: Any) -> E2eeInformation:
        """A nonce for one password."""
        return announce(self.ring, self.profile, self.nonces, SESSION, Purpose.CHECK, **options)

    def header(self, information: E2eeInformation, **changes: Any) -> dict[str, Any]:
        """The header that answers an announcement; ``changes`` replace members, None removes one."""
        members: dict[str, Any] = {"alg": information.alg, "enc": information.enc}
        if "kid" in self.profile.required_members:
            members["kid"] = information.public_key.kid
        members |= {"nonce": information.nonce, **changes}
        return {name: value for name, value in members.items() if value is not None}

    def token(self, information: E2eeInformation, payload: bytes | None = None, **changes: Any) -> str:
        """A token with a valid tag that answers an announcement, with header members changed."""
        octets = tokens.padded_payload(PASSWORD) if payload is None else payload
        # The CEK's size is that of the announced enc, because a changed one may not be known to the builder.
        return tokens.build(
            information.public_key.public_key(),
            self.header(information, **changes),
            octets,
            oaep=tokens.OAEP_SHA1 if information.alg == "RSA-OAEP" else tokens.OAEP_SHA256,
            cek=bytes(range(tokens.CEK_BYTES[information.enc])),
        )

    def unwrap(self, token: str | bytes, *, deadline: Deadline | None = None) -> str:
        """The password."""
        return unwrap_password(token, self.ring, self.profile, self.nonces, SESSION, Purpose.CHECK, deadline=deadline)

    def is_spent(self, information: E2eeInformation) -> bool:
        """Whether the nonce is used up, found out the way a client would: by sending the right token."""
        try:
            return self.unwrap(self.token(information)) != PASSWORD
        except TokenRejected as rejected:
            if rejected.reason is not RejectReason.NONCE:
                raise
            return True
