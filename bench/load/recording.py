# SPDX-License-Identifier: Apache-2.0
"""What the loops write down while the clock runs: arrays of nanoseconds, and nothing that has to be allocated anew."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from sealpass.bench.distribution import Samples, samples
from sealpass.core.errors import Error

WRONG_RESULT = "wrong-result"
"""The class of an answer that came and was not the right one."""
NANOSECONDS = 1_000_000_000

Input = tuple[Any, object]
"""What an operation is given (may be secret), and what it must answer."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is measured, with its inputs; made before the clock starts."""

    call: Callable[[Any], object]
    """The timed call. Raises what the device raises."""
    inputs: Sequence[Sequence[Input]]
    """For each thread its own, used in turn."""
    rearm: Callable[[Any], None] | None = None
    """Called with an input before each use, outside the service time: announces a token's nonce again."""
    check: Callable[[Any, object], bool] | None = None
    """Where the right answer is not known beforehand: says of each input and answer, after the window, whether it is
    right. Then nothing is compared inside the window."""
    most: int | None = None
    """Operations of a thread after which the window ends early: it may keep so many answers for ``check``."""


@dataclass(slots=True)
class Window:
    """A stretch of time in which operations start, on the clock of ``time.perf_counter_ns``."""

    begin: int
    end: int
    stopped: Event = field(default_factory=Event)
    """Wakes the threads that wait for a start."""

    @property
    def is_stopped(self) -> bool:
        """Whether it was ended from outside."""
        return self.stopped.is_set()

    def stop(self, at: int) -> None:
        """Let no other operation start from this instant on: it is the window's end now, be it before its begin."""
        self.end = min(self.end, at)
        self.stopped.set()


@dataclass(slots=True)
class Share:
    """What one thread measured; nobody else writes it. Nanoseconds."""

    service: Samples = field(default_factory=samples)
    """From the start of a call to its end; of right answers only."""
    ended: Samples = field(default_factory=samples)
    """When each of them ended, on the clock of the window."""
    delay: Samples = field(default_factory=samples)
    """From the intended start of each of them to its start; empty in a closed loop."""
    errors: Counter[str] = field(default_factory=Counter)
    failed: Samples = field(default_factory=samples)
    """When each error came."""
    unchecked: list[tuple[Any, object]] = field(default_factory=list)
    """Inputs and answers of an operation with a ``check``; in the order of ``service`` and ``ended``."""
    started: int = 0
    """Operations that were begun."""
    began: int = 0
    finished: int = 0
    """The end of the last operation, right or wrong; ``began`` where there was none."""
    is_cut: bool = False
    """The loop ended before its time, because it may keep no more answers."""

    def fail(self, code: str, at: int) -> None:
        """Count an error."""
        self.errors[code] += 1
        self.failed.append(at)

    def check(self, check: Callable[[Any, object], bool]) -> None:
        """Look at the answers that were kept; those that are wrong become errors. May take as long as the window."""
        kept, self.unchecked = self.unchecked, []
        right = [_is_right(check, argument, answer) for argument, answer in kept]
        for at, code in zip(self.ended, right, strict=True):
            if code is not None:
                self.fail(code, at)
        for series in ("service", "ended", "delay"):
            values: Samples = getattr(self, series)
            if values:
                kept_values = (value for value, code in zip(values, right, strict=True) if code is None)
                setattr(self, series, samples(kept_values))


def _is_right(check: Callable[[Any, object], bool], argument: Any, answer: object) -> str | None:
    """None, or the code of the error."""
    try:
        return None if check(argument, answer) else WRONG_RESULT
    except Exception as error:  # noqa: BLE001 - whatever a device raises is counted
        return code_of(error)


def code_of(error: Exception) -> str:
    """The class under which an error is counted; never its text."""
    return error.code if isinstance(error, Error) else f"exception {type(error).__name__}"


@dataclass(slots=True)
class Taken:
    """What the threads of one process measured in one window. Goes through a pipe; holds no secret."""

    began: int
    finished: int
    service: Samples
    ended: Samples
    delay: Samples
    errors: Counter[str]
    failed: Samples
    started: int
    is_cut: bool
    intended: int = 0
    """Starts that lay in this process's part of the schedule; 0 in a closed loop."""
    process: int = 0
    is_interrupted: bool = False
    is_shortened: bool = False
    """The interrupt came before the end of the window, and not while its answers were checked."""

    @classmethod
    def of(cls, shares: Iterable[Share], *, intended: int = 0, process: int = 0) -> "Taken":
        """The shares of all threads together, in the order of the threads."""
        shares = list(shares)
        service, ended, delay, failed = samples(), samples(), samples(), samples()
        errors: Counter[str] = Counter()
        for share in shares:
            service.extend(share.service)
            ended.extend(share.ended)
            delay.extend(share.delay)
            failed.extend(share.failed)
            errors += share.errors
        return cls(
            min(share.began for share in shares),
            max(share.finished for share in shares),
            service,
            ended,
            delay,
            errors,
            failed,
            sum(share.started for share in shares),
            any(share.is_cut for share in shares),
            intended,
            process,
        )
