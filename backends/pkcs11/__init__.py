# SPDX-License-Identifier: Apache-2.0
"""``pkcs11:`` keys (RFC 7512) in HSMs and soft tokens, over python-pkcs11.

Besides RFC 7512's attributes the query takes ``module-args`` (a string for C_Initialize, as NSS softokn wants),
``init-mode`` (``os-locking``, or ``plain`` for modules that take no locking flag: one call at a time then, and no
``module-args``),
``max-sessions`` (default 32), ``unwrap-mode`` (``native`` or ``in-token``, for keys that allow both; default
``native``), ``key-pin-source`` (for keys with CKA_ALWAYS_AUTHENTICATE) and ``profile`` (a vendor profile by its name;
otherwise library and token are asked who made them). Attributes of the URI win over the profile.
"""

import os

from pkcs11 import Attribute, KeyType, Object

from sealpass.backends.pkcs11.aes_key import AesTokenKey
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.key_making import TokenKeyMaker
from sealpass.backends.pkcs11.library import Module, ModuleSettings, load_module
from sealpass.backends.pkcs11.objects import find_key, kind_of, read
from sealpass.backends.pkcs11.rsa_key import InTokenRsaKey, NativeRsaKey
from sealpass.backends.pkcs11.sharing import connect, leave
from sealpass.backends.pkcs11.vendor_profile import InitMode, VendorProfile
from sealpass.backends.pkcs11.vendor_profiles import by_file, named
from sealpass.backends.registry import OpenOptions
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
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
    query=frozenset(
        {
            "module-path",
            "module-args",
            "init-mode",
            "pin-source",
            "key-pin-source",
            "max-sessions",
            "unwrap-mode",
            "profile",
        }
    ),
)


def _module(uri: KeyUri) -> Module:
    path = uri.text("module-path") or os.environ.get(MODULE_VARIABLE)
    if not path:
        raise ConfigError(
            "which PKCS#11 module?", hint=f"add module-path=… to the URI's query, or set {MODULE_VARIABLE}"
        )
    return load_module(path, _settings(uri, path))


def _settings(uri: KeyUri, path: str) -> ModuleSettings:
    """How to initialise the module. Library and token cannot be asked yet: the file name decides, or the URI."""
    name = uri.text("profile")
    profile = named(name) if name else by_file(path)
    mode = uri.text("init-mode") or profile.init_mode
    if mode not in set(InitMode):
        raise ConfigError(f"init-mode is one of {', '.join(InitMode)}")
    arguments = uri.text("module-args")
    if mode == InitMode.PLAIN and arguments is not None:
        raise ConfigError(
            f"with init-mode={InitMode.PLAIN} C_Initialize takes no module-args",
            hint="leave module-args out of the URI",
        )
    return ModuleSettings(arguments, InitMode(mode))


def _mode(uri: KeyUri, profile: VendorProfile, key: Object) -> UnwrapMode:
    """The mode that the key is made for; where it allows both, the URI decides, then the vendor profile."""
    allowed = [
        mode
        for mode, attribute in ((UnwrapMode.NATIVE, Attribute.DECRYPT), (UnwrapMode.IN_TOKEN, Attribute.UNWRAP))
        if read(key, attribute)
    ]
    wanted = uri.text("unwrap-mode")
    if wanted not in (None, UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN):
        raise ConfigError("unwrap-mode is native or in-token")
    if wanted is None and allowed:
        worth_trying = [mode for mode in allowed if mode in profile.unwrap_modes]
        if not worth_trying:
            raise UnsupportedAlgorithm(
                f"the key is made for {allowed[0]}, which {profile.device} does not do",
                hint=f"unwrap-mode={allowed[0]} in the URI tries it all the same",
            )
        return worth_trying[0]
    if wanted not in allowed:
        made_for = " and ".join(allowed) or "neither decrypting nor unwrapping"
        raise UnsupportedAlgorithm(
            f"the key is made for {made_for}, not for unwrap-mode {wanted or 'native or in-token'}"
        )
    return UnwrapMode(wanted)


def _open(uri: KeyUri, connection: Connection, key: Object, options: OpenOptions) -> Key:
    key_type = read(key, Attribute.KEY_TYPE)
    if key_type is KeyType.AES:
        return AesTokenKey(uri, connection, key)
    if key_type is not KeyType.RSA:
        raise UnsupportedAlgorithm(f"the key is {kind_of(key)}, neither RSA nor AES")
    made = InTokenRsaKey if _mode(uri, connection.vendor.profile, key) is UnwrapMode.IN_TOKEN else NativeRsaKey
    return made(uri, connection, key, options.failure_floor)


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Open the one key that the URI names; logs in once a process and token."""
    connection = connect(uri, _module(uri), force_login=options.force_login)
    try:
        with connection.own_session() as session:
            return _open(uri, connection, find_key(session, uri), options)
    except BaseException:
        leave(connection)
        raise


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:
    """Make, import or list keys of the token that the URI names."""
    return TokenKeyMaker(uri, _module(uri), force_login=options.force_login)
