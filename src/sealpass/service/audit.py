# SPDX-License-Identifier: Apache-2.0
"""Which keys the stored records need: what may leave the ring, and what must not.

Only rows are counted. A record in a backup, or one that a server with an older ring writes a moment later, is not
among them; docs/rotation.md says when a key may go.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sealpass.core.algorithms import SEAL_ALGORITHMS
from sealpass.core.records import RecordUse
from sealpass.service.record_table import RecordCount

MOST_GCM_WRITES = 2**30
"""Under one key, with random 96-bit IVs: a quarter of the 2^32 of NIST SP 800-38D, section 8.3."""
WRITES_OF_A_ROW = 4
"""Only rows can be counted, and what was in them before cannot: docs/rotation.md says what this number stands for."""
EARLY_GCM_ROWS = MOST_GCM_WRITES // WRITES_OF_A_ROW // 2
_GCM = frozenset(algorithm.name for algorithm in SEAL_ALGORITHMS if algorithm.nonce_bytes)


class Standing(StrEnum):
    """What a key is to the records."""

    CURRENT = "current"
    IN_USE = "in-use"
    """A previous key that still has records."""
    FREE = "free"
    """A previous key without a record: it may be retired."""
    UNKNOWN = "unknown"
    """It has records, and none of the given keys is it."""
    NOT_ASKED = "not-asked"
    """It has records, and no keys were given to compare it with."""
    UNSEALED = "unsealed"
    """No key at all: legacy hashes, which their users' next logins seal."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """The records of one key and algorithm, by slot; a key without records has no algorithm."""

    key_id: str | None
    algorithm: str | None
    standing: Standing
    by_slot: dict[RecordUse, int]

    @property
    def records(self) -> int:
        """In all slots."""
        return sum(self.by_slot.values())


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    lines: tuple[AuditLine, ...]

    def standing_of(self, key_id: str) -> Standing:
        """What the key is; one that has no records and was not given is unknown as well, and so not free."""
        return next((line.standing for line in self.lines if line.key_id == key_id), Standing.UNKNOWN)

    def with_standing(self, standing: Standing) -> list[AuditLine]:
        """The lines of keys of that standing."""
        return [line for line in self.lines if line.standing is standing]

    def warnings(self) -> list[str]:
        """What an operator should act upon."""
        unknown = [
            f"{line.records} records are under {line.key_id}, which is not among the given keys: nobody can log in"
            " with them until that key is back in the ring"
            for line in self.with_standing(Standing.UNKNOWN)
        ]
        rows: Counter[str] = Counter()
        for line in self.lines:
            if line.key_id is not None and line.algorithm in _GCM:
                rows[line.key_id] += line.records
        return unknown + [_too_many(key_id, number) for key_id, number in rows.items() if number >= EARLY_GCM_ROWS]


def _too_many(key_id: str, rows: int) -> str:
    what = "is past" if rows * WRITES_OF_A_ROW >= MOST_GCM_WRITES else "comes near"
    return (
        f"{key_id} {what} 2^30 = {MOST_GCM_WRITES} AES-GCM writes: it has {rows} rows, and each is taken for"
        f" {WRITES_OF_A_ROW} writes; make a new current key"
    )


def audit(counts: Iterable[RecordCount], keys: Sequence[str] = ()) -> Audit:
    """Compare the counts with the key ids of a ring, the current one first."""
    slots: dict[tuple[str | None, str | None], dict[RecordUse, int]] = {}
    for count in counts:
        by_slot = slots.setdefault((count.key_id, count.algorithm), {})
        by_slot[count.slot] = by_slot.get(count.slot, 0) + count.records
    lines = [
        AuditLine(key_id, algorithm, _standing(key_id, keys), by_slot) for (key_id, algorithm), by_slot in slots.items()
    ]
    used = {line.key_id for line in lines}
    lines += [
        AuditLine(key_id, None, Standing.FREE if number else Standing.CURRENT, {})
        for number, key_id in enumerate(dict.fromkeys(keys))
        if key_id not in used
    ]
    places = {key_id: place for place, key_id in enumerate(keys)}
    last = len(places)
    return Audit(tuple(sorted(lines, key=lambda line: (places.get(line.key_id or "", last), line.key_id or "~"))))


def _standing(key_id: str | None, keys: Sequence[str]) -> Standing:
    """Of a key that has records."""
    if key_id is None:
        return Standing.UNSEALED
    if not keys:
        return Standing.NOT_ASKED
    if key_id not in keys:
        return Standing.UNKNOWN
    return Standing.CURRENT if key_id == keys[0] else Standing.IN_USE
