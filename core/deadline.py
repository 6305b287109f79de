# SPDX-License-Identifier: Apache-2.0
"""A point in time after which nobody waits any longer."""

import time
from dataclasses import dataclass

from sealpass.core.errors import BackendUnavailable


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant on the monotonic clock, in seconds.

    PKCS#11 has no timeouts: a deadline bounds the waiting for a session and refuses to start late; it cannot stop a
    call that is inside the device.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    def check(self) -> None:
        """Raise BackendUnavailable(retryable) where the deadline has passed."""
        if time.monotonic() >= self.at:
            raise BackendUnavailable("the deadline passed before the key was used", retryable=True)
