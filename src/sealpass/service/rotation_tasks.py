# SPDX-License-Identifier: Apache-2.0
"""What a Dask worker does of a rotation. Module-level functions, so that they are sent by their names.

A worker opens key ring and database by itself, with its own PINs and passwords. It answers with numbers.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sealpass.backends.keyring import KeyRing
from sealpass.core.errors import ConfigError
from sealpass.dask_connection import give_up, is_wanted, tell
from sealpass.service import migrations
from sealpass.service.checkpoints import Checkpoint, Checkpoints
from sealpass.service.database import Database
from sealpass.service.record_table import RecordTable
from sealpass.service.rotation import DEFAULT_BATCH, Progress, Rotation

LOOK_SECONDS = 0.5
"""Between two looks of a task whether it is still wanted, and two messages of how far it is."""


@dataclass(frozen=True, slots=True)
class RotationJob:
    """What a worker is told. No secret: database and keys are named, with sources of passwords that it has itself."""

    run: str
    """The name of this run, under which tasks tell how far they are."""
    database: str
    """``env:NAME`` or ``file:PATH``, of the worker; or a URL without a password."""
    current: str
    previous: tuple[str, ...] = ()
    batch: int = DEFAULT_BATCH
    threads: int = 1
    """Of one task."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a worker is about to work on."""

    target: str
    is_sqlite: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """The whole job."""

    parts: int
    unfinished: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What one attempt at a part did; the same numbers are told on the way, under the attempt's name."""

    attempt: str
    progress: Progress
    left: int = 0
    """Records that a sweep found."""


def inspect(job: RotationJob) -> Found:
    """Open database and keys, as every task will."""
    with _opened(job) as (database, ring):
        migrations.check(database)
        return Found(ring.current_sealer.key_id, database.is_sqlite)


def rehearse(job: RotationJob, target: str, rate: float | None) -> Progress:
    """Seal a few records anew, as Rotation.rehearse()."""
    with _rotation(job, target, rate) as (_, rotation):
        return rotation.rehearse()


def count(job: RotationJob, target: str) -> int:
    """How many records are under other keys."""
    with _opened(job) as (database, _):
        counts = RecordTable(database).counts()
    return sum(each.records for each in counts if each.key_id is not None and each.key_id != target)


def begin(job: RotationJob, target: str, parts: int) -> Begun:
    """Cut the table into parts, or take up those that an earlier run left.

    A job that was begun on one machine is one part. It is cut anew: records that were moved cost no device call.
    """
    with _rotation(job, target) as (database, rotation):
        if len(Checkpoints(database).get(rotation.job)) == 1:
            rotation.end()
        checkpoints = rotation.begin(RecordTable(database).ranges(parts))
        return Begun(len(checkpoints), tuple(each.part for each in checkpoints if not each.finished))


def run_part(job: RotationJob, target: str, number: int, rate: float | None) -> Done:
    """Move the records of one part, from its checkpoint on."""
    with _rotation(job, target, rate) as (database, rotation):
        _part(database, rotation, number)
        attempt = uuid.uuid4().hex
        rotation.run_part(number, _teller(job, attempt))
        return Done(attempt, rotation.progress)


def sweep_part(job: RotationJob, target: str, number: int, rate: float | None) -> Done:
    """Move what is left in one part."""
    with _rotation(job, target, rate) as (database, rotation):
        part = _part(database, rotation, number)
        attempt = uuid.uuid4().hex
        left = rotation.sweep(part.within, _teller(job, attempt))
        return Done(attempt, rotation.progress, left)


def end(job: RotationJob, target: str) -> None:
    """Forget the checkpoints."""
    with _rotation(job, target) as (_, rotation):
        rotation.end()


async def leave(job: RotationJob) -> None:
    """Close what was opened for the run, now or when nobody uses it any more."""
    await asyncio.to_thread(_leave, job)  # the lock may be held by one who waits for a device


def _leave(job: RotationJob) -> None:
    with _LOCK:
        opened = _OPENED.pop(job, None)
        if opened is not None:
            opened.is_left = True
            opened.close_if_free()


def _part(database: Database, rotation: Rotation, number: int) -> Checkpoint:
    for part in Checkpoints(database).get(rotation.job):
        if part.part == number:
            return part
    raise ConfigError(
        "the database has no such part of the job",
        hint="do all workers use the same database? And did nobody else finish the same job just now?",
    )


def _teller(job: RotationJob, attempt: str) -> Callable[[Progress], None]:
    """What is called after each batch."""
    last = time.monotonic()

    def look_up(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < LOOK_SECONDS:
            return
        last = time.monotonic()
        tell(job.run, {"attempt": attempt, "moved": progress.moved, "changed": progress.changed})
        if not is_wanted():
            _leave(job)  # a client that was killed cannot ask for it
            give_up()

    return look_up


# -- what stays open between the tasks of a run ----------------------------------------------------------------------


class _Opened:
    """Database and ring of one run. Both are thread-safe; a worker may have several tasks at a time."""

    def __init__(self, job: RotationJob) -> None:
        self.users = 0
        self.is_left = False
        self.database = Database(job.database, connections=job.threads + 2)
        try:
            self.ring = KeyRing(job.current, job.previous)
        except BaseException:
            self.database.close()
            raise

    def close_if_free(self) -> None:
        if self.is_left and not self.users:
            self.ring.close()
            self.database.close()


_LOCK = threading.Lock()
_OPENED: dict[RotationJob, _Opened] = {}


@contextmanager
def _opened(job: RotationJob) -> Iterator[tuple[Database, KeyRing]]:
    with _LOCK:
        for old, one in list(_OPENED.items()):
            if old != job and not one.users:  # of a client that was killed, and could not say leave()
                one.is_left = True
                _OPENED.pop(old).close_if_free()
        opened = _OPENED.get(job) or _Opened(job)
        _OPENED[job] = opened
        opened.users += 1
    try:
        yield opened.database, opened.ring
    finally:
        with _LOCK:
            opened.users -= 1
            opened.close_if_free()


@contextmanager
def _rotation(job: RotationJob, target: str, rate: float | None = None) -> Iterator[tuple[Database, Rotation]]:
    with _opened(job) as (database, ring):
        rotation = Rotation(database, ring, batch=job.batch, threads=job.threads, rate=rate)
        if rotation.target != target:
            raise ConfigError(
                "the current key is another one than on other workers, or than at the begin",
                hint="the same URI must name the same key on all workers",
            )
        yield database, rotation
