# SPDX-License-Identifier: Apache-2.0
"""Initial passwords: made by the server, used once, for a time."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.errors import ConfigError
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.core.passwords import Passwords
from sealpass.core.records import RecordUse
from sealpass.service.database import Database
from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck
from sealpass.service.policy import Normalisation, PolicyReason
from sealpass.service.repository import DEFAULT_LETTER_LIFETIME, SqlPasswordRepository
from sealpass.service.storage import PasswordStorage, StoredPassword
from tests.service.conftest import Clock
from tests.service.repository.conftest import (
    LOCK_OUT,
    MUST_CHANGE,
    NEW,
    OLD,
    OTHER,
    POLICY,
    RIGHT,
    WRONG,
    DeafKey,
    logged_in,
    seen,
    violated,
)


def issued(repository: SqlPasswordRepository, subject: str = "s", **options: Any) -> str:
    """The password of a letter that was issued."""
    letter = repository.issue_letter(subject, **options)
    assert letter.outcome is Outcome.DONE
    assert letter.password is not None
    return letter.password


def with_letter(storage: PasswordStorage, passwords: Passwords, *, has_current: bool = True) -> None:
    """A subject ``l`` whose letter is OTHER, and whose password is OLD, if it has one."""
    letter = passwords.hash(OTHER, "l", RecordUse.LETTER)
    assert storage.create("l", current=passwords.hash(OLD, "l") if has_current else None, letter=letter)


@pytest.mark.parametrize("has_current", [True, False])
def test_an_initial_password_logs_in_and_has_to_be_changed(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, *, has_current: bool
) -> None:
    """Beside the current one, if there is one; the change uses it up, and it is not to be the new one."""
    with_letter(storage, passwords, has_current=has_current)
    assert repository.check("l", NEW) == WRONG
    assert repository.check("l", OLD) == (RIGHT if has_current else WRONG)
    assert repository.change_forced("l", NEW, generation=0) is Outcome.NOT_DUE
    generation = logged_in(repository, OTHER, "l")
    assert logged_in(repository, OTHER, "l") == generation
    assert violated(lambda: repository.change_forced("l", OTHER, generation=generation)) == (PolicyReason.REUSED,)
    assert repository.change_forced("l", NEW, generation=generation) is Outcome.DONE
    assert repository.check("l", OTHER) == WRONG
    assert repository.check("l", NEW) == RIGHT
    assert len(seen(storage, "l").history) == has_current


@pytest.mark.parametrize("has_current", [True, False])
def test_an_initial_password_is_an_old_password(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, *, has_current: bool
) -> None:
    """For a voluntary change; what goes into the history is the password that was there, not the letter's."""
    with_letter(storage, passwords, has_current=has_current)
    assert repository.change("l", OTHER, NEW) is Outcome.DONE
    assert repository.check("l", NEW) == RIGHT
    kept = [entry.record for entry in seen(storage, "l").history]
    assert [bool(passwords.verify(record, OLD, "l", RecordUse.HISTORY)) for record in kept] == [True] * has_current


def test_a_letter_forgets_the_failures(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords
) -> None:
    """A login by it is a success like any other, and so is a change."""
    with_letter(storage, passwords)
    for _ in range(LOCK_OUT.attempts - 1):
        assert repository.check("l", NEW) == WRONG
    assert repository.check("l", OTHER) == MUST_CHANGE
    assert seen(storage, "l").failures == 0
    assert repository.check("l", NEW) == WRONG
    assert violated(lambda: repository.change("l", OTHER, OLD)) == (PolicyReason.REUSED,)
    assert seen(storage, "l").failures == 0


def log_in_by_new_letter(repository: SqlPasswordRepository) -> Outcome:
    """Another letter, and a login by it, which demands a change."""
    outcome = repository.issue_letter("l", lambda: NEW).outcome
    logged_in(repository, NEW, "l")
    return outcome


