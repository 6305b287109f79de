# SPDX-License-Identifier: Apache-2.0
"""Nonce records in the database, for a service of several processes or servers."""

import json
import math
import time
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, delete, func, select

from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.nonces import NonceRecord, Purpose
from sealpass.service.database import Database
from sealpass.service.schema import NONCES

_COUNTS_A_CAPACITY = 64
"""How often the rows are counted while as many nonces are put as there is room for."""
_PUTS_A_PURGE = 16
_PURGED_AT_ONCE = 64
"""More than _PUTS_A_PURGE, so that the expired become fewer."""
_REFUSED_SECONDS_A_ROW = 1e-6
"""A full store refuses for so long without looking again: ten times what it costs to count a row."""


class SqlNonceStore:
    """A :class:`sealpass.core.nonces.NonceStore`. Thread-safe.

    Expiry goes by the database's clock, because the clocks of servers differ. The wall clock it is: who sets it back
    by an hour gives outstanding nonces an hour more.

    Bounded as MemoryNonceStore is, but not to the last record: rows are counted now and then and not at every put, so
    each process may overshoot ``capacity`` by 1/64 of it; and a session that puts several at the very same time may
    exceed ``per_session`` by those until its next put. Expired rows are removed a few at a time, through an index.
    """

    def __init__(self, database: Database, *, capacity: int = 100_000, per_session: int = 16) -> None:
        self._database = database
        self._capacity = capacity
        self._per_session = per_session
        # Threads that race for these three make the counting a little less exact, and nothing else.
        self._room = 0
        """How many may be put before the rows must be counted again."""
        self._puts = 0
        self._full_until = -math.inf

    def put(self, record: NonceRecord) -> None:
        """See :class:`NonceStore`; raises also as Database.write() does."""
        if not _is_plain(record.nonce) or not _is_plain(record.session):
            raise ConfigError("nonces and sessions are text without NUL")
        values = {
            "nonce": record.nonce,
            "session": record.session,
            "purpose": record.purpose.value,
            "profile": record.profile,
            "alg": record.alg,
            "encs": json.dumps(record.encs),
            "kid": record.kid,
            "lifetime": record.lifetime,
        }
        if time.monotonic() < self._full_until:
            raise self._full()
        self._puts += 1
        purge = self._puts % _PUTS_A_PURGE == 0
        self._room -= 1
        count = self._room < 0

        def work(connection: Connection) -> bool:
            if purge:
                self._purge(connection)
            row = {**values, "expires_at": self._database.now() + record.lifetime}
            if not self._database.insert_if_absent(connection, NONCES, row):
                # Put twice, by whoever writes records: the later one counts.
                connection.execute(delete(NONCES).where(NONCES.c.nonce == record.nonce))
                self._database.insert_if_absent(connection, NONCES, row)
            self._drop_surplus(connection, record.session)
            if count and not self._has_room(connection):
                connection.rollback()
                return False
            return True

        if not self._database.write(work):
            self._full_until = time.monotonic() + self._capacity * _REFUSED_SECONDS_A_ROW
            raise self._full()

    def _full(self) -> BackendUnavailable:
        return BackendUnavailable(
            f"{self._capacity} nonces are outstanding", retryable=True, hint="raise the store's capacity"
        )

    def consume(self, nonce: str) -> NonceRecord | None:
        """See :class:`NonceStore`; raises also as Database.write() does."""
        if not _is_plain(nonce):  # it comes from a token
            return None
        statement = delete(NONCES).where(NONCES.c.nonce == nonce).returning(NONCES, self._database.now().label("now"))
        return _living(self._database.write(lambda connection: connection.execute(statement).first()))

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        """See :class:`NonceStore`; raises also as Database.write() does."""
        if not _is_plain(session):
            return None
        # Locked in order: of two that race, one takes all and the other nothing.
        of_the_step = (
            select(NONCES.c.sequence)
            .where(NONCES.c.session == session, NONCES.c.purpose == purpose, NONCES.c.profile == profile)
            .order_by(NONCES.c.sequence)
            .with_for_update()
        )
        statement = (
            delete(NONCES)
            .where(NONCES.c.sequence.in_(of_the_step))
            .returning(NONCES, self._database.now().label("now"))
        )
        rows = self._database.write(lambda connection: connection.execute(statement).all())
        return _living(max(rows, key=lambda row: row.sequence, default=None))

    def _drop_surplus(self, connection: Connection, session: str) -> None:
        """Take the session's oldest nonces out, down to its share."""
        own = select(NONCES.c.sequence).where(NONCES.c.session == session)
        newest_too_many: ScalarSelect[Any] = (
            own.order_by(NONCES.c.sequence.desc()).limit(1).offset(self._per_session).scalar_subquery()
        )
        # Whoever holds one of them is just taking it out.
        surplus = own.where(NONCES.c.sequence <= newest_too_many).with_for_update(skip_locked=True)
        connection.execute(delete(NONCES).where(NONCES.c.sequence.in_(surplus)))

    def _purge(self, connection: Connection) -> int:
        """Remove some of the expired, the longest dead first."""
        expired = (
            select(NONCES.c.sequence)
            .where(NONCES.c.expires_at <= self._database.now())
            .order_by(NONCES.c.expires_at)
            .limit(_PURGED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        return connection.execute(delete(NONCES).where(NONCES.c.sequence.in_(expired))).rowcount

    def _has_room(self, connection: Connection) -> bool:
        """Count the rows, the new one among them, and remember for how many more there is room."""
        room = self._capacity - connection.execute(select(func.count()).select_from(NONCES)).scalar_one()
        while room < 0 and (purged := self._purge(connection)):
            room += purged
        self._room = min(room, self._capacity // _COUNTS_A_CAPACITY)
        return room >= 0


def _is_plain(text: str) -> bool:
    """Whether a database can hold the text; a token's header can say NUL or half a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _living(row: Row[Any] | None) -> NonceRecord | None:
    if row is None or row.expires_at <= row.now:
        return None
    return NonceRecord(
        nonce=row.nonce,
        session=row.session,
        purpose=Purpose(row.purpose),
        profile=row.profile,
        alg=row.alg,
        encs=tuple(json.loads(row.encs)),
        kid=row.kid,
        lifetime=row.lifetime,
    )
