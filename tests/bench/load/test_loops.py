# SPDX-License-Identifier: Apache-2.0
"""The two loops on a clock that only the operations move."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.bench.load.closed import run_closed
from sealpass.bench.load.open import Schedule, run_open
from sealpass.bench.load.recording import NANOSECONDS, Operation, Share, Taken, Window
from sealpass.core.errors import BackendUnavailable
from tests.bench.load.sources import Clock, operation

MS = 1_000_000


def closed(clock: Clock, work: Operation, nanoseconds: int) -> Share:
    """A closed loop from 0 on."""
    share = Share()
    run_closed(work, 0, Window(0, nanoseconds), share, clock)
    return share


def at_rate(clock: Clock, work: Operation, seconds: float, schedule: Schedule) -> Share:
    """An open loop from 0 on, in one thread."""
    share = Share()
    window = Window(0, int(seconds * NANOSECONDS))
    run_open(work, 0, window, share, schedule, schedule.numbers(1)[0], clock=clock, wait=clock.wait)
    return share


def test_a_closed_loop_starts_the_next_when_the_one_before_has_ended() -> None:
    """Service times are those of the calls, in their order, and none starts after the window."""
    clock = Clock()
    share = closed(clock, operation(clock.working(5, 7, 100, default=10)), 130)
    assert list(share.service) == [5, 7, 100, 10, 10]
    assert list(share.ended) == [5, 12, 112, 122, 132]
    assert (share.began, share.finished, share.started, len(share.delay)) == (0, 132, 5, 0)


@pytest.mark.parametrize("is_open", [False, True])
def test_errors_are_counted_by_class_and_are_no_throughput(*, is_open: bool) -> None:
    """An error of ours counts under its code, any other under its type, a wrong answer under wrong-result."""
    clock = Clock()

    def call(number: int) -> int:
        clock.now += MS
        if number % 10 == 1:
            raise BackendUnavailable("all sessions are busy", retryable=True)
        if number % 10 == 2:
            raise ValueError("holds a secret")
        return -1 if number % 10 == 3 else number

    work = operation(call)
    share = at_rate(clock, work, 0.01, Schedule(1000.0)) if is_open else closed(clock, work, 10 * MS)
    assert share.errors == {"backend-unavailable": 1, "exception ValueError": 1, "wrong-result": 1}
    assert list(share.failed) == [2 * MS, 3 * MS, 4 * MS]
    assert (share.started, len(share.service), len(share.ended)) == (10, 7, 7)
    assert len(share.delay) == (7 if is_open else 0)


def test_each_input_is_made_fit_for_use_before_it_is_used() -> None:
    """A token's nonce is announced again before each use, and outside the service time."""
    clock, armed = Clock(), list[int]()

    def rearm(number: int) -> None:
        clock.now += 1000
        armed.append(number)

    work = Operation(clock.working(default=10), [[(1, 1), (2, 2)]], rearm)
    share = closed(clock, work, 3000)
    assert list(share.service) == [10, 10]
    assert armed == [1, 2, 1]


@pytest.mark.parametrize("is_open", [False, True])
def test_answers_that_nobody_knows_beforehand_are_checked_afterwards(*, is_open: bool) -> None:
    """Every answer is looked at after the window; wrong ones become errors and leave all series."""
    clock = Clock()
    work = Operation(
        clock.working(default=MS),
        [[(number, None) for number in range(4)]],
        check=lambda given, answer: given == answer and given != 2,
    )
    share = at_rate(clock, work, 0.01, Schedule(1000.0)) if is_open else closed(clock, work, 10 * MS)
    assert (len(share.service), len(share.unchecked)) == (10, 10)
    assert work.check is not None
    share.check(work.check)
    assert (len(share.service), len(share.ended), len(share.unchecked)) == (8, 8, 0)
    assert len(share.delay) == (8 if is_open else 0)
    assert share.errors == {"wrong-result": 2}
    assert 3 * MS not in share.ended
    assert list(share.failed) == [3 * MS, 7 * MS]


@pytest.mark.parametrize("is_open", [False, True])
def test_answers_are_kept_up_to_a_bound(*, is_open: bool) -> None:
    """Where no more answers can be kept the loop ends, and says so."""
    clock = Clock()
    work = Operation(clock.working(), [[(1, None)]], check=lambda _given, _answer: True, most=3)
    share = at_rate(clock, work, 1.0, Schedule(1000.0)) if is_open else closed(clock, work, 1000)
    assert (share.started, share.is_cut) == (3, True)


