# SPDX-License-Identifier: Apache-2.0
"""A token in another process, over p11-kit: it goes away, comes back and hangs, as a network HSM does."""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.reinitialising import reinitialise
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import RSA_OAEP
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, DecryptionFailed
from sealpass.core.protocols import Unwrapper
from tests.support.soft_tokens import RemoteSoftToken

C_LOGOUT = 19  # its position in CK_FUNCTION_LIST, counted from C_Initialize (PKCS#11 v2.40, pkcs11f.h)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is away is looked for at every call."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)


@pytest.fixture
def key(p11_kit: RemoteSoftToken) -> Iterator[RsaTokenKey]:
    """A key in the remote token; its failures are released at once."""
    with open_key(p11_kit.shared_key(), failure_floor=0) as opened:
        assert isinstance(opened, RsaTokenKey)
        yield opened


@pytest.fixture
def server(p11_kit: RemoteSoftToken) -> Iterator[RemoteSoftToken]:
    """The server, for a test that stops it; it is there again for the next one."""
    yield p11_kit
    p11_kit.server.stop()
    p11_kit.server.start()


def token_for(key: RsaTokenKey) -> str:
    """A token that the key opens."""
    return encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP", "A256GCM")


def use(key: RsaTokenKey, token: str | None = None, deadline: Deadline | None = None) -> bytes:
    """The content of a token."""
    assert isinstance(key, Unwrapper)
    return jwe.decrypt(token or token_for(key), key, deadline=deadline)


def is_away(key: RsaTokenKey) -> bool:
    """Use the key, which must fail; whether the error says that trying again may help."""
    with pytest.raises(BackendUnavailable) as caught:
        use(key)
    return caught.value.retryable


def opens(key: RsaTokenKey, token: str) -> bool:
    """Use the key; False where the token is away just now."""
    try:
        return use(key, token) == b"payload"
    except BackendUnavailable as error:
        if not error.retryable:
            raise
        return False


def connection_children(token: RemoteSoftToken) -> list[int]:
    """The server's children: one for each client, that is, for this process."""
    pid = token.server.pid
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("this kernel does not list the children of a process")
    children = list(map(int, listing.read_text().split()))
    assert children
    return children


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each."""
    for pid in pids:
        os.kill(pid, number)


def test_only_what_the_wire_carries_is_declared(key: RsaTokenKey) -> None:
    """SoftHSM2's AES-GCM does not come through p11-kit 0.24, and neither does OAEP with SHA-2: RSA-OAEP alone does."""
    assert key.capabilities.unwrap == {RSA_OAEP}
    assert use(key) == b"payload"


def test_the_open_key_works_again_when_the_server_is_back(key: RsaTokenKey, server: RemoteSoftToken) -> None:
    """While the server is away every use is BackendUnavailable(retryable); the same key works once it is back."""
    assert use(key) == b"payload"
    server.server.stop()
    assert [is_away(key) for _ in range(3)] == [True] * 3
    server.server.start()
    assert use(key) == b"payload"
    assert key._connection.epoch == 1
    assert key._connection._opened == 1


def test_a_key_opens_after_the_server_came_back(p11_kit: RemoteSoftToken, server: RemoteSoftToken) -> None:
    """With no key open at the time, nobody noticed the loss: the next one to open finds the token all the same."""
    uri = p11_kit.shared_key()
    server.server.stop()
    server.server.start()
    with open_key(uri) as key:
        assert isinstance(key, RsaTokenKey)
        assert use(key) == b"payload"


def test_a_key_opens_after_a_vain_attempt(p11_kit: RemoteSoftToken, server: RemoteSoftToken) -> None:
    """Opening a key while the server is away fails, as there is no token, and spoils no later attempt."""
    uri = p11_kit.shared_key()
    server.server.stop()
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="no token") as caught:
            open_key(uri)
        assert caught.value.retryable
    server.server.start()
    with open_key(uri) as key:
        assert isinstance(key, RsaTokenKey)
        assert use(key) == b"payload"


def test_a_dead_connection_costs_one_call(p11_kit: RemoteSoftToken, key: RsaTokenKey) -> None:
    """Where the other side of our connection dies the next call says so and the one after it works."""
    assert use(key) == b"payload"
    signal_all(connection_children(p11_kit), signal.SIGKILL)
    assert is_away(key)
    assert use(key) == b"payload"


