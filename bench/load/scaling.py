# SPDX-License-Identifier: Apache-2.0
"""The ``scaling`` of a result document: throughput over one axis, the others being the same, and the law fitted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.usl import LEAST_POINTS, Fit, Point, advice, fit
from sealpass.core.errors import ConfigError

AXES = ("threads", "sessions", "processes")
_WITH_SESSIONS = "pkcs11:"


def check_axes(settings: Settings) -> None:
    """Whether one axis has as many numbers as the law needs, before any of them is measured; raises ConfigError."""
    has_sessions = any(uri.startswith(_WITH_SESSIONS) for uri in settings.keys)
    given = {axis: len(getattr(settings, axis)) for axis in AXES}
    counts = given if has_sessions else given | {"sessions": 0}
    if max(counts.values()) >= LEAST_POINTS:
        return
    shown = ", ".join(f"--{axis} {count}" for axis, count in given.items())
    hint = f"give --{max(counts, key=counts.__getitem__)} {LEAST_POINTS} numbers, for example 1,2,4,6,8,12"
    if given["sessions"] and not has_sessions:
        hint += "; only PKCS#11 keys have sessions"
    raise ConfigError(
        f"--usl needs {LEAST_POINTS} different numbers on one axis, because the law has three coefficients; "
        f"how many there are: {shown}",
        hint=hint,
    )


def scaling(measurements: Sequence[Mapping[str, Any]], *, seed: int = 1) -> list[dict[str, Any]]:
    """An entry for every axis with more than one number, of closed loops only: an open loop has the rate it was given.

    Raises MissingDependency where the extra ``stats`` is not installed.
    """
    return [_entry(axis, group, seed) for axis in AXES for group in _groups(measurements, axis)]


def add_scaling(document: dict[str, Any], *, seed: int) -> None:
    """Fit the law to a document's measurements; an interrupt leaves it out, and the document says that one came."""
    try:
        document["scaling"] = scaling(document["measurements"], seed=seed)
    except KeyboardInterrupt:
        document["status"] = "interrupted"


def _groups(measurements: Sequence[Mapping[str, Any]], axis: str) -> Iterator[list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in measurements:
        if one["status"] == "measured" and one["load"]["kind"] == "closed" and one["axes"][axis] is not None:
            same = [one["operation"], one["device"], one["sealing_device"], _others(one["axes"], axis)]
            groups.setdefault(json.dumps(same), []).append(one)
    return (group for group in groups.values() if len({one["axes"][axis] for one in group}) > 1)


def _others(axes: Mapping[str, Any], axis: str) -> dict[str, Any]:
    return {name: value for name, value in axes.items() if name != axis}


def _entry(axis: str, group: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    points = sorted(Point(one["axes"][axis], one["throughput_per_s"]) for one in group)
    found = fit(points, seed=seed)
    return {
        "operation": group[0]["operation"],
        "axis": axis,
        "device": group[0]["device"],
        "axes": _others(group[0]["axes"], axis),
        "points": [point._asdict() for point in points],
        "usl": found.to_dict() if isinstance(found, Fit) else None,
        "reason": found if isinstance(found, str) else _doubt(found),
        "advice": advice(found, points, axis),
    }


def _doubt(found: Fit) -> str | None:
    if found.is_poor:
        return (
            f"the law describes it badly: a point is {100 * found.farthest_point:.0f} % off the curve. "
            "So the advice is by what was measured, and not by the law"
        )
    if found.peak is None:
        return "the peak, if there is one, lies beyond twice the greatest number measured, and is not given"
    return None
