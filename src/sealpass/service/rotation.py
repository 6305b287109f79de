# SPDX-License-Identifier: Apache-2.0
"""All records under the current key, without a password and while logins go on (docs/rotation.md).

Nothing here may be relied upon to happen: the process may end at any instruction. A batch is replaced in one
transaction, each record only where it is still the one that was read; then the checkpoint is saved. So a record is
under one key or the other, a change that came in between stays, and work that is done twice finds nothing to do.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from sealpass.core.errors import BackendUnavailable, ConfigError, OperatorError, RecordProblem, RecordRefused
from sealpass.core.passwords import Passwords, SealingRing
from sealpass.core.records import PREFIX, RecordUse
from sealpass.service.checkpoints import Checkpoint, Checkpoints
from sealpass.service.database import Database
from sealpass.service.record_table import EVERYTHING, RecordKey, RecordTable, Replacement, StoredRecord, SubjectRange

DEFAULT_BATCH = 1000
REHEARSED = 100
"""Records that are sealed anew and not stored, to see whether the keys can do it."""
MOST_SWEEPS = 5
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The pauses before a device or database that is away for a moment is asked again; after the last one the job stops."""
CHECKPOINT_SECONDS = 2.0
"""Between two checkpoints. One more commit for each batch would cost more than a run that goes on can save by it: what
was moved since then it passes over without a call of a device."""
_BURST_SECONDS = 0.05
_SHORTEST_PAUSE = 0.005
"""Seconds; a shorter one takes longer than it says."""

P = ParamSpec("P")
T = TypeVar("T")
Moved = Replacement | RecordRefused | None


class Refused(NamedTuple):
    """What kind of records could not be moved; says nothing about whose they are."""

    key_id: str
    slot: RecordUse
    problem: RecordProblem


@dataclass(slots=True)
class Progress:
    """What was done so far. ``refused`` and ``unsealed`` are those of the latest sweep over the table."""

    moved: int = 0
    changed: int = 0
    """Somebody else changed or deleted them after they were read, and so they were not replaced."""
    refused: Counter[Refused] = field(default_factory=Counter)
    unsealed: int = 0
    """Legacy hashes: only a login can seal them."""
    rehearsed: int = 0
    """Sealed anew and not stored."""
    settled: bool = False
    """The last sweep found nothing more to move."""


class Pace:
    """Lets so many through in a second, over all threads."""

    def __init__(
        self, per_second: float, pause: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 0 < per_second < float("inf"):
            raise ConfigError("a rate is a number of records a second, above 0")
        self._interval = 1 / per_second
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self) -> None:
        """Return when it is the caller's turn. A delay is made up for within a moment, never later in one go."""
        with self._lock:
            now = self._clock()
            at = self._next = max(self._next, now - _BURST_SECONDS) + self._interval
        if at - now > _SHORTEST_PAUSE:
            self._pause(at - now)


