# SPDX-License-Identifier: Apache-2.0
"""What is qualified: one key under one profile, and what its device tells about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME, ContentEncryption, RsaOaep
from sealpass.core.errors import Error
from sealpass.core.nonces import MemoryNonceStore, NonceStore
from sealpass.core.profile import Profile
from sealpass.core.protocols import DescribesItself, Key, Unwrapper


@runtime_checkable
class ShowsAttributes(Protocol):
    """A key whose device holds attributes that a policy can be checked against (PKCS#11)."""

    def attributes(self) -> Mapping[str, bool | int | str | None]:
        """Attributes of the private key by name, None where the device does not answer.

        Names are those of PKCS#11 without CKA_, in lower case: ``sensitive``, ``extractable``, ``decrypt``, …; besides
        ``raw_rsa`` and ``rsa_pkcs``: whether the key may be used with CKM_RSA_X_509 and CKM_RSA_PKCS;
        ``cek_readable``: whether a holder of the PIN can unwrap a CEK so that it can be read;
        ``cek_length_checked``: whether a CEK of another size than asked for opens nothing.
        """
        ...


@runtime_checkable
class MayBeEmulated(Protocol):
    """A key that knows whether its device is the real one or a stand-in for tests (AWS KMS)."""

    @property
    def is_emulator(self) -> bool:
        """Whether it is a stand-in, whose speed says nothing about the device."""
        ...


class Answer(StrEnum):
    """How a question to a device ended."""

    READ = "read"
    NOT_AVAILABLE = "not-available"
    """There is nothing to ask."""
    NO_ANSWER = "no-answer"
    """There is, and the device did not answer: what it would have said is not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device says of itself or of a key, or why that is not known."""

    status: Answer
    values: Mapping[str, Any] | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        values = None if self.values is None else dict(self.values)
        return {"status": self.status.value, "reason": self.reason, "values": values}


def nothing_to_ask(reason: str) -> Facts:
    """The facts of what has none."""
    return Facts(Answer.NOT_AVAILABLE, None, reason)


def _ask(read: Callable[[], Mapping[str, Any]]) -> Facts:
    try:
        return Facts(Answer.READ, dict(read()), None)
    except Error as error:
        return Facts(Answer.NO_ANSWER, None, f"the device did not answer: {error.code}")
    except Exception as error:  # noqa: BLE001 - whatever a device raises is no answer; its text may hold anything
        return Facts(Answer.NO_ANSWER, None, f"the device did not answer: exception {type(error).__name__}")


def module_facts(key: Key) -> Facts:
    """What the module and token behind a key say of themselves."""
    return _ask(key.describe) if isinstance(key, DescribesItself) else nothing_to_ask("no module is behind such a key")


def key_attributes(key: Unwrapper) -> Facts:
    """The attributes of the private key."""
    if not isinstance(key, ShowsAttributes):
        return nothing_to_ask("keys of this kind have no attributes to read")
    return _ask(key.attributes)


def is_emulated(key: Key) -> bool:
    """Whether a stand-in answers for the device."""
    return isinstance(key, MayBeEmulated) and key.is_emulator


@dataclass(frozen=True, slots=True)
class OneRing:
    """A ring of keys that somebody else opened and closes."""

    current: Unwrapper
    previous: tuple[Unwrapper, ...] = ()

    def find(self, kid: str) -> Unwrapper | None:
        """See :class:`~sealpass.core.contract.UnwrapperRing`."""
        return next((key for key in (self.current, *self.previous) if key.key_id == kid), None)


@dataclass(frozen=True)
class Subject:
    """A key under a profile, with the algorithms that the profile announces for it."""

    key: Unwrapper
    profile: Profile
    alg: str
    enc: str
    nonces: NonceStore = field(default_factory=MemoryNonceStore)
    may_take_any_cek_size: bool = False
    """The CEK stays in a token that does not tell its size."""

    @property
    def ring(self) -> OneRing:
        """The ring in which the key is the current one."""
        return OneRing(self.key)

    @property
    def oaep(self) -> RsaOaep:
        """The padding of ``alg``."""
        return OAEP_BY_JWE_NAME[self.alg]

    @property
    def content_encryption(self) -> ContentEncryption:
        """The content encryption of ``enc``."""
        return ENC_BY_JWE_NAME[self.enc]

    @cached_property
    def public_key(self) -> rsa.RSAPublicKey:
        """What a sender encrypts to; making it costs more than using it."""
        return self.key.public_jwk.public_key()

    @cached_property
    def stranger(self) -> rsa.RSAPrivateKey:
        """Somebody else's key of the same size."""
        return rsa.generate_private_key(public_exponent=65537, key_size=self.key.public_jwk.bits)
