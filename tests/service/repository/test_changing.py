# SPDX-License-Identifier: Apache-2.0
import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sealpass.core import argon2_hash
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.errors import RecordProblem
from sealpass.core.legacy_hashes import LegacySaltedSha256
from sealpass.core.passwords import Passwords
from sealpass.core.records import RecordUse
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import PolicyReason
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage, StoredPassword
from tests.service.repository.conftest import (
    LOCK_OUT,
    MUST_CHANGE,
    NEW,
    OLD,
    OTHER,
    POLICY,
    RIGHT,
    WRONG,
    logged_in,
    seen,
    violated,
)
from tests.support.sealing import CHEAP, CountedKey, MemoryRing


def test_a_change_needs_the_old_password(repository: SqlPasswordRepository, storage: PasswordStorage) -> None:
    """A wrong one counts as an attempt and changes nothing; a user who does not exist gets the same answer."""
    assert repository.change("s", NEW, OTHER) is Outcome.NO_MATCH
    assert repository.change("nobody", OLD, NEW) is Outcome.NO_MATCH
    assert seen(storage).failures == 1
    assert repository.change("s", OLD, NEW) is Outcome.DONE
    assert repository.check("s", OLD) == WRONG
    assert repository.check("s", NEW) == RIGHT


def test_recent_passwords_are_not_taken_again(repository: SqlPasswordRepository, storage: PasswordStorage) -> None:
    """Neither the current one nor as many before it as the policy says; the one before those is."""
    generations = [OLD, NEW, OTHER, "noch ein Passwort"]
    for old, new in pairwise(generations):
        assert repository.change("s", old, new) is Outcome.DONE
    assert len(seen(storage).history) == POLICY.history
    for recent in generations[1:]:
        assert violated(lambda: repository.change("s", generations[-1], recent)) == (PolicyReason.REUSED,)  # noqa: B023 - called at once
        assert violated(lambda: repository.reset("s", recent)) == (PolicyReason.REUSED,)  # noqa: B023 - as above
    assert seen(storage).failures == 0
    assert repository.change("s", generations[-1], OLD) is Outcome.DONE


def test_the_history_is_told_only_to_who_knows_the_password(
    repository: SqlPasswordRepository, hashed: list[Argon2Parameters]
) -> None:
    """With a wrong old password an earlier one gets the answer that any other does, at the same cost."""
    assert repository.change("s", OLD, NEW) is Outcome.DONE
    hashed.clear()
    assert repository.change("s", OTHER, OLD) is Outcome.NO_MATCH
    assert len(hashed) == 1


def test_without_a_history_nothing_is_kept(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords
) -> None:
    """And the same password may be set again; what was kept before goes."""
    assert repository.change("s", OLD, NEW) is Outcome.DONE
    forgetful = SqlPasswordRepository(storage, passwords, replace(POLICY, history=0))
    assert forgetful.change("s", NEW, NEW) is Outcome.DONE
    assert seen(storage).history == ()


def test_a_damaged_record_of_the_history_keeps_nobody_from_changing(
    repository: SqlPasswordRepository, storage: PasswordStorage
) -> None:
    """Operators hear of it."""
    before = seen(storage)
    assert storage.change(before, str(before.current), history=str(before.current), keep=1)
    assert repository.change("s", OLD, NEW) is Outcome.DONE
    assert repository.records_refused == {RecordProblem.DOES_NOT_OPEN: 1}


@pytest.mark.parametrize("problem", [RecordProblem.DOES_NOT_OPEN, RecordProblem.KEY_UNKNOWN])
def test_a_damaged_record_does_not_keep_its_user_from_a_reset(
    repository: SqlPasswordRepository, storage: PasswordStorage, ring: MemoryRing, problem: RecordProblem
) -> None:
    """It is not taken into the history."""
    storage.create("damaged", current=str(seen(storage).current))
    if problem is RecordProblem.KEY_UNKNOWN:
        ring.keys = [CountedKey("key-2")]
    assert repository.reset("damaged", NEW) is Outcome.DONE
    assert set(repository.records_refused) == {problem}
    assert seen(storage, "damaged").history == ()
    assert repository.check("damaged", NEW) == RIGHT