def test_a_stall_is_hidden_by_service_times_and_shown_by_response_times() -> None:
    """Ten starts fall into a stall of 100 ms at 100 a second: one service time tells, ten response times do."""
    clock = Clock()
    share = at_rate(clock, operation(clock.working(MS, 100 * MS, default=MS)), 1.0, Schedule(100.0))
    response = [service + delay for service, delay in zip(share.service, share.delay, strict=True)]
    assert sum(service > 10 * MS for service in share.service) == 1
    assert sum(time > 10 * MS for time in response) == 10
    assert max(response) == 100 * MS
    assert share.delay[2] == 90 * MS  # due at 20 ms, begun at 110
    assert (share.started, share.finished) == (100, NANOSECONDS - 9 * MS)  # due at 990, took 1


def test_starts_for_which_there_was_no_time_are_counted() -> None:
    """A device at a tenth of the rate: nine in ten starts stay unstarted when the window ends, and are not dropped."""
    clock, schedule = Clock(), Schedule(1000.0)
    share = at_rate(clock, operation(clock.working(default=10 * MS)), 1.0, schedule)
    assert (share.started, schedule.intended(NANOSECONDS)) == (100, 1000)
    assert share.delay[99] == 990 * MS - 99 * MS


def test_a_stop_ends_both_loops() -> None:
    """After a stop no operation starts; the window remembers when it came, and a second stop does not move it."""
    for is_open in (False, True):
        clock, share, window = Clock(), Share(), Window(0, 100 * MS)

        def call(number: int, clock: Clock = clock, window: Window = window) -> int:
            clock.now += MS
            if number == 3:
                window.stop(clock.now)
                window.stop(clock.now + MS)
            return number

        if is_open:
            run_open(operation(call), 0, window, share, Schedule(500.0), count(), clock=clock, wait=clock.wait)
            assert (share.finished, window.end) == (7 * MS, 7 * MS)  # due at 6, took 1
        else:
            run_closed(operation(call), 0, window, share, clock)
            assert (share.finished, window.end) == (4 * MS, 4 * MS)
        assert (share.started, window.is_stopped) == (4, True)


@pytest.mark.parametrize("stopped_at", [-MS, 5 * MS, 200 * MS])
def test_a_stop_makes_no_window_longer(stopped_at: int) -> None:
    """Nothing starts after it, were it before the begin, and nothing after the end."""
    window = Window(0, 100 * MS)
    window.stop(stopped_at)
    assert (window.end, window.is_stopped) == (min(stopped_at, 100 * MS), True)


@given(
    rate=st.floats(0.1, 20_000),
    nanoseconds=st.integers(1, 3 * NANOSECONDS),
    processes=st.integers(1, 5),
    threads=st.integers(1, 4),
    shared=st.booleans(),
)
def test_the_starts_of_all_threads_are_the_schedule(
    rate: float, nanoseconds: int, processes: int, threads: int, *, shared: bool
) -> None:
    """Every start in the window belongs to exactly one thread of one process, whatever the rate."""
    whole = Schedule(rate)
    intended = whole.intended(nanoseconds)
    assert intended == 0 or whole.due(intended - 1) < nanoseconds
    assert whole.due(intended) >= nanoseconds
    parts = [Schedule(rate, shared, process, processes) for process in range(processes)]
    assert sum(part.intended(nanoseconds) for part in parts) == intended
    if intended <= 200:
        numbers = []
        for part in parts:
            threads_of_part = part.numbers(threads)
            for numbers_of_thread in threads_of_part[:1] if shared else threads_of_part:
                for number in numbers_of_thread:
                    if part.due(number) >= nanoseconds:
                        break
                    numbers.append(number)
        assert sorted(numbers) == list(range(intended))


def test_the_threads_of_a_process_together() -> None:
    """Series are joined thread by thread, errors are added, and the window reaches from the first to the last."""
    one, two = Share(began=5, finished=50, started=2), Share(began=7, finished=70, started=3, is_cut=True)
    for share, value in ((one, 1), (two, 2)):
        share.service.append(value)
        share.ended.append(10 * value)
        share.fail("x", value)
    taken = Taken.of([one, two], process=3)
    assert (taken.began, taken.finished, taken.started, taken.is_cut, taken.process) == (5, 70, 5, True, 3)
    assert (list(taken.service), list(taken.ended), taken.errors) == ([1, 2], [10, 20], {"x": 2})
