# SPDX-License-Identifier: Apache-2.0
"""SqlNonceStore keeps what NonceStore promises, and what MemoryNonceStore does with its bounds."""

from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import pytest
from sqlalchemy import event, text

from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.nonces import NonceRecord, NonceStore, Purpose
from sealpass.service.database import Database
from sealpass.service.nonce_store import SqlNonceStore
from tests.service.conftest import Clock, open_database
from tests.service.processes import race

PROCESSES = 4


def _record(nonce: str, session: str = "s", lifetime: float = 300, **changes: Any) -> NonceRecord:
    record = NonceRecord(nonce, session, Purpose.CHECK, "airlock-kms", "RSA-OAEP-256", ("A256GCM",), "kid", lifetime)
    return replace(record, **changes)


@pytest.fixture
def store(database: Database) -> SqlNonceStore:
    """An empty store of the default size."""
    return SqlNonceStore(database)


def _rows(database: Database) -> int:
    count = text("SELECT count(*) FROM sealpass_nonce")
    return int(database.read(lambda connection: connection.execute(count).scalar_one()))


def test_it_is_a_nonce_store(database: Database) -> None:
    """The checker holds it against the protocol; another store on the same database knows its records."""
    store: NonceStore = SqlNonceStore(database)
    other: NonceStore = SqlNonceStore(database)
    store.put(_record("n"))
    assert other.consume("n") is not None


@pytest.mark.parametrize("purpose", Purpose)
def test_a_record_comes_out_as_it_went_in_and_once(store: SqlNonceStore, purpose: Purpose) -> None:
    """Every field; the second consumer gets nothing."""
    record = _record("n", lifetime=12.5, purpose=purpose, encs=("A128GCM", "A256GCM"), kid="ключ")
    store.put(record)
    assert store.consume("n") == record
    assert store.consume("n") is None


@pytest.mark.parametrize("nonce", ["", "N", "n ", "n=", "other", "n\0", "\0", "\ud800", "%", "_"])
def test_nonces_compare_as_exact_strings(store: SqlNonceStore, nonce: str) -> None:
    """What a database cannot even hold is as unknown as any other wrong guess, which leaves the record."""
    store.put(_record("n"))
    assert store.consume(nonce) is None
    assert store.consume_latest(nonce, "check", "airlock-kms") is None
    assert store.consume("n") is not None


@pytest.mark.parametrize(("nonce", "session"), [("n\0", "s"), ("n", "\udfff")])
def test_what_cannot_be_stored_is_refused(store: SqlNonceStore, nonce: str, session: str) -> None:
    """On both databases alike."""
    with pytest.raises(ConfigError, match="text without NUL"):
        store.put(_record(nonce, session))


@pytest.mark.parametrize(("age", "alive"), [(0, True), (9.99, True), (10, False), (11, False)])
def test_records_expire(database: Database, clock: Clock, age: float, alive: bool) -> None:  # noqa: FBT001 - a parameter
    """At the end of its life a nonce is as good as unknown; asking for it removed it."""
    store = SqlNonceStore(database)
    store.put(_record("n", lifetime=10))
    clock.now += age
    assert (store.consume("n") is not None) == alive
    assert _rows(database) == 0


def test_life_goes_by_the_databases_clock(source: str) -> None:
    """Without a clock of the test's: a long life lives, one that is over does not."""
    with open_database(source) as database:
        store = SqlNonceStore(database)
        store.put(_record("long", lifetime=60))
        store.put(_record("over", lifetime=-0.001))
        assert store.consume("long") is not None
        assert store.consume("over") is None


def test_a_full_store_refuses_and_keeps_the_others(database: Database) -> None:
    """Nobody can push out the nonces of other sessions by asking for many."""
    store = SqlNonceStore(database, capacity=3)
    for session in "abc":
        store.put(_record(f"n-{session}", session))
    with pytest.raises(BackendUnavailable, match="3 nonces are outstanding") as caught:
        store.put(_record("n-d", "d"))
    assert caught.value.retryable
    assert _rows(database) == 3
    assert store.consume("n-a") is not None
    store.put(_record("n-d", "d"))
    assert [bool(store.consume(f"n-{session}")) for session in "bcd"] == [True, True, True]


