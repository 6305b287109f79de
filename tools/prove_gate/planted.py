# SPDX-License-Identifier: Apache-2.0
"""A worker of the gate whose device is slower than it is: a spin inside the operation, whose own time counts.

Usage: python -m tools.prove_gate.planted EFFECT     EFFECT: slower (5 % in every operation), tail (one in 50 takes 3x)
The spin goes by the operation's CPU time, so that a pause of the host is not made longer.
"""

import random
import sys
import time
from collections.abc import Callable

from sealpass.bench.gate import worker
from sealpass.bench.gate.operation import Timed

_DRAW = random.SystemRandom()
EFFECTS: dict[str, Callable[[], float]] = {
    "slower": lambda: 0.05,
    "tail": lambda: 2.0 if _DRAW.random() < 1 / 50 else 0.0,
}
"""How much longer the next operation takes, as a part of itself."""


def plant(effect: str) -> worker.Wrap:
    """What makes an operation slower by an effect."""
    longer = EFFECTS[effect]

    def wrap(timed: Timed) -> Timed:
        def call(number: int) -> object:
            begin = time.thread_time_ns()
            answer = timed.call(number)
            end = time.perf_counter_ns() + longer() * (time.thread_time_ns() - begin)
            while time.perf_counter_ns() < end:
                pass
            return answer

        return Timed(call, timed.expected)

    return wrap


if __name__ == "__main__":
    sys.exit(worker.main(plant(sys.argv[1])))
