# SPDX-License-Identifier: Apache-2.0
"""Stores, their passwords in environment variables, and URIs for them."""

from pathlib import Path

import pytest

from tests.keystore.make_stores import KEY_PASSWORDS, STORE_PASSWORD

STORES = Path(__file__).parent / "stores"


def variable(alias: str) -> str:
    """The environment variable with the key password of an entry."""
    return f"KEY_PASSWORD_{alias.replace('-', '_')}"


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the passwords of the stores where their URIs say that they are."""
    monkeypatch.setenv("STORE_PASSWORD", STORE_PASSWORD)
    monkeypatch.setenv("WRONG_PASSWORD", "not-the-password")
    for alias, password in KEY_PASSWORDS.items():
        monkeypatch.setenv(variable(alias), password)


def store_uri(store: str | Path, alias: str | None = None, *, key_id: str | None = None, **sources: str) -> str:
    """The URI of an entry; ``store`` is a path, or the name of a committed store."""
    path = STORES / store  # an absolute path replaces the folder
    named = (f";alias={alias}" if alias else "") + (f";key-id={key_id}" if key_id else "")
    query = {"store_pass_source": "env:STORE_PASSWORD"} | sources
    return f"keystore:path={path}{named}?" + "&".join(f"{name.replace('_', '-')}={v}" for name, v in query.items())
