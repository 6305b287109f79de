# SPDX-License-Identifier: Apache-2.0
"""Profiles whose message is a compact JWE with the nonce in its protected header: ``sealpass``, ``airlock-jwe``."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sealpass.core import jwe, strict_json
from sealpass.core.errors import ConfigError
from sealpass.core.json_pointer import JsonPointer
from sealpass.core.jwk import PublicJwk
from sealpass.core.profile import NONCE_BYTES, Profile, utf8

PADDING_BYTES = 64
"""Payloads of profile ``sealpass`` are padded to a multiple of this, so that a token's length hides the password's."""


@dataclass(frozen=True, slots=True)
class JweProfile(Profile):
    """A dialect of compact JWE. Make a variant with :meth:`allowing_sha1` or :meth:`reading`."""

    required_members: frozenset[str]
    optional_members: frozenset[str]
    padded_nonce: bool
    """base64 with ``=`` (Airlock) instead of base64url without."""
    pointer: JsonPointer
    exact_payload: bool
    """Nothing but the password in the payload, and padded to PADDING_BYTES."""

    def reading(self, pointer: str) -> Self:
        """The same profile with the password at another JSON Pointer; raises ConfigError where it is fixed."""
        if self.exact_payload and pointer != self.pointer.text:
            raise ConfigError(f"profile {self.name} has its password at {self.pointer.text}")
        return replace(self, pointer=JsonPointer(pointer))

    def new_nonce(self) -> str:
        """See :class:`Profile`."""
        octets = secrets.token_bytes(NONCE_BYTES)
        if self.padded_nonce:
            return base64.b64encode(octets).decode("ascii")
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")

    def parse(self, message: str | bytes) -> jwe.CompactJwe:
        """See :class:`Profile`."""
        return jwe.parse(message, self._members, self.algs, self.encs)

    def _members(self, header: Mapping[str, Any]) -> str | None:
        others = header.keys() - self.required_members
        if len(header) - len(others) != len(self.required_members) or others - self.optional_members:
            return f"the members of the header are not those of profile {self.name}"
        if not isinstance(header["nonce"], str) or not isinstance(header.get("kid", ""), str):
            return "nonce and kid are strings"
        return None

    def write_payload(self, password: str) -> bytes:
        """See :class:`Profile`; padded as the profile wants."""
        text = json.dumps(self.pointer.build(password), ensure_ascii=False, separators=(",", ":"))
        payload = utf8(text)
        return payload + b" " * (-len(payload) % PADDING_BYTES) if self.exact_payload else payload

    def read_password(self, payload: bytes) -> str | None:
        """See :class:`Profile`."""
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

    def announcement(self, nonce: str, alg: str, enc: str, public_key: PublicJwk) -> dict[str, Any]:
        """See :class:`Profile`: Airlock's three members, then our own."""
        return {
            "type": "JWE",
            "nonce": nonce,
            "publicKey": public_key.to_dict(alg),
            "profile": self.name,
            "alg": alg,
            "enc": enc,
        }

    def read_announcement(self, members: Mapping[str, Any]) -> tuple[str, str, str, PublicJwk]:
        """See :class:`Profile`. Airlock's own three members are enough."""
        key = members.get("publicKey")
        if not isinstance(key, dict):
            raise ConfigError("the E2EE information lacks nonce or publicKey")
        alg = members.get("alg", key.get("alg", self.algs[0]))
        checked = self._check_announced(members.get("nonce"), alg, members.get("enc", self.encs[0]))
        return (*checked, PublicJwk.from_dict(key))


SEALPASS = JweProfile(
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
AIRLOCK_JWE = JweProfile(
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
