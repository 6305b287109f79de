# SPDX-License-Identifier: Apache-2.0
"""One fresh process of a gate: opens the key, warms up, and times its operation in turn with the reference's.

``python -m sealpass.bench.gate.worker``: a request as JSON on standard input, one answer as JSON on standard output:
what was recorded, or the error. The figures are made by who asked, so that two versions of sealpass are judged alike.
"""

import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

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
)
from sealpass.bench.gate.operation import Timed, device_operation, reference_operation
from sealpass.bench.load.recording import NANOSECONDS, WRONG_RESULT
from sealpass.core.errors import Error
from sealpass.core.protocols import as_unwrapper

_WARM_UP_SECONDS = 0.1
_WARM_UP_LEAST = 3
_COLLECT_EVERY = 256
"""Pairs; the collector runs between them and never inside one."""

Wrap = Callable[[Timed], Timed]
"""Plants an effect into the device's operation, for the proof of the gate."""


def _interruptions() -> Callable[[], int]:
    """A counter of how often this thread lost its core to somebody else."""
    import resource

    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # macOS counts for the process, which is one thread
    read = resource.getrusage
    return lambda: read(who).ru_nivcsw


def measure(device: Timed, reference: Timed, *, seconds: float, warm: int, most_seconds: float) -> Recording:
    """Time pairs for so many seconds, and until so many are warm (figures.py), but no longer than ``most_seconds``.

    The order within a pair turns with every pair. Every answer is compared, outside the time that is taken.
    """
    clock, cpu_clock, interruptions = time.perf_counter_ns, time.thread_time_ns, _interruptions()
    device_ns, reference_ns, device_cpu_ns, marks = samples(), samples(), samples(), bytearray()
    errors: Counter[str] = Counter()
    undisturbed = found_warm = 0
    seen = interruptions()

    def timed(operation: Timed, number: int, prefix: str) -> tuple[int, int, int] | None:
        nonlocal seen, undisturbed
        cpu = cpu_clock()
        begin = clock()
        try:
            answer = operation.call(number)
        except Error as error:
            errors[prefix + error.code] += 1
            return None
        except Exception as error:  # noqa: BLE001 - whatever a device raises is counted; its text may hold anything
            errors[f"{prefix}exception {type(error).__name__}"] += 1
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
        while (now := clock()) < end and (now < enough or found_warm < warm):
            found_warm += undisturbed >= WARM_NS
            is_first = number % 2 == 1
            if is_first:
                own, other = timed(device, number, ""), timed(reference, number, "reference: ")
            else:
                other, own = timed(reference, number, "reference: "), timed(device, number, "")
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
    return Recording(device_ns, reference_ns, device_cpu_ns, marks, errors)


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
        with reference_operation(request["reference"], device.facts) as reference:
            begin = time.perf_counter()
            number = 0
            while number < _WARM_UP_LEAST or time.perf_counter() - begin < _WARM_UP_SECONDS:
                for operation in (device.timed, reference.timed):
                    operation.call(number)
                number += 1
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
                "errors": dict(recording.errors),
            }


def main(wrap: Wrap | None = None) -> int:
    """Answer one request."""
    try:
        found = answer(json.load(sys.stdin), wrap) | {"protocol": PROTOCOL, "version": __version__}
    except Error as error:
        found = {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
