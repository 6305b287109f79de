# SPDX-License-Identifier: Apache-2.0
"""A rotation in parts, as several processes do it; and batches that fail while others are on their way."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, event

from sealpass.core.errors import BackendUnavailable
from sealpass.core.passwords import Passwords
from sealpass.service.checkpoints import Checkpoints
from sealpass.service.database import Database
from sealpass.service.record_table import EVERYTHING, RecordTable, Replacement, SubjectRange
from sealpass.service.rotation import Rotation
from sealpass.service.storage import PasswordStorage
from tests.service.test_rotation import Away, HookedKey, Interrupted, under
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

SUBJECTS = [f"subject-{number:02}" for number in range(12)]
SECONDS = 20
"""What is waited for comes at once, or not at all."""


@pytest.fixture
def old() -> HookedKey:
    """The key of before."""
    return HookedKey("old")


@pytest.fixture
def ring(database: Database, old: HookedKey) -> MemoryRing:
    """A ring with a new current key, and a dozen records that are under the old one."""
    storage, passwords = PasswordStorage(database), Passwords(MemoryRing(old), hashing=CHEAP)
    for subject in SUBJECTS:
        assert storage.create(subject, current=passwords.hash("x", subject))
    old.opened = 0
    return MemoryRing(CountedKey("new"), old)


class Table:
    """Stands before RecordTable.replace_many; ``before`` gets the number of the batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: Callable[[int], object]) -> None:
        self.batches = 0
        replace_many = RecordTable.replace_many

        def replace(table: RecordTable, replacements: list[Replacement], committing: Callable[[], object]) -> int:
            self.batches += 1
            before(self.batches)
            return replace_many(table, replacements, committing)

        monkeypatch.setattr(RecordTable, "replace_many", replace)


def test_parts_are_worked_off_one_by_one(database: Database, ring: MemoryRing, old: HookedKey) -> None:
    """Each by whoever takes it, and no record of another one; what is finished is not looked at again."""
    ranges = [SubjectRange(None, SUBJECTS[5]), SubjectRange(SUBJECTS[5], None)]
    first, second = Rotation(database, ring, batch=2), Rotation(database, ring, batch=3)
    assert [part.within for part in first.begin(ranges)] == ranges
    assert [part.within for part in second.begin([EVERYTHING])] == ranges  # whoever begins first decides
    second.run_part(1)
    assert (second.progress.moved, under(database)) == (7, {"old": 5, "new": 7})
    late = Passwords(MemoryRing(CountedKey("old")), hashing=CHEAP).hash("x", "subject-99")
    assert PasswordStorage(database).create("subject-99", current=late)
    second.run_part(1)
    second.run_part(2)  # there is none
    assert old.opened == 7
    first.run_part(0)
    assert (first.progress.moved, under(database)) == (5, {"new": 12, "old": 1})  # which is for a sweep
    states = [(part.examined, part.replaced, part.finished) for part in Checkpoints(database).get(first.job)]
    assert states == [(5, 5, True), (7, 7, True)]
    first.end()
    assert Checkpoints(database).get(first.job) == []


def test_a_sweep_says_how_much_there_was_to_move(database: Database, ring: MemoryRing) -> None:
    """In its range only; so the job is settled where all of them find nothing."""
    rotation = Rotation(database, ring)
    assert rotation.sweep(SubjectRange(SUBJECTS[2], SUBJECTS[6])) == 4
    assert rotation.sweep(EVERYTHING) == 8
    assert rotation.sweep(EVERYTHING) == 0
    assert Checkpoints(database).get(rotation.job) == []


def test_after_a_failure_no_further_record_is_moved(database: Database, ring: MemoryRing, old: HookedKey) -> None:
    """Not even where the device is back at once: what comes after it must not be stored as if it were whole."""
    old.hook = Away(6, 1, retryable=False)
    rotation = Rotation(database, ring)
    with pytest.raises(BackendUnavailable):
        rotation.run()
    assert (old.opened, rotation.progress.moved, under(database)) == (5, 5, {"new": 5, "old": 7})


