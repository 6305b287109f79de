# SPDX-License-Identifier: Apache-2.0
"""Key URIs: the grammar of RFC 7512 for ``pkcs11:``, the same grammar for sealpass's own schemes.

core knows the grammar only. Which attributes a scheme has is declared by its backend as :class:`UriAttributes` and
checked at open. Repeated attributes are refused, ``parse`` and ``str`` are inverse, and no error text repeats a
value, because somebody will one day write a PIN into a URI.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sealpass.core.errors import ConfigError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
# RFC 7512 section 2.3: pk11-res-avail, then what a path value and a query value may hold besides.
_RESERVED = ":[]@!$'()*+,="
_PATH_CHARACTERS = _UNRESERVED + _RESERVED + "&"
_QUERY_CHARACTERS = _UNRESERVED + _RESERVED + "/?|"
_PKCS11 = "pkcs11"
_PKCS11_TYPES = ("public", "private", "cert", "secret-key", "data")
_SECRET_NAME = re.compile(r"pin|pass|secret", re.IGNORECASE)
_SECRET_SOURCE = re.compile(rb"(file|env):")
_EXAMPLES = (
    "for example pkcs11:token=NAME;object=LABEL, awskms:key-id=alias/NAME;region=REGION, "
    "keystore:path=/x.p12;alias=NAME or software:path=/x.pem"
)
_FORBIDDEN_QUERY = {
    "pin-value": "a PIN in a URI ends up in logs and process lists; use pin-source=file:PATH or env:NAME"
}


def _path_characters(scheme: str) -> frozenset[str]:
    return frozenset(_PATH_CHARACTERS if scheme == _PKCS11 else _PATH_CHARACTERS + "/")


def _decode(text: str, allowed: frozenset[str], where: str) -> bytes:
    octets = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        if character == "%":
            match = _PERCENT.match(text, position)
            if match is None:
                raise ConfigError(f"key URI: attribute '{where}' has a '%' without two hexadecimal digits")
            octets.append(int(match[1], 16))
            position += 3
        elif character in allowed:
            octets.append(ord(character))
            position += 1
        else:
            raise ConfigError(f"key URI: attribute '{where}' holds a character that must be percent-encoded")
    return bytes(octets)


def _encode(octets: bytes, allowed: frozenset[str]) -> str:
    return "".join(chr(octet) if chr(octet) in allowed else f"%{octet:02X}" for octet in octets)


def _split(text: str, separator: str, allowed: frozenset[str]) -> dict[str, bytes]:
    attributes: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if not equals or not _NAME.match(name):
            raise ConfigError(
                "key URI: every attribute is name=value, with a name of letters, digits, '-' and '_'", hint=_EXAMPLES
            )
        if name in attributes:
            raise ConfigError(f"key URI: attribute '{name}' is given twice")
        attributes[name] = _decode(value, allowed, name)
    return attributes


def scheme_of(text: str) -> str:
    """The scheme of a URI in lower case, whatever follows it; raises ConfigError where there is none."""
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise ConfigError(
            "not a key URI: it does not begin with a scheme",
            hint="are there quotes around it?" if text.startswith(("'", '"')) else _EXAMPLES,
        )
    return scheme.lower()


def _mask(attributes: Mapping[str, bytes]) -> dict[str, bytes]:
    """Hide what somebody wrote where only the source of a secret belongs, or into an attribute that nobody has."""
    return {
        name: b"***" if _SECRET_NAME.search(name) and not _SECRET_SOURCE.match(value) else value
        for name, value in attributes.items()
    }


@dataclass(frozen=True, slots=True)
class UriAttributes:
    """Which attributes a scheme takes; anything else is refused at open."""

    path: frozenset[str]
    query: frozenset[str]
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=True)
class KeyUri:
    """A parsed key URI. Values are octets, because CKA_ID is; :meth:`text` decodes UTF-8.

    The order of attributes has no meaning (RFC 7512 section 2.3): it is kept for printing and ignored by ``==``.
    """

    scheme: str
    path: Mapping[str, bytes] = field(hash=False)
    query: Mapping[str, bytes] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", MappingProxyType(dict(self.path)))
        object.__setattr__(self, "query", MappingProxyType(dict(self.query)))

    @classmethod
    def parse(cls, text: str) -> "KeyUri":
        """Parse; raises ConfigError, whose text never repeats a value of the URI."""
        scheme = scheme_of(text)
        path_text, _, query_text = text.partition(":")[2].partition("?")
        path = _split(path_text, ";", _path_characters(scheme))
        query = _split(query_text, "&", frozenset(_QUERY_CHARACTERS))
        for name, reason in _FORBIDDEN_QUERY.items():
            if name in query or name in path:
                raise ConfigError(f"key URI: {name} is refused", hint=reason)
        if both := path.keys() & query.keys():
            raise ConfigError(f"key URI: attribute '{min(both)}' stands before and after the '?'")
        uri = cls(scheme, path, query)
        uri._check_values()
        return uri

    def _check_values(self) -> None:
        if self.scheme != _PKCS11:
            return
        if "slot-id" in self.path and not re.fullmatch(rb"[0-9]+", self.path["slot-id"]):
            raise ConfigError("key URI: slot-id is a decimal number")
        if "library-version" in self.path and not re.fullmatch(rb"[0-9]+(\.[0-9]+)?", self.path["library-version"]):
            raise ConfigError("key URI: library-version is NUMBER or NUMBER.NUMBER")
        if "type" in self.path and self.text("type") not in _PKCS11_TYPES:
            raise ConfigError(f"key URI: type is one of {', '.join(_PKCS11_TYPES)}")

    def octets(self, name: str) -> bytes | None:
        """The value of a path or query attribute, or None."""
        value = self.path.get(name)
        return self.query.get(name) if value is None else value

    def text(self, name: str) -> str | None:
        """The value as UTF-8 text, or None; raises ConfigError where it is not UTF-8."""
        value = self.octets(name)
        if value is None:
            return None
        text = value.decode("utf-8", "replace")  # the error of a strict decode() would hold the value
        if text.encode("utf-8") != value:
            raise ConfigError(f"key URI: attribute '{name}' is not UTF-8")
        return text

    def require(self, name: str) -> str:
        """The value as text; raises ConfigError where it is missing or empty."""
        value = self.text(name)
        if not value:
            raise ConfigError(f"{self.scheme}: key URI lacks '{name}'", hint=f"add {name}=… to the URI")
        return value

    def check_attributes(self, attributes: UriAttributes) -> None:
        """Refuse what the scheme does not declare, and ask for what it needs."""
        self._check_separators(attributes)
        places = (
            ("path", self.path, attributes.path, attributes.query, "after"),
            ("query", self.query, attributes.query, attributes.path, "before"),
        )
        for kind, given, known, elsewhere, where in places:
            for name in given:
                if name not in known:
                    misplaced = f"'{name}' stands {where} the '?'" if name in elsewhere else None
                    raise ConfigError(
                        f"{self.scheme}: unknown {kind} attribute '{name}'",
                        hint=misplaced or f"known {kind} attributes: {', '.join(sorted(known)) or 'none'}",
                    )
        for name in sorted(attributes.required):
            self.require(name)

    def _check_separators(self, attributes: UriAttributes) -> None:
        """Refuse ``a=1&b=2`` before the '?', which is one attribute there (RFC 7512 allows '&' in its value)."""
        for name, value in self.path.items() if self.scheme != _PKCS11 else ():
            swallowed = re.search(rb"&([a-z-]+)=", value)
            if swallowed and swallowed[1].decode("ascii") in attributes.path | attributes.query:
                raise ConfigError(
                    f"{self.scheme}: '{name}' holds another attribute",
                    hint="before the '?' attributes are separated by ';'",
                )

    def replace(self, *, path: Mapping[str, bytes | None] | None = None) -> "KeyUri":
        """A copy with path attributes set, or removed where the new value is None."""
        merged = {**self.path, **(path or {})}
        return KeyUri(self.scheme, {name: value for name, value in merged.items() if value is not None}, self.query)

    def __hash__(self) -> int:
        return hash((self.scheme, frozenset(self.path.items()), frozenset(self.query.items())))

    def __str__(self) -> str:
        in_path = _path_characters(self.scheme)
        in_query = frozenset(_QUERY_CHARACTERS)
        # RFC 7512 section 2.3 wants the whole of "id" percent-encoded: it is binary.
        path = ";".join(
            f"{name}={_encode(value, frozenset() if name == 'id' else in_path)}" for name, value in self.path.items()
        )
        query = "&".join(f"{name}={_encode(value, in_query)}" for name, value in self.query.items())
        return f"{self.scheme}:{path}" + (f"?{query}" if query else "")

    def shown(self) -> str:
        """The URI for logs and messages, before a backend has checked it: what may be a secret is ``***``."""
        masked = KeyUri(self.scheme, _mask(self.path), _mask(self.query))
        # Userinfo of a URL is the one place where a secret fits into an attribute that we accept.
        return re.sub(r"//[^/?&]*@", "//***@", str(masked))

    def __repr__(self) -> str:
        return f"KeyUri({self.shown()!r})"
