# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from sealpass.core.errors import ConfigError, RecordRefused
from sealpass.core.records import RecordUse
from sealpass.service.database import Database
from sealpass.service.storage import Counter, HistoryRecord, LockOut, PasswordStorage, StoredPassword
from tests.service.conftest import Clock, make_record

LOCK_OUT = LockOut(attempts=3, seconds=60)
R = [make_record(number=number) for number in range(8)]
LEGACY = "$2b$04$abcdefghijklmnopqrstuv"


@pytest.fixture
def storage(database: Database) -> PasswordStorage:
    """Storage with one subject, whose record is R[0]."""
    storage = PasswordStorage(database)
    assert storage.create("s", current=R[0])
    return storage


def seen(storage: PasswordStorage, subject: str = "s") -> StoredPassword:
    """What is stored for a subject that exists."""
    found = storage.get(subject)
    assert found is not None
    return found


def stored(current: str, changed_at: float, *history: HistoryRecord, generation: int) -> StoredPassword:
    """What is stored for a subject against which nothing speaks."""
    return StoredPassword(
        "s",
        current,
        None,
        0.0,
        history,
        must_change=False,
        failures=0,
        locked_for=0.0,
        changed_at=changed_at,
        generation=generation,
    )


def test_a_new_subject_comes_back_as_it_was_created(storage: PasswordStorage, clock: Clock) -> None:
    """Its record, no history, no failures, and when it was made."""
    assert storage.get("s") == stored(R[0], clock.now, generation=seen(storage).generation)
    assert storage.get("S") is None


def test_an_existing_subject_is_not_created_again(storage: PasswordStorage) -> None:
    """Whoever comes second loses, and nothing is changed."""
    before = storage.get("s")
    assert not storage.create("s", current=R[1], letter=R[2], must_change=True)
    assert storage.get("s") == before


def test_a_subject_may_begin_with_a_letter(storage: PasswordStorage) -> None:
    """There is no current record then; the first change uses the letter up."""
    assert storage.create("new", letter=R[1], must_change=True)
    first = seen(storage, "new")
    assert (first.current, first.letter, first.must_change) == (None, R[1], True)
    assert storage.change(first, R[2])
    after = seen(storage, "new")
    assert (after.current, after.letter, after.must_change) == (R[2], None, False)


def test_a_subject_without_any_record_is_refused(storage: PasswordStorage) -> None:
    """Neither made so nor brought to it."""
    with pytest.raises(ConfigError, match="begins with a record"):
        storage.create("new")
    assert storage.create("new", letter=R[1])
    with pytest.raises(ConfigError, match="no password"):
        storage.set_letter(seen(storage, "new"), None)


def test_a_change_replaces_what_was_seen(storage: PasswordStorage, clock: Clock) -> None:
    """The old record goes to the history as the caller sealed it; attempts and flags begin anew."""
    first = seen(storage).generation
    assert storage.set_must_change(seen(storage), must_change=True)
    assert storage.count_attempt("s", LOCK_OUT)
    clock.now += 5
    assert storage.change(seen(storage), R[1], history=R[2], keep=2)
    assert storage.get("s") == stored(R[1], clock.now, HistoryRecord(1, R[2]), generation=first + 2)


@pytest.mark.parametrize("other", [R[7], None])
def test_a_change_of_something_else_than_what_is_there_does_nothing(
    storage: PasswordStorage, other: str | None
) -> None:
    """Neither record nor history nor flags nor counters, where anything that was seen is no longer so."""
    assert storage.count_attempt("s", LOCK_OUT)
    assert storage.set_letter(seen(storage), R[1])
    before = seen(storage)
    for stale in (
        replace(before, current=other),
        replace(before, letter=other),
        replace(before, generation=before.generation - 1),
    ):
        assert not storage.change(stale, R[2], history=R[3], keep=1, must_change=True)
        assert storage.get("s") == before


def test_a_change_of_an_unknown_subject_is_lost(storage: PasswordStorage) -> None:
    """Also of one that was deleted while its new password was hashed."""
    before = seen(storage)
    assert storage.delete("s")
    assert not storage.change(before, R[1])
    assert not storage.set_letter(before, R[1])
    assert not storage.rewrite("s", RecordUse.CURRENT, R[0], R[1])
    assert not storage.set_must_change(before, must_change=True)
    assert not storage.clear_attempts("s")
    assert not storage.delete("s")
    assert storage.get("s") is None


