# SPDX-License-Identifier: Apache-2.0
"""Result files as they are read: of a schema that is known, and kept to."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealpass.bench import published
from sealpass.core.errors import ConfigError

_SCHEMA = re.compile(r"(sealpass\.[a-z]{1,30}/)[0-9]{1,9}")


def read(path: Path, schemas: Sequence[str], *, leniently: bool = False) -> dict[str, Any]:
    """A result file of one of these schemas; raises ConfigError, which names it.

    ``leniently``: members of a later version do no harm.
    """
    try:
        loaded = published.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not JSON") from None
    schema = loaded.get("schema") if isinstance(loaded, dict) else None
    if not isinstance(loaded, dict) or not isinstance(schema, str) or schema not in schemas:
        raise ConfigError(f"{path}: {_refused(schema, schemas)}", hint=f"give files of {', '.join(schemas)}")
    name = schema.removeprefix("sealpass.").replace("/", "-")
    place = published.fault(loaded, f"{name}.json", leniently=leniently)
    if place is not None:
        raise ConfigError(f"{path} does not follow the schema {schema}: wrong at {place}")
    try:
        json.dumps(loaded)  # where the schema leaves a member open
    except TypeError:
        raise ConfigError(f"{path} holds a number beyond all measure") from None
    return loaded


def _refused(schema: object, schemas: Sequence[str]) -> str:
    known = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if known is None:
        return "not a result file of sealpass"
    if any(each.startswith(known[1]) for each in schemas):
        return f"{known[0]} is of another version of sealpass"
    return f"{known[0]} is of no use here"
