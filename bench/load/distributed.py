# SPDX-License-Identifier: Apache-2.0
"""One load from the workers of a Dask cluster, begun at one instant, and merged to one result.

The client leads: for each measurement it has all workers open the keys and warm up, agrees with them on an instant of
its own clock a moment ahead, and collects what they measured. How far a worker's clock is off is asked beforehand: a
question that left at t0 and whose answer came at t1 tells it to (t1 - t0) / 2, as in NTP (RFC 5905, section 8), and
the quickest of several counts. Workers open the keys by themselves, with their own PINs; only URIs go through the
scheduler.

What a worker told before it was lost is kept, as is what the others measure; the result says who is missing.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sealpass.bench.load import distributed_tasks as tasks
from sealpass.bench.load.distributed_tasks import Began, Job, Measured
from sealpass.bench.load.document import not_measured
from sealpass.bench.load.interrupts import outlast
from sealpass.bench.load.merge import merge
from sealpass.bench.load.operations import Source, opened
from sealpass.bench.load.run import INTERRUPTED, Progress, Step
from sealpass.bench.load.scenario import Settings
from sealpass.core.errors import ConfigError, Error
from sealpass.core.uri import KeyUri
from sealpass.dask_connection import Cluster, Future, WorkerFailed

_QUESTIONS = 8
_LEAD_SECONDS = 0.5
"""Between the agreement and the start: longer than a message through the scheduler takes."""
_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 60.0
"""For a window to end, beyond its length."""
_LOST = "its worker was lost"


class Clock(NamedTuple):
    """How far ahead a worker's clock is, and how well that is known."""

    offset_ns: int
    error_ns: int


@dataclass(slots=True)
class _Worker:
    """One of them, and what it told."""

    number: int
    address: str
    clock: Clock
    began: Began
    measurements: list[dict[str, Any]]
    lost: str | None = None
    host: dict[str, Any] | None = None


def run_distributed(
    cluster: Cluster, settings: Settings, progress: Progress = lambda _step: None, *, source: Source = opened
) -> dict[str, Any]:
    """Measure everything that was asked for on all workers at once; answers the merged document.

    A rate is that of all of them together. Raises operator errors where a worker cannot open a key, or the scheduler is
    lost; an interrupt ends the run, and what was measured until then is answered.
    """
    return _Distributed(cluster, settings, progress, source).run()


