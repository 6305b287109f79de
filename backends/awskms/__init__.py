# SPDX-License-Identifier: Apache-2.0
"""``awskms:`` keys in AWS KMS, over boto3.

``key-id`` is a key id, a key ARN, ``alias/NAME`` or an alias ARN; ``region`` may come from an ARN or from boto3's own
configuration. Credentials come from boto3's chain only. The query takes ``endpoint-url``, ``aws-profile``,
``retry-mode`` (``standard``, ``adaptive`` or ``legacy``), ``max-attempts``, ``connect-timeout``, ``read-timeout``,
``max-connections`` and ``alias-interval``; times are in seconds, and settings.py has the defaults with their reasons.
"""

from sealpass.backends.awskms.client import Connection, connect, leave
from sealpass.backends.awskms.key_making import KmsKeyMaker
from sealpass.backends.awskms.kms_key import RSA_SPECS, SYMMETRIC, USAGE, describe_key
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.settings import KeyName, Settings, alias_interval, require_key_name
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import OpenOptions
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.protocols import Key, KeyMaker
from sealpass.core.uri import KeyUri, UriAttributes

ATTRIBUTES = UriAttributes(
    path=frozenset({"key-id", "region"}),
    query=frozenset(
        {
            "alias-interval",
            "aws-profile",
            "connect-timeout",
            "endpoint-url",
            "max-attempts",
            "max-connections",
            "read-timeout",
            "retry-mode",
        }
    ),
)


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Open the key that the URI names; an alias is resolved now, and the open key stays that key."""
    name, settings = require_key_name(uri), Settings.of(uri)
    alias_interval(uri)  # a malformed one is refused before anything is asked
    connection = connect(settings)
    try:
        return _open(uri, connection, name, options)
    except BaseException:
        leave(connection)
        raise


def _open(uri: KeyUri, connection: Connection, name: KeyName, options: OpenOptions) -> Key:
    metadata = describe_key(connection, name.text)
    if metadata.manager == "AWS":
        raise UnsupportedAlgorithm(
            "the key belongs to a service of AWS, which alone can use it",
            hint="make one with 'sealpass keys create awskms:key-id=alias/NAME'",
        )
    is_rsa = metadata.spec in RSA_SPECS
    if metadata.usage != USAGE or not (is_rsa or metadata.spec == SYMMETRIC):
        raise UnsupportedAlgorithm(
            "the key in AWS KMS is neither an RSA key nor a symmetric one for ENCRYPT_DECRYPT",
            hint="make one with 'sealpass keys create awskms:key-id=alias/NAME'",
        )
    metadata.check_working()
    if is_rsa:
        return KmsRsaKey(uri, connection, name, metadata, options.failure_floor)
    return KmsSymmetricKey(uri, connection, name, metadata)


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:  # noqa: ARG001 - boto3 logs in by itself
    """Make or list keys of the account and Region that the URI names, and point its alias."""
    return KmsKeyMaker(uri)
