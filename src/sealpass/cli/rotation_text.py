# SPDX-License-Identifier: Apache-2.0
"""What ``sealpass records`` found and did, as rows for people."""

from collections.abc import Mapping
from typing import Any

from sealpass.core.records import RecordUse
from sealpass.service.audit import Audit, Standing
from sealpass.service.estimate import Estimate

_VERDICTS = {
    Standing.CURRENT: "the current key",
    Standing.IN_USE: "in use: keep it",
    Standing.FREE: "no records: may be retired",
    Standing.UNKNOWN: "not among the given keys: put it back",
    Standing.NOT_ASKED: "no keys given",
    Standing.UNSEALED: "not sealed",
}


def audit_rows(found: Audit) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """A row for each key and algorithm, and the headers."""
    rows = [
        (
            line.key_id or "-",
            line.algorithm or "-",
            *(str(line.by_slot.get(slot, 0)) for slot in RecordUse),
            _VERDICTS[line.standing],
        )
        for line in found.lines
    ]
    return rows, ("KEY ID", "ALGORITHM", *(slot.value.upper() for slot in RecordUse), "KEY")


def outcome_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The summary of a run."""
    rows = [
        ("new key", result["target"]),
        ("records under other keys", str(result["to_move"])),
        ("tried, not stored", str(result["tried"])) if result["dry_run"] else ("moved", str(result["moved"])),
        ("changed by others meanwhile", str(result["changed_meanwhile"])),
        ("not sealed at all", str(result["not_sealed"])),
    ]
    if result["rehearsal"] is not None:
        rehearsal = result["rehearsal"]
        rate, hours = rehearsal["records_per_second"], rehearsal["hours_for_all"]
        rows.append(("time of the rehearsal", f"{rehearsal['seconds']:.2f} s, {rate:,.0f} records a second"))
        rows.append(("so all records would take about", f"{_time(hours)}, and the database's writes"))
    rows += [
        (f"refused ({kind['problem']})", f"{kind['records']} in slot {kind['slot']} under {kind['key_id']}")
        for kind in result["refused"]
    ]
    return rows


def estimate_rows(found: Estimate, rate: float | None) -> list[tuple[str, str]]:
    """The estimate, in hours or, below one, in minutes."""
    rows = [("records", str(found.records))]
    rows += [(f"calls of kms:{operation}", str(number)) for operation, number in found.calls.items()]
    if found.calls:
        rows.append(("price", f"{found.currency} {found.price:,.2f} (table of {found.as_of})"))
    if found.hours_at_quota is not None:
        rows.append(("time at the default quota", f"{_time(found.hours_at_quota)}, if nothing else uses KMS"))
    if found.hours_at_rate is not None and rate is not None:
        rows.append((f"time at {rate:g} records a second", _time(found.hours_at_rate)))
    if found.cpu_hours is not None:
        rows.append(("time of one processor here", _time(found.cpu_hours)))
    if not found.calls:
        rows.append(("price", "none: no AWS KMS takes part"))
        rows.append(("time", "depends on the device; --dry-run measures it"))
    return rows


def _time(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.1f} h"
