# SPDX-License-Identifier: Apache-2.0
"""A noisy neighbour: busy and idle by turns, counting or moving memory about, as a build on the same machine is."""

import os
import random
import time

_DRAW = random.SystemRandom()
_MEMORY = bytearray(16 << 20)


def main() -> None:
    """Go on until the parent is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        end = time.monotonic() + _DRAW.uniform(0.005, 0.3)
        moves_memory = _DRAW.random() < 1 / 2
        while time.monotonic() < end:
            if moves_memory:
                bytes(_MEMORY)
            else:
                sum(range(10_000))
        time.sleep(_DRAW.uniform(0.005, 0.2))


if __name__ == "__main__":
    main()
