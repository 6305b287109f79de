# SPDX-License-Identifier: Apache-2.0
"""The tool that qualifies a device of our own making."""

import os
import runpy
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "run-qualification"


def interrupt(*_arguments: object, **_options: object) -> None:
    """Ctrl-C while a command runs."""
    raise KeyboardInterrupt


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tool exports ends with the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.mark.usefixtures("environment")
def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a command runs ends the tool with 130, as it ends the command."""
    monkeypatch.setattr(subprocess, "run", interrupt)
    monkeypatch.setattr("sys.argv", [str(TOOL), "softhsm2"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert end.value.code == 130


@pytest.mark.usefixtures("environment")
def test_an_interrupt_stops_the_emulator(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while a command talks to the emulator ends both; nothing answers at its address any more."""
    started: list[subprocess.Popen[str]] = []
    whole = subprocess.Popen.__init__

    def recording(process: subprocess.Popen[str], *arguments: object, **options: object) -> None:
        whole(process, *arguments, **options)  # type: ignore[call-overload]
        started.append(process)

    monkeypatch.setattr(subprocess.Popen, "__init__", recording)
    monkeypatch.setattr(subprocess, "run", interrupt)
    monkeypatch.setattr("sys.argv", [str(TOOL), "kms"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert end.value.code == 130
    [emulator] = started
    assert emulator.returncode == 0
    shown = capfd.readouterr().err
    assert "$ tools/kms-emulator" in shown
    endpoint = shown.split("endpoint-url=")[1].split("'")[0]
    assert endpoint.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        urlopen(endpoint, timeout=5)  # noqa: S310 - loopback
