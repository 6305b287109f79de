# SPDX-License-Identifier: Apache-2.0
"""Whether a document has the form of a published schema, for those keywords that our own schemas use.

A baseline is read wherever a gate runs, also where no extra brought a JSON Schema library along.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

_MOST = 2**53
"""Of a number, either way: what is larger was never measured, and others' JSON readers round it."""
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST,
    "number": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) <= _MOST
    ),
}
KEYWORDS = frozenset(
    {
        "$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items",
        "minItems", "enum", "const", "pattern", "minLength", "minimum", "$ref", "$defs",
    }
)  # fmt: skip
"""A schema with any other one would not be kept to."""


@cache
def schema(name: str) -> dict[str, Any]:
    """A published schema by its file name."""
    text = (resources.files("sealpass.bench") / "schemas" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def fault(value: Any, name: str) -> str | None:
    """The first place at which a value is not of the form of a schema, or None; no value of the document is told."""
    root = schema(name)
    return _fault(value, root, root["$defs"], "")


def _fault(value: Any, form: Mapping[str, Any], defs: Mapping[str, Any], where: str) -> str | None:
    if "$ref" in form:
        return _fault(value, defs[form["$ref"].rpartition("/")[2]], defs, where)
    types = form.get("type", ())
    if types and not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return where or "the whole file"
    if not _is_allowed(value, form):
        return where
    for name, inner, inner_form in _inner(value, form, where):
        found = name if inner_form is None else _fault(inner, inner_form, defs, name)
        if found is not None:
            return found
    return None


def _is_allowed(value: Any, form: Mapping[str, Any]) -> bool:
    """Of one value, whatever is in it."""
    if value not in form.get("enum", [value]) or value != form.get("const", value):
        return False
    if isinstance(value, str):
        return len(value) >= int(form.get("minLength", 0)) and re.search(form.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return len(value) >= int(form.get("minItems", 0))
    return not isinstance(value, int | float) or bool(value >= form.get("minimum", value))


def _inner(value: Any, form: Mapping[str, Any], where: str) -> list[tuple[str, Any, Mapping[str, Any] | None]]:
    """The places inside a value, with what is there and its form; None: nothing may be there, or something must."""
    if isinstance(value, list):
        return [(f"{where}[{at}]", one, form.get("items", {})) for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return []
    known, others = form.get("properties", {}), form.get("additionalProperties", {})
    found: list[tuple[str, Any, Mapping[str, Any] | None]] = [
        (f"{where}.{name}".lstrip("."), None, None) for name in form.get("required", ()) if name not in value
    ]
    for name, one in value.items():
        inner_form = known.get(name, None if others is False else others)
        # A name that nobody knows is not repeated: it is as long, and as strange, as whoever wrote it liked.
        place = f"{where}.{name}" if name in known else f"{where} (an unknown member)" if others is False else where
        found.append((place.lstrip("."), one, inner_form))
    return found
