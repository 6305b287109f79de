# SPDX-License-Identifier: Apache-2.0
"""Run the gate over and over on SoftHSM2 beside a noisy neighbour: unchanged, and with planted slowdowns.

Usage: python -m tools.prove_gate [--runs 300] [--planted 60] [--minutes 90] [--table [LOG]]
Every run is a line in .state/proof/gate-3.jsonl; a later call goes on where this one ended (Ctrl-C, or --minutes), with
the runs of the same rule. Prints counts with exact intervals as a Markdown table; --table LOG those of an earlier log.
Exit: 0 the goals are met, 1 not, or not yet (no run begins without a baseline, which is given up after five minutes).
"""

import argparse
import ast
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from sealpass.backends.registry import key_maker
from sealpass.bench.gate import baseline, decision, figures, rounds, spawn, student, trimmed, worker
from sealpass.bench.gate.decision import ANOTHER_DAY_SD, Outcome, Rule
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.uri import KeyUri
from sealpass.softhsm.provisioning import provision
from tools.prove_gate.exact import interval

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state" / "proof"
LOG = STATE / "gate-3.jsonl"
UNCHANGED = "unchanged"
KINDS = {UNCHANGED: "unchanged", "slower": "every operation 5 % slower", "tail": "1 operation in 50 takes 3x"}
CYCLE = (UNCHANGED, UNCHANGED, "slower", UNCHANGED, UNCHANGED, "tail", UNCHANGED)
RUNS_PER_BASELINE = 35
"""A baseline's own error is in all runs against it; so there are many baselines, half of them without the neighbour."""
MAX_ALARMS, LEAST_CAUGHT = 0.01, 0.95
RULE = Rule()
BASELINE_MINUTES = 5.0
"""Of measuring for one baseline; twelve processes in peace take a quarter of a minute."""


def constants(*modules: ModuleType) -> dict[str, float | dict[str, float]]:
    """Every number that modules have as a constant, and every table of numbers: what a rule is, beside its code."""
    found = {}
    for module in modules:
        for name, value in vars(module).items():
            numbers = value.values() if isinstance(value, dict) else [value]
            if name.isupper() and numbers and all(isinstance(number, int | float) for number in numbers):
                found[f"{module.__name__.rpartition('.')[2]}.{name}"] = value
    return found


def code(*modules: ModuleType) -> str:
    """A hash of what modules do: of their source text without comments, docstrings and layout."""
    digest = hashlib.sha256()
    for module in modules:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                said = [one for one in node.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
                node.body = [one for one in node.body if one not in said]
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()


SIGNATURE = [
    asdict(RULE),
    constants(decision, figures, trimmed, rounds, worker),
    asdict(spawn.Request("")),
    baseline.PROCESSES,
    code(decision, figures, rounds, student, trimmed, worker),
]
"""Runs of another rule prove nothing about this one."""


def token() -> str:
    """The URI of a key that stays."""
    made = provision("softhsm2", STATE / "softhsm2")
    os.environ.update(made.config)
    uri = KeyUri.parse(made.uri).replace(path={"object": b"proof"})
    if not list(key_maker(uri).list_keys()):
        key_maker(uri).create_rsa(2048, UnwrapMode.NATIVE)
    return str(uri)


@contextmanager
def neighbour(*, wanted: bool) -> Iterator[None]:
    """A process that takes a core now and then."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-m", "tools.prove_gate.neighbour"], cwd=ROOT) as process:
        try:
            yield
        finally:
            process.terminate()


class NoBaselineError(Exception):
    """No baseline could be measured in time; says why."""


def new_baseline(uri: str) -> list[figures.Figures]:
    """The processes of a fresh baseline; raises NoBaselineError."""
    taken: list[figures.Figures] = []
    end = time.monotonic() + 60 * BASELINE_MINUTES
    while (counted := sum(one.counts for one in taken)) < baseline.PROCESSES:
        if time.monotonic() > end:
            why = "answers too slowly" if any(one.too_slow for one in taken) else "is on a machine that is too busy"
            raise NoBaselineError(
                f"no baseline: in {BASELINE_MINUTES:g} minutes {counted} of {len(taken)} processes counted, and"
                f" {baseline.PROCESSES} are needed; the token {why}. The next call goes on from here"
            )
        taken.append(spawn.measure(spawn.Request(uri)).figures)
    return taken


def one_run(uri: str, kind: str, stored: Sequence[figures.Figures]) -> dict[str, Any]:
    """A gate run as a line of the log."""
    command = None if kind == UNCHANGED else [sys.executable, "-m", "tools.prove_gate.planted", kind]
    request = spawn.Request(uri)
    begin = time.monotonic()
    found = rounds.against_stored(stored, lambda: spawn.measure(request, command).figures, RULE, between=ANOTHER_DAY_SD)
    return {
        "rule": SIGNATURE,
        "kind": kind,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "outcome": found.outcome.value,
        "seconds": round(time.monotonic() - begin, 2),
        "load": os.getloadavg()[0],
        "baseline": [one.to_dict() for one in stored],
        "comparisons": [one.to_dict() for one in found.comparisons],
        "processes": [one.to_dict() for one in found.after],
    }


def read_log(log: Path | None = None) -> list[dict[str, Any]]:
    """The runs of this rule so far, or, of an earlier log, those of its last one; a line that was cut off is none."""
    path = LOG if log is None else log
    runs = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            runs.append(json.loads(line))
        except ValueError:
            continue
    rule = json.loads(json.dumps(SIGNATURE)) if log is None or not runs else runs[-1]["rule"]
    return [run for run in runs if run["rule"] == rule]


def opened_log() -> TextIO:
    """The log, to go on with a line of its own after one that an interrupt cut off; the caller closes it."""
    log = LOG.open("a+", encoding="utf-8")
    log.seek(0)
    so_far = log.read()  # leaves the file at its end
    if so_far and not so_far.endswith("\n"):
        log.write("\n")
    return log


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Markdown: counts, rates with exact 95 % intervals, inconclusive runs apart, and how long they took."""
    lines = [
        "| planted | runs | failed | passed | inconclusive | failed of answered (exact 95 %) | median s | slowest s |",
        "|---|--:|--:|--:|--:|---|--:|--:|",
    ]
    for kind, title in KINDS.items():
        mine = [run for run in runs if run["kind"] == kind]
        if not mine:
            continue
        counts = Counter(run["outcome"] for run in mine)
        failed, answered = counts[Outcome.FAIL], counts[Outcome.FAIL] + counts[Outcome.PASS]
        low, high = interval(failed, answered)
        seconds = sorted(run["seconds"] for run in mine)
        rate = f"{100 * failed / max(answered, 1):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        lines.append(
            f"| {title} | {len(mine)} | {failed} | {counts[Outcome.PASS]} | {counts[Outcome.INCONCLUSIVE]} | "
            f"{rate} | {seconds[len(seconds) // 2]:.1f} | {seconds[-1]:.1f} |"
        )
    return "\n".join(lines) + "\n"


