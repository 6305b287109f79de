# SPDX-License-Identifier: Apache-2.0
import logging
from collections.abc import Callable

import pytest

from sealpass.core.errors import BackendUnavailable
from sealpass.core.passwords import Passwords
from sealpass.service.database import Database
from sealpass.service.policy import PolicyViolation
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.service.repository.conftest import NEW, OLD, OTHER, DeafKey, seen
from tests.support.sealing import MemoryRing
from tests.unit.test_secrecy import told_by

SECRETS = ("Pferd", "Tretm", "Gurkenglas", "$argon2id", "$sealpass$v=1$k=key")


def use_everything(repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing) -> list[object]:
    """All operations, and most of what goes wrong; what they answered."""
    storage.create("damaged", current=str(seen(storage).current))
    said: list[object] = [repository.register("t", OLD), repository.register("t", NEW)]
    said += [repository.check(subject, password) for subject in ("t", "s", "no", "damaged") for password in (OLD, NEW)]
    said += [repository.change("t", OLD, NEW), repository.change("t", OLD, OTHER), repository.reset("t", OTHER)]
    said += [repository.admin_set("t", NEW), repository.change_forced("t", f"{OTHER}!", generation=None)]
    said += [repository.issue_letter("t", lambda: f"{OTHER}?"), repository.check("t", f"{OTHER}?"), seen(storage, "t")]
    new = DeafKey("new-key")
    new.deaf = True
    ring.keys = [new, *ring.keys]
    said += [repository.check("s", OLD), repository.records_refused, repository]
    return said


def test_nothing_that_is_logged_or_answered_holds_a_password_or_a_record(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where debug messages are on."""
    caplog.set_level(logging.DEBUG)
    said = use_everything(repository, storage, ring)
    assert "does-not-open" in caplog.text
    assert "not brought up to date" in caplog.text
    for secret in SECRETS:
        assert secret not in repr(said)
        assert secret not in caplog.text


def test_a_password_is_nowhere_in_the_database(repository: SqlPasswordRepository, database: Database) -> None:
    """Neither as it is nor as a hash that is not sealed: whoever reads all tables finds records only."""
    repository.change("s", OLD, NEW)
    tables = ("sealpass_subject", "sealpass_record")
    dump = "".join(
        str(row)
        for table in tables
        for row in database.read(lambda connection: connection.exec_driver_sql(f"SELECT * FROM {table}").all())  # noqa: B023, S608 - called at once; our own names
    )
    assert dump.count("$sealpass$v=1$") == 2
    for secret in SECRETS[:-1]:
        assert secret not in dump


def test_errors_hold_neither_password_nor_record(
    repository: SqlPasswordRepository, key: DeafKey, passwords: Passwords
) -> None:
    """Nor does anything that they were raised from."""
    told = []
    unacceptable: list[Callable[[], object]] = [
        lambda: repository.change("s", OLD, OLD),
        lambda: repository.reset("s", OLD),
        lambda: repository.register("u", "Pferd"),
        lambda: repository.register("u", "Gurkenglas" * 500),
        lambda: repository.register("u", "Gurkenglas\ud800"),
    ]
    for run in unacceptable:
        with pytest.raises(PolicyViolation) as caught:
            run()
        told.append(told_by(caught.value))
    key.deaf = True
    unanswered: list[Callable[[], object]] = [
        lambda: repository.check("s", OLD),
        lambda: repository.change("s", OLD, NEW),
        lambda: repository.reset("s", NEW),
        lambda: repository.register("u", NEW),
        lambda: repository.admin_set("s", NEW),
    ]
    for run in unanswered:
        with pytest.raises(BackendUnavailable) as away:
            run()
        told.append(told_by(away.value))
    for secret in SECRETS:
        assert secret not in "".join(told)
