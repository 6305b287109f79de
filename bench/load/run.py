# SPDX-License-Identifier: Apache-2.0
"""One run: open the keys once to see what they are, measure every cell in its turn, write the document."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sealpass.backends.registry import open_key
from sealpass.bench import fingerprint
from sealpass.bench.load import document, host_watch
from sealpass.bench.load.cells import (
    Cell,
    Device,
    all_cells,
    identity,
    in_order,
    profile_of,
    settle_operations,
    task_of,
)
from sealpass.bench.load.document import Evidence
from sealpass.bench.load.operations import UNWRAPPING, Name, Source, opened
from sealpass.bench.load.processes import Crew, Rate, start
from sealpass.bench.load.recording import Taken
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.steady import warm_up
from sealpass.bench.load.worker import Tick
from sealpass.core.contract import announced_algorithms
from sealpass.core.errors import AuthenticationFailed, ConfigError, OperatorError, UnsupportedAlgorithm
from sealpass.core.protocols import Key, Unwrapper
from sealpass.core.uri import KeyUri

INTERRUPTED = "interrupted before its turn came"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run has come."""

    stage: str
    """``opening``, ``preparing``, ``warming up`` or ``measuring``."""
    id: str
    done: int
    total: int
    tick: Tick | None = None


Progress = Callable[[Step], None]


def _silent(_step: Step) -> None:
    pass


@dataclass(slots=True)
class _Keys:
    """What the keys of a run are, found before anything is measured."""

    devices: list[Device] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    algorithms: list[dict[str, str] | None] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    """Why a key that unwraps cannot do the profile."""

    def add(self, key: Key, settings: Settings) -> None:
        """Look at an open key."""
        unwraps, entry = isinstance(key, Unwrapper), document.device_entry(key)
        algorithms = refusal = None
        if isinstance(key, Unwrapper):
            try:
                alg, enc = announced_algorithms(profile_of(settings), key)
                algorithms = {"alg": alg, "enc": enc}
            except UnsupportedAlgorithm as error:
                refusal = str(error) if error.hint == UnsupportedAlgorithm.hint else f"{error}; {error.hint}"
        self.devices.append(Device(key.uri, unwraps, bool(key.capabilities.seal), entry["bits"], entry["mode"]))
        self.entries.append(entry)
        self.algorithms.append(algorithms)
        self.refusals.append(refusal)


def look_at_keys(settings: Settings, progress: Progress = _silent) -> _Keys:
    """Open each key once: what cannot be opened is said before anything is measured. Raises operator errors."""
    if not settings.keys:
        raise ConfigError("which keys?", hint="name at least one, or put keys = [...] into the scenario")
    uris = [*settings.keys, *([settings.seal_key] if settings.seal_key is not None else [])]
    parsed = list(dict.fromkeys(KeyUri.parse(uri) for uri in uris))
    keys = _Keys()
    for number, uri in enumerate(parsed):
        progress(Step("opening", uri.shown(), number, len(parsed)))
        with open_key(uri) as key:
            keys.add(key, settings)
    return keys


def run(settings: Settings, progress: Progress = _silent, *, source: Source = opened) -> dict[str, Any]:
    """Measure everything that was asked for; answers the document.

    An interrupt ends the measurement that is under way, and what was measured is answered, with the status
    ``interrupted``; a second one is raised. Raises operator errors where a key cannot be opened at all.
    """
    keys = look_at_keys(settings, progress)
    operations = settle_operations(settings, keys.devices)
    refused = [keys.refusals[index] for index, device in enumerate(keys.devices) if device.unwraps]
    if set(operations) <= UNWRAPPING and None not in refused:
        raise UnsupportedAlgorithm(refused[0] or "", hint="see what the keys can do with 'sealpass doctor URI'")
    return Run(settings, operations, keys, source, progress).measure()


