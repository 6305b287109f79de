# SPDX-License-Identifier: Apache-2.0
import dataclasses
import gc
import os
import signal
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sealpass.core.errors import BackendUnavailable
from sealpass.core.nonces import MemoryNonceStore, NonceRecord, Purpose


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _record(nonce: str, session: str = "s", lifetime: float = 300) -> NonceRecord:
    return NonceRecord(nonce, session, Purpose.CHECK, "sealpass", "RSA-OAEP-256", ("A256GCM",), "kid", lifetime)


@contextmanager
def _eager_thread_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_a_record_comes_out_as_it_went_in_and_once() -> None:
    """The second consumer gets nothing."""
    store = MemoryNonceStore()
    store.put(_record("n"))
    assert len(store) == 1
    assert store.consume("n") == _record("n")
    assert store.consume("n") is None
    assert len(store) == 0


@pytest.mark.parametrize("nonce", ["", "N", "n ", "n=", "other"])
def test_nonces_compare_as_exact_strings(nonce: str) -> None:
    """No trimming, no case folding, no decoding; a wrong guess leaves the record."""
    store = MemoryNonceStore()
    store.put(_record("n"))
    assert store.consume(nonce) is None
    assert store.consume("n") is not None


def test_single_use_under_threads() -> None:
    """Whoever races, each record goes to exactly one thread."""
    nonces = [f"n{number}" for number in range(300)]
    store = MemoryNonceStore(per_session=len(nonces))
    for nonce in nonces:
        store.put(_record(nonce))
    taken: list[str] = []
    start = threading.Barrier(8)

    def race() -> None:
        start.wait()
        taken.extend(record.nonce for nonce in nonces if (record := store.consume(nonce)) is not None)

    threads = [threading.Thread(target=race) for _ in range(8)]
    with _eager_thread_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(taken) == Counter(nonces)
    assert len(store) == 0


def test_put_and_consume_under_threads_keep_the_books() -> None:
    """Sessions that come and go at once leave neither records nor session entries behind."""
    store = MemoryNonceStore(per_session=4)
    start = threading.Barrier(6)
    served: list[bool] = []

    def one_session(name: str) -> None:
        start.wait()
        for number in range(200):
            nonce = f"{name}-{number}"
            store.put(_record(nonce, session=f"shared{number % 2}"))
            served.append(store.consume(nonce) is not None)

    threads = [threading.Thread(target=one_session, args=(str(name),)) for name in range(6)]
    with _eager_thread_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(served) == 1200
    assert len(store) == 0
    assert store._sessions == {}


@pytest.mark.parametrize(("age", "alive"), [(0, True), (9.99, True), (10, False), (11, False)])
def test_records_expire(age: float, alive: bool) -> None:  # noqa: FBT001 - a parameter
    """At the end of its life a nonce is as good as unknown; asking for it removed it."""
    clock = _Clock()
    store = MemoryNonceStore(clock=clock)
    store.put(_record("n", lifetime=10))
    clock.now += age
    assert (store.consume("n") is not None) == alive
    assert len(store) == 0


def test_lifetime_counts_from_put() -> None:
    """Two records of different lives, put at different times."""
    clock = _Clock()
    store = MemoryNonceStore(clock=clock)
    store.put(_record("short", lifetime=5))
    clock.now = 4
    store.put(_record("late", lifetime=5))
    clock.now = 8
    assert store.consume("short") is None
    assert store.consume("late") is not None


def test_a_full_store_refuses_and_keeps_the_others() -> None:
    """Nobody can push out the nonces of other sessions by asking for many."""
    store = MemoryNonceStore(capacity=3)
    for session in "abc":
        store.put(_record(f"n-{session}", session))
    with pytest.raises(BackendUnavailable, match="3 nonces are outstanding") as caught:
        store.put(_record("n-d", "d"))
    assert caught.value.retryable
    assert len(store) == 3
    assert all(store.consume(f"n-{session}") for session in "abc")
    assert store.consume("n-d") is None