@pytest.mark.parametrize(
    "overtake",
    [
        lambda storage, seen: storage.set_must_change(seen, must_change=True),
        lambda storage, seen: storage.set_must_change(seen, must_change=False),
        lambda storage, seen: storage.set_letter(seen, R[5]) and storage.set_letter(storage.get("s"), None),
        lambda storage, seen: storage.change(seen, seen.current),
    ],
    ids=["must-change", "may-stay", "letter", "change"],
)
def test_a_write_rests_on_the_generation_that_was_seen(
    storage: PasswordStorage, overtake: Callable[[PasswordStorage, StoredPassword], bool]
) -> None:
    """Whatever changed what the user may do, even where all records are the same again: no late write is won."""
    before = seen(storage)
    assert overtake(storage, before)
    after = seen(storage)
    assert after.generation > before.generation
    assert not storage.change(before, R[1], history=R[2], keep=1)
    assert not storage.set_letter(before, R[1])
    assert not storage.set_must_change(before, must_change=True)
    assert storage.get("s") == after


def test_a_subject_that_comes_again_has_another_generation(storage: PasswordStorage) -> None:
    """What rests on the one that was deleted is lost, also after as many changes; numbers keep room to rise."""
    old = seen(storage)
    assert storage.delete("s")
    assert storage.create("s", current=R[0])
    new = seen(storage)
    assert not storage.change(old, R[1])
    assert not storage.set_must_change(old, must_change=True)
    assert seen(storage) == new
    generations = [old.generation, new.generation]
    for _ in range(8):
        assert storage.delete("s")
        assert storage.create("s", current=R[0])
        generations.append(seen(storage).generation)
    assert len(set(generations)) == len(generations)
    assert all(0 <= generation < 2**30 for generation in generations)


def test_what_changes_no_password_leaves_the_generation(storage: PasswordStorage) -> None:
    """A record that moved to another key, and attempts."""
    assert storage.set_letter(seen(storage), R[1])
    generation = seen(storage).generation
    assert storage.rewrite("s", RecordUse.CURRENT, R[0], R[2])
    assert storage.rewrite("s", RecordUse.LETTER, R[1], R[3])
    for counter in Counter:
        assert storage.count_attempt("s", LOCK_OUT, counter)
        storage.return_attempt("s", counter)
    assert storage.clear_attempts("s")
    assert seen(storage).generation == generation
    assert storage.set_must_change(replace(seen(storage), current=R[0]), must_change=True)


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, [6]), (3, [6, 5, 4]), (9, [6, 5, 4, 3, 2, 1])])
def test_history_keeps_the_latest(storage: PasswordStorage, keep: int, kept: list[int]) -> None:
    """As many as the caller says at each change, latest first."""
    for number in range(1, 7):
        assert storage.change(seen(storage), R[number], history=R[number], keep=keep)
    assert [entry.record for entry in seen(storage).history] == [R[number] for number in kept]


def test_a_change_without_history_keeps_what_was_there(storage: PasswordStorage) -> None:
    """An administrator's set need not remember the old password; sequences go on rising."""
    assert storage.change(seen(storage), R[1], history=R[1], keep=5)
    assert storage.change(seen(storage), R[2], keep=5)
    assert storage.change(seen(storage), R[3], history=R[3], keep=5)
    assert seen(storage).history == (HistoryRecord(2, R[3]), HistoryRecord(1, R[1]))


def test_a_letter_is_set_replaced_and_removed(storage: PasswordStorage) -> None:
    """Each step only where the letter that was seen is still there."""
    empty = seen(storage)
    assert storage.set_letter(empty, R[1])
    assert not storage.set_letter(empty, R[2])
    assert seen(storage).letter == R[1]
    assert not storage.set_letter(replace(seen(storage), letter=R[5]), R[2])
    assert not storage.set_letter(replace(seen(storage), letter=None), R[2])
    assert seen(storage).letter == R[1]
    assert storage.set_letter(seen(storage), R[2])
    assert storage.set_letter(seen(storage), None)
    assert storage.get("s") == replace(empty, generation=empty.generation + 3)