class Run:
    """The measurements of one run, in their order."""

    def __init__(
        self, settings: Settings, operations: tuple[Name, ...], keys: _Keys, source: Source, progress: Progress
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._keys = keys
        self._source = source
        self._progress = progress
        self._cells = in_order(all_cells(settings, operations, keys.devices), settings.repeat, settings.seed)
        # All of them in processes of their own where some are: so they are alike.
        self._in_processes = settings.processes != (1,)
        self._refused: dict[int, str] = {}
        """Keys whose device refused the login: a second attempt could lock it."""

    def measure(self) -> dict[str, Any]:
        """Measure, and write the document."""
        settings, devices = self._settings, self._keys.devices
        began, clock, load_before = datetime.now(UTC), time.monotonic(), fingerprint.load_average()
        found: list[Evidence] = []
        was_interrupted = False
        for number, (cell, repeat) in enumerate(self._cells):
            if was_interrupted:
                found.append(Evidence(cell, repeat, reason=INTERRUPTED))
                continue
            evidence = Evidence(cell, repeat, algorithms=self._algorithms(cell))
            found.append(evidence)
            try:
                was_interrupted = self._one(evidence, number)
            except KeyboardInterrupt:
                was_interrupted = True
                if not evidence.results:
                    evidence.reason = "interrupted before it was measured"
        measurements = [document.measurement(one, settings, devices[one.cell.device]) for one in found]
        is_whole = all(one["status"] == "measured" and one["reason"] is None for one in measurements)
        return document.document(
            settings,
            self._operations,
            started=began,
            duration=time.monotonic() - clock,
            status="interrupted" if was_interrupted else "complete" if is_whole else "incomplete",
            host=_host(load_before, measurements),
            devices=self._keys.entries,
            measurements=measurements,
        )

    def _algorithms(self, cell: Cell) -> dict[str, str] | None:
        return self._keys.algorithms[cell.device] if cell.operation in UNWRAPPING else None

    def _one(self, evidence: Evidence, number: int) -> bool:
        """Measure one cell; answers whether it was interrupted. What cannot be measured says why."""
        cell, settings = evidence.cell, self._settings
        reason = self._refused.get(cell.device) or (
            self._keys.refusals[cell.device] if cell.operation in UNWRAPPING else None
        )
        if reason is not None:
            evidence.reason = reason
            return False
        name = identity(cell.operation, cell.axes(self._keys.devices[cell.device]), _load_of(settings), evidence.repeat)

        def tell(stage: str, tick: Tick | None = None) -> None:
            self._progress(Step(stage, name, number, len(self._cells), tick))

        tell("preparing")
        try:
            task = task_of(cell, settings, self._keys.devices)
            crew = start(task, self._source, cell.processes if self._in_processes else None)
        except OperatorError as error:
            evidence.reason = f"{error.code}: {error}"
            if isinstance(error, AuthenticationFailed):
                self._refused[cell.device] = evidence.reason
            return False
        with ExitStack() as stack:
            stack.callback(crew.close)
            try:
                return self._with_crew(crew, evidence, tell)
            except KeyboardInterrupt:  # the second one: a thread may be inside the device
                stack.pop_all()
                crew.abandon()
                raise

    def _with_crew(self, crew: Crew, evidence: Evidence, tell: Callable[..., None]) -> bool:
        settings = self._settings
        rate = None if settings.rate_per_s is None else Rate(settings.rate_per_s, settings.shared_schedule)
        tell("warming up")
        evidence.warm_up, was_interrupted = warm_up(crew, rate, settings.warm_up_min_s, settings.warm_up_max_s)
        if was_interrupted:
            evidence.reason = "interrupted in its warm-up"
            return True
        tell("measuring")
        before, wall, clock = host_watch.take(crew.pids), datetime.now(UTC), time.perf_counter_ns()
        evidence.results = crew.measure(settings.seconds, rate, lambda tick: tell("measuring", tick))
        evidence.machine = host_watch.between(before, host_watch.take(crew.pids))
        taken = [one for one in evidence.results if isinstance(one, Taken)]
        begin = min((one.began for one in taken), default=clock)
        evidence.began = wall + timedelta(microseconds=(begin - clock) // 1000)
        if any(one.is_interrupted for one in taken):
            evidence.reason = "interrupted: shorter than asked for"
            return True
        return False


def _load_of(settings: Settings) -> dict[str, Any]:
    if settings.rate_per_s is None:
        return {"kind": "closed"}
    schedule = "shared" if settings.shared_schedule else "per-thread"
    return {"kind": "open", "rate_per_s": settings.rate_per_s, "schedule": schedule}


def _host(load_before: list[float] | None, measurements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    shares = [one["machine"]["others_cpu_share"] for one in measurements if one["machine"] is not None]
    known = [share for share in shares if share is not None]
    return fingerprint.host() | {
        "load_before": load_before,
        "load_after": fingerprint.load_average(),
        "others_cpu_share": round(statistics.mean(known), 4) if known else None,
    }
