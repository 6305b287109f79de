# SPDX-License-Identifier: Apache-2.0
"""A module without locking: whoever calls it holds the gate, also on the way to a lost token, and nobody waits in vain.

p11-kit's client is such a module here.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pkcs11 import Slot

from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11 import library, one_at_a_time, sharing
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.pkcs11.token import find_slot
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.errors import BackendUnavailable
from tests.support.soft_tokens import RemoteSoftToken


@pytest.fixture
def key(p11_kit: RemoteSoftToken) -> Iterator[RsaTokenKey]:
    """A key in a token whose module makes one call at a time."""
    with open_key(p11_kit.shared_key()) as opened:
        assert isinstance(opened, RsaTokenKey)
        assert opened._connection.module.one_at_a_time
        yield opened


class Gate:
    """The module's gate, which tells when somebody comes to it."""

    def __init__(self, gate: Any) -> None:
        self._gate = gate
        self.reached = threading.Event()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as a lock has it
        self.reached.set()
        return bool(self._gate.acquire(blocking, timeout))

    def release(self) -> None:
        self._gate.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def in_another_thread(do: Callable[[], object]) -> BaseException | None:
    """Do it there; what it raised."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return raised[0] if raised else None


@pytest.mark.parametrize("way", ["describe", "attributes", "probe", "open", "list"])
def test_a_lost_token_is_brought_back_in_turn(
    p11_kit: RemoteSoftToken, key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Whoever notices that the token is lost looks for it with the gate held: another token may be at work."""
    connection = key._connection
    held: list[bool] = []

    def find(*given: object) -> Slot:
        held.append(connection.module.gate._is_owned())  # type: ignore[attr-defined]  # of every RLock
        return find_slot(*given)  # type: ignore[arg-type]

    uri = p11_kit.shared_key()
    ways: dict[str, Callable[[], object]] = {
        "describe": key.describe,
        "attributes": key.attributes,
        "probe": key.probe,
        "open": lambda: open_key(uri).close(),
        "list": lambda: list(key_maker(uri).list_keys()),
    }
    for module in (connection_module, sharing):
        monkeypatch.setattr(module, "find_slot", find)
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    connection.lose(connection._idle)
    ways[way]()
    assert held
    assert all(held)
    assert connection.epoch == 1


def test_opening_waits_at_the_gate_with_empty_hands(
    p11_kit: RemoteSoftToken, key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a busy module keeps nobody from keys of other modules, nor its user from opening a second key."""
    uri, connection = p11_kit.shared_key(), key._connection
    gate = Gate(connection.module.gate)
    session = connection.acquire(None)
    monkeypatch.setattr(connection.module, "gate", gate)
    opener = threading.Thread(target=lambda: open_key(uri).close())
    opener.start()
    try:
        assert gate.reached.wait(10)
        assert sharing._shared_lock.acquire(timeout=5)
        sharing._shared_lock.release()
        open_key(uri).close()
    finally:
        connection.release(session)
        opener.join(30)
    assert not opener.is_alive()


def _busy(connection: Connection, do: Callable[[], object]) -> BaseException | None:
    """Do it in another thread while this one is inside the module."""
    session = connection.acquire(None)
    try:
        return in_another_thread(do)
    finally:
        connection.release(session)


def test_nobody_waits_for_ever(p11_kit: RemoteSoftToken, key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call may hang inside the module: reports, lists and opening give up, and say that trying again may help."""
    uri, connection = p11_kit.shared_key(), key._connection
    monkeypatch.setattr(library, "_GATE_SECONDS", 0.01)
    for module in (connection_module, one_at_a_time, sharing):
        monkeypatch.setattr(module, "DEFAULT_WAIT_SECONDS", 0.01)
    for do in (key.describe, key.attributes, lambda: open_key(uri), lambda: key_maker(uri).list_keys()):
        error = _busy(connection, do)
        assert isinstance(error, BackendUnavailable)
        assert error.retryable
        assert "busy" in str(error)
    assert key.describe()["token"] == "sealpass"
