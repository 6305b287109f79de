# SPDX-License-Identifier: Apache-2.0
"""The session pool: kept, bounded, replaced after trouble, and never touching a handle of an earlier life."""

import threading
from collections.abc import Iterator

import pytest

from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11 import reinitialising
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.return_values import (
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_OPERATION_ACTIVE,
    CKR_SESSION_HANDLE_INVALID,
    CKR_USER_NOT_LOGGED_IN,
)
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, DecryptionFailed, Error, KeyNotFound
from sealpass.core.protocols import Unwrapper
from tests.support.soft_tokens import SoftToken


@pytest.fixture(params=[UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def mode(request: pytest.FixtureRequest) -> UnwrapMode:
    """Both unwrap modes."""
    found: UnwrapMode = request.param
    return found


@pytest.fixture
def key(softhsm2: SoftToken, mode: UnwrapMode, monkeypatch: pytest.MonkeyPatch) -> Iterator[RsaTokenKey]:
    """A key of SoftHSM2; a lost token is looked for again at once."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with open_key(softhsm2.shared_key(mode), failure_floor=0) as opened:
        assert isinstance(opened, RsaTokenKey)
        yield opened


def unwrapper(key: RsaTokenKey) -> Unwrapper:
    """The key in its role."""
    assert isinstance(key, Unwrapper)
    return key


def token_for(key: RsaTokenKey, payload: bytes = b"payload") -> str:
    """A token that the key opens."""
    return encrypt.encrypt(payload, key.public_jwk, "RSA-OAEP", "A256GCM")


def works(key: RsaTokenKey) -> bool:
    """Whether the key opens a token."""
    return jwe.decrypt(token_for(key), unwrapper(key)) == b"payload"


def open_sessions(key: RsaTokenKey) -> int:
    """How many sessions the pool has."""
    return key._connection._opened


def test_one_thread_uses_one_session(key: RsaTokenKey) -> None:
    """Sequential unwraps, good and bad ones, keep to one session."""
    tokens = [token_for(key), token_for(key)[:-6] + "AAAAAA"]
    for number in range(20):
        try:
            jwe.decrypt(tokens[number % 2], unwrapper(key))
        except DecryptionFailed:
            assert number % 2
    assert open_sessions(key) == 1


def test_an_exhausted_pool_waits_until_the_deadline(softhsm2: SoftToken, mode: UnwrapMode) -> None:
    """With all sessions busy a call waits for one, and ends in BackendUnavailable(retryable) at its deadline."""
    uri = softhsm2.new_key(mode) + "&max-sessions=1"
    with open_key(uri) as key:
        assert isinstance(key, RsaTokenKey)
        busy = key._connection.acquire(None)
        with pytest.raises(BackendUnavailable, match="busy") as caught:
            key._connection.acquire(Deadline.after(0.01))
        assert caught.value.retryable
        threading.Timer(0.05, key._connection.release, [busy]).start()
        assert works(key)


def test_threads_share_a_small_pool(softhsm2: SoftToken) -> None:
    """Eight threads over two sessions all get their results, and no third session is opened."""
    with open_key(softhsm2.new_key() + "&max-sessions=2") as key:
        assert isinstance(key, RsaTokenKey)
        results: list[bool] = []
        threads = [threading.Thread(target=lambda: results.append(works(key))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 8
        assert open_sessions(key) <= 2


def test_a_session_limit_of_the_token_is_lived_with(key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the token refuses one more session (CKR_SESSION_COUNT) the pool waits for those that it has."""
    from pkcs11.exceptions import SessionCount

    connection = key._connection
    first = connection.acquire(None)

    class FullSlot:
        def get_token(self) -> "FullSlot":
            return self

        def open(self, **_: object) -> None:
            raise SessionCount

    monkeypatch.setattr(connection, "_slot", FullSlot())
    with pytest.raises(BackendUnavailable, match="busy"):
        connection.acquire(Deadline.after(0.01))
    connection.release(first)
    assert works(key)


def planted(connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, *answers: int) -> list[int]:
    """Let a function of the module answer as told, then do its work again; the list counts what was answered."""
    original = getattr(connection.functions, name)
    given: list[int] = []

    def answer(*arguments: object) -> int:
        if len(given) < len(answers):
            given.append(answers[len(given)])
            return given[-1]
        return int(original(*arguments))

    monkeypatch.setattr(connection.functions, name, answer)
    return given


def first_call(mode: UnwrapMode) -> str:
    """The call with which an unwrap begins."""
    return "decrypt_init" if mode is UnwrapMode.NATIVE else "unwrap_key"


@pytest.mark.parametrize("rv", [CKR_DEVICE_ERROR, CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN])
def test_a_lost_token_is_found_again(
    key: RsaTokenKey, mode: UnwrapMode, rv: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss is BackendUnavailable(retryable) once; the next call logs in anew, finds the key again and works."""
    epoch = key._connection.epoch
    planted(key._connection, monkeypatch, first_call(mode), rv)
    with pytest.raises(BackendUnavailable) as caught:
        works(key)
    assert caught.value.retryable
    assert works(key)
    assert key._connection.epoch == epoch + 1
    assert open_sessions(key) == 1


def test_an_operation_left_over_costs_one_more_session(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """CKR_OPERATION_ACTIVE at C_DecryptInit replaces the session and the operation still succeeds."""
    with open_key(softhsm2.shared_key()) as key:
        assert isinstance(key, RsaTokenKey)
        given = planted(key._connection, monkeypatch, "decrypt_init", CKR_OPERATION_ACTIVE)
        assert works(key)
        assert given == [CKR_OPERATION_ACTIVE]
        assert open_sessions(key) == 1


def test_a_strange_answer_replaces_the_session(key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is no refusal of the input is still the one DecryptionFailed, and the session is not kept."""
    session = key._connection.acquire(None)
    key._connection.release(session)
    planted(key._connection, monkeypatch, "decrypt", 0x80000001)
    with pytest.raises(DecryptionFailed):
        works(key)
    again = key._connection.acquire(None)
    assert again is not session
    key._connection.release(again)
    assert works(key)


def test_junk_does_not_cause_a_reconnect(key: RsaTokenKey) -> None:
    """CKR_GENERAL_ERROR, SoftHSM2's answer to junk, leaves epoch, login and session alone."""
    epoch = key._connection.epoch
    for _ in range(5):
        with pytest.raises(DecryptionFailed):
            jwe.decrypt(token_for(key)[:-6] + "AAAAAA", unwrapper(key))
    assert (key._connection.epoch, open_sessions(key)) == (epoch, 1)


def test_a_dead_token_looks_dead_even_to_junk(
    key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch, mode: UnwrapMode
) -> None:
    """A failure whose session probe finds the token gone is BackendUnavailable, not a bad token."""
    planted(key._connection, monkeypatch, "get_session_info", CKR_DEVICE_ERROR)
    with pytest.raises(BackendUnavailable):
        jwe.decrypt(token_for(key)[:-6] + "AAAAAA", unwrapper(key))
    assert works(key)


def test_a_lost_login_is_seen_by_the_probe(key: RsaTokenKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that lives but is not logged in counts as lost."""
    session = key._connection.acquire(None)
    key._connection.release(session)
    original = key._connection.functions.get_session_info

    def public_session(*arguments: object) -> int:
        rv = int(original(*arguments))
        session.info.state = 0
        return rv

    monkeypatch.setattr(key._connection.functions, "get_session_info", public_session)
    with pytest.raises(BackendUnavailable):
        key.probe()
    monkeypatch.undo()
    assert works(key)


def test_initialising_again_spares_the_handles_of_before(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """After initialising again old sessions are neither used nor closed, and every key of the module recovers."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with open_key(softhsm2.shared_key()) as one, open_key(softhsm2.shared_key(UnwrapMode.IN_TOKEN)) as two:
        assert isinstance(one, RsaTokenKey)
        assert isinstance(two, RsaTokenKey)
        connection = one._connection
        old = connection.acquire(None)
        connection.release(old)
        closed: list[object] = []
        monkeypatch.setattr(connection, "_close_session", lambda session, _: closed.append(session))
        connection.quiesce(Deadline.after(5))
        connection.module.reinitialise()
        monkeypatch.undo()
        monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
        assert works(one)
        assert works(two)
        current = connection.acquire(None)
        assert (current.generation, old.generation) == (connection.module.generation, connection.module.generation - 1)
        connection.release(current)
        # A stale session comes back late: it must not close the new session that has its number.
        connection.release(old)
        assert works(one)


def test_a_token_that_stays_away_is_asked_once_in_a_while(
    key: RsaTokenKey, mode: UnwrapMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between attempts to recover a call fails at once, without asking the module."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 60.0)
    planted(key._connection, monkeypatch, first_call(mode), CKR_DEVICE_ERROR)
    with pytest.raises(BackendUnavailable):
        works(key)
    asked: list[bool] = []

    def away(*_: object) -> None:
        asked.append(True)
        raise BackendUnavailable("planted", retryable=True)

    monkeypatch.setattr(connection_module, "find_slot", away)
    monkeypatch.setattr(key._connection.module, "reinitialise", lambda: None)
    for _ in range(5):
        with pytest.raises(BackendUnavailable):
            works(key)
    assert len(asked) == 2  # a new login, then once more after initialising the module
    monkeypatch.undo()
    key._connection._next_attempt = 0.0
    assert works(key)


def test_another_key_under_the_same_name_is_refused_after_a_recovery(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the URI names another key than before the loss, nothing is decrypted with it."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with open_key(softhsm2.new_key(), failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        with open_key(softhsm2.shared_key()) as other:
            assert isinstance(other, RsaTokenKey)
            monkeypatch.setattr(key, "_public_key", other._public_key)
        planted(key._connection, monkeypatch, "decrypt_init", CKR_DEVICE_ERROR)
        with pytest.raises(BackendUnavailable):
            works(key)
        with pytest.raises(ConfigError, match="another key"):
            works(key)


def test_keys_of_one_token_share_login_and_pool(softhsm2: SoftToken) -> None:
    """The second key of a token uses the first one's sessions; the last one to close closes them."""
    one, two = open_key(softhsm2.shared_key()), open_key(softhsm2.shared_key(UnwrapMode.IN_TOKEN))
    assert isinstance(one, RsaTokenKey)
    assert isinstance(two, RsaTokenKey)
    assert one._connection is two._connection
    one.close()
    assert works(two)
    two.close()
    assert two._connection._closed
    with pytest.raises(Error):
        works(two)


def test_closing_logs_out(softhsm2: SoftToken) -> None:
    """After the last key is closed a new session sees public objects only: pool, anchor and login are gone."""
    from pkcs11 import Attribute, ObjectClass

    key = open_key(softhsm2.shared_key())
    assert isinstance(key, RsaTokenKey)
    assert works(key)
    slot = key._connection.slot
    key.close()
    with slot.get_token().open() as session:
        classes = {item[Attribute.CLASS] for item in session.get_objects()}
    assert ObjectClass.PUBLIC_KEY in classes
    assert ObjectClass.PRIVATE_KEY not in classes


def test_a_module_is_not_finalised_under_calls_outside_the_pool(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Initialising again waits for own sessions and new connections; where one does not end it does not happen."""
    monkeypatch.setattr(reinitialising, "QUIESCE_SECONDS", 0.05)
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with open_key(softhsm2.shared_key(), failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        connection = key._connection
        finalised: list[bool] = []
        monkeypatch.setattr(connection.module, "reinitialise", lambda: finalised.append(True))
        restart = connection._restart
        answers = iter([True])

        def away_once() -> None:
            if next(answers, False):
                raise BackendUnavailable("planted", retryable=True)
            restart()

        monkeypatch.setattr(connection, "_restart", away_once)
        inside, leave_it = threading.Event(), threading.Event()

        def visit() -> None:
            with connection.own_session():
                inside.set()
                leave_it.wait(10)

        visitor = threading.Thread(target=visit)
        visitor.start()
        inside.wait(10)
        connection.lose(connection._idle)
        with pytest.raises(BackendUnavailable, match="busy"):
            works(key)
        assert finalised == []
        leave_it.set()
        visitor.join()
        answers = iter([True])
        assert works(key)
        assert finalised == [True]


def test_an_own_session_of_before_closes_nobody_elses(softhsm2: SoftToken) -> None:
    """A session outside the pool that outlives an initialisation leaves the new session with its number alone."""
    with open_key(softhsm2.shared_key(), failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        connection = key._connection
        with connection.own_session():
            connection.quiesce(Deadline.after(5))
            connection.module.reinitialise()
            connection._next_attempt = 0.0
            pooled = [connection.acquire(None) for _ in range(8)]
        for session in pooled:
            assert session.ask(connection.functions) == 0
            connection.release(session)
        assert works(key)


def test_a_session_that_comes_back_while_the_epoch_ends_is_not_lost(key: RsaTokenKey) -> None:
    """Whether it is released just before or just after, the count of open sessions comes out right."""
    connection = key._connection

    class EndingList(list):  # type: ignore[type-arg]
        """A pool whose epoch ends in the moment that a session is put into it."""

        def append(self, session: object) -> None:
            connection.lose(self)
            super().append(session)

    session = connection.acquire(None)
    with connection._changed:
        connection._idle = session.home = EndingList(connection._idle)
    connection.release(session)
    assert connection._opened == 0
    connection._next_attempt = 0.0
    assert works(key)


def test_a_deadline_bounds_the_wait_for_somebody_elses_recovery(key: RsaTokenKey) -> None:
    """While another thread brings the module back, a call ends at its own deadline."""
    connection = key._connection
    connection.lose(connection._idle)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with connection.module.lock:
            held.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(BackendUnavailable, match="bringing"):
        connection.acquire(Deadline.after(0.01))
    let_go.set()
    holder.join()
    assert works(key)


def test_a_busy_pool_does_not_turn_junk_into_an_outage(softhsm2: SoftToken) -> None:
    """Where no session is free for the probe, a bad token is still a bad token, and its failure is not late."""
    with open_key(softhsm2.new_key() + "&max-sessions=1", failure_floor=0) as key:
        assert isinstance(key, RsaTokenKey)
        parsed = jwe.parse(token_for(key)[:-6] + "AAAAAA", jwe.plain_members)
        connection = key._connection
        taken: list[object] = []
        real = unwrapper(key)

        class Busy:
            """The key, whose only session is taken as soon as an unwrap has given it back."""

            public_jwk, failure_floor = real.public_jwk, real.failure_floor
            probe = staticmethod(real.probe)

            @staticmethod
            def unwrap(*arguments: object) -> object:
                content_key = real.unwrap(*arguments)  # type: ignore[arg-type]
                taken.append(connection.acquire(None))
                return content_key

        with pytest.raises(DecryptionFailed):
            jwe.open_token(parsed, Busy(), lambda plaintext: plaintext)  # type: ignore[arg-type]
        connection.release(taken.pop())  # type: ignore[arg-type]
        assert works(key)


def test_trouble_while_cleaning_up_a_failed_login_stays_ours(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that cannot be closed after a failed login does not let the binding's exception out."""
    from pkcs11.exceptions import DeviceRemoved

    from sealpass.backends.pkcs11 import token

    class Doomed:
        handle = 1

        def close(self) -> None:
            raise DeviceRemoved

    monkeypatch.setattr(Connection, "_open_session", lambda *_, **__: Doomed())

    def refuse(*_: object) -> None:
        raise ConfigError("planted")

    monkeypatch.setattr(token.Login, "__call__", refuse)
    with pytest.raises(ConfigError, match="planted"):
        open_key(softhsm2.shared_key())


def test_a_token_lost_while_attributes_are_tried_is_no_clean_bill(
    key: RsaTokenKey, mode: UnwrapMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the token goes away in the middle, a misuse that was not tried is not reported as refused."""
    planted(key._connection, monkeypatch, first_call(mode), CKR_DEVICE_ERROR)
    with pytest.raises(BackendUnavailable):
        key.attributes()
    assert works(key)


def test_trouble_inside_the_token_is_no_bad_token(
    key: RsaTokenKey, mode: UnwrapMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token without room (CKR_DEVICE_MEMORY) is an operator's error, not a wrong password for every user."""
    planted(key._connection, monkeypatch, "decrypt" if mode is UnwrapMode.NATIVE else "unwrap_key", CKR_DEVICE_MEMORY)
    with pytest.raises(BackendUnavailable) as caught:
        works(key)
    assert caught.value.retryable
    assert works(key)


def test_a_token_whose_slot_is_empty_is_away_and_not_unknown(
    key: RsaTokenKey, mode: UnwrapMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the token is out of its slot a call is BackendUnavailable(retryable); when it is back the key works."""
    planted(key._connection, monkeypatch, first_call(mode), CKR_DEVICE_ERROR)

    def empty(*_: object) -> None:
        raise KeyNotFound("no token of the PKCS#11 module matches the URI")

    with monkeypatch.context() as patch:
        patch.setattr(connection_module, "find_slot", empty)
        for _ in range(2):
            with pytest.raises(BackendUnavailable) as caught:
                works(key)
            assert caught.value.retryable
    assert works(key)


def test_attributes_are_tried_on_the_key_of_now(key: RsaTokenKey, mode: UnwrapMode) -> None:
    """After a recovery the first question about attributes looks the key up again, and ends no epoch."""
    before = key.attributes()
    key._connection.lose(key._connection._idle)
    key._handle = 999_999
    assert key.attributes() == before
    assert not key._connection._stale
