# SPDX-License-Identifier: Apache-2.0
"""What a Dask worker does of a load. Module-level functions, so that they are sent by their names.

Between the tasks of a run, keys stay open: those of the measurement that is prepared. A worker has one run at a time.
"""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sealpass.bench import fingerprint
from sealpass.bench.load.document import Evidence
from sealpass.bench.load.open import wait_until
from sealpass.bench.load.operations import Source
from sealpass.bench.load.processes import Crew
from sealpass.bench.load.run import Run, prepared
from sealpass.bench.load.scenario import Settings
from sealpass.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told. No secret: keys are named by URIs, and PINs are where these say, on the worker."""

    run: str
    settings: Settings
    source: Source


@dataclass(frozen=True, slots=True)
class Began:
    """What a worker sees before anything is measured."""

    ids: tuple[str, ...]
    """Of the measurements, in their order."""
    heads: tuple[dict[str, Any], ...]
    """The measurements as they are while nothing is known."""
    document: dict[str, Any]
    """Without measurements."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, and when it really began on this machine's wall clock."""

    measurement: dict[str, Any]
    began_ns: int | None


@dataclass(slots=True)
class _Running:
    """A run on this worker."""

    run: Run
    load_before: list[float] | None
    evidence: Evidence | None = None
    crew: Crew | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever uses the crew."""

    def close(self) -> None:
        with self.lock:
            crew, self.crew = self.crew, None
            if crew is not None:
                crew.close()


_RUNNING: dict[str, _Running] = {}


def now_ns() -> int:
    """This machine's wall clock."""
    return time.time_ns()


def begin(job: Job) -> Began:
    """Look at the keys. Ends what a client that was killed has left here."""
    for other in list(_RUNNING):
        _leave(other)
    run = prepared(job.settings, source=job.source)
    load = fingerprint.load_average()
    _RUNNING[job.run] = _Running(run, load)
    heads = [run.measurement(_nothing(run, number)) for number in range(len(run.cells))]
    empty = run.document([], datetime.now(UTC), 0.0, load, was_interrupted=False)
    return Began(tuple(head["id"] for head in heads), tuple(heads), empty)


def _nothing(run: Run, number: int) -> Evidence:
    evidence = run.evidence(number)
    evidence.reason = "not begun"
    return evidence


def prepare(run: str, number: int, refused: str | None) -> str | None:
    """Open the keys of a measurement and make its inputs, unless a login was refused on another worker.

    Answers that one was refused here, in words, or None.
    """
    running = _running(run)
    running.close()
    running.run.refused = running.run.refused or refused
    running.evidence = running.run.evidence(number)
    running.crew = running.run.start(running.evidence)
    return running.run.refused


def warm_up(run: str) -> None:
    """Until this worker has come to a steady state."""
    running = _running(run)
    with running.lock:
        if running.crew is not None and running.evidence is not None:
            running.run.warm_up(running.crew, running.evidence)


def measure(run: str, begin_ns: int) -> Measured:
    """Measure from an instant of this machine's wall clock on; then close the keys."""
    running = _running(run)
    evidence = running.evidence
    if evidence is None:
        raise ConfigError("this measurement was not prepared on this worker")
    began = None
    with running.lock:
        if running.crew is not None:
            begin = time.perf_counter_ns() + begin_ns - time.time_ns()
            wait_until(begin)
            running.run.take(running.crew, evidence)
            began = None if evidence.began is None else round(evidence.began.timestamp() * 1e6) * 1000
    running.close()
    return Measured(running.run.measurement(evidence), began)


def host_after(run: str) -> dict[str, Any]:
    """The host, when all is measured."""
    running = _running(run)
    return fingerprint.host() | {
        "load_before": running.load_before,
        "load_after": fingerprint.load_average(),
        "others_cpu_share": None,
    }


async def leave(run: str) -> None:
    """Close what is open for a run."""
    await asyncio.to_thread(_leave, run)


def _leave(run: str) -> None:
    running = _RUNNING.pop(run, None)
    if running is not None:
        with suppress(Exception):
            running.close()


def _running(run: str) -> _Running:
    try:
        return _RUNNING[run]
    except KeyError:
        raise ConfigError("this worker was started anew, or has another run by now") from None
