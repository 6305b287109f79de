# SPDX-License-Identifier: Apache-2.0
"""A simulated device in real time: calls sleep. Threads of one process share it, as they share a token."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sealpass.bench.load.open import wait_finely, wait_until
from sealpass.bench.load.operations import Task
from sealpass.bench.load.recording import Operation
from sealpass.bench.simulated.device import Device
from sealpass.core.errors import BackendUnavailable

_INPUTS = 10


@contextmanager
def sleeping(device: Device, task: Task, *, seed: int = 1) -> Iterator[Operation]:
    """A source of operations; with ``functools.partial(sleeping, device)`` it goes to other processes, too."""
    turn = threading.Semaphore(device.servers) if device.servers is not None else nullcontext()
    lock, draw, origin = threading.Lock(), random.Random(seed), time.perf_counter_ns()  # noqa: S311 - a simulation
    in_flight = 0

    def call(given: int) -> int:
        nonlocal in_flight
        with lock:
            in_flight += 1
        try:
            with turn:
                wait_finely()
                began = time.perf_counter_ns() - origin
                with lock:
                    service = device.service_ns(draw, began, in_flight)
                    is_failing = device.error_share and draw.random() < device.error_share
                wait_until(origin + device.ended_ns(began, service))
        finally:
            with lock:
                in_flight -= 1
        if is_failing:
            raise BackendUnavailable("a planted failure", retryable=True)
        return given

    yield Operation(call, [[(number, number) for number in range(_INPUTS)] for _ in range(task.threads)])
