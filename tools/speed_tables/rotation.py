# SPDX-License-Identifier: Apache-2.0
"""Rotation with a local AES key: the crypto path alone, and whole jobs beside bare batched UPDATEs of the same rows.

A bare loop reads the rows batch by batch, and replaces each by a record that was prepared before the clock started,
where it is still the one that was read. Table, constraints, batches, transactions and settings are the same. It seals
nothing, keeps no checkpoint, and does not look again for what came late.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, insert, literal, select, tuple_, update

from sealpass import KeyRing, KeyUri, RecordUse
from sealpass.backends.registry import key_maker
from sealpass.bench.interleaved import Operation, measure
from sealpass.core import argon2_hash, records
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealer
from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.record_table import RecordTable
from sealpass.service.rotation import DEFAULT_BATCH, Rotation
from sealpass.service.schema import RECORDS, SUBJECTS
from tests.support import postgresql
from tools.speed_tables.workload import STATE, table

HASH = argon2_hash.matchless_hash(argon2_hash.RFC_9106_LOW_MEMORY).encode("ascii")
CHEAP = argon2_hash.Argon2Parameters(memory_kib=8, passes=1, lanes=1)
"""For the one record of nobody that Passwords makes."""
NAMES = ("new", "new_key_id", "new_algorithm", "at_subject", "at_slot", "at_sequence", "old")
ROW = (RECORDS.c.subject, RECORDS.c.slot, RECORDS.c.sequence, RECORDS.c.record)
New = tuple[str, str, str, str, str, int, str]
"""In the order of NAMES."""

READ = """
    SELECT subject, slot, sequence, record FROM sealpass_record WHERE (subject, slot, sequence) > (%s, %s, %s)
    ORDER BY subject, slot, sequence LIMIT %s
"""
UPDATE = """
    UPDATE sealpass_record SET record = %s, key_id = %s, algorithm = %s
    WHERE subject = %s AND slot = %s AND sequence = %s AND record = %s
"""
UPDATE_AT_ONCE = """
    UPDATE sealpass_record AS stored SET record = new.record, key_id = new.key_id, algorithm = new.algorithm
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::text[])
      AS new (record, key_id, algorithm, subject, slot, sequence, old)
    WHERE stored.subject = new.subject AND stored.slot = new.slot AND stored.sequence = new.sequence
      AND stored.record = new.old
"""
CORE_UPDATE = (
    update(RECORDS)
    .where(*(column == bindparam(name) for column, name in zip(ROW, NAMES[3:], strict=True)))
    .values(record=bindparam("new"), key_id=bindparam("new_key_id"), algorithm=bindparam("new_algorithm"))
)


Batches = list[list[New]]
Way = Callable[[Database, Batches], Callable[[], None]]
"""Makes ready what can be made ready before the clock starts."""


def only_update(database: Database, batches: Batches) -> Callable[[], None]:
    """The driver's executemany."""

    def run() -> None:
        for batch in batches:
            database.write(partial(_execute_many, UPDATE, batch))

    return run


def with_driver(database: Database, batches: Batches) -> Callable[[], None]:
    """Reading, and the driver's executemany."""

    def run() -> None:
        after: tuple[Any, ...] = ("", "", 0)
        for batch in batches:
            after = database.read(partial(_execute, READ, (*after, DEFAULT_BATCH)))[-1][:3]
            database.write(partial(_execute_many, UPDATE, batch))

    return run


def with_arrays(database: Database, batches: Batches) -> Callable[[], None]:
    """Reading, and one statement a batch, which PostgreSQL can do."""

    def run() -> None:
        after: tuple[Any, ...] = ("", "", 0)
        for batch in batches:
            after = database.read(partial(_execute, READ, (*after, DEFAULT_BATCH)))[-1][:3]
            columns = [list(column) for column in zip(*batch, strict=True)]
            database.write(partial(_execute, UPDATE_AT_ONCE, columns))

    return run


def with_core(database: Database, batches: Batches) -> Callable[[], None]:
    """Reading, and executemany, by SQLAlchemy Core."""
    named = [[dict(zip(NAMES, row, strict=True)) for row in batch] for batch in batches]

    def run() -> None:
        place, after = tuple_(*ROW[:3]), ["", "", 0]
        for batch in named:
            query = select(*ROW).where(place > tuple_(*map(literal, after))).order_by(*ROW[:3]).limit(DEFAULT_BATCH)
            after = list(database.read(partial(_all, query))[-1][:3])
            database.write(partial(Connection.execute, statement=CORE_UPDATE, parameters=batch))

    return run


def _execute(statement: str, parameters: Any, connection: Connection) -> list[Any]:
    cursor = _cursor(connection)
    cursor.execute(_dialect(statement, connection), parameters)
    return cursor.fetchall() if cursor.description else []


def _execute_many(statement: str, rows: list[New], connection: Connection) -> None:
    _cursor(connection).executemany(_dialect(statement, connection), rows)


def _all(query: Any, connection: Connection) -> Any:
    return connection.execute(query).all()


def _cursor(connection: Connection) -> Any:
    """The driver's own, in a transaction."""
    connection.begin()
    return connection.connection.cursor()


def _dialect(statement: str, connection: Connection) -> str:
    return statement.replace("%s", "?") if connection.dialect.name == "sqlite" else statement


def _prepare(database: Database, sealer: Sealer) -> Batches:
    """For every row a record under that key."""
    rows: list[New] = []
    for (subject, slot, sequence), old in RecordTable(database).scan(limit=1_000_000):
        new = str(records.seal(sealer, HASH, records.bound_to(subject, slot)))
        rows.append((new, *records.key_and_algorithm(new), subject, slot.value, sequence, old))
    return [rows[first : first + DEFAULT_BATCH] for first in range(0, len(rows), DEFAULT_BATCH)]


