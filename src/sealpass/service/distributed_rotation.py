# SPDX-License-Identifier: Apache-2.0
"""A rotation on the workers of a Dask cluster (docs/distributed.md).

Only workers need the keys and the database. A part of the table is a task: a worker that is lost leaves a checkpoint,
and another one goes on from there. What this side gets to know are numbers.
"""

import math
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

from sealpass.backends.registry import uri_without_secrets
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.dask_connection import Cluster, Future
from sealpass.service import rotation_tasks
from sealpass.service.database import database_url
from sealpass.service.rotation import DEFAULT_BATCH, MOST_SWEEPS, Progress
from sealpass.service.rotation_tasks import Done, RotationJob

PARTS_A_WORKER = 16
"""So that all come to the end at about the same time, however fast each is."""
_TELL_SECONDS = 0.5
_OPEN_SECONDS = 60.0
"""For a worker to open its keys and its database, or to try a hundred records."""
_ALONE_SECONDS = 60.0
"""Without any worker; one that is restarted is back by then."""


def _nothing(_: Progress) -> None:
    pass


class DistributedRotation:
    """As Rotation, by the workers of ``cluster``; make one for each run.

    ``database`` is ``env:NAME`` or ``file:PATH``, read by each worker, or a URL without a password. ``current`` and
    ``previous`` are URIs that name the same keys on all workers. ``rate`` is for all workers together, ``threads`` for
    each task; a worker process gets one task at a time. Asks every worker to open keys and database at once. Raises
    operator errors, which say which worker they come from.
    """

    def __init__(
        self,
        cluster: Cluster,
        database: str,
        current: str,
        previous: Sequence[str] = (),
        *,
        batch: int = DEFAULT_BATCH,
        threads: int = 1,
        rate: float | None = None,
    ) -> None:
        if not database.startswith(("env:", "file:")) and database_url(database).password is not None:
            raise ConfigError(
                "a URL with a password would go through the Dask scheduler",
                hint="name the URL by env:NAME or file:PATH, which each worker reads for itself, or use a passfile",
            )
        for uri in (current, *previous):
            uri_without_secrets(uri)  # before it is sent
        self._cluster = cluster
        self._rate = rate
        self._job = RotationJob(f"sealpass-{uuid.uuid4().hex}", database, current, tuple(previous), batch, threads)
        self._told: dict[str, tuple[int, int]] = {}
        self._since = time.monotonic()
        """When there was a worker for the last time."""
        self.progress = Progress()
        """``moved`` and ``changed`` of a worker that was lost are what it had told until then."""
        try:
            self.target = self._inspect()
        except BaseException:
            self.close()
            raise

    def _inspect(self) -> str:
        found = self._cluster.on_each(rotation_tasks.inspect, self._job, seconds=_OPEN_SECONDS)
        targets = {each.target for each in found.values()}
        if len(targets) != 1:
            raise ConfigError(
                "the current key is not the same one on all workers: " + ", ".join(sorted(targets)),
                hint="the same URI must name the same key on all workers",
            )
        if any(each.is_sqlite for each in found.values()) and len({urlsplit(each).hostname for each in found}) > 1:
            raise ConfigError(
                "the workers are on several machines, and an SQLite database is on one",
                hint="run workers on that machine only; several machines share a PostgreSQL",
            )
        return targets.pop()

    def count(self) -> int:
        """How many records are under other keys. Reads the whole table."""
        counted: int = self._one(rotation_tasks.count)
        return counted

    def rehearse(self) -> Progress:
        """Each worker seals a few records anew and stores none of them: so each has tried its keys and rights."""
        workers = len(self._cluster.workers())
        rate = self._rate / workers if self._rate and workers else self._rate
        found = self._cluster.on_each(rotation_tasks.rehearse, self._job, self.target, rate, seconds=_OPEN_SECONDS)
        self.progress.rehearsed = sum(each.rehearsed for each in found.values())
        self.progress.refused = max((each.refused for each in found.values()), key=Counter.total, default=Counter())
        return self.progress

    def run(self, tell: Callable[[Progress], object] = _nothing) -> Progress:
        """Move all that can be moved, as Rotation.run(); ``tell`` is called now and then, in this thread.

        An exception of ``tell``, or Ctrl-C, ends the tasks at their next batches. The checkpoints stay.
        """
        self._cluster.listen(self._job.run, self._hear)
        begun = self._one(rotation_tasks.begin, PARTS_A_WORKER * max(1, len(self._cluster.workers())))
        self._work_off(rotation_tasks.run_part, begun.unfinished, tell)
        for _ in range(MOST_SWEEPS):
            sweeps = self._work_off(rotation_tasks.sweep_part, range(begun.parts), tell)
            self.progress.refused = sum((each.progress.refused for each in sweeps), Counter())
            self.progress.unsealed = sum(each.progress.unsealed for each in sweeps)
            if sum(each.left for each in sweeps) == 0:
                self.progress.settled = True
                break
        self._one(rotation_tasks.end)
        return self.progress

    def close(self) -> None:
        """Have the workers close keys and database, each when its task has ended."""
        with suppress(BackendUnavailable):  # without a scheduler workers end
            self._cluster.have_all(rotation_tasks.leave, self._job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cancel(self, futures: Iterable[Future]) -> None:
        """The tasks end at their next batches."""
        with suppress(BackendUnavailable):  # without a scheduler they end as well
            self._cluster.cancel(futures)

    def _hear(self, message: dict[str, Any]) -> None:
        """In another thread. What an attempt answers in the end may overtake it, and is the most."""
        attempt = message["attempt"]
        told = (message["moved"], message["changed"])
        self._told[attempt] = max(told, self._told.get(attempt, told))

    def _workers(self) -> int:
        """How many there are now; raises BackendUnavailable where there was none for long."""
        workers = len(self._cluster.workers())
        now = time.monotonic()
        if workers:
            self._since = now
        elif now - self._since > _ALONE_SECONDS:
            raise BackendUnavailable("no worker of the Dask cluster is left", retryable=True, hint="see their logs")
        return workers

    def _share(self, slots: int, taken: Iterable[float]) -> float:
        """The rate of one more task; 0 where the others still have all of it."""
        if self._rate is None:
            return math.inf
        fair = self._rate / slots
        free = self._rate - sum(taken)
        return min(fair, free) if free >= fair / 2 else 0.0

    def _one(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What one task answers, whichever worker has it."""
        future = self._cluster.submit(function, self._job, self.target, *arguments)
        try:
            while not self._cluster.wait([future], _TELL_SECONDS):
                self._workers()
            return self._cluster.result(future)
        except BaseException:
            self._cancel([future])
            raise

    def _work_off(
        self, function: Callable[..., Done], parts: Sequence[int], tell: Callable[[Progress], object]
    ) -> list[Done]:
        """Have that done for each part; one task for each worker at a time."""
        waiting = deque(parts)
        running: dict[Future, float] = {}
        """And the rate that each may take."""
        answers: list[Done] = []
        try:
            while waiting or running:
                slots = self._workers()
                while waiting and len(running) < slots and (share := self._share(slots, running.values())):
                    rate = None if math.isinf(share) else share
                    running[self._cluster.submit(function, self._job, self.target, waiting.popleft(), rate)] = share
                for future in self._cluster.wait(running, _TELL_SECONDS):
                    del running[future]
                    done: Done = self._cluster.result(future)
                    answers.append(done)
                    self._told[done.attempt] = (done.progress.moved, done.progress.changed)
                told = list(self._told.values())
                self.progress.moved = sum(moved for moved, _ in told)
                self.progress.changed = sum(changed for _, changed in told)
                tell(self.progress)
        except BaseException:
            self._cancel(running)
            raise
        return answers
