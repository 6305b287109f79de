# SPDX-License-Identifier: Apache-2.0
"""How fast a key takes passwords out of tokens: the real path, every password compared.

A closed loop with a fixed number of threads. Throughput is right answers by wall clock, never a number derived from
latencies; errors are counted by class and are no throughput. Tokens are made before the clock starts, each opens once.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sealpass.bench import distribution
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.dialect import dialect_of
from sealpass.bench.qualification.flow import PATIENCE_SECONDS
from sealpass.bench.qualification.threads import run_together
from sealpass.core.contract import unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.errors import Error
from sealpass.core.nonces import MemoryNonceStore, Purpose

_NANOSECONDS = 1_000_000_000
_NONCE_LIFETIME_SECONDS = 86_400.0
_WRONG_PASSWORD = "wrong-password"  # noqa: S105 - the name of an error class
_SPARE = 1.3
"""Tokens made beyond what the rate of the run before asks for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure, and with how many threads."""

    threads: tuple[int, ...] = (1, 2, 4)
    seconds: float = 20.0
    """For each number of threads."""
    warm_up_seconds: float = 1.0
    max_tokens: int = 60_000
    """For each number of threads; a faster key is measured for a shorter time."""
    min_samples: int = 20
    """Fewer right answers than this say too little for a verdict."""

    def with_threads(self, threads: int) -> "Plan":
        """This plan, measuring with so many threads as well."""
        return replace(self, threads=tuple(sorted({*self.threads, threads})))

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {"threads": list(self.threads), "seconds": self.seconds, "warm_up_seconds": self.warm_up_seconds}


FULL = Plan()
QUICK = Plan(seconds=2.0, warm_up_seconds=0.5)


@dataclass(frozen=True, slots=True)
class _Letter:
    """One prepared token (it opens once) and what it must give."""

    token: str
    session: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Run:
    """What one number of threads measured. Times in nanoseconds."""

    threads: int
    elapsed_ns: int
    latencies: distribution.Samples
    """Of right answers only."""
    errors: Counter[str]

    @property
    def per_second(self) -> float:
        """Right answers by wall clock."""
        return len(self.latencies) * _NANOSECONDS / self.elapsed_ns if self.elapsed_ns else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "threads": self.threads,
            "elapsed_ns": self.elapsed_ns,
            "operations": len(self.latencies) + self.errors.total(),
            "verified": len(self.latencies),
            "throughput_per_s": round(self.per_second, 1),
            "errors": dict(sorted(self.errors.items())),
            "latency": distribution.summary(self.latencies),
            "histogram": distribution.histogram(self.latencies) if self.latencies else None,
        }


def _write_letters(subject: Subject, count: int) -> deque[_Letter]:
    letters: deque[_Letter] = deque()
    write = dialect_of(subject.profile).flow
    for number in range(count):
        # A session of its own each: a store bounds how many nonces one session holds.
        flow = write(subject, session=f"measurement-{number}", lifetime=_NONCE_LIFETIME_SECONDS)
        letters.append(_Letter(flow.token(), flow.session, flow.password))
    return letters


@dataclass(slots=True)
class _Share:
    """What one thread measured; nobody else writes it."""

    latencies: distribution.Samples = field(default_factory=distribution.samples)
    errors: Counter[str] = field(default_factory=Counter)
    began: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What the threads of one run share; popping from a deque is atomic, so every letter is opened once."""

    subject: Subject
    letters: deque[_Letter]
    seconds: float

    def run(self, share: "_Share") -> None:
        """Open letters until none is left or the time is over."""
        subject, ring, latencies, errors = self.subject, self.subject.ring, share.latencies, share.errors
        take, clock = self.letters.popleft, time.perf_counter_ns
        share.began = share.ended = clock()
        end = share.began + int(self.seconds * _NANOSECONDS)
        deadline = Deadline.after(self.seconds + PATIENCE_SECONDS)
        while True:
            try:
                letter = take()
            except IndexError:
                return
            began = clock()
            if began >= end:
                return
            try:
                password = unwrap_password(
                    letter.token,
                    ring,
                    subject.profile,
                    subject.nonces,
                    letter.session,
                    Purpose.CHECK,
                    deadline=deadline,
                )
            except Error as error:
                errors[error.code] += 1
                continue
            except Exception as error:  # noqa: BLE001 - whatever a device raises is counted
                errors[f"exception {type(error).__name__}"] += 1
                continue
            finally:
                share.ended = clock()
            if password == letter.password:
                latencies.append(share.ended - began)
            else:
                errors[_WRONG_PASSWORD] += 1


def run_threads(subject: Subject, threads: int, seconds: float, count: int) -> Run:
    """Measure with one number of threads on ``count`` fresh tokens; ends early where they are used up."""
    # The store is our own and as large as the work: its bounds are not what is measured.
    own = replace(subject, nonces=MemoryNonceStore(capacity=count + 1))
    work = _Work(own, _write_letters(own, count), seconds)
    shares = [_Share() for _ in range(threads)]
    run_together([partial(work.run, share) for share in shares], stop=work.letters.clear)
    latencies, errors = distribution.samples(), Counter[str]()
    for share in shares:
        latencies.extend(share.latencies)
        errors += share.errors
    elapsed = max(share.ended for share in shares) - min(share.began for share in shares)
    return Run(threads, elapsed, latencies, errors)


def measure(subject: Subject, plan: Plan, done: Callable[[int], None]) -> list[Run]:
    """Warm up, then measure each number of threads of the plan. ``done`` is called with how many are behind."""
    warm_up = run_threads(subject, 1, plan.warm_up_seconds, min(plan.max_tokens, _warm_up_tokens(plan)))
    rate = warm_up.per_second
    runs = []
    for threads in plan.threads:
        wanted = int(rate * plan.seconds * threads * _SPARE) + plan.min_samples
        runs.append(run_threads(subject, threads, plan.seconds, min(plan.max_tokens, wanted)))
        rate = runs[-1].per_second / threads
        done(len(runs))
    return runs


def _warm_up_tokens(plan: Plan) -> int:
    # No device that we know answers faster than this with an RSA key of 2048 bits.
    return int(plan.warm_up_seconds * 5000) + 1