class Rotation:
    """One job: move every record of ``database`` that the keys of ``ring`` open under its current key.

    Make one for each run; after a failure or an interruption it refuses another one. ``rate`` is in records a second,
    ``threads`` work at the same time, ``batch`` records are replaced in one transaction. The other settings, all in
    seconds, are for tests. Ring and database stay the caller's.
    """

    def __init__(
        self,
        database: Database,
        ring: SealingRing,
        *,
        batch: int = DEFAULT_BATCH,
        threads: int = 1,
        rate: float | None = None,
        back_off: tuple[float, ...] = BACK_OFF_SECONDS,
        checkpoint_every: float = CHECKPOINT_SECONDS,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        if batch < 1 or threads < 1:
            raise ConfigError("a batch has a record or more, and a thread or more works on it")
        self._table = RecordTable(database)
        self._checkpoints = Checkpoints(database)
        self._shares_the_lock = database.is_sqlite
        self._ring = ring
        self._passwords = Passwords(ring)
        self.target = ring.current_sealer.key_id
        self._batch = batch
        self._threads = threads
        self._back_off = back_off
        self._checkpoint_every = checkpoint_every
        self._stop = threading.Event()
        self._pause = pause or self._stop.wait  # waiting for the event, so that nobody sleeps on after an interruption
        self._pace = None if rate is None else Pace(rate, self._pause)
        self._failure: OperatorError | None = None
        self.progress = Progress()

    @property
    def job(self) -> str:
        """The name of the job's checkpoints."""
        return f"rotate to {self.target}"

    def run(self, tell: Callable[[Progress], object] = lambda _progress: None) -> Progress:
        """Move all that can be moved; ``tell`` is called after each batch.

        Begins where a run that was interrupted left off. Then sweeps over the whole table until nothing is left to
        move: so a checkpoint can save time and never lose a record, and what a server with an older ring sealed
        meanwhile is moved, too. Raises operator errors; what was done until then stays, and so does the checkpoint.
        """
        for part in self.begin([EVERYTHING]):
            self.run_part(part.part, tell)
        for _ in range(MOST_SWEEPS):
            if self.sweep(EVERYTHING, tell) == 0:
                self.progress.settled = True
                break
        self.end()
        return self.progress

    def _check_that_it_goes_on(self) -> None:
        if self._stop.is_set() or self._failure is not None:  # it would seal nothing, and find nothing left to do
            raise ConfigError("this rotation has ended: make a new Rotation, which goes on where it left off")

    # The steps of run(), for a job of several processes. Each has its own Rotation of the same database and keys.

    def begin(self, ranges: list[SubjectRange]) -> list[Checkpoint]:
        """The parts of the job: the given ranges, or those that it had already. Raises as run()."""
        self._check_that_it_goes_on()
        return self._again(self._checkpoints.begin, self.job, ranges)

    def run_part(self, number: int, tell: Callable[[Progress], object] = lambda _progress: None) -> None:
        """Move the records of one part, from its checkpoint on; nothing where it is finished. Raises as run().

        Two that work on the same part do each other no harm: it is only work done twice.
        """
        self._check_that_it_goes_on()
        for part in self._again(self._checkpoints.get, self.job):
            if part.part == number and not part.finished:
                self._work_through(part, tell, keep=True)

    def sweep(self, within: SubjectRange, tell: Callable[[Progress], object] = lambda _progress: None) -> int:
        """Move what is left in a range, without checkpoints; how many records there were to move. Raises as run().

        The job is settled when a sweep over everything, in one range or in several, after all parts, finds none.
        """
        self._check_that_it_goes_on()
        before = self.progress.moved + self.progress.changed
        self.progress.refused.clear()
        self.progress.unsealed = 0
        self._work_through(Checkpoint(0, within), tell, keep=False)
        return self.progress.moved + self.progress.changed - before

    def end(self) -> None:
        """Forget the checkpoints, after the last sweep. Raises as run()."""
        self._again(self._checkpoints.forget, self.job)

    def rehearse(self, records: int = REHEARSED) -> Progress:
        """Seal a few records anew and store none of them; what would have become of them. Raises as run()."""
        self._check_that_it_goes_on()
        with self._workers() as workers:
            batch = self._again(lambda: self._table.scan(limit=records, not_under=self.target))
            self.progress.rehearsed = len(self._move_all(workers.map, batch))
        if self._failure is not None:
            raise self._failure
        return self.progress

    @contextmanager
    def _workers(self) -> Iterator["_Workers"]:
        """None of the threads is left behind, however often Ctrl-C comes: they use the caller's keys and database."""
        sealing = ThreadPoolExecutor(self._threads, thread_name_prefix="sealpass-sealing")
        storing = ThreadPoolExecutor(1, thread_name_prefix="sealpass-storing")
        interruption: BaseException | None = None
        try:
            storing.submit(int)  # starts the thread now: one that an interruption hits while it starts is never joined
            yield _Workers(map if self._threads == 1 else sealing.map, storing)
        except BaseException:
            self._stop.set()
            raise
        finally:
            while True:
                # Another thread joins them, to which no interruption comes. Once one has come out of Thread.join(),
                # Python before 3.13 takes the thread for ended.
                try:
                    ended = threading.Event()
                    threading.Thread(target=_shut_down, args=(ended, sealing, storing), daemon=True).start()
                    ended.wait()
                    break
                except BaseException as error:  # noqa: BLE001 - raised below, when the threads have ended
                    self._stop.set()
                    interruption = error
            if interruption is not None:
                raise interruption

    def _work_through(self, part: Checkpoint, tell: Callable[[Progress], object], *, keep: bool) -> None:
        """Go over one part of the table; ``keep`` checkpoints.

        While a batch is stored, the next one is read and sealed: the database works beside the device. SQLite works in
        this process, where two threads would only fight over the interpreter's lock: of it only the commit, which
        waits for the disk, goes on beside the sealing.
        """
        scanned = part.after
        done = _Done(part, time.monotonic() if keep else float("inf"))
        with self._workers() as workers:
            stored: Future[None] | None = None
            while batch := self._scan(part.within, scanned):
                scanned = batch[-1].key
                replacements = self._move_all(workers.map, batch)
                if stored is not None:
                    stored.result()
                    tell(self.progress)
                if self._failure is not None:
                    self._replace(replacements)
                    if keep:
                        self._save(done.at)  # of the batches before: of this one, some are not moved
                    raise self._failure
                committing = threading.Event()
                stored = workers.storing.submit(self._store, done, batch, replacements, committing)
                if self._shares_the_lock:
                    committing.wait()
                if self._ring.current_sealer.key_id != self.target:
                    raise ConfigError(
                        "the alias of the current key names another key since the job began",
                        hint="run it again, and it goes on to the new key",
                    )
            if stored is not None:
                stored.result()
                tell(self.progress)
        if keep:
            self._save(replace(done.at, finished=True))

    def _store(
        self, done: "_Done", batch: list[StoredRecord], replacements: list[Replacement], committing: threading.Event
    ) -> None:
        """In the storing thread."""
        try:
            replaced = self._replace(replacements, committing.set)
        finally:
            committing.set()
        at = done.at
        done.at = replace(at, after=batch[-1].key, examined=at.examined + len(batch), replaced=at.replaced + replaced)
        if time.monotonic() - done.saved >= self._checkpoint_every:
            self._save(done.at)
            done.saved = time.monotonic()

    def _replace(self, replacements: list[Replacement], committing: Callable[[], object] = lambda: None) -> int:
        replaced = self._again(self._table.replace_many, replacements, committing)
        self.progress.moved += replaced
        self.progress.changed += len(replacements) - replaced
        return replaced

    def _scan(self, within: SubjectRange, after: RecordKey | None) -> list[StoredRecord]:
        return self._again(
            lambda: self._table.scan(after=after, limit=self._batch, within=within, not_under=self.target)
        )

    def _save(self, checkpoint: Checkpoint) -> None:
        self._again(self._checkpoints.save, self.job, checkpoint)

    def _move_all(self, map_: "_Map", batch: list[StoredRecord]) -> list[Replacement]:
        """What to store; counts the others. After a failure it is what was finished before it."""
        sealed = [stored for stored in batch if stored.record.startswith(PREFIX)]
        self.progress.unsealed += len(batch) - len(sealed)
        replacements = []
        for stored, moved in zip(sealed, map_(self._move, sealed), strict=True):
            if isinstance(moved, Replacement):
                replacements.append(moved)
            elif moved is not None:
                key_id = stored.record.removeprefix(f"{PREFIX}v=1$k=").partition("$")[0]
                self.progress.refused[Refused(key_id, stored.key.slot, moved.problem)] += 1
        return replacements

    def _move(self, stored: StoredRecord) -> Moved:
        """Seal one record anew; None after a failure of this or another one, which is kept."""
        if self._failure is not None or self._stop.is_set():
            return None
        key, record = stored
        if self._pace is not None:
            self._pace.wait()
        try:
            return Replacement(key, record, self._again(self._passwords.rotate, record, key.subject, key.slot))
        except RecordRefused as refused:
            return refused
        except OperatorError as error:
            self._failure = error
            return None

    def _again(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What ``work`` answers, asked again after a pause where it says that this may help."""
        for seconds in self._back_off:
            try:
                return work(*arguments, **named)
            except BackendUnavailable as error:
                if not error.retryable or self._stop.is_set():
                    raise
            self._pause(seconds)
        return work(*arguments, **named)


def _shut_down(ended: threading.Event, *executors: Executor) -> None:
    for executor in executors:
        executor.shutdown()
    ended.set()


class _Map(Protocol):
    """In this thread, or in several."""

    def __call__(self, work: Callable[[StoredRecord], Moved], records: list[StoredRecord], /) -> Iterable[Moved]: ...


class _Workers(NamedTuple):
    """Who seals, and who stores."""

    map: _Map
    storing: Executor


@dataclass(slots=True)
class _Done:
    """What was stored, of one part. Only the storing thread changes it."""

    at: Checkpoint
    saved: float
    """When the last checkpoint was, by time.monotonic(); infinite for never one."""