@pytest.mark.parametrize(
    ("overtake", "then"),
    [
        (lambda repository: repository.change("l", OTHER, NEW), RIGHT),
        (lambda repository: repository.admin_set("l", NEW), MUST_CHANGE),
        (log_in_by_new_letter, MUST_CHANGE),
    ],
    ids=["change", "admin-set", "letter"],
)
def test_a_late_login_demands_no_change_of_a_password_that_was_just_chosen(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    passwords: Passwords,
    monkeypatch: pytest.MonkeyPatch,
    overtake: Callable[[SqlPasswordRepository], Outcome],
    then: PasswordCheck,
) -> None:
    """The letter is used up between a login's comparison and its writing: it changes nothing, and is worth nothing."""
    with_letter(storage, passwords)
    set_must_change = storage.set_must_change

    def late(before: StoredPassword, *, must_change: bool) -> bool:
        monkeypatch.undo()
        assert overtake(repository) is Outcome.DONE
        return set_must_change(before, must_change=must_change)

    monkeypatch.setattr(storage, "set_must_change", late)
    overtaken = logged_in(repository, OTHER, "l")
    assert repository.check("l", NEW) == then
    refusal = Outcome.CONFLICT if then.must_change else Outcome.NOT_DUE
    assert repository.change_forced("l", "etwas ganz anderes", generation=overtaken) is refusal
    assert repository.admin_set("l", OLD) is Outcome.DONE
    assert repository.change_forced("l", "etwas ganz anderes", generation=overtaken) is Outcome.CONFLICT


# -- for a time ---------------------------------------------------------------------------------------------------


def test_a_letter_expires(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    passwords: Passwords,
    clock: Clock,
    key: DeafKey,
    hashed: list[Argon2Parameters],
) -> None:
    """After it the letter is a wrong password in every step, counts as one, and costs what it did."""
    with_letter(storage, passwords)
    clock.now += DEFAULT_LETTER_LIFETIME - 1
    assert repository.check("l", NEW) == WRONG
    cost = (len(hashed), key.opened)
    clock.now += 1
    hashed.clear()
    key.opened = 0
    assert repository.check("l", OTHER) == WRONG
    assert (len(hashed), key.opened) == (cost[0], cost[0])
    assert repository.change("l", OTHER, NEW) is Outcome.NO_MATCH
    assert seen(storage, "l").failures == 3
    assert not seen(storage, "l").must_change
    clock.now += LOCK_OUT.seconds
    assert repository.check("l", OLD) == RIGHT
    assert DEFAULT_LETTER_LIFETIME == 30 * 86400


def test_the_lifetime_of_letters_is_a_setting(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, clock: Clock
) -> None:
    """In seconds; what began in time may be finished, and a new letter begins anew."""
    hasty = SqlPasswordRepository(storage, passwords, POLICY, letter_lifetime=10)
    for_ever = SqlPasswordRepository(storage, passwords, POLICY, letter_lifetime=float("inf"))
    password = issued(hasty)
    clock.now += 9.5
    generation = logged_in(hasty, password)
    clock.now += 0.5
    assert hasty.check("s", password) == WRONG
    assert for_ever.check("s", password) == MUST_CHANGE
    assert hasty.change_forced("s", NEW, generation=generation) is Outcome.DONE
    assert hasty.check("s", issued(hasty)) == MUST_CHANGE
    for lifetime in (0, -1, float("nan")):
        with pytest.raises(ConfigError, match="a letter lives"):
            SqlPasswordRepository(storage, passwords, POLICY, letter_lifetime=lifetime)


# -- issuing ------------------------------------------------------------------------------------------------------


def test_a_letter_is_issued_for_a_user(repository: SqlPasswordRepository, storage: PasswordStorage) -> None:
    """Beside the current password, and in the place of an earlier letter; it is random."""
    first, second = issued(repository), issued(repository)
    assert first != second
    assert repository.check("s", first) == WRONG
    assert repository.check("s", OLD) == RIGHT
    assert repository.check("s", second) == MUST_CHANGE
    assert repository.issue_letter("nobody") == IssuedLetter(Outcome.UNKNOWN)
    assert storage.get("nobody") is None


