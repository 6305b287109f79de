# SPDX-License-Identifier: Apache-2.0
"""Several ``sealpass.run/1`` documents as one: histograms are added exactly, counts are summed.

The rule of throughput: right answers by the time in which at least one of the runs was measuring (the length of the
union of their windows). Of runs that were started together that is the sum of their rates; of runs one after another
it is what one of them did on average, and no sum. Latencies of the merged runs come from the added histogram, which
keeps three digits; the greatest one is kept as it was. Which documents come first makes no difference.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sealpass import __version__
from sealpass.bench import distribution
from sealpass.bench.load.document import SCHEMA, per_second
from sealpass.core.errors import ConfigError

Json = dict[str, Any]
_PARTS_OF_SETTINGS = ("operations", "threads", "sessions", "processes", "payload_bytes")
_GRAVEST_FIRST = ("throttled", "busy-host", "drifting", "unknown", "steady")
_STATUS_GRAVEST_FIRST = ("interrupted", "incomplete", "complete")


def merge(documents: Sequence[Json]) -> Json:
    """One document; raises ConfigError for what cannot be merged. The given ones are not changed."""
    if len(documents) < 2:  # noqa: PLR2004 - that is what merging means
        raise ConfigError("there are at least two results to merge")
    for document in documents:
        if document.get("schema") != SCHEMA:
            raise ConfigError(f"only results of the schema {SCHEMA} can be merged")
    sources = _sorted(source for document in documents for source in _sources(document))
    devices = _Devices()
    groups: dict[str, list[Json]] = {}
    for document in documents:
        for one in document["measurements"]:
            groups.setdefault(_identity(one, document["devices"]), []).append(devices.renumbered(one, document))
    numbers = devices.in_order()
    measurements = [_merged(group) for _, group in sorted(groups.items())]
    for one in measurements:
        one["device"] = numbers[one["device"]]
        one["sealing_device"] = None if one["sealing_device"] is None else numbers[one["sealing_device"]]
    began = min(_time(source["started"]) for source in sources)
    ended = max(_time(source["started"]) + timedelta(seconds=source["duration_s"]) for source in sources)
    seeds = {source["seed"] for source in sources}
    statuses = {source["status"] for source in sources}
    return {
        "schema": SCHEMA,
        "tool": {"name": "sealpass", "version": __version__},
        "started": min(source["started"] for source in sources),
        "duration_s": round((ended - began).total_seconds(), 3),
        "seed": seeds.pop() if len(seeds) == 1 else None,
        "status": next(status for status in _STATUS_GRAVEST_FIRST if status in statuses),
        "settings": _settings([document["settings"] for document in documents]),
        "host": sources[0]["host"],
        "devices": devices.entries(),
        "measurements": measurements,
        "scaling": [],
        "objectives": [],
        "merged_from": sources,
    }


def _sorted(values: Any) -> list[Json]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _sources(document: Json) -> list[Json]:
    """The runs behind a document, merged or not."""
    if document["merged_from"] is not None:
        return list(document["merged_from"])
    return [{name: document[name] for name in ("tool", "started", "duration_s", "seed", "status", "host")}]


def _key_of(device: Mapping[str, Any]) -> str:
    """What makes two entries one device: the key and how it is used; machines may reach it by different URIs."""
    uri = device["uri"] if device["key_id"] is None else None
    return json.dumps([device["kind"], device["key_id"], device["mode"], uri])


def _identity(one: Json, devices: Sequence[Json]) -> str:
    """Measurements that agree in this are parts of one."""
    sealing = one["sealing_device"]
    rate = {name: one["load"].get(name) for name in ("kind", "rate_per_s", "schedule")}
    return json.dumps(
        [
            one["id"],
            one["axes"],
            one["algorithms"],
            rate,
            _key_of(devices[one["device"]]),
            None if sealing is None else _key_of(devices[sealing]),
        ],
        sort_keys=True,
    )


class _Devices:
    """The devices of all documents, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._entries: dict[str, list[Json]] = {}

    def renumbered(self, one: Json, document: Json) -> Json:
        """A copy of a measurement with our numbers of its devices."""
        return {**one, **{name: self._number(one[name], document) for name in ("device", "sealing_device")}}

    def _number(self, index: int | None, document: Json) -> int | None:
        if index is None:
            return None
        entry = document["devices"][index]
        key = _key_of(entry)
        self._entries.setdefault(key, []).append(entry)
        return self._numbers.setdefault(key, len(self._numbers))

    def in_order(self) -> dict[int, int]:
        """From the order in which devices were met to the one in which they stand in the document."""
        return {self._numbers[key]: place for place, key in enumerate(sorted(self._numbers))}

    def entries(self) -> list[Json]:
        """The entries; of those of one device the first in the order of their text."""
        return [_sorted(self._entries[key])[0] for key in sorted(self._numbers)]