@pytest.mark.parametrize(("fails_at", "examined"), [(2, 0), (5, 3), (8, 6), (12, 9)])
def test_a_checkpoint_does_not_pass_a_batch_whose_sealing_failed(
    database: Database, ring: MemoryRing, old: HookedKey, fails_at: int, examined: int
) -> None:
    """So going on from it, without any sweep over the whole table, leaves nothing behind."""
    old.hook = Away(fails_at, 1, retryable=False)
    rotation = Rotation(database, ring, batch=3, checkpoint_every=0)
    with pytest.raises(BackendUnavailable):
        rotation.run()
    assert rotation.progress.moved == fails_at - 1
    (part,) = Checkpoints(database).get(rotation.job)
    assert (part.examined, part.replaced, part.finished) == (examined, examined, False)
    Rotation(database, ring, batch=3).run_part(0)
    assert under(database) == {"new": 12}


@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_a_checkpoint_does_not_pass_a_batch_whose_storing_failed(
    database: Database, ring: MemoryRing, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """Though the batch behind it is sealed already."""
    table = Table(monkeypatch, Away(fails_at, 1, retryable=False))
    rotation = Rotation(database, ring, batch=3, checkpoint_every=0)
    with pytest.raises(BackendUnavailable):
        rotation.run()
    assert (table.batches, rotation.progress.moved) == (fails_at, 3 * (fails_at - 1))
    (part,) = Checkpoints(database).get(rotation.job)
    assert (part.examined, part.finished) == (3 * (fails_at - 1), False)
    Rotation(database, ring, batch=3).run_part(0)
    assert under(database) == {"new": 12}


def test_a_database_that_is_away_for_a_moment_is_asked_again(
    database: Database, ring: MemoryRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After pauses that grow; no record is sealed a second time for it."""
    Table(monkeypatch, Away(1, 2))
    pauses: list[float] = []
    done = Rotation(database, ring, batch=5, back_off=(0.2, 0.5, 1.0), pause=pauses.append).run()
    assert (done.moved, done.changed, done.settled, pauses) == (12, 0, True, [0.2, 0.5])


def test_a_batch_is_committed_while_the_next_one_is_sealed(
    database: Database, ring: MemoryRing, old: HookedKey
) -> None:
    """The first one is not in the table before records of the second are opened."""
    second_batch = threading.Event()
    old.hook = lambda number: second_batch.set() if number > 4 else None

    def commit(_: Connection) -> None:
        if threading.current_thread().name.startswith("sealpass-storing"):
            assert second_batch.wait(SECONDS)

    event.listen(database.engine, "commit", commit)
    assert Rotation(database, ring, batch=4).run().moved == 12


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_server_replaces_a_batch_while_the_next_one_is_sealed(
    database: Database, ring: MemoryRing, old: HookedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the transaction goes on beside the sealing, where it is in another process."""
    second_batch = threading.Event()
    old.hook = lambda number: second_batch.set() if number > 4 else None

    def before(batch: int) -> None:
        assert batch > 1 or second_batch.wait(SECONDS)

    Table(monkeypatch, before)
    assert Rotation(database, ring, batch=4).run().moved == 12


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_an_interruption_does_not_wait_for_a_database_that_is_away(
    database: Database, ring: MemoryRing, old: HookedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that stores gives up its pause, and none is left behind."""
    is_away = threading.Event()

    def away(_: int) -> None:
        is_away.set()
        raise BackendUnavailable("away", retryable=True)

    def interrupt(number: int) -> None:
        if number > 4:
            assert is_away.wait(SECONDS)
            Interrupted(0)(number)

    Table(monkeypatch, away)
    old.hook = interrupt
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Rotation(database, ring, batch=4, back_off=(10 * SECONDS,)).run()
    assert time.monotonic() - began < SECONDS
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sealpass")]
    assert under(database) == {"old": 12}
