# SPDX-License-Identifier: Apache-2.0
"""Measurements of one or several runs, in one order, named by what tells them apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealpass.bench.report.outline import printable
from sealpass.bench.report.page import Labelled

_UNITS = {"payload": "B", "RSA": "bits"}
_OVERLOADED = 0.01
"""Of the operations that were intended. Those missing are the slowest: from here on the 99th percentile is theirs."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one run."""

    labelled: Labelled
    entry: Mapping[str, Any]

    @property
    def device(self) -> Mapping[str, Any]:
        """The key that it was measured with."""
        device: Mapping[str, Any] = self.labelled.document["devices"][self.entry["device"]]
        return device

    @property
    def claim(self) -> str | None:
        """Why its figures are no claim about a device."""
        note = self.device["note"]
        return None if note is None else printable(note)

    @property
    def is_measured(self) -> bool:
        """Whether there are figures."""
        return self.entry["status"] == "measured" and self.entry["throughput_per_s"] is not None

    @property
    def unstarted(self) -> int:
        """Operations of an open loop that found no thread; they are in no percentile."""
        count: int = self.entry["load"].get("unstarted", 0)
        return count

    @property
    def is_overloaded(self) -> bool:
        """Whether the rate of an open loop was not carried."""
        return not is_carried(self.entry["load"])

    @property
    def attributes(self) -> dict[str, str]:
        """Everything that may tell it from others, in words."""
        axes, load = self.entry["axes"], self.entry["load"]
        return {
            "run": self.labelled.label,
            "key": f"#{self.entry['device'] + 1}",
            "operation": printable(self.entry["operation"]),
            "load": "closed" if load["kind"] == "closed" else f"open {load['rate_per_s']:g}/s",
            "threads": printable(axes["threads"]),
            "sessions": printable(axes["sessions"]),
            "processes": printable(axes["processes"]),
            "RSA": printable(axes["rsa_bits"]),
            "payload": printable(axes["payload_bytes"]),
            "mode": printable(axes["mode"]),
            "repeat": printable(self.entry["repeat"]),
        }

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands: the document has measurements in the order of chance in which they were made."""
        axes, load = self.entry["axes"], self.entry["load"]
        numbers = (axes[name] or 0 for name in ("processes", "sessions", "threads", "rsa_bits", "payload_bytes"))
        rate = load.get("rate_per_s", 0)
        return (
            self.labelled.label,
            self.entry["device"],
            self.entry["operation"],
            rate,
            *numbers,
            self.entry["repeat"],
        )


def is_carried(load: Mapping[str, Any]) -> bool:
    """Whether a load is a closed one, or started all its operations but for so few that the percentiles hold."""
    unstarted: int = load.get("unstarted", 0)
    return unstarted == 0 or unstarted < _OVERLOADED * load["intended"]


def of(documents: Iterable[Labelled]) -> list[Measured]:
    """All measurements of runs, in order."""
    return sorted(
        (Measured(labelled, entry) for labelled in documents for entry in labelled.document["measurements"]),
        key=lambda measured: measured.place,
    )


def overload(group: Sequence[Measured]) -> list[str]:
    """That rates were not carried, one sentence for each such measurement."""
    names = varying(group)
    shown = [each for each in group if each.is_measured and each.is_overloaded]
    return [
        f"{_asked(each, names)}: {each.unstarted:,} of {each.entry['load']['intended']:,} operations never started."
        " The rate was not carried: percentiles are better than the truth."
        for each in shown
    ]


def _asked(each: Measured, names: Sequence[str]) -> str:
    others = [attribute for attribute in names if attribute != "load"]
    which = f" ({name(each, others)})" if others else ""
    return f"Overload at {each.entry['load']['rate_per_s']:,g} a second{which}"


def varying(group: Sequence[Measured]) -> list[str]:
    """The attributes in which the measurements differ."""
    if not group:
        return []
    attributes = [measured.attributes for measured in group]
    return [name for name in attributes[0] if len({each[name] for each in attributes}) > 1]


def constant(group: Sequence[Measured], without: Iterable[str] = ("run", "key", "repeat")) -> str:
    """What is the same for all of them, as a sentence; empty where nothing is."""
    differ = {*varying(group), *without}
    shown = [
        _named(name, value)
        for name, value in (group[0].attributes if group else {}).items()
        if name not in differ and value not in {"", "-"}
    ]
    return f"All of them: {', '.join(shown)}." if shown else ""


def name(measured: Measured, names: Sequence[str]) -> str:
    """A short name out of these attributes, for a legend."""
    attributes = measured.attributes
    shown = [_named(each, attributes[each]) for each in names]
    return ", ".join(shown) or attributes["operation"]


def _named(name: str, value: str) -> str:
    if name in {"operation", "mode"}:
        return value
    if name == "load":
        return f"{value} load"
    unit = _UNITS.get(name)
    return f"{name} {value} {unit}" if unit else f"{name} {value}"
