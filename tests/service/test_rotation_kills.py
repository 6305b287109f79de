# SPDX-License-Identifier: Apache-2.0
"""A rotation that is killed at any instruction, while users log in and change their passwords. Many: ``make proof``."""

from collections.abc import Callable

import pytest

from sealpass.service.record_table import RecordTable, Replacement
from tests.service import rotation_kills
from tests.service.rotation_kills import kill_rotations

KILLS = 5
SEED = 20261122


def test_a_rotation_may_be_killed_at_any_instruction(source: str) -> None:
    """Afterwards every user's newest password verifies, no history is lost, and one more run finishes only the rest."""
    found = kill_rotations(source, KILLS, SEED)
    assert found.losses == []
    assert found.kills == KILLS
    assert min(found.logins, found.changes) > 0
    assert found.records > rotation_kills.SUBJECTS


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_rotation_that_loses_records_is_found_out(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: where one record of a batch is put in the place of another, it tells of lost passwords."""
    replace_many = RecordTable.replace_many

    def replace_wrongly(table: RecordTable, replacements: list[Replacement], committing: Callable[[], object]) -> int:
        wrong = [each._replace(new=replacements[0].new) for each in replacements]
        return replace_many(table, wrong, committing)

    monkeypatch.setattr(RecordTable, "replace_many", replace_wrongly)
    assert any("is not of its password" in loss for loss in kill_rotations(source, 2, SEED).losses)
