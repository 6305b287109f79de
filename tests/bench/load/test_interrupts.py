# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C keeps what was measured: in checks after a window, between trials of a search, while a result is written."""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import click
import pytest
from click.testing import CliRunner

from sealpass.bench.load import distributed, distributed_tasks, document, scaling
from sealpass.bench.load import run as load_run
from sealpass.bench.load.find_max import FindMax, Search
from sealpass.bench.load.interrupts import outlast
from sealpass.bench.load.objective import Trial, parse
from sealpass.bench.load.open import Schedule
from sealpass.bench.load.operations import Task
from sealpass.bench.load.processes import Lost, Rate
from sealpass.bench.load.recording import Operation, Taken
from sealpass.bench.load.run import run
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.worker import Part, Watch
from sealpass.bench.qualification.threads import run_together
from sealpass.bench.report import files
from sealpass.bench.simulated.device import Device
from sealpass.bench.simulated.virtual import VirtualCrew
from sealpass.cli.failures import INTERRUPTED, describe
from sealpass.cli.root import root
from tests.bench.load import sources
from tests.bench.load.conftest import Validate


@contextmanager
def left_threads() -> Iterator[None]:
    """Threads that were left alone have ended afterwards."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.001)


def main_thread_waits() -> bool:
    """Whether it waits for the threads of a window, all of which have begun."""
    code = sys._current_frames()[threading.main_thread().ident or 0].f_code
    return (code.co_name, code.co_filename) == ("wait", run_together.__code__.co_filename)


class Once:
    """Interrupts the main thread so many times, from another one; then does nothing more."""

    def __init__(self, times: int = 1) -> None:
        self._left = times

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._comes)
        return self

    def __exit__(self, *_: object) -> None:
        self._left = 0
        signal.signal(signal.SIGINT, self._before)

    def _comes(self, *_: object) -> None:
        if self._left:
            self._left -= 1
            raise KeyboardInterrupt

    def __call__(self, *_arguments: object) -> bool:
        """Answers when the interrupt has come through. Fits a check of an answer, too: all are right."""
        left = self._left
        while left and left == self._left:
            # More than once: one that comes as the main thread is about to wait does not wake it.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.001)
        return True


def checked(check: Callable[[Any, object], bool]) -> Operation:
    """Three answers that are looked at after the window."""
    return replace(sources.operation(lambda given: given, most=3), check=check)


@pytest.mark.parametrize("schedule", [None, Schedule(1000.0)])
def test_an_interrupt_while_answers_are_checked_is_no_second_one(schedule: Schedule | None) -> None:
    """The window was whole: all answers are checked, and it is no shorter than it was."""
    with Once() as once:
        taken = Part(checked(once)).measure(time.perf_counter_ns(), 30.0, schedule)
    assert (len(taken.service), taken.started) == (3, 3)
    assert (taken.is_interrupted, taken.is_shortened) == (True, False)


def test_a_second_interrupt_does_not_wait_for_the_checks() -> None:
    """The first one ended the window; a check is inside a device that does not answer."""
    release, released = threading.Event(), list[bool]()

    def call(given: int) -> int:
        if main_thread_waits():
            interrupts()
        release.wait(0.001)
        return given

    def check(_given: object, _answer: object) -> bool:
        while not release.wait(0.001):
            interrupts()
        released.append(True)
        return True

    part = Part(replace(sources.operation(call), check=check))
    with Once(2) as interrupts, left_threads():
        with pytest.raises(KeyboardInterrupt):
            part.measure(time.perf_counter_ns(), 3600.0)
        assert released == []
        release.set()


@contextmanager
def interrupted_checks(task: Task) -> Iterator[Operation]:
    """Ctrl-C comes while the answers of the first window are looked at."""
    del task
    with Once() as once:
        yield checked(once)


def test_a_whole_window_is_whole_though_its_checks_were_interrupted(short: Settings, valid: Validate) -> None:
    """Its figures are in the document; what had not begun says so."""
    written = valid(run(replace(short, threads=(1, 2)), source=interrupted_checks))
    assert written["status"] == "interrupted"
    first, second = written["measurements"]
    assert (first["status"], first["verified"]) == ("measured", 3)
    assert "interrupted" not in first["reason"]
    assert second["reason"] == "interrupted before its turn came"


def test_a_window_that_was_interrupted_is_shorter(short: Settings) -> None:
    """That is said of it, and it is not said of one that was whole."""
    (one,) = run(short, source=_interrupted_window)["measurements"]
    assert "interrupted: shorter than asked for" in one["reason"]


@contextmanager
def _interrupted_window(_task: Task) -> Iterator[Operation]:
    pause = threading.Event()

    def call(given: int) -> int:
        if main_thread_waits():
            once()
        pause.wait(0.001)
        return given

    with Once() as once:
        yield sources.operation(call)


class Crew(VirtualCrew):
    """Interrupts its window with this number; as a second Ctrl-C comes out of it, or before it."""

    def __init__(self, number: int) -> None:
        super().__init__(Device(service_s=0.001, servers=1), 50)
        self._left = number

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """See :class:`VirtualCrew`."""
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return super().measure(seconds, rate, watch)


class Interrupted:
    """A function whose call with this number is interrupted."""

    def __init__(self, function: Callable[..., Any], number: int) -> None:
        self._function = function
        self._left = number

    def __call__(self, *arguments: Any) -> Any:
        """The function, or Ctrl-C."""
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return self._function(*arguments)


def test_a_search_keeps_its_trials_when_it_is_interrupted_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a trial is judged: what was tried is there, and no thread is inside the device."""
    monkeypatch.setattr(Trial, "of", Interrupted(Trial.of, 4))
    found = FindMax(Crew(-1), Search(parse(["p99=10ms"]), 1.0)).run()
    assert (found.is_interrupted, found.is_inside, len(found.tried)) == (True, False, 3)
    assert found.reason == "interrupted: a higher rate may hold"


