# SPDX-License-Identifier: Apache-2.0
"""The contract between browser and server: profiles, the announcement, and one password out of one token.

Order of the checks (docs/decisions/0003): form, size, header, nonce consumed, key. What a token says is compared
with the nonce record; nothing is ever looked up by it.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from sealpass.core import jwe, strict_json
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, RejectReason, TokenRejected, UnsupportedAlgorithm
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, NonceRecord, NonceStore, Purpose
from sealpass.core.profile import Profile
from sealpass.core.protocols import Unwrapper


class UnwrapperRing(Protocol):
    """The keys of a ring, by key id: what the contract needs of :class:`sealpass.KeyRing`."""

    @property
    def current(self) -> Unwrapper:
        """The key to announce."""
        ...

    def find(self, kid: str) -> Unwrapper | None:
        """The current or a previous key, or None."""
        ...


PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SEALPASS, AIRLOCK_JWE, AIRLOCK_KMS)}
"""The profiles that carry a password and a nonce; plain ``jwe`` is :func:`sealpass.core.jwe.decrypt`."""


def profile_named(name: str) -> Profile:
    """Look a profile up; raises ConfigError."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"no profile '{name}'", hint=f"profiles: {', '.join(PROFILES)}") from None


_AIRLOCK: dict[str, Profile] = {"JWE": AIRLOCK_JWE, "KMS": AIRLOCK_KMS}


@dataclass(frozen=True, slots=True)
class E2eeInformation:
    """What the server tells the client: Airlock's ``e2eEncryptionInformation``, with the profile's own additions."""

    profile: str
    alg: str
    enc: str
    nonce: str
    public_key: PublicJwk

    def to_dict(self) -> dict[str, Any]:
        """The JSON object for the client; Airlock's members first."""
        return profile_named(self.profile).announcement(self.nonce, self.alg, self.enc, self.public_key)

    @classmethod
    def from_json(cls, text: bytes, default_profile: str | None = None) -> "E2eeInformation":
        """Read what a server announced; Airlock's own members are enough. Raises ConfigError.

        ``default_profile`` is for an announcement that names none (default: Airlock's for its type).
        """
        try:
            members = strict_json.loads(text)
        except ValueError as error:
            raise ConfigError(f"the E2EE information is not JSON: {error}") from None
        if not isinstance(members, dict) or members.get("type") not in tuple(_AIRLOCK):
            raise ConfigError(f"the E2EE information has none of the types {', '.join(_AIRLOCK)}")
        airlock = _AIRLOCK[members["type"]]
        profile = profile_named(str(members.get("profile", default_profile or airlock.name)))
        if isinstance(profile, KmsProfile) is not isinstance(airlock, KmsProfile):
            raise ConfigError(f"the E2EE information has the type {members['type']} and the profile {profile.name}")
        nonce, alg, enc, public_key = profile.read_announcement(members)
        return cls(profile.name, alg, enc, nonce, public_key)


def announced_algorithms(profile: Profile, key: Unwrapper) -> tuple[str, str]:
    """The first alg and enc of the profile that the key can do; raises UnsupportedAlgorithm where there is none."""
    can = key.capabilities
    alg = next((name for name in profile.algs if OAEP_BY_JWE_NAME[name] in can.unwrap), None)
    enc = next((name for name in profile.encs if ENC_BY_JWE_NAME[name] in can.content), None)
    if alg is None or enc is None:
        raise UnsupportedAlgorithm(
            f"the key does none of profile {profile.name}: {', '.join(profile.algs)} with {' or '.join(profile.encs)}",
            hint="a token that knows only SHA-1 needs the explicit opt-in: --allow-sha1, or Profile.allowing_sha1()"
            if "RSA-OAEP" not in profile.algs and OAEP_BY_JWE_NAME["RSA-OAEP"] in can.unwrap
            else None,
        )
    return alg, enc


def _checked_purpose(session: object, purpose: Purpose | str, lifetime: object) -> Purpose:
    """Refuse a record that no token could answer, or that a token of another login flow could; raises ConfigError."""
    if not isinstance(session, str) or not session:
        raise ConfigError("the session is a text that is not empty", hint="name the login flow, for example by its id")
    if not isinstance(lifetime, int | float) or not (math.isfinite(lifetime) and lifetime > 0):
        raise ConfigError("the lifetime of a nonce is a number of seconds above zero")
    try:
        return Purpose(purpose)
    except ValueError:
        raise ConfigError("no such purpose", hint=f"purposes: {', '.join(Purpose)}") from None


def announce(
    ring: UnwrapperRing,
    profile: Profile,
    nonces: NonceStore,
    session: str,
    purpose: Purpose | str,
    *,
    lifetime: float = DEFAULT_LIFETIME_SECONDS,
) -> E2eeInformation:
    """Issue a nonce for one password and say to which key it must be encrypted.

    ``session`` names the login flow (public enough to store, never sent); ``lifetime`` is in seconds and is also the
    grace of a key after rotation. Raises ConfigError (for a session, purpose or lifetime that is none),
    UnsupportedAlgorithm, BackendUnavailable (a full store).
    """
    purpose = _checked_purpose(session, purpose, lifetime)
    key = ring.current
    alg, enc = announced_algorithms(profile, key)
    encs = tuple(e for e in profile.encs if ENC_BY_JWE_NAME[e] in key.capabilities.content)
    record = NonceRecord(
        nonce=profile.new_nonce(),
        session=session,
        purpose=purpose,
        profile=profile.name,
        alg=alg,
        encs=encs if profile.client_picks_enc else (enc,),
        kid=key.key_id,
        lifetime=lifetime,
    )
    nonces.put(record)
    return E2eeInformation(profile.name, alg, enc, record.nonce, key.public_jwk)


def unwrap_password(
    token: str | bytes,
    ring: UnwrapperRing,
    profile: Profile | str,
    nonces: NonceStore,
    session: str,
    purpose: Purpose | str,
    *,
    deadline: Deadline | None = None,
) -> str:
    """Take one password (secret) out of one token.

    Raises TokenRejected or DecryptionFailed for what the sender sent, operator errors for the rest. A form, size or
    header that the profile refuses leaves the nonce. Everything later has spent it: a header that is right in itself
    and not what was announced (RejectReason.ANNOUNCEMENT), because only the record says so; BackendUnavailable, too.
    """
    if isinstance(profile, str):
        profile = profile_named(profile)
    if deadline is not None and not isinstance(deadline, Deadline):
        raise ConfigError("a deadline is a Deadline, not a number of seconds", hint="Deadline.after(2.0)")
    submission = profile.parse(token)
    if deadline is not None:
        deadline.check()
    nonce = submission.nonce
    record = nonces.consume_latest(session, purpose, profile.name) if nonce is None else nonces.consume(nonce)
    if record is None:
        raise TokenRejected(RejectReason.NONCE, "the nonce is unknown, used or expired")
    if (record.session, record.purpose, record.profile) != (session, purpose, profile.name):
        raise TokenRejected(RejectReason.NONCE, "the nonce was issued for something else")
    if disagreement := submission.disagreement(record):
        raise TokenRejected(RejectReason.ANNOUNCEMENT, disagreement)
    key = ring.find(record.kid)
    if key is None:
        raise TokenRejected(RejectReason.KEY_RETIRED, "the announced key has left the key ring")
    return jwe.open_token(submission.answering(record), key, profile.read_password, deadline)