def test_a_letter_has_an_age(storage: PasswordStorage, clock: Clock) -> None:
    """Since it was set; a rotation makes it no younger, and a new one begins anew."""
    assert seen(storage).letter_age == 0
    assert storage.set_letter(seen(storage), R[1])
    clock.now += 7
    assert storage.rewrite("s", RecordUse.LETTER, R[1], R[2])
    assert seen(storage).letter_age == 7
    assert storage.set_letter(seen(storage), R[3])
    assert seen(storage).letter_age == 0


def test_a_rewrite_touches_one_record(storage: PasswordStorage) -> None:
    """The same password under another key changes no flag, no counter and no other slot."""
    assert storage.change(seen(storage), R[1], history=R[2], keep=1)
    assert storage.set_letter(seen(storage), R[3])
    assert storage.count_attempt("s", LOCK_OUT)
    before = seen(storage)
    assert not storage.rewrite("s", RecordUse.CURRENT, R[2], R[4])
    assert not storage.rewrite("s", RecordUse.HISTORY, R[2], R[4], sequence=2)
    assert storage.get("s") == before
    assert storage.rewrite("s", RecordUse.HISTORY, R[2], R[4], sequence=1)
    assert storage.rewrite("s", RecordUse.CURRENT, R[1], R[5])
    assert storage.rewrite("s", RecordUse.LETTER, R[3], R[6])
    assert storage.get("s") == replace(before, current=R[5], letter=R[6], history=(HistoryRecord(1, R[4]),))


def test_attempts_run_out(storage: PasswordStorage, clock: Clock) -> None:
    """The last allowed attempt sets the lock; when that is over, counting begins anew."""
    assert [storage.count_attempt("s", LOCK_OUT) for _ in range(5)] == [True, True, True, False, False]
    assert (seen(storage).failures, seen(storage).locked_for) == (3, 60.0)
    clock.now += 59.5
    assert not storage.count_attempt("s", LOCK_OUT)
    assert seen(storage).locked_for == 0.5
    clock.now += 0.5
    assert (seen(storage).locked_for, seen(storage).failures) == (0.0, 3)
    assert [storage.count_attempt("s", LOCK_OUT) for _ in range(4)] == [True, True, True, False]


def test_a_success_forgets_the_failures(storage: PasswordStorage) -> None:
    """Also where it was the last allowed attempt, which had set the lock already."""
    for _ in range(3):
        assert storage.count_attempt("s", LOCK_OUT)
    assert storage.clear_attempts("s")
    assert (seen(storage).failures, seen(storage).locked_for) == (0, 0.0)
    assert [storage.count_attempt("s", LOCK_OUT) for _ in range(4)] == [True, True, True, False]


def test_an_attempt_that_the_device_did_not_answer_is_given_back(storage: PasswordStorage) -> None:
    """It was no failure, so the lock that it set falls with it; there is never less than none."""
    for _ in range(3):
        assert storage.count_attempt("s", LOCK_OUT)
    storage.return_attempt("s")
    assert (seen(storage).failures, seen(storage).locked_for) == (2, 0.0)
    assert storage.count_attempt("s", LOCK_OUT)
    assert not storage.count_attempt("s", LOCK_OUT)
    assert storage.clear_attempts("s")
    storage.return_attempt("s")
    assert seen(storage).failures == 0


def test_each_counter_counts_for_itself(storage: PasswordStorage, clock: Clock) -> None:
    """A login clears its own, a new password both; a lock of either ends by itself."""
    for counter in Counter:
        other = next(one for one in Counter if one is not counter)
        assert [storage.count_attempt("s", LOCK_OUT, counter) for _ in range(4)] == [True, True, True, False]
        assert storage.count_attempt("s", LOCK_OUT, other)
        storage.return_attempt("s", other)
        storage.return_attempt("s", counter)
        assert [storage.count_attempt("s", LOCK_OUT, counter) for _ in range(2)] == [True, False]
        clock.now += 60
        assert storage.count_attempt("s", LOCK_OUT, counter)
        assert storage.change(seen(storage), R[0])
    for counter in Counter:
        assert [storage.count_attempt("s", LOCK_OUT, counter) for _ in range(4)] == [True, True, True, False]
    assert storage.clear_attempts("s")
    assert [storage.count_attempt("s", LOCK_OUT, counter) for counter in Counter] == [True, False]
    assert storage.change(seen(storage), R[0])
    assert all(storage.count_attempt("s", LOCK_OUT, counter) for counter in Counter)


