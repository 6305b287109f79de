# SPDX-License-Identifier: Apache-2.0
"""What a dialect of the contract has to say, whatever its messages look like."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from sealpass.core.algorithms import ContentEncryption, RsaOaep
from sealpass.core.errors import ConfigError
from sealpass.core.jwk import PublicJwk
from sealpass.core.nonces import NonceRecord

NONCE_BYTES = 32


class Encrypted(Protocol):
    """A message as a key takes it: everything that decrypting needs, of the right form, nothing decrypted yet."""

    @property
    def encrypted_key(self) -> bytes:
        """The CEK under the RSA key, of the length of the modulus or not."""
        ...

    @property
    def oaep(self) -> RsaOaep:
        """How the CEK is padded."""
        ...

    @property
    def enc(self) -> ContentEncryption:
        """What the CEK is for."""
        ...

    @property
    def iv(self) -> bytes:
        """Of the length that ``enc`` wants."""
        ...

    @property
    def ciphertext(self) -> bytes:
        """Without its tag."""
        ...

    @property
    def tag(self) -> bytes:
        """Of the length that ``enc`` wants."""
        ...

    @property
    def aad(self) -> bytes:
        """What is authenticated besides."""
        ...


class Submission(Protocol):
    """A message of the right form and size. Whatever it says is untrusted."""

    @property
    def encrypted_key(self) -> bytes:
        """The CEK under the RSA key, of any length."""
        ...

    @property
    def nonce(self) -> str | None:
        """The nonce that the message says it answers; None where messages of the profile do not say."""
        ...

    @property
    def kid(self) -> str | None:
        """The key that the message says it is for; None where it does not say."""
        ...

    def disagreement(self, record: NonceRecord) -> str | None:
        """In what the message differs from what was announced, or None."""
        ...

    def answering(self, record: NonceRecord) -> Encrypted:
        """The message under what was announced. The caller has looked at :meth:`disagreement`."""
        ...


@dataclass(frozen=True, slots=True)
class Profile(ABC):
    """One dialect of the contract. Frozen; methods make variants."""

    name: str
    algs: tuple[str, ...]
    """JWE names, in order of preference."""
    encs: tuple[str, ...]
    """JWE names, in order of preference."""
    client_picks_enc: bool

    def allowing_sha1(self) -> Self:
        """The same profile that also takes ``RSA-OAEP`` (SHA-1), for devices that can do nothing else."""
        return self if "RSA-OAEP" in self.algs else replace(self, algs=(*self.algs, "RSA-OAEP"))

    def reading(self, pointer: str) -> Self:
        """The same profile with the password at a JSON Pointer; raises ConfigError where it has a fixed place."""
        raise ConfigError(f"profile {self.name} has no payload for the pointer {pointer!r} to point into")

    @abstractmethod
    def new_nonce(self) -> str:
        """A fresh nonce in the profile's spelling."""

    @abstractmethod
    def parse(self, message: str | bytes) -> Submission:
        """Form, size and what else can be seen without a key or a nonce record; raises TokenRejected."""

    @abstractmethod
    def write_payload(self, password: str) -> bytes:
        """The plaintext of a message (secret); raises ConfigError where the password is no Unicode text."""

    @abstractmethod
    def read_password(self, payload: bytes) -> str | None:
        """The password (secret), exactly as sent, or None where the payload breaks the contract. Never raises."""

    @abstractmethod
    def announcement(self, nonce: str, alg: str, enc: str, public_key: PublicJwk) -> dict[str, Any]:
        """The JSON object for the client; Airlock's members first."""

    @abstractmethod
    def read_announcement(self, members: Mapping[str, Any]) -> tuple[str, str, str, PublicJwk]:
        """Nonce, alg, enc and key that a server announced; raises ConfigError."""

    def _check_announced(self, nonce: object, alg: object, enc: object) -> tuple[str, str, str]:
        if not isinstance(nonce, str):
            raise ConfigError("the E2EE information lacks nonce or publicKey")
        if alg not in self.allowing_sha1().algs or enc not in self.encs:
            raise ConfigError("the E2EE information announces an algorithm that the profile does not have")
        return nonce, str(alg), str(enc)


def utf8(password: str) -> bytes:
    """The password (secret) as UTF-8; raises ConfigError for lone surrogates."""
    octets = password.encode("utf-8", "replace")  # the error of a strict encode() would hold the password
    if octets.decode("utf-8") != password:
        raise ConfigError("the password is not Unicode text")
    return octets