def test_a_search_keeps_its_trials_when_it_must_not_wait_for_the_device() -> None:
    """A second interrupt comes out of the window: the trials before it count, and that a thread may be inside."""
    found = FindMax(Crew(4), Search(parse(["p99=10ms"]), 1.0)).run()
    assert (found.is_interrupted, found.is_inside, len(found.tried)) == (True, True, 2)


@pytest.mark.parametrize("is_inside", [False, True])
def test_the_document_has_the_trials_of_an_interrupted_search(
    short: Settings, valid: Validate, monkeypatch: pytest.MonkeyPatch, *, is_inside: bool
) -> None:
    """As an objective without a rate, with what was tried; nobody waits for a thread that may be in the device."""
    crew = Crew(4 if is_inside else -1)
    abandoned: list[bool] = []
    monkeypatch.setattr(crew, "abandon", lambda: abandoned.append(True))
    monkeypatch.setattr(load_run, "start", lambda *_: crew)
    if not is_inside:
        monkeypatch.setattr(Trial, "of", Interrupted(Trial.of, 3))
    written = valid(run(replace(short, threads=(1, 2)), source=sources.noop, search=Search(parse(["p99=10ms"]), 1.0)))
    assert written["status"] == "interrupted"
    (objective,) = written["objectives"]
    assert (objective["max_rate_per_s"], len(objective["tried"])) == (None, 2)
    assert objective["reason"] == "interrupted: a higher rate may hold"
    assert abandoned == [True] * is_inside


