# SPDX-License-Identifier: Apache-2.0
import importlib.util

import pytest

from sealpass.__main__ import main
from sealpass.backends.matrix import ROWS
from sealpass.backends.registry import schemes
from sealpass.cli.backends import PACKAGES
from tests.cli.conftest import Run


def test_backends_prints_the_shipped_matrix(run: Run) -> None:
    """Every row is there, as JSON and for people."""
    members = run("backends", "--json").json
    assert [(member["scheme"], member["device"], member["mode"]) for member in members] == [
        (row.scheme, row.device, row.mode) for row in ROWS
    ]
    assert [member["unwrap"] for member in members] == [list(row.unwrap) for row in ROWS]
    text = run("backends").text
    assert text.count("\n\n") == len(ROWS) - 1
    assert all(row.device in text and row.note in text for row in ROWS)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the package of an extra is missing, the matrix says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert main(["backends"]) == 0
    assert "no: pip install 'sealpass[pkcs11]'" in capsys.readouterr().out


def test_every_scheme_has_its_package_named() -> None:
    """A new scheme must say which package it needs."""
    assert set(PACKAGES) == set(schemes())
    assert {row.scheme for row in ROWS} <= set(PACKAGES)
