# SPDX-License-Identifier: Apache-2.0
"""A token behind p11-kit's server: found again, nobody else's configuration touched, no process left."""

import os
import sys
from pathlib import Path

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm import p11_kit
from sealpass.softhsm.daemon import Daemon
from sealpass.softhsm.p11_kit import ADDRESS_VARIABLE, remote_token
from tests.support.soft_tokens import need


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A place for the token, on a machine where there can be one."""
    need(p11_kit)
    return tmp_path / "token"


def socket_of(token: p11_kit.RemoteToken) -> Path:
    """Where the server listens."""
    return Path(token.config[ADDRESS_VARIABLE].removeprefix("unix:path="))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the server's environment in /proc")
def test_the_client_is_the_module_and_nothing_is_local(directory: Path) -> None:
    """The URI names p11-kit's client, and SoftHSM2's configuration goes to the server, not to this process."""
    before = dict(os.environ)
    with remote_token(directory) as token:
        assert KeyUri.parse(token.uri).require("module-path").endswith("p11-kit-client.so")
        assert list(token.config) == [ADDRESS_VARIABLE]
        environment = Path(f"/proc/{token.server.pid}/environ").read_bytes().split(b"\0")
        assert b"SOFTHSM2_CONF=" + os.fsencode(directory / "softhsm2.conf") in environment
    assert dict(os.environ) == before


def test_a_token_is_made_once_and_served_again(directory: Path) -> None:
    """The second server serves what the first one did."""
    with remote_token(directory) as first:
        pass
    with remote_token(directory) as second:
        pass
    assert (first.created, second.created) == (True, False)
    assert first.uri == second.uri


def test_nothing_is_left(directory: Path) -> None:
    """After the ``with`` neither the server nor its socket is there; stopping it twice is fine."""
    with remote_token(directory) as token:
        socket = socket_of(token)
        pid = token.server.pid
        assert socket.is_socket()
        token.server.stop()
        token.server.start()
        assert token.server.pid != pid
        pid = token.server.pid
    assert not socket.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_socket_is_the_users_own(directory: Path) -> None:
    """Nobody else reaches the socket: who connects may ask the token for anything but a login."""
    with remote_token(directory) as token:
        assert socket_of(token).parent.stat().st_mode & 0o777 == 0o700


def test_a_server_that_ends_at_once_is_a_config_error(tmp_path: Path) -> None:
    """A daemon that does not come up is an error with its exit status, not an endless wait."""
    with pytest.raises(ConfigError, match="sh does not run: it ended with 3"):
        Daemon(["/bin/sh", "-c", "exit 3"], at=tmp_path / "socket").start()


def test_a_daemon_that_does_not_run_has_no_pid(tmp_path: Path) -> None:
    """Asking for the process of a daemon that was never started is a ConfigError."""
    with pytest.raises(ConfigError, match="does not run"):
        _ = Daemon(["/bin/true"], at=tmp_path / "socket").pid


def test_a_missing_program_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the client is there and the server is not, the reason names it and the way to get it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "p11-kit is not installed" in str(p11_kit.obstacle())