def _settings(all_settings: Sequence[Json]) -> Json:
    """What all agree on; lists of values together, and null for what differs."""
    merged: Json = {}
    for name in sorted({name for settings in all_settings for name in settings}):
        values = [settings.get(name) for settings in all_settings]
        if name in _PARTS_OF_SETTINGS:
            lists = [value for value in values if value is not None]
            merged[name] = sorted({item for value in lists for item in value}) or None
        else:
            merged[name] = values[0] if all(value == values[0] for value in values) else None
    return merged


def _merged(group: Sequence[Json]) -> Json:
    """Parts of one measurement as one."""
    measured = [one for one in group if one["status"] == "measured"]
    if len(group) == 1:
        return dict(group[0])
    reasons = sorted({reason for one in group if one["reason"] is not None for reason in one["reason"].split("; ")})
    if not measured:
        return {**group[0], "reason": "; ".join(reasons) or None, "workers": []}
    if len(measured) == 1:
        return {**measured[0], "reason": "; ".join(reasons) or None}
    parts = _sorted(part for one in measured for part in _parts(one))
    if any(part == after for part, after in pairwise(parts)):
        raise ConfigError("one run is there twice", hint="give each result once")
    elapsed, verified = covered(parts), sum(one["verified"] for one in measured)
    errors: Counter[str] = Counter()
    for one in measured:
        errors.update(one["errors"])
    return {
        **{name: measured[0][name] for name in ("id", "operation", "device", "sealing_device", "algorithms", "axes")},
        "repeat": measured[0]["repeat"],
        "load": _load([one["load"] for one in measured]),
        "status": "measured",
        "reason": "; ".join(reasons) or None,
        "warm_up": _warm_up([one["warm_up"] for one in measured]),
        "began": min(part["began"] for part in parts),
        "elapsed_ns": elapsed,
        "operations": sum(one["operations"] for one in measured),
        "verified": verified,
        "throughput_per_s": per_second(verified, elapsed),
        "errors": dict(sorted(errors.items())),
        **{name: merge_timings([one[name] for one in measured]) for name in ("service", "response", "start_delay")},
        "series": None,
        "stability": _stability([one["stability"] for one in measured]),
        "machine": None,
        "workers": [],
        "parts": parts,
        "raw_ns": None,
    }


def _parts(one: Json) -> list[Json]:
    if one["parts"] is not None:
        return list(one["parts"])
    return [{name: one[name] for name in ("began", "elapsed_ns", "operations", "verified", "throughput_per_s")}]


def covered(parts: Sequence[Json]) -> int:
    """Nanoseconds in which at least one part was measured; their clocks are those of their machines."""
    origin = datetime(1970, 1, 1, tzinfo=UTC)
    windows = sorted(
        ((_time(part["began"]) - origin) // timedelta(microseconds=1) * 1000, part["elapsed_ns"]) for part in parts
    )
    total, reached = 0, windows[0][0]
    for begin, elapsed in windows:
        end = begin + elapsed
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _load(loads: Sequence[Json]) -> Json:
    if loads[0]["kind"] == "closed":
        return loads[0]
    return {**loads[0], **{name: sum(load[name] for load in loads) for name in ("intended", "started", "unstarted")}}


def _warm_up(found: Sequence[Json | None]) -> Json | None:
    known = [one for one in found if one is not None]
    if not known:
        return None
    steady = {one["steady"] for one in known}
    reasons = sorted({reason for one in known if one["reason"] is not None for reason in one["reason"].split("; ")})
    return {
        "seconds": max(one["seconds"] for one in known),
        "steady": False if False in steady else None if None in steady else True,
        "reason": "; ".join(reasons) or None,
    }


def _stability(found: Sequence[Json]) -> Json:
    statuses = {one["status"] for one in found}
    return {
        "status": next(status for status in _GRAVEST_FIRST if status in statuses),
        "reasons": sorted({reason for one in found for reason in one["reasons"]}),
    }


def merge_timings(timings: Sequence[Json | None]) -> Json | None:
    """The histograms added, and the percentiles of the sum; None where none was measured."""
    known = [one for one in timings if one is not None]
    if not known:
        return None
    total = distribution.add_histograms([one["histogram"] for one in known])
    greatest = max(one["latency"]["max_ns"] for one in known)
    return {"latency": distribution.summary_of_histogram(total, greatest), "histogram": total}
