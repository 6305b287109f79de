# SPDX-License-Identifier: Apache-2.0
"""How a simulated device behaves, and what there is to find out about it.

Either it has ``servers`` that take calls in the order in which they come, as an HSM with so many cores does. Or it
takes all at once, and each slows the others by contention and coherency: then its throughput in a closed loop is
exactly the Universal Scalability Law (Gunther, "A General Theory of Computational Scalability Based on Rational
Functions", 2008).
"""

import math
import random
from dataclasses import dataclass
from enum import StrEnum

from sealpass.bench.load.recording import NANOSECONDS


class Spread(StrEnum):
    """How service times are distributed around their mean."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    LOG_NORMAL = "log-normal"


@dataclass(frozen=True, slots=True)
class Device:
    """Seconds, on the device's own clock; it begins when the device does."""

    service_s: float = 0.001
    """Mean time of a call that nothing disturbs."""
    spread: Spread = Spread.FIXED
    log_deviation: float = 0.3
    """Standard deviation of the logarithm, where the spread is log-normal."""
    servers: int | None = None
    """None: as many as there are calls."""
    contention: float = 0.0
    """Part of a call's time by which each other call in flight makes it longer."""
    coherency: float = 0.0
    """As ``contention``, for each pair of calls in flight."""
    stalls: tuple[tuple[float, float], ...] = ()
    """When it stands still, and for how long; in order, not overlapping."""
    throttled_after_s: float | None = None
    throttled_factor: float = 1.5
    """By which service times are longer from then on."""
    drift_per_s: float = 0.0
    """Part by which service times grow each second."""
    cold_factor: float = 1.0
    """By which the first call is longer; it fades away."""
    cold_s: float = 0.3
    """In which the fading comes to a third (1/e)."""
    error_share: float = 0.0
    """Part of the calls that fail, after their time."""

    @property
    def saturation_per_s(self) -> float:
        """Calls a second that it can do at most, where it has servers and nothing changes."""
        return math.inf if self.servers is None else self.servers / self.service_s

    def throughput_per_s(self, clients: int) -> float:
        """Of a closed loop with so many clients, where nothing changes; with servers only if times are fixed."""
        if self.servers is not None:
            return min(clients, self.servers) / self.service_s
        return clients / (self.service_s * self.slowdown(clients))

    def slowdown(self, in_flight: float) -> float:
        """How much longer a call takes with so many in flight, itself included."""
        return 1 + self.contention * (in_flight - 1) + self.coherency * in_flight * (in_flight - 1)

    @property
    def peak_clients(self) -> float:
        """At which throughput is greatest; infinite without coherency."""
        return math.inf if self.coherency == 0 else math.sqrt((1 - self.contention) / self.coherency)

    def service_ns(self, draw: random.Random, at_ns: int, in_flight: int) -> int:
        """The time of a call that begins then, stalls apart."""
        mean = self.service_s * self.slowdown(in_flight) * (1 + self.drift_per_s * at_ns / NANOSECONDS)
        if self.throttled_after_s is not None and at_ns >= self.throttled_after_s * NANOSECONDS:
            mean *= self.throttled_factor
        if self.cold_factor != 1:
            mean *= 1 + (self.cold_factor - 1) * math.exp(-at_ns / NANOSECONDS / self.cold_s)
        return int(self._drawn(draw, mean) * NANOSECONDS)

    def _drawn(self, draw: random.Random, mean: float) -> float:
        if self.spread is Spread.EXPONENTIAL:
            return draw.expovariate(1 / mean)
        if self.spread is Spread.LOG_NORMAL:
            return draw.lognormvariate(math.log(mean) - self.log_deviation**2 / 2, self.log_deviation)
        return mean

    def ended_ns(self, began_ns: int, service_ns: int) -> int:
        """When a call ends that a server takes up then: it stands still as long as the device does."""
        ended = began_ns + service_ns
        for at, length in self.stalls:
            stall, over = int(at * NANOSECONDS), int((at + length) * NANOSECONDS)
            if over > began_ns and stall < ended:
                ended += over - max(stall, began_ns)
        return ended
