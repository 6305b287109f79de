# SPDX-License-Identifier: Apache-2.0
"""From what was taken to the ``sealpass.run/1`` document (bench/schemas/run-1.json). Nothing in it is secret."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sealpass import __version__
from sealpass.bench import distribution
from sealpass.bench.load import host_watch
from sealpass.bench.load.cells import Cell, Device, identity
from sealpass.bench.load.operations import Name
from sealpass.bench.load.processes import Lost
from sealpass.bench.load.recording import NANOSECONDS, Taken
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.stability import Findings, findings
from sealpass.bench.qualification.device import module_facts
from sealpass.bench.qualification.document import note_on_speed
from sealpass.core.protocols import Key, Unwrapper

SCHEMA = "sealpass.run/1"
_INTERVALS = 10
"""Of a time series, at least; an interval is a second at most."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How long it took until figures were taken."""

    seconds: float
    steady: bool | None
    """Whether a steady state was found; None: nobody looked."""
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the result document."""
        return {"seconds": round(self.seconds, 3), "steady": self.steady, "reason": self.reason}


@dataclass(slots=True)
class Evidence:
    """What is known of one measurement."""

    cell: Cell
    repeat: int = 1
    results: Sequence[Taken | Lost] = ()
    reason: str | None = None
    """Why there are no results, or what is missing of them."""
    warm_up: WarmUp | None = None
    began: datetime | None = None
    machine: dict[str, Any] | None = None
    settings: Settings | None = None
    """Its own, where they are not those of the run: of a rate that was searched for."""
    objective: dict[str, Any] | None = None
    """What the search for a rate found, as an entry of ``objectives``."""
    algorithms: dict[str, str] | None = None


def device_entry(key: Key) -> dict[str, Any]:
    """An open key as an entry of ``devices``."""
    facts = module_facts(key)
    unwraps = isinstance(key, Unwrapper)
    seal = next(iter(key.capabilities.seal), None)
    return {
        "uri": key.uri.shown(),
        "kind": "rsa" if unwraps else "symmetric",
        "key_id": key.key_id,
        "bits": key.public_jwk.bits if isinstance(key, Unwrapper) else None if seal is None else seal.key_bits,
        "mode": None if key.capabilities.mode is None else key.capabilities.mode.value,
        "module": facts.to_dict(),
        "note": note_on_speed(key, facts),
    }


def measurement(evidence: Evidence, settings: Settings, device: Device) -> dict[str, Any]:
    """One entry of ``measurements``."""
    settings = evidence.settings or settings
    cell, taken = evidence.cell, [one for one in evidence.results if isinstance(one, Taken)]
    lost = [one for one in evidence.results if isinstance(one, Lost)]
    load, axes = _load(settings, taken), cell.axes(device)
    head = {
        "id": identity(cell.operation, axes, load, evidence.repeat),
        "operation": cell.operation.value,
        "device": cell.device,
        "sealing_device": cell.sealing_device,
        "algorithms": evidence.algorithms,
        "axes": axes,
        "repeat": evidence.repeat,
        "load": load,
    }
    reasons = [evidence.reason] if evidence.reason else []
    reasons += [f"process {one.process} {one.status}: {one.reason}" for one in lost]
    if not taken:
        return head | not_measured("; ".join(reasons) or "nothing was measured", _workers(evidence.results))
    if any(one.is_cut for one in taken):
        reasons.append("it ended early: its answers are checked afterwards, and no more of them can be kept")
    figures = _figures(taken, lost)
    if not figures.verified and not figures.errors:
        reasons.append("nothing was answered in this time: measure for longer")
    is_open = load["kind"] == "open"
    return head | {
        "status": "measured",
        "reason": "; ".join(reasons) or None,
        "warm_up": None if evidence.warm_up is None else evidence.warm_up.to_dict(),
        "began": None if evidence.began is None else moment(evidence.began),
        "elapsed_ns": figures.elapsed,
        "operations": figures.verified + figures.errors.total(),
        "verified": figures.verified,
        "throughput_per_s": per_second(figures.verified, figures.elapsed),
        "errors": dict(sorted(figures.errors.items())),
        "service": timing(figures.service),
        "response": timing(map(sum, zip(figures.service, figures.delay, strict=True))) if is_open else None,
        "start_delay": timing(figures.delay) if is_open else None,
        "series": series(taken, settings.seconds),
        "stability": stability(evidence.warm_up, evidence.machine, findings(taken, is_closed=not is_open)),
        "machine": evidence.machine,
        "workers": _workers(evidence.results),
        "parts": None,
        "raw_ns": figures.service.tolist() if settings.raw else None,
    }


def not_measured(reason: str, workers: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The part of a measurement that holds figures, where there are none."""
    nothing = ("warm_up", "began", "elapsed_ns", "throughput_per_s", "service", "response", "start_delay", "series")
    return {
        "status": "not-measured",
        "reason": reason,
        **dict.fromkeys((*nothing, "machine", "parts", "raw_ns")),
        "operations": 0,
        "verified": 0,
        "errors": {},
        "stability": {"status": "unknown", "reasons": ["it was not measured"]},
        "workers": list(workers),
    }


