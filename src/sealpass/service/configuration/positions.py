# SPDX-License-Identifier: Apache-2.0
"""Where in a TOML document each key and each element of an array stands.

The standard parser says what a document means and keeps no positions. This scanner does nothing else, and it is for
documents that the parser has accepted: of those it only has to tell keys, strings and brackets apart (TOML 1.0.0).
"""

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""Keys, and the index of an element where an array stands between."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_HEADER_END = re.compile(r"[ \t]*\]{1,2}")
# A multi-line string may end in up to five quotes, of which the last three are its end.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?!")|' + r"'''.*?'''(?!')|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'", re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\n]+")  # a number, a date or a boolean


class Position(NamedTuple):
    """Both count from 1, columns in characters."""

    line: int
    column: int


def find_positions(document: str) -> dict[KeyPath, Position]:
    """The position of everything that has a key or an index; ``document`` is valid TOML with newlines of one character.

    A table that has a header of its own stands there; one that only dotted names imply, where it is first named.
    """
    scanner = _Scanner(document)
    scanner.scan()
    starts = [0, *(match.end() for match in re.finditer("\n", document))]
    lines = {path: (bisect_right(starts, offset), offset) for path, offset in scanner.offsets.items()}
    return {path: Position(line, offset - starts[line - 1] + 1) for path, (line, offset) in lines.items()}


class _Scanner:
    def __init__(self, document: str) -> None:
        self._document = document
        self._at = 0
        self._last_index: dict[KeyPath, int] = {}
        """Of arrays of tables, whose headers have no index of their own."""
        self.offsets: dict[KeyPath, int] = {}

    def scan(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._document):
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _next(self) -> str:
        return self._document[self._at]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._document, self._at)
        if match is None:
            raise AssertionError(f"the document is not TOML at character {self._at}")
        self._at = match.end()
        return match[0]

    def _names(self) -> list[tuple[str, int]]:
        """A key, dotted or not: its parts, and where each begins."""
        names = []
        while True:
            start = self._at
            written = self._skip(_KEY)
            quoted = written[0] in "\"'"
            names.append((tomllib.loads(f"name = {written}")["name"] if quoted else written, start))
            if _DOT.match(self._document, self._at) is None:
                return names
            self._skip(_DOT)

    def _header(self) -> KeyPath:
        is_array = self._document.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        self._skip(_BLANK)
        *parents, (name, start) = self._names()
        self._skip(_HEADER_END)
        path = (*self._walk((), parents, through_arrays=True), name)
        if is_array:
            self._last_index[path] = self._last_index.get(path, -1) + 1
            self.offsets.setdefault(path, start)
            path = (*path, self._last_index[path])
        self.offsets[path] = start
        return path

    def _walk(self, path: KeyPath, names: list[tuple[str, int]], *, through_arrays: bool = False) -> KeyPath:
        for name, start in names:
            path = (*path, name)
            self.offsets.setdefault(path, start)
            if through_arrays and path in self._last_index:
                path = (*path, self._last_index[path])
        return path

    def _pair(self, table: KeyPath) -> None:
        *parents, (name, start) = self._names()
        path = (*self._walk(table, parents), name)
        self.offsets[path] = start
        self._skip(_EQUALS)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        match self._next():
            case '"' | "'":
                self._skip(_STRING)
            case "[":
                self._elements(path)
            case "{":
                self._members(path)
            case _:
                self._skip(_PLAIN)

    def _elements(self, path: KeyPath) -> None:
        index = 0
        while self._after_separator() != "]":
            self.offsets[*path, index] = self._at
            self._value((*path, index))
            index += 1
        self._at += 1

    def _members(self, path: KeyPath) -> None:
        while self._after_separator() != "}":
            self._pair(path)
        self._at += 1

    def _after_separator(self) -> str:
        """Step over an opening bracket or a comma, and what is blank around it; what comes then."""
        self._skip(_BLANK)
        if self._next() in "[{,":
            self._at += 1
            self._skip(_BLANK)
        return self._next()
