# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, in a project of a user's own and a pytest of its own."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sealpass.bench.gate.baseline import Baseline
from sealpass.bench.gate.spawn import Request, measure
from tests.bench.gate.conftest import TAKEN, a_baseline, example
from tests.bench.gate.modelled import plain

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "sealpass.bench.pytest_plugin"
TESTS = """
def test_key(sealpass_device):
    assert sealpass_device.public_jwk.bits == 2048

def test_the_same_key(sealpass_device, request):
    assert sealpass_device is request.getfixturevalue("sealpass_device")

def test_speed(sealpass_gate):
    sealpass_gate.assert_passed()
"""


class Project:
    """A folder with tests that use the fixtures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "test_key.py").write_text(TESTS)
        (folder / "pytest.ini").write_text("[pytest]\n")

    def gate_answers(self, name: str) -> None:
        """Put an example in the place of measuring."""
        (self.folder / "document.json").write_text(json.dumps(example(name)))
        (self.folder / "conftest.py").write_text(
            "import json, pathlib\nfrom sealpass.bench.gate import gate\n"
            "document = json.loads(pathlib.Path(__file__).with_name('document.json').read_text())\n"
            "gate.run = lambda asked: document\n"
        )

    def pytest(self, *arguments: str, code: str = "") -> tuple[dict[str, int], str]:
        """How many tests ended how, and everything that pytest said."""
        program = f"import sys, pytest\nstatus = pytest.main(sys.argv[1:])\n{code}\nsys.exit(status)"
        options = ["-p", PLUGIN, "-p", "no:cacheprovider", "-rA", *arguments]
        ended = subprocess.run(
            [sys.executable, "-c", program, *options],
            cwd=self.folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        text = ended.stdout + ended.stderr
        counts = {word.rstrip("s"): int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", text.splitlines()[-1])}
        return {word: count for word, count in counts.items() if word != "in"}, text


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of a user's own."""
    return Project(tmp_path)


def other_machines(software_uri: str, folder: Path) -> Path:
    """A baseline of this key on another machine: it is read, and not compared."""
    found = measure(Request(software_uri, seconds=0.01, warm=0))
    path = folder / "baseline.json"
    host = found.host | {"cpu": "another"}
    Baseline(TAKEN, found.device, found.reference, host, [plain(0.0)] * 12, a_baseline().history).save(path)
    return path


def test_without_a_key_everything_is_skipped_with_the_reason(project: Project) -> None:
    """A developer without an HSM runs the other tests."""
    counts, text = project.pytest()
    assert counts == {"skipped": 3}
    assert "no --sealpass-uri was given" in text


def test_a_key_is_open_and_a_real_gate_runs(project: Project, software_uri: str, tmp_path: Path) -> None:
    """The pass with a reservation is a warning of pytest's."""
    baseline = other_machines(software_uri, tmp_path)
    counts, text = project.pytest("--sealpass-uri", software_uri, "--sealpass-baseline", str(baseline))
    assert counts == {"passed": 3, "warning": 1}
    assert "passed with a reservation: not compared" in text


def test_without_a_baseline_only_the_gate_is_skipped(project: Project, software_uri: str) -> None:
    """The reason names the option."""
    counts, text = project.pytest("--sealpass-uri", software_uri)
    assert counts == {"passed": 2, "skipped": 1}
    assert "no --sealpass-baseline was given" in text


@pytest.mark.parametrize(
    ("name", "outcome"), [("passed", "passed"), ("slower", "failed"), ("wrong", "failed"), ("inconclusive", "skipped")]
)
def test_the_verdict_is_the_outcome_of_the_test(project: Project, name: str, outcome: str) -> None:
    """With the reasons, and without a traceback."""
    project.gate_answers(name)
    counts, text = project.pytest("-k", "speed", "--sealpass-uri", "software:path=x", "--sealpass-baseline", "b.json")
    assert counts.pop("deselected") == 2
    assert counts == {outcome: 1}
    assert all(reason in text for reason in example(name)["verdict"]["reasons"])
    assert "Traceback" not in text


