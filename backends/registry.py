# SPDX-License-Identifier: Apache-2.0
"""Schemes and the modules that serve them. A new device family is one new module and one line here."""

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.core.protocols import Key, KeyMaker
from sealpass.core.uri import KeyUri, UriAttributes, scheme_of


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """What a caller may ask of any backend at open."""

    failure_floor: float | None = None
    """Seconds after which failures are released; None = the backend's own default."""
    force_login: bool = False
    """Log in even where the token says that one more wrong PIN locks it."""


class Family(Protocol):
    """What a backend module offers."""

    ATTRIBUTES: UriAttributes

    def open_key(self, uri: KeyUri, options: OpenOptions) -> Key:
        """Open the one key that the URI names."""
        ...

    def key_maker(self, uri: KeyUri, options: OpenOptions) -> KeyMaker:
        """Make or list keys where the URI points."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    module: str
    extra: str | None = None


_FAMILIES = {
    "software": _Entry("sealpass.backends.software"),
    "pkcs11": _Entry("sealpass.backends.pkcs11", extra="pkcs11"),
    "awskms": _Entry("sealpass.backends.awskms", extra="awskms"),
    "keystore": _Entry("sealpass.backends.keystore", extra="keystore"),
}


def schemes() -> tuple[str, ...]:
    """The schemes that this version knows, installed or not."""
    return tuple(_FAMILIES)


def family(scheme: str) -> Family:
    """Import the backend of a scheme; raises ConfigError (unknown) or MissingDependency (not installed)."""
    entry = _FAMILIES.get(scheme)
    if entry is None:
        hint = "of AWS KMS: awskms:key-id=ARN" if scheme == "arn" else f"schemes: {', '.join(_FAMILIES)}"
        raise ConfigError(f"no backend for '{scheme}:'", hint=hint)
    try:
        return cast("Family", importlib.import_module(entry.module))
    except ModuleNotFoundError as error:
        # A missing module of our own is a bug, not a missing extra.
        if entry.extra is None or (error.name or "").startswith("sealpass"):
            raise
        raise MissingDependency(entry.extra, error.name or entry.extra) from None


def _resolve(uri: str | KeyUri) -> tuple[KeyUri, Family]:
    # The scheme comes first: the grammar of a URI that is not for us is of no help to anybody.
    found = family(scheme_of(uri) if isinstance(uri, str) else uri.scheme)
    parsed = KeyUri.parse(uri) if isinstance(uri, str) else uri
    parsed.check_attributes(found.ATTRIBUTES)
    return parsed, found


def uri_without_secrets(text: str) -> KeyUri:
    """A key URI that may be kept or sent: with attributes of its scheme, and secrets only by file:PATH or env:NAME.

    Opens nothing. Where the scheme's extra is not installed here, its attributes are not looked at. Raises ConfigError.
    """
    try:
        attributes = family(scheme_of(text)).ATTRIBUTES
    except MissingDependency:
        attributes = None
    uri = KeyUri.parse(text)
    if attributes is not None:
        uri.check_attributes(attributes)
    if uri.shown() != str(uri):
        raise ConfigError(
            f"{uri.scheme}: a secret would stand in the key URI",
            hint="a PIN or password is named by …-source=file:PATH or env:NAME",
        )
    return uri


def open_key(uri: str | KeyUri, *, failure_floor: float | None = None, force_login: bool = False) -> Key:
    """Open the key that a URI names. Close it, or use it in a ``with`` block.

    ``failure_floor`` is in seconds (default: 0.05; 0.5 for AWS KMS). Raises operator errors: ConfigError,
    KeyNotFound, AuthenticationFailed, BackendUnavailable, MissingDependency.
    """
    parsed, found = _resolve(uri)
    return found.open_key(parsed, OpenOptions(failure_floor, force_login))


def key_maker(uri: str | KeyUri, *, force_login: bool = False) -> KeyMaker:
    """Make, import or list keys where a URI points."""
    parsed, found = _resolve(uri)
    return found.key_maker(parsed, OpenOptions(force_login=force_login))
