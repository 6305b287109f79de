# SPDX-License-Identifier: Apache-2.0
"""action.yml, its steps run by sh as GitHub's runner runs them, with the real command and real keys."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.registry import key_maker
from sealpass.bench.gate.baseline import Baseline
from sealpass.bench.gate.spawn import Measured, Request, measure
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.uri import KeyUri
from sealpass.softhsm.provisioning import provision
from tests.bench.gate.conftest import TAKEN, a_baseline
from tests.bench.gate.modelled import plain
from tests.support.process import run_python

yaml: Any = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXPRESSION = re.compile(r"\$\{\{ inputs\.([a-z-]+) \}\}")


@dataclass(frozen=True)
class Ended:
    """How a step ended, and what it left."""

    status: int
    log: str
    outputs: Mapping[str, str]
    summary: str

    def annotations(self, level: str) -> list[str]:
        """What the runner would show beside the job."""
        return re.findall(rf"^::{level} title=sealpass bench::(.*)$", self.log, re.MULTILINE)


class Runner:
    """GitHub's runner, as far as a ``run:`` step with ``shell: sh`` knows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        commands = folder / "bin"
        commands.mkdir()
        sealpass = commands / "sealpass"
        sealpass.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sealpass "$@"\n')
        sealpass.chmod(0o755)
        self.path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    def step(self, name: str, *, environment: Mapping[str, str] | None = None, **inputs: str) -> Ended:
        """Run the step of that name with these inputs; the others have their defaults."""
        (step,) = (step for step in ACTION["runs"]["steps"] if step["name"] == name)
        assert step["shell"] == "sh"
        defaults = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        given = defaults | {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() == defaults.keys()
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        ended = subprocess.run(
            ["/bin/sh", "-e", str(script)],
            cwd=self.folder,
            env={
                **os.environ,
                **{name: str(path) for name, path in files.items()},
                "PATH": self.path,
                "GITHUB_ACTION_PATH": str(ROOT),
                "RUNNER_TEMP": str(self.folder),
                **{name: EXPRESSION.sub(lambda found: given[found[1]], value) for name, value in step["env"].items()},
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return Ended(ended.returncode, ended.stdout, outputs, files["GITHUB_STEP_SUMMARY"].read_text())

    def gate(self, **options: Any) -> Ended:
        """The step that gates."""
        return self.step("Gate", **options)

    def gate_in_peace(self, **options: Any) -> Ended:
        """As :meth:`gate`; skips the test where the machine is too busy for any verdict."""
        ended = self.gate(**options)
        if ended.outputs["verdict"] == "inconclusive":
            pytest.skip("other processes left the gate no peace")
        return ended


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A runner with a directory of its own."""
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def measured(software_uri: str) -> Measured:
    """What the software key is, on what machine; how fast it is here does not matter."""
    return measure(Request(software_uri, seconds=0.01, warm=0))


def stored(measured: Measured, folder: Path, *, ratio: float = 1.0, **host: Any) -> str:
    """A baseline in which the key took so many times as long as its reference; or which is of another host."""
    facts = measured.device, measured.reference, {**measured.host, **host}
    figures = plain(math.log(ratio), slow=50)  # so many stalls that they cannot become more
    history = [{"at": TAKEN, "reason": "made up", "version": "0.1.0", "key_id": "any", "ratio": ratio}]
    path = folder / "baseline.json"
    Baseline(TAKEN, *facts, [figures] * 12, history).save(path)
    return str(path)


USUAL, FAST = 1.2, 0.1
"""Ratios of a baseline: about that of every machine, within a wide noise floor; and one that none comes near to."""


def test_a_key_that_is_not_slower_passes(runner: Runner, measured: Measured, software_uri: str) -> None:
    """Exit 0, no annotation; summary, outputs and all files are there."""
    baseline = stored(measured, runner.folder, ratio=USUAL)
    ended = runner.gate_in_peace(uri=software_uri, baseline=baseline, arguments="--noise-floor\n50%")
    assert (ended.status, ended.outputs["verdict"], ended.outputs["exit-code"]) == (0, "pass", "0")
    assert ended.annotations("error") == ended.annotations("warning") == []
    assert ended.summary.startswith("### sealpass bench gate: PASS")
    files = {path.name for path in Path(ended.outputs["report"]).iterdir()}
    assert {"gate.json", "junit.xml", "summary.md", "metrics.prom", "pytest-benchmark.json"} <= files


def test_a_key_that_got_slower_fails_the_job(runner: Runner, measured: Measured, software_uri: str) -> None:
    """Exit 1 as it is, with an error that says by how much."""
    baseline = stored(measured, runner.folder, ratio=FAST)
    ended = runner.gate_in_peace(uri=software_uri, baseline=baseline)
    assert (ended.status, ended.outputs["verdict"]) == (1, "fail")
    (error,) = ended.annotations("error")
    assert re.search(r"FAIL: \d+\.\d %25 slower", error)  # % is escaped for the runner
    assert "FAIL" in ended.summary.splitlines()[0]


@pytest.mark.parametrize(("policy", "status", "level"), [("warn", 0, "warning"), ("fail", 4, "error")])
def test_an_inconclusive_gate_is_a_warning_unless_it_is_to_fail(
    runner: Runner, measured: Measured, software_uri: str, policy: str, status: int, level: str
) -> None:
    """And the exit status of the command is kept as an output."""
    baseline = stored(measured, runner.folder, cpu="another")  # is not compared, which takes one process
    targets = runner.folder / "targets.toml"
    targets.write_text("[software]\nlogins-per-second = 1\np99-ms = 1000\nseconds = 0.1\nthreads = 1\n")
    ended = runner.gate(uri=software_uri, baseline=baseline, targets=str(targets), on_inconclusive=policy)
    assert (ended.status, ended.outputs["verdict"], ended.outputs["exit-code"]) == (status, "inconclusive", "4")
    assert len(ended.annotations(level)) == 1


def test_a_pass_with_a_reservation_is_a_warning(runner: Runner, measured: Measured, software_uri: str) -> None:
    """A baseline of another machine says nothing, and nobody may take that for a pass unawares."""
    ended = runner.gate(uri=software_uri, baseline=stored(measured, runner.folder, cpu="another"))
    assert (ended.status, ended.outputs["verdict"]) == (0, "not-compared")
    (warning,) = ended.annotations("warning")
    assert warning.startswith("NOT COMPARED: ")


class Fake:
    """A sealpass that says and does what it is told."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def __call__(
        self, status: int, output: str, words: str = "", *, left: str | None = "gate.json", **inputs: str
    ) -> Ended:
        """Run the gate with it; what it leaves is a result of that name."""
        for name, text in (("output", output), ("words", words)):
            (self.runner.folder / name).write_text(text)
        command = self.runner.folder / "bin" / "sealpass"
        find_out = 'while [ "$1" != --out ]; do shift; done\n'
        leave = "" if left is None else f'{find_out}echo "{{}}" >"$2/{left}"\n'
        says = f'cd "{self.runner.folder}"\ncat words >&2\ncat output\n'
        command.write_text(f"#!/bin/sh\n{leave}{says}exit {status}\n")
        return self.runner.gate(**{"uri": "software:path=k", "baseline": "b.json"} | inputs)


@pytest.mark.parametrize("status", [70, 130])
@pytest.mark.parametrize("words", ["", "sealpass: measuring fresh processes\n"], ids=["silent", "begun"])
def test_an_end_without_a_word_is_told(runner: Runner, status: int, words: str) -> None:
    """A defect of ours, or an interrupt."""
    ended = Fake(runner)(status, "", words)
    assert (ended.status, ended.outputs["verdict"]) == (status, "error")
    assert ended.annotations("error") == [f"sealpass ended with status {status}"]


def test_a_pass_with_a_word_beside_it_is_a_warning(runner: Runner) -> None:
    """A key that is faster than its baseline: the job is green, and somebody renews the file."""
    ended = Fake(runner)(0, "table\n\nPASS: 9.0 % faster than the baseline: renew it\n")
    assert (ended.status, ended.outputs["verdict"]) == (0, "pass")
    assert ended.annotations("warning") == ["PASS: 9.0 %25 faster than the baseline: renew it"]
    assert ended.annotations("error") == []


@pytest.mark.parametrize("status", [0, 1, 4])
@pytest.mark.parametrize("left", [None, "compare.json"])
def test_a_verdict_without_a_result_is_none(runner: Runner, status: int, left: str | None) -> None:
    """Nothing was gated, and a result of an earlier run, or of another command, does not count."""
    assert Fake(runner)(1, "FAIL: slower").outputs["verdict"] == "fail"
    ended = Fake(runner)(status, "PASS\n", left=left)
    assert (ended.status, ended.outputs["verdict"], ended.outputs["exit-code"]) == (2, "error", str(status))
    assert ended.annotations("error") == [f"sealpass left no result, and ended with status {status}: nothing was gated"]
    assert ended.annotations("warning") == []
    assert "no result" in ended.summary


def test_a_comparison_leaves_its_own_result(runner: Runner) -> None:
    """With compare-to it is compare.json that counts."""
    inputs = {"baseline": "", "compare_to": "software:path=before"}
    assert Fake(runner)(0, "PASS\n", left="compare.json", **inputs).outputs["verdict"] == "pass"
    assert Fake(runner)(0, "PASS\n", left="gate.json", **inputs).outputs["verdict"] == "error"


def test_a_call_for_help_is_no_pass(runner: Runner) -> None:
    """The command ends with 0, and nothing was measured."""
    ended = runner.gate(uri="software:path=k", baseline="b.json", arguments="--help")
    assert (ended.status, ended.outputs["verdict"], ended.outputs["exit-code"]) == (2, "error", "0")


@pytest.mark.parametrize("option", ["--out", "--junit", "--markdown", "--prometheus", "--pytest-benchmark"])
@pytest.mark.parametrize("form", ["{}\nplace", "{}=place"])
def test_what_the_action_writes_itself_is_refused(runner: Runner, option: str, form: str) -> None:
    """It would be written elsewhere than asked for, without a word."""
    arguments = f"--force-login\n{form.format(option)}"
    ended = runner.gate(uri="software:path=k", baseline="b.json", arguments=arguments)
    assert ended.status == 2
    assert ended.annotations("error") == [
        f"no {option} here: the action writes all files itself; they are in the artifact and in outputs.report"
    ]


def test_a_last_line_that_is_not_ended_hides_no_command_of_ours(runner: Runner) -> None:
    """The runner obeys again only where the mark stands at the beginning of a line."""
    ended = Fake(runner)(1, "FAIL: slower", "and words")
    begin, *said, end, annotation = ended.log.splitlines()
    assert end == f"::{begin.removeprefix('::stop-commands::')}::"
    assert said == ["and words", "FAIL: slower"]
    assert annotation == "::error title=sealpass bench::FAIL: slower"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"baseline": "none.json"}, "there is no baseline"),
        ({"baseline": "none.json", "arguments": "--no-such-option"}, "no-such-option"),
        ({}, "give a baseline, or compare-to"),
        ({"baseline": "none.json", "compare_to": "software:path=b.pem"}, "give compare-to, or a baseline"),
        ({"baseline": "none.json", "arguments": "--force-login\n--json"}, "no --json here"),
        ({"baseline": "none.json", "on_inconclusive": "perhaps"}, "on-inconclusive is warn or fail"),
    ],
)
def test_what_is_wrong_is_2(runner: Runner, software_uri: str, inputs: Mapping[str, str], said: str) -> None:
    """A missing file or a wrong input: an error in the log, and never taken for a slow key."""
    ended = runner.gate(uri=software_uri, **inputs)
    assert ended.status == 2
    (error,) = ended.annotations("error")
    assert said in error


