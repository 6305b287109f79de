# SPDX-License-Identifier: Apache-2.0
"""One run: open the keys once to see what they are, measure every cell in its turn, write the document."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sealpass.backends.registry import open_key
from sealpass.bench import fingerprint
from sealpass.bench.load import document, host_watch
from sealpass.bench.load.cells import (
    Device,
    all_cells,
    identity,
    in_order,
    profile_of,
    settle_operations,
    task_of,
)
from sealpass.bench.load.document import Evidence
from sealpass.bench.load.find_max import FindMax, Search
from sealpass.bench.load.interrupts import outlast
from sealpass.bench.load.operations import UNWRAPPING, Name, Source, check_payloads, opened
from sealpass.bench.load.processes import Crew, Rate, start
from sealpass.bench.load.recording import Taken
from sealpass.bench.load.scaling import add_scaling
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.steady import warm_up
from sealpass.bench.load.usl import require_scipy
from sealpass.bench.load.worker import Tick, Watch
from sealpass.core.contract import announced_algorithms
from sealpass.core.errors import AuthenticationFailed, ConfigError, OperatorError, UnsupportedAlgorithm
from sealpass.core.protocols import Key, Unwrapper
from sealpass.core.uri import KeyUri

INTERRUPTED = "interrupted before its turn came"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run has come."""

    stage: str
    """``opening``, ``preparing``, ``warming up``, ``measuring``, or of a search ``trying`` with a rate."""
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


def run(
    settings: Settings,
    progress: Progress = _silent,
    *,
    source: Source = opened,
    search: Search | None = None,
    fits_law: bool = False,
) -> dict[str, Any]:
    """Measure everything that was asked for; answers the document.

    With ``search``, what is measured is the highest rate that holds an objective. ``fits_law``: fit the Universal
    Scalability Law to what was measured, which needs the extra ``stats``.

    An interrupt ends the measurement that is under way, and what was measured is answered, with the status
    ``interrupted``; a second one is raised. Raises operator errors where a key cannot be opened at all.
    """
    if fits_law:
        require_scipy()
    document = prepared(settings, progress, source=source, search=search).measure()
    if fits_law:
        add_scaling(document, seed=settings.seed)
    return document


def prepared(
    settings: Settings, progress: Progress = _silent, *, source: Source = opened, search: Search | None = None
) -> "Run":
    """The run, after a look at its keys. Raises operator errors."""
    keys = look_at_keys(settings, progress)
    operations = settle_operations(settings, keys.devices)
    check_payloads(operations, profile_of(settings), settings.payload_bytes)
    refused = [keys.refusals[index] for index, device in enumerate(keys.devices) if device.unwraps]
    if set(operations) <= UNWRAPPING and None not in refused:
        raise UnsupportedAlgorithm(refused[0] or "", hint="see what the keys can do with 'sealpass doctor URI'")
    return Run(settings, operations, keys, source, progress, search)


