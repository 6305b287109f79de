# SPDX-License-Identifier: Apache-2.0
"""Symmetric keys in AWS KMS: records are sealed, opened and moved to another key without the key leaving it."""

from sealpass.backends.awskms.client import Connection, member
from sealpass.backends.awskms.kms_key import KmsKey, Metadata
from sealpass.backends.awskms.refusals import CiphertextRefused
from sealpass.backends.awskms.settings import KeyName
from sealpass.core.algorithms import SEAL_AWSKMS
from sealpass.core.capabilities import Capabilities
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.protocols import Key, Sealed, check_sealable
from sealpass.core.uri import KeyUri

CONTEXT_KEY = "sealpass"
"""The one member of every EncryptionContext; its value is the AAD."""

MAX_CIPHERTEXT_BYTES = 6144


def _context(aad: bytes) -> dict[str, str]:
    """The AAD as an EncryptionContext, which is text, and stands readable in CloudTrail."""
    text = aad.decode("ascii", "replace")
    if not text or not text.isascii() or not text.isprintable():
        raise ConfigError("what a record is bound to in AWS KMS is printable ASCII text, and not empty")
    return {CONTEXT_KEY: text}


class KmsSymmetricKey(KmsKey):
    """Sealer, Opener and Resealer with kms:Encrypt, kms:Decrypt and kms:ReEncrypt*."""

    def __init__(self, uri: KeyUri, connection: Connection, name: KeyName, metadata: Metadata) -> None:
        super().__init__(uri, connection, name, metadata)
        self.key_id = metadata.key_id
        self.capabilities = Capabilities(seal=frozenset({SEAL_AWSKMS}))

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See :class:`~sealpass.core.protocols.Sealer`."""
        self._check_open()
        check_sealable(plaintext, aad)
        context = _context(aad)
        answer = self._connection.call(
            "Encrypt", deadline, KeyId=self._arn, Plaintext=plaintext, EncryptionContext=context
        )
        return Sealed(SEAL_AWSKMS.name, b"", member(answer, "CiphertextBlob", "Encrypt"))

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See :class:`~sealpass.core.protocols.Opener`."""
        self._check_open()
        if deadline is not None:
            deadline.check()
        if not _is_of_kms(sealed):
            return None
        try:
            answer = self._connection.call(
                "Decrypt",
                deadline,
                KeyId=self._arn,
                CiphertextBlob=sealed.ciphertext,
                EncryptionContext=_context(aad),
            )
        except CiphertextRefused:
            return None
        member(answer, "KeyId", "Decrypt")
        plaintext: bytes = answer["Plaintext"]
        return plaintext

    def reencrypt(
        self, sealed: Sealed, aad: bytes, target: Key, new_aad: bytes, deadline: Deadline | None = None
    ) -> Sealed | None:
        """See :class:`~sealpass.core.protocols.Resealer`: ReEncrypt, with the rights of this key's credentials."""
        self._check_open()
        if not isinstance(target, KmsSymmetricKey):
            raise UnsupportedAlgorithm("AWS KMS re-encrypts to its own symmetric keys only")
        if target._region != self._region:  # noqa: SLF001 - the same class
            raise UnsupportedAlgorithm(
                "AWS KMS re-encrypts within one Region", hint="open the record, and seal it under the other key"
            )
        if deadline is not None:
            deadline.check()
        if not _is_of_kms(sealed):
            return None
        try:
            answer = self._connection.call(
                "ReEncrypt",
                deadline,
                CiphertextBlob=sealed.ciphertext,
                SourceKeyId=self._arn,
                SourceEncryptionContext=_context(aad),
                DestinationKeyId=target._arn,  # noqa: SLF001 - the same class
                DestinationEncryptionContext=_context(new_aad),
            )
        except CiphertextRefused:
            return None
        return Sealed(SEAL_AWSKMS.name, b"", member(answer, "CiphertextBlob", "ReEncrypt"))


def _is_of_kms(sealed: Sealed) -> bool:
    """Whether KMS would look at it at all."""
    return (
        sealed.algorithm == SEAL_AWSKMS.name
        and not sealed.nonce
        and 1 <= len(sealed.ciphertext) <= MAX_CIPHERTEXT_BYTES
    )
