# SPDX-License-Identifier: Apache-2.0
"""The roles that a key can play. Small on purpose: a backend implements the ones its device can do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from sealpass.core.algorithms import ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import ContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.uri import KeyUri


class Key(Protocol):
    """An open key. Thread-safe; whoever opened it closes it."""

    @property
    def uri(self) -> KeyUri:
        """The URI that opens this key."""
        ...

    @property
    def key_id(self) -> str:
        """RSA: the RFC 7638 thumbprint. Symmetric: an id of the key's own. Public in either case."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Found by trying, once, at open."""
        ...

    def close(self) -> None:
        """Give back sessions and login. Idempotent; any later use raises ConfigError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Unwrapper(Key, Protocol):
    """An RSA private key that unwraps content encryption keys."""

    @property
    def public_jwk(self) -> PublicJwk:
        """The public half, for whoever encrypts."""
        ...

    @property
    def failure_floor(self) -> FailureFloor:
        """When failures under this key are released."""
        ...

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> ContentKey:
        """Unwrap a CEK for ``enc`` (RFC 7516 section 5.2 steps 9 to 11).

        Whatever is wrong with ``encrypted_key``, the answer is a ContentKey that opens nothing: its random CEK was
        drawn before the device was called (RFC 7516 section 11.5). Raises operator errors only:
        UnsupportedAlgorithm before any I/O, BackendUnavailable, AuthenticationFailed.
        """
        ...

    def probe(self, deadline: Deadline | None = None) -> None:
        """Ask the device something cheap; raises BackendUnavailable where it does not answer.

        A device that is busy until the deadline is not dead: that is no error.
        """
        ...


MAX_SEALED_BYTES = 4096
"""What AWS KMS encrypts at most, and so every Sealer: a record must be able to move to another device."""

_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))


def check_sealable(plaintext: object, aad: object) -> None:
    """Refuse what not every device seals; raises ConfigError."""
    if not isinstance(plaintext, bytes) or not isinstance(aad, bytes):
        raise ConfigError("what is sealed, and what it is bound to, are bytes", hint="encode text: text.encode()")
    if not 0 < len(plaintext) <= MAX_SEALED_BYTES:
        raise ConfigError(f"1 to {MAX_SEALED_BYTES} bytes can be sealed, not {len(plaintext)}")
    if not aad or aad.translate(None, _PRINTABLE_ASCII):
        raise ConfigError("records are bound to printable ASCII: AWS KMS knows text only")


# Not frozen, though nobody changes one: that would cost 0.2 µs each, twice in every record that is sealed or opened.
@dataclass(slots=True)
class Sealed:
    """What a Sealer made. ``nonce`` is empty where the ciphertext holds everything (AWS KMS)."""

    algorithm: str
    nonce: bytes
    ciphertext: bytes


@runtime_checkable
class Sealer(Key, Protocol):
    """A symmetric key that encrypts and authenticates."""

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """Encrypt 1 to MAX_SEALED_BYTES (secret) under a fresh nonce and bind them to ``aad``, printable ASCII.

        Raises operator errors only: ConfigError for another length or AAD, before any I/O.
        """
        ...


@runtime_checkable
class Opener(Key, Protocol):
    """A symmetric key that opens what its Sealer made."""

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """The plaintext, or None where it does not open under this key and ``aad``. Raises operator errors only."""
        ...


@runtime_checkable
class Resealer(Key, Protocol):
    """A symmetric key on whose device a record can be moved to another key, without its plaintext leaving it."""

    def reencrypt(
        self, sealed: Sealed, aad: bytes, target: Key, new_aad: bytes, deadline: Deadline | None = None
    ) -> Sealed | None:
        """Open under this key and ``aad``, seal under ``target`` and ``new_aad``; None where it does not open.

        Raises operator errors only: UnsupportedAlgorithm, before any I/O, where the device cannot reach ``target``.
        """
        ...


@runtime_checkable
class DescribesItself(Protocol):
    """A key that can name the module, token, firmware or service behind it."""

    def describe(self) -> Mapping[str, str]:
        """Public facts by name, for people; no secret."""
        ...


@runtime_checkable
class FollowsAlias(Key, Protocol):
    """A key that was opened through a name which can come to mean another key (an AWS KMS alias).

    The open key stays the key that it is. Whoever holds it asks now and then, and opens the URI again where it moved.
    """

    @property
    def alias_interval(self) -> float:
        """Seconds between two questions."""
        ...

    def has_moved(self, deadline: Deadline | None = None) -> bool:
        """Ask the device whether the URI names another key now. Raises operator errors."""
        ...


@dataclass(frozen=True, slots=True)
class KeyListing:
    """One key as ``sealpass keys list`` shows it."""

    uri: KeyUri
    kind: str
    """``RSA-2048`` or ``AES-256``."""
    key_id: str | None
    modes: tuple[UnwrapMode, ...] = ()
    aliases: tuple[str, ...] = ()
    """Names on the device that point to the key and can be moved (AWS KMS: ``alias/NAME``)."""


class KeyMaker(Protocol):
    """Makes, imports and lists keys on a device or in a file."""

    def create_rsa(self, bits: int, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """Make an RSA pair for one unwrap mode; its private half is sensitive and not extractable.

        The answer opens the key. Raises ConfigError where a key answers to the URI already.
        """
        ...

    def create_aes(self, bits: int) -> KeyUri:
        """Make an AES key for sealing; sensitive and not extractable."""
        ...

    def import_rsa(self, pem: bytes, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """Store an existing PKCS #8 private key (PEM, not encrypted; secret). For tests and migrations."""
        ...

    def list_keys(self) -> Iterator[KeyListing]:
        """The keys that the URI selects."""
        ...


@dataclass(frozen=True, slots=True)
class PointedAlias:
    """What an AliasPointer did. The URIs of keys name them by their id, as a ring's ``previous`` wants them."""

    name: str
    """The alias, as the device calls it."""
    uri: KeyUri
    """The alias's own URI."""
    target: KeyUri
    """The key that the alias names now."""
    previous: KeyUri | None
    """The key that it named before: ``target`` where it named that already, None where the alias is new."""


@runtime_checkable
class AliasPointer(Protocol):
    """A KeyMaker on whose device names point to keys and can be moved (AWS KMS)."""

    def point_alias(self, target: KeyUri, *, create: bool = False) -> PointedAlias:
        """Let the alias of this maker's URI name the key ``target``.

        Raises ConfigError where kind or use of the two keys differ, and where the alias is not there yet: only
        ``create`` makes one, because a name with a typing error would be a new one.
        """
        ...


def as_unwrapper(key: Key) -> Unwrapper:
    """The key in its role; raises UnsupportedAlgorithm where it does not unwrap."""
    if not isinstance(key, Unwrapper) or not key.capabilities.unwrap:
        raise UnsupportedAlgorithm("this key does not unwrap with RSA-OAEP", hint="name an RSA private key")
    return key


def as_sealer(key: Key) -> Sealer:
    """The key in its role; raises UnsupportedAlgorithm where it does not seal."""
    if not isinstance(key, Sealer) or not key.capabilities.seal:
        raise UnsupportedAlgorithm("this key does not seal", hint="name an AES key, or a symmetric key of AWS KMS")
    return key
