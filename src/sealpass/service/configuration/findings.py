# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration, and where: one line of a file, one key."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sealpass.core.errors import ConfigError, OperatorError
from sealpass.service.configuration.positions import KeyPath, Position, find_positions

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Severity(StrEnum):
    """Whether a finding keeps a service from being sound, or was said on purpose."""

    ERROR = "error"
    WARNING = "warning"


class FindingCode(StrEnum):
    """The kinds of findings; stable across releases."""

    FILE = "file"
    """The file breaks the grammar of TOML, the schema, or what values have to be."""
    STEP_MISSING = "step-missing"
    STEP_WITHOUT_E2EE = "step-without-e2ee"
    STEP_WITHOUT_POLICY = "step-without-policy"
    KEY_SHARED = "key-shared"
    """One key for two purposes, or in two rings."""
    KEY_CANNOT = "key-cannot"
    """The key answers, and does not do what its ring is for."""
    KEY_DOES_NOT_ANSWER = "key-does-not-answer"
    KEY_MISSING = "key-missing"
    """Records are stored under a key that the ring of records has not."""
    RING_UNUSED = "ring-unused"
    HASHING_WEAK = "hashing-weak"
    HASHING_TOO_LARGE = "hashing-too-large"
    """This machine has not the memory of one hash."""
    HASHING_MISSING = "hashing-missing"
    """A legacy hash whose package is not installed."""
    POLICY_WEAK = "policy-weak"
    DATABASE = "database"
    """It answers, and its tables are not those of this version, or it may not be used as it is."""
    DATABASE_DOES_NOT_ANSWER = "database-does-not-answer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to put right, or to know. Quotes no value of the file: somebody may have written a secret there."""

    severity: Severity
    code: FindingCode
    position: Position
    key: str
    """As TOML writes it; empty where the whole file is meant."""
    message: str
    hint: str | None = None

    def text(self, file: Path) -> str:
        """``FILE:LINE:COLUMN: error: key: message``, which editors and terminals know how to follow."""
        key = f"{self.key}: " if self.key else ""
        return f"{file}:{self.position.line}:{self.position.column}: {self.severity.value}: {key}{self.message}"


class ConfigurationRefused(ConfigError):
    """All that is wrong with a file, in ``findings``; the text is a line for each."""

    def __init__(self, file: Path, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: finding.position))
        super().__init__(
            ";\n".join(finding.text(file) for finding in self.findings),
            hint="'sealpass config check' shows them one by one",
        )


def own_hint(error: OperatorError) -> str | None:
    """The hint of an error, unless it is the one of every ConfigError: a finding says that by itself."""
    return None if error.hint == ConfigError.hint else error.hint


def written(path: KeyPath) -> str:
    """A path as TOML writes it, with the index of an element in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        # The escapes of JSON are those of TOML's basic strings, as far as keys need any.
        name = part if _BARE_KEY.fullmatch(part) else f'"{_printable(part)}"'
        text += f".{name}" if text else name
    return text


def _printable(name: str) -> str:
    return name.encode("unicode_escape").decode("ascii").replace('"', r"\"")


class Locations:
    """Where the keys of one document stand."""

    def __init__(self, document: str) -> None:
        self._positions = find_positions(document)

    def position(self, path: KeyPath) -> Position:
        """Of the key, or of what holds it where it is not there."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, Position(1, 1))

    def error(self, code: FindingCode, path: KeyPath, message: str, hint: str | None = None) -> Finding:
        """A finding that keeps a service from being sound."""
        return Finding(Severity.ERROR, code, self.position(path), written(path), message, hint)

    def warning(self, code: FindingCode, path: KeyPath, message: str, hint: str | None = None) -> Finding:
        """A finding that was said on purpose, or does no harm."""
        return Finding(Severity.WARNING, code, self.position(path), written(path), message, hint)