def test_a_full_store_does_not_look_again_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood must not cost a count of all rows a request; after a moment there may be room."""
    store = SqlNonceStore(database, capacity=1)
    now = [100.0]
    monkeypatch.setattr("sealpass.service.nonce_store.time.monotonic", lambda: now[0])
    store.put(_record("n"))
    with pytest.raises(BackendUnavailable):
        store.put(_record("m", "t"))
    assert store.consume("n") is not None
    statements: list[object] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments))
    with pytest.raises(BackendUnavailable):
        store.put(_record("m", "t"))
    assert statements == []
    now[0] += 1
    store.put(_record("m", "t"))


def test_a_store_that_fills_up_while_nobody_counts_stays_near_its_capacity(database: Database) -> None:
    """Rows are counted now and then; two stores together overshoot by 1/64 each at most."""
    stores = [SqlNonceStore(database, capacity=128) for _ in range(2)]
    refused = 0
    for turn in range(200):
        try:
            stores[turn % 2].put(_record(f"n{turn}", f"s{turn}"))
        except BackendUnavailable:
            refused += 1
    assert refused == 200 - _rows(database)
    assert 128 <= _rows(database) <= 132


def test_the_rows_are_not_counted_at_every_put(database: Database) -> None:
    """With room for many, counting is rare."""
    store = SqlNonceStore(database, capacity=6400)
    counts: list[str] = []

    def listen(_c: object, _cursor: object, statement: str, *_: object) -> None:
        counts.extend(["count"] * ("count(*)" in statement))

    event.listen(database.engine, "before_cursor_execute", listen)
    for number in range(102):
        store.put(_record(f"n{number}", f"s{number}"))
    assert len(counts) == 2


def test_a_full_store_forgets_the_expired_first(database: Database, clock: Clock) -> None:
    """Abandoned logins cost room only for their lifetime."""
    store = SqlNonceStore(database, capacity=3)
    store.put(_record("old-1", "a", lifetime=5))
    store.put(_record("old-2", "b", lifetime=5))
    store.put(_record("young", "b", lifetime=50))
    clock.now += 5
    store.put(_record("new", "c"))
    assert store.consume("young") is not None
    assert store.consume("new") is not None


def test_the_expired_go_a_few_at_a_time(database: Database, clock: Clock) -> None:
    """More than come in, so an abandoned flood disappears; and no request removes them all."""
    store = SqlNonceStore(database)
    for number in range(150):
        store.put(_record(f"n{number}", f"s{number}", lifetime=5))
    clock.now += 5
    left = []
    for number in range(48):
        store.put(_record(f"m{number}", f"t{number}"))
        left.append(_rows(database) - number - 1)
    assert max(left) == 150
    assert min(left) == 0
    assert max(before - after for before, after in pairwise(left)) == 64


def test_a_session_loses_its_own_oldest_nonce(database: Database) -> None:
    """A client that only ever asks fills its own share, and no more than that; using one frees its place."""
    store = SqlNonceStore(database, per_session=2)
    store.put(_record("other", "b"))
    for number in range(3):
        store.put(_record(f"n{number}", "a"))
    assert store.consume("n0") is None
    assert store.consume("n2") is not None
    store.put(_record("n3", "a"))
    assert [bool(store.consume(nonce)) for nonce in ("n1", "n3", "other")] == [True, True, True]


def test_a_session_at_its_cap_still_gets_a_nonce_from_a_full_store(database: Database) -> None:
    """It gives up its own oldest one, so nothing of others is needed."""
    store = SqlNonceStore(database, capacity=2, per_session=2)
    for number in range(3):
        store.put(_record(f"n{number}", "a"))
    assert [bool(store.consume(f"n{number}")) for number in range(3)] == [False, True, True]


def test_latest_record_of_a_step_takes_the_older_ones_along(store: SqlNonceStore, database: Database) -> None:
    """A message that names no nonce buys one key operation, however often the step was announced."""
    for number in range(3):
        store.put(_record(f"n{number}"))
    assert store.consume_latest("s", Purpose.CHECK, "airlock-kms") == _record("n2")
    assert store.consume_latest("s", Purpose.CHECK, "airlock-kms") is None
    assert _rows(database) == 0


@pytest.mark.parametrize(
    "step", [("t", "check", "airlock-kms"), ("s", "change", "airlock-kms"), ("s", "check", "sealpass"), ("", "", "")]
)
def test_latest_record_is_of_that_step_only(
    store: SqlNonceStore, database: Database, step: tuple[str, str, str]
) -> None:
    """Another session, purpose or profile finds nothing and takes nothing."""
    store.put(_record("n"))
    store.put(_record("of another session", session="u"))
    store.put(_record("of another purpose", purpose=Purpose.RESET))
    store.put(_record("of another profile", profile="airlock-jwe"))
    assert store.consume_latest(*step) is None
    assert _rows(database) == 4
    assert store.consume_latest("s", "check", "airlock-kms") == _record("n")
    assert _rows(database) == 3


def test_latest_record_that_expired_hides_the_older_ones(
    store: SqlNonceStore, database: Database, clock: Clock
) -> None:
    """An announcement replaces the one before it, also where that one would live longer."""
    store.put(_record("long", lifetime=50))
    store.put(_record("short", lifetime=5))
    clock.now += 5
    assert store.consume_latest("s", "check", "airlock-kms") is None
    assert _rows(database) == 0


@pytest.mark.parametrize("session", ["s", "t"])
def test_a_nonce_that_is_put_twice_is_one_nonce(store: SqlNonceStore, database: Database, session: str) -> None:
    """Whoever writes records of their own may do so; the later record counts, in its own session and as the latest."""
    store.put(_record("n"))
    store.put(_record("m", session=session))
    store.put(_record("n", session=session))
    assert _rows(database) == 2
    assert store.consume_latest(session, "check", "airlock-kms") == _record("n", session=session)
    assert _rows(database) == 0


def test_each_nonce_works_in_one_process(source: str) -> None:
    """Whoever races: all nonces are taken, each by exactly one."""
    nonces = [f"n{number}" for number in range(150)]
    with open_database(source) as database:
        store = SqlNonceStore(database, per_session=len(nonces))
        for nonce in nonces:
            store.put(_record(nonce))

        # The children take connections of their own, though the store came with them.
        taken = race(PROCESSES, lambda _: [nonce for nonce in nonces if store.consume(nonce) is not None])
        assert sorted(chain(*taken)) == sorted(nonces)
        assert _rows(database) == 0


def test_each_step_goes_to_one_process(source: str) -> None:
    """By the step or by name: one process takes the latest, and nobody gets what went with it."""
    steps = [f"s{number}" for number in range(60)]
    with open_database(source) as database:
        store = SqlNonceStore(database)
        for session in steps:
            for number in range(3):
                store.put(_record(f"{session}-{number}", session))

        def work(process: int) -> list[str]:
            taken = []
            for session in steps:
                if process == 0:
                    record = store.consume(f"{session}-2")
                else:
                    record = store.consume_latest(session, "check", "airlock-kms")
                taken.extend([record.nonce] if record else [])
            return taken

        by_name, *latest = race(PROCESSES, work)
    by_step = list(chain(*latest))
    named = {nonce.rpartition("-")[0] for nonce in by_name}
    assert len(set(by_name)) == len(by_name)
    # Where the name was quicker, the step has its next older one, once; nothing is taken twice.
    assert sorted(by_step) == sorted(f"{session}-{1 if session in named else 2}" for session in steps)
