# SPDX-License-Identifier: Apache-2.0
"""Profile ``airlock-kms``: Airlock IAM's message for AWS KMS, a string of JSON with ``password``, ``key`` and ``iv``.

It names neither its nonce, which is the AES-GCM additional data, nor its algorithm nor its key: all of that comes
from the nonce record. So the server looks up the latest nonce that it announced for the step of the login flow.
Airlock documents neither the size of the AES key nor the form of the nonce in the additional data; both are settings.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm as UnsupportedByCryptography
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.core import strict_json
from sealpass.core.algorithms import A256GCM, ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME, ContentEncryption, RsaOaep
from sealpass.core.errors import ConfigError, RejectReason, TokenRejected, UnsupportedAlgorithm
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.jwk import PublicJwk
from sealpass.core.nonces import NonceRecord
from sealpass.core.profile import NONCE_BYTES, Profile, utf8

KMS_ALGORITHMS = {"RSA-OAEP-256": "RSAES_OAEP_SHA_256", "RSA-OAEP": "RSAES_OAEP_SHA_1"}
"""JWE ``alg`` to the EncryptionAlgorithm of the KMS API."""
_JWE_NAMES = {kms: name for name, kms in KMS_ALGORITHMS.items()}
_ENC_BY_KEY_BITS = {128: "A128GCM", 256: "A256GCM"}
_MEMBERS = frozenset(("password", "key", "iv"))
_TO_STANDARD = str.maketrans("-_", "+/")


class NonceForm(StrEnum):
    """What of the nonce is authenticated."""

    TEXT = "text"
    """The characters of the nonce, as they were announced."""
    BYTES = "bytes"
    """The octets that they encode."""


@dataclass(frozen=True, slots=True)
class EncryptedPassword:
    """A message under what was announced for it."""

    encrypted_key: bytes
    oaep: RsaOaep
    enc: ContentEncryption
    iv: bytes
    ciphertext: bytes
    tag: bytes
    aad: bytes


@dataclass(frozen=True, slots=True)
class KmsSubmission:
    """A message of the right form and size."""

    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes
    profile: "KmsProfile"
    nonce: None = None
    kid: None = None

    def disagreement(self, record: NonceRecord) -> str | None:
        """See :class:`~sealpass.core.profile.Submission`. The message says nothing; its reader's opt-ins still hold."""
        if record.alg not in self.profile.algs or record.encs[0] not in self.profile.encs:
            return "what was announced is not what the profile takes"
        return None

    def answering(self, record: NonceRecord) -> EncryptedPassword:
        """See :class:`~sealpass.core.profile.Submission`."""
        oaep, enc = OAEP_BY_JWE_NAME[record.alg], ENC_BY_JWE_NAME[record.encs[0]]
        aad = additional_data(record.nonce, self.profile.nonce_form)
        return EncryptedPassword(self.encrypted_key, oaep, enc, self.iv, self.ciphertext, self.tag, aad)


def additional_data(nonce: str, form: NonceForm) -> bytes:
    """The AAD for a nonce; raises ConfigError for one that somebody else wrote and that has no such form."""
    if form is NonceForm.BYTES:
        octets = _decode(nonce.translate(_TO_STANDARD))
    else:
        octets = nonce.encode("ascii") if nonce.isascii() else None
    if octets is None:
        raise ConfigError(
            "the nonce is not base64 text with its '='",
            hint="Airlock's nonces have their padding; to try one: head -c 32 /dev/urandom | basenc --base64url",
        )
    return octets


def _decode(text: object) -> bytes | None:
    """Canonical base64 with ``=``, or None."""
    if not isinstance(text, str) or not text.isascii():
        return None
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return octets if binascii.b2a_base64(octets, newline=False) == text.encode("ascii") else None


