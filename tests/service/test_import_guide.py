# SPDX-License-Identifier: Apache-2.0
"""docs/passwords.md: the import of an old table, as it is printed."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.passwords import Passwords
from sealpass.core.records import MAX_RECORD_CHARACTERS
from sealpass.service.database import Database
from sealpass.service.policy import PasswordPolicy
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "passwords.md").read_text(encoding="utf-8")
(IMPORT,) = (
    block
    for block in re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
    if "def import_table" in block
)
BCRYPT = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
ID = UUID(int=7)


def test_an_old_table_is_imported_and_its_users_log_in(database: Database) -> None:
    """But for what has no allowed form; and it may be run again."""
    names: dict[str, Any] = {}
    exec(IMPORT, names)  # noqa: S102 - our own documentation
    storage = PasswordStorage(database)
    assert names["import_table"](storage, [(ID, BCRYPT), (8, "plain text")]) == ["8"]
    assert names["import_table"](storage, [(ID, BCRYPT)]) == [str(ID)]
    passwords = Passwords(MemoryRing(CountedKey()), hashing=CHEAP, legacy=names["FORMS"])
    repository = SqlPasswordRepository(storage, passwords, PasswordPolicy())
    assert repository.check(str(ID), "U*U")
    assert not repository.check("8", "plain text")


def test_a_value_that_is_too_long_is_told(database: Database) -> None:
    """With the limit, and not as a constraint of the database; one of that length is stored."""
    storage = PasswordStorage(database)
    with pytest.raises(ConfigError, match=f"at most {MAX_RECORD_CHARACTERS} characters"):
        storage.create("s", current="x" * (MAX_RECORD_CHARACTERS + 1))
    assert storage.create("s", current="x" * MAX_RECORD_CHARACTERS)


def test_a_subject_of_the_storage_is_text(database: Database) -> None:
    """SQLite would take a number and make a text of it, PostgreSQL would not."""
    number: Any = 7
    with pytest.raises(ConfigError, match="a subject is text, not int"):
        PasswordStorage(database).create(number, current=BCRYPT)
