# SPDX-License-Identifier: Apache-2.0
"""The scanner against documents whose writer knows where it wrote each key, and against the standard parser."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.service.configuration.positions import KeyPath, Position, find_positions

NAMES = st.text(st.sampled_from("aBz09-_.# =[]{}\"'\\äß☃\t\n"), max_size=4)
SCALARS = st.sampled_from(
    [
        "1",
        "-1_000",
        "0xff",
        "1.5e3",
        "inf",
        "nan",
        "true",
        "1979-05-27",
        "1979-05-27 07:32:00Z",
        '""',
        "''",
        '"# ] } , = \\" \\\\"',
        "'# ] } , = \" \\'",
        '""""""',
        '"""a"""',
        '"""\n# [x]\ny = "1"\n"""',
        '"""two at the end"""""',
        '"""\\"""\\""""',
        '"""\\\n   x"""',
        "''''''",
        "'''\n]\n'two'''''",
    ]
)


class Array(list[Any]):
    """Elements of a value: scalars, arrays and inline tables."""


class Tables(list[Any]):
    """Tables under one name, each with a ``[[header]]``."""


class Inline(dict[str, Any]):
    """A table in braces."""


class Dotted(dict[str, Any]):
    """A table that only dotted names imply."""


def _filled(kind: type, members: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, members, min_size=least, max_size=3).map(kind)


VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3).map(Array) | _filled(Inline, inner), max_leaves=6
)
TABLES = st.recursive(
    _filled(dict, VALUES | _filled(Dotted, VALUES, least=1)),
    lambda inner: _filled(dict, VALUES | inner | st.lists(inner, min_size=1, max_size=3).map(Tables)),
    max_leaves=6,
)


class Writer:
    """Writes a document in a style that is drawn, and remembers where each key begins."""

    def __init__(self, choose: Callable[[list[str]], str]) -> None:
        self._choose = choose
        self.text = ""
        self.begins: dict[KeyPath, int] = {}

    def document(self, table: Mapping[str, Any], path: KeyPath = ()) -> None:
        """A table: what stands directly in it first, then what has headers."""
        for name, value in table.items():
            if isinstance(value, Dotted):
                for below, inner in value.items():
                    self._pair(path, [name, below], inner)
                    self._end_of_line()
            elif isinstance(value, str | Array | Inline):
                self._pair(path, [name], value)
                self._end_of_line()
        for name, value in table.items():
            if type(value) is dict:
                self._header((*path, name), "[", "]")
                self.document(value, (*path, name))
            if isinstance(value, Tables):
                for index, inner in enumerate(value):
                    self._header((*path, name), "[[", "]]", index)
                    self.document(inner, (*path, name, index))

    def _header(self, path: KeyPath, opening: str, closing: str, index: int | None = None) -> None:
        self.text += self._choose(["", "  ", "# [comment]\n\n"]) + opening + self._choose(["", " "])
        *parents, last = path
        walked: KeyPath = ()
        for part in parents:
            walked = (*walked, part)
            if isinstance(part, str):
                self._name(walked, part, implied=True)
                self.text += self._choose([".", " . "])
        self._name(path, str(last), implied=bool(index))
        if index is not None:
            self.begins[*path, index] = self._last
        self.text += closing
        self._end_of_line()

    def _pair(self, path: KeyPath, names: list[str], value: Any) -> None:
        for at, name in enumerate(names, 1):
            path = (*path, name)
            self._name(path, name, implied=at < len(names))
            if at < len(names):
                self.text += self._choose([".", " .\t"])
        self.text += self._choose(["=", " = "])
        self._value(path, value)

    def _name(self, path: KeyPath, name: str, *, implied: bool) -> None:
        spellings = [json.dumps(name, ensure_ascii=False)]
        if re.fullmatch("[A-Za-z0-9_-]+", name):
            spellings.append(name)
        if "'" not in name and "\n" not in name:
            spellings.append(f"'{name}'")
        self._last = len(self.text)
        if not (implied and path in self.begins):
            self.begins[path] = self._last
        self.text += self._choose(spellings)

    def _value(self, path: KeyPath, value: Any) -> None:
        if isinstance(value, Array):
            blank = self._choose(["", " ", "\n", " # ], comment\n "])
            self.text += "["
            for index, inner in enumerate(value):
                self.text += ("," if index else "") + blank
                self.begins[*path, index] = len(self.text)
                self._value((*path, index), inner)
            self.text += blank + (self._choose(["", ","]) if value else "") + blank + "]"
        elif isinstance(value, Inline):
            self.text += "{" + self._choose(["", " "])
            for index, (name, inner) in enumerate(value.items()):
                self.text += self._choose([",", ", "]) if index else ""
                self._pair(path, [name], inner)
            self.text += "}"
        else:
            self.text += value

    def _end_of_line(self) -> None:
        self.text += self._choose(["\n", " # comment = [\n", "\n\n\t\n"])


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Every key and index of what the standard parser made of a document."""
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} - {()} | {below for name, inner in members for below in paths_of(inner, (*path, name))}


@given(TABLES, st.data())
def test_every_key_is_where_it_was_written(table: dict[str, Any], data: st.DataObject) -> None:
    """All keys and elements that the standard parser knows, no others, each at the character where it begins."""
    writer = Writer(lambda choices: data.draw(st.sampled_from(choices)))
    writer.document(table)
    found = find_positions(writer.text)
    assert set(found) == paths_of(tomllib.loads(writer.text))
    lines = writer.text.split("\n")
    offsets = {
        path: sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1 for path, place in found.items()
    }
    assert offsets == writer.begins


def test_lines_and_columns_count_from_one() -> None:
    """As editors show them, and tomllib's own errors."""
    found = find_positions('a = 1\n\n[b."c d"]\n  e = [1,\n  2]\n')
    assert found == {
        ("a",): Position(1, 1),
        ("b",): Position(3, 2),
        ("b", "c d"): Position(3, 4),
        ("b", "c d", "e"): Position(4, 3),
        ("b", "c d", "e", 0): Position(4, 8),
        ("b", "c d", "e", 1): Position(5, 3),
    }


def test_a_header_is_the_place_of_its_table() -> None:
    """Also where the table was implied by another one before."""
    assert find_positions("[a.b]\n[a]\n")["a",] == Position(2, 2)


def test_what_is_no_toml_is_not_guessed_at() -> None:
    """The parser has refused it before; here it is a bug."""
    with pytest.raises(AssertionError, match="not TOML"):
        find_positions("a = 1\n?")
