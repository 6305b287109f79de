# SPDX-License-Identifier: Apache-2.0
"""Finding key objects by URI and reading what the token says of them."""

from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm as CryptographyUnsupported
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import Attribute, KeyType, Mechanism, Object, ObjectClass, Session
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.return_values import LOST_ERRORS, translate
from sealpass.core.errors import ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.uri import KeyUri

_CLASSES = {"private": ObjectClass.PRIVATE_KEY, "secret-key": ObjectClass.SECRET_KEY}


def find_keys(session: Session, uri: KeyUri) -> list[Object]:
    """The private and secret keys that the URI's object, id and type select."""
    kind = uri.text("type")
    if kind is not None and kind not in _CLASSES:
        raise ConfigError("a key URI has type=private or type=secret-key", hint="or leave type out")
    template: dict[Attribute, Any] = {}
    if (label := uri.text("object")) is not None:
        template[Attribute.LABEL] = label
    if (identifier := uri.octets("id")) is not None:
        template[Attribute.ID] = identifier
    found: list[Object] = []
    try:
        for object_class in (_CLASSES[kind],) if kind else _CLASSES.values():
            # list() drains the search: an open one blocks every other operation of the session
            found += list(session.get_objects({**template, Attribute.CLASS: object_class}))
    except PKCS11Error as error:
        raise translate(error, "looking for the key") from None
    return found


def find_key(session: Session, uri: KeyUri) -> Object:
    """The one key that the URI names; raises KeyNotFound where there is none or more than one."""
    if uri.octets("object") is None and uri.octets("id") is None:
        raise ConfigError("the URI names a token but no key", hint="add object=LABEL or id=%… to the URI")
    found = find_keys(session, uri)
    if not found:
        raise KeyNotFound("no private or secret key of the token matches the URI")
    if len(found) > 1:
        raise KeyNotFound(
            f"{len(found)} keys of the token match the URI", hint="say which by id=%… ('sealpass keys list' shows ids)"
        )
    return found[0]


def read(key: Object, attribute: Attribute) -> Any:
    """An attribute, or None where the token does not have or show it; raises BackendUnavailable for a lost token."""
    try:
        return key[attribute]
    except LOST_ERRORS as error:
        raise translate(error, "reading an attribute") from None
    except (PKCS11Error, ValueError):  # ValueError: an enumeration that python-pkcs11 does not know
        return None


def handle_of(item: Object) -> int:
    """The object's handle, for the function list."""
    handle = item.handle
    assert handle is not None  # noqa: S101 - only an object that was never in a token has none
    return handle


def handle_of_session(session: Session) -> int:
    """The session's handle, for the function list. It is in the Cython class and not in the stub."""
    handle: int = session.handle  # type: ignore[attr-defined]
    return handle


def kind_of(key: Object) -> str:
    """``RSA-2048``, ``AES-256``, or what else the token says."""
    key_type = read(key, Attribute.KEY_TYPE)
    if key_type is KeyType.RSA:
        modulus = read(key, Attribute.MODULUS)
        return "RSA" if modulus is None else f"RSA-{int.from_bytes(modulus, 'big').bit_length()}"
    if key_type is KeyType.AES:
        length = read(key, Attribute.VALUE_LEN)
        return "AES" if not length else f"AES-{8 * length}"
    return "unknown type" if key_type is None else key_type.name


def public_key_of(session: Session, key: Object) -> rsa.RSAPublicKey:
    """The public half of an RSA private key, from itself or from the public key with its CKA_ID.

    Raises ConfigError where the token shows no public half, UnsupportedAlgorithm where it is no RSA key.
    """
    modulus, exponent = read(key, Attribute.MODULUS), read(key, Attribute.PUBLIC_EXPONENT)
    if not modulus or not exponent:
        identifier = read(key, Attribute.ID)
        template = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: identifier}
        try:
            halves = list(session.get_objects(template)) if identifier else []
        except PKCS11Error as error:
            raise translate(error, "looking for the public key") from None
        if not halves:
            raise ConfigError("the token shows no public half of the key", hint="store the public key with its CKA_ID")
        modulus, exponent = read(halves[0], Attribute.MODULUS), read(halves[0], Attribute.PUBLIC_EXPONENT)
    numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
    try:
        return numbers.public_key()
    except (ValueError, CryptographyUnsupported):
        raise UnsupportedAlgorithm("the token's modulus and exponent are no RSA public key") from None


_REPORTED = (
    Attribute.SENSITIVE,
    Attribute.EXTRACTABLE,
    Attribute.ALWAYS_SENSITIVE,
    Attribute.NEVER_EXTRACTABLE,
    Attribute.PRIVATE,
    Attribute.TOKEN,
    Attribute.LOCAL,
    Attribute.MODIFIABLE,
    Attribute.COPYABLE,
    Attribute.DECRYPT,
    Attribute.UNWRAP,
    Attribute.SIGN,
    Attribute.DERIVE,
    Attribute.ALWAYS_AUTHENTICATE,
)


def report_attributes(key: Object) -> dict[str, bool | int | str | None]:
    """The attributes that a qualification judges, by their names without CKA_; None = the token does not say."""
    found: dict[str, bool | int | str | None] = {item.name.lower(): read(key, item) for item in _REPORTED}
    for item in (Attribute.LABEL, Attribute.ID):
        value = read(key, item)
        found[item.name.lower()] = value.hex() if isinstance(value, bytes) else value
    mechanisms = read(key, Attribute.ALLOWED_MECHANISMS)
    found["allowed_mechanisms"] = ", ".join(map(_mechanism_name, mechanisms)) if mechanisms else None
    return found


def _mechanism_name(number: int) -> str:
    try:
        return f"CKM_{Mechanism(number).name}"
    except ValueError:
        return f"0x{number:08X}"
