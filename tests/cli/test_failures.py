# SPDX-License-Identifier: Apache-2.0
import importlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest

from sealpass.__main__ import main
from sealpass.cli.command import Entry
from sealpass.cli.root import COMMANDS
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    DecryptionFailed,
    KeyNotFound,
    MissingDependency,
    RejectReason,
    TokenRejected,
    UnsupportedAlgorithm,
)
from tests.cli.conftest import Run

SECRET = "hunter2-in-a-message"


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """A function that fails so."""

    def fail(*_arguments: Any, **_options: Any) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TokenRejected(RejectReason.FORM, "no"), 1, "token-rejected"),
        (DecryptionFailed(), 1, "decryption-failed"),
        (ConfigError("no"), 2, "config"),
        (KeyNotFound("no"), 2, "key-not-found"),
        (UnsupportedAlgorithm("no"), 2, "unsupported-algorithm"),
        (MissingDependency("pkcs11", "pkcs11"), 2, "missing-dependency"),
        (BackendUnavailable("no", retryable=True), 3, "backend-unavailable"),
        (AuthenticationFailed("no"), 3, "authentication-failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (ZeroDivisionError("no"), 70, "internal"),
    ],
)
def test_every_error_has_its_exit_status_and_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    code: str,
) -> None:
    """The exit status says who must act; with --json the code, message and hint are one object on standard error."""
    monkeypatch.setattr("sealpass.cli.doctor.open_key", raising(error))
    assert main(["doctor", "software:path=x", "--json"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    members = json.loads(captured.err)["error"]
    assert set(members) == {"code", "message", "hint"}
    assert members["code"] == code
    assert members["hint"] or code == "interrupted"


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_what_the_library_logs_is_a_warning_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: list[str]
) -> None:
    """One line with the command's name in front; with --json an object, as every line on standard error."""

    def log_and_fail(*_arguments: Any, **_options: Any) -> NoReturn:
        logger = logging.getLogger("sealpass.backends.some.device")
        logger.info("not worth a line")
        logger.warning("somebody has\nsent a wrong PIN %d times", 2)
        raise ConfigError("no")

    monkeypatch.setattr("sealpass.cli.doctor.open_key", log_and_fail)
    for _ in range(2):  # a second run in one process says it once, too
        assert main([*debug, "doctor", "software:path=x"]) == 2
        first, *others = capsys.readouterr().err.splitlines()
        assert first == "sealpass: warning: somebody has sent a wrong PIN 2 times"
        assert not any("wrong PIN" in line for line in others if not line.startswith("    "))
    assert main([*debug, "doctor", "software:path=x", "--json"]) == 2
    warning, error = map(json.loads, capsys.readouterr().err.splitlines())
    assert warning == {"warning": {"message": "somebody has sent a wrong PIN 2 times"}}
    assert error["error"]["code"] == "config"


def test_an_error_is_one_line_and_a_hint(run: Run) -> None:
    """Words go to standard error: the code in brackets, the text, and the next step below it."""
    ran = run("doctor", "software:path=missing.pem")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err == (
        "sealpass: error [key-not-found]: no key file missing.pem\n  hint: make one with 'sealpass keys create URI'\n"
    )


def test_an_error_without_a_hint_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is nothing to advise, nothing is said."""
    monkeypatch.setattr("sealpass.cli.doctor.open_key", raising(click.ClickException("two\nlines")))
    assert main(["doctor", "software:path=x"]) == 2
    assert capsys.readouterr().err == "sealpass: error [usage]: two lines\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["encrpt"], "Did you mean 'encrypt'?"),
        (["unwrap"], "KEY"),
        (["unwrap", "software:path=x", "--nonces", "x"], "--nonces"),
        (["unwrap", "software:path=x", "--profile", "other"], "airlock-jwe"),
        (["doctor", "no-uri"], "scheme"),
        (["doctor", "vault:path=x"], "vault"),
        (["doctor", "software:path=x;pin-value=1"], "pin-value"),
        (["doctor", "software:file=x"], "file"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_a_wrong_command_line_is_status_2(run: Run, arguments: list[str], says: str) -> None:
    """Commands, options, values and URIs: the message names what is wrong, on one line, as JSON where asked."""
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err.startswith("sealpass: error [")
    assert says in ran.err.splitlines()[0]
    assert len([line for line in ran.err.splitlines() if not line.startswith("  hint: ")]) == 1
    as_json = run(*arguments, "--json")
    assert (as_json.status, as_json.out) == (2, b"")
    assert as_json.error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", ""],
        ["unwrap", ""],
        ["unwrap", "software:path=x", "--previous", ""],
        ["encrypt", ""],
        ["keys", "create", ""],
        ["softhsm", "init", "--key", ""],
        ["softhsm", "init", "--token", ""],
    ],
)
def test_an_empty_value_is_an_unset_variable(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    """Nobody means it; nothing is made, and the message names the usual reason."""
    ran = run(*arguments, XDG_DATA_HOME=str(tmp_path / "data"))
    assert (ran.status, ran.out) == (2, b"")
    assert "it is empty; is the shell variable set?" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_one_line_without_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unforeseen exception shows its type and place; its message may quote a secret and is left out."""
    monkeypatch.setattr("sealpass.cli.doctor.open_key", raising(TypeError(SECRET)))
    assert main(["doctor", "software:path=x"]) == 70
    captured = capsys.readouterr()
    assert captured.out == ""
    first, hint = captured.err.splitlines()
    assert first.startswith("sealpass: internal error: TypeError (doctor.py:")
    assert first.endswith("); run with --debug for the traceback")
    assert hint.startswith("  hint: ")
    assert SECRET not in captured.err


def test_debug_shows_the_traceback_without_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--debug shows where it happened, causes included, and still no value."""
    error = TypeError(SECRET)
    error.__cause__ = KeyError(SECRET)
    monkeypatch.setattr("sealpass.cli.doctor.open_key", raising(error))
    assert main(["--debug", "doctor", "software:path=x"]) == 70
    text = capsys.readouterr().err
    assert text.index("builtins.KeyError\n") < text.index("builtins.TypeError\n") < text.index("internal error")
    assert 'cli/doctor.py", line' in text
    assert SECRET not in text
    assert main(["--debug", "doctor", "software:path=x", "--json"]) == 70
    text = capsys.readouterr().err
    assert "builtins.TypeError\n" in json.loads(text)["error"]["traceback"]
    assert SECRET not in text


def test_no_traceback_without_debug(run: Run) -> None:
    """A foreseen error has none with --debug off, and the one line all the same with it on."""
    assert "Traceback" not in run("doctor", "software:path=missing.pem").err
    ran = run("--debug", "doctor", "software:path=missing.pem")
    assert "Traceback" in ran.err
    assert "sealpass: error [key-not-found]" in ran.err


def test_a_command_whose_extra_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command may need an optional package; without it the answer is the install command."""
    monkeypatch.setitem(COMMANDS, "heavy", Entry("sealpass.cli.heavy", "Lift.", extra="bench"))
    missing = ModuleNotFoundError("No module named 'hdrh'", name="hdrh")
    monkeypatch.setattr(importlib, "import_module", raising(missing))
    assert main(["heavy"]) == 2
    assert "pip install 'sealpass[bench]'" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installation that lacks a part of sealpass is not mended by an extra."""
    monkeypatch.setitem(COMMANDS, "heavy", Entry("sealpass.cli.heavy", "Lift.", extra="bench"))
    assert main(["heavy"]) == 70
    assert "ModuleNotFoundError" in capsys.readouterr().err
