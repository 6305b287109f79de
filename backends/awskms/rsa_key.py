# SPDX-License-Identifier: Apache-2.0
"""RSA keys in AWS KMS: Decrypt removes the OAEP padding there, and the CEK comes back over TLS."""

import secrets

from cryptography.exceptions import UnsupportedAlgorithm as UnreadableKey
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealpass.backends.awskms.client import Connection, member
from sealpass.backends.awskms.kms_key import KmsKey, Metadata, describe_key
from sealpass.backends.awskms.refusals import CiphertextRefused, Throttled, not_kms
from sealpass.backends.awskms.settings import KeyName
from sealpass.core.algorithms import CONTENT_ENCRYPTIONS, RSA_OAEP, RSA_OAEP_256, ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.uri import KeyUri

DEFAULT_FLOOR_SECONDS = 0.5
"""A refused Decrypt and the probe after it are two round trips to the Region."""

_OAEP_NAMES = {RSA_OAEP: "RSAES_OAEP_SHA_1", RSA_OAEP_256: "RSAES_OAEP_SHA_256"}


class KmsRsaKey(KmsKey):
    """:class:`~sealpass.core.protocols.Unwrapper` with kms:Decrypt.

    What the key can do is what GetPublicKey says: a trial Decrypt would spend the account's RSA quota at every start.
    """

    def __init__(
        self,
        uri: KeyUri,
        connection: Connection,
        name: KeyName,
        metadata: Metadata,
        floor_seconds: float | None,
    ) -> None:
        super().__init__(uri, connection, name, metadata)
        algorithms, public_key = get_public_key(connection, metadata.arn)
        self.public_jwk = PublicJwk.from_public_key(public_key)
        self.key_id = self.public_jwk.kid
        self.failure_floor = FailureFloor(DEFAULT_FLOOR_SECONDS if floor_seconds is None else floor_seconds)
        self._modulus = public_key.public_numbers().n
        self._modulus_bytes = self.public_jwk.modulus_bytes
        self._algorithms = {oaep: name for oaep, name in _OAEP_NAMES.items() if name in algorithms}
        self.capabilities = Capabilities(
            mode=UnwrapMode.NATIVE,
            unwrap=frozenset(self._algorithms),
            content=frozenset(CONTENT_ENCRYPTIONS) if self._algorithms else frozenset(),
        )

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        algorithm = self._algorithms.get(oaep)
        if algorithm is None or enc not in self.capabilities.content:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        self._check_open()
        cek = secrets.token_bytes(enc.cek_bytes)
        if not self._is_ciphertext(encrypted_key):
            if deadline is not None:
                deadline.check()
            return MemoryContentKey(cek, enc)
        try:
            answer = self._connection.call(
                "Decrypt", deadline, KeyId=self._arn, CiphertextBlob=encrypted_key, EncryptionAlgorithm=algorithm
            )
        except CiphertextRefused:
            return MemoryContentKey(cek, enc)
        member(answer, "KeyId", "Decrypt")
        unwrapped: bytes = answer["Plaintext"]
        return MemoryContentKey(unwrapped if len(unwrapped) == enc.cek_bytes else cek, enc)

    def _is_ciphertext(self, encrypted_key: bytes) -> bool:
        """RFC 8017 section 7.1.2 step 1 and section 5.1.2 step 1.

        KMS is not asked: how it words these is nowhere written, and a sender must not be able to cause an error that
        looks like an operator's.
        """
        return len(encrypted_key) == self._modulus_bytes and int.from_bytes(encrypted_key, "big") < self._modulus

    def probe(self, deadline: Deadline | None = None) -> None:
        """See :class:`~sealpass.core.protocols.Unwrapper`.

        DescribeKey: it does no cryptography, takes nothing of the RSA quota, and is allowed wherever open() worked.
        Without time to ask there is nothing to say.
        """
        self._check_open()
        if deadline is not None and not deadline.remaining():
            return
        try:
            describe_key(self._connection, self._arn, deadline)
        except Throttled:
            return  # busy is not dead
        except BackendUnavailable:
            if deadline is None or deadline.remaining():
                raise
            # Nor is slow: what did not answer in the time that there was has said nothing.


def get_public_key(connection: Connection, arn: str) -> tuple[frozenset[str], rsa.RSAPublicKey]:
    """The encryption algorithms that KMS allows with an RSA key, and its public half; raises operator errors."""
    answer = connection.call("GetPublicKey", KeyId=arn)
    try:
        public_key = load_der_public_key(member(answer, "PublicKey", "GetPublicKey"))
    except (ValueError, TypeError, UnreadableKey):
        raise not_kms("GetPublicKey") from None
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise not_kms("GetPublicKey")
    return frozenset(answer.get("EncryptionAlgorithms", ())), public_key
