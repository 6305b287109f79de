# SPDX-License-Identifier: Apache-2.0
"""Absolute objectives: is the key fast enough for the targets, whatever it was before? Measured by the load engine.

An absolute limit knows nothing of the host. So it is given slack, and where it is missed on a machine that others keep
busy, or that did not come to a steady state, nothing was shown.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sealpass.bench.gate.decision import Outcome, overall
from sealpass.bench.gate.document import NOT_DONE, OBJECTIVES, Stage
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.load.operations import Name
from sealpass.bench.load.run import run
from sealpass.bench.load.scenario import Settings
from sealpass.core.uri import KeyUri

_LEAST_SAMPLES = 200
"""Fewer leave not two above the 99th percentile."""
_TROUBLED = ("busy-host", "throttled")
_MILLISECOND = 1_000_000
Run = Callable[[Settings], dict[str, Any]]


def measure(uri: str, targets: Targets, device: Mapping[str, Any], *, measured_by: Run = run) -> list[dict[str, Any]]:
    """Measure what the targets ask of this key; raises ConfigError where they have nothing for its backend."""
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
        found: Mapping[str, Any] = measured_by(settings)["measurements"][0]
        return found

    found = [latency(target, targets.slack, measurement(target.logins_per_s))]
    if target.minimum_per_s is not None:
        found.append(reserve(target, target.minimum_per_s, targets.slack, measurement(None)))
    return found


def latency(target: Target, slack: float, measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Whether 99 of 100 tokens are opened in time at the rate, those that had to wait for their start included."""
    wanted = target.p99_ms * _MILLISECOND
    limit = wanted * slack
    timing = measurement["response"]
    value = None if timing is None else timing["latency"]["p99_ns"]
    unstarted = (measurement["load"] or {}).get("unstarted") or 0
    late = f"; {unstarted} were due and never started" if unstarted else ""
    outcome, reason = _judged(measurement, missed=bool(late) or (value is not None and value > limit))
    if outcome is not Outcome.FAIL and (value is None or measurement["verified"] < _LEAST_SAMPLES):
        outcome = Outcome.INCONCLUSIVE
        reason = f"{measurement['verified']} operations are too few for a 99th percentile; raise seconds"
    elif outcome is Outcome.FAIL and reason is None:
        shown = "not known" if value is None else f"{value / _MILLISECOND:.1f} ms"
        reason = f"p99 at {target.logins_per_s:g}/s is {shown}, more than {limit / _MILLISECOND:g} ms{late}"
    return _objective(
        target, "p99", f"p99 at {target.logins_per_s:g} logins/s", "ns", (wanted, limit), value, outcome, reason
    )


def reserve(target: Target, wanted: float, slack: float, measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the key does as many as it has to with all threads busy."""
    limit = wanted / slack
    value = measurement["throughput_per_s"]
    outcome, reason = _judged(measurement, missed=value is None or value < limit)
    if outcome is Outcome.FAIL and reason is None:
        reason = f"{value or 0:.0f}/s with {target.threads} threads are fewer than {limit:.0f}/s"
    return _objective(
        target, "minimum", f"at least, with {target.threads} threads", "per-second", (wanted, limit), value, outcome,
        reason,
    )  # fmt: skip


def _judged(measurement: Mapping[str, Any], *, missed: bool) -> tuple[Outcome, str | None]:
    """What a measurement shows before its own limit is put into words."""
    if measurement["status"] != "measured":
        return Outcome.INCONCLUSIVE, f"not measured: {measurement['reason']}"
    if measurement["errors"]:
        shown = ", ".join(f"{count} x {code}" for code, count in measurement["errors"].items())
        return Outcome.FAIL, f"operations failed under load: {shown}"
    if missed and measurement["stability"]["status"] in _TROUBLED:
        return Outcome.INCONCLUSIVE, f"missed on a troubled host: {'; '.join(measurement['stability']['reasons'])}"
    return (Outcome.FAIL if missed else Outcome.PASS), None


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
