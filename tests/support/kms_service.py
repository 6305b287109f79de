# SPDX-License-Identifier: Apache-2.0
"""The operations of AWS KMS as the real service answers them: moto's, and in its place where moto's differ.

moto keeps the keys, aliases, tags, grants and policies. What is written here does real RSA-OAEP (moto answers with AES
under a hidden secret), enforces key states, key usage and encryption contexts, and makes symmetric ciphertexts of the
real size. Error codes and their order are those measured on AWS by the authors of another emulator
(https://github.com/floci-io/floci/pull/3038), and otherwise those of the API reference
(https://docs.aws.amazon.com/kms/latest/APIReference/).
"""

import base64
import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.core.exceptions import JsonRESTError
from moto.kms.models import Key, KmsBackend
from moto.kms.responses import KmsResponse
from moto.kms.utils import generate_private_key

from tests.support.kms_ciphertext import (
    OAEP,
    SymmetricCiphertext,
    fingerprint,
    longest_oaep_plaintext,
    oaep_padding,
)

SYMMETRIC = "SYMMETRIC_DEFAULT"
ENCRYPTION_ALGORITHMS = (*OAEP, "SM2PKE", SYMMETRIC)
MOST_ROTATIONS = 25  # on demand, for the life of one key
LONGEST_PLAINTEXT = 4096  # bytes
LONGEST_CIPHERTEXT = 6144  # bytes

USAGES = {
    "SYMMETRIC_DEFAULT": ("ENCRYPT_DECRYPT",),
    "RSA": ("ENCRYPT_DECRYPT", "SIGN_VERIFY"),
    "ECC": ("SIGN_VERIFY",),
    "HMAC": ("GENERATE_VERIFY_MAC",),
}

# Codes that AWS answers with another HTTP status than 400.
STATUS = {"DependencyTimeoutException": 503, "KMSInternalException": 500, "KeyUnavailableException": 500}


def refusal(code: str, message: str = "") -> JsonRESTError:
    """The error that the service answers with."""
    error = JsonRESTError(code, message)
    error.code = STATUS.get(code, 400)
    return error


def new_key_id(multi_region: bool = False) -> str:  # noqa: FBT001, FBT002 (moto calls it so)
    """A key id in the form of AWS: a UUID, or ``mrk-`` and 32 hexadecimal digits."""
    return f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())


@dataclass
class KmsAccount:
    """The keys of one account, by region; as long as the emulator lives."""

    account_id: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    regions: dict[str, KmsBackend] = field(default_factory=dict)
    materials: dict[str, list[bytes]] = field(default_factory=dict)
    """AES keys of each symmetric key, by its ARN, the newest last."""

    def backend(self, region: str) -> KmsBackend:
        """The keys that moto keeps for that region."""
        with self.lock:
            return self.regions.setdefault(region, KmsBackend(region, self.account_id))


