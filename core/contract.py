# SPDX-License-Identifier: Apache-2.0
"""The contract between browser and server: profiles, the announcement, and one password out of one token.

Order of the checks (docs/decisions/0003): form, size, header, nonce consumed, key. What a token says is compared
with the nonce record; nothing is ever looked up by it.
"""

import base64
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sealpass.core import jwe, strict_json
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, RejectReason, TokenRejected, UnsupportedAlgorithm
from sealpass.core.json_pointer import JsonPointer
from sealpass.core.jwk import PublicJwk
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, NonceRecord, NonceStore, Purpose
from sealpass.core.protocols import Unwrapper

NONCE_BYTES = 32
PADDING_BYTES = 64
"""Payloads of profile ``sealpass`` are padded to a multiple of this, so that a token's length hides the password's."""


class UnwrapperRing(Protocol):
    """The keys of a ring, by key id: what the contract needs of :class:`sealpass.KeyRing`."""

    @property
    def current(self) -> Unwrapper:
        """The key to announce."""
        ...

    def find(self, kid: str) -> Unwrapper | None:
        """The current or a previous key, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Profile:
    """One dialect of the contract. Frozen; make a variant with :meth:`allowing_sha1` or :meth:`reading`."""

    name: str
    algs: tuple[str, ...]
    """In order of preference."""
    encs: tuple[str, ...]
    required_members: frozenset[str]
    optional_members: frozenset[str]
    client_picks_enc: bool
    padded_nonce: bool
    """base64 with ``=`` (Airlock) instead of base64url without."""
    pointer: JsonPointer
    exact_payload: bool
    """Nothing but the password in the payload, and padded to PADDING_BYTES."""

    def allowing_sha1(self) -> "Profile":
        """The same profile that also takes ``RSA-OAEP`` (SHA-1), for tokens that can do nothing else."""
        return self if "RSA-OAEP" in self.algs else replace(self, algs=(*self.algs, "RSA-OAEP"))

    def reading(self, pointer: str) -> "Profile":
        """The same profile with the password at another JSON Pointer; raises ConfigError where it is fixed."""
        if self.exact_payload and pointer != self.pointer.text:
            raise ConfigError(f"profile {self.name} has its password at {self.pointer.text}")
        return replace(self, pointer=JsonPointer(pointer))

    def new_nonce(self) -> str:
        """A fresh nonce in the profile's spelling."""
        octets = secrets.token_bytes(NONCE_BYTES)
        if self.padded_nonce:
            return base64.b64encode(octets).decode("ascii")
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")

    def parse(self, token: str | bytes) -> jwe.CompactJwe:
        """Form, size and header; raises TokenRejected."""
        return jwe.parse(token, self._members, self.algs, self.encs)

    def _members(self, header: Mapping[str, Any]) -> str | None:
        others = header.keys() - self.required_members
        if len(header) - len(others) != len(self.required_members) or others - self.optional_members:
            return f"the members of the header are not those of profile {self.name}"
        if not isinstance(header["nonce"], str) or not isinstance(header.get("kid", ""), str):
            return "nonce and kid are strings"
        return None

    def write_payload(self, password: str) -> bytes:
        """The payload for a password, padded as the profile wants; raises ConfigError for lone surrogates."""
        text = json.dumps(self.pointer.build(password), ensure_ascii=False, separators=(",", ":"))
        payload = text.encode("utf-8", "replace")  # the error of a strict encode() would hold the password
        if payload.decode("utf-8") != text:
            raise ConfigError("the password is not Unicode text")
        return payload + b" " * (-len(payload) % PADDING_BYTES) if self.exact_payload else payload

    def read_password(self, payload: bytes) -> str | None:
        """The password (secret), exactly as sent, or None where the payload breaks the contract. Never raises."""
        if self.exact_payload and len(payload) % PADDING_BYTES:
            return None
        try:
            value = strict_json.loads(payload)
            password = self.pointer.find(value)
        except (ValueError, LookupError):
            return None
        if not isinstance(password, str) or (self.exact_payload and len(value) != 1):
            return None
        return password


SEALPASS = Profile(
    name="sealpass",
    algs=("RSA-OAEP-256",),
    encs=("A256GCM",),
    required_members=frozenset(("alg", "enc", "kid", "nonce")),
    optional_members=frozenset(),
    client_picks_enc=False,
    padded_nonce=False,
    pointer=JsonPointer("/password"),
    exact_payload=True,
)
AIRLOCK_JWE = Profile(
    name="airlock-jwe",
    algs=("RSA-OAEP-256",),
    encs=("A128GCM", "A256GCM"),
    required_members=frozenset(("alg", "enc", "nonce")),
    optional_members=frozenset(("kid",)),
    client_picks_enc=True,
    padded_nonce=True,
    pointer=JsonPointer("/password"),
    exact_payload=False,
)
PROFILES = {profile.name: profile for profile in (SEALPASS, AIRLOCK_JWE)}
"""The profiles that carry a password and a nonce; plain ``jwe`` is :func:`sealpass.core.jwe.decrypt`."""


def profile_named(name: str) -> Profile:
    """Look a profile up; raises ConfigError."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"no profile '{name}'", hint=f"profiles: {', '.join(PROFILES)}") from None


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
        return {
            "type": "JWE",
            "nonce": self.nonce,
            "publicKey": self.public_key.to_dict(self.alg),
            "profile": self.profile,
            "alg": self.alg,
            "enc": self.enc,
        }

    @classmethod
    def from_json(cls, text: bytes, default_profile: str = "airlock-jwe") -> "E2eeInformation":
        """Read what a server announced; Airlock's own three members are enough. Raises ConfigError."""
        try:
            members = strict_json.loads(text)
        except ValueError as error:
            raise ConfigError(f"the E2EE information is not JSON: {error}") from None
        if not isinstance(members, dict) or members.get("type") != "JWE":
            raise ConfigError("the E2EE information has not the type 'JWE'")
        key, nonce = members.get("publicKey"), members.get("nonce")
        profile = profile_named(str(members.get("profile", default_profile)))
        if not isinstance(nonce, str) or not isinstance(key, dict):
            raise ConfigError("the E2EE information lacks nonce or publicKey")
        alg = members.get("alg", key.get("alg", profile.algs[0]))
        enc = members.get("enc", profile.encs[0])
        if alg not in profile.allowing_sha1().algs or enc not in profile.encs:
            raise ConfigError("the E2EE information announces an algorithm that the profile does not have")
        return cls(profile.name, alg, enc, nonce, PublicJwk.from_dict(key))


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
    parsed = profile.parse(token)
    if deadline is not None:
        deadline.check()
    header = parsed.header
    record = nonces.consume(header["nonce"])
    if record is None:
        raise TokenRejected(RejectReason.NONCE, "the nonce is unknown, used or expired")
    if (record.session, record.purpose, record.profile) != (session, purpose, profile.name):
        raise TokenRejected(RejectReason.NONCE, "the nonce was issued for something else")
    if header["alg"] != record.alg or header["enc"] not in record.encs:
        raise TokenRejected(RejectReason.ANNOUNCEMENT, "alg or enc is not what was announced")
    if header.get("kid", record.kid) != record.kid:
        raise TokenRejected(RejectReason.ANNOUNCEMENT, "kid is not the announced key")
    key = ring.find(record.kid)
    if key is None:
        raise TokenRejected(RejectReason.KEY_RETIRED, "the announced key has left the key ring")
    return jwe.open_token(parsed, key, profile.read_password, deadline)
