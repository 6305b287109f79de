# SPDX-License-Identifier: Apache-2.0
"""The text exposition format of Prometheus, for node_exporter's textfile collector or a push gateway.

https://prometheus.io/docs/instrumenting/exposition_formats/: base units, so seconds and shares; a family's samples
stand together below its HELP and TYPE lines. Every metric is a gauge: each run replaces the one before.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sealpass.bench.export import GATE, Document
from sealpass.bench.gate.document import WARNING

_NANOSECONDS = 1_000_000_000
_VERDICTS = ("pass", "fail", "inconclusive")
_QUANTILES = {"0.5": "p50_ns", "0.9": "p90_ns", "0.99": "p99_ns", "1": "max_ns"}

_HELP = {
    "sealpass_gate_verdict": "1 for the verdict of the gate, 0 for the others.",
    "sealpass_gate_warnings": "Checks that passed with a reservation: not compared, another module or key, or faster.",
    "sealpass_gate_slowdown": (
        "Now against before, below 0 is faster. median and mean: relative, 0.05 is 5 % slower;"
        " tail: a difference of shares, 0.02 is two more slow operations in a hundred."
    ),
    "sealpass_gate_slowdown_visible": "The smallest slowdown that would have been caught in 95 of 100 such runs.",
    "sealpass_gate_slowdown_floor": "A slowdown up to here never fails; in the unit of sealpass_gate_slowdown.",
    "sealpass_gate_ratio": "Median time of the device to that of its reference.",
    "sealpass_gate_mean_ratio": "Mean time of the device, few very long operations clipped, to its reference's median.",
    "sealpass_gate_slow_share": "Share of operations that took much longer than the median.",
    "sealpass_gate_errors": "Operations that failed or answered wrong.",
    "sealpass_gate_processes": "Fresh processes that were measured and count.",
    "sealpass_gate_objective_latency_seconds": "Measured 99th percentile at the rate of the target.",
    "sealpass_gate_objective_throughput": "Measured operations a second of the target.",
    "sealpass_gate_started_timestamp_seconds": "When the gate began, in seconds since 1970.",
    "sealpass_gate_duration_seconds": "How long the gate took.",
    "sealpass_run_throughput": "Verified operations a second, by wall clock.",
    "sealpass_run_errors": "Operations that failed, by class.",
    "sealpass_run_service_seconds": "Time from the start of a call to its end.",
    "sealpass_run_response_seconds": "Time from the intended start of a call to its end.",
    "sealpass_run_started_timestamp_seconds": "When the run began, in seconds since 1970.",
    "sealpass_run_duration_seconds": "How long the run took.",
}

_Sample = tuple[str, Mapping[str, str], float]

_STATISTICS = {
    "median": "sealpass_gate_ratio",
    "tail": "sealpass_gate_slow_share",
    "mean": "sealpass_gate_mean_ratio",
}
"""By the id of a comparison."""


def render(document: Document) -> str:
    """The exposition."""
    samples = list(_gate(document) if document["schema"] == GATE else _run(document))
    lines = []
    for family, text in _HELP.items():
        own = [sample for sample in samples if sample[0] == family]
        if own:
            lines += [f"# HELP {family} {text}", f"# TYPE {family} gauge"]
            lines += [f"{family}{_labels(labels)} {value!r}" for _, labels, value in own]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _gate(document: Document) -> Iterator[_Sample]:
    now = document["sides"][-1]
    key = {"kind": document["kind"], "key": (now["device"] or {}).get("uri", now["label"])}
    for verdict in _VERDICTS:
        labels = key | {"verdict": verdict}
        yield "sealpass_gate_verdict", labels, float(document["verdict"]["verdict"] == verdict)
    warned = sum(stage["outcome"] == WARNING for stage in document["stages"])
    yield "sealpass_gate_warnings", key, float(warned)
    for one in document["comparisons"]:
        labels = key | {"statistic": one["id"]}
        for bound in ("value", "low", "high"):
            if one["difference"][bound] is not None:
                yield "sealpass_gate_slowdown", labels | {"bound": bound}, one["difference"][bound]
        if one["visible"] is not None:
            yield "sealpass_gate_slowdown_visible", labels, one["visible"]
        yield "sealpass_gate_slowdown_floor", labels, one["floor"]
        name = _STATISTICS[one["id"]]
        for side, which in zip(document["sides"], ("before", "after"), strict=False):
            if one[which]["value"] is not None:
                yield name, key | {"side": side["name"]}, one[which]["value"]
    for side in document["sides"]:
        labels = key | {"side": side["name"]}
        yield "sealpass_gate_errors", labels, float(sum(sum(each["errors"].values()) for each in side["processes"]))
        yield "sealpass_gate_processes", labels, float(len(side["processes"]) - side["set_aside"])
    for one in document["objectives"]:
        if one["measured"] is None:
            continue
        labels = key | {"objective": one["id"], "outcome": one["outcome"]}
        if one["unit"] == "ns":
            yield "sealpass_gate_objective_latency_seconds", labels, one["measured"] / _NANOSECONDS
        else:
            yield "sealpass_gate_objective_throughput", labels, float(one["measured"])
    yield from _when("sealpass_gate", key, document)


def _run(document: Document) -> Iterator[_Sample]:
    for one in document["measurements"]:
        if one["status"] != "measured":
            continue
        device = document["devices"][one["device"]]["uri"]
        labels = {"measurement": one["id"], "operation": one["operation"], "key": device}
        yield "sealpass_run_throughput", labels, float(one["throughput_per_s"])
        for code, count in sorted(one["errors"].items()):
            yield "sealpass_run_errors", labels | {"code": code}, float(count)
        for kind in ("service", "response"):
            for quantile, name in _QUANTILES.items():
                time = None if one[kind] is None else one[kind]["latency"][name]
                if time is not None:
                    yield f"sealpass_run_{kind}_seconds", labels | {"quantile": quantile}, time / _NANOSECONDS
    yield from _when("sealpass_run", {}, document)


def _when(prefix: str, labels: Mapping[str, str], document: Mapping[str, Any]) -> Iterator[_Sample]:
    started = datetime.fromisoformat(document["started"])
    yield f"{prefix}_started_timestamp_seconds", labels, started.timestamp()
    yield f"{prefix}_duration_seconds", labels, float(document["duration_s"])