class _Distributed:
    def __init__(self, cluster: Cluster, settings: Settings, progress: Progress, source: Source) -> None:
        self._cluster = cluster
        self._progress = progress
        self._addresses = cluster.workers()
        if not self._addresses:
            raise ConfigError("the Dask cluster has no workers", hint="docs/distributed.md starts some")
        for uri in settings.keys:
            KeyUri.parse(uri)  # refuses a URI that holds a secret, before it is sent
        rate = settings.rate_per_s
        own = replace(settings, rate_per_s=None if rate is None else rate / len(self._addresses))
        self._job = Job(uuid.uuid4().hex, own, source)
        self._workers: list[_Worker] = []
        self._spreads: list[int] = []
        self._refused: str | None = None
        """That a login was refused, on whichever worker."""

    def run(self) -> dict[str, Any]:
        """Begin, measure after measurement, and merge."""
        started, clock = datetime.now(UTC), time.monotonic()
        try:
            self._begin()
            was_interrupted = self._measure()
        except BaseException:
            self._leave()
            raise
        try:
            self._leave()
        except KeyboardInterrupt:
            was_interrupted = True

        def write() -> dict[str, Any]:
            return self._merged([self._document(worker, started, clock, was_interrupted) for worker in self._workers])

        written, came = outlast(write, is_second=was_interrupted)
        return written | {"status": "interrupted"} if came else written

    def _measure(self) -> bool:
        """Measurement after measurement; answers whether it was interrupted."""
        try:
            for number, name in enumerate(self._workers[0].began.ids):
                self._one(number, name)
            for number, host in self._all(tasks.host_after, seconds=_GRACE_SECONDS).items():
                self._workers[number].host = host
        except KeyboardInterrupt:
            return True
        return False

    def _leave(self) -> None:
        with contextlib.suppress(Error):
            self._cluster.have_all(tasks.leave, self._job.run)

    def _begin(self) -> None:
        count = len(self._addresses)
        for number, address in enumerate(self._addresses):
            self._progress(Step("opening", f"worker {number}", number, count))
            asked = self._cluster.submit(tasks.begin, self._job, worker=address)
            began = self._collect({number: asked}, _GRACE_SECONDS).get(number)
            if not isinstance(began, Began):
                raise ConfigError(f"worker {number} was lost at the begin", hint="its log says why")
            self._workers.append(_Worker(number, address, self._clock_of(address), began, []))
        if len({worker.began.ids for worker in self._workers}) > 1:
            raise ConfigError("the workers see other keys, or use them otherwise: they would not measure the same")

    def _clock_of(self, address: str) -> Clock:
        answers: list[Clock] = []
        for _ in range(_QUESTIONS):
            before = time.time_ns()
            future = self._cluster.submit(tasks.now_ns, worker=address)
            until = time.monotonic() + _GRACE_SECONDS
            while not future.done() and time.monotonic() < until:
                time.sleep(0.0002)  # Cluster.wait() looks seldom
            after = time.time_ns()
            if not future.done():
                raise ConfigError("a worker does not answer", hint="its log says why")
            there = self._cluster.result(future)
            answers.append(Clock(there - (before + after) // 2, (after - before) // 2))
        return min(answers, key=lambda clock: clock.error_ns)

    def _one(self, number: int, name: str) -> None:
        total = len(self._workers[0].began.ids)
        seconds = self._job.settings.seconds
        self._progress(Step("preparing", name, number, total))
        self._prepare(number)
        self._progress(Step("warming up", name, number, total))
        self._all(tasks.warm_up, seconds=self._job.settings.warm_up_max_s + _GRACE_SECONDS)
        self._progress(Step("measuring", name, number, total))
        begin = time.time_ns() + int(_LEAD_SECONDS * 1e9)
        answers = self._all(
            tasks.measure,
            seconds=seconds + _LEAD_SECONDS + _GRACE_SECONDS,
            last=lambda worker: begin + worker.clock.offset_ns,
        )
        starts = []
        for worker in self._workers:
            told = answers.get(worker.number)
            if isinstance(told, Measured):
                worker.measurements.append(_on_our_clock(told.measurement, worker.clock))
                if told.began_ns is not None:
                    starts.append(told.began_ns - worker.clock.offset_ns)
            else:
                worker.measurements.append(_without(worker.began.heads[number], worker.lost or _LOST))
        if starts:
            self._spreads.append(max(starts) - min(starts))

    def _prepare(self, number: int) -> None:
        """One worker first: a PIN that is wrong by now costs one try, and not one of each worker."""
        left = [worker for worker in self._workers if worker.lost is None]
        for some in (left[:1], left[1:]):
            answers = self._all(tasks.prepare, number, self._refused, seconds=_GRACE_SECONDS, of=some)
            self._refused = next(filter(None, answers.values()), self._refused)

    def _all(
        self,
        function: Callable[..., Any],
        *arguments: object,
        seconds: float,
        last: Callable[[_Worker], object] | None = None,
        of: Sequence[_Worker] | None = None,
    ) -> dict[int, Any]:
        """Have all workers that are left, or those of ``of``, do it at once; their answers, by number."""
        futures: dict[int, Future] = {}
        for worker in self._workers if of is None else of:
            if worker.lost is None:
                more = () if last is None else (last(worker),)
                futures[worker.number] = self._cluster.submit(
                    function, self._job.run, *arguments, *more, worker=worker.address
                )
        return self._collect(futures, seconds)

    def _collect(self, futures: Mapping[int, Future], seconds: float) -> dict[int, Any]:
        """The answers; a worker that goes away meanwhile, fails or takes too long is lost."""
        answers: dict[int, Any] = {}
        waiting = dict(futures)
        until = time.monotonic() + seconds
        try:
            while waiting:
                self._cluster.wait(list(waiting.values()), _LOOK_SECONDS)
                for number in [number for number, future in waiting.items() if future.done()]:
                    future = waiting.pop(number)
                    try:
                        answers[number] = self._cluster.result(future)
                    except WorkerFailed:
                        self._lose(number, "failed; its log, or ours, says how")
                here = set(self._cluster.workers())
                for number in list(waiting):
                    if self._addresses[number] not in here:
                        self._lose(number, "was lost")
                    elif time.monotonic() > until:
                        self._lose(number, f"did not answer in {seconds:.0f} s")
                    else:
                        continue
                    self._cluster.cancel([waiting.pop(number)])
        except KeyboardInterrupt:
            self._cluster.cancel(list(waiting.values()))
            raise
        return answers

    def _lose(self, number: int, how: str) -> None:
        for worker in self._workers:
            if worker.number == number:
                worker.lost = f"worker {number} {how}"

    def _document(
        self,
        worker: _Worker,
        started: datetime,
        clock: float,
        was_interrupted: bool,  # noqa: FBT001 - passed on
    ) -> dict[str, Any]:
        reason = INTERRUPTED if worker.lost is None else worker.lost
        missing = worker.began.heads[len(worker.measurements) :]
        measurements = worker.measurements + [_without(head, reason) for head in missing]
        whole = all(one["status"] == "measured" and one["reason"] is None for one in measurements)
        return worker.began.document | {
            "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "duration_s": round(time.monotonic() - clock, 3),
            "status": "interrupted" if was_interrupted else "complete" if whole else "incomplete",
            "host": worker.host or worker.began.document["host"],
            "measurements": measurements,
        }

    def _merged(self, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
        document = merge(documents) if len(documents) > 1 else dict(documents[0])
        document["distributed"] = {
            "workers": [
                {
                    "worker": worker.number,
                    "status": "measured" if worker.lost is None else "lost",
                    "reason": worker.lost,
                    "clock_offset_ns": worker.clock.offset_ns,
                    "clock_error_ns": worker.clock.error_ns,
                    "host": worker.host or worker.began.document["host"],
                    "throughput_per_s": [one["throughput_per_s"] for one in worker.measurements],
                }
                for worker in self._workers
            ],
            # Between the first start and the last, on our clock; the clocks add their errors.
            "start_spread_ns": max(self._spreads, default=None),
            "start_error_ns": max((worker.clock.error_ns for worker in self._workers), default=0),
        }
        return document


def _on_our_clock(measurement: dict[str, Any], clock: Clock) -> dict[str, Any]:
    if measurement["began"] is None:
        return measurement
    began = datetime.fromisoformat(measurement["began"]) - timedelta(microseconds=clock.offset_ns // 1000)
    return {**measurement, "began": began.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def _without(head: Mapping[str, Any], reason: str) -> dict[str, Any]:
    return {**head, **not_measured(reason)}
