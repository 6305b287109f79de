# SPDX-License-Identifier: Apache-2.0
"""The commands that judge speed, with an answer that a test chose in place of measuring."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from sealpass.__main__ import main
from tests.bench.gate.conftest import example

Asked = TypeVar("Asked")


class ToldCommand(Generic[Asked]):
    """``sealpass bench NAME`` that answers what it is told to: at first the example document of that name."""

    def __init__(self, name: str, first: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.answer: dict[str, Any] | Exception = example(first)
        self.asked: list[Asked] = []
        self._name = name
        self._capfd = capfd

    def run(self, asked: Asked, told: Callable[[str], None]) -> dict[str, Any]:
        """In place of measuring."""
        self.asked.append(asked)
        told("measuring")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and words."""
        status = main(["bench", self._name, *arguments])
        output, words = self._capfd.readouterr()
        return status, output, words
