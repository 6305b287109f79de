# SPDX-License-Identifier: Apache-2.0
"""sealpass: passwords that the browser encrypted, unwrapped inside an HSM (PKCS#11).

``__all__`` is the public API and its promise: blocking, thread-safe, no thread started at import. Names are loaded
on first use, so that importing sealpass costs no device SDK and no cryptography.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealpass.backends.keyring import KeyRing
    from sealpass.backends.registry import open_key
    from sealpass.core.argon2_hash import (
        OWASP_12_MIB,
        OWASP_19_MIB,
        OWASP_46_MIB,
        RFC_9106_HIGH_MEMORY,
        RFC_9106_LOW_MEMORY,
        Argon2Ceilings,
        Argon2Parameters,
    )
    from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, profile_named, unwrap_password
    from sealpass.core.deadline import Deadline
    from sealpass.core.errors import (
        AuthenticationFailed,
        BackendUnavailable,
        ConfigError,
        DecryptionFailed,
        Error,
        KeyNotFound,
        MissingDependency,
        OperatorError,
        RecordProblem,
        RecordRefused,
        RejectReason,
        TokenRejected,
        UnsupportedAlgorithm,
    )
    from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
    from sealpass.core.jwk import PublicJwk
    from sealpass.core.kms_profile import AIRLOCK_KMS
    from sealpass.core.legacy_hashes import (
        LegacyArgon2id,
        LegacyHash,
        LegacyPbkdf2,
        LegacySaltedSha256,
        LegacyScrypt,
    )
    from sealpass.core.nonces import MemoryNonceStore, NonceRecord, NonceStore, Purpose
    from sealpass.core.passwords import Passwords, SealingRing, Verification
    from sealpass.core.profile import Profile
    from sealpass.core.protocols import Key, Opener, Sealed, Sealer, Unwrapper
    from sealpass.core.records import RecordUse
    from sealpass.core.uri import KeyUri
    from sealpass.service.configuration import ConfigurationRefused, PasswordService, Reloaded, open_service
    from sealpass.service.database import Database
    from sealpass.service.e2ee_repository import E2eePasswordRepository
    from sealpass.service.legacy_hashes import LegacyBcrypt
    from sealpass.service.nonce_store import SqlNonceStore
    from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck, PasswordRepository
    from sealpass.service.policy import BlockList, Normalisation, PasswordPolicy, PolicyReason, PolicyViolation
    from sealpass.service.repository import SqlPasswordRepository
    from sealpass.service.storage import Counter, HistoryRecord, LockOut, PasswordStorage, StoredPassword

__version__ = "0.1.0"

_HOMES = {
    "sealpass.backends.keyring": ("KeyRing",),
    "sealpass.backends.registry": ("open_key",),
    "sealpass.core.argon2_hash": (
        "Argon2Ceilings",
        "Argon2Parameters",
        "OWASP_12_MIB",
        "OWASP_19_MIB",
        "OWASP_46_MIB",
        "RFC_9106_HIGH_MEMORY",
        "RFC_9106_LOW_MEMORY",
    ),
    "sealpass.core.contract": ("E2eeInformation", "UnwrapperRing", "announce", "profile_named", "unwrap_password"),
    "sealpass.core.deadline": ("Deadline",),
    "sealpass.core.errors": (
        "AuthenticationFailed",
        "BackendUnavailable",
        "ConfigError",
        "DecryptionFailed",
        "Error",
        "KeyNotFound",
        "MissingDependency",
        "OperatorError",
        "RecordProblem",
        "RecordRefused",
        "RejectReason",
        "TokenRejected",
        "UnsupportedAlgorithm",
    ),
    "sealpass.core.jwe_profile": ("AIRLOCK_JWE", "SEALPASS"),
    "sealpass.core.jwk": ("PublicJwk",),
    "sealpass.core.kms_profile": ("AIRLOCK_KMS",),
    "sealpass.core.legacy_hashes": (
        "LegacyArgon2id",
        "LegacyHash",
        "LegacyPbkdf2",
        "LegacySaltedSha256",
        "LegacyScrypt",
    ),
    "sealpass.core.nonces": ("MemoryNonceStore", "NonceRecord", "NonceStore", "Purpose"),
    "sealpass.core.passwords": ("Passwords", "SealingRing", "Verification"),
    "sealpass.core.profile": ("Profile",),
    "sealpass.core.protocols": ("Key", "Opener", "Sealed", "Sealer", "Unwrapper"),
    "sealpass.core.records": ("RecordUse",),
    "sealpass.core.uri": ("KeyUri",),
    "sealpass.service.configuration": ("ConfigurationRefused", "PasswordService", "Reloaded", "open_service"),
    "sealpass.service.database": ("Database",),
    "sealpass.service.e2ee_repository": ("E2eePasswordRepository",),
    "sealpass.service.legacy_hashes": ("LegacyBcrypt",),
    "sealpass.service.nonce_store": ("SqlNonceStore",),
    "sealpass.service.password_repository": ("IssuedLetter", "Outcome", "PasswordCheck", "PasswordRepository"),
    "sealpass.service.policy": ("BlockList", "Normalisation", "PasswordPolicy", "PolicyReason", "PolicyViolation"),
    "sealpass.service.repository": ("SqlPasswordRepository",),
    "sealpass.service.storage": ("Counter", "HistoryRecord", "LockOut", "PasswordStorage", "StoredPassword"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - by subject, as a reader meets them
    "AIRLOCK_JWE",
    "AIRLOCK_KMS",
    "Argon2Ceilings",
    "Argon2Parameters",
    "AuthenticationFailed",
    "BackendUnavailable",
    "BlockList",
    "ConfigError",
    "ConfigurationRefused",
    "Counter",
    "Database",
    "Deadline",
    "DecryptionFailed",
    "E2eeInformation",
    "E2eePasswordRepository",
    "Error",
    "HistoryRecord",
    "IssuedLetter",
    "Key",
    "KeyNotFound",
    "KeyRing",
    "KeyUri",
    "LegacyArgon2id",
    "LegacyBcrypt",
    "LegacyHash",
    "LegacyPbkdf2",
    "LegacySaltedSha256",
    "LegacyScrypt",
    "LockOut",
    "MemoryNonceStore",
    "MissingDependency",
    "NonceRecord",
    "NonceStore",
    "Normalisation",
    "OWASP_12_MIB",
    "OWASP_19_MIB",
    "OWASP_46_MIB",
    "Opener",
    "OperatorError",
    "Outcome",
    "PasswordCheck",
    "PasswordPolicy",
    "PasswordRepository",
    "PasswordService",
    "PasswordStorage",
    "Passwords",
    "PolicyReason",
    "PolicyViolation",
    "Profile",
    "PublicJwk",
    "Purpose",
    "RFC_9106_HIGH_MEMORY",
    "RFC_9106_LOW_MEMORY",
    "RecordProblem",
    "RecordRefused",
    "RecordUse",
    "RejectReason",
    "Reloaded",
    "SEALPASS",
    "Sealed",
    "Sealer",
    "SealingRing",
    "SqlNonceStore",
    "SqlPasswordRepository",
    "StoredPassword",
    "TokenRejected",
    "UnsupportedAlgorithm",
    "Unwrapper",
    "UnwrapperRing",
    "Verification",
    "announce",
    "open_key",
    "open_service",
    "profile_named",
    "unwrap_password",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'sealpass' has no attribute {name!r}")
    value = getattr(_load(module), name)
    globals()[name] = value
    return value


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] != "sqlalchemy":
            raise
    from sealpass.core.errors import MissingDependency  # loaded with what was asked for, and not before

    raise MissingDependency("service", "sqlalchemy")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
