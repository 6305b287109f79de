# SPDX-License-Identifier: Apache-2.0
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sealpass.core import argon2_hash
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, RecordProblem
from sealpass.core.legacy_hashes import LegacyArgon2id
from sealpass.core.passwords import Passwords
from sealpass.core.records import RecordUse
from sealpass.service.password_repository import Outcome
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import Clock
from tests.service.repository.conftest import (
    LOCK_OUT,
    NEW,
    OLD,
    OTHER,
    POLICY,
    RIGHT,
    WRONG,
    DeafKey,
    seen,
)
from tests.support.sealing import CHEAP, CountedKey, MemoryRing


def test_only_the_right_password_matches(repository: SqlPasswordRepository) -> None:
    """Of an existing user."""
    assert repository.check("s", OLD) == RIGHT
    for subject, password in (("s", NEW), ("s", OLD + " "), ("s", ""), ("S", OLD), ("", OLD), (None, OLD)):
        assert repository.check(subject, password) == WRONG
    assert not WRONG
    assert RIGHT


def test_a_success_forgets_the_failures(repository: SqlPasswordRepository) -> None:
    """Only failures in a row lock out."""
    for _ in range(3):
        assert not repository.check("s", NEW)
        assert not repository.check("s", NEW)
        assert repository.check("s", OLD)


def test_a_user_who_is_locked_out_looks_like_one_who_mistypes(
    repository: SqlPasswordRepository, clock: Clock, key: DeafKey, hashed: list[Argon2Parameters]
) -> None:
    """Not even the right password is looked at, until the time is over."""
    for _ in range(LOCK_OUT.attempts):
        assert repository.check("s", NEW) == WRONG
    assert repository.check("s", OLD) == WRONG
    assert repository.change("s", OLD, NEW) is Outcome.NO_MATCH
    clock.now += LOCK_OUT.seconds
    assert repository.check("s", OLD) == RIGHT


@pytest.mark.parametrize("subject", ["s", "locked", "damaged", "unknown", None])
def test_every_refusal_costs_one_hash_and_one_call_of_the_device(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    key: DeafKey,
    hashed: list[Argon2Parameters],
    subject: str | None,
) -> None:
    """Whoever does not exist, is locked out or has a damaged record, costs what a wrong password does."""
    repository.register("locked", OLD)
    storage.create("damaged", current=str(seen(storage).current))
    for _ in range(LOCK_OUT.attempts):
        repository.check("locked", NEW)
    hashed.clear()
    key.opened = key.sealed = 0
    assert repository.check(subject, NEW) == WRONG
    assert (hashed, key.opened, key.sealed) == ([CHEAP], 1, 0)


