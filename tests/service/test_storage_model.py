# SPDX-License-Identifier: Apache-2.0
"""Any sequence of operations, held against a dictionary."""

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sealpass.core.records import RecordUse
from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.record_table import RecordKey, RecordTable, Replacement
from sealpass.service.storage import Counter, HistoryRecord, LockOut, PasswordStorage, StoredPassword
from tests.service.conftest import Clock, make_record, open_database

LOCK_OUT = LockOut(attempts=2, seconds=10)
subjects = st.sampled_from(["a", "b", "c"])
records = st.integers(0, 3).map(lambda number: make_record(f"k{number % 2}", number))


@dataclass
class Subject:
    """What is expected of a subject."""

    current: str | None
    letter: str | None
    must_change: bool
    changed_at: float
    history: list[HistoryRecord] = field(default_factory=list)
    failures: int = 0
    locked_until: float | None = None
    letter_made_at: float = 0.0
    generation: int = 0
    reuse_checks: int = 0

    def as_stored(self, subject: str, now: float) -> StoredPassword:
        """As the storage shows it."""
        return StoredPassword(
            subject=subject,
            current=self.current,
            letter=self.letter,
            letter_age=0.0 if self.letter is None else now - self.letter_made_at,
            history=tuple(self.history),
            must_change=self.must_change,
            failures=self.failures,
            locked_for=max(0.0, (self.locked_until or 0.0) - now),
            changed_at=self.changed_at,
            generation=self.generation,
        )

    def is_as(self, seen: StoredPassword) -> bool:
        """Whether a write that rests on ``seen`` finds what it expects."""
        return (self.generation, self.current, self.letter) == (seen.generation, seen.current, seen.letter)