@dataclass(frozen=True, slots=True)
class KmsProfile(Profile):
    """The dialect. Make a variant with :meth:`allowing_sha1`, :meth:`with_key_bits` or :meth:`authenticating`."""

    nonce_form: NonceForm

    def with_key_bits(self, bits: int) -> Self:
        """The same profile with AES keys of 128 or 256 bits; raises ConfigError."""
        if bits not in _ENC_BY_KEY_BITS:
            raise ConfigError(f"an AES key of profile {self.name} has 128 or 256 bits")
        return replace(self, encs=(_ENC_BY_KEY_BITS[bits],))

    def authenticating(self, form: NonceForm | str) -> Self:
        """The same profile with another form of the nonce as additional data; raises ConfigError."""
        try:
            return replace(self, nonce_form=NonceForm(form))
        except ValueError:
            raise ConfigError(f"the nonce is authenticated as {' or '.join(NonceForm)}") from None

    def new_nonce(self) -> str:
        """See :class:`Profile`: the base64url alphabet, and yet with ``=``, as Airlock has it."""
        return base64.urlsafe_b64encode(secrets.token_bytes(NONCE_BYTES)).decode("ascii")

    def parse(self, message: str | bytes) -> KmsSubmission:
        """See :class:`Profile`."""
        if not isinstance(message, str | bytes):  # a client that did not encode the JSON twice sends an object
            raise TokenRejected(RejectReason.FORM, "not text")
        if len(message) > MAX_TOKEN_BYTES:
            raise TokenRejected(RejectReason.SIZE, f"longer than {MAX_TOKEN_BYTES} bytes")
        # No try around encode(): its error holds the text, which is a password where a client forgot to encrypt.
        if not message.isascii():
            raise TokenRejected(RejectReason.FORM, "not JSON of ASCII characters")
        key, iv, sealed = self._members(message.encode("ascii") if isinstance(message, str) else message)
        if len(iv) != A256GCM.iv_bytes or len(sealed) < A256GCM.tag_bytes:
            raise TokenRejected(RejectReason.LENGTH, "iv or password has not the length that AES-GCM wants")
        if not key:
            raise TokenRejected(RejectReason.LENGTH, "the encrypted key is empty")
        return KmsSubmission(key, iv, sealed[: -A256GCM.tag_bytes], sealed[-A256GCM.tag_bytes :], self)

    @staticmethod
    def _members(message: bytes) -> tuple[bytes, bytes, bytes]:
        try:
            members = strict_json.loads(message)
        except ValueError:
            members = None
        # Raised out here: an exception raised in an except block takes the other one along as its context.
        if not isinstance(members, dict) or members.keys() != _MEMBERS:
            raise TokenRejected(RejectReason.FORM, "not one JSON object with exactly password, key and iv")
        key, iv, password = map(_decode, (members["key"], members["iv"], members["password"]))
        if key is None or iv is None or password is None:
            raise TokenRejected(RejectReason.FORM, "a member is not canonical base64 (RFC 4648 section 4)")
        return key, iv, password

    def write_payload(self, password: str) -> bytes:
        """See :class:`Profile`: the password itself, in UTF-8."""
        return utf8(password)

    def read_password(self, payload: bytes) -> str | None:
        """See :class:`Profile`."""
        try:
            return payload.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def announcement(self, nonce: str, alg: str, enc: str, public_key: PublicJwk) -> dict[str, Any]:  # noqa: ARG002 - a setting of both sides, announced by neither
        """See :class:`Profile`: Airlock's four members, then our own."""
        spki = public_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "type": "KMS",
            "nonce": nonce,
            "publicKey": base64.b64encode(spki).decode("ascii"),
            "algorithm": KMS_ALGORITHMS[alg],
            "profile": self.name,
        }

    def read_announcement(self, members: Mapping[str, Any]) -> tuple[str, str, str, PublicJwk]:
        """See :class:`Profile`."""
        alg = _JWE_NAMES.get(str(members.get("algorithm")))
        checked = self._check_announced(members.get("nonce"), alg, self.encs[0])
        return (*checked, _public_key(_decode(members.get("publicKey"))))


def _public_key(spki: bytes | None) -> PublicJwk:
    """An RSA key from its SubjectPublicKeyInfo (DER), as AWS GetPublicKey answers it; raises ConfigError."""
    try:
        key = None if spki is None else serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedByCryptography):
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigError("publicKey is not the SubjectPublicKeyInfo of an RSA key in base64")
    try:
        return PublicJwk.from_public_key(key)
    except UnsupportedAlgorithm as error:
        raise ConfigError(str(error)) from None


AIRLOCK_KMS = KmsProfile(
    name="airlock-kms",
    algs=("RSA-OAEP-256",),
    encs=("A256GCM",),
    client_picks_enc=False,
    nonce_form=NonceForm.TEXT,
)