def test_a_bad_token_is_not_blamed_for_a_dead_server(key: RsaTokenKey, server: RemoteSoftToken) -> None:
    """Junk is DecryptionFailed while the server is there and BackendUnavailable while it is not."""
    junk = token_for(key)[:-6] + "AAAAAA"
    with pytest.raises(DecryptionFailed):
        use(key, junk)
    server.server.stop()
    with pytest.raises(BackendUnavailable):
        use(key, junk)


def test_threads_survive_the_loss_together(p11_kit: RemoteSoftToken) -> None:
    """Four threads at work while the connection dies: each gets right results or BackendUnavailable, and goes on.

    The vendor profile makes them take turns: of several threads inside p11-kit 0.24's client one may wait for ever
    when the connection dies (rpc_socket_read in its rpc-transport.c), and nobody can end a call of PKCS#11.
    """
    wrong: list[BaseException] = []
    ready, killed = threading.Barrier(5, timeout=20), threading.Event()

    def work(key: RsaTokenKey, token: str) -> None:
        try:
            assert use(key, token) == b"payload"
            ready.wait()
            while not killed.is_set():
                opens(key, token)
            assert any(opens(key, token) for _ in range(20))
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            wrong.append(error)

    with open_key(p11_kit.shared_key(), failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        threads = [threading.Thread(target=work, args=(key, token_for(key))) for _ in range(4)]
        for thread in threads:
            thread.start()
        ready.wait()
        signal_all(connection_children(p11_kit), signal.SIGKILL)
        killed.set()
        for thread in threads:
            thread.join(20)
        assert wrong == []
        assert not any(thread.is_alive() for thread in threads)


def test_a_hung_token_holds_nobody_beyond_the_deadline(
    p11_kit: RemoteSoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call hangs inside the module; who waits for its session stops at the deadline. The call ends when it can."""
    with open_key(p11_kit.shared_key(), failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        token = token_for(key)
        assert use(key, token) == b"payload"
        inside = threading.Event()
        decrypt_init = key._connection.functions.decrypt_init

        def notice(*arguments: object) -> int:
            inside.set()
            return decrypt_init(*arguments)

        monkeypatch.setattr(key._connection.functions, "decrypt_init", notice)
        found: list[bytes] = []
        caller = threading.Thread(target=lambda: found.append(use(key, token)))
        children = connection_children(p11_kit)
        signal_all(children, signal.SIGSTOP)
        try:
            caller.start()
            assert inside.wait(10)
            with pytest.raises(BackendUnavailable, match="busy") as caught:
                use(key, token, Deadline.after(0.05))
            assert caught.value.retryable
            assert found == []
        finally:
            signal_all(children, signal.SIGCONT)
            caller.join(10)
        assert found == [b"payload"]
        assert use(key, token) == b"payload"


def log_out(connection: Connection) -> None:
    """C_Logout, as other code in this process might call it."""
    pointers = connection.functions._table + ctypes.sizeof(ctypes.c_void_p)
    address = ctypes.c_void_p.from_address(pointers + C_LOGOUT * ctypes.sizeof(ctypes.c_void_p)).value
    assert address is not None
    session = connection.acquire(None)
    assert ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong)(address)(session.handle) == 0
    connection.release(session)


def test_a_lost_login_is_made_again(key: RsaTokenKey) -> None:
    """After a C_Logout by somebody else one call is BackendUnavailable(retryable), and the next one has logged in."""
    log_out(key._connection)
    assert is_away(key)
    assert use(key) == b"payload"


def test_the_call_of_a_closed_key_is_waited_for(p11_kit: RemoteSoftToken) -> None:
    """Where a key is closed under a call, the module is not finalised before that call has ended."""
    key = open_key(p11_kit.shared_key())
    assert isinstance(key, RsaTokenKey)
    connection = key._connection
    session = connection.acquire(None)
    key.close()
    generation = connection.module.generation
    with pytest.raises(BackendUnavailable, match="does not end"):
        reinitialise(connection.module, Deadline.after(0.01))
    assert connection.module.generation == generation
    connection.release(session)
    reinitialise(connection.module, Deadline.after(5))
    assert connection.module.generation == generation + 1
