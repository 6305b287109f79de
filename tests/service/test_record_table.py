# SPDX-License-Identifier: Apache-2.0
import pytest

from sealpass.core.errors import ConfigError, RecordRefused
from sealpass.core.records import RecordUse
from sealpass.service.checkpoints import Checkpoint, Checkpoints
from sealpass.service.database import Database
from sealpass.service.record_table import (
    EVERYTHING,
    RecordCount,
    RecordKey,
    RecordTable,
    Replacement,
    StoredRecord,
    SubjectRange,
)
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import make_record, open_database
from tests.service.processes import race

SUBJECTS = ["A", "B", "_", "a", "b", "ä", "ü", "𝔞"]  # in the order of their octets


@pytest.fixture
def storage(database: Database) -> PasswordStorage:
    """Eight subjects; the first three have two history records and a letter, too."""
    storage = PasswordStorage(database)
    for subject in reversed(SUBJECTS):
        assert storage.create(subject, current=make_record("old"))
    for subject in SUBJECTS[:3]:
        for number in (1, 2):
            seen = storage.get(subject)
            assert seen is not None
            assert storage.change(seen, make_record("old", number), history=make_record("older"), keep=9)
        seen = storage.get(subject)
        assert seen is not None
        assert storage.set_letter(seen, make_record("kms", algorithm="awskms"))
    return storage


@pytest.fixture
def table(database: Database, storage: PasswordStorage) -> RecordTable:
    """The records of those subjects."""
    return RecordTable(database)


def all_keys() -> list[RecordKey]:
    """Where their records stand, in the order of a scan."""
    keys = []
    for subject in SUBJECTS:
        keys.append(RecordKey(subject, RecordUse.CURRENT))
        if subject in SUBJECTS[:3]:
            keys += [RecordKey(subject, RecordUse.HISTORY, 1), RecordKey(subject, RecordUse.HISTORY, 2)]
            keys.append(RecordKey(subject, RecordUse.LETTER))
    return keys


def scan(table: RecordTable, limit: int, within: SubjectRange = EVERYTHING) -> list[StoredRecord]:
    """All records by repeated scans."""
    found: list[StoredRecord] = []
    while batch := table.scan(after=found[-1].key if found else None, limit=limit, within=within):
        assert len(batch) <= limit
        found += batch
    return found


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_scan_sees_every_record_once_in_key_order(table: RecordTable, limit: int) -> None:
    """In octet order on every database, which is also how keys sort in Python."""
    keys = [found.key for found in scan(table, limit)]
    assert keys == all_keys() == sorted(keys)
    assert scan(table, 1)[0].record == make_record("old", 2)


def test_a_scan_goes_on_from_a_record_that_is_gone(table: RecordTable, storage: PasswordStorage) -> None:
    """What was deleted behind the cursor, or at it, moves nothing."""
    *_, last = table.scan(limit=4)
    assert storage.delete("A")
    assert storage.create("0", current=make_record())
    assert table.scan(after=last.key, limit=1)[0].key == RecordKey("B", RecordUse.CURRENT)


def test_a_scan_may_leave_out_what_is_done(table: RecordTable) -> None:
    """Records of other keys only, those without a key among them."""
    first, *_ = table.scan(limit=1)
    legacy = "$2b$04$legacy"
    assert table.replace_many([Replacement(first.key, first.record, legacy)]) == 1
    found = table.scan(limit=100, not_under="old")
    assert {entry.key.slot for entry in found} == {RecordUse.CURRENT, RecordUse.HISTORY, RecordUse.LETTER}
    assert [entry.record for entry in found if entry.key.slot is RecordUse.CURRENT] == [legacy]


@pytest.mark.parametrize("parts", [1, 2, 3, 8, 50])
def test_ranges_hold_everything_once(table: RecordTable, storage: PasswordStorage, parts: int) -> None:
    """Of about equal size; a subject that comes later falls into one of them, too."""
    ranges = table.ranges(parts)
    assert len(ranges) == min(parts, len(SUBJECTS))
    sizes = [len({found.key.subject for found in scan(table, 3, within)}) for within in ranges]
    assert max(sizes) - min(sizes) <= 1
    assert storage.create("!", current=make_record())
    assert storage.create("\U0010ffff", current=make_record())
    together = [found.key for within in ranges for found in scan(table, 3, within)]
    assert together == [found.key for found in scan(table, 100)]
    assert len(together) == len(all_keys()) + 2


def test_ranges_of_an_empty_table(database: Database) -> None:
    """There is one, which holds all that may come."""
    assert RecordTable(database).ranges(4) == [SubjectRange()]
    with pytest.raises(ConfigError):
        RecordTable(database).ranges(0)


