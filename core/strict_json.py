# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 7493 (I-JSON) restricts it: UTF-8, no byte order mark, no repeated member, no NaN, no lone surrogate."""

import json
from collections.abc import Sequence
from typing import Any


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member name")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# One decoder for all calls: json.loads() builds a new one whenever a hook is given.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant)


def loads(octets: bytes) -> Any:
    """Parse one JSON text; raises ValueError whatever is wrong with it (nesting too deep included).

    Unlike ``json.loads`` it never guesses UTF-16 or UTF-32 from the bytes, and its error does not carry the text
    along (``JSONDecodeError.doc``, ``UnicodeError.object``): the text may be a payload or a key.
    """
    try:
        value = _DECODER.decode(octets.decode("utf-8"))
        if b"\\u" in octets:  # only an escape can smuggle in a lone surrogate; encoding finds it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        wrong = "nested too deeply"
    except ValueError as error:
        wrong = str(error)
    else:
        return value
    raise ValueError(wrong)