@pytest.mark.parametrize(
    "leave",
    [
        lambda repository: repository.change("legacy", OLD, NEW),
        lambda repository: repository.reset("legacy", NEW),
        lambda repository: repository.admin_set("legacy", NEW, must_change=False),
    ],
    ids=["change", "reset", "admin-set"],
)
def test_a_legacy_hash_goes_into_the_history_sealed(
    storage: PasswordStorage, ring: MemoryRing, leave: Callable[[SqlPasswordRepository], Outcome]
) -> None:
    """Whichever way its password went, it is not taken again; an unsealed hash never outlives its password."""
    legacy = Passwords(ring, hashing=CHEAP, legacy=[LegacySaltedSha256("hex")])
    repository = SqlPasswordRepository(storage, legacy, POLICY)
    storage.create("legacy", current="00" * 32 + hashlib.sha256(bytes(32) + OLD.encode()).hexdigest())
    assert leave(repository) is Outcome.DONE
    (kept,) = seen(storage, "legacy").history
    assert kept.record.startswith("$sealpass$")
    assert violated(lambda: repository.change("legacy", NEW, OLD)) == (PolicyReason.REUSED,)
    assert violated(lambda: repository.reset("legacy", OLD)) == (PolicyReason.REUSED,)
    assert repository.check("legacy", OLD) == WRONG
    assert repository.records_refused == {}


def test_a_legacy_hash_of_a_form_that_is_not_allowed_is_not_kept(
    repository: SqlPasswordRepository, storage: PasswordStorage
) -> None:
    """Nobody could compare with it; operators hear of it."""
    storage.create("legacy", current=argon2_hash.hash_password(OLD.encode(), CHEAP))
    assert repository.admin_set("legacy", NEW) is Outcome.DONE
    assert seen(storage, "legacy").history == ()
    assert repository.records_refused == {RecordProblem.FORM: 1}


@pytest.mark.parametrize(
    "set_new",
    [
        lambda repository, _: repository.change("s", OTHER, NEW),
        lambda repository, generation: repository.change_forced("s", NEW, generation=generation),
        lambda repository, _: repository.reset("s", NEW),
        lambda repository, _: repository.admin_set("s", NEW, must_change=False),
    ],
    ids=["change", "change-forced", "reset", "admin-set"],
)
@pytest.mark.parametrize("slot", [RecordUse.CURRENT, RecordUse.LETTER])
def test_a_new_password_survives_a_rotation_in_the_middle(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    passwords: Passwords,
    monkeypatch: pytest.MonkeyPatch,
    set_new: Callable[[SqlPasswordRepository, int], Outcome],
    slot: RecordUse,
) -> None:
    """A record that was rewritten is still of the old password, so the change is made on top of it."""
    assert storage.set_letter(seen(storage), passwords.hash(OTHER, "s", RecordUse.LETTER))
    generation = logged_in(repository, OTHER)
    change = storage.change

    def late(before: StoredPassword, *arguments: Any, **options: Any) -> bool:
        monkeypatch.undo()
        old, password = (before.current, OLD) if slot is RecordUse.CURRENT else (before.letter, OTHER)
        assert storage.rewrite("s", slot, str(old), passwords.hash(password, "s", slot))
        return change(before, *arguments, **options)

    monkeypatch.setattr(storage, "change", late)
    assert set_new(repository, generation) is Outcome.DONE
    assert repository.check("s", NEW) == RIGHT
    assert len(seen(storage).history) == 1


