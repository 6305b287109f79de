# SPDX-License-Identifier: Apache-2.0
"""docs/passwords.md: its example runs, and its tables are those of the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.registry import key_maker
from sealpass.core.argon2_hash import DEFAULT_CEILINGS, HASHING_PROFILES
from sealpass.core.errors import RecordProblem
from sealpass.core.legacy_hashes import LegacyPbkdf2, LegacyScrypt
from sealpass.core.passwords import Passwords
from sealpass.core.records import MAX_RECORD_CHARACTERS, MAX_SUBJECT_BYTES, RecordUse
from sealpass.service.legacy_hashes import LEGACY_HASHES, LegacyBcrypt
from tests.support.sealing import CHEAP

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "passwords.md").read_text(encoding="utf-8")


@pytest.fixture(params=range(2))
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A Python block as it is printed, but for the key's URI."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    code = [block for block in blocks if "PASSWORDS = " in block][request.param]
    uri = str(key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256))
    code, changed = re.subn(r'"software:[^"]*"', json.dumps(uri), code)
    assert changed == 1
    names: dict[str, Any] = {"number": request.param}
    exec(code, names)  # noqa: S102 - our own documentation
    with names["RING"]:
        yield names


def test_examples_run(example: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The first one registers, logs in, upgrades, and tells an operator of a damaged row; the second one is set up."""
    if example["number"]:
        assert len(example["PASSWORDS"]._legacy) == 2
        return
    example["PASSWORDS"] = Passwords(example["RING"], hashing=CHEAP)
    record = example["register"]("user-1", "Pferd")
    assert example["log_in"]("user-1", record, "Pferd") == (True, None)
    assert example["log_in"]("user-1", record, "Pfad") == (False, None)
    assert example["log_in"](None, None, "Pferd") == (False, None)
    assert capsys.readouterr().out == ""
    assert example["log_in"]("user-2", record, "Pferd") == (False, None)
    assert "does-not-open" in capsys.readouterr().out
    example["PASSWORDS"] = Passwords(example["RING"], hashing=HASHING_PROFILES["owasp-12-mib"])
    matches, new = example["log_in"]("user-1", record, "Pferd")
    assert matches
    assert example["log_in"]("user-1", new, "Pferd") == (True, None)


@pytest.mark.parametrize(
    "name", [*RecordProblem, *RecordUse, *LEGACY_HASHES, *(name.upper().replace("-", "_") for name in HASHING_PROFILES)]
)
def test_every_name_is_there(name: str) -> None:
    """Problems, uses, legacy forms, and profiles by their names in Python."""
    spelled = name.replace("RFC9106", "RFC_9106")
    assert f"`{spelled}`" in GUIDE


def test_numbers_are_those_of_the_code() -> None:
    """Ceilings and lengths."""
    assert f"{MAX_RECORD_CHARACTERS} characters" in GUIDE
    assert f"1 to {MAX_SUBJECT_BYTES} bytes" in GUIDE
    ceilings = DEFAULT_CEILINGS
    assert f"{ceilings.memory_kib // 1024} MiB, {ceilings.passes} passes and {ceilings.lanes} lanes" in GUIDE
    assert f"{LegacyPbkdf2().max_iterations:,} iterations" in GUIDE
    assert f"{LegacyScrypt().max_memory_kib // 1024} MiB, {LegacyScrypt().max_lanes} lanes" in GUIDE
    assert f"cost {LegacyBcrypt().max_cost}" in GUIDE
