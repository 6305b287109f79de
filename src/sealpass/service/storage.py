# SPDX-License-Identifier: Apache-2.0
"""Password records of subjects, and what stands beside them: the duty to change, and the count of attempts.

A record is an opaque text. Every write names what it replaces and is won only where that is still there, so it never
overwrites a change that came in between. It takes no lock that is kept while anybody computes a hash.

A subject has a ``generation``: it rises with every change of what the user may log in with, or has to do afterwards
(change, set_letter, set_must_change). Storing the same password differently (rewrite, a rotation) leaves it. The first
one is random: a session of a subject that was deleted and has come again under the same name finds another one.

On PostgreSQL the default isolation, READ COMMITTED, suffices: whatever a write depends on is in the WHERE of that
very statement, and PostgreSQL looks at it again after it waited for somebody else's change of the row (its manual,
section 13.2.1). Writers of one subject lock its row first, then records in key order, so they never wait in a ring.
"""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Update,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from sealpass.core.errors import ConfigError
from sealpass.core.records import MAX_RECORD_CHARACTERS, Record, RecordUse, check_subject, is_record
from sealpass.service.database import Database
from sealpass.service.schema import RECORDS, SUBJECTS

_FIRST_GENERATIONS = 2**30
"""So many. The column has 31 bits, and as many changes fit on top."""


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """The record of an earlier password, sealed for the history slot; the higher ``sequence`` is the later one."""

    sequence: int
    record: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """What is stored for a subject, at one moment."""

    subject: str
    current: str | None = field(repr=False)
    """None for a subject that has only an initial password yet."""
    letter: str | None = field(repr=False)
    """The record of an initial password that was not used yet."""
    letter_age: float
    """Seconds since the letter was made; 0 where there is none."""
    history: tuple[HistoryRecord, ...]
    """Latest first."""
    must_change: bool
    failures: int
    """Attempts that were counted since the last success."""
    locked_for: float
    """Seconds for which no attempt is allowed; 0 where it is, infinite where only clear_attempts() ends it."""
    changed_at: float
    """When the password was set, in seconds since 1970."""
    generation: int
    """What writes compare, and raise: see above."""


class Counter(StrEnum):
    """What attempts are counted for, each on its own."""

    LOGIN = "login"
    REUSE = "reuse"
    """Comparing a new password with those before it: the answer tells what those were."""


_COUNTERS: dict[Counter, tuple[Column[int], Column[float]]] = {
    Counter.LOGIN: (SUBJECTS.c.failures, SUBJECTS.c.locked_until),
    Counter.REUSE: (SUBJECTS.c.reuse_checks, SUBJECTS.c.reuse_locked_until),
}


@dataclass(frozen=True, slots=True)
class LockOut:
    """After ``attempts`` without a success, no further one for ``seconds``; infinite: until clear_attempts()."""

    attempts: int
    seconds: float

    def __post_init__(self) -> None:
        if self.attempts < 1 or not self.seconds > 0:
            raise ConfigError("a lock-out takes at least one attempt and more than no time")


