# SPDX-License-Identifier: Apache-2.0
"""A crew on a simulated device in virtual time: what the real loops would have written down, and nobody sleeps."""

import random
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace

from sealpass.bench.load.open import Schedule
from sealpass.bench.load.processes import Lost, Rate
from sealpass.bench.load.recording import NANOSECONDS, Share, Taken
from sealpass.bench.load.worker import Watch
from sealpass.bench.simulated.device import Device

FAILED = "planted"
"""The class of the errors of a device that fails."""


class VirtualCrew:
    """So many clients of one device. Its time goes on from window to window."""

    def __init__(self, device: Device, clients: int, *, seed: int = 1) -> None:
        self._device = device
        self._clients = clients
        self._draw = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self.now_ns = 0

    @property
    def pids(self) -> Sequence[int]:
        """None: there is no process."""
        return ()

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """One window, as :meth:`sealpass.bench.load.processes.Crew.measure`; nobody watches."""
        del watch
        begin, end = self.now_ns, self.now_ns + int(seconds * NANOSECONDS)
        share = Share(began=begin, finished=begin if rate is None else end)
        calls = _Calls(self._device, self._draw, begin, share)
        intended = 0
        if rate is None:
            self._closed(calls, begin, end)
        else:
            schedule = Schedule(rate.per_second)
            intended = schedule.intended(end - begin)
            self._open(calls, begin, end, schedule)
        self.now_ns = max(share.finished, end)
        return [Taken.of([share], intended=intended)]

    def _closed(self, calls: "_Calls", begin: int, end: int) -> None:
        free = [begin] * self._clients
        while (began := free[0]) < end:
            heapreplace(free, calls.call(began))

    def _open(self, calls: "_Calls", begin: int, end: int, schedule: Schedule) -> None:
        free = [begin] * self._clients
        number = 0
        while (due := begin + schedule.due(number)) < end:
            began = max(due, free[0])
            if began >= end:
                return
            heapreplace(free, calls.call(began, due))
            number += 1

    def close(self) -> None:
        """There is nothing to close."""

    def abandon(self) -> None:
        """There is nothing to wait for."""


class _Calls:
    """The device during one window; calls come in the order of their begin."""

    def __init__(self, device: Device, draw: random.Random, begin: int, share: Share) -> None:
        self._device = device
        self._draw = draw
        self._share = share
        self._servers = [begin] * (device.servers or 0)
        self._ends: list[int] = []

    def call(self, began: int, due: int | None = None) -> int:
        """Answers when it ends; it waits until a server is free, which is part of its time as the client sees it."""
        device, share, ends = self._device, self._share, self._ends
        while ends and ends[0] <= began:
            heappop(ends)
        taken_up = max(began, self._servers[0]) if self._servers else began
        ended = device.ended_ns(taken_up, device.service_ns(self._draw, taken_up, len(ends) + 1))
        if self._servers:
            heapreplace(self._servers, ended)
        heappush(ends, ended)
        share.started += 1
        share.finished = max(share.finished, ended)
        if device.error_share and self._draw.random() < device.error_share:
            share.fail(FAILED, ended)
            return ended
        share.service.append(ended - began)
        share.ended.append(ended)
        if due is not None:
            share.delay.append(began - due)
        return ended