def test_a_full_store_forgets_the_expired_first() -> None:
    """Abandoned logins cost room only for their lifetime."""
    clock = _Clock()
    store = MemoryNonceStore(capacity=3, clock=clock)
    store.put(_record("old-1", "a", lifetime=5))
    store.put(_record("old-2", "b", lifetime=5))
    store.put(_record("young", "b", lifetime=50))
    clock.now = 5
    store.put(_record("new", "c"))
    assert len(store) == 2
    assert store.consume("young") is not None
    assert store.consume("new") is not None
    assert store._sessions == {}


def test_a_session_loses_its_own_oldest_nonce() -> None:
    """A client that only ever asks fills its own share, and no more than that."""
    store = MemoryNonceStore(per_session=2)
    store.put(_record("other", "b"))
    for number in range(3):
        store.put(_record(f"n{number}", "a"))
    assert store.consume("n0") is None
    assert store.consume("n1") is not None
    assert store.consume("n2") is not None
    assert store.consume("other") is not None


def test_a_session_at_its_cap_still_gets_a_nonce_from_a_full_store() -> None:
    """It gives up its own oldest one, so nothing of others is needed."""
    store = MemoryNonceStore(capacity=2, per_session=2)
    store.put(_record("n0", "a"))
    store.put(_record("n1", "a"))
    store.put(_record("n2", "a"))
    assert len(store) == 2
    assert store.consume("n0") is None
    assert store.consume("n2") is not None


def test_using_a_nonce_frees_its_place_in_the_session() -> None:
    """The cap counts outstanding nonces, not those ever issued."""
    store = MemoryNonceStore(per_session=2)
    store.put(_record("n0"))
    store.put(_record("n1"))
    assert store.consume("n1") is not None
    store.put(_record("n2"))
    assert store.consume("n0") is not None
    assert store.consume("n2") is not None


