# SPDX-License-Identifier: Apache-2.0
"""docs/gate.md: its commands run in the order in which they stand there; its jobs are of the form that CI servers read.

Tokens, keys and files are real; the processes that would be measured are made up, so that no test waits for them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.gate.decision import TITLES, Outcome
from sealpass.bench.gate.rows import NOT_COMPARED
from tests.bench.gate.conftest import example

yaml: Any = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
NO_NETWORK = ("pip install", "pytest ")
"""In lines that are not run: the plugin has tests of its own."""
SHIM = """#!{python}
import sys
sys.path.insert(0, {root!r})
from sealpass.bench.gate import compare, gate, objectives
from tests.bench.gate.conftest import example, processes

one = processes()
gate.run.__kwdefaults__["take"] = one
compare.run.__kwdefaults__["take"] = lambda contender, request: one(request)
objectives.measure = lambda *asked: example("passed")["objectives"]
from sealpass.__main__ import main

sys.exit(main())
"""


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def in_shell(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run lines as sh -e does, with the command at hand."""
    commands = folder / "commands"
    commands.mkdir()
    shim = commands / "sealpass"
    shim.write_text(SHIM.format(python=sys.executable, root=str(ROOT)))
    shim.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["/bin/sh", "-e", "-c", script], cwd=work, env={**os.environ, "PATH": path}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    sys.stderr.write(ended.stderr)
    return ended


def test_all_commands_run_in_order(tmp_path: Path) -> None:
    """Down to the last one; each verdict is a pass."""
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    run = [line for line in lines if not any(word in line for word in NO_NETWORK)]
    assert len(run) == 11
    put = f"cp {ROOT}/docs/targets.toml bench/"
    ended = in_shell(tmp_path, "\n".join([*run[:3], put, *run[3:]]))
    assert ended.returncode == 0
    assert ended.stdout.count("\nPASS") == 7
    work = tmp_path / "work"
    assert json.loads((work / "bench" / "baseline.json").read_text())["history"][0]["reason"] == "the first one"
    assert json.loads((work / "reports" / "compare.json").read_text())["kind"] == "compare"


def test_the_job_for_gitlab(tmp_path: Path) -> None:
    """Its script runs, and leaves the files that the job keeps; only an inconclusive gate may fail."""
    (text,) = (block for block in blocks("yaml") if "before_script" in block)
    ((job,),) = [list(yaml.safe_load(text).values())]
    assert job["allow_failure"] == {"exit_codes": [Outcome.INCONCLUSIVE.exit_code]}
    variables = "\n".join(f"{name}='{value}'" for name, value in job["variables"].items())
    write = f"""{variables}\nmkdir bench\nsealpass bench gate "$SEALPASS_KEY" --baseline bench/baseline.json \
        --update-baseline first >/dev/null\n"""
    assert in_shell(tmp_path, write + "\n".join(job["script"])).returncode == 0
    artifacts = job["artifacts"]
    assert artifacts["when"] == "always"
    for path in (*artifacts["paths"], artifacts["reports"]["junit"]):
        assert (tmp_path / "work" / path).exists()


def test_the_job_for_github() -> None:
    """It gives the action inputs that it has, and keeps the PIN in the environment."""
    (text,) = (block for block in blocks("yaml") if "runs-on" in block)
    job = yaml.safe_load(text)["jobs"]["gate"]
    (step,) = (step for step in job["steps"] if "/sealpass@" in step["uses"])
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert step["with"].keys() <= action["inputs"].keys()
    (pin,) = step["env"]
    assert f"pin-source=env:{pin}" in step["with"]["uri"]
    for name in re.findall(r"`([a-z-]+)`", GUIDE.split("## GitHub")[1].split("\n## ")[0]):
        assert name in {*action["inputs"], "bench"}


def test_the_guide_shows_what_the_gate_says() -> None:
    """The rows of its table are named as those of this version; jobs rely on their baseline."""
    (shown,) = blocks("text")
    assert all(title in shown for title in TITLES.values())
    assert all("--on-mismatch" in block for block in blocks("yaml"))
    assert NOT_COMPARED in GUIDE


def test_the_examples_in_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of a project compile, and the export prints."""
    tests, export = blocks("python")
    compile(tests, "docs/gate.md", "exec")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "gate.json").write_text(json.dumps(example("slower")))
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    exec(export, {"print": printed.append})  # noqa: S102 - our own documentation
    assert "FAIL" in printed[0]


def test_nothing_is_installed_from_an_index() -> None:
    """There is none yet that has it: every line takes a checkout, or the URL of a repository."""
    installs = re.findall(r"pip install (['\"])(.+?)\1", GUIDE)
    assert len(installs) == GUIDE.count("pip install") == 5
    for _quote, what in installs:
        assert re.fullmatch(
            r"(\.|\.\./before)\[[a-z0-9,]+\]|sealpass\[[a-z0-9,]+\] @ (git\+URL@COMMIT|\$SEALPASS_SOURCE)", what
        )


def test_the_guide_knows_every_exit_status_and_option() -> None:
    """Rows for 0 to 4, and every form of result."""
    from sealpass.bench.export import FORMS

    for status in range(5):
        assert re.search(rf"^\| {status} \|", GUIDE, re.MULTILINE)
    assert all(f"`--{form} FILE`" in GUIDE for form in FORMS)


def test_make_is_not_to_be_trusted_with_exit_statuses(tmp_path: Path) -> None:
    """What the guide warns of: 1 becomes 2."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    (tmp_path / "Makefile").write_text("gate:\n\t@exit 1\n")
    assert subprocess.run([make, "gate"], cwd=tmp_path, check=False, capture_output=True).returncode == 2
