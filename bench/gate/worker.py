# SPDX-License-Identifier: Apache-2.0
"""One fresh process of a gate: opens the key, warms up, and times its operation in turn with the reference's.

``python -m sealpass.bench.gate.worker``: a request as JSON on standard input, one answer as JSON on standard output:
what was recorded, or the error. The figures are made by who asked, so that two versions of sealpass are judged alike.
What a device's module prints goes to standard error.
"""

import gc
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sealpass import __version__
from sealpass.backends.registry import open_key
from sealpass.bench import fingerprint
from sealpass.bench.distribution import samples
from sealpass.bench.gate.figures import (
    DEVICE_FIRST,
    DEVICE_INTERRUPTED,
    DEVICE_TORN,
    PROTOCOL,
    REFERENCE_INTERRUPTED,
    TORN,
    WARM_NS,
    Recording,
    warm_wanted,
)
from sealpass.bench.gate.operation import Timed, device_operation, reference_operation
from sealpass.bench.gate.spawn import INTERNAL
from sealpass.bench.load.recording import NANOSECONDS, WRONG_RESULT
from sealpass.core.errors import AuthenticationFailed, Error, OperatorError
from sealpass.core.protocols import as_unwrapper

_WARM_UP_SECONDS = 0.1
_WARM_UP_LEAST = 3
_COLLECT_EVERY = 256
"""Pairs; the collector runs between them and never inside one."""

REFERENCE_PREFIX = "reference: "
"""Of the classes of errors that are the reference's."""

Wrap = Callable[[Timed], Timed]
"""Plants an effect into the device's operation, for the proof of the gate."""


def _interruptions() -> Callable[[], int]:
    """A counter of how often this thread lost its core to somebody else."""
    import resource

    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # macOS counts for the process, which is one thread
    read = resource.getrusage
    return lambda: read(who).ru_nivcsw


@dataclass(slots=True)
class _Goal:
    """How many pairs have to be warm: more of a device whose times are wide by nature."""

    warm: int
    is_final: bool = False

    def is_met(self, found: int, recording: Recording) -> bool:
        """The width is asked for once, when there would be enough otherwise."""
        if found >= self.warm and not self.is_final:
            self.warm, self.is_final = max(self.warm, warm_wanted(recording)), True
        return found >= self.warm


def measure(device: Timed, reference: Timed, *, seconds: float, warm: int, most_seconds: float) -> Recording:
    """Time pairs for so many seconds, and until so many are warm (figures.py), but no longer than ``most_seconds``.

    The order within a pair turns with every pair. Every answer is compared, outside the time that is taken.
    """
    clock, cpu_clock, interruptions = time.perf_counter_ns, time.thread_time_ns, _interruptions()
    device_ns, reference_ns, device_cpu_ns, marks = samples(), samples(), samples(), bytearray()
    errors: Counter[str] = Counter()
    recording, goal = Recording(device_ns, reference_ns, device_cpu_ns, marks, errors), _Goal(warm)
    undisturbed = found_warm = 0
    seen = interruptions()

    def timed(operation: Timed, number: int, prefix: str) -> tuple[int, int, int] | None:
        nonlocal seen, undisturbed
        cpu = cpu_clock()
        begin = clock()
        try:
            answer = operation.call(number)
        except Exception as error:  # noqa: BLE001 - whatever a device raises is counted; its text may hold anything
            errors[prefix + _error_class(error)] += 1
            return None
        taken = clock() - begin
        cpu = cpu_clock() - cpu
        now = interruptions()  # since the operation before: whatever came in between is in the caches as well
        interrupted, seen = now - seen, now
        undisturbed = 0 if interrupted else undisturbed + taken
        if answer != operation.expected(number):
            errors[f"{prefix}{WRONG_RESULT}"] += 1
            return None
        return taken, cpu, interrupted

    gc.collect()
    began, number = clock(), 0
    enough, end = began + int(seconds * NANOSECONDS), began + int(most_seconds * NANOSECONDS)
    gc.disable()
    try:
        while (now := clock()) < end and (now < enough or not goal.is_met(found_warm, recording)):
            found_warm += undisturbed >= WARM_NS
            is_first = number % 2 == 1
            if is_first:
                own, other = timed(device, number, ""), timed(reference, number, REFERENCE_PREFIX)
            else:
                other, own = timed(reference, number, REFERENCE_PREFIX), timed(device, number, "")
            if own is not None and other is not None:
                device_ns.append(own[0])
                device_cpu_ns.append(own[1])
                reference_ns.append(other[0])
                marks.append(_mark(own[2], other[2], is_first=is_first))
            number += 1
            if number % _COLLECT_EVERY == 0:
                gc.collect(0)
    finally:
        gc.enable()
    return recording


