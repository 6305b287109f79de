# SPDX-License-Identifier: Apache-2.0
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sealpass.cli.output import write
from tests.cli.conftest import COMMAND, Run, environment


@pytest.mark.parametrize("arguments", [["--help"], ["backends"], ["backends", "--json"]])
def test_a_reader_that_has_gone_is_no_news(arguments: list[str]) -> None:
    """A broken pipe ends the command without a word, as SIGPIPE would."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_error_that_nobody_reads_keeps_its_status() -> None:
    """Standard error may be gone, too: the exit status still tells."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "doctor", "no-uri"], stdout=subprocess.PIPE, stderr=writing, env=environment(), check=False
    )
    os.close(writing)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_an_error(unbuffered: str) -> None:
    """Output that cannot be written is status 2 with a reason, and no complaint of the interpreter."""
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "backends"], stdout=full, stderr=subprocess.PIPE, env=variables, text=True, check=False
        )
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if not line.startswith("  hint: ")] == [
        "sealpass: error [config]: cannot write to standard output: No space left on device"
    ]


@pytest.mark.parametrize(
    ("closed", "arguments", "says"),
    [
        ("<&-", ["unwrap", "KEY"], "standard input is closed"),
        ("<&-", ["encrypt", "KEY"], "standard input is closed"),
        (">&-", ["backends"], "standard output is closed"),
    ],
)
def test_a_closed_stream_is_an_error(software_uri: str, closed: str, arguments: list[str], says: str) -> None:
    """A stream that the caller closed is named."""
    words = [software_uri if word == "KEY" else word for word in arguments]
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *words],
        capture_output=True,
        env=environment(),
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_closed_standard_error_changes_nothing(software_uri: str) -> None:
    """Words that cannot be said do not stop the work, nor change the exit status."""
    for arguments, status in ((["keys", "jwk", software_uri], 0), (["doctor", "no-uri"], 2)):
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, *arguments],
            stdout=subprocess.PIPE,
            env=environment(),
            check=False,
        )
        assert done.returncode == status
        assert bool(done.stdout) is (status == 0)


def test_output_is_utf8_whatever_the_locale(run: Run, software_uri: str) -> None:
    """A password is written in the encoding in which it was read."""
    token = run("encrypt", software_uri, stdin="пароль", LC_ALL="C", PYTHONIOENCODING="ascii").text
    assert run("unwrap", software_uri, stdin=token, LC_ALL="C", PYTHONIOENCODING="ascii").out == "пароль\n".encode()


def test_a_stream_that_takes_little_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unbuffered stream may take a part of what it is given: the rest is written, too."""

    class Slow(io.RawIOBase):
        taken = b""

        def write(self, octets: Any) -> int:
            self.taken += bytes(octets[:3])
            return min(3, len(octets))

    slow = Slow()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=slow))
    write(b"all of it")
    assert slow.taken == b"all of it"