def test_a_letter_may_be_the_first_password(repository: SqlPasswordRepository, storage: PasswordStorage) -> None:
    """Of a new user, and explicitly; who is there already keeps what is there."""
    before = seen(storage)
    assert repository.issue_letter("s", register=True) == IssuedLetter(Outcome.EXISTS)
    assert seen(storage) == before
    password = issued(repository, "new", register=True)
    assert seen(storage, "new").current is None
    generation = logged_in(repository, password, "new")
    assert repository.change_forced("new", NEW, generation=generation) is Outcome.DONE
    assert repository.check("new", password) == WRONG
    assert repository.check("new", NEW) == RIGHT


def test_a_letter_ends_forced_changes_that_were_under_way(repository: SqlPasswordRepository) -> None:
    """A session that an earlier letter opened cannot choose the password any more."""
    overtaken = logged_in(repository, issued(repository))
    password = issued(repository)
    assert repository.change_forced("s", NEW, generation=overtaken) is Outcome.CONFLICT
    assert repository.change_forced("s", NEW, generation=logged_in(repository, password)) is Outcome.DONE


def test_a_session_of_a_deleted_subject_ends_with_it(
    repository: SqlPasswordRepository, storage: PasswordStorage
) -> None:
    """Who is registered under the same name is somebody else, also where all that happened to both is the same."""
    overtaken = logged_in(repository, issued(repository, "new", register=True), "new")
    assert storage.delete("new")
    generation = logged_in(repository, issued(repository, "new", register=True), "new")
    assert repository.change_forced("new", OTHER, generation=overtaken) is Outcome.CONFLICT
    assert repository.change_forced("new", NEW, generation=generation) is Outcome.DONE


def test_a_letter_that_lost_is_none(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sets a password, or registers the user, while the letter's is hashed: theirs stays, nothing is shown."""
    make = passwords.hash

    def overtaken(password: str, subject: str, *arguments: Any, **options: Any) -> str:
        monkeypatch.undo()
        assert (repository.reset if storage.get(subject) else repository.register)(subject, NEW) is Outcome.DONE
        return make(password, subject, *arguments, **options)

    for subject, outcome in (("s", Outcome.CONFLICT), ("new", Outcome.EXISTS)):
        monkeypatch.setattr(passwords, "hash", overtaken)
        letter = repository.issue_letter(subject, register=storage.get(subject) is None)
        assert letter == IssuedLetter(outcome)
        assert seen(storage, subject).letter is None
        assert repository.check(subject, NEW) == RIGHT


def test_a_letter_survives_a_rotation_in_the_middle(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier letter that was only rewritten is no conflict."""
    issued(repository)
    set_letter = storage.set_letter

    def late(before: StoredPassword, letter: str | None) -> bool:
        monkeypatch.undo()
        again = passwords.hash(OTHER, "s", RecordUse.LETTER)
        assert storage.rewrite("s", RecordUse.LETTER, str(before.letter), again)
        return set_letter(before, letter)

    monkeypatch.setattr(storage, "set_letter", late)
    assert repository.check("s", issued(repository)) == MUST_CHANGE


def test_a_maker_may_be_given(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords
) -> None:
    """What it makes is normalised as any password is, and must be one that can be hashed."""
    assert issued(repository, password_maker=lambda: "kurz") == "kurz"
    assert repository.check("s", "kurz") == MUST_CHANGE
    composed = SqlPasswordRepository(storage, passwords, replace(POLICY, normalisation=Normalisation.NFC))
    assert issued(composed, password_maker=lambda: "a\u0308") == "a\u0308"
    assert composed.check("s", "ä") == MUST_CHANGE
    before = seen(storage)
    for bad in ("", "x" * (MAX_PASSWORD_BYTES + 1), "\ud800"):
        with pytest.raises(ConfigError, match="made none"):
            repository.issue_letter("s", lambda: bad)  # noqa: B023 - called at once
    assert seen(storage) == before


def test_the_password_of_a_letter_is_in_the_answer_only(
    repository: SqlPasswordRepository, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in its repr, not in a log, and not in the database."""
    caplog.set_level(logging.DEBUG)
    letter = repository.issue_letter("s")
    password = str(letter.password)
    assert len(password) >= 12
    rows = database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM sealpass_record").all())
    assert len(rows) == 2
    for told in (repr(letter), str(letter), caplog.text, str(rows)):
        assert password not in told
