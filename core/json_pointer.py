# SPDX-License-Identifier: Apache-2.0
"""JSON Pointer (RFC 6901): where in the payload the password stands."""

import re
from typing import Any

from sealpass.core.errors import ConfigError

_FORM = re.compile(r"(/([^~/]|~[01])*)*\Z")
_INDEX = re.compile(r"(0|[1-9][0-9]{0,8})\Z")


class JsonPointer:
    """A parsed pointer; raises ConfigError where the text is none."""

    __slots__ = ("_tokens", "text")

    def __init__(self, text: str) -> None:
        if not _FORM.match(text):
            raise ConfigError("not a JSON Pointer", hint="for example /password")
        self.text = text
        # ~1 before ~0: RFC 6901 section 4
        self._tokens = tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])

    def find(self, value: Any) -> Any:
        """The value that the pointer names; raises LookupError where nothing is there."""
        for token in self._tokens:
            if isinstance(value, dict):
                value = value[token]
            elif isinstance(value, list) and _INDEX.match(token):
                value = value[int(token)]
            else:
                raise LookupError("the pointer leads into a value without members")
        return value

    def build(self, value: Any) -> Any:
        """The smallest nest of objects in which the pointer names ``value``."""
        for token in reversed(self._tokens):
            value = {token: value}
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPointer) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"JsonPointer({self.text!r})"