def test_records_are_frozen() -> None:
    """What was announced cannot be changed later."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        _record("n").kid = "other"  # type: ignore[misc]


def test_purposes_are_the_published_ones() -> None:
    """They stand in stored records of other nonce stores."""
    assert {purpose.value for purpose in Purpose} == {"check", "change", "reset", "register", "admin-set"}


def test_a_forked_child_starts_empty() -> None:
    """A nonce issued before a fork works in the parent and not in the child: it would work twice otherwise."""
    store = MemoryNonceStore()
    store.put(_record("n"))
    child = os.fork()
    if child == 0:
        # Empty before the first call: that call would otherwise race with one of another thread.
        os._exit(0 if len(store) == 0 and store.consume("n") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.consume("n") is not None


def test_a_lock_that_was_held_at_the_fork_does_not_block_the_child() -> None:
    """A thread of the parent that was just inside the store does not exist in the child and never lets go."""
    store = MemoryNonceStore()
    with store._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            store.put(_record("n"))
            os._exit(0 if store.consume("n") is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_store_is_not_kept_alive() -> None:
    """What is done at a fork knows the stores; it does not own them."""
    store = MemoryNonceStore()
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


def _step(nonce: str, purpose: Purpose = Purpose.CHECK, profile: str = "airlock-kms", **changes: Any) -> NonceRecord:
    """A record of a step whose messages do not name their nonce."""
    return dataclasses.replace(_record(nonce), purpose=purpose, profile=profile, **changes)


def test_latest_record_of_a_step_takes_the_older_ones_along() -> None:
    """A message that names no nonce buys one key operation, however often the step was announced."""
    store = MemoryNonceStore()
    for number in range(3):
        store.put(_step(f"n{number}"))
    assert store.consume_latest("s", Purpose.CHECK, "airlock-kms") == _step("n2")
    assert store.consume_latest("s", Purpose.CHECK, "airlock-kms") is None
    assert [store.consume(f"n{number}") for number in range(3)] == [None] * 3
    assert (len(store), store._sessions) == (0, {})


@pytest.mark.parametrize(
    "step", [("t", "check", "airlock-kms"), ("s", "change", "airlock-kms"), ("s", "check", "sealpass"), ("", "", "")]
)
def test_latest_record_is_of_that_step_only(step: tuple[str, str, str]) -> None:
    """Another session, purpose or profile finds nothing and takes nothing; in the right step nothing else is taken."""
    store = MemoryNonceStore()
    store.put(_step("n"))
    store.put(_step("of another session", session="u"))
    store.put(_step("of another purpose", Purpose.RESET))
    store.put(_step("of another profile", profile="airlock-jwe"))
    assert store.consume_latest(*step) is None
    assert len(store) == 4
    assert store.consume_latest("s", "check", "airlock-kms") == _step("n")
    assert len(store) == 3
    assert store.consume("of another purpose") is not None
    assert store.consume("of another profile") is not None
    assert store.consume("of another session") is not None
    assert store._sessions == {}


def test_latest_record_that_expired_hides_the_older_ones() -> None:
    """An announcement replaces the one before it, also where that one would live longer."""
    clock = _Clock()
    store = MemoryNonceStore(clock=clock)
    store.put(_step("long", lifetime=50))
    store.put(_step("short", lifetime=5))
    clock.now = 5
    assert store.consume_latest("s", "check", "airlock-kms") is None
    assert len(store) == 0
    store.put(_step("next", lifetime=5))
    clock.now = 9.99
    assert store.consume_latest("s", "check", "airlock-kms") == _step("next", lifetime=5)


def test_latest_record_after_others_were_consumed_dropped_or_pushed_out() -> None:
    """Whatever else takes records out, the session's list follows."""
    clock = _Clock()
    store = MemoryNonceStore(capacity=4, per_session=2, clock=clock)
    for nonce in ("pushed out", "a", "b"):
        store.put(_step(nonce, lifetime=5))
    assert store.consume("b") is not None
    store.put(_step("other", session="t", lifetime=5))
    store.put(_step("other 2", session="t", lifetime=50))
    store.put(_step("other 3", session="u", lifetime=50))
    clock.now = 5
    store.put(_step("new"))  # the full store drops the expired: a and other
    assert len(store) == 3
    assert store.consume_latest("s", "check", "airlock-kms") == _step("new")
    assert store.consume_latest("t", "check", "airlock-kms") == _step("other 2", session="t", lifetime=50)
    assert store.consume_latest("u", "check", "airlock-kms") is not None
    assert (len(store), store._sessions) == (0, {})


@pytest.mark.parametrize("session", ["s", "t"])
def test_a_nonce_that_is_put_twice_is_one_nonce(session: str) -> None:
    """Whoever writes records of their own may do so; the later record counts, in its own session."""
    store = MemoryNonceStore()
    store.put(_step("n"))
    store.put(_step("n", session=session))
    assert len(store) == 1
    assert store.consume_latest(session, "check", "airlock-kms") == _step("n", session=session)
    assert store.consume_latest("s", "check", "airlock-kms") is None
    assert (len(store), store._sessions) == (0, {})


def test_latest_record_goes_to_one_thread() -> None:
    """Whoever races, for the step or for a nonce by its name: each record is taken once."""
    store = MemoryNonceStore()
    taken: list[str] = []
    start = threading.Barrier(6)

    def race(number: int) -> None:
        start.wait()
        for turn in range(300):
            if number == 0:
                store.put(_step(f"n{turn}"))
            record = store.consume(f"n{turn}") if number % 2 else store.consume_latest("s", "check", "airlock-kms")
            if record is not None:
                taken.append(record.nonce)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    with _eager_thread_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(Counter(taken).values()) == 1
    assert (len(store), store._sessions) == (0, {})
