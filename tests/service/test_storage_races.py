# SPDX-License-Identifier: Apache-2.0
"""What is promised of several processes, proved by letting them race. On PostgreSQL at READ COMMITTED."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import pytest
from sqlalchemy import Connection, text

from sealpass.core.records import RecordUse
from sealpass.service.database import Database
from sealpass.service.record_table import RecordKey, RecordTable, Replacement
from sealpass.service.storage import Counter, LockOut, PasswordStorage
from tests.service.conftest import make_record, open_database
from tests.service.processes import race

PROCESSES = 4


def test_one_of_those_that_create_a_subject_wins(source: str) -> None:
    """The record that is stored is the winner's."""

    def create(number: int) -> list[int]:
        with open_database(source) as database:
            storage = PasswordStorage(database)
            return [turn for turn in range(30) if storage.create(f"s{turn}", current=make_record(f"p{number}"))]

    won = race(PROCESSES, create)
    assert sorted(chain(*won)) == list(range(30))
    with open_database(source) as database:
        for number, turns in enumerate(won):
            for turn in turns:
                stored = PasswordStorage(database).get(f"s{turn}")
                assert stored is not None
                assert stored.current == make_record(f"p{number}")


def test_no_change_is_overwritten_whatever_else_goes_on(source: str) -> None:
    """Password changes, letters, rewrites and a rotation over all records: each won write built on the one before.

    A record is a number here, and each write adds one: so the sum of all wins is the sum of what is stored. Nothing
    waits in a ring either, which PostgreSQL would end with an error.
    """
    subjects = [f"s{number}" for number in range(4)]
    with open_database(source) as database:
        for subject in subjects:
            assert PasswordStorage(database).create(subject, current=make_record(number=0))

    def number_of(record: str) -> int:
        return numbers[record]

    records = [make_record(number=number) for number in range(2000)]
    numbers = {record: number for number, record in enumerate(records)}

    def change(storage: PasswordStorage, subject: str) -> int:
        seen = storage.get(subject)
        assert seen is not None
        assert seen.current is not None
        new = records[number_of(seen.current) + 1]
        return storage.change(seen, new, history=make_record("old", number_of(seen.current)), keep=2)

    def work(process: int) -> int:
        with open_database(source) as database:
            storage, table = PasswordStorage(database), RecordTable(database)
            won = 0
            for turn in range(25):
                subject = subjects[(turn + process) % len(subjects)]
                won += change(storage, subject)
                before = storage.get(subject)
                assert before is not None
                storage.set_letter(before, make_record("letter"))
                found = [row for row in table.scan(limit=100) if row.key.slot is RecordUse.CURRENT]
                turned = [Replacement(row.key, row.record, records[number_of(row.record) + 1]) for row in found]
                history = [row for row in table.scan(limit=100) if row.key.slot is RecordUse.HISTORY]
                table.replace_many(Replacement(row.key, row.record, make_record("new")) for row in history)
                won += table.replace_many(reversed(turned))
            return won

    won = race(PROCESSES, work)
    with open_database(source) as database:
        stored = [PasswordStorage(database).get(subject) for subject in subjects]
    assert sum(number_of(found.current) for found in stored if found and found.current) == sum(won)
    assert min(won) > 0


def test_of_those_that_saw_the_same_generation_one_wins(source: str) -> None:
    """Whatever they set: a password, a letter or a duty, the others lose although no record of theirs was touched."""
    turns = 30
    with open_database(source) as database:
        for turn in range(turns):
            assert PasswordStorage(database).create(f"s{turn}", current=make_record())
        storage = PasswordStorage(database)
        before = [storage.get(f"s{turn}") for turn in range(turns)]

    def write(process: int) -> int:
        with open_database(source) as own:
            storage, won = PasswordStorage(own), 0
            for turn, seen in enumerate(before):
                assert seen is not None
                match (process + turn) % 3:
                    case 0:
                        won += storage.change(seen, make_record(number=process))
                    case 1:
                        won += storage.set_letter(seen, make_record(number=process))
                    case _:
                        won += storage.set_must_change(seen, must_change=True)
            return won

    assert sum(race(PROCESSES, write)) == turns


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_rotations_of_the_same_records_do_not_wait_in_a_ring(source: str, database: Database) -> None:
    """Whatever the order of their batches: both wait for the record in the middle, and one then takes all.

    PostgreSQL is made to look records up one by one, as it does on its own in a large table.
    """
    one_by_one = "&options=-cenable_hashjoin%3Doff%20-cenable_mergejoin%3Doff%20-cenable_seqscan%3Doff"
    subjects = ["a", "b", "c"]
    for subject in subjects:
        assert PasswordStorage(database).create(subject, current=make_record("old"))
    keys = [RecordKey(subject, RecordUse.CURRENT) for subject in subjects]
    batch = [Replacement(key, make_record("old"), make_record("new")) for key in keys]

    def rotate(replacements: list[Replacement]) -> int:
        with open_database(source + one_by_one) as own:
            return RecordTable(own).replace_many(replacements)

    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with ThreadPoolExecutor(2) as threads:

        def hold_the_middle(connection: Connection) -> list[Future[int]]:
            connection.execute(text("SELECT 1 FROM sealpass_record WHERE subject = 'b' FOR UPDATE"))
            rotations = [threads.submit(rotate, replacements) for replacements in (batch, batch[::-1])]
            until = time.monotonic() + 20
            while database.read(lambda other: other.execute(waiting).scalar_one()) < 2:
                assert time.monotonic() < until
            return rotations

        rotations = database.write(hold_the_middle)
        assert sorted(rotation.result() for rotation in rotations) == [0, 3]


@pytest.mark.parametrize("counter", Counter)
def test_no_more_attempts_than_allowed_get_through(source: str, counter: Counter) -> None:
    """However many processes ask at the same time."""
    lock_out = LockOut(attempts=5, seconds=3600)
    with open_database(source) as database:
        for turn in range(10):
            assert PasswordStorage(database).create(f"s{turn}", current=make_record())

    def attempt(_: int) -> list[int]:
        with open_database(source) as database:
            storage = PasswordStorage(database)
            return [sum(storage.count_attempt(f"s{turn}", lock_out, counter) for _ in range(3)) for turn in range(10)]

    allowed = race(PROCESSES, attempt)
    assert [sum(by_process) for by_process in zip(*allowed, strict=True)] == [5] * 10
