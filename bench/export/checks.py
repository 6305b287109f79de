# SPDX-License-Identifier: Apache-2.0
"""What a document decided, one check at a time: the common ground of reports that only know passed and failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealpass.bench.export import GATE, Document
from sealpass.bench.gate import rows
from sealpass.bench.gate.decision import Outcome
from sealpass.bench.gate.document import BASELINE, COMPARISON, OBJECTIVES, WARNING


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer."""

    group: str
    name: str
    outcome: Outcome
    """INCONCLUSIVE also for what was not done or not measured."""
    reason: str | None = None


def checks(document: Document) -> Iterator[Check]:
    """The checks of a gate, a comparison or a run."""
    return _of_gate(document) if document["schema"] == GATE else _of_run(document)


def _of_gate(document: Document) -> Iterator[Check]:
    """Each stage; or the statistics or objectives that it consists of, beside a warning of its own."""
    for stage in document["stages"]:
        if stage["id"] in (BASELINE, COMPARISON) and document["comparisons"]:
            if stage["outcome"] == WARNING:  # what the pass of its statistics rests on
                yield Check(stage["id"], stage["title"], Outcome.PASS, "; ".join(stage["reasons"]))
            for one in document["comparisons"]:
                yield Check(stage["id"], one["title"], Outcome(one["outcome"]), _compared(one, document))
        elif stage["id"] == OBJECTIVES and document["objectives"]:
            for one in document["objectives"]:
                yield Check(stage["id"], one["title"], Outcome(one["outcome"]), one["reason"])
        else:
            yield Check(stage["id"], stage["title"], _outcome(stage["outcome"]), "; ".join(stage["reasons"]) or None)


def _outcome(stage_outcome: str) -> Outcome:
    """A stage that warns, and has nothing that it consists of, compared nothing."""
    return Outcome(stage_outcome) if stage_outcome in set(Outcome) else Outcome.INCONCLUSIVE


def _compared(comparison: Mapping[str, Any], document: Document) -> str:
    """A statistic in one line, as in the table."""
    headers = rows.comparison_headers(document)
    row = rows.comparison_row(comparison)
    figures = ", ".join(f"{header} {cell}" for header, cell in list(zip(headers, row, strict=True))[1:-1])
    return figures if comparison["reason"] is None else f"{comparison['reason']}; {figures}"


def _of_run(document: Document) -> Iterator[Check]:
    """A measurement passes where every answer was right; no speed is judged."""
    for one in document["measurements"]:
        if one["status"] != "measured":
            yield Check(one["operation"], one["id"], Outcome.INCONCLUSIVE, one["reason"])
        elif one["errors"]:
            shown = ", ".join(f"{count} x {code}" for code, count in sorted(one["errors"].items()))
            yield Check(one["operation"], one["id"], Outcome.FAIL, f"of {one['operations']} operations failed: {shown}")
        else:
            yield Check(one["operation"], one["id"], Outcome.PASS, f"{one['throughput_per_s']:.1f}/s")
