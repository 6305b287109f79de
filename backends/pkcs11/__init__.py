# SPDX-License-Identifier: Apache-2.0
"""``pkcs11:`` keys (RFC 7512) in HSMs and soft tokens, over python-pkcs11.

Besides RFC 7512's attributes the query takes ``module-args`` (a string for C_Initialize, as NSS softokn wants),
``max-sessions`` (default 32) and ``key-pin-source`` (for keys with CKA_ALWAYS_AUTHENTICATE).
"""

import os

from sealpass.backends.pkcs11.connection import connect, leave
from sealpass.backends.pkcs11.key_making import TokenKeyMaker
from sealpass.backends.pkcs11.library import Module, load_module
from sealpass.backends.pkcs11.objects import find_key
from sealpass.backends.pkcs11.rsa_key import Pkcs11RsaKey
from sealpass.backends.registry import OpenOptions
from sealpass.core.errors import ConfigError
from sealpass.core.protocols import Key, KeyMaker
from sealpass.core.uri import KeyUri, UriAttributes

MODULE_VARIABLE = "SEALPASS_PKCS11_MODULE"

ATTRIBUTES = UriAttributes(
    path=frozenset(
        {
            "token",
            "serial",
            "manufacturer",
            "model",
            "slot-id",
            "slot-description",
            "slot-manufacturer",
            "library-manufacturer",
            "library-description",
            "library-version",
            "object",
            "id",
            "type",
        }
    ),
    query=frozenset({"module-path", "module-args", "pin-source", "key-pin-source", "max-sessions"}),
)


def _module(uri: KeyUri) -> Module:
    path = uri.text("module-path") or os.environ.get(MODULE_VARIABLE)
    if not path:
        raise ConfigError(
            "which PKCS#11 module?", hint=f"add module-path=… to the URI's query, or set {MODULE_VARIABLE}"
        )
    return load_module(path, uri.text("module-args"))


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Open the one key that the URI names; logs in once a process and token."""
    connection = connect(uri, _module(uri), force_login=options.force_login)
    try:
        session = connection.open_session()
        try:
            return Pkcs11RsaKey(uri, connection, find_key(session, uri), options.failure_floor)
        finally:
            session.close()
    except BaseException:
        leave(connection)
        raise


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:
    """Make, import or list keys of the token that the URI names."""
    return TokenKeyMaker(uri, _module(uri), force_login=options.force_login)