def met(runs: Sequence[dict[str, Any]], wanted: dict[str, int]) -> bool:
    """Whether there are enough runs, with few enough alarms and enough of the slowdowns caught."""
    for kind, count in wanted.items():
        outcomes = Counter(run["outcome"] for run in runs if run["kind"] == kind)
        rate = outcomes[Outcome.FAIL] / max(outcomes.total(), 1)
        if outcomes.total() < count or (rate > MAX_ALARMS if kind == UNCHANGED else rate < LEAST_CAUGHT):
            return False
    return True


def prove(wanted: dict[str, int], end: float) -> None:
    """Run what is missing, in the order of the cycle, until the time is over."""
    uri = token()
    behind = Counter(run["kind"] for run in read_log())
    number = behind.total()
    with opened_log() as log:
        while any(behind[kind] < count for kind, count in wanted.items()):
            with neighbour(wanted=number // RUNS_PER_BASELINE % 2 == 1):
                stored = new_baseline(uri)
            with neighbour(wanted=True):
                for _ in range(RUNS_PER_BASELINE):
                    kind = CYCLE[number % len(CYCLE)]
                    number += 1
                    if behind[kind] >= wanted[kind]:
                        continue
                    if time.monotonic() > end:
                        return
                    run = one_run(uri, kind, stored)
                    log.write(json.dumps(run) + "\n")
                    log.flush()
                    behind[kind] += 1
                    print(f"{sum(behind.values())}: {kind}: {run['outcome']}, {run['seconds']} s", file=sys.stderr)


def main() -> int:
    """Prove, and print the table."""
    parser = argparse.ArgumentParser(description="Run the gate over and over beside a noisy neighbour.")
    parser.add_argument("--runs", type=int, default=300, help="of an unchanged token")
    parser.add_argument("--planted", type=int, default=60, help="of each slowdown")
    parser.add_argument("--minutes", type=float, default=90, help="stop after these; the next call goes on")
    parser.add_argument("--table", nargs="?", const=LOG, type=Path, metavar="LOG", help="only print what there is")
    arguments = parser.parse_args()
    STATE.mkdir(parents=True, exist_ok=True)
    wanted = {kind: arguments.runs if kind == UNCHANGED else arguments.planted for kind in KINDS}
    if not arguments.table:
        os.chdir(ROOT)  # where fresh processes find the planted effects
        try:
            prove(wanted, time.monotonic() + 60 * arguments.minutes)
        except KeyboardInterrupt:
            print("interrupted; the next call goes on from here", file=sys.stderr)
        except NoBaselineError as error:
            print(error, file=sys.stderr)
    runs = read_log(None if arguments.table == LOG else arguments.table)
    print(table(runs))
    return 0 if met(runs, wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
