# SPDX-License-Identifier: Apache-2.0
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.jwk import PublicJwk
from tests.cli.conftest import COMMAND, Run, environment

pty = pytest.importorskip("pty", reason="no pseudo terminals here")

CONTROL_C = b"\x03"
CONTROL_D = b"\x04"
PATIENCE_SECONDS = 30
# Makes standard input the controlling terminal: getpass() reads from it, and Ctrl-C on it is a signal. Whoever runs
# the tests in the background has that signal ignored, and children inherit it.
ON_ITS_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass
class Terminal:
    """The user's side of a terminal at which a command runs; its standard output goes to a pipe."""

    process: "subprocess.Popen[bytes]"
    master: int
    seen: bytes = field(default=b"")

    def wait_for(self, text: bytes) -> None:
        """Read until the command has said so."""
        while text not in self.seen:
            readable, _, _ = select.select([self.master], [], [], PATIENCE_SECONDS)
            assert readable, f"not said: {text!r}; said: {self.seen!r}"
            self.seen += os.read(self.master, 4096)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def end(self) -> tuple[int, bytes]:
        """Exit status and standard output."""
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.seen += os.read(self.master, 4096)
            except OSError:  # Linux: the other side is closed
                break
        return self.process.returncode, out


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """Run the command at a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ON_ITS_TERMINAL, *COMMAND, *arguments],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**environment(), "TERM": "xterm"},  # at a dumb one, rich shows no bar
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)


def test_a_password_is_asked_for_without_echo(run: Run, software_uri: str) -> None:
    """At a terminal the password is typed blindly, and the token holds it."""
    with terminal("encrypt", software_uri) as at:
        at.wait_for(b"Password: ")
        at.type(b"hunter2\n")
        status, out = at.end()
    assert status == 0
    assert b"hunter2" not in at.seen
    assert run("unwrap", software_uri, stdin=out).text == "hunter2"


def test_enter_alone_is_the_empty_password(run: Run, software_uri: str) -> None:
    """As one newline is in a pipe: the prompt must not come back without a word."""
    with terminal("encrypt", software_uri) as at:
        at.wait_for(b"Password: ")
        at.type(b"\n")
        status, out = at.end()
    assert status == 0
    assert run("unwrap", software_uri, stdin=out).out == b"\n"


def test_a_token_is_asked_for(software_uri: str, public_jwk: PublicJwk) -> None:
    """At a terminal unwrap says that it waits, and takes what is pasted."""
    announced = E2eeInformation("sealpass", "RSA-OAEP-256", "A256GCM", SEALPASS.new_nonce(), public_jwk)
    with terminal("unwrap", software_uri) as at:
        at.wait_for(b"Token")
        at.type(encrypt_password("hunter2", announced).encode() + b"\n" + CONTROL_D)
        assert at.end() == (0, b"hunter2\n")


@pytest.mark.parametrize(("command", "prompt"), [("encrypt", b"Password: "), ("unwrap", b"Ctrl-D:")])
def test_control_c_ends_a_waiting_command(software_uri: str, command: str, prompt: bytes) -> None:
    """Ctrl-C while the command waits for its input: status 130, one word, no output, no traceback."""
    with terminal(command, software_uri) as at:
        at.wait_for(prompt)
        at.type(CONTROL_C)
        assert at.end() == (130, b"")
    assert b"sealpass: interrupted" in at.seen
    assert b"Traceback" not in at.seen