class PasswordStorage:
    """The tables of one database. Thread-safe. Every method raises as Database.read() and Database.write() do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, subject: str) -> StoredPassword | None:
        """All that is stored for a subject; None for an unknown one."""
        now = self._database.now()
        query = (
            select(SUBJECTS, now.label("now"), RECORDS.c.slot, RECORDS.c.sequence, RECORDS.c.record, RECORDS.c.made_at)
            .join_from(SUBJECTS, RECORDS)
            .where(SUBJECTS.c.subject == subject)
            .order_by(RECORDS.c.sequence.desc())
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        if not rows:
            return None
        single = {row.slot: row.record for row in rows if row.slot != RecordUse.HISTORY}
        letter_made_at = next((row.made_at for row in rows if row.slot == RecordUse.LETTER), None)
        about = rows[0]
        return StoredPassword(
            subject=subject,
            current=single.get(RecordUse.CURRENT),
            letter=single.get(RecordUse.LETTER),
            letter_age=0.0 if letter_made_at is None else max(0.0, about.now - letter_made_at),
            history=tuple(HistoryRecord(row.sequence, row.record) for row in rows if row.slot == RecordUse.HISTORY),
            must_change=about.must_change,
            failures=about.failures,
            locked_for=max(0.0, (about.locked_until or 0.0) - about.now),
            changed_at=about.changed_at,
            generation=about.generation,
        )

    def create(
        self, subject: str, *, current: str | None = None, letter: str | None = None, must_change: bool = False
    ) -> bool:
        """Add a subject with a password or with an initial one; False, and nothing done, where it exists.

        ``current`` may be a legacy hash: whether it has a form that is allowed is the caller's to see. Raises
        ConfigError for what is too long.
        """
        check_subject(subject)
        records = [
            (slot, record) for slot, record in ((RecordUse.CURRENT, current), (RecordUse.LETTER, letter)) if record
        ]
        if not records:
            raise ConfigError("a subject begins with a record")
        row = {
            "subject": subject,
            "must_change": must_change,
            "failures": 0,
            "locked_until": None,
            "changed_at": self._database.now(),
            "generation": secrets.randbelow(_FIRST_GENERATIONS),
            "reuse_checks": 0,
            "reuse_locked_until": None,
        }

        def work(connection: Connection) -> bool:
            if not self._database.insert_if_absent(connection, SUBJECTS, row):
                return False
            for slot, record in records:
                self._add(connection, subject, slot, 0, record)
            return True

        return self._database.write(work)

    def change(
        self, seen: StoredPassword, new: str, *, history: str | None = None, keep: int = 0, must_change: bool = False
    ) -> bool:
        """Set a new password; True where generation, current record and letter were still those of ``seen``.

        Else nothing is done. The letter is used up, both counters begin anew and a lock-out ends. ``history`` is the
        old record sealed for the history slot; of the history only the latest ``keep`` records stay.
        """

        def work(connection: Connection) -> bool:
            subject = seen.subject
            about = {
                "must_change": must_change,
                "failures": 0,
                "locked_until": None,
                "changed_at": self._database.now(),
                "reuse_checks": 0,
                "reuse_locked_until": None,
            }
            if not _begin_generation(connection, seen, **about) or not self._replace_current(connection, seen, new):
                connection.rollback()
                return False
            if history is not None:
                self._add(connection, subject, RecordUse.HISTORY, _next_sequence(connection, subject), history)
            _keep_latest(connection, subject, keep)
            if not _letter_is(connection, seen):
                connection.rollback()
                return False
            connection.execute(delete(RECORDS).where(_is(subject, RecordUse.LETTER)))
            return True

        return self._database.write(work)

    def set_letter(self, seen: StoredPassword, letter: str | None) -> bool:
        """Put the record of an initial password in its slot, or take it out.

        True where generation and letter were still those of ``seen``; else nothing is done.
        """

        def work(connection: Connection) -> bool:
            if not _begin_generation(connection, seen) or not _letter_is(connection, seen):
                connection.rollback()
                return False
            connection.execute(delete(RECORDS).where(_is(seen.subject, RecordUse.LETTER)))
            if letter is not None:
                self._add(connection, seen.subject, RecordUse.LETTER, 0, letter)
            return True

        if letter is None and seen.current is None:
            raise ConfigError("without its letter the subject would have no password: delete it")
        return self._database.write(work)

    def rewrite(self, subject: str, slot: RecordUse, old: str, new: str, *, sequence: int = 0) -> bool:
        """Store the same password differently (another key or hash); True where ``old`` was still there."""
        statement = _replace(_is(subject, slot, sequence), old, new)
        return self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    def set_must_change(self, seen: StoredPassword, *, must_change: bool) -> bool:
        """Demand a new password at the next login, or no longer; True where the generation was as seen."""
        return self._database.write(lambda connection: _begin_generation(connection, seen, must_change=must_change))

    def count_attempt(self, subject: str, lock_out: LockOut, counter: Counter = Counter.LOGIN) -> bool:
        """Whether the subject may try a password now; ask *before* looking at the password, and obey.

        The attempt counts as a failure until clear_attempts() or change(). So however many race, only
        ``lock_out.attempts`` get through before the lock, which counting afterwards could not promise. False also for
        an unknown subject.
        """
        failures, locked_until = _COUNTERS[counter]
        now = self._database.now()
        is_free = or_(locked_until.is_(None), locked_until <= now)
        # A lock that is over (the row has one, and is_free holds) was the answer to the failures before it.
        counted = case((locked_until.is_(None), failures + 1), else_=1)
        lock = case((counted >= lock_out.attempts, now + lock_out.seconds))
        statement = (
            update(SUBJECTS)
            .where(SUBJECTS.c.subject == subject, is_free)
            .values({failures: counted, locked_until: lock})
            .returning(failures)
        )
        return self._database.write(lambda connection: connection.execute(statement).first() is not None)

    def return_attempt(self, subject: str, counter: Counter = Counter.LOGIN) -> None:
        """Take one counted attempt back: no password was looked at, because the device did not answer."""
        failures, locked_until = _COUNTERS[counter]
        statement = (
            update(SUBJECTS)
            .where(SUBJECTS.c.subject == subject, failures > 0)
            .values({failures: failures - 1, locked_until: None})
        )
        self._database.write(lambda connection: connection.execute(statement))

    def clear_attempts(self, subject: str) -> bool:
        """Forget attempts to log in and end a lock-out: after a success, or by an administrator.

        False for an unknown subject. The other counter only begins anew with a new password.
        """
        statement = update(SUBJECTS).where(SUBJECTS.c.subject == subject).values(failures=0, locked_until=None)
        return self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    def delete(self, subject: str) -> bool:
        """Remove a subject and all its records; False for an unknown one."""

        def work(connection: Connection) -> bool:
            if not _hold(connection, subject):
                return False
            in_order = select(RECORDS.c.slot).where(RECORDS.c.subject == subject)
            connection.execute(in_order.order_by(RECORDS.c.slot, RECORDS.c.sequence).with_for_update()).all()
            connection.execute(delete(SUBJECTS).where(SUBJECTS.c.subject == subject))
            return True

        return self._database.write(work)

    def _replace_current(self, connection: Connection, seen: StoredPassword, new: str) -> bool:
        if seen.current is None:
            return self._add(connection, seen.subject, RecordUse.CURRENT, 0, new)
        statement = _replace(_is(seen.subject, RecordUse.CURRENT), seen.current, new).values(
            made_at=self._database.now()
        )
        return connection.execute(statement).rowcount == 1

    def _add(self, connection: Connection, subject: str, slot: RecordUse, sequence: int, record: str) -> bool:
        """Insert a record; False where the slot is taken."""
        row = {
            "subject": subject,
            "slot": slot.value,
            "sequence": sequence,
            "made_at": self._database.now(),
            **record_columns(record),
        }
        return self._database.insert_if_absent(connection, RECORDS, row)


def record_columns(record: str) -> dict[str, str | None]:
    """A record, and what is told from it for counting: two None for a hash that is not sealed (a legacy one).

    Raises RecordRefused for what begins as a sealed record and is none, and ConfigError for another value that is too
    long.
    """
    if not is_record(record):
        if len(record) > MAX_RECORD_CHARACTERS:
            raise ConfigError(f"a record or legacy hash has at most {MAX_RECORD_CHARACTERS} characters")
        return {"record": record, "key_id": None, "algorithm": None}
    parsed = Record.parse(record)
    return {"record": record, "key_id": parsed.key_id, "algorithm": parsed.sealed.algorithm}


def _is(subject: str, slot: RecordUse, sequence: int = 0) -> ColumnElement[bool]:
    return and_(RECORDS.c.subject == subject, RECORDS.c.slot == slot.value, RECORDS.c.sequence == sequence)


def _replace(where: ColumnElement[bool], old: str, new: str) -> Update:
    columns: dict[str, Any] = dict(record_columns(new))
    return update(RECORDS).where(where, RECORDS.c.record == old).values(columns)


def _hold(connection: Connection, subject: str) -> bool:
    """Keep other writers of the subject waiting until the transaction ends; False for an unknown one."""
    query = select(SUBJECTS.c.subject).where(SUBJECTS.c.subject == subject).with_for_update()
    return connection.execute(query).first() is not None


def _begin_generation(connection: Connection, seen: StoredPassword, **values: object) -> bool:
    """Raise the generation that was seen, set ``values`` with it, and hold the subject; False where it is another."""
    is_seen = and_(SUBJECTS.c.subject == seen.subject, SUBJECTS.c.generation == seen.generation)
    return (
        connection.execute(update(SUBJECTS).where(is_seen).values(generation=seen.generation + 1, **values)).rowcount
        == 1
    )


def _letter_is(connection: Connection, seen: StoredPassword) -> bool:
    """Whether the letter is still the one that was seen, which it then stays until the transaction ends."""
    query = select(RECORDS.c.record).where(_is(seen.subject, RecordUse.LETTER)).with_for_update()
    return connection.execute(query).scalar() == seen.letter


def _next_sequence(connection: Connection, subject: str) -> int:
    """After the latest of the history. Whoever asks holds the subject, so nobody else gets the same."""
    query = select(func.max(RECORDS.c.sequence)).where(
        RECORDS.c.subject == subject, RECORDS.c.slot == RecordUse.HISTORY
    )
    return (connection.execute(query).scalar() or 0) + 1


def _keep_latest(connection: Connection, subject: str, keep: int) -> None:
    connection.execute(_surplus_history(connection, subject, keep))


def _surplus_history(connection: Connection, subject: str, keep: int) -> Delete:
    of_history = and_(RECORDS.c.subject == subject, RECORDS.c.slot == RecordUse.HISTORY)
    query = select(RECORDS.c.sequence).where(of_history).order_by(RECORDS.c.sequence)
    # Locked here in key order, as a rotation locks them; a DELETE alone may take them in any.
    sequences = connection.execute(query.with_for_update()).scalars().all()
    surplus = sequences[: max(0, len(sequences) - keep)]
    return delete(RECORDS).where(of_history, RECORDS.c.sequence.in_(surplus))
