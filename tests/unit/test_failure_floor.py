# SPDX-License-Identifier: Apache-2.0
import os
import signal
import threading
from time import sleep

import pytest

from sealpass.core.errors import ConfigError, DecryptionFailed
from sealpass.core.failure import FailureFloor


class _VirtualTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def floor(self, seconds: float) -> FailureFloor:
        return FailureFloor(seconds, clock=self.clock, sleep=self.sleep)


@pytest.fixture
def time() -> _VirtualTime:
    """Time that passes only when the test says so."""
    return _VirtualTime()


@pytest.mark.parametrize("work", [0.0, 0.001, 0.03, 0.049])
def test_failures_are_released_at_a_fixed_time(time: _VirtualTime, work: float) -> None:
    """However long the failing step took, the failure comes the same time after the start."""
    floor = time.floor(0.05)
    started = floor.start()
    time.now += work
    with pytest.raises(DecryptionFailed):
        floor.release(started)
    assert time.now == pytest.approx(started + 0.05)
    assert (floor.failures, floor.overruns) == (1, 0)


@pytest.mark.parametrize("work", [0.0501, 3.0])
def test_late_failures_are_counted_and_not_delayed(time: _VirtualTime, work: float) -> None:
    """An overrun shows in the count: the floor is too low for the device."""
    floor = time.floor(0.05)
    started = floor.start()
    time.now += work
    with pytest.raises(DecryptionFailed):
        floor.release(started)
    assert time.sleeps == []
    assert (floor.failures, floor.overruns) == (1, 1)


def test_exactly_on_time_is_no_overrun(time: _VirtualTime) -> None:
    """Nothing shows through where nothing is left to wait."""
    floor = time.floor(2.0)
    started = floor.start()
    time.now += 2.0
    with pytest.raises(DecryptionFailed):
        floor.release(started)
    assert time.sleeps == []
    assert floor.overruns == 0


def test_nothing_is_attached() -> None:
    """Neither cause nor context nor note tells which step failed."""
    with pytest.raises(DecryptionFailed) as caught:
        FailureFloor(0).release(0)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert vars(caught.value) == {}


def test_nothing_is_attached_within_an_except_block() -> None:
    """A caller that handles an error of its own does not get it chained to ours."""
    floor = FailureFloor(0)
    try:
        raise ValueError("the padding was wrong")  # noqa: TRY301 - the point of the test
    except ValueError:
        with pytest.raises(DecryptionFailed) as caught:
            floor.release(floor.start())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_every_failure_is_an_object_of_its_own() -> None:
    """Threads do not share one exception and its traceback."""
    seen = []
    for _ in range(2):
        with pytest.raises(DecryptionFailed) as caught:
            FailureFloor(0).release(0)
        seen.append(caught.value)
    assert seen[0] is not seen[1]


def test_counts_under_threads() -> None:
    """No failure is lost in the count, and sleeping happens outside the lock."""
    workers, each = 8, 200
    all_asleep = threading.Barrier(workers)  # breaks after its timeout if one thread sleeps with the lock held

    def sleep(_seconds: float) -> None:
        all_asleep.wait(30)

    floor = FailureFloor(1.0, clock=lambda: 0.0, sleep=sleep)

    def fail() -> None:
        for _ in range(each):
            with pytest.raises(DecryptionFailed):
                floor.release(0.0)

    threads = [threading.Thread(target=fail) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert floor.failures == workers * each
    assert floor.overruns == 0


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_a_floor_that_is_no_time_is_refused(seconds: float) -> None:
    """A negative, infinite or undefined floor is a ConfigError at open, not a surprise at the first failure."""
    with pytest.raises(ConfigError):
        FailureFloor(seconds)


def test_a_forked_child_does_not_wait_for_a_thread_that_is_gone() -> None:
    """The lock that another thread held at the fork is new in the child; a failure there is released as ever."""
    floor = FailureFloor(0)
    with floor._lock:
        child = os.fork()
        if child == 0:
            try:
                floor.release(floor.start())
            except DecryptionFailed:
                os._exit(0)
            finally:
                os._exit(1)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child waits for ever")
    assert os.waitstatus_to_exitcode(status) == 0
