# SPDX-License-Identifier: Apache-2.0
"""Argon2id parameters for this machine and a time, by measuring (the procedure of RFC 9106 section 4).

Memory is what an attacker pays for, so it is given up last: as many passes as fit under as much memory as allowed,
and less memory only where even the fewest accepted passes take too long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from sealpass.core import argon2_hash
from sealpass.core.argon2_hash import Argon2Parameters

_LEAST_PASSES = ((46, 1), (19, 2), (12, 3), (9, 4), (7, 5))
"""MiB, and the fewest passes that OWASP accepts with so much memory or more (Password Storage Cheat Sheet)."""
MIN_MEMORY_MIB = _LEAST_PASSES[-1][0]
_ROUNDS = 3
_MAX_PASSES = 1000

Measure = Callable[[Argon2Parameters], float]
"""The time of one hash in milliseconds."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found."""

    parameters: Argon2Parameters
    milliseconds: float
    """For one hash; the median of a few."""
    met: bool
    """Whether that is within the target; if not, these are the cheapest parameters that OWASP accepts."""


def meets_owasp(parameters: Argon2Parameters) -> bool:
    """Whether OWASP accepts them."""
    return any(parameters.memory_kib >= 1024 * mib and parameters.passes >= passes for mib, passes in _LEAST_PASSES)


def measured(parameters: Argon2Parameters) -> float:
    """Hash a few times on this machine; the median in milliseconds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        argon2_hash.hash_password(b"a password of a usual length", parameters)
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def tune(
    target_ms: float,
    *,
    memory_mib: int,
    lanes: int,
    measure: Measure = measured,
    tried: Callable[[Argon2Parameters, float], None] = lambda _parameters, _milliseconds: None,
) -> Tuned:
    """The strongest parameters of at most ``target_ms`` and ``memory_mib`` (7 or more); ``tried`` hears of each try."""

    def cost(memory: int, passes: int) -> Tuned:
        parameters = Argon2Parameters(memory * 1024, passes, lanes)
        milliseconds = measure(parameters)
        tried(parameters, milliseconds)
        return Tuned(parameters, milliseconds, milliseconds <= target_ms)

    best = cost(memory_mib, _least_passes(memory_mib))
    for memory in _less_than(memory_mib):
        if best.met:
            break
        best = cost(memory, _least_passes(memory))
    if not best.met:
        return best
    memory, passes = best.parameters.memory_kib // 1024, best.parameters.passes
    # The time of a pass is nearly the same for each; from the estimate it is a few steps.
    estimate = min(_MAX_PASSES, int(passes * target_ms / max(best.milliseconds, 0.001)))
    while estimate > passes:
        found = cost(memory, estimate)
        if found.met:
            return found
        estimate = min(estimate - 1, int(estimate * target_ms / found.milliseconds))
    return best


def _least_passes(memory_mib: int) -> int:
    return next(passes for mib, passes in _LEAST_PASSES if memory_mib >= mib)


def _less_than(memory_mib: int) -> list[int]:
    """What to try instead of ``memory_mib``: its halves down to OWASP's largest, then OWASP's own."""
    largest = _LEAST_PASSES[0][0]
    halves = []
    while memory_mib // 2 > largest:
        memory_mib //= 2
        halves.append(memory_mib)
    return [*halves, *(mib for mib, _ in _LEAST_PASSES if mib < memory_mib)]
