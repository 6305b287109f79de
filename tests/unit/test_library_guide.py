# SPDX-License-Identifier: Apache-2.0
"""docs/library.md names what an application must know by name, and its example for Airlock's KMS variant runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sealpass.core import errors
from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import RejectReason
from sealpass.core.nonces import Purpose

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "library.md").read_text(encoding="utf-8")


def _public_errors() -> list[str]:
    return [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("name", [*RejectReason, *Purpose, *(purpose.name for purpose in Purpose)])
def test_reasons_and_purposes_are_listed(name: str) -> None:
    """Whoever maps a reason to a message, or a route to a purpose, finds all of them."""
    assert f"`{name}`" in GUIDE or f"`Purpose.{name}`" in GUIDE


@pytest.mark.parametrize("name", _public_errors())
def test_errors_are_listed(name: str) -> None:
    """Every class that an application may catch, the base class among them."""
    assert f"`{name}`" in GUIDE or f"`sealpass.{name}`" in GUIDE


@pytest.mark.parametrize(
    "text",
    [
        "`put(record)`",
        "`consume(nonce)`",
        "`consume_latest(session, purpose, profile)`",
        "SEALPASS.allowing_sha1()",
        "lifetime=60",
        "`with`",
    ],
)
def test_what_is_easily_missed_is_there(text: str) -> None:
    """The methods of a nonce store, the opt-in to SHA-1, a nonce's lifetime, and how a ring is closed."""
    assert text in GUIDE


def test_example_for_kms_runs(software_uri: str) -> None:
    """As it is printed, but for the key's URI: the announcement goes out, the password comes in."""
    block = re.search(r"^## Airlock IAM with AWS KMS.*?^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert block is not None
    code, changed = re.subn(r'"awskms:[^"]*"', json.dumps(software_uri), block[1])
    assert changed == 1
    example: dict[str, Any] = {}
    exec(code, example)  # noqa: S102 - our own documentation
    with example["RING"]:
        announced = json.dumps(example["announcement"]("flow-1")).encode()
        message = encrypt_password("korrekt Pferd", E2eeInformation.from_json(announced))
        assert example["password_of"](message, "flow-1") == "korrekt Pferd"
