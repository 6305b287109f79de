# SPDX-License-Identifier: Apache-2.0
"""Absolute objectives: is the key fast enough for the targets, whatever it was before? Measured by the load engine.

An absolute limit knows nothing of the host. So it is given slack, and where it is missed on a machine that others keep
busy, or that is itself held back (its control group, its frequency), nothing was shown. A device that gets slower by
itself, or that finds no steady state, has no such excuse: logins will meet it as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sealpass.bench.gate.decision import Outcome, overall
from sealpass.bench.gate.document import NOT_DONE, OBJECTIVES, Stage, are_too_many, failures
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.load import host_watch
from sealpass.bench.load.operations import Name
from sealpass.bench.load.run import run
from sealpass.bench.load.scenario import Settings
from sealpass.bench.report.measured import is_carried
from sealpass.core.uri import KeyUri

_LEAST_SAMPLES = 200
"""Fewer leave not two above the 99th percentile."""
_MILLISECOND = 1_000_000
Run = Callable[[Settings], dict[str, Any]]


def measure(
    uri: str, targets: Targets, device: Mapping[str, Any], max_error_rate: float = 0.0, *, measured_by: Run = run
) -> list[dict[str, Any]]:
    """Measure what the targets ask of this key; raises ConfigError where they have nothing for its backend.

    An interrupt is raised, whatever was measured by then.
    Up to ``max_error_rate`` of the operations may fail; a wrong plaintext never may.
    """
    target = targets.of(KeyUri.parse(uri).scheme)

    def measurement(rate: float | None) -> Mapping[str, Any]:
        settings = Settings(
            keys=(uri,),
            operations=(Name.UNWRAP,),
            threads=(target.threads,),
            seconds=target.seconds,
            rate_per_s=rate,
            warm_up_max_s=2.0,
            allow_sha1=device["alg"] == "RSA-OAEP",
        )
        document = measured_by(settings)
        if document["status"] == "interrupted":
            raise KeyboardInterrupt  # the load engine keeps what it has; half a measurement is no verdict
        found: Mapping[str, Any] = document["measurements"][0]
        return found

    found = [latency(target, targets.slack, measurement(target.logins_per_s), max_error_rate)]
    if target.minimum_per_s is not None:
        found.append(reserve(target, target.minimum_per_s, targets.slack, measurement(None), max_error_rate))
    return found


def latency(
    target: Target, slack: float, measurement: Mapping[str, Any], max_error_rate: float = 0.0
) -> dict[str, Any]:
    """Whether 99 of 100 tokens that were started are opened in time at the rate, their waiting included.

    Those that were never started before the end are in no percentile: from one in 100 on, the rate was not carried.
    """
    wanted = target.p99_ms * _MILLISECOND
    limit = wanted * slack
    timing, load = measurement["response"], measurement["load"]
    value = None if timing is None else timing["latency"]["p99_ns"]
    misses = []
    if value is not None and value > limit:
        shown = f"{value / _MILLISECOND:.1f} ms, more than {limit / _MILLISECOND:g} ms"
        misses.append(f"p99 at {target.logins_per_s:g}/s is {shown}")
    if not is_carried(load):
        never = f"{load['unstarted']} of {load['intended']} operations were due and never started"
        misses.append(f"{target.logins_per_s:g}/s were not carried: {never}")
    outcome, reason = _judged(measurement, misses, max_error_rate)
    if outcome is Outcome.PASS and (value is None or measurement["verified"] < _LEAST_SAMPLES):
        outcome = Outcome.INCONCLUSIVE
        reason = f"{measurement['verified']} operations are too few for a 99th percentile; raise seconds"
    return _objective(
        target, "p99", f"p99 at {target.logins_per_s:g} logins/s", "ns", (wanted, limit), value, outcome, reason
    )


def reserve(
    target: Target, wanted: float, slack: float, measurement: Mapping[str, Any], max_error_rate: float = 0.0
) -> dict[str, Any]:
    """Whether the key does as many as it has to with all threads busy."""
    limit = wanted / slack
    value = measurement["throughput_per_s"]
    misses = []
    if value is None or value < limit:
        misses.append(f"{value or 0:.0f}/s with {target.threads} threads are fewer than {limit:.0f}/s")
    outcome, reason = _judged(measurement, misses, max_error_rate)
    return _objective(
        target, "minimum", f"at least, with {target.threads} threads", "per-second", (wanted, limit), value, outcome,
        reason,
    )  # fmt: skip


def _judged(measurement: Mapping[str, Any], misses: Sequence[str], max_error_rate: float) -> tuple[Outcome, str | None]:
    """What a measurement shows that missed its limits in these ways; and why, or what speaks against its pass."""
    if measurement["status"] != "measured":
        return Outcome.INCONCLUSIVE, f"not measured: {measurement['reason']}"
    errors, operations, machine = measurement["errors"], measurement["operations"], measurement["machine"]
    told = [f"under load, {failures(errors, operations)}"] if errors else []
    if are_too_many(errors, operations, max_error_rate):
        return Outcome.FAIL, "; ".join([*told, *misses])
    if not misses:
        return Outcome.PASS, "; ".join(told) or None
    excuses = [] if machine is None else [one for some in host_watch.complaints(machine) for one in some]
    if excuses:
        return Outcome.INCONCLUSIVE, f"missed on a troubled host: {'; '.join([*excuses, *misses, *told])}"
    # What the device did by itself (a lasting step, a drift) is no excuse, and the first thing that one asks.
    return Outcome.FAIL, "; ".join([*misses, *measurement["stability"]["reasons"], *told])


def _objective(
    target: Target,
    name: str,
    title: str,
    unit: str,
    limits: tuple[float, float],
    value: float | None,
    outcome: Outcome,
    reason: str | None,
) -> dict[str, Any]:
    wanted, limit = limits
    return {
        "id": name,
        "backend": target.backend,
        "operation": Name.UNWRAP.value,
        "title": title,
        "unit": unit,
        "wanted": wanted,
        "slack": round(max(limit / wanted, wanted / limit), 3),
        "limit": round(limit, 1),
        "rate_per_s": target.logins_per_s if unit == "ns" else None,
        "measured": value,
        "outcome": outcome.value,
        "reason": reason,
    }


def stage(objectives: Sequence[Mapping[str, Any]]) -> Stage:
    """All objectives as one stage of the gate."""
    if not objectives:
        return Stage(OBJECTIVES, NOT_DONE)
    reasons = [one["reason"] for one in objectives if one["reason"] is not None]
    return Stage(OBJECTIVES, overall([Outcome(one["outcome"]) for one in objectives]), tuple(reasons))