class Run:
    """The measurements of one run, in their order."""

    def __init__(
        self,
        settings: Settings,
        operations: tuple[Name, ...],
        keys: _Keys,
        source: Source,
        progress: Progress,
        search: Search | None = None,
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._keys = keys
        self._source = source
        self._progress = progress
        self._search = search
        self.cells = in_order(all_cells(settings, operations, keys.devices), settings.repeat, settings.seed)
        # All of them in processes of their own where some are: so they are alike.
        self._in_processes = settings.processes != (1,)
        self.refused: str | None = None
        """That a login was refused. No key is opened after that: one more attempt could lock the token, and which keys
        share a token, or a secret, does not show in their URIs."""

    def measure(self) -> dict[str, Any]:
        """Measure, and write the document."""
        began, clock, load_before = datetime.now(UTC), time.monotonic(), fingerprint.load_average()
        found: list[Evidence] = []
        was_interrupted = False
        for number in range(len(self.cells)):
            evidence = self.evidence(number)
            found.append(evidence)
            if was_interrupted:
                evidence.reason = INTERRUPTED
                continue
            try:
                was_interrupted = self._one(evidence, number)
            except KeyboardInterrupt:
                was_interrupted = True
                if not evidence.results:
                    evidence.reason = evidence.reason or "interrupted before it was measured"
        duration = time.monotonic() - clock

        def write() -> dict[str, Any]:
            measurements = [self.measurement(one) for one in found]
            written = self.document(measurements, began, duration, load_before, was_interrupted=was_interrupted)
            return written | {"objectives": [one.objective for one in found if one.objective is not None]}

        written, came = outlast(write, is_second=was_interrupted)
        return written | {"status": "interrupted"} if came else written

    def evidence(self, number: int) -> Evidence:
        """Nothing yet, of the measurement with this number."""
        cell, repeat = self.cells[number]
        algorithms = self._keys.algorithms[cell.device] if cell.operation in UNWRAPPING else None
        return Evidence(cell, repeat, algorithms=algorithms)

    def measurement(self, evidence: Evidence) -> dict[str, Any]:
        """An entry of the document."""
        return document.measurement(evidence, self._settings, self._keys.devices[evidence.cell.device])

    def document(
        self,
        measurements: list[dict[str, Any]],
        began: datetime,
        duration: float,
        load_before: list[float] | None,
        *,
        was_interrupted: bool,
    ) -> dict[str, Any]:
        """The document of these measurements."""
        is_whole = all(one["status"] == "measured" and one["reason"] is None for one in measurements)
        return document.document(
            self._settings,
            self._operations,
            started=began,
            duration=duration,
            status="interrupted" if was_interrupted else "complete" if is_whole else "incomplete",
            host=_host(load_before, measurements),
            devices=self._keys.entries,
            measurements=measurements,
        )

    def _one(self, evidence: Evidence, number: int) -> bool:
        """Measure one cell; answers whether it was interrupted."""
        axes = evidence.cell.axes(self._keys.devices[evidence.cell.device])
        name = identity(evidence.cell.operation, axes, _load_of(self._settings), evidence.repeat)

        def tell(stage: str, tick: Tick | None = None) -> None:
            self._progress(Step(stage, name, number, len(self.cells), tick))

        tell("preparing")
        crew = self.start(evidence)
        if crew is None:
            return False
        with ExitStack() as stack:
            stack.callback(crew.close)
            try:
                tell("warming up")
                if self.warm_up(crew, evidence):
                    return True
                if self._search is not None:
                    return self._find_max(crew, evidence, self._search, tell)
                tell("measuring")
                return self.take(crew, evidence, lambda tick: tell("measuring", tick))
            except KeyboardInterrupt:  # the second one: a thread may be inside the device
                stack.pop_all()
                crew.abandon()
                raise

    def start(self, evidence: Evidence) -> Crew | None:
        """Who measures one cell; what cannot be measured gets its reason, and nobody."""
        cell, settings = evidence.cell, self._settings
        reason = self.refused or (self._keys.refusals[cell.device] if cell.operation in UNWRAPPING else None)
        if reason is not None:
            evidence.reason = reason
            return None
        try:
            task = task_of(cell, settings, self._keys.devices)
            return start(task, self._source, cell.processes if self._in_processes else None)
        except OperatorError as error:
            evidence.reason = f"{error.code}: {error}"
            if isinstance(error, AuthenticationFailed):
                self.refused = f"not tried, because a login was refused before ({evidence.reason})"
            return None

    def _rate(self) -> Rate | None:
        settings = self._settings
        return None if settings.rate_per_s is None else Rate(settings.rate_per_s, settings.shared_schedule)

    def warm_up(self, crew: Crew, evidence: Evidence) -> bool:
        """Until a steady state; answers whether it was interrupted."""
        settings = self._settings
        evidence.warm_up, was_interrupted = warm_up(crew, self._rate(), settings.warm_up_min_s, settings.warm_up_max_s)
        if was_interrupted:
            evidence.reason = "interrupted in its warm-up"
        return was_interrupted

    def take(self, crew: Crew, evidence: Evidence, watch: Watch | None = None) -> bool:
        """Measure for as long as was asked for; answers whether it was interrupted."""
        before, wall, clock = host_watch.take(crew.pids), datetime.now(UTC), time.perf_counter_ns()
        results = crew.measure(self._settings.seconds, self._rate(), watch)
        taken = [one for one in results if isinstance(one, Taken)]
        begin = min((one.began for one in taken), default=clock)
        evidence.began = wall + timedelta(microseconds=(begin - clock) // 1000)
        if any(one.is_shortened for one in taken):
            evidence.reason = "interrupted: shorter than asked for"
        evidence.results = results
        evidence.machine = host_watch.between(before, host_watch.take(crew.pids))
        return any(one.is_interrupted for one in taken)

    def _find_max(self, crew: Crew, evidence: Evidence, search: Search, tell: Callable[..., None]) -> bool:
        """Search for a rate; what was measured at it is the measurement. Answers whether it was interrupted."""

        def watch_of(rate: float) -> Watch:
            tell(f"trying {rate:.4g}/s")
            return lambda tick: tell(f"trying {rate:.4g}/s", tick)

        before, wall, clock = host_watch.take(crew.pids), datetime.now(UTC), time.perf_counter_ns()
        found = FindMax(crew, search, shared=self._settings.shared_schedule, watch_of=watch_of).run()
        begin = min((one.began for one in found.best), default=clock)
        evidence.began = wall + timedelta(microseconds=(begin - clock) // 1000)
        evidence.results, evidence.reason = found.best, found.reason
        evidence.settings = replace(self._settings, rate_per_s=found.max_rate_per_s, seconds=search.hold_s)
        cell = evidence.cell
        axes = cell.axes(self._keys.devices[cell.device])
        evidence.objective = found.to_dict(cell.operation.value, cell.device, axes, search)
        if found.is_inside:
            raise KeyboardInterrupt
        evidence.machine = host_watch.between(before, host_watch.take(crew.pids))
        return found.is_interrupted


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
