# SPDX-License-Identifier: Apache-2.0
"""The proof's own arithmetic: exact intervals, planted effects, the table, and going on where it ended."""

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sealpass.bench.gate import decision, spawn
from sealpass.bench.gate.operation import Timed
from tests.bench.gate.conftest import processes
from tools.prove_gate import __main__ as proof
from tools.prove_gate import planted
from tools.prove_gate.exact import interval


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [(0, 300, 0.0, 0.01222), (3, 300, 0.00207, 0.02894), (57, 60, 0.86076, 0.98957), (60, 60, 0.94037, 1.0)],
)
def test_exact_intervals(events: int, trials: int, low: float, high: float) -> None:
    """Against scipy.stats.beta.ppf; no trials say nothing."""
    assert interval(events, trials) == pytest.approx((low, high), abs=2e-5)
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("effect", "longer"), [("slower", 0.05), ("tail", 2.0)])
def test_what_is_planted(monkeypatch: pytest.MonkeyPatch, effect: str, longer: float) -> None:
    """The operation takes longer by a part of its own CPU time, and its answer stays."""
    now = 0

    def tick() -> int:
        nonlocal now
        now += 100
        return now

    def call(_number: int) -> object:
        nonlocal now
        now += 1_000_000
        return "answer"

    monkeypatch.setattr(time, "thread_time_ns", tick)
    monkeypatch.setattr(time, "perf_counter_ns", tick)
    monkeypatch.setattr(planted._DRAW, "random", lambda: 0.0)
    assert planted.plant(effect)(Timed(call, lambda _number: None)).call(1) == "answer"
    assert now == pytest.approx(1_000_000 * (1 + longer), rel=0.01)


def runs(kind: str, **outcomes: int) -> list[dict[str, Any]]:
    """Runs that ended so."""
    return [
        {"kind": kind, "outcome": outcome, "seconds": 7.0, "rule": proof.SIGNATURE}
        for outcome, count in outcomes.items()
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("unchanged", "slower", "is_met"),
    [
        ({"pass": 298, "fail": 2}, {"fail": 60}, True),
        ({"pass": 296, "fail": 4}, {"fail": 60}, False),
        ({"pass": 200}, {"fail": 60}, False),
        ({"pass": 300}, {"fail": 56, "inconclusive": 4}, False),
    ],
)
def test_when_the_goals_are_met(unchanged: dict[str, int], slower: dict[str, int], *, is_met: bool) -> None:
    """At most 1 % alarms, at least 95 % caught, and enough of both; inconclusive is not caught."""
    done = runs("unchanged", **unchanged) + runs("slower", **slower) + runs("tail", fail=60)
    assert proof.met(done, {"unchanged": 300, "slower": 60, "tail": 60}) is is_met


def test_the_table_counts_inconclusive_runs_apart() -> None:
    """The interval is that of the runs with an answer."""
    text = proof.table(runs("unchanged", **{"pass": 97, "fail": 1, "inconclusive": 2}))
    assert "| unchanged | 100 | 1 | 97 | 2 | 1.0 % [0.0, 5.6] | 7.0 | 7.0 |" in text


def test_another_constant_is_another_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever number a module of the rule has by name; text and functions are none."""
    before = proof.constants(decision)
    assert before["decision.PROCESS_SD"] == decision.PROCESS_SD
    assert "decision.TITLES" not in before
    monkeypatch.setattr(decision, "_STRAY_SDS", 99.0)
    assert proof.constants(decision) != before


def test_another_formula_is_another_rule(tmp_path: Path) -> None:
    """Other words about the same code are not."""

    def written(text: str) -> ModuleType:
        module = ModuleType("rule")
        module.__file__ = str(tmp_path / "rule.py")
        Path(module.__file__).write_text(text)
        return module

    formula = "class A:\n    def f(x):\n        return {} * x\n"
    before = proof.code(written(formula.format(2)))
    said = '"""A module."""\n\n' + formula.replace("):\n", '):  # twice\n        """Twice."""\n').format(2)
    assert '"""Twice."""' in said
    assert proof.code(written(said)) == before
    assert proof.code(written(formula.format(3))) != before


@pytest.mark.parametrize(
    ("figures", "why"), [({"warm": 1}, "busy"), ({"pairs": 6, "warm": 6}, "too slowly")], ids=["busy", "slow"]
)
def test_a_baseline_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, figures: dict[str, Any], why: str) -> None:
    """With the reason, where no process counts."""
    now = 0.0

    def measure(_request: spawn.Request) -> Any:
        nonlocal now
        now += 10.0
        return processes(**figures)(_request)

    monkeypatch.setattr(spawn, "measure", measure)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with pytest.raises(proof.NoBaselineError, match=why):
        proof.new_baseline("software:path=x")
    assert now == 60 * proof.BASELINE_MINUTES + 10


def test_a_proof_without_a_baseline_ends_with_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and the table of what there is."""

    def give_up(_uri: str) -> Any:
        raise proof.NoBaselineError("no peace")

    monkeypatch.setattr(proof, "STATE", tmp_path)
    monkeypatch.setattr(proof, "LOG", tmp_path / "gate.jsonl")
    monkeypatch.setattr(proof, "token", lambda: "software:path=x")
    monkeypatch.setattr(proof, "new_baseline", give_up)
    monkeypatch.setattr(sys, "argv", ["prove_gate"])
    monkeypatch.chdir(tmp_path)
    assert proof.main() == 1
    printed = capsys.readouterr()
    assert "no peace" in printed.err
    assert printed.out.startswith("| planted |")


def test_only_runs_of_this_rule_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that an interrupt cut off, and one of another rule, are passed over."""
    log = tmp_path / "gate.jsonl"
    monkeypatch.setattr(proof, "LOG", log)
    assert proof.read_log() == []
    good = json.dumps(runs("unchanged", **{"pass": 1})[0])
    other = json.dumps({**json.loads(good), "rule": ["another"]})
    log.write_text(f"{good}\n{other}\n{good[:20]}")
    assert [run["outcome"] for run in proof.read_log()] == ["pass"]


def test_an_earlier_log_is_counted_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the rule of its last run; the runs of this rule are in a log of their own."""
    monkeypatch.setattr(proof, "STATE", tmp_path)
    monkeypatch.setattr(proof, "LOG", tmp_path / "new.jsonl")
    monkeypatch.chdir(tmp_path)
    (run,) = runs("unchanged", **{"pass": 1})
    old = [{**run, "rule": ["older"]}, {**run, "rule": ["old"]}, {**run, "rule": ["old"], "outcome": "fail"}]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(one) + "\n" for one in old))
    monkeypatch.setattr(sys, "argv", ["prove_gate", "--table", "old.jsonl"])
    assert proof.main() == 1
    assert "| unchanged | 2 | 1 | 1 | 0 |" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["prove_gate", "--table"])
    assert proof.main() == 1
    assert "unchanged" not in capsys.readouterr().out


def test_a_line_that_was_cut_off_does_not_swallow_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next call begins on a line of its own; a whole log, or none, gets no empty one."""
    log = tmp_path / "gate.jsonl"
    monkeypatch.setattr(proof, "LOG", log)
    (run,) = runs("unchanged", **{"pass": 1})
    for before in ("", json.dumps(run) + "\n", json.dumps(run)[:20]):
        log.write_text(before)
        with proof.opened_log() as file:
            file.write(json.dumps(run) + "\n")
        assert len(proof.read_log()) == 1 + before.count("\n")
        assert "\n\n" not in log.read_text()
