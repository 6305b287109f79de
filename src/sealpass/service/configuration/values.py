# SPDX-License-Identifier: Apache-2.0
"""What a configuration says, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY, Argon2Ceilings, Argon2Parameters
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, Purpose
from sealpass.core.profile import Profile
from sealpass.core.uri import KeyUri
from sealpass.service.configuration.findings import Locations
from sealpass.service.policy import BlockList, PasswordPolicy
from sealpass.service.storage import LockOut


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """``[database]``."""

    url: str
    """A URL without a password, or ``env:NAME`` or ``file:PATH`` that holds one."""
    connections: int = 10
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class RingSettings:
    """``[rings.NAME]``."""

    current: KeyUri
    previous: tuple[KeyUri, ...] = ()
    failure_floor_seconds: float | None = None
    """None: the backend's own."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """``[steps.NAME]``."""

    profile: Profile
    ring: str | None
    """None: the step has no E2EE. That is sound only where ``e2ee_off`` says that it is meant."""
    e2ee_off: bool = False
    policy_off: bool = False


@dataclass(frozen=True, slots=True)
class HashingSettings:
    """``[hashing]``."""

    parameters: Argon2Parameters = RFC_9106_LOW_MEMORY
    ceilings: Argon2Ceilings | None = None
    """None: what is usual, or what the parameters need."""
    legacy: tuple[str, ...] = ()
    """Names of LEGACY_HASHES."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """``[policy]``."""

    rules: PasswordPolicy = field(default_factory=PasswordPolicy)
    """All but the block list."""
    block_list: Path | None = None


@dataclass(frozen=True, slots=True)
class NonceSettings:
    """``[nonces]``."""

    lifetime_seconds: float = DEFAULT_LIFETIME_SECONDS
    capacity: int = 100_000
    per_session: int = 16


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file, read and found right in itself. Whether its keys answer and fit is config check's to say."""

    path: Path
    database: DatabaseSettings
    rings: Mapping[str, RingSettings]
    records_ring: str
    steps: Mapping[Purpose, StepSettings]
    """Those that the file names."""
    hashing: HashingSettings
    policy: PolicySettings
    lock_out: LockOut
    reuse_lock_out: LockOut
    letter_lifetime_seconds: float
    nonces: NonceSettings
    reload_seconds: float | None
    """None: the rings are read again only when somebody asks for it."""
    locations: Locations = field(compare=False, repr=False)

    def password_policy(self) -> PasswordPolicy:
        """With the block list, which is read now; raises ConfigError."""
        path = self.policy.block_list
        return replace(self.policy.rules, block_list=None if path is None else BlockList.load(path))

    def token_rings(self) -> set[str]:
        """The names of the rings that open tokens."""
        return {step.ring for step in self.steps.values() if step.ring is not None}

    def changes_but_for_keys(self, other: "Configuration") -> list[str]:
        """The settings in which another one differs, as TOML writes them, without the keys of the rings."""
        names = [f.name for f in fields(self) if f.compare and f.name not in ("path", "rings")]
        changed = [_TABLES[name] for name in names if getattr(self, name) != getattr(other, name)]
        floors = [{name: ring.failure_floor_seconds for name, ring in c.rings.items()} for c in (self, other)]
        return changed + (["rings"] if floors[0] != floors[1] else [])


_TABLES = {
    "database": "database",
    "records_ring": "records",
    "steps": "steps",
    "hashing": "hashing",
    "policy": "policy",
    "lock_out": "lock-out",
    "reuse_lock_out": "reuse-lock-out",
    "letter_lifetime_seconds": "letters",
    "nonces": "nonces",
    "reload_seconds": "reload",
}
