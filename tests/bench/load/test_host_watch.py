# SPDX-License-Identifier: Apache-2.0
"""The machine around a measurement, from recorded counters."""

import os
from typing import Any

import pytest

from sealpass.bench.load import host_watch
from sealpass.bench.load.host_watch import Read, between, complaints, take

STAT = "cpu  {user} 0 100 {idle} 50 0 0 {steal} 0 0\ncpu0 1 2 3\n"
OWN = "{pid} (a (b) c) S 1 1 1 0 -1 4194304 1 1 1 1 {utime} 20 3 4 20 0 1 0 1 1 1"
FREQUENCY = "/sys/devices/system/cpu/cpu0/cpufreq/"


def machine(**counters: Any) -> Read:
    """The files of a machine at one moment."""
    values = {"user": 1000, "idle": 5000, "steal": 0, "utime": 100, "throttled": 4, "now": 3_000_000} | counters
    files = {
        "/proc/stat": STAT.format(**values),
        "/proc/7/stat": OWN.format(pid=7, **values),
        "/proc/8/stat": OWN.format(pid=8, **values),
        "/proc/self/cgroup": "0::/work.slice/run\n",
        "/sys/fs/cgroup/work.slice/run/cpu.stat": f"usage_usec 1\nnr_periods 9\nnr_throttled {values['throttled']}\n",
        FREQUENCY + "scaling_cur_freq": f"{values['now']}\n",
        FREQUENCY + "cpuinfo_max_freq": "3000000\n",
    }
    return files.get


def passed(pids: tuple[int, ...] = (7,), **later: Any) -> dict[str, Any]:
    """What happened until the counters had these values."""
    read = machine(**later)
    return between(take(pids, machine()), take(pids, read), read=read, cores=[0])


def test_what_others_used_is_what_was_used_and_not_ours() -> None:
    """Of 1000 ticks 600 were used, 200 of them by us and 100 by the hypervisor's other guests."""
    found = passed(user=1600, idle=5300, steal=100, utime=300)
    assert found["own_cpu_share"] == 0.2
    assert found["others_cpu_share"] == 0.4
    assert found["steal_share"] == 0.1
    assert found["throttled_periods"] == 0
    assert complaints(found) == (
        [],
        ["other processes used 40 % of all cores", "the hypervisor gave 10 % of all cores to other guests"],
    )


def test_all_our_processes_are_ours() -> None:
    """Two processes with 200 ticks each leave the others 200."""
    found = passed((7, 8), user=1600, idle=5400, utime=300)
    assert (found["own_cpu_share"], found["others_cpu_share"]) == (0.4, 0.2)


def test_a_machine_of_our_own_gives_no_reason_to_complain() -> None:
    """What others use below the bound is nothing worth a word."""
    assert complaints(passed(user=1420, idle=5580, utime=500)) == ([], [])


def test_being_held_back_is_said() -> None:
    """By the control group's quota, or by a core that is slower than it can be."""
    found = passed(user=1500, idle=5500, utime=600, throttled=9, now=1_500_000)
    assert found["throttled_periods"] == 5
    held, busy = complaints(found)
    assert held == [
        "the control group was held back in 5 scheduling periods",
        "a core ran at 1500 of 3000 MHz at the end",
    ]
    assert busy == []


def test_a_slow_core_that_had_nothing_to_do_is_not_held_back() -> None:
    """An idle core saves power."""
    assert complaints(passed(user=1010, idle=5990, utime=110, now=800_000)) == ([], [])


@pytest.mark.parametrize("stat", [None, "", "intr 5", "cpu 1 2 3"])
def test_a_system_that_does_not_tell_gives_null(stat: str | None) -> None:
    """No figure is made up."""
    assert take([1], {"/proc/stat": stat}.get) is None
    found = between(None, None, read=lambda _path: None, cores=[0])
    assert set(found.values()) == {None}
    assert complaints(found) == ([], [])


def test_no_time_passed_gives_null() -> None:
    """A share of nothing is no share."""
    assert passed()["others_cpu_share"] is None


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux")  # noqa: PTH110 - at import
def test_this_machine_can_be_read() -> None:
    """The real files have the form that is expected."""
    found = take([os.getpid()])
    assert found is not None
    assert found.all > found.idle > 0
    assert found.own > 0
    assert host_watch.read_text("/nowhere") is None
