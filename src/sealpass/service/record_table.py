# SPDX-License-Identifier: Apache-2.0
"""All records of all subjects in key order: for counting them, and for sealing them anew while logins go on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    func,
    literal,
    select,
    tuple_,
)

from sealpass.core.errors import ConfigError
from sealpass.core.records import PREFIX, RecordUse, key_and_algorithm
from sealpass.service.database import Database
from sealpass.service.schema import RECORDS, SUBJECTS

_USES = {use.value: use for use in RecordUse}
_NAMES = {use: use.value for use in RecordUse}
"""Plain text: sqlite3 is slow with what is derived from it."""


class RecordKey(NamedTuple):
    """Where a record stands. Keys sort as the database sorts them, so one is also a place to go on from."""

    subject: str
    slot: RecordUse
    sequence: int = 0


class StoredRecord(NamedTuple):
    """A record and where it stands."""

    key: RecordKey
    record: str

    def __repr__(self) -> str:
        return f"StoredRecord({self.key})"


class Replacement(NamedTuple):
    """What to put in the place of a record, if that is still the old one."""

    key: RecordKey
    old: str
    new: str

    def __repr__(self) -> str:
        return f"Replacement({self.key})"


@dataclass(frozen=True, slots=True)
class SubjectRange:
    """The subjects from ``first`` to before ``end``; None has no limit."""

    first: str | None = None
    end: str | None = None


EVERYTHING = SubjectRange()


@dataclass(frozen=True, slots=True)
class RecordCount:
    """How many records of one kind there are; key id and algorithm are None for those that are not sealed."""

    key_id: str | None
    algorithm: str | None
    slot: RecordUse
    records: int


class RecordTable:
    """The records of one database. Thread-safe. Every method raises as Database.read() and Database.write() do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._replace = _replace_on_sqlite if database.is_sqlite else _replace_on_postgresql

    def scan(
        self,
        *,
        after: RecordKey | None = None,
        limit: int,
        within: SubjectRange = EVERYTHING,
        not_under: str | None = None,
    ) -> list[StoredRecord]:
        """The first ``limit`` records behind ``after``, in key order; an empty list is the end.

        A record that stays is seen exactly once, whatever is changed, added or deleted between the calls.
        ``not_under``: only those that this key did not seal.
        """
        conditions = _range_conditions(within)
        if after is not None:
            place = tuple_(RECORDS.c.subject, RECORDS.c.slot, RECORDS.c.sequence)
            conditions.append(
                place > tuple_(literal(after.subject), literal(after.slot.value), literal(after.sequence))
            )
        if not_under is not None:
            conditions.append(RECORDS.c.key_id.is_distinct_from(not_under))
        query = (
            select(RECORDS.c.subject, RECORDS.c.slot, RECORDS.c.sequence, RECORDS.c.record)
            .where(*conditions)
            .order_by(RECORDS.c.subject, RECORDS.c.slot, RECORDS.c.sequence)
            .limit(limit)
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [
            StoredRecord(RecordKey(subject, _USES[slot], sequence), record) for subject, slot, sequence, record in rows
        ]

    def replace_many(self, replacements: Iterable[Replacement], committing: Callable[[], object] = lambda: None) -> int:
        """Replace in one transaction what is still old; how many were. No key may occur twice.

        What is not replaced was changed or deleted in the meantime; that is no error. ``committing`` is called when
        only the commit is left, which waits for the disk.
        """
        rows = _rows(replacements)

        def work(connection: Connection) -> int:
            replaced = self._replace(connection, rows)
            committing()
            return replaced

        return self._database.write(work) if rows else 0

    def counts(self) -> list[RecordCount]:
        """How many records each key sealed, by algorithm and slot. Reads the whole table."""
        kind = (RECORDS.c.key_id, RECORDS.c.algorithm, RECORDS.c.slot)
        query = select(*kind, func.count().label("records")).group_by(*kind)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        found = [RecordCount(row.key_id, row.algorithm, RecordUse(row.slot), row.records) for row in rows]
        return sorted(found, key=lambda count: (count.key_id or "", count.algorithm or "", count.slot))

    def ranges(self, parts: int) -> list[SubjectRange]:
        """Cut the table into at most so many ranges of about equally many subjects; reads all of their ids.

        Together they hold every subject once, those that will be added as well.
        """
        if parts < 1:
            raise ConfigError("a table is cut into one part or more")
        tiled = select(SUBJECTS.c.subject, func.ntile(parts).over(order_by=SUBJECTS.c.subject).label("tile")).subquery()
        query = select(func.min(tiled.c.subject)).group_by(tiled.c.tile).order_by(tiled.c.tile)
        firsts = self._database.read(lambda connection: connection.execute(query).scalars().all())
        edges = [None, *firsts[1:], None]
        return [SubjectRange(first, end) for first, end in pairwise(edges)]


def _range_conditions(within: SubjectRange) -> list[ColumnElement[bool]]:
    conditions = []
    if within.first is not None:
        conditions.append(RECORDS.c.subject >= within.first)
    if within.end is not None:
        conditions.append(RECORDS.c.subject < within.end)
    return conditions


def _rows(replacements: Iterable[Replacement]) -> list[tuple[object, ...]]:
    """In the order of the statements below."""
    rows: list[tuple[object, ...]] = []
    header, key_id, algorithm = PREFIX, None, None
    for (subject, slot, sequence), old, new in replacements:
        if header == PREFIX or not new.startswith(header):  # nearly all are under the same key as the one before
            header, key_id, algorithm = _header(new)
        rows.append((new, key_id, algorithm, subject, _NAMES[slot], sequence, old))
    return rows


def _header(record: str) -> tuple[str, str | None, str | None]:
    """How records of the same key begin, and what is told from it: None for a hash that is not sealed."""
    if not record.startswith(PREFIX):
        return PREFIX, None, None
    key_id, algorithm = key_and_algorithm(record)
    return f"{PREFIX}v=1$k={key_id}$a={algorithm}$", key_id, algorithm


# Written out, and run without the library's handling of parameters: it takes longer than the databases do.
_REPLACE_ONE = """
    UPDATE sealpass_record SET record = ?, key_id = ?, algorithm = ?
    WHERE subject = ? AND slot = ? AND sequence = ? AND record = ?
"""
# An UPDATE with a join locks rows in any order. So they are locked before it, in key order as everywhere: two that take
# the same ones must not wait in a ring.
_REPLACE_ALL = """
    WITH held AS (
      SELECT subject, slot, sequence, change.record, change.key_id, change.algorithm, change.old
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::text[])
        AS change (record, key_id, algorithm, at_subject, at_slot, at_sequence, old)
      JOIN sealpass_record AS stored ON subject = at_subject AND slot = at_slot AND sequence = at_sequence
      ORDER BY subject, slot, sequence
      FOR NO KEY UPDATE OF stored
    )
    UPDATE sealpass_record AS stored SET record = held.record, key_id = held.key_id, algorithm = held.algorithm
    FROM held
    WHERE stored.subject = held.subject AND stored.slot = held.slot AND stored.sequence = held.sequence
      AND stored.record = held.old
"""


def _replace_on_sqlite(connection: Connection, rows: list[tuple[object, ...]]) -> int:
    return connection.exec_driver_sql(_REPLACE_ONE, rows).rowcount


def _replace_on_postgresql(connection: Connection, rows: list[tuple[object, ...]]) -> int:
    columns = tuple(list(column) for column in zip(*rows, strict=True))
    return connection.exec_driver_sql(_REPLACE_ALL, columns).rowcount
