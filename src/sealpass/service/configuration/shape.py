# SPDX-License-Identifier: Apache-2.0
"""A document against the published schema: every breach of it, in our own words.

The words are ours because those of the library quote the values, and where a number belongs somebody may have written
a PIN. The schema keeps to keywords that mean the same in the older drafts which TOML editors know.
"""

import json
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from sealpass.service.configuration.findings import Finding, FindingCode, Locations, written
from sealpass.service.configuration.positions import KeyPath

_SCHEMA = "configuration.schema.json"
_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def schema_text() -> str:
    """The published schema, as JSON."""
    return resources.files("sealpass.service.configuration").joinpath(_SCHEMA).read_text(encoding="utf-8")


def find_breaches(document: Mapping[str, Any], locations: Locations) -> list[Finding]:
    """Every breach of the schema."""
    errors = list(_validator().iter_errors(document))
    of_another_kind = [error.absolute_path for error in errors if error.validator == "type"]
    explained = (
        locations.error(FindingCode.FILE, path, message)
        for error in errors
        if error.validator == "type" or error.absolute_path not in of_another_kind  # which breaks what else is asked
        for path, message in _explain(error)
    )
    return list(dict.fromkeys(explained))  # the library has an error for each missing key, and each names them all


@cache
def _validator() -> Validator:
    schema = json.loads(schema_text())
    # TOML tells 1 from 1.0, and JSON Schema does not; nan is neither below a maximum nor above it.
    strict = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
            ),
        }
    )
    validator: Validator = extend(Draft202012Validator, type_checker=strict)(schema)  # type: ignore[no-untyped-call]
    return validator


def _explain(error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    """What a person has to know of an error of the library; one about several keys becomes one for each."""
    path: KeyPath = tuple(error.absolute_path)
    schema: Any = error.schema
    limit: Any = error.validator_value
    found: Any = error.instance
    match error.validator:
        case "type":
            yield path, f"must be {_NAMES[limit]}, not {_kind(found)}"
        case "additionalProperties":
            known = schema["properties"]
            for name in found:
                if name not in known:
                    yield (*path, name), f"unknown key; {_nearest(name, known)}"
        case "required":
            yield from (((*path, name), f"missing{_place(path)}") for name in limit if name not in found)
        case "enum":
            allowed = ", ".join(map(json.dumps, limit))
            choice = f"one of {allowed}{_did_you_mean(found, limit)}" if len(limit) > 1 else allowed
            yield path, f"must be {choice}"
        case "minimum":
            yield path, f"must be at least {limit}"
        case "maximum":
            yield path, f"must be at most {limit}"
        case "minLength":
            yield path, "must not be empty"
        case "minProperties":
            yield path, "must have an entry at least"
        case "uniqueItems":
            yield path, "must not hold the same value twice"
        case keyword:
            raise AssertionError(f"the schema uses {keyword}, which has no words yet")


def _kind(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}
    if type(value) in names:
        return _NAMES[names[type(value)]]
    if isinstance(value, float):
        return "nan" if math.isnan(value) else "a number with a fraction"
    return "a date or time"


def _place(path: KeyPath) -> str:
    return f" in [{written(path)}]" if path else ""


def _nearest(name: str, known: Mapping[str, object]) -> str:
    return _did_you_mean(name, list(known)).removeprefix("; ") or f"known here: {', '.join(known)}"


def _did_you_mean(found: object, known: list[Any]) -> str:
    if not isinstance(found, str):
        return ""
    near = get_close_matches(found.lower(), [value for value in known if isinstance(value, str)], n=1, cutoff=0.7)
    return f'; did you mean "{near[0]}"?' if near else ""