def test_inconclusive_may_fail(project: Project) -> None:
    """Where a release must not go out unjudged."""
    project.gate_answers("inconclusive")
    test = "def test_speed(sealpass_gate):\n    sealpass_gate.assert_passed(inconclusive='fail')\n"
    (project.folder / "test_key.py").write_text(test)
    assert project.pytest("--sealpass-uri", "software:path=x", "--sealpass-baseline", "b.json")[0] == {"failed": 1}


def test_what_is_wrong_is_an_error_in_its_own_words(project: Project, tmp_path: Path) -> None:
    """No traceback of ours, and nothing chained to it."""
    uri = f"software:path={tmp_path}/none.pem"
    counts, text = project.pytest("--sealpass-uri", uri, "--sealpass-baseline", str(tmp_path / "none.json"))
    assert counts == {"error": 3}
    assert "[key-not-found]" in text
    assert "there is no baseline" in text
    assert "hint: make one with 'sealpass keys create URI'" in text
    assert "hint: make one on purpose: 'sealpass bench gate KEY" in text
    assert "During handling" not in text
    assert "pytest_plugin.py" not in text


def test_a_pin_in_the_uri_is_refused(project: Project) -> None:
    """It would stand in the list of processes."""
    counts, text = project.pytest("-k", "test_key", "--sealpass-uri", "pkcs11:object=key?pin-value=secret-pin")
    assert "passed" not in counts
    assert "secret-pin" not in text


class Refusing:
    """A device that refuses every login, and counts them."""

    def __init__(self, project: Project) -> None:
        self.project = project
        (project.folder / "conftest.py").write_text(
            "import pathlib\nimport sealpass\nfrom sealpass.bench.gate import gate\n"
            "from sealpass.core.errors import AuthenticationFailed\n"
            "def refuse(*asked):\n"
            "    with pathlib.Path(__file__).with_name('logins').open('a') as file:\n"
            "        file.write('login\\n')\n"
            "    raise AuthenticationFailed('the PIN is wrong')\n"
            "sealpass.open_key = gate.run = refuse\n"
        )

    def logins(self, *options: str) -> tuple[int, dict[str, int], str]:
        """How often it was tried, and how the tests ended."""
        log = self.project.folder / "logins"
        log.write_text("")
        counts, text = self.project.pytest(
            "--sealpass-uri", "pkcs11:object=k", "--sealpass-baseline", "b.json", *options
        )
        return len(log.read_text().splitlines()), counts, text


def test_a_refused_pin_is_not_tried_again(project: Project) -> None:
    """Neither by the other fixture nor in another order of tests: a few more tries lock a token."""
    device = Refusing(project)
    for order in ([], ["test_key.py::test_speed", "test_key.py::test_key"]):
        logins, counts, text = device.logins(*order)
        assert logins == 1
        assert counts == {"error": len(order) or 3}
        assert "not tried again" in text
        assert "hint: check the PIN source by hand" in text


def test_a_pin_is_not_tried_by_several_workers(project: Project) -> None:
    """Of pytest-xdist: the key is skipped there, unless there is one."""
    device = Refusing(project)
    logins, counts, text = device.logins("-p", "xdist", "-n", "2")
    assert (logins, counts) == (0, {"skipped": 3})
    assert "lock the token" in text
    assert device.logins("-p", "xdist", "-n", "1")[0] == 1


def test_speed_is_not_measured_beside_other_tests(project: Project) -> None:
    """Under xdist the gate is skipped."""
    project.gate_answers("slower")
    options = ("-k", "speed", "--sealpass-uri", "software:path=x", "--sealpass-baseline", "b.json")
    counts, text = project.pytest("-p", "xdist", "-n", "1", *options)
    assert counts == {"skipped": 1}
    assert "pytest-xdist" in text


def test_it_costs_other_users_of_pytest_nothing(project: Project) -> None:
    """No library is loaded by the plugin alone."""
    (project.folder / "test_key.py").write_text("def test_nothing():\n    pass\n")
    heavy = ("cryptography", "click", "sealpass.core", "sealpass.backends", "sealpass.bench.gate")
    code = f"print('loaded:', [name for name in {heavy!r} if name in sys.modules])"
    _counts, text = project.pytest(code=code)
    assert "1 passed" in text
    assert "loaded: []" in text


def test_the_plugin_is_registered() -> None:
    """By the entry point that pytest looks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"sealpass": PLUGIN}
