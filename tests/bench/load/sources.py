# SPDX-License-Identifier: Apache-2.0
"""Operations without a device: they open nothing, cost nothing, and have one planted fault each."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from sealpass.bench.load.operations import Name, Source, Task, opened
from sealpass.bench.load.recording import Operation
from sealpass.core.errors import AuthenticationFailed, BackendUnavailable, UnsupportedAlgorithm


class Clock:
    """A clock that only operations and waiting move; nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def wait(self, instant: int) -> None:
        """Sleep until then."""
        self.now = max(self.now, instant)

    def working(self, *nanoseconds: int, default: int = 10) -> Callable[[int], int]:
        """An operation that answers its input; it takes these times, one after the other, and then the default."""
        times = iter(nanoseconds)

        def call(given: int) -> int:
            self.now += next(times, default)
            return given

        return call


REAL = (Name.UNWRAP, Name.OPEN)
"""Operations that cost little in a soft token."""
MOST = 20
"""Operations of a thread after which a window of many seconds ends: no test waits for time."""


def operation(call: Callable[[int], object], threads: int = 1, most: int | None = None) -> Operation:
    """Ten inputs a thread, each of which is its own answer."""
    return Operation(call, [[(number, number) for number in range(10)] for _ in range(threads)], most=most)


@contextmanager
def limited(task: Task) -> Iterator[Operation]:
    """The real operation, MOST times a thread."""
    with opened(task) as work:
        yield replace(work, most=MOST)


@contextmanager
def noop(task: Task) -> Iterator[Operation]:
    """Answers at once."""
    yield operation(lambda given: given, task.threads, MOST)


@contextmanager
def wrong(task: Task) -> Iterator[Operation]:
    """Every tenth answer is wrong."""
    yield operation(lambda given: given or -1, task.threads, MOST)


def refusing(_task: Task) -> AbstractContextManager[Operation]:
    """Cannot be opened."""
    raise UnsupportedAlgorithm("there is no such thing here")


def dies_in_window(which: int) -> Callable[[int], int]:
    """Answers, but for one operation, at which the process ends that is the first to claim a file."""
    victim, numbers = Path(os.environ["PLANTED_VICTIM"]), count()

    def call(given: int) -> int:
        if next(numbers) == which:
            try:
                victim.touch(exist_ok=False)
            except FileExistsError:
                return given
            os._exit(9)
        return given

    return call


@contextmanager
def dying(task: Task) -> Iterator[Operation]:
    """One of the processes ends in the middle of its work."""
    yield operation(dies_in_window(MOST // 2), 1, MOST)


@contextmanager
def busy(task: Task) -> Iterator[Operation]:
    """Every operation fails, by its class."""

    def call(given: int) -> int:
        if given % 2:
            raise BackendUnavailable("all sessions are busy", retryable=True)
        raise ValueError("secret")

    yield operation(call, task.threads, MOST)


@contextmanager
def busy_once(task: Task) -> Iterator[Operation]:
    """The first operation fails."""
    numbers = count()

    def call(given: int) -> int:
        if next(numbers) == 0:
            raise BackendUnavailable("all sessions are busy", retryable=True)
        return given

    yield operation(call, task.threads, MOST)


def interrupted_noop() -> Source:
    """Ctrl-C comes; then :func:`noop`."""
    os.kill(os.getpid(), signal.SIGINT)
    return noop


class InterruptedAtStart:
    """Answers at once. A process that was started for it gets Ctrl-C before any line of its own code runs."""

    def __call__(self, task: Task) -> AbstractContextManager[Operation]:
        return noop(task)

    def __reduce__(self) -> tuple[Callable[[], Source], tuple[()]]:
        return interrupted_noop, ()


def locking(tries: Path, task: Task) -> AbstractContextManager[Operation]:
    """A token whose PIN became wrong; each try is a line in a file."""
    with tries.open("a", encoding="utf-8") as file:
        file.write(f"{task.name}\n")
    raise AuthenticationFailed("the token refused the PIN")