def test_a_record_that_is_rewritten_again_and_again_is_a_conflict(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying ends some time; the old password stays."""
    change = storage.change

    def late(before: StoredPassword, *arguments: Any, **options: Any) -> bool:
        assert storage.rewrite("s", RecordUse.CURRENT, str(before.current), passwords.hash(OLD, "s"))
        return change(before, *arguments, **options)

    monkeypatch.setattr(storage, "change", late)
    assert repository.reset("s", NEW) is Outcome.CONFLICT
    assert repository.check("s", OLD) == RIGHT


def test_a_change_that_lost_says_so(
    repository: SqlPasswordRepository, storage: PasswordStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other one's password stays, whichever way the loser came."""
    change = storage.change
    assert repository.admin_set("s", OLD) is Outcome.DONE

    def change_forced() -> Outcome:
        return repository.change_forced("s", NEW, generation=logged_in(repository, OLD))

    losers: list[Callable[[], Outcome]] = [
        lambda: repository.change("s", OLD, NEW),
        lambda: repository.reset("s", NEW),
        lambda: repository.admin_set("s", NEW),
        change_forced,
    ]
    for number, lose in enumerate(losers):

        def late(*arguments: Any, number: int = number, **options: Any) -> bool:
            monkeypatch.undo()
            assert repository.admin_set("s", f"{OTHER} {number}") is Outcome.DONE
            return change(*arguments, **options)

        monkeypatch.setattr(storage, "change", late)
        assert lose() is Outcome.CONFLICT
        assert repository.check("s", f"{OTHER} {number}") == MUST_CHANGE
        assert repository.admin_set("s", OLD) is Outcome.DONE


def test_a_forced_change_happens_once(repository: SqlPasswordRepository) -> None:
    """After it nothing is due, so no session can change the password again without the old one."""
    assert repository.change_forced("s", NEW, generation=0) is Outcome.NOT_DUE
    assert repository.change_forced("nobody", NEW, generation=0) is Outcome.NOT_DUE
    assert repository.admin_set("s", OTHER) is Outcome.DONE
    generation = logged_in(repository, OTHER)
    assert violated(lambda: repository.change_forced("s", OTHER, generation=generation)) == (PolicyReason.REUSED,)
    assert repository.change_forced("s", NEW, generation=generation) is Outcome.DONE
    for later in (generation, generation + 1):
        assert repository.change_forced("s", OLD, generation=later) is Outcome.NOT_DUE
    assert repository.check("s", NEW) == RIGHT


def test_a_forced_change_belongs_to_the_login_that_showed_the_password(
    repository: SqlPasswordRepository, storage: PasswordStorage, hashed: list[Argon2Parameters]
) -> None:
    """A session of before an administrator set another password cannot replace it, and learns nothing either."""
    assert repository.admin_set("s", OTHER) is Outcome.DONE
    overtaken = logged_in(repository, OTHER)
    assert repository.admin_set("s", NEW) is Outcome.DONE
    generation = logged_in(repository, NEW)
    before = seen(storage)
    hashed.clear()
    for another in (overtaken, generation - 1, generation + 1, None):
        for new in (OLD, "etwas ganz anderes"):
            assert repository.change_forced("s", new, generation=another) is Outcome.CONFLICT
    assert (seen(storage), hashed) == (before, [])
    assert repository.change_forced("s", "etwas ganz anderes", generation=generation) is Outcome.DONE


def test_a_login_without_a_match_has_no_generation(repository: SqlPasswordRepository) -> None:
    """So nobody takes it for one that showed a password."""
    assert repository.check("s", NEW).generation is None
    assert repository.check("nobody", NEW).generation is None
    assert repository.check("s", OLD).generation is not None


def test_a_rotation_or_an_upgrade_ends_no_forced_change(
    repository: SqlPasswordRepository, storage: PasswordStorage, passwords: Passwords, ring: MemoryRing
) -> None:
    """The password that the login showed is still the user's, whatever record it has."""
    assert repository.admin_set("s", OTHER) is Outcome.DONE
    generation = logged_in(repository, OTHER)
    ring.keys = [CountedKey("key-2"), *ring.keys]
    assert logged_in(repository, OTHER) == generation
    assert "$k=key-2$" in str(seen(storage).current)
    ring.keys = [CountedKey("key-3"), *ring.keys]
    record = str(seen(storage).current)
    assert storage.rewrite("s", RecordUse.CURRENT, record, passwords.rotate(record, "s"))
    assert repository.change_forced("s", NEW, generation=generation) is Outcome.DONE


def test_a_voluntary_change_settles_a_forced_one(repository: SqlPasswordRepository) -> None:
    """The user has chosen a password, which is what was asked for."""
    assert repository.admin_set("s", OTHER) is Outcome.DONE
    assert repository.change("s", OTHER, NEW) is Outcome.DONE
    assert repository.check("s", NEW) == RIGHT


def test_a_reset_ends_a_lock_out(repository: SqlPasswordRepository) -> None:
    """A user who forgot the password has most likely tried; an unknown one has nothing to reset."""
    for _ in range(LOCK_OUT.attempts):
        repository.check("s", OTHER)
    assert repository.reset("s", NEW) is Outcome.DONE
    assert repository.check("s", NEW) == RIGHT
    assert repository.reset("nobody", NEW) is Outcome.UNKNOWN


def test_an_administrator_learns_nothing_about_earlier_passwords(repository: SqlPasswordRepository) -> None:
    """Any of them is taken; whether it has to be changed is the administrator's to say."""
    assert repository.change("s", OLD, NEW) is Outcome.DONE
    assert repository.admin_set("s", OLD) is Outcome.DONE
    assert repository.admin_set("s", OLD, must_change=False) is Outcome.DONE
    assert repository.check("s", OLD) == RIGHT
    assert violated(lambda: repository.reset("s", NEW)) == (PolicyReason.REUSED,)
    assert repository.admin_set("nobody", NEW) is Outcome.UNKNOWN


def test_nobody_is_registered_twice(repository: SqlPasswordRepository) -> None:
    """Whoever comes second changes nothing."""
    assert repository.register("s", NEW) is Outcome.EXISTS
    assert repository.check("s", OLD) == RIGHT
    assert repository.register("t", NEW, must_change=True) is Outcome.DONE
    assert repository.check("t", NEW) == MUST_CHANGE
