# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 7493 (I-JSON) restricts it: UTF-8, no byte order mark, no repeated member, no NaN, no lone surrogate."""

import json
from collections.abc import Callable, Sequence
from typing import Any


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member name")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# One scanner for all calls: json.loads() builds a new decoder whenever a hook is given.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_refuse_constant
).scan_once  # type: ignore[attr-defined]  # documented nowhere, and what raw_decode() calls; tests hold it in place
_SPACE = " \t\n\r"  # RFC 8259 section 2


def loads(octets: bytes) -> Any:
    """Parse one JSON text; raises ValueError whatever is wrong with it (nesting too deep included).

    Unlike ``json.loads`` it never guesses UTF-16 or UTF-32 from the bytes, and its error does not carry the text
    along (``JSONDecodeError.doc``, ``UnicodeError.object``): the text may be a payload or a key.
    """
    try:
        text = octets.decode("utf-8").strip(_SPACE)
        value, end = _scan(text, 0)
        if b"\\u" in octets:  # only an escape can smuggle in a lone surrogate; encoding finds it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except StopIteration:  # the scanner's way to say that nothing is there
        wrong = "no JSON value"
    except RecursionError:
        wrong = "nested too deeply"
    except ValueError as error:
        wrong = str(error)
    else:
        if end == len(text):
            return value
        wrong = "something follows the JSON value"
    raise ValueError(wrong)
