# SPDX-License-Identifier: Apache-2.0
import pytest

from sealpass.core.records import RecordUse
from sealpass.service.audit import MOST_GCM_WRITES, Standing, audit
from sealpass.service.record_table import RecordCount

COUNTS = [
    RecordCount(None, None, RecordUse.CURRENT, 7),
    RecordCount("a", "A256GCM", RecordUse.CURRENT, 1),
    RecordCount("a", "A256GCM", RecordUse.HISTORY, 2),
    RecordCount("b", "awskms", RecordUse.LETTER, 4),
]


def test_each_key_has_its_standing_in_the_ring() -> None:
    """Lines come in the ring's order, then what is not in it; slots are counted together and apart."""
    found = audit(COUNTS, ["new", "a", "gone"])
    assert [(line.key_id, line.standing, line.records) for line in found.lines] == [
        ("new", Standing.CURRENT, 0),
        ("a", Standing.IN_USE, 3),
        ("gone", Standing.FREE, 0),
        ("b", Standing.UNKNOWN, 4),
        (None, Standing.UNSEALED, 7),
    ]
    assert found.lines[1].by_slot == {RecordUse.CURRENT: 1, RecordUse.HISTORY: 2}
    assert [warning.partition(" records are under ")[2].partition(",")[0] for warning in found.warnings()] == ["b"]


@pytest.mark.parametrize("slot", RecordUse)
def test_one_record_in_any_slot_keeps_a_key(slot: RecordUse) -> None:
    """A key is free only where nothing at all is under it."""
    found = audit([RecordCount("old", "A256GCM", slot, 1)], ["new", "old"])
    assert found.standing_of("old") is Standing.IN_USE
    assert found.with_standing(Standing.FREE) == []


def test_no_key_is_free_that_was_not_given_or_is_current() -> None:
    """Also one without records: it may be a misspelt id, or another ring's."""
    found = audit([], ["new", "old"])
    assert found.standing_of("old") is Standing.FREE
    assert found.standing_of("new") is Standing.CURRENT
    assert found.standing_of("misspelt") is Standing.UNKNOWN
    assert audit([], ["same", "same"]).standing_of("same") is Standing.CURRENT


def test_without_keys_it_only_counts() -> None:
    """Nothing is unknown then, and nothing free."""
    found = audit(COUNTS)
    assert {line.standing for line in found.lines} == {Standing.NOT_ASKED, Standing.UNSEALED}
    assert found.warnings() == []


@pytest.mark.parametrize(
    ("rows", "algorithm", "said"),
    [
        (2**27 - 2, "A256GCM", ""),
        (2**27 - 1, "A128GCM", "comes near 2^30"),
        (2**28 - 2, "A256GCM", "comes near 2^30"),
        (2**28 - 1, "A256GCM", "is past 2^30"),
        (MOST_GCM_WRITES, "awskms", ""),
    ],
)
def test_many_gcm_writes_under_one_key_are_a_warning(rows: int, algorithm: str, said: str) -> None:
    """Over all slots, each row for four writes, and the warning says so; KMS counts its own."""
    counts = [
        RecordCount("key", algorithm, RecordUse.CURRENT, rows),
        RecordCount("key", algorithm, RecordUse.HISTORY, 1),
    ]
    text = " ".join(audit(counts, ["key"]).warnings())
    assert said in text
    assert bool(said) is ("each is taken for 4 writes" in text)