def test_a_lock_may_last_until_it_is_lifted(storage: PasswordStorage, clock: Clock) -> None:
    """An infinite lock-out is one that only an administrator ends."""
    forever = LockOut(attempts=1, seconds=math.inf)
    assert storage.count_attempt("s", forever)
    clock.now += 1e9
    assert not storage.count_attempt("s", forever)
    assert seen(storage).locked_for == math.inf
    assert storage.clear_attempts("s")
    assert storage.count_attempt("s", forever)


def test_an_unknown_subject_has_no_attempts(storage: PasswordStorage) -> None:
    """And asking does not make it one."""
    assert not storage.count_attempt("unknown", LOCK_OUT)
    storage.return_attempt("unknown")
    assert storage.get("unknown") is None


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 60), (3, 0), (3, -1), (3, math.nan)])
def test_a_lock_out_that_is_none_is_refused(attempts: int, seconds: float) -> None:
    """Such numbers would lock everybody out, or nobody."""
    with pytest.raises(ConfigError):
        LockOut(attempts, seconds)


def test_deleting_takes_every_record_along(storage: PasswordStorage, database: Database) -> None:
    """Of this subject and of no other."""
    assert storage.create("other", current=R[1])
    assert storage.change(seen(storage), R[1], history=R[2], keep=1)
    assert storage.set_letter(seen(storage), R[3])
    assert storage.delete("s")
    left = database.read(lambda connection: connection.execute(text("SELECT subject FROM sealpass_record")).all())
    assert left == [("other",)]


def test_key_id_and_algorithm_are_the_records(storage: PasswordStorage, database: Database) -> None:
    """They are told from the record at every write; a hash that is not sealed has neither."""

    def columns() -> list[tuple[str | None, str | None]]:
        query = text("SELECT key_id, algorithm FROM sealpass_record ORDER BY slot")
        return [tuple(row) for row in database.read(lambda connection: connection.execute(query).all())]

    assert storage.set_letter(seen(storage), make_record("kms", algorithm="awskms"))
    assert columns() == [("key", "A256GCM"), ("kms", "awskms")]
    assert storage.rewrite("s", RecordUse.CURRENT, R[0], LEGACY)
    assert columns() == [(None, None), ("kms", "awskms")]
    assert storage.change(seen(storage), make_record("a_b"), history=make_record("c"), keep=1)
    assert columns() == [("a_b", "A256GCM"), ("c", "A256GCM")]


@pytest.mark.parametrize(
    "assignment",
    [
        "key_id = 'kez'",
        "key_id = 'KEY'",
        "key_id = '_ey'",
        "key_id = 'ke'",
        "key_id = NULL",
        "key_id = NULL, algorithm = NULL",
        "algorithm = NULL",
        "algorithm = 'A128GCM'",
        "record = '$argon2id$x'",
        "record = ''",
        f"record = '{'x' * 1025}', key_id = NULL, algorithm = NULL",
        "sequence = 1",
        "slot = 'other'",
    ],
)
def test_the_database_refuses_rows_that_lie(storage: PasswordStorage, database: Database, assignment: str) -> None:
    """Whoever writes past the code cannot make the counts by key wrong."""
    statement = text(f"UPDATE sealpass_record SET {assignment}")  # noqa: S608 - a test's own text
    with pytest.raises(ConfigError, match="refuses"):
        database.write(lambda connection: connection.execute(statement))
    assert seen(storage).current == R[0]


@pytest.mark.parametrize("subject", ["", "x" * 129])
def test_subjects_have_a_length(storage: PasswordStorage, subject: str) -> None:
    """The database enforces it, whichever it is."""
    with pytest.raises(ConfigError, match="refuses"):
        storage.create(subject, current=R[0])


def test_what_claims_to_be_a_record_must_be_one(storage: PasswordStorage) -> None:
    """A damaged record is refused before it takes the place of a good one."""
    with pytest.raises(RecordRefused):
        storage.change(seen(storage), R[1][:-1] + "!")
    assert seen(storage).current == R[0]


def test_records_do_not_show(storage: PasswordStorage) -> None:
    """What is stored may be logged as an object without its records."""
    assert storage.change(seen(storage), R[1], history=R[2], keep=1)
    assert storage.set_letter(seen(storage), R[3])
    assert "$sealpass$" not in repr(seen(storage))
