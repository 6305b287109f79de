# SPDX-License-Identifier: Apache-2.0
"""Closing a key while a call hangs inside the module: it gives up in time, raises nothing and says what stays open."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from sealpass.backends.pkcs11 import sharing
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError
from tests.support.soft_tokens import RemoteSoftToken, SoftToken


@pytest.fixture(autouse=True)
def _not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for 30 s elsewhere."""
    monkeypatch.setattr(sharing, "DEFAULT_WAIT_SECONDS", 0.01)


@pytest.fixture
def closed_sessions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The sessions that were closed in the module so far."""
    closed: list[object] = []
    close = Connection._close_session

    def notice(connection: Connection, session: object, generation: int) -> None:
        closed.append(session)
        close(connection, session, generation)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "_close_session", notice)
    return closed


@contextmanager
def in_another_thread(held: AbstractContextManager[object]) -> Iterator[None]:
    """Another thread is in the middle of something that does not end."""
    inside, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            inside.set()
            let_go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert inside.wait(10)
        yield
    finally:
        let_go.set()
        holder.join(10)
    assert not holder.is_alive()


@contextmanager
def operation(connection: Connection) -> Iterator[None]:
    """A session in use, as during a call."""
    session = connection.acquire(None)
    try:
        yield
    finally:
        connection.release(session)


def opened(uri: str) -> RsaTokenKey:
    """A key with a session in its pool."""
    key = open_key(uri)
    assert isinstance(key, RsaTokenKey)
    key.probe()
    return key


def check_given_up(key: RsaTokenKey, closed_sessions: list[object], caplog: pytest.LogCaptureFixture) -> None:
    """The key is closed here, and nothing in the module."""
    assert closed_sessions == []
    assert "sessions and login are not" in caplog.text
    assert key._connection not in sharing._shared.values()
    with pytest.raises(ConfigError, match="closed"):
        key.probe()


def check_works_again(connection: Connection, uri: str) -> None:
    """The token opens anew, and what stayed open can still be closed."""
    with opened(uri) as key:
        assert key._connection is not connection
    connection.close(Deadline.after(10))
    assert connection._anchor is None
    assert connection._ended == []
    assert connection._opened == 0


def test_a_hung_call_of_a_module_that_makes_one_at_a_time(
    p11_kit: RemoteSoftToken, caplog: pytest.LogCaptureFixture, closed_sessions: list[object]
) -> None:
    """The sessions that nobody uses stay open, with a warning; the one in the call is closed when it comes back."""
    uri = p11_kit.shared_key()
    key = opened(uri)
    connection = key._connection
    closed_sessions.clear()
    with in_another_thread(operation(connection)):
        key.close()
        check_given_up(key, closed_sessions, caplog)
        assert connection._opened == 1
    assert len(closed_sessions) == 1
    check_works_again(connection, uri)


def test_a_hung_recovery(softhsm2: SoftToken, caplog: pytest.LogCaptureFixture, closed_sessions: list[object]) -> None:
    """While somebody hangs in the middle of bringing the module back no session is touched."""
    uri = softhsm2.shared_key()
    key = opened(uri)
    connection = key._connection
    closed_sessions.clear()
    with in_another_thread(connection.module.lock):
        key.close()
        check_given_up(key, closed_sessions, caplog)
    check_works_again(connection, uri)


def test_a_hung_opening(softhsm2: SoftToken, caplog: pytest.LogCaptureFixture) -> None:
    """While the opening of another key hangs nobody can tell who is the last one, so the token stays open."""
    key = opened(softhsm2.shared_key())
    connection = key._connection
    with in_another_thread(sharing._shared_lock):
        key.close()
    assert "its token is not" in caplog.text
    assert not connection._closed
    with pytest.raises(ConfigError, match="closed"):
        key.probe()
    sharing.leave(connection)
    assert connection._closed