def _fill(database: Database, sealer: Sealer, count: int) -> None:
    subjects = [f"{number * 2654435761 % 2**32:08x}-5a8b-4c0e-9d57-3a1b7e2f4c60" for number in range(count)]
    about = {"must_change": False, "failures": 0, "changed_at": 0.0}
    rows = []
    for subject in subjects:
        record = str(records.seal(sealer, HASH, records.bound_to(subject, RecordUse.CURRENT)))
        key_id, algorithm = records.key_and_algorithm(record)
        place = {"subject": subject, "slot": "current", "sequence": 0, "made_at": 0.0}
        rows.append({**place, "record": record, "key_id": key_id, "algorithm": algorithm})
    database.write(lambda connection: connection.execute(insert(SUBJECTS), [{"subject": s, **about} for s in subjects]))
    database.write(lambda connection: connection.execute(insert(RECORDS), rows))


@contextmanager
def _keys() -> Iterator[tuple[KeyUri, KeyUri]]:
    """Two AES keys in files."""
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        first, second = (KeyUri("software", {"path": os.fsencode(Path(folder) / f"{name}.jwk")}) for name in "ab")
        yield key_maker(first).create_aes(256), key_maker(second).create_aes(256)


def _crypto_path(uris: tuple[KeyUri, KeyUri], rounds: int, block: int) -> str:
    """One record after the other in one thread, without a database."""
    subject, gcm, nonce = "8a6e0804-2bd0-4f2c-9d0f-1c1b6a3b7d55", AESGCM(os.urandom(32)), os.urandom(12)
    aad = records.bound_to(subject, RecordUse.CURRENT).encode("ascii")
    ciphertext = gcm.encrypt(nonce, HASH, aad)
    with KeyRing(uris[1], [uris[0]]) as ring:
        passwords, old = Passwords(ring, hashing=CHEAP), KeyRing(uris[0])
        with old:
            record = str(records.seal(old.current_sealer, HASH, records.bound_to(subject, RecordUse.CURRENT)))
        cases: dict[str, Operation] = {
            "cryptography, bare AES-GCM decrypt and encrypt": lambda _: gcm.encrypt(
                os.urandom(12), gcm.decrypt(nonce, ciphertext, aad), aad
            ),
            "sealpass, Passwords.rotate": lambda _: passwords.rotate(record, subject),
        }
        samples = measure(cases, rounds=rounds, block=10 * block)
    name = "sealpass, Passwords.rotate"
    text = table("Rotation, the crypto path of one process (AES-256 key in a file)", samples, next(iter(cases)))
    return text + f"\n{1e6 / samples[name].median_us:.0f} records a second.\n"


def _whole_jobs(
    title: str, database: Database, uris: tuple[KeyUri, KeyUri], ways: dict[str, Way], turns: int, count: int
) -> str:
    """Markdown. In each turn every way and then the rotation go over the whole table, each with the other key."""
    rates: dict[str, list[float]] = {name: [] for name in [*ways, ROTATION]}
    current, other = uris
    with KeyRing(current) as ring:
        _fill(database, ring.current_sealer, count)
    for _ in range(turns):
        for name, taken in rates.items():
            current, other = other, current
            with KeyRing(current, [other]) as ring:
                if name == ROTATION:
                    run: Callable[[], object] = Rotation(database, ring).run
                else:
                    run = ways[name](database, _prepare(database, ring.current_sealer))
                begin = time.perf_counter()
                run()
                taken.append(count / (time.perf_counter() - begin))
                counts = RecordTable(database).counts()
                assert [(each.key_id, each.records) for each in counts] == [(ring.current_sealer.key_id, count)]
    lines = [
        f"**{title}: {count} records, {DEFAULT_BATCH} a batch, {turns} turns**",
        "",
        "| what | median records/s | the rotation, as a part of it (least, most) |",
        "|---|---|---|",
    ]
    for name, values in rates.items():
        ratios = [rotation / value for rotation, value in zip(rates[ROTATION], values, strict=True)]
        figures = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})" if name in ways else "1"
        lines.append(f"| {name} | {statistics.median(values):.0f} | {figures} |")
    return "\n".join(lines) + "\n"


ROTATION = "sealpass, whole rotation"
WAYS: dict[str, Way] = {
    "UPDATE alone, driver's executemany": only_update,
    "reading and UPDATE, driver's executemany": with_driver,
    "reading and UPDATE, SQLAlchemy Core": with_core,
}


def rotations(rounds: int, block: int) -> Iterator[str]:
    """The tables; fewer rounds are fewer turns over fewer rows."""
    turns, count = max(3, rounds // 17), min(50_000, 1000 * rounds)
    with _keys() as uris:
        yield _crypto_path(uris, rounds, block)
        with (
            tempfile.TemporaryDirectory(dir=STATE) as folder,
            Database(f"sqlite:///{folder}/rotation.db") as database,
        ):
            migrations.upgrade(database)
            yield _whole_jobs("Rotation on SQLite", database, uris, WAYS, turns, count)
        if (obstacle := postgresql.obstacle()) is not None:
            yield f"**Rotation on PostgreSQL**: not measured: {obstacle}.\n"
            return
        with postgresql.run_server() as server, Database(server.clean_database()) as database:
            ways = {**WAYS, "reading and UPDATE, one statement a batch": with_arrays}
            yield _whole_jobs("Rotation on PostgreSQL", database, uris, ways, turns, count)