def test_a_device_that_refuses_is_3_and_its_pin_stays_out_of_everything(runner: Runner) -> None:
    """The PIN comes by the environment of the step."""
    token = provision("softhsm2", runner.folder / "token")
    pin = (runner.folder / "token" / "pin").read_text().strip()
    program = f"import os; os.environ.update({token.config!r})\nfrom sealpass.backends.registry import key_maker\n"
    made = f"key_maker({token.uri.replace('sealpass?', 'sealpass;object=key?')!r}).create_rsa(2048, 'native')"
    uri = KeyUri.parse(run_python(f"{program}print({made})").strip())
    by_environment = str(uri).replace(f"file:{runner.folder}/token/pin", "env:GATE_PIN")
    wrong = {**token.config, "GATE_PIN": f"{pin}-wrong"}
    ended = runner.gate(uri=by_environment, baseline=_anything(runner.folder), environment=wrong)
    assert (ended.status, ended.outputs["verdict"], ended.outputs["exit-code"]) == (3, "error", "3")
    assert len(ended.annotations("error")) == 1
    assert "exit status 3" in ended.summary
    report = Path(ended.outputs["report"])
    assert all(pin not in path.read_text() for path in report.iterdir())
    assert pin not in ended.log


def _anything(folder: Path) -> str:
    """A baseline that is read before the device is asked."""
    path = folder / "any.json"
    a_baseline().save(path)
    return str(path)


