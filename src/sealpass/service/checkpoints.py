# SPDX-License-Identifier: Apache-2.0
"""How far a long job over the record table has come, so that another process can go on with it."""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, select, update

from sealpass.core.records import RecordUse
from sealpass.service.database import Database
from sealpass.service.record_table import RecordKey, SubjectRange
from sealpass.service.schema import CHECKPOINTS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one part of a job has come. Doing work again that was done after it must do no harm."""

    part: int
    within: SubjectRange
    after: RecordKey | None = None
    """The last record that was dealt with."""
    examined: int = 0
    replaced: int = 0
    finished: bool = False


class Checkpoints:
    """The jobs of one database, by their names. Raises as Database.read() and Database.write() do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: str, ranges: list[SubjectRange]) -> list[Checkpoint]:
        """The job's parts: the given ranges, or those that it had before; whoever begins first decides."""
        rows = [_row(job, Checkpoint(part, within)) for part, within in enumerate(ranges)]

        def work(connection: Connection) -> None:
            if _parts(connection, job):
                return
            for row in rows:
                # Where another one is just doing the same, its part 0 is waited for.
                if not self._database.insert_if_absent(connection, CHECKPOINTS, row):
                    return

        self._database.write(work)
        return self.get(job)

    def get(self, job: str) -> list[Checkpoint]:
        """The job's parts; an empty list for an unknown one."""
        return self._database.read(lambda connection: _parts(connection, job))

    def save(self, job: str, checkpoint: Checkpoint) -> None:
        """Remember how far a part has come. Call it after the work is committed, never before."""
        where = (CHECKPOINTS.c.job == job, CHECKPOINTS.c.part == checkpoint.part)
        statement = update(CHECKPOINTS).where(*where).values(_row(job, checkpoint))
        self._database.write(lambda connection: connection.execute(statement))

    def forget(self, job: str) -> None:
        """Remove a job; it begins anew next time."""
        self._database.write(lambda connection: connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.job == job)))


def _parts(connection: Connection, job: str) -> list[Checkpoint]:
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.job == job).order_by(CHECKPOINTS.c.part)
    return [_checkpoint(row) for row in connection.execute(query)]


def _row(job: str, checkpoint: Checkpoint) -> dict[str, object]:
    after = checkpoint.after
    return {
        "job": job,
        "part": checkpoint.part,
        "first": checkpoint.within.first,
        "end": checkpoint.within.end,
        "after_subject": after and after.subject,
        "after_slot": after and after.slot.value,
        "after_sequence": after and after.sequence,
        "examined": checkpoint.examined,
        "replaced": checkpoint.replaced,
        "finished": checkpoint.finished,
    }


def _checkpoint(row: Row[tuple[object, ...]]) -> Checkpoint:
    started = row.after_subject is not None
    return Checkpoint(
        part=row.part,
        within=SubjectRange(row.first, row.end),
        after=RecordKey(row.after_subject, RecordUse(row.after_slot), row.after_sequence) if started else None,
        examined=row.examined,
        replaced=row.replaced,
        finished=row.finished,
    )
