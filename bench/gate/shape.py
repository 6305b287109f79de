# SPDX-License-Identifier: Apache-2.0
"""Whether a document has the form of a published schema, for those keywords that our own schemas use.

A baseline is read wherever a gate runs, also where no extra brought a JSON Schema library along.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, cast

_MOST = 2**53
"""Of a number, either way: what is larger was never measured, and others' JSON readers round it."""
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST,
    # Of what is no number, and of infinity, this is false, too.
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST,
}
KEYWORDS = frozenset(
    {
        "$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items",
        "minItems", "enum", "const", "pattern", "minLength", "minimum", "maximum", "$ref", "$defs",
        "maxItems", "exclusiveMinimum", "anyOf", "oneOf",
    }
)  # fmt: skip
"""A schema with any other one would not be kept to."""
_OF_A_RANGE = frozenset({"type", "description", "minimum", "exclusiveMinimum", "maximum"})
"""Keywords that hold of all whole numbers between two of which they hold."""


@cache
def schema(name: str) -> dict[str, Any]:
    """A published schema by its file name."""
    text = (resources.files("sealpass.bench") / "schemas" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _lenient_schema(name: str) -> Any:
    """A published schema that allows members which it does not name."""
    return _open(schema(name))


def _open(form: Any) -> Any:
    if isinstance(form, list):
        return [_open(inner) for inner in form]
    if not isinstance(form, dict):
        return form
    return {name: _open(inner) for name, inner in form.items() if (name, inner) != ("additionalProperties", False)}


def fault(value: Any, name: str, *, leniently: bool = False) -> str | None:
    """The first place at which a value is not of the form of a schema, or None; no value of the document is told.

    ``leniently``: members that nobody knows do no harm, for later versions add some. Raises RecursionError for what is
    nested too deeply.
    """
    root = _lenient_schema(name) if leniently else schema(name)
    return _fault(value, root, root, "")


def _fault(value: Any, form: Mapping[str, Any], root: Mapping[str, Any], where: str) -> str | None:
    if "$ref" in form:
        return _fault(value, _named(form["$ref"], root), root, where)
    for kind in ("anyOf", "oneOf"):
        found = [_fault(value, one, root, where) for one in form.get(kind, ())]
        if found and (None not in found or (kind == "oneOf" and found.count(None) > 1)):
            return max(filter(None, found), key=len, default=where)
    types = form.get("type", ())
    if types and not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return where or "the whole file"
    if not _is_allowed(value, form):
        return where
    for name, inner, inner_form in _inner(value, form, where):
        wrong = name if inner_form is None else _fault(inner, inner_form, root, name)
        if wrong is not None:
            return wrong
    return None


def _named(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the schema; ours are all of the form ``#/$defs/name``, or lie deeper."""
    form: Any = root
    for part in reference.removeprefix("#/").split("/"):
        form = form[part]
    return cast("Mapping[str, Any]", form)


def _is_allowed(value: Any, form: Mapping[str, Any]) -> bool:
    """Of one value, whatever is in it."""
    if value not in form.get("enum", [value]) or value != form.get("const", value):
        return False
    if isinstance(value, str):
        return len(value) >= int(form.get("minLength", 0)) and re.search(form.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return bool(form.get("minItems", 0) <= len(value) <= form.get("maxItems", math.inf))
    if not isinstance(value, int | float):
        return True
    is_above = "exclusiveMinimum" not in form or value > form["exclusiveMinimum"]
    return bool(is_above and form.get("minimum", value) <= value <= form.get("maximum", value))


def _inner(value: Any, form: Mapping[str, Any], where: str) -> list[tuple[str, Any, Mapping[str, Any] | None]]:
    """The places inside a value, with what is there and its form; None: nothing may be there, or something must."""
    if isinstance(value, list):
        items = form.get("items", {})
        places: Sequence[int] = range(len(value))
        if set(map(type, value)) == {int} and items.keys() <= _OF_A_RANGE:
            places = sorted({value.index(min(value)), value.index(max(value))})  # of a million times two are enough
        return [(f"{where}[{at}]", value[at], items) for at in places]
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
