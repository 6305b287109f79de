# SPDX-License-Identifier: Apache-2.0
"""Several processes as one load: started together, stopped together, and none missed in silence."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealpass.bench.load.open import Schedule
from sealpass.bench.load.operations import Name, Source, Task
from sealpass.bench.load.processes import Crew, Lost, OtherProcesses, Rate, start
from sealpass.bench.load.recording import Taken
from sealpass.bench.load.worker import Part, Tick
from sealpass.core.errors import UnsupportedAlgorithm
from tests.bench.load import sources

TASK = Task(Name.UNWRAP, threads=2)


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    """No process and no thread outlives its crew."""
    threads = threading.active_count()
    yield
    assert multiprocessing.active_children() == []
    assert threading.active_count() <= threads


def crew_of(source: Source, processes: int | None) -> Crew:
    """A crew for the task without a device."""
    return start(TASK, source, processes)


@pytest.mark.parametrize("processes", [None, 2])
def test_a_crew_measures_window_after_window(processes: int | None) -> None:
    """Every process answers for every window; its windows begin at one instant, and it can be watched."""
    ticks: list[Tick] = []
    crew = crew_of(sources.noop, processes)
    try:
        assert len(set(crew.pids)) == 1 + (processes or 0)
        first = crew.measure(30.0, None)
        second = crew.measure(30.0, Rate(40.0), ticks.append)
    finally:
        crew.close()
    for results in (first, second):
        assert len(results) == (processes or 1)
        taken = [one for one in results if isinstance(one, Taken)]
        assert [one.process for one in taken] == list(range(processes or 1))
        assert all(len(one.service) > 0 and not one.errors for one in taken)
    opened = [one for one in second if isinstance(one, Taken)]
    assert len({one.began for one in opened}) == 1
    assert {tick.process for tick in ticks} == set(range(processes or 1))


def test_a_process_that_dies_is_told_and_the_others_keep_what_they_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit status is known; the next window goes on without it."""
    monkeypatch.setenv("PLANTED_VICTIM", str(tmp_path / "victim"))
    crew = crew_of(sources.dying, 2)
    try:
        results = crew.measure(30.0, None)
        after = crew.measure(30.0, None)
    finally:
        crew.close()
    (lost,) = [one for one in results if isinstance(one, Lost)]
    (kept,) = [one for one in results if isinstance(one, Taken)]
    assert (lost.status, lost.reason) == ("died", "exit status 9")
    assert len(kept.service) == sources.MOST
    assert [type(one) for one in after] == [type(one) for one in results]


def test_a_process_that_cannot_open_its_keys_ends_them_all() -> None:
    """The error is the one of the device, as if there were no other process."""
    with pytest.raises(UnsupportedAlgorithm, match="no such thing"):
        crew_of(sources.refusing, 2)
    with pytest.raises(UnsupportedAlgorithm, match="no such thing"):
        crew_of(sources.refusing, None)


def test_an_abandoned_crew_is_gone() -> None:
    """Whoever does not wait leaves no process behind either."""
    crew = crew_of(sources.noop, 2)
    assert isinstance(crew, OtherProcesses)
    crew.abandon()
    crew.close()


@pytest.mark.parametrize("processes", [None, 2])
def test_an_interrupt_ends_the_window_and_keeps_what_was_measured(processes: int | None) -> None:
    """Of a window of an hour the part until the interrupt is answered, and is marked."""
    crew = crew_of(sources.noop, processes)
    seen = threading.Event()

    def interrupt(tick: Tick) -> None:
        if not seen.is_set():
            seen.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    try:
        results = crew.measure(3600.0, Rate(20.0), interrupt)
    finally:
        crew.close()
    taken = [one for one in results if isinstance(one, Taken)]
    assert len(taken) == (processes or 1)
    for one in taken:
        assert one.is_interrupted
        assert len(one.service) > 0
        assert one.intended - one.started <= TASK.threads  # the starts that were waited for


@pytest.mark.parametrize("processes", [None, 2])
def test_an_interrupt_does_not_wait_for_starts_that_are_due_later(processes: int | None) -> None:
    """The next start is a quarter of an hour away: the window ends at the interrupt, and so do all its figures."""
    crew = crew_of(sources.noop, processes)
    told: list[int] = []

    def interrupt(tick: Tick) -> None:
        told.append(tick.process)
        if len(told) == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = time.perf_counter_ns()
    try:
        results = crew.measure(3600.0, Rate(0.001), interrupt)
    finally:
        crew.close()
    taken = [one for one in results if isinstance(one, Taken)]
    assert (sum(one.intended for one in taken), sum(one.started for one in taken)) == (1, 1)
    assert all(before < one.began < one.finished < time.perf_counter_ns() for one in taken)


def test_a_second_interrupt_does_not_wait_for_the_device() -> None:
    """A thread is inside a call that does not come back: the first interrupt waits for it, the second is raised."""
    release, interrupts = threading.Event(), [signal.SIGINT, signal.SIGINT]

    def interrupt(_tick: Tick) -> None:
        if interrupts:
            signal.pthread_kill(threading.main_thread().ident or 0, interrupts.pop())

    part = Part(sources.operation(lambda _given: release.wait()))
    try:
        with pytest.raises(KeyboardInterrupt):
            part.measure(time.perf_counter_ns(), 3600.0, watch=interrupt)
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and thread.daemon:
                thread.join(5)


def test_an_interrupt_while_processes_start_is_for_this_one_only(capfd: pytest.CaptureFixture[str]) -> None:
    """A terminal sends Ctrl-C to children, too: before they could ignore it, it waits, and no traceback is written."""
    crew = crew_of(sources.InterruptedAtStart(), 1)
    try:
        results = crew.measure(30.0, None)
    finally:
        crew.close()
    assert [type(one) for one in results] == [Taken]
    assert capfd.readouterr().err == ""
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("schedule", [None, Schedule(1000.0)])
def test_a_stop_that_comes_before_its_window_is_not_lost(schedule: Schedule | None) -> None:
    """Whoever stops a process while it makes ready gets no window of an hour, nor one until the agreed begin."""
    part = Part(sources.operation(lambda given: given))
    part.stop()
    taken = part.measure(time.perf_counter_ns() + 20_000_000_000, 3600.0, schedule)
    assert (taken.is_interrupted, taken.started, taken.intended) == (True, 0, 0)


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_starts_after_the_last_answer_that_can_be_kept_were_not_intended(*, is_interrupted: bool) -> None:
    """A window of an hour ends with its first answer, be it interrupted in that or not: one start, and not four."""

    def call(given: int) -> int:
        if is_interrupted:
            part.stop()
        return given

    part = Part(sources.operation(call, most=1))
    taken = part.measure(time.perf_counter_ns(), 3600.0, Schedule(0.001))
    assert (taken.is_cut, taken.is_interrupted) == (True, is_interrupted)
    assert (taken.started, taken.intended) == (1, 1)
    assert taken.finished == taken.ended[0]


def test_garbage_is_collected_between_windows_only() -> None:
    """The collector is off while it is measured, and as it was afterwards."""
    states: list[bool] = []

    def call(given: int) -> int:
        states.append(gc.isenabled())
        return given

    Part(sources.operation(call, most=3)).measure(time.perf_counter_ns(), 30.0)
    assert states == [False] * 3
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_process_of_ours_is_this_one() -> None:
    """Where one process is asked for there is none besides."""
    crew = crew_of(sources.noop, None)
    assert list(crew.pids) == [os.getpid()]
    crew.close()