def test_an_interrupt_while_the_document_is_made_loses_nothing(
    short: Settings, valid: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histograms take their time: the document is made to its end, and says that it was interrupted."""
    made = document.measurement

    def slow(*given: Any) -> dict[str, Any]:
        once()
        return made(*given)

    monkeypatch.setattr(document, "measurement", slow)
    with Once() as once:
        written = valid(run(short, source=sources.noop))
    assert (written["status"], written["measurements"][0]["verified"]) == ("interrupted", sources.MOST)


def test_an_interrupt_while_the_law_is_fitted_leaves_it_out(
    short: Settings, valid: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured is there."""

    def fitting(*_given: object, **_options: object) -> list[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(scaling, "scaling", fitting)
    written = valid(run(replace(short, threads=(1, 2)), source=sources.noop, fits_law=True))
    assert (written["status"], written["scaling"], len(written["measurements"])) == ("interrupted", [], 2)


def test_work_outlasts_one_interrupt() -> None:
    """It is done, and that one came is known; errors of the work come out as they are."""
    with Once() as once:
        assert outlast(lambda: (once(), 7)[1], is_second=False) == (7, True)
    assert outlast(lambda: 7, is_second=True) == (7, False)

    def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        outlast(wrong, is_second=False)


@pytest.mark.parametrize("is_second", [False, True])
def test_work_does_not_outlast_two_interrupts(*, is_second: bool) -> None:
    """The second one is raised while the work goes on."""
    release = threading.Event()

    def stuck() -> None:
        while not release.wait(0.001):
            interrupts()

    with Once(1 if is_second else 2) as interrupts, left_threads():
        with pytest.raises(KeyboardInterrupt):
            outlast(stuck, is_second=is_second)
        release.set()


def test_an_interrupt_while_the_result_is_written_is_told_afterwards(
    software_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there, whole; the command ends as one that was interrupted."""
    write = files.write_all

    def slow(given: Any) -> None:
        once()
        write(given)

    monkeypatch.setattr(files, "write_all", slow)
    monkeypatch.setattr(load_run, "run", partial(run, source=sources.noop))
    out = tmp_path / "r.json"
    arguments = ["bench", "run", software_uri, "--seconds", "5", "--warm-up", "0", "--out", str(out)]
    with Once() as once:
        ran = CliRunner().invoke(root, arguments, prog_name="sealpass", standalone_mode=False)
    assert json.loads(out.read_text())["measurements"][0]["verified"] == sources.MOST
    assert isinstance(ran.exception, click.Abort)
    assert describe(ran.exception).status == INTERRUPTED


class Answers:
    """A cluster of one worker, in this process; interrupts when a task is asked for."""

    def __init__(self, at: str, times: int = 1) -> None:
        self._at = at
        self._once = times

    def workers(self) -> tuple[str, ...]:
        """One."""
        return ("tls://w",)

    def submit(self, function: Callable[..., Any], *arguments: Any, worker: str) -> Any:
        """Done at once."""
        del worker
        if function.__name__ == self._at and self._once:
            self._once -= 1
            raise KeyboardInterrupt
        return Done(function(*arguments))

    def wait(self, _futures: object, _seconds: float) -> None:
        """There is nothing to wait for."""

    def result(self, future: "Done") -> Any:
        """What came."""
        return future.value

    def cancel(self, _futures: object) -> None:
        """There is nothing to cancel."""

    def have_all(self, function: Callable[..., Any], *_arguments: Any) -> None:
        """Of the tasks only leave()."""
        if function.__name__ == self._at and self._once:
            self._once -= 1
            raise KeyboardInterrupt
        for name in list(distributed_tasks._RUNNING):
            distributed_tasks._leave(name)


class Done:
    """A future that is done."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def done(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize("at", ["host_after", "leave"])
def test_an_interrupt_at_the_end_of_a_distributed_run_loses_nothing(at: str, short: Settings, valid: Validate) -> None:
    """When all is measured and the workers are asked for their hosts, or to close their keys."""
    cluster: Any = Answers(at)
    written = valid(distributed.run_distributed(cluster, short, source=sources.noop))
    assert (written["status"], written["measurements"][0]["verified"]) == ("interrupted", sources.MOST)


def test_an_interrupt_while_results_are_merged_loses_nothing(
    short: Settings, valid: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a distributed run: it is merged to the end."""
    whole = distributed._Distributed._merged

    def merged(self: Any, documents: Any) -> dict[str, Any]:
        once()
        return whole(self, documents)

    monkeypatch.setattr(distributed._Distributed, "_merged", merged)
    cluster: Any = Answers("nothing")
    with Once() as once:
        assert valid(distributed.run_distributed(cluster, short, source=sources.noop))["status"] == "interrupted"