def test_two_keys_are_compared(runner: Runner, software_uri: str, tmp_path: Path) -> None:
    """With arguments a line each, which no shell splits or expands."""
    larger = str(key_maker(f"software:path={tmp_path}/larger.pem").create_rsa(3072, UnwrapMode.SOFTWARE))
    ended = runner.gate(uri=larger, compare_to=software_uri, arguments="--noise-floor\n5%\n\n--force-login\n")
    assert ended.status == 2
    assert ended.annotations("error") == ["sealpass: error [config]: A has 2048 bits and B has 3072"]


def test_what_a_device_says_is_no_command_of_the_runner(runner: Runner, software_uri: str) -> None:
    """Everything that sealpass prints stands where the runner obeys nothing."""
    ended = runner.gate(uri=software_uri, baseline="none.json")
    begin, *said, end, annotation = ended.log.splitlines()
    mark = begin.removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", mark)
    assert end == f"::{mark}::"
    assert said
    assert annotation.startswith("::error ")


@pytest.mark.parametrize(("asked", "installed"), [("", f"{ROOT}["), ("sealpass[pkcs11]==1.0", "sealpass[pkcs11]==1.0")])
def test_what_is_installed(runner: Runner, asked: str, installed: str) -> None:
    """This very version, unless another one is asked for."""
    pip = runner.folder / "bin" / "python"
    pip.write_text('#!/bin/sh\nfor last in "$@"; do :; done\necho "$last"\n')
    pip.chmod(0o755)
    ended = runner.step("Install sealpass", install=asked)
    assert ended.status == 0
    assert ended.log.startswith(installed)


def test_no_input_is_pasted_into_a_script() -> None:
    """Inputs come by the environment; actions of others are pinned to a version."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
    outputs = {output["value"] for output in ACTION["outputs"].values()}
    assert outputs == {f"${{{{ steps.gate.outputs.{name} }}}}" for name in ("verdict", "exit-code", "report")}


def test_the_script_is_clean() -> None:
    """By shellcheck, where there is one."""
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck on this machine")
    found = subprocess.run(
        [shellcheck, "--format=json", str(ROOT / "tools" / "gate-action")], check=False, capture_output=True, text=True
    )
    assert json.loads(found.stdout) == []