def _error_class(error: Exception) -> str:
    """Under what an exception is counted; raises a refused login again, because one more may lock the token."""
    if isinstance(error, AuthenticationFailed):
        raise error
    return error.code if isinstance(error, Error) else f"exception {type(error).__name__}"


def _warm_up(device: Timed, reference: Timed) -> Counter[str]:
    """The errors of the warm-up; raises operator errors: a device that is away from the start has shown no fault.

    Everything else is counted as :func:`measure` counts it: a key that refuses every token fails, and is no accident.
    """
    errors: Counter[str] = Counter()
    begin, number = time.perf_counter(), 0
    while number < _WARM_UP_LEAST or time.perf_counter() - begin < _WARM_UP_SECONDS:
        for operation, prefix in ((device, ""), (reference, REFERENCE_PREFIX)):
            try:
                answer = operation.call(number)
            except OperatorError:
                raise
            except Exception as error:  # noqa: BLE001 - as in measure()
                errors[prefix + _error_class(error)] += 1
                continue
            if answer != operation.expected(number):
                errors[prefix + WRONG_RESULT] += 1
        number += 1
    return errors


def _mark(device: int, reference: int, *, is_first: bool) -> int:
    """The mark of a pair whose operations were interrupted so many times."""
    return (
        DEVICE_INTERRUPTED * (device > 0)
        + REFERENCE_INTERRUPTED * (reference > 0)
        + DEVICE_FIRST * is_first
        + DEVICE_TORN * (device > TORN)
    )


def answer(request: dict[str, Any], wrap: Wrap | None = None) -> dict[str, Any]:
    """Do what a request asks; raises operator errors."""
    with open_key(request["uri"], force_login=request["force_login"]) as opened:
        device = device_operation(as_unwrapper(opened))
        named, force_login = request["reference"], request["force_login"]
        with reference_operation(named, device.facts, force_login=force_login) as reference:
            errors = _warm_up(device.timed, reference.timed)
            recording = measure(
                device.timed if wrap is None else wrap(device.timed),
                reference.timed,
                seconds=request["seconds"],
                warm=request["warm"],
                most_seconds=request["most_seconds"],
            )
            return {
                "device": device.facts,
                "reference": reference.facts,
                "host": fingerprint.host(),
                "device_ns": list(recording.device_ns),
                "reference_ns": list(recording.reference_ns),
                "device_cpu_ns": list(recording.device_cpu_ns),
                "marks": list(recording.marks),
                "errors": dict(errors + Counter(recording.errors)),
            }


def _own_output() -> TextIO:
    """Standard output for the answer alone. From now on whoever prints there, in C or in Python, writes to the other.

    A module with a line of debugging would be an answer that nobody can read.
    """
    output = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return output


def main(wrap: Wrap | None = None) -> int:
    """Answer one request."""
    with _own_output() as output:
        try:
            found = answer(json.load(sys.stdin), wrap) | {"protocol": PROTOCOL, "version": __version__}
        except Error as error:
            found = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
        except Exception as error:  # noqa: BLE001 - a bug of ours; its text may quote what was being worked on
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} ({Path(frame.filename).name}:{frame.lineno})"
            found = {"error": {"code": INTERNAL, "message": place, "hint": None}}
        json.dump(found, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