def test_a_damaged_record_is_for_operators_only(
    repository: SqlPasswordRepository, storage: PasswordStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """The page sees a wrong password; the log and a counter say what is wrong, without the record."""
    assert storage.create("moved", current=str(seen(storage).current))
    assert repository.check("moved", OLD) == WRONG
    assert repository.records_refused == {RecordProblem.DOES_NOT_OPEN: 1}
    (line,) = caplog.messages
    assert "'moved', slot current: record refused (does-not-open)" in line
    assert "$sealpass" not in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_key_that_left_the_ring_too_early_locks_nobody_out(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing
) -> None:
    """Nothing was compared, so nothing was learned and the attempt is given back: once the key is back, all is well."""
    keys = ring.keys
    assert repository.check("s", NEW) == WRONG
    ring.keys = [CountedKey("key-2")]
    for _ in range(LOCK_OUT.attempts + 1):
        assert repository.check("s", OLD) == WRONG
        assert repository.change("s", OLD, NEW) is Outcome.NO_MATCH
    assert set(repository.records_refused) == {RecordProblem.KEY_UNKNOWN}
    assert seen(storage).failures == 1
    ring.keys = keys
    assert repository.check("s", OLD) == RIGHT


@pytest.mark.parametrize("damaged", [RecordUse.CURRENT, RecordUse.LETTER])
def test_one_record_that_was_compared_is_enough_to_count(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, damaged: RecordUse
) -> None:
    """A damaged record beside it makes no guess free."""
    records = {use: passwords.hash(OLD, "other" if use is damaged else "l", use) for use in RecordUse}
    assert storage.create("l", current=records[RecordUse.CURRENT], letter=records[RecordUse.LETTER])
    for _ in range(LOCK_OUT.attempts):
        assert repository.check("l", NEW) == WRONG
    assert repository.check("l", OLD) == WRONG
    assert seen(storage, "l").locked_for == LOCK_OUT.seconds


def test_a_device_that_does_not_answer_returns_the_attempt(
    repository: SqlPasswordRepository, storage: PasswordStorage, key: DeafKey
) -> None:
    """Nobody's password was looked at, so nobody is locked out, and nobody is told that it is wrong."""
    repository.check("s", NEW)
    key.deaf = True
    for subject in ("s", "unknown"):
        for _ in range(LOCK_OUT.attempts):
            with pytest.raises(BackendUnavailable):
                repository.check(subject, OLD)
            with pytest.raises(BackendUnavailable):
                repository.change(subject, OLD, NEW)
    assert seen(storage).failures == 1
    key.deaf = False
    assert repository.check("s", OLD) == RIGHT


def test_a_device_that_does_not_answer_frees_no_one_who_is_locked_out(
    repository: SqlPasswordRepository, key: DeafKey
) -> None:
    """Only an attempt that was counted is given back."""
    for _ in range(LOCK_OUT.attempts):
        repository.check("s", NEW)
    key.deaf = True
    with pytest.raises(BackendUnavailable):
        repository.check("s", OLD)
    key.deaf = False
    assert repository.check("s", OLD) == WRONG


def test_a_login_brings_its_record_up_to_date(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing
) -> None:
    """Under the new key; when the password was set stays, and so does a second login's record."""
    before = seen(storage)
    ring.keys = [CountedKey("key-2"), *ring.keys]
    assert repository.check("s", NEW) == WRONG
    assert seen(storage).current == before.current
    assert repository.check("s", OLD) == RIGHT
    after = seen(storage)
    assert "$k=key-2$" in str(after.current)
    assert after == replace(before, current=after.current)
    assert repository.check("s", OLD) == RIGHT
    assert seen(storage) == after


def test_a_legacy_hash_becomes_a_record(
    storage: PasswordStorage, ring: MemoryRing, repository: SqlPasswordRepository
) -> None:
    """At the first login; a hash that is not allowed looks like a wrong password."""
    legacy = argon2_hash.hash_password(OLD.encode(), CHEAP)
    storage.create("legacy", current=legacy)
    assert repository.check("legacy", OLD) == WRONG
    assert repository.records_refused == {RecordProblem.FORM: 1}
    allowing = Passwords(ring, hashing=CHEAP, legacy=[LegacyArgon2id()])
    assert SqlPasswordRepository(storage, allowing, POLICY).check("legacy", OLD) == RIGHT
    assert repository.check("legacy", OLD) == RIGHT


def test_a_login_does_not_fail_with_bringing_up_to_date(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    ring: MemoryRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A new key that does not seal is for operators, and the old record stays."""
    before = seen(storage)
    new = DeafKey("key-2")
    new.deaf = True
    ring.keys = [new, *ring.keys]
    assert repository.check("s", OLD) == RIGHT
    assert seen(storage) == before
    assert "not brought up to date (backend-unavailable)" in caplog.text


def test_bringing_up_to_date_overwrites_no_change(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that is set between the check and the rewrite stays."""
    rewrite = storage.rewrite

    def late(*arguments: Any) -> bool:
        assert repository.reset("s", NEW) is Outcome.DONE
        return rewrite(*arguments)

    monkeypatch.setattr(storage, "rewrite", late)
    ring.keys = [CountedKey("key-2"), *ring.keys]
    assert repository.check("s", OLD) == RIGHT
    monkeypatch.undo()
    assert repository.check("s", OLD) == WRONG
    assert repository.check("s", NEW) == RIGHT


def test_a_silent_device_lets_no_legacy_guess_through(storage: PasswordStorage, ring: MemoryRing, key: DeafKey) -> None:
    """Right and wrong passwords of a legacy hash fail alike while the device is away: no answer, no guess for free."""
    passwords = Passwords(ring, hashing=CHEAP, legacy=(LegacyArgon2id(),))
    repository = SqlPasswordRepository(storage, passwords, POLICY, lock_out=LOCK_OUT)
    storage.create("legacy", current=argon2_hash.hash_password(OLD.encode(), CHEAP))
    key.deaf = True
    for password in (OLD, NEW):
        with pytest.raises(BackendUnavailable):
            repository.check("legacy", password)
    key.deaf = False
    assert repository.check("legacy", OLD) == RIGHT


def test_a_device_that_fails_after_a_comparison_gives_no_attempt_back(
    storage: PasswordStorage, repository: SqlPasswordRepository, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current password was compared and the letter's key is away: the guess counts, and the lock-out comes."""
    assert storage.set_letter(seen(storage), passwords.hash(NEW, "s", RecordUse.LETTER))
    verify = passwords.verify

    def without_letters(record: str, password: str, subject: str, use: RecordUse, deadline: Deadline | None) -> object:
        if use is RecordUse.LETTER:
            raise BackendUnavailable("the letter's key is away", retryable=True)
        return verify(record, password, subject, use, deadline)

    monkeypatch.setattr(passwords, "verify", without_letters)
    for _ in range(LOCK_OUT.attempts):
        with pytest.raises(BackendUnavailable):
            repository.check("s", OTHER)
    assert repository.check("s", OLD) == WRONG


def test_an_upgrade_at_login_never_brings_an_old_password_back(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator sets a password while a login hashes the old one anew: what he set stays."""
    newer = Passwords(ring, hashing=replace(CHEAP, passes=CHEAP.passes + 1))
    upgrading = SqlPasswordRepository(storage, newer, POLICY, lock_out=LOCK_OUT)
    make = newer.hash
    overtaken: list[str] = []

    def overtaken_hash(password: str, subject: str, **options: Any) -> str:
        record = make(password, subject, **options)
        if not overtaken:
            overtaken.append(subject)
            assert repository.admin_set(subject, NEW, must_change=False) is Outcome.DONE
        return record

    monkeypatch.setattr(newer, "hash", overtaken_hash)
    assert upgrading.check("s", OLD) == RIGHT
    assert overtaken == ["s"]
    assert repository.check("s", NEW) == RIGHT
    assert repository.check("s", OLD) == WRONG


@pytest.mark.parametrize("subject", [7, b"s", uuid.UUID(int=7), None])
def test_a_subject_that_is_no_text_is_an_error(repository: SqlPasswordRepository, subject: Any) -> None:
    """Not an answer: an application that hands over its numbers would lock everybody out, and nobody would know why."""
    calls: list[Callable[[], object]] = [
        lambda: repository.change(subject, OLD, NEW),
        lambda: repository.change_forced(subject, NEW, generation=0),
        lambda: repository.reset(subject, NEW),
        lambda: repository.register(subject, NEW),
        lambda: repository.admin_set(subject, NEW),
        lambda: repository.issue_letter(subject),
    ]
    if subject is not None:  # there: a login name that nobody has
        calls.append(lambda: repository.check(subject, OLD))
    for call in calls:
        with pytest.raises(ConfigError, match="a subject is text, not") as caught:
            call()
        assert "str(…) of your id" in caught.value.hint


@pytest.mark.parametrize("password", [OLD.encode(), 7, None])
def test_a_password_that_is_no_text_is_an_error(repository: SqlPasswordRepository, password: Any) -> None:
    """And it costs no attempt."""
    for call in (
        lambda: repository.check("s", password),
        lambda: repository.change("s", OLD, password),
        lambda: repository.change("s", password, NEW),
        lambda: repository.reset("s", password),
        lambda: repository.register("t", password),
        lambda: repository.admin_set("s", password),
        lambda: repository.issue_letter("s", lambda: password),
    ):
        with pytest.raises(ConfigError, match="a password is a str, not"):
            call()


def test_a_lock_out_is_logged_once(repository: SqlPasswordRepository, caplog: pytest.LogCaptureFixture) -> None:
    """When it begins: operators learn whom to help, and a flood of guesses does not flood the log."""
    for _ in range(LOCK_OUT.attempts - 1):
        repository.check("s", NEW)
    assert caplog.messages == []
    for _ in range(3):
        repository.check("s", NEW)
    assert caplog.messages == ["subject 's' is locked out, after 3 attempts that failed"]
    assert caplog.records[0].levelno == logging.WARNING