class StorageModel(RuleBasedStateMachine):
    """PasswordStorage and RecordTable beside a dictionary. What is written rests on a state that may be stale."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp(prefix="sealpass-model-"))
        self._clock = Clock()
        self._database: Database = open_database(f"sqlite:///{self._directory / 'test.db'}", self._clock)
        migrations.upgrade(self._database)
        self._storage = PasswordStorage(self._database)
        self._table = RecordTable(self._database)
        self._expected: dict[str, Subject] = {}
        self._seen: dict[str, StoredPassword] = {}

    def teardown(self) -> None:
        """Leave nothing behind."""
        self._database.close()
        shutil.rmtree(self._directory)

    @initialize(record=records)
    def begin(self, record: str) -> None:
        """One subject is there from the start."""
        self.create("a", record, None, must_change=False)

    @rule(subject=subjects, current=records, letter=st.none() | records, must_change=st.booleans())
    def create(self, subject: str, current: str, letter: str | None, *, must_change: bool) -> None:
        """Won where there was no such subject."""
        won = self._storage.create(subject, current=current, letter=letter, must_change=must_change)
        assert won == (subject not in self._expected)
        if won:
            now = self._clock.now
            first = self._storage.get(subject)
            assert first is not None
            self._expected[subject] = Subject(
                current, letter, must_change, now, letter_made_at=now, generation=first.generation
            )

    @rule(subject=subjects)
    def look(self, subject: str) -> None:
        """Remember what there is; later writes rest on it."""
        found = self._storage.get(subject)
        if found is not None:
            self._seen[subject] = found

    @rule(subject=subjects, new=records, history=st.none() | records, keep=st.integers(0, 3), must_change=st.booleans())
    def change(self, subject: str, new: str, history: str | None, keep: int, *, must_change: bool) -> None:
        """Won where generation, current record and letter are as they were seen."""
        if (seen := self._seen.get(subject)) is None:
            return
        expected = self._expected.get(subject)
        won = self._storage.change(seen, new, history=history, keep=keep, must_change=must_change)
        assert won == (expected is not None and expected.is_as(seen))
        if expected is not None and won:
            sequence = max((entry.sequence for entry in expected.history), default=0) + 1
            entries = [HistoryRecord(sequence, history)] if history else []
            history_now = [*entries, *expected.history][:keep]
            generation = expected.generation + 1
            self._expected[subject] = Subject(
                new, None, must_change, self._clock.now, history_now, generation=generation
            )

    @rule(subject=subjects, letter=st.none() | records)
    def set_letter(self, subject: str, letter: str | None) -> None:
        """Won where generation and letter are as they were seen."""
        if (seen := self._seen.get(subject)) is None:
            return
        expected = self._expected.get(subject)
        won = self._storage.set_letter(seen, letter)
        was_seen = expected is not None and (expected.generation, expected.letter) == (seen.generation, seen.letter)
        assert won == was_seen
        if expected is not None and won:
            expected.letter, expected.letter_made_at = letter, self._clock.now
            expected.generation += 1

    @rule(subject=subjects, must_change=st.booleans())
    def set_must_change(self, subject: str, *, must_change: bool) -> None:
        """Won where the generation is as it was seen."""
        if (seen := self._seen.get(subject)) is None:
            return
        expected = self._expected.get(subject)
        won = self._storage.set_must_change(seen, must_change=must_change)
        assert won == (expected is not None and expected.generation == seen.generation)
        if expected is not None and won:
            expected.must_change = must_change
            expected.generation += 1

    @rule(subject=subjects)
    def count_reuse_check(self, subject: str) -> None:
        """Allowed so often, and then until the next change; the attempts to log in are not touched."""
        expected = self._expected.get(subject)
        allowed = self._storage.count_attempt(subject, LockOut(attempts=2, seconds=1e9), Counter.REUSE)
        assert allowed == (expected is not None and expected.reuse_checks < 2)
        if expected is not None and allowed:
            expected.reuse_checks += 1

    @rule(subject=subjects, old=records, new=records)
    def rewrite(self, subject: str, old: str, new: str) -> None:
        """Won where the record is the old one."""
        expected = self._expected.get(subject)
        won = self._storage.rewrite(subject, RecordUse.CURRENT, old, new)
        assert won == (expected is not None and expected.current == old)
        if expected is not None and won:
            expected.current = new

    @rule(subject=subjects)
    def count_attempt(self, subject: str) -> None:
        """Allowed unless locked; the last one locks."""
        expected, now = self._expected.get(subject), self._clock.now
        allowed = self._storage.count_attempt(subject, LOCK_OUT)
        assert allowed == (expected is not None and (expected.locked_until is None or expected.locked_until <= now))
        if expected is not None and allowed:
            expected.failures = 1 if expected.locked_until is not None else expected.failures + 1
            expected.locked_until = now + LOCK_OUT.seconds if expected.failures >= LOCK_OUT.attempts else None

    @rule(subject=subjects)
    def return_attempt(self, subject: str) -> None:
        """One less, and no lock."""
        self._storage.return_attempt(subject)
        expected = self._expected.get(subject)
        if expected is not None and expected.failures:
            expected.failures, expected.locked_until = expected.failures - 1, None

    @rule(subject=subjects)
    def clear_attempts(self, subject: str) -> None:
        """None, and no lock."""
        expected = self._expected.get(subject)
        assert self._storage.clear_attempts(subject) == (expected is not None)
        if expected is not None:
            expected.failures, expected.locked_until = 0, None

    @rule(subject=subjects)
    def delete(self, subject: str) -> None:
        """Whether it was there."""
        assert self._storage.delete(subject) == (self._expected.pop(subject, None) is not None)

    @rule(seconds=st.sampled_from([1.0, 9.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Locks end."""
        self._clock.now += seconds

    @rule(new=records, old=st.none() | records, limit=st.integers(1, 5))
    def replace_first(self, new: str, old: str | None, limit: int) -> None:
        """Of a batch only that is replaced which is still as the batch says."""
        batch = [Replacement(found.key, old or found.record, new) for found in self._table.scan(limit=limit)]
        stored = self._all_records()
        won = [replacement.key for replacement in batch if stored[replacement.key] == replacement.old]
        assert self._table.replace_many(batch) == len(won)
        for subject, slot, sequence in won:
            expected = self._expected[subject]
            if slot is RecordUse.CURRENT:
                expected.current = new
            elif slot is RecordUse.LETTER:
                expected.letter = new
            else:
                expected.history = [
                    replace(entry, record=new) if entry.sequence == sequence else entry for entry in expected.history
                ]

    @invariant()
    def everything_is_as_expected(self) -> None:
        """Subjects, records in key order, and their counts."""
        for subject in ("a", "b", "c"):
            expected = self._expected.get(subject)
            assert self._storage.get(subject) == (expected and expected.as_stored(subject, self._clock.now))
        stored = self._all_records()
        assert [(found.key, found.record) for found in self._table.scan(limit=1000)] == sorted(stored.items())
        counts = {(count.key_id, count.slot): count.records for count in self._table.counts()}
        assert sum(counts.values()) == len(stored)
        for (key_id, slot), number in counts.items():
            assert number == sum(key.slot is slot and f"$k={key_id}$" in record for key, record in stored.items())

    def _all_records(self) -> dict[RecordKey, str]:
        found = {}
        for subject, expected in self._expected.items():
            if expected.current is not None:
                found[RecordKey(subject, RecordUse.CURRENT)] = expected.current
            if expected.letter is not None:
                found[RecordKey(subject, RecordUse.LETTER)] = expected.letter
            for entry in expected.history:
                found[RecordKey(subject, RecordUse.HISTORY, entry.sequence)] = entry.record
        return found


TestStorageModel = StorageModel.TestCase
TestStorageModel.settings = settings(max_examples=25, stateful_step_count=30)