def test_replacing_counts_what_was_still_old(table: RecordTable, storage: PasswordStorage) -> None:
    """What was changed or deleted since the scan stays as it is."""
    scanned = scan(table, 100)
    changed = storage.get("b")
    assert changed is not None
    assert storage.change(changed, make_record("new", 99))
    assert storage.delete("ü")
    replacements = [Replacement(found.key, found.record, make_record("new", 7)) for found in reversed(scanned)]
    assert table.replace_many(replacements) == len(scanned) - 2
    assert table.replace_many(replacements) == 0
    after = storage.get("b")
    assert after is not None
    assert after.current == make_record("new", 99)
    assert {found.record for found in scan(table, 100)} == {make_record("new", 7), make_record("new", 99)}


def test_a_large_batch_is_replaced_like_a_small_one(table: RecordTable, storage: PasswordStorage) -> None:
    """However many statements it takes: what was changed since stays, and the count is exact."""
    for number in range(1100):
        assert storage.create(f"many-{number:04}", current=make_record("old"))
    scanned = [found for found in scan(table, 1000) if found.key.subject.startswith("many")]
    kept = ["many-0000", "many-0499", "many-0500", "many-0777", "many-1000", "many-1099"]
    for subject in kept:
        assert storage.rewrite(subject, RecordUse.CURRENT, make_record("old"), make_record("old", 5))
    replacements = [Replacement(found.key, found.record, make_record("new", 7)) for found in scanned]
    assert table.replace_many(replacements) == 1100 - len(kept)
    left = [found for found in scan(table, 1000) if found.record != make_record("new", 7)]
    assert [found.key.subject for found in left if found.key.subject.startswith("many")] == kept


def test_replacing_nothing_is_nothing(table: RecordTable) -> None:
    """An empty batch needs no database."""
    assert table.replace_many([]) == 0


def test_a_damaged_replacement_stops_the_whole_batch(table: RecordTable) -> None:
    """Nothing of it is written."""
    good, bad = table.scan(limit=2)
    batch = [
        Replacement(good.key, good.record, make_record("new")),
        Replacement(bad.key, bad.record, "$sealpass$v=2$x"),
    ]
    with pytest.raises(RecordRefused):
        table.replace_many(batch)
    assert table.scan(limit=2) == [good, bad]


def test_a_rotation_changes_no_flag_and_no_time(table: RecordTable, storage: PasswordStorage) -> None:
    """The password stays the same, and so does its age."""
    before = storage.get("A")
    table.replace_many(Replacement(found.key, found.record, found.record) for found in scan(table, 100))
    assert storage.get("A") == before


def test_counts_are_by_key_algorithm_and_slot(table: RecordTable) -> None:
    """After a partial rotation, with a hash that is not sealed: each kind has its line."""
    last = scan(table, 100)[-1]
    first = scan(table, 100)[0]
    table.replace_many(
        [Replacement(last.key, last.record, "$2b$04$legacy"), Replacement(first.key, first.record, make_record("new"))]
    )
    assert table.counts() == [
        RecordCount(None, None, RecordUse.CURRENT, 1),
        RecordCount("kms", "awskms", RecordUse.LETTER, 3),
        RecordCount("new", "A256GCM", RecordUse.CURRENT, 1),
        RecordCount("old", "A256GCM", RecordUse.CURRENT, 6),
        RecordCount("older", "A256GCM", RecordUse.HISTORY, 6),
    ]


def test_records_do_not_show(table: RecordTable) -> None:
    """Neither found nor about to be stored."""
    (found,) = table.scan(limit=1)
    assert "$sealpass$" not in repr([found, Replacement(found.key, found.record, found.record)])


def test_a_job_goes_on_where_it_was(database: Database, table: RecordTable) -> None:
    """Parts, ranges and cursors come back as they were saved; the ranges of the first begin stay."""
    jobs = Checkpoints(database)
    ranges = table.ranges(2)
    assert jobs.get("job") == []
    assert jobs.begin("job", ranges) == [Checkpoint(0, ranges[0]), Checkpoint(1, ranges[1])]
    saved = Checkpoint(1, ranges[1], RecordKey("ä", RecordUse.HISTORY, 3), 2**40, 7, finished=True)
    jobs.save("job", saved)
    assert jobs.begin("job", table.ranges(5)) == [Checkpoint(0, ranges[0]), saved]
    assert jobs.begin("other", [SubjectRange()]) == [Checkpoint(0, SubjectRange())]
    jobs.forget("job")
    assert jobs.get("job") == []
    assert len(jobs.get("other")) == 1


def test_processes_that_begin_a_job_agree_on_its_parts(source: str) -> None:
    """Whoever is first decides about the ranges, and no part is of anybody else's."""

    def begin(process: int) -> list[str | None]:
        edges = [None, *(f"{process}-{number}" for number in range(1, 4)), None]
        with open_database(source) as database:
            ranges = [SubjectRange(edges[part], edges[part + 1]) for part in range(4)]
            return [part.within.first for part in Checkpoints(database).begin("job", ranges)]

    answers = race(4, begin)
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 4