@dataclass(slots=True)
class _Figures:
    """All processes together."""

    elapsed: int
    service: distribution.Samples = field(default_factory=distribution.samples)
    delay: distribution.Samples = field(default_factory=distribution.samples)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def verified(self) -> int:
        return len(self.service)


def _figures(taken: Sequence[Taken], lost: Sequence[Lost]) -> _Figures:
    # The clock is the machine's, and so is the same one in all processes.
    figures = _Figures(max(one.finished for one in taken) - min(one.began for one in taken))
    for one in taken:
        figures.service.extend(one.service)
        figures.delay.extend(one.delay)
        figures.errors += one.errors
    figures.errors.update(f"worker-{one.status}" for one in lost)
    return figures


def _load(settings: Settings, taken: Sequence[Taken]) -> dict[str, Any]:
    if settings.rate_per_s is None:
        return {"kind": "closed"}
    intended, started = sum(one.intended for one in taken), sum(one.started for one in taken)
    return {
        "kind": "open",
        "rate_per_s": settings.rate_per_s,
        "schedule": "shared" if settings.shared_schedule else "per-thread",
        "intended": intended,
        "started": started,
        "unstarted": intended - started,
    }


def _workers(results: Sequence[Taken | Lost]) -> list[dict[str, Any]]:
    if len(results) == 1 and isinstance(results[0], Taken):
        return []
    return [
        {"process": one.process, "status": one.status, "reason": one.reason, "verified": 0}
        if isinstance(one, Lost)
        else {"process": one.process, "status": "measured", "reason": None, "verified": len(one.service)}
        for one in results
    ]


def moment(instant: datetime) -> str:
    """An instant in UTC, to the microsecond."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def per_second(verified: int, elapsed_ns: int) -> float:
    """Right answers by wall clock."""
    return round(verified * NANOSECONDS / elapsed_ns, 3) if elapsed_ns else 0.0


def timing(values: "distribution.Samples | Any") -> dict[str, Any] | None:
    """Percentiles and histogram of nanoseconds, or None where there are none."""
    values = distribution.samples(values)
    if not values:
        return None
    return {"latency": distribution.summary(values), "histogram": distribution.histogram(values)}


def series(taken: Sequence[Taken], seconds: float) -> list[dict[str, Any]]:
    """Right answers, errors and percentiles of each interval, by when the operations ended."""
    begin = min(one.began for one in taken)
    elapsed = max(one.finished for one in taken) - begin
    width = max(1, int(min(1.0, seconds / _INTERVALS) * NANOSECONDS))
    count = max(1, -(-elapsed // width))
    services: list[list[int]] = [[] for _ in range(count)]
    errors = [0] * count
    for one in taken:
        for ended, service in zip(one.ended, one.service, strict=True):
            services[min(count - 1, (ended - begin) // width)].append(service)
        for failed in one.failed:
            errors[min(count - 1, (failed - begin) // width)] += 1
    return [
        {
            "at_s": round(min((index + 1) * width, elapsed) / NANOSECONDS, 3),
            "verified": len(values),
            "errors": errors[index],
            "p50_ns": None if (found := distribution.summary(values)) is None else found["p50_ns"],
            "p99_ns": None if found is None else found["p99_ns"],
        }
        for index, values in enumerate(services)
    ]


def stability(warm_up: WarmUp | None, machine: Mapping[str, Any] | None, changes: Findings) -> dict[str, Any]:
    """How far the figures are those of a device at its ease; the gravest finding names the status."""
    held, busy = ([], []) if machine is None else host_watch.complaints(machine)
    unsure: list[str] = []
    if warm_up is None or not warm_up.steady:
        reason = None if warm_up is None else warm_up.reason
        unsure.append(reason or "no steady state was found before it was measured")
    found = (
        ("throttled", [*held, *changes.throttled]),
        ("busy-host", busy),
        ("drifting", changes.drifting),
        ("unknown", unsure),
    )
    status = next((name for name, reasons in found if reasons), "steady")
    return {"status": status, "reasons": [reason for _, reasons in found for reason in reasons]}


def document(
    settings: Settings,
    operations: tuple[Name, ...],
    *,
    started: datetime,
    duration: float,
    status: str,
    host: dict[str, Any],
    devices: list[dict[str, Any]],
    measurements: list[dict[str, Any]],
) -> dict[str, Any]:
    """The result document as JSON values; views are made from it alone."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "sealpass", "version": __version__},
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(duration, 3),
        "seed": settings.seed,
        "status": status,
        "settings": settings.to_dict(operations),
        "host": host,
        "devices": devices,
        "measurements": measurements,
        "scaling": [],
        "objectives": [],
        "merged_from": None,
    }
