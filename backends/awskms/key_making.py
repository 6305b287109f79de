# SPDX-License-Identifier: Apache-2.0
"""Making and listing keys in AWS KMS, and pointing aliases at them."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from sealpass.backends.awskms.client import Connection, connect, leave, member
from sealpass.backends.awskms.kms_key import RSA_SPECS, SYMMETRIC, USAGE, WORKING, Metadata, describe_key
from sealpass.backends.awskms.rsa_key import get_public_key
from sealpass.backends.awskms.settings import KeyName, Settings, require_key_name
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import (
    AuthenticationFailed,
    ConfigError,
    Error,
    KeyNotFound,
    OperatorError,
    UnsupportedAlgorithm,
)
from sealpass.core.jwk import PublicJwk
from sealpass.core.protocols import KeyListing, PointedAlias
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)

# CreateKey answers when the pair is made, which takes longer than a login may. Giving up early leaves a key that
# nobody knows of, and that costs money.
LEAST_READ_TIMEOUT = 30.0
DELETION_DAYS = 7
"""The least that KMS allows."""
_AES_BITS = 256
_KEYS_A_PAGE = 1000
_ALIASES_A_PAGE = 100
"""The most that ListKeys and ListAliases give at once."""


class KmsKeyMaker:
    """:class:`~sealpass.core.protocols.KeyMaker` and AliasPointer for the account and Region of a URI."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri
        self._name = KeyName.of(uri)
        settings = Settings.of(uri)
        self._settings = replace(settings, read_timeout=max(settings.read_timeout, LEAST_READ_TIMEOUT))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = connect(self._settings)
        try:
            yield connection
        finally:
            leave(connection)

    # -- making ---------------------------------------------------------------------------------------------------

    def create_rsa(self, bits: int, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """See :class:`~sealpass.core.protocols.KeyMaker`."""
        spec = f"RSA_{bits}"
        if spec not in RSA_SPECS:
            raise ConfigError(f"an RSA key in AWS KMS has {', '.join(map(str, RSA_SPECS.values()))} bits")
        if mode is not UnwrapMode.NATIVE:
            raise UnsupportedAlgorithm(
                f"AWS KMS has no {mode} mode: it hands the content key to us", hint="leave out --mode"
            )
        if self_signed:
            raise UnsupportedAlgorithm("AWS KMS holds no certificates", hint="leave out --self-signed")
        return self._create(spec)

    def create_aes(self, bits: int) -> KeyUri:
        """See :class:`~sealpass.core.protocols.KeyMaker`."""
        if bits != _AES_BITS:
            raise UnsupportedAlgorithm("a symmetric key of AWS KMS has 256 bits", hint="use --aes 256")
        return self._create(SYMMETRIC)

    def import_rsa(self, pem: bytes, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """AWS KMS imports key material in a procedure of its own; raises UnsupportedAlgorithm."""
        del pem, mode, self_signed
        raise UnsupportedAlgorithm(
            "sealpass does not import keys into AWS KMS",
            hint="make one with 'sealpass keys create'; what was once in a file no device can protect any more",
        )

    def _create(self, spec: str) -> KeyUri:
        alias = None if self._name is None else self._alias()
        with self._connection() as connection:
            if self._name is not None and _find(connection, self._name.text) is not None:
                raise ConfigError(
                    "the alias exists already",
                    hint="use it as it is, choose another alias/NAME, or move it to a new key",
                )
            answer = connection.call("CreateKey", KeySpec=spec, KeyUsage=USAGE, Description="sealpass")
            key_id = str(member(member(answer, "KeyMetadata", "CreateKey"), "KeyId", "CreateKey"))
            if alias is None:
                return self._uri.replace(path={"key-id": key_id.encode("ascii")})
            with _undoing(connection, key_id):
                _create_alias(connection, alias, key_id)
            return self._uri

    def _alias(self) -> str:
        """The alias that the URI names; raises ConfigError where it names something else, or one of AWS's own."""
        alias = None if self._name is None else self._name.alias
        if alias is None:
            raise ConfigError(
                "awskms: the key-id of the URI is not an alias; AWS itself chooses the ids of keys",
                hint="write key-id=alias/NAME",
            )
        if alias.startswith("alias/aws/"):
            raise ConfigError("awskms: aliases that begin with alias/aws/ are reserved for AWS")
        return alias

    # -- pointing -------------------------------------------------------------------------------------------------

    def point_alias(self, target: KeyUri, *, create: bool = False) -> PointedAlias:
        """See :class:`~sealpass.core.protocols.AliasPointer`."""
        alias = self._alias()
        if target.scheme != self._uri.scheme:
            raise ConfigError("an alias of AWS KMS points to a key of AWS KMS")
        target_name, target_region = require_key_name(target), Settings.of(target).region
        with self._connection() as connection:
            if target_region not in (None, connection.region):
                raise ConfigError("an alias and its key are in one Region, and these URIs name two")
            key = describe_key(connection, target_name.text)
            key.check_working()
            old = _find(connection, self._uri.require("key-id"))
            if old is None:
                if not create:
                    raise ConfigError(
                        f"there is no {alias} in {connection.region} that could move",
                        hint="check the name; --create makes a new alias",
                    )
                _create_alias(connection, alias, key.key_id)
            elif not _can_follow(old, key):
                raise ConfigError(
                    f"the alias names a key of {old.spec} for {old.usage}, the new one is {key.spec} for {key.usage}",
                    hint="make a key of the same kind, or use another alias",
                )
            elif old.arn != key.arn:
                connection.call("UpdateAlias", AliasName=alias, TargetKeyId=key.arn)
            previous = None if old is None else self._by_id(old.key_id, connection.region)
            return PointedAlias(alias, self._uri, self._by_id(key.key_id, connection.region), previous)

    def _by_id(self, key_id: str, region: str) -> KeyUri:
        """A URI for a key of the Region that is asked; it says which, where this maker's URI leaves that to boto3."""
        return self._uri.replace(path={"key-id": key_id.encode("ascii"), "region": region.encode("ascii")})

    # -- listing --------------------------------------------------------------------------------------------------

    def list_keys(self) -> Iterator[KeyListing]:
        """See :class:`~sealpass.core.protocols.KeyMaker`.

        Without ``key-id``: a ListKeys for every 1000 keys of the account, then a DescribeKey for each, and a
        GetPublicKey for each RSA key; a warning in the log says how many are left out and why. In either case a
        ListAliases for every 100 aliases.
        """
        # Not lazy: a caller who stops half-way would keep the connection.
        with self._connection() as connection:
            if self._name is not None:
                key = describe_key(connection, self._name.text)
                aliases = _aliases(connection, KeyId=key.arn)
                return iter([_listing(connection, self._uri, key, aliases)])
            keys = _usable_keys(connection)
            aliases = _aliases(connection) if keys else {}
            return iter(
                [
                    _listing(connection, self._uri.replace(path={"key-id": key.key_id.encode("ascii")}), key, aliases)
                    for key in keys
                ]
            )


def _can_follow(old: Metadata, new: Metadata) -> bool:
    """Whether an alias may move between them: same type and use, as UpdateAlias wants; a longer RSA key is welcome."""
    return old.usage == new.usage and (old.spec == new.spec or {old.spec, new.spec} <= RSA_SPECS.keys())


def _find(connection: Connection, name: str) -> Metadata | None:
    try:
        return describe_key(connection, name)
    except KeyNotFound:
        return None


def _create_alias(connection: Connection, alias: str, key_id: str) -> None:
    """Make an alias.

    Where the answer was lost, the alias may be there all the same, and boto3's next attempt is told that it exists:
    a key that its alias names already must not be taken back.
    """
    try:
        connection.call("CreateAlias", AliasName=alias, TargetKeyId=key_id)
    except OperatorError:
        with suppress(OperatorError):
            found = _find(connection, alias)
            if found is not None and found.key_id == key_id:
                return
        raise


@contextmanager
def _undoing(connection: Connection, key_id: str) -> Iterator[None]:
    """Schedule the deletion of a new key where what follows fails, and say so in the error."""
    try:
        yield
    except BaseException as error:
        fate = f"could not be scheduled for deletion: delete {key_id} by hand"
        with suppress(OperatorError):
            connection.call("ScheduleKeyDeletion", KeyId=key_id, PendingWindowInDays=DELETION_DAYS)
            fate = f"will be deleted in {DELETION_DAYS} days"
        if isinstance(error, Error):
            error.args = (f"{error}; the new key {fate}",)
        raise


def _pages(connection: Connection, operation: str, name: str, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """The entries that a List operation answers under that name, a page at a time."""
    while True:
        answer = connection.call(operation, **parameters)
        yield answer.get(name, [])
        if not answer.get("Truncated"):
            return
        parameters["Marker"] = member(answer, "NextMarker", operation)


_DENIED = "not to be described with these credentials"
_OTHER_USE = "made for another use than RSA or symmetric encryption"


def _usable_keys(connection: Connection) -> list[Metadata]:
    """The keys that can be opened; raises AuthenticationFailed where not a single one may be described."""
    usable: list[Metadata] = []
    left_out: Counter[str] = Counter()
    described, denied = False, None
    for page in _pages(connection, "ListKeys", "Keys", Limit=_KEYS_A_PAGE):
        for entry in page:
            try:
                key = describe_key(connection, str(entry.get("KeyArn")))
            except AuthenticationFailed as error:  # the key's own policy leaves us out
                denied = error
                left_out[_DENIED] += 1
                continue
            except KeyNotFound:
                continue  # deleted meanwhile
            described = True
            if key.manager != "CUSTOMER":
                continue  # those of AWS's services are in every account, and never ours
            if key.usage != USAGE or not (key.spec == SYMMETRIC or key.spec in RSA_SPECS):
                left_out[_OTHER_USE] += 1
            elif key.state not in WORKING:
                left_out[key.shown_state] += 1
            else:
                usable.append(key)
    if denied is not None and not described:
        raise denied
    if left_out:
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        _log.warning("keys of %s that are not shown: %s", connection.region, reasons)
    return usable


def _aliases(connection: Connection, **of: str) -> dict[str, list[str]]:
    """The aliases of the Region, or of one key, by key id; none, and a warning, where they may not be listed."""
    found: dict[str, list[str]] = {}
    try:
        for page in _pages(connection, "ListAliases", "Aliases", Limit=_ALIASES_A_PAGE, **of):
            for entry in page:
                # An alias of AWS's own names no key until one is made for its service.
                found.setdefault(str(entry.get("TargetKeyId")), []).append(str(entry.get("AliasName")))
    except (AuthenticationFailed, KeyNotFound) as error:  # no right to it, or a key of another account
        _log.warning("aliases are not shown: %s", error)
        return {}
    return found


def _listing(connection: Connection, uri: KeyUri, key: Metadata, names: dict[str, list[str]]) -> KeyListing:
    aliases = tuple(sorted(names.get(key.key_id, ())))
    if key.spec == SYMMETRIC:
        return KeyListing(uri, f"AES-{_AES_BITS}", key.key_id, aliases=aliases)
    if key.spec not in RSA_SPECS or key.usage != USAGE:
        return KeyListing(uri, key.spec, None, aliases=aliases)
    _, public_key = get_public_key(connection, key.arn)
    thumbprint = PublicJwk.from_public_key(public_key).kid
    return KeyListing(uri, f"RSA-{RSA_SPECS[key.spec]}", thumbprint, (UnwrapMode.NATIVE,), aliases)
