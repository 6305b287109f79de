# SPDX-License-Identifier: Apache-2.0
"""How much of the machine others had while it was measured, and whether it was held back. Linux; None elsewhere."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSY_SHARE = 0.05
"""Of all cores: more than this for other processes, and the figures are theirs as well."""
STEAL_SHARE = 0.02
SLOW_SHARE = 0.9
"""A core at less than this part of its greatest frequency, while it is at work, is held back."""
_IDLE, _IOWAIT, _STEAL, _FIELDS = 3, 4, 7, 8
"""Columns of the first line of /proc/stat (proc_stat(5)); what follows them, guests, is counted in user already."""
_UTIME, _STIME, _CHILDREN_UTIME, _CHILDREN_STIME = 11, 12, 13, 14
"""Columns of /proc/PID/stat after the name of the program (proc_pid_stat(5))."""

Read = Callable[[str], str | None]
"""The text of a file of the system, or None where it cannot be read."""


def read_text(path: str) -> str | None:
    """The text of a small file, or None."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the system's counters say at one instant."""

    all: int
    """Clock ticks of all cores, idle ones included."""
    idle: int
    steal: int
    own: int
    """Clock ticks of our processes."""
    throttled: int | None
    """Periods in which our control group was held back."""


def take(pids: Iterable[int], read: Read = read_text) -> Reading | None:
    """Read the counters; ``pids`` are our processes, this one included. None where the system has none."""
    stat = read("/proc/stat")
    if stat is None or not stat.startswith("cpu "):
        return None
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:]]
    if len(ticks) < _FIELDS:
        return None
    own = sum(_ticks_of(read(f"/proc/{pid}/stat")) for pid in pids)
    return Reading(sum(ticks[:_FIELDS]), ticks[_IDLE] + ticks[_IOWAIT], ticks[_STEAL], own, _throttled(read))


def _ticks_of(stat: str | None) -> int:
    if stat is None:
        return 0
    fields = stat.rpartition(")")[2].split()
    return sum(int(fields[column]) for column in (_UTIME, _STIME, _CHILDREN_UTIME, _CHILDREN_STIME))


def _throttled(read: Read) -> int | None:
    """``nr_throttled`` of our control group (version 2), or of the one that a container sees as its root."""
    group = (read("/proc/self/cgroup") or "").strip().partition("::")[2]
    for directory in (group.rstrip("/"), ""):
        text = read(f"/sys/fs/cgroup{directory}/cpu.stat")
        for line in (text or "").splitlines():
            name, _, value = line.partition(" ")
            if name == "nr_throttled":
                return int(value)
    return None


def _megahertz(read: Read, cores: Sequence[int], name: str) -> list[float]:
    values = [read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/{name}") for core in cores]
    return [int(value) / 1000 for value in values if value is not None and value.strip().isdigit()]


def between(
    before: Reading | None, after: Reading | None, *, read: Read = read_text, cores: Sequence[int] | None = None
) -> dict[str, Any]:
    """What happened between two readings, as the ``machine`` of a measurement."""
    if cores is None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()
    now, most = _megahertz(read, cores, "scaling_cur_freq"), _megahertz(read, cores, "cpuinfo_max_freq")
    found: dict[str, Any] = {
        "others_cpu_share": None,
        "own_cpu_share": None,
        "steal_share": None,
        "throttled_periods": None,
        "slowest_core_mhz": min(now, default=None),
        "fastest_core_mhz": max(most, default=None),
    }
    if before is None or after is None or after.all <= before.all:
        return found
    whole, own, steal = after.all - before.all, after.own - before.own, after.steal - before.steal
    busy = whole - (after.idle - before.idle) - steal
    found["own_cpu_share"] = _share(own, whole)
    found["others_cpu_share"] = _share(busy - own, whole)
    found["steal_share"] = _share(steal, whole)
    if before.throttled is not None and after.throttled is not None:
        found["throttled_periods"] = max(0, after.throttled - before.throttled)
    return found


def _share(part: int, whole: int) -> float:
    return round(min(1.0, max(0.0, part / whole)), 4)


def complaints(machine: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Why the machine was held back, and why it was not ours alone; each empty where there is nothing to say."""
    held: list[str] = []
    busy: list[str] = []
    if machine["throttled_periods"]:
        held.append(f"the control group was held back in {machine['throttled_periods']} scheduling periods")
    slow, fast = machine["slowest_core_mhz"], machine["fastest_core_mhz"]
    if (
        slow is not None
        and fast is not None
        and slow < SLOW_SHARE * fast
        and (machine["own_cpu_share"] or 0) > BUSY_SHARE
    ):
        held.append(f"a core ran at {slow:.0f} of {fast:.0f} MHz at the end")
    others, steal = machine["others_cpu_share"], machine["steal_share"]
    if others is not None and others > BUSY_SHARE:
        busy.append(f"other processes used {100 * others:.0f} % of all cores")
    if steal is not None and steal > STEAL_SHARE:
        busy.append(f"the hypervisor gave {100 * steal:.0f} % of all cores to other guests")
    return held, busy
