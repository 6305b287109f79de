# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from sealpass.core import deadline
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock that deadlines look at."""
    fake = _Clock()
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=fake.monotonic))
    return fake


def test_remaining_counts_down_to_zero(clock: _Clock) -> None:
    """Seconds left, never a negative number that a wait would refuse."""
    limit = Deadline.after(2.5)
    assert limit.remaining() == 2.5
    clock.now += 1
    assert limit.remaining() == 1.5
    clock.now += 10
    assert limit.remaining() == 0.0


def test_check_passes_until_the_instant(clock: _Clock) -> None:
    """The last moment before the deadline is still in time."""
    limit = Deadline.after(1)
    limit.check()
    clock.now += 0.999
    limit.check()


@pytest.mark.parametrize("late", [1.0, 1.5])
def test_check_refuses_at_the_instant_and_after(clock: _Clock, late: float) -> None:
    """No operation starts late; trying again with a new deadline may succeed."""
    limit = Deadline.after(1)
    clock.now += late
    with pytest.raises(BackendUnavailable, match="deadline") as caught:
        limit.check()
    assert caught.value.retryable