class KmsService(KmsResponse):
    """One request to KMS."""

    def __init__(self, account: KmsAccount, region: str, body: str) -> None:
        super().__init__()
        self.account = account
        self.current_account = account.account_id
        self.region = region
        self.body = body
        self.parameters: dict[str, Any] = json.loads(body or "{}")

    @property
    def kms_backend(self) -> KmsBackend:
        return self.account.backend(self.region)

    def answer(self, operation: str) -> str:
        """The body of the answer; raises JsonRESTError for an error of the service."""
        method_name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        method: Callable[[], str] | None = getattr(self, method_name, None) if operation.isalpha() else None
        if method is None or operation not in OPERATIONS:
            raise refusal("UnknownOperationException", f"The emulator does not know {operation}")
        if operation in SLOW:  # these take the lock only where they look at shared things
            return method()
        with self.account.lock:
            return method()

    # Finding keys

    def _validate_cmk_id(self, key_id: str) -> None:
        """Raise NotFoundException unless that key id or key ARN is one of this account and region."""
        self._refuse_foreign(key_id)
        if self.kms_backend.get_key_id(key_id) in self.kms_backend.keys:
            return
        if re.fullmatch(r"mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key_id.rpartition("/")[2]):
            raise refusal("NotFoundException", f"Key '{self._display_arn(key_id)}' does not exist")
        raise refusal("NotFoundException", f"Invalid keyId {key_id}")

    def _refuse_foreign(self, key_id: str) -> None:
        arn = key_id.split(":")
        if arn[0] == "arn" and len(arn) == 6:
            if arn[3] != self.region:
                raise refusal("NotFoundException", f"Invalid arn {arn[3]}")
            if arn[4] != self.current_account:
                raise refusal("AccessDeniedException", "The key is of another account.")

    def _key(self, key_id: str) -> Key:
        """The key of a key id, key ARN, alias name or alias ARN."""
        with self.account.lock:
            self._refuse_foreign(key_id)
            self._validate_key_id(key_id)
            return self.kms_backend.keys[self.kms_backend.any_id_to_key_id(key_id)]

    def _managed_key(self) -> Key:
        """The key of a management operation, which takes no alias and no key that waits for its deletion."""
        key_id = self.parameters["KeyId"]
        self._validate_cmk_id(key_id)
        key = self.kms_backend.keys[self.kms_backend.get_key_id(key_id)]
        if key.key_state == "PendingDeletion":
            raise refusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        return key

    def _usable_key(self, key: Key, operation: str, algorithm: str) -> Key:
        """That key, unless its usage, its state or its spec forbids the operation."""
        if key.key_usage != "ENCRYPT_DECRYPT":
            message = f"{key.arn} key usage is {key.key_usage} which is not valid for {operation}."
            raise refusal("InvalidKeyUsageException", message)
        require_enabled(key)
        if algorithm not in (key.encryption_algorithms or ()):
            message = f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."
            raise refusal("InvalidKeyUsageException", message)
        return key

    # Cryptographic operations

    def encrypt(self) -> str:
        algorithm = self._algorithm("EncryptionAlgorithm")
        plaintext = self._bytes("Plaintext", LONGEST_PLAINTEXT)
        key = self._usable_key(self._key(self.parameters["KeyId"]), "Encrypt", algorithm)
        blob = self._encrypted(key, algorithm, plaintext, self._context("EncryptionContext"))
        return answered(KeyId=key.arn, CiphertextBlob=blob, EncryptionAlgorithm=algorithm)

    def decrypt(self) -> str:
        algorithm = self._algorithm("EncryptionAlgorithm")
        context = self._context("EncryptionContext")
        key, plaintext = self._decrypted("Decrypt", algorithm, self.parameters.get("KeyId"), context)
        return answered(KeyId=key.arn, Plaintext=plaintext, EncryptionAlgorithm=algorithm)

    def re_encrypt(self) -> str:
        source_algorithm = self._algorithm("SourceEncryptionAlgorithm")
        algorithm = self._algorithm("DestinationEncryptionAlgorithm")
        source_context = self._context("SourceEncryptionContext")
        source_id = self.parameters.get("SourceKeyId")
        key = self._usable_key(self._key(self.parameters["DestinationKeyId"]), "ReEncrypt", algorithm)
        source, plaintext = self._decrypted("ReEncrypt", source_algorithm, source_id, source_context)
        return answered(
            KeyId=key.arn,
            SourceKeyId=source.arn,
            CiphertextBlob=self._encrypted(key, algorithm, plaintext, self._context("DestinationEncryptionContext")),
            SourceEncryptionAlgorithm=source_algorithm,
            DestinationEncryptionAlgorithm=algorithm,
        )

    def get_public_key(self) -> str:
        key = self._key(self.parameters["KeyId"])
        if key.private_key is None:
            raise refusal("UnsupportedOperationException", f"GetPublicKey is not possible for {key.key_spec} keys.")
        require_enabled(key)
        algorithms = "EncryptionAlgorithms" if key.key_usage == "ENCRYPT_DECRYPT" else "SigningAlgorithms"
        return answered(
            KeyId=key.arn,
            PublicKey=key.private_key.public_key(),
            CustomerMasterKeySpec=key.key_spec,
            KeySpec=key.key_spec,
            KeyUsage=key.key_usage,
            **{algorithms: key.encryption_algorithms or key.signing_algorithms},
        )

    def _algorithm(self, parameter: str) -> str:
        algorithm: str = self.parameters.get(parameter, SYMMETRIC)
        if algorithm not in ENCRYPTION_ALGORITHMS:
            raise refusal("ValidationException", f"{parameter} must be one of {', '.join(ENCRYPTION_ALGORITHMS)}")
        return algorithm

    def _bytes(self, parameter: str, longest: int) -> bytes:
        value = base64.b64decode(self.parameters[parameter])
        if not 1 <= len(value) <= longest:
            raise refusal("ValidationException", f"{parameter} must have between 1 and {longest} bytes")
        return value

    def _context(self, parameter: str) -> dict[str, str]:
        context: dict[str, str] = self.parameters.get(parameter, {})
        return context

    def _encrypted(self, key: Key, algorithm: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        if algorithm in OAEP:
            refuse_context(context)
            public_key = rsa_key(key).public_key()
            longest = longest_oaep_plaintext(public_key.key_size, algorithm)
            if len(plaintext) > longest:
                pair = f"Algorithm {algorithm} and key spec {key.key_spec}"
                raise refusal("ValidationException", f"{pair} cannot encrypt data larger than {longest} bytes.")
            return public_key.encrypt(plaintext, oaep_padding(algorithm))
        return SymmetricCiphertext.seal(key.arn, self.account.materials[key.arn], plaintext, context)

    def _decrypted(
        self, operation: str, algorithm: str, key_id: str | None, context: Mapping[str, str]
    ) -> tuple[Key, bytes]:
        """The key that opened the request's ciphertext, and the plaintext."""
        blob = self._bytes("CiphertextBlob", LONGEST_CIPHERTEXT)
        if algorithm == SYMMETRIC:
            return self._decrypted_symmetric(operation, key_id, blob, context)
        if key_id is None:  # an RSA ciphertext names no key
            raise refusal("ValidationException", "KeyId must not be null")
        key = self._usable_key(self._key(key_id), operation, algorithm)
        refuse_context(context)
        try:
            return key, rsa_key(key).decrypt(blob, oaep_padding(algorithm))
        except ValueError:
            raise refusal("InvalidCiphertextException") from None

    def _decrypted_symmetric(
        self, operation: str, key_id: str | None, blob: bytes, context: Mapping[str, str]
    ) -> tuple[Key, bytes]:
        # The ciphertext is looked at before the named key: an RSA ciphertext without EncryptionAlgorithm is
        # an invalid ciphertext, even where KeyId names its RSA key.
        try:
            ciphertext = SymmetricCiphertext.parse(blob)
            with self.account.lock:
                keys = self.kms_backend.keys.values()
                key = next(key for key in keys if fingerprint(key.arn) == ciphertext.fingerprint)
        except (ValueError, StopIteration):
            raise refusal("InvalidCiphertextException") from None
        if key_id is not None and self._key(key_id) is not key:
            message = "The key ID in the request does not identify a CMK that can perform this operation."
            raise refusal("IncorrectKeyException", message)
        self._usable_key(key, operation, SYMMETRIC)
        try:
            return key, ciphertext.open(self.account.materials[key.arn], context)
        except (IndexError, InvalidTag):
            raise refusal("InvalidCiphertextException") from None

    # Management

    def create_key(self) -> str:
        spec = self.parameters.get("KeySpec") or self.parameters.get("CustomerMasterKeySpec") or SYMMETRIC
        usage = self.parameters.get("KeyUsage", "ENCRYPT_DECRYPT" if spec == SYMMETRIC else None)
        if usage is None:
            raise refusal("ValidationException", "You must specify a KeyUsage value for every key but symmetric ones.")
        family = spec if spec == SYMMETRIC else spec.partition("_")[0]
        if usage not in USAGES.get(family, ()):
            raise refusal("ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}")
        # moto makes an RSA key for each symmetric key, too. RSA keys take long: made before the locks are taken.
        key_pair = generate_private_key(spec) if family in ("RSA", "ECC") else None
        with (
            self.account.lock,
            _moto_lock,
            mock.patch("moto.kms.models.generate_key_id", new_key_id),
            mock.patch("moto.kms.models.generate_private_key", return_value=key_pair),
        ):
            key = self.kms_backend.create_key(
                policy=self.parameters.get("Policy"),
                key_usage=usage,
                key_spec=spec,
                description=self.parameters.get("Description", ""),
                tags=self.parameters.get("Tags"),
                multi_region=self.parameters.get("MultiRegion", False),
            )
            self.account.materials[key.arn] = [key.key_material]
        return json.dumps(key.to_dict())

    def create_alias(self) -> str:
        self._require_own_alias()
        return super().create_alias()

    def update_alias(self) -> str:
        self._require_own_alias()
        new = self._managed_target()
        old = self._key(self.parameters["AliasName"])
        if (new.key_usage, new.private_key is None) != (old.key_usage, old.private_key is None):
            raise refusal("ValidationException", "An alias stays with keys of one type and usage.")
        return super().update_alias()

    def _require_own_alias(self) -> None:
        if self.parameters["AliasName"].startswith("alias/aws/"):
            raise refusal("NotAuthorizedException", "Aliases below alias/aws/ are those of AWS.")
        self._managed_target()

    def _managed_target(self) -> Key:
        self.parameters["KeyId"] = self.parameters["TargetKeyId"]
        return self._managed_key()

    def disable_key(self) -> str:
        key = self._managed_key()
        key.enabled, key.key_state = False, "Disabled"
        return "{}"

    def enable_key(self) -> str:
        key = self._managed_key()
        key.enabled, key.key_state = True, "Enabled"
        return "{}"

    def schedule_key_deletion(self) -> str:
        days = self.parameters.get("PendingWindowInDays", 30)
        if not 7 <= days <= 30:
            raise refusal("ValidationException", "PendingWindowInDays must be between 7 and 30")
        key = self._managed_key()
        date = self.kms_backend.schedule_key_deletion(key.id, days)
        return json.dumps(
            {"KeyId": key.arn, "DeletionDate": date, "KeyState": key.key_state, "PendingWindowInDays": days}
        )

    def cancel_key_deletion(self) -> str:
        key = self._key(self.parameters["KeyId"])
        if key.key_state != "PendingDeletion":
            raise refusal("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
        self.kms_backend.cancel_key_deletion(key.id)
        return json.dumps({"KeyId": key.arn})

    def rotate_key_on_demand(self) -> str:
        key = self._managed_key()
        require_enabled(key)
        if key.key_spec != SYMMETRIC:
            raise refusal("UnsupportedOperationException", "Only symmetric keys rotate.")
        materials = self.account.materials[key.arn]
        if len(materials) > MOST_ROTATIONS:
            raise refusal("LimitExceededException", f"On-demand rotation quota for KMS key {key.id} is exceeded.")
        self.kms_backend.rotate_key_on_demand(key.id)
        materials.append(os.urandom(32))
        return json.dumps({"KeyId": key.id})


SLOW = frozenset({"CreateKey", "Encrypt", "Decrypt", "ReEncrypt", "GetPublicKey"})
OPERATIONS = SLOW | {
    *("DescribeKey", "ListKeys", "DisableKey", "EnableKey", "ScheduleKeyDeletion", "CancelKeyDeletion"),
    *("CreateAlias", "UpdateAlias", "DeleteAlias", "ListAliases", "RotateKeyOnDemand"),
    *("TagResource", "UntagResource", "ListResourceTags", "GetKeyPolicy", "PutKeyPolicy"),
}

_moto_lock = threading.Lock()  # while names of moto's module are exchanged


def require_enabled(key: Key) -> None:
    """Refuse a key that is disabled or waits for its deletion."""
    if key.key_state == "PendingDeletion":
        raise refusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if key.key_state != "Enabled":
        raise refusal("DisabledException", f"{key.arn} is disabled.")


def refuse_context(context: Mapping[str, str]) -> None:
    """RSA ciphertexts bind no context."""
    if context:
        message = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
        raise refusal("ValidationException", message)


def rsa_key(key: Key) -> rsa.RSAPrivateKey:
    """The private key whose public half GetPublicKey hands out."""
    private_key = getattr(key.private_key, "private_key", None)
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise refusal("InvalidKeyUsageException", f"{key.key_spec} keys do not encrypt.")
    return private_key


def answered(**members: object) -> str:
    """The body of an answer; bytes go as base64, and what is None stays out."""
    return json.dumps(
        {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in members.items()
            if value is not None
        }
    )
