# SPDX-License-Identifier: Apache-2.0
"""docs/repository.md: its example runs, and its tables are those of the code."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.registry import key_maker
from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.core.nonces import Purpose
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.core.passwords import Passwords
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import (
    MAX_BLOCK_LIST_BYTES,
    MAX_HISTORY,
    PasswordPolicy,
    PolicyReason,
)
from sealpass.service.repository import DEFAULT_LETTER_LIFETIME, DEFAULT_LOCK_OUT
from tests.service.repository.conftest import NEW, OLD, OTHER
from tests.support.sealing import CHEAP

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "repository.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_example_runs(source: str, software_uri: str, tmp_path: Path) -> None:
    """As it is printed, but for the places of keys, list and database; and with a cheap hash."""
    (found,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    (tmp_path / "common.txt").write_text("Batterie Batterie\n")
    code = str(found)
    for printed, place in (
        ("software:path=seal.jwk", str(key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256))),
        ("software:path=e2ee.pem", software_uri),
        ("sqlite:////var/lib/sealpass/passwords.db", source),
        ("common.txt", str(tmp_path / "common.txt")),
    ):
        assert code.count(f'"{printed}"') == 1
        code = code.replace(f'"{printed}"', repr(place))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    with names["DATABASE"], names["SEAL"], names["UNWRAP"]:
        names["PLAIN"]._passwords = Passwords(names["SEAL"], hashing=CHEAP)
        assert names["PLAIN"].register("user-1", OLD, must_change=True) is Outcome.DONE

        def log_in(password: str, user_id: str | None = "user-1") -> str:
            information: E2eeInformation = names["REPOSITORY"].announce("flow", Purpose.CHECK)
            return str(names["log_in"]("flow", user_id, encrypt_password(password, information)))

        assert names["log_in_page"]("flow")["profile"] == "sealpass"
        assert log_in(OLD) == "choose a new password"
        for new, page in (("kurz", "choose another one: too-short"), (NEW, "welcome"), (OTHER, "log in again")):
            information = names["REPOSITORY"].announce("flow", Purpose.CHANGE)
            assert names["choose"]("flow", "user-1", encrypt_password(new, information)) == page
        assert log_in(NEW) == "welcome"
        assert log_in(OLD) == log_in(OLD, None) == "wrong name or password, or try again later"


def test_the_tables_name_everything() -> None:
    """Every outcome, reason, purpose and setting, and the figures."""
    names = {*Outcome, *PolicyReason, *Purpose, *(field.name for field in fields(PasswordPolicy))}
    assert {name for name in names if f"`{name}`" not in GUIDE} == set()
    policy = PasswordPolicy()
    assert f"| {policy.min_length}, {policy.max_length} |" in GUIDE
    assert f"| {policy.history}, at most {MAX_HISTORY} |" in GUIDE
    assert f"letter_lifetime={DEFAULT_LETTER_LIFETIME / 86400:.0f} * 86400" in GUIDE
    assert f"reuse_lock_out=LockOut(attempts={DEFAULT_LOCK_OUT.attempts}, seconds={DEFAULT_LOCK_OUT.seconds})" in GUIDE
    assert f"{MAX_PASSWORD_BYTES} bytes" in GUIDE
    assert f"{MAX_BLOCK_LIST_BYTES >> 20} MiB" in GUIDE
