# SPDX-License-Identifier: Apache-2.0
"""The published schemas of our documents, and whether one that was read keeps to its own.

fastjsonschema does it: it needs nothing else, so that a gate can be run with few packages, and takes 0.1 s
for a million recorded times. Inside what may have one of several forms it names the whole.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

from sealpass.bench.report.outline import printable

_MOST = 2**53
"""Of a number, either way: what is larger was never measured, and others' JSON readers round it."""
_ROOT = "data"
"""What fastjsonschema calls the document."""


def loads(content: bytes | str) -> Any:
    """JSON; raises ValueError and RecursionError.

    A number that is none, or beyond all measure, becomes bytes, which are nothing that a schema knows.
    """
    return json.loads(content, parse_int=_whole_number, parse_float=_number, parse_constant=str.encode)


def _whole_number(text: str) -> int | bytes:
    return text.encode() if len(text) > len(str(-_MOST)) or abs(int(text)) > _MOST else int(text)


def _number(text: str) -> float | bytes:
    number = float(text)
    return number if abs(number) <= _MOST else text.encode()


@cache
def schema(name: str) -> dict[str, Any]:
    """A published schema by its file name."""
    text = (resources.files("sealpass.bench") / "schemas" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def fault(value: Any, name: str, *, leniently: bool = False) -> str | None:
    """The first place at which a value is not of the form of a schema, or None; no value of the document is told.

    ``leniently``: members that nobody knows do no harm, for later versions add some.
    """
    from fastjsonschema import JsonSchemaValueException

    try:
        _validator(name, leniently=leniently)(value)
    except JsonSchemaValueException as error:
        return _place(error)
    return None


@cache
def _validator(name: str, *, leniently: bool) -> Callable[[Any], Any]:
    from fastjsonschema import compile  # noqa: A004 - its name; here, so that a fresh process need not load it

    form = _open(schema(name)) if leniently else schema(name)
    found: Callable[[Any], Any] = compile(form, use_default=False)
    return found


def _open(form: Any) -> Any:
    """The schema without its refusals of members that it does not name."""
    if isinstance(form, list):
        return [_open(inner) for inner in form]
    if not isinstance(form, dict):
        return form
    return {name: _open(inner) for name, inner in form.items() if (name, inner) != ("additionalProperties", False)}


def _place(error: Any) -> str:
    """Where it is. A name that nobody knows is not repeated: it is as long, and as strange, as its writer liked."""
    place = printable(str(error.name).removeprefix(_ROOT).lstrip("."))[:200]
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        return f"{place}.{missing}".lstrip(".")
    if error.rule == "additionalProperties":
        return f"{place} (an unknown member)".lstrip()
    return place or "the whole file"
