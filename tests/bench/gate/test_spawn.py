# SPDX-License-Identifier: Apache-2.0
"""Who asks a fresh process: what is made of its answers, and of processes that have none."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.gate import spawn, worker
from sealpass.bench.gate.figures import PROTOCOL
from sealpass.bench.qualification.document import SOFTWARE_NOTE
from sealpass.cli.failures import report
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    KeyNotFound,
    UnsupportedAlgorithm,
)
from tests.bench.gate.conftest import DEVICE, HOST, REFERENCE


class Kept(io.StringIO):
    """Text that can be read when its file is closed."""

    def close(self) -> None:
        """Keep it."""


def test_a_fresh_process_answers_with_figures(software_uri: str) -> None:
    """A real one, from its start to its end."""
    found = spawn.measure(spawn.Request(software_uri, seconds=0.02, warm=1, most_seconds=0.5))
    assert found.figures.pairs > 0
    assert found.figures.errors == {}
    assert found.device["note"] == SOFTWARE_NOTE


def test_an_error_of_a_fresh_process_is_raised_as_what_it_was(tmp_path: Path) -> None:
    """So that the exit status is that of the error."""
    with pytest.raises(KeyNotFound, match="no key file"):
        spawn.measure(spawn.Request(f"software:path={tmp_path}/none.pem"))


@pytest.mark.parametrize("kind", [ConfigError, KeyNotFound, UnsupportedAlgorithm, AuthenticationFailed])
def test_errors_keep_their_class(monkeypatch: pytest.MonkeyPatch, kind: type[Error]) -> None:
    """Through the pipe and back; the hint as well."""
    output = Kept()
    monkeypatch.setattr(sys, "stdin", io.StringIO("{}"))
    monkeypatch.setattr(worker, "_own_output", lambda: output)

    def fail(*_arguments: Any) -> Any:
        raise kind("said", hint="do this")

    monkeypatch.setattr(worker, "answer", fail)
    assert worker.main() == 0
    error = spawn._error(json.loads(output.getvalue())["error"])
    assert isinstance(error, kind)
    assert (str(error), error.hint) == ("said", "do this")


NOISY = """
import os
import sys
from sealpass.bench.gate import worker

def answer(request, wrap):
    print("debugging")
    os.system("echo of a module in C")
    return {answered}

worker.answer = answer
sys.exit(worker.main())
"""
WHOLE: dict[str, Any] = {
    "protocol": PROTOCOL, "version": "0.1.0", "device": DEVICE, "reference": REFERENCE, "host": HOST,
    "device_ns": [1] * 9, "reference_ns": [1] * 9, "device_cpu_ns": [1] * 9, "marks": [0] * 9, "errors": {},
}  # fmt: skip


def test_what_a_module_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """Whether in Python or in C: it goes to standard error, and is told to nobody."""
    program = NOISY.replace("{answered}", repr(WHOLE))
    found = spawn.measure(spawn.Request("software:path=x"), [sys.executable, "-c", program])
    assert found.figures.pairs == 9
    assert capfd.readouterr() == ("", "")


def test_a_bug_of_ours_in_a_fresh_process_is_one(capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 70 with the type and the place, as of a bug here; the text of the exception may quote anything."""
    program = NOISY.replace("{answered}", "1 / len(str())")
    with pytest.raises(spawn.FreshProcessError) as caught:
        spawn.measure(spawn.Request("software:path=x"), [sys.executable, "-c", program])
    assert report(caught.value, as_json=False, debug=False) == 70
    told = capfd.readouterr().err
    assert told.startswith("sealpass: internal error: ZeroDivisionError (<string>:9) in a fresh process; run with")


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("import os; os.kill(os.getpid(), 11)", BackendUnavailable),
        ("raise SystemExit(3)", ConfigError),
        ("import no_such_module", ConfigError),
    ],
)
def test_a_process_that_ends_without_an_answer(program: str, kind: type[Error]) -> None:
    """A module that crashes, or an interpreter without sealpass: an error for operators, and no traceback of it."""
    with pytest.raises(kind) as caught:
        spawn.measure(spawn.Request("software:path=x"), [sys.executable, "-c", program])
    assert "Traceback" not in str(caught.value)


def test_a_process_that_hangs_is_given_up() -> None:
    """After the patience of its request."""
    with pytest.raises(BackendUnavailable, match="in time"):
        spawn.measure(
            spawn.Request("software:path=x", patience=0.2), [sys.executable, "-c", "import time; time.sleep(60)"]
        )


def test_an_interpreter_that_is_not_there() -> None:
    """The A/B of two installs names them on the command line."""
    with pytest.raises(ConfigError, match="cannot start") as caught:
        spawn.measure(spawn.Request("software:path=x"), spawn.worker_command("/nowhere/python"))
    assert "before/bin/python" in caught.value.hint


@pytest.mark.parametrize(
    "output",
    [
        {"protocol": PROTOCOL},
        {"error": "x"},
        {"error": {"code": "config"}},
        {"error": {"code": "config", "message": "x", "hint": 1}},
        {"error": {"code": ["config"], "message": "x", "hint": None}},
        WHOLE | {"protocol": PROTOCOL + 1},
        WHOLE | {"version": None},
        WHOLE | {"marks": [0] * 8},
        WHOLE | {"marks": None},
        WHOLE | {"marks": "000000000"},
        WHOLE | {"device_ns": [1.5] * 9},
        WHOLE | {"device_ns": [-1] * 9},
        WHOLE | {"errors": {"x": "1"}},
        WHOLE | {"errors": []},
        WHOLE | {"device": {"uri": "x"}},
        WHOLE | {"host": "x"},
    ],
    ids=str,
)
def test_an_answer_of_another_form_is_refused(output: dict[str, Any]) -> None:
    """Whatever is missing or odd in it: the interpreter of another installation may be anything."""
    program = f"print({json.dumps(output)!r})"
    with pytest.raises(ConfigError, match="answers in another form"):
        spawn.measure(spawn.Request("software:path=x"), [sys.executable, "-c", program])


@pytest.mark.parametrize(
    ("program", "message", "hint"),
    [
        ("raise SystemExit(7)", "status 7 and no answer", "'sealpass doctor URI' tries the key alone"),
        ("print([])", "status 0 and no answer", "'PYTHON -m sealpass --version'"),
        ("import os; os.write(2, b'\\xff'); exit(7)", "status 7 and no answer", "'sealpass doctor URI'"),
        ("import os; os.write(1, b'{\\xff')", "status 0 and no answer", "'sealpass doctor URI'"),
        ("print('[' * 100_000)", "status 0 and no answer", "'sealpass doctor URI'"),
        ("import os; os.kill(os.getpid(), 11)", "signal 11", "a fault of the module"),
        ("import sealpass_of_old", "no sealpass with a gate", "install this version"),
    ],
)
def test_a_process_that_breaks_has_a_next_step_of_its_own(program: str, message: str, hint: str) -> None:
    """What an error of its class says elsewhere, of a URI or of a device that is away, would mislead."""
    with pytest.raises((ConfigError, BackendUnavailable), match=message) as caught:
        spawn.measure(spawn.Request("software:path=x"), [sys.executable, "-c", program])
    assert hint in caught.value.hint
