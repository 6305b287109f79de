# SPDX-License-Identifier: Apache-2.0
"""What every key in AWS KMS shares: its connection, its one key behind whatever name, its alias, its facts."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sealpass.backends.awskms.client import Connection, leave, member
from sealpass.backends.awskms.settings import KeyName, alias_interval
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.uri import KeyUri

SYMMETRIC = "SYMMETRIC_DEFAULT"
RSA_SPECS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
USAGE = "ENCRYPT_DECRYPT"
# "Updating" (a multi-Region key that changes its primary) works for all cryptographic operations.
WORKING = ("Enabled", "Updating")
_STATES = ("Creating", "Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable")
_PASSING = ("Creating", "Unavailable")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What DescribeKey tells, as far as we use it. Public."""

    key_id: str
    arn: str
    state: str
    usage: str
    spec: str
    origin: str
    manager: str
    multi_region: bool

    @property
    def shown_state(self) -> str:
        """The state as KMS calls it, where it is one that we know."""
        return self.state if self.state in WORKING + _STATES else "not Enabled"

    def check_working(self) -> None:
        """Raise BackendUnavailable where the key's state forbids using it."""
        if self.state not in WORKING:
            raise BackendUnavailable(
                f"the state of key {self.key_id} in AWS KMS is {self.shown_state}",
                retryable=self.state in _PASSING,
                hint="enable the key (kms:EnableKey), or cancel its deletion, where it is still needed",
            )


def describe_key(connection: Connection, key_id: str, deadline: Deadline | None = None) -> Metadata:
    """Ask KMS about a key by any of its names; raises KeyNotFound and other operator errors."""
    found: dict[str, Any] = member(connection.call("DescribeKey", deadline, KeyId=key_id), "KeyMetadata", "DescribeKey")
    return Metadata(
        key_id=str(member(found, "KeyId", "DescribeKey")),
        arn=str(member(found, "Arn", "DescribeKey")),
        state=str(found.get("KeyState", "")),
        usage=str(found.get("KeyUsage", "")),
        spec=str(found.get("KeySpec", "")),
        origin=str(found.get("Origin", "")),
        manager=str(found.get("KeyManager", "")),
        multi_region=bool(found.get("MultiRegion", False)),
    )


class KmsKey:
    """A key in AWS KMS. Thread-safe; every call names the key itself, also where the URI names an alias.

    KMS refuses an asymmetric Decrypt through an alias that moved after the ciphertext was made, so an alias is
    resolved once, at open.
    """

    def __init__(self, uri: KeyUri, connection: Connection, name: KeyName, metadata: Metadata) -> None:
        self.uri = uri
        self.alias_interval = alias_interval(uri)
        self._connection = connection
        self._name = name
        self._metadata = metadata
        self._arn = metadata.arn
        self._region = connection.region
        self._is_emulator = connection.is_emulator
        self._closed = False

    @property
    def is_emulator(self) -> bool:
        """Whether the endpoint is not one of AWS: its speed says nothing about KMS."""
        return self._is_emulator

    def describe(self) -> dict[str, str]:
        """Facts about the key by name, for people; all public."""
        return {
            "service": "AWS KMS",
            "KMS key id": self._metadata.key_id,
            "region": self._region,
            "key spec": self._metadata.spec,
            "origin": self._metadata.origin,
            "key manager": self._metadata.manager,
            "multi-region": "yes" if self._metadata.multi_region else "no",
            "endpoint": "emulator (an endpoint that is not AWS)" if self._is_emulator else "AWS",
        }

    def has_moved(self, deadline: Deadline | None = None) -> bool:
        """See :class:`~sealpass.core.protocols.FollowsAlias`. No call where the URI names the key itself."""
        self._check_open()
        if self._name.alias is None:
            return False
        return describe_key(self._connection, self._name.text, deadline).arn != self._arn

    def close(self) -> None:
        """Give back the connection; the last key closes it. Idempotent."""
        if not self._closed:
            self._closed = True
            leave(self._connection)

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("the key is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri!r}>"
