# SPDX-License-Identifier: Apache-2.0
"""Looking for secrets in files, in every spelling in which one could get out."""

import base64
import html
import json
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus


@dataclass(frozen=True)
class Leak:
    """A secret, by its name, in a file."""

    secret: str
    spelling: str
    path: Path


def spellings(secret: str) -> dict[str, bytes]:
    """The forms of a secret, by their names; equal ones once."""
    octets = secret.encode()
    texts = {
        "as it is": secret,
        "decomposed": unicodedata.normalize("NFD", secret),
        "upper case": secret.upper(),
        "JSON": json.dumps(secret)[1:-1],
        "JSON in Unicode": json.dumps(secret, ensure_ascii=False)[1:-1],
        "repr": repr(secret)[1:-1],
        "repr of bytes": repr(octets)[2:-1],
        "SQL": secret.replace("'", "''"),
        "HTML": html.escape(secret),
        "URL": quote(secret, safe=""),
        "URL, path": quote(secret),
        "form": quote_plus(secret),
        "hex": octets.hex(),
        "HEX": octets.hex().upper(),
        **_base64_inside(octets, "base64"),
        **_base64_inside(secret.encode("utf-16-le"), "base64 of UTF-16"),
    }
    found = {name: text.encode() for name, text in texts.items()}
    found |= {coding: secret.encode(coding, "replace") for coding in ("latin-1", "utf-16-le", "utf-16-be", "utf-32-le")}
    return {name: form for form, name in {form: name for name, form in reversed(found.items())}.items()}


def _base64_inside(octets: bytes, name: str) -> dict[str, str]:
    """What stays the same of the base64 of a text that holds the octets, wherever in it they begin."""
    forms = {}
    for before in range(3):
        whole = len(octets) - (-before % 3)  # beyond the first group, which others share
        middle = base64.b64encode(octets[-before % 3 :][: whole - whole % 3]).decode()
        forms[f"{name}, {before} before"] = middle
        forms[f"{name}url, {before} before"] = middle.replace("+", "-").replace("/", "_")
    return forms


def leaks(
    secrets: Mapping[str, str], roots: Iterable[Path], *, own: Collection[Path] = (), since: float = 0
) -> set[Leak]:
    """The secrets in the files under ``roots``; not those ``own`` that are there for a secret.

    ``since``: only files that were written after it, in seconds since 1970.
    """
    needles = [(name, spelling, form) for name, text in secrets.items() for spelling, form in spellings(text).items()]
    found = set()
    for path in (path for root in roots for path in root.rglob("*")):
        if not path.is_file() or path in own or path.stat().st_mtime < since:
            continue
        content = path.read_bytes().rstrip(b"\0")  # of which a write-ahead log has megabytes
        found |= {Leak(name, spelling, path) for name, spelling, form in needles if form in content}
    return found
