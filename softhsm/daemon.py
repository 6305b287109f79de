# SPDX-License-Identifier: Apache-2.0
"""A program that a soft token needs beside the module, and that serves at a unix socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from sealpass.core.errors import ConfigError

_START_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.005
# prctl(PR_SET_PDEATHSIG, SIGKILL) outlives execv(): the kernel ends the program when its parent ends. Linux only.
_TIED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


class Daemon:
    """Runs in the foreground, in a process group of its own. May be stopped and started again, and used in a ``with``.

    ``command`` begins with the program's path. On Linux it does not outlive the *thread* that starts it, however that
    ends; elsewhere a process that is killed leaves it behind.
    """

    def __init__(self, command: Sequence[str], *, at: Path, environment: Mapping[str, str] | None = None) -> None:
        self.socket = at
        self._name = Path(command[0]).name
        tie = [sys.executable, "-I", "-S", "-c", _TIED] if sys.platform == "linux" else []
        self._command = [*tie, *command]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process; raises ConfigError where it does not run."""
        if self._process is None:
            raise ConfigError(f"{self._name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it takes connections; raises ConfigError where it does not come up."""
        self.socket.unlink(missing_ok=True)  # one that was killed leaves its socket, and the next cannot bind
        self._process = subprocess.Popen(  # noqa: S603 - a program of this machine, no argument from outside
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait_for_socket(self._process)
        except BaseException:
            self.stop()
            raise

    def _wait_for_socket(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise ConfigError(f"{self._name} does not run: it ended with {process.returncode}")
            if time.monotonic() > until:
                raise ConfigError(f"{self._name} does not serve at {self.socket}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(_START_SECONDS)
            client.connect(str(self.socket))
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):  # to the end: writing to one who has gone away ends pkcsslotd
                pass
            return True
        return False

    def stop(self) -> None:
        """Kill it and its own children: asked politely, both of ours wait for their clients. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
