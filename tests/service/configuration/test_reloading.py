# SPDX-License-Identifier: Apache-2.0
import logging
import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    OperatorError,
    RejectReason,
    TokenRejected,
)
from sealpass.core.protocols import Key
from sealpass.core.uri import KeyUri
from sealpass.service.configuration import PasswordService, Reloaded, open_service, reloading
from sealpass.service.configuration.reloading import ReloadThread
from tests.service.configuration.conftest import ConfigurationFile
from tests.support.soft_tokens import SoftToken

PASSWORD = "korrekt Pferd Batterie"
SESSION = "session-1"
LOG = "sealpass.service.configuration.reloading"


@pytest.fixture
def service(file: ConfigurationFile) -> Iterator[PasswordService]:
    """A service with one user ``u``."""
    with open_service(file.path) as service:
        service.unguarded.register("u", PASSWORD)
        yield service


def current_kid(service: PasswordService) -> str:
    """The key that is announced now."""
    return str(service.repository.announce(SESSION, "check").public_key.kid)


def token(service: PasswordService) -> str:
    """What a browser sends for the right password."""
    return encrypt_password(PASSWORD, service.repository.announce(SESSION, "check"))


def test_both_rings_rotate_without_a_restart(service: PasswordService, file: ConfigurationFile, keys: str) -> None:
    """New tokens and records have the new keys, tokens on their way and records of before still open."""
    before, on_its_way = current_kid(service), token(service)
    file.replace(
        ("/e2ee.pem", f'/e2ee-new.pem"\nprevious = ["{keys}/e2ee.pem"] # "'),
        ("/seal.jwk", f'/seal-new.jwk"\nprevious = ["{keys}/seal.jwk"] # "'),
    )
    assert service.reload() == Reloaded(replaced=("e2ee", "seal"))
    assert current_kid(service) != before
    assert service.repository.check(SESSION, "u", on_its_way).matches
    service.unguarded.register("v", PASSWORD)
    with open_key(f"{keys}/seal-new.jwk") as key:
        stored = service.unguarded._storage.get("v")
        assert stored is not None
        assert f"$k={key.key_id}$" in str(stored.current)
    assert service.repository.check(SESSION, "u", token(service)).matches


def test_a_key_that_left_the_ring_opens_nothing_more(service: PasswordService, file: ConfigurationFile) -> None:
    """A token for it is refused, and it is known why."""
    on_its_way = token(service)
    file.replace(("/e2ee.pem", "/e2ee-new.pem"))
    service.reload()
    with pytest.raises(TokenRejected) as caught:
        service.repository.check(SESSION, "u", on_its_way)
    assert caught.value.reason is RejectReason.KEY_RETIRED


def test_a_login_in_progress_keeps_its_key(service: PasswordService, file: ConfigurationFile) -> None:
    """A key that was found before the reload still unwraps after it."""
    ring = service._reloader._rings["e2ee"]
    key = ring.find(current_kid(service))
    assert key is not None
    file.replace(("/e2ee.pem", "/e2ee-new.pem"))
    service.reload()
    assert ring.find(key.key_id) is None
    key.probe()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[records]", "[recrods]", "records: missing"),
        ("[records]", "[records", "not TOML"),
        ('check = { ring = "e2ee" }\n', "", "steps.check: the step is not configured"),
        ("/e2ee.pem", "/gone.pem", "ring e2ee stays as it is"),
        ("/e2ee.pem", "/seal-new.jwk", "ring e2ee stays as it is [unsupported-algorithm]"),
        ("/seal.jwk", "/e2ee-new.pem", "ring seal stays as it is [unsupported-algorithm]"),
        ("/e2ee.pem", "/seal.jwk", "one key for two purposes"),
    ],
)
def test_a_broken_file_changes_nothing(
    service: PasswordService,
    file: ConfigurationFile,
    caplog: pytest.LogCaptureFixture,
    old: str,
    new: str,
    said: str,
) -> None:
    """The error is logged, the rings stay, and logins go on; the next good file is taken."""
    before, good = current_kid(service), file.text
    file.replace((old, new))
    done = service.reload()
    assert len(done.problems) == 1
    assert said in done.problems[0]
    assert [record.levelname for record in caplog.records if record.name == LOG] == ["ERROR"]
    assert said in caplog.text
    assert current_kid(service) == before
    assert service.repository.check(SESSION, "u", token(service)).matches
    file.path.write_text(good.replace("/e2ee.pem", "/e2ee-new.pem"))
    assert service.reload().problems == ()
    assert current_kid(service) != before


def test_a_ring_that_fails_does_not_hold_back_the_others(service: PasswordService, file: ConfigurationFile) -> None:
    """Each ring changes as a whole or not at all."""
    before = current_kid(service)
    file.replace(("/e2ee.pem", "/e2ee-new.pem"), ("/seal.jwk", "/gone.jwk"))
    done = service.reload()
    assert done.replaced == ("e2ee",)
    assert len(done.problems) == 1
    assert current_kid(service) != before
    assert service.repository.check(SESSION, "u", token(service)).matches


def test_a_key_that_cannot_do_the_profile_stays_out(
    service: PasswordService, file: ConfigurationFile, softhsm2: SoftToken
) -> None:
    """It would open, and then no step could announce it."""
    before = current_kid(service)
    file.path.write_text(file.text.replace(file.text.splitlines()[3], f'current = "{softhsm2.shared_key()}"'))
    assert "does none of profile sealpass" in service.reload().problems[0]
    assert current_kid(service) == before


def test_other_changes_need_a_restart(
    service: PasswordService, file: ConfigurationFile, caplog: pytest.LogCaptureFixture
) -> None:
    """They are named, and do not hold; keys are taken all the same."""
    file.replace(
        ('reset = { ring = "e2ee" }', 'reset = { ring = "e2ee", policy = "off" }'),
        ("passwords.db", "others.db"),
        ("[records]", "failure-floor-seconds = 1\n[records]"),
        ("passes = 1", "passes = 2"),
    )
    file.add("[policy]\nhistory = 1\n[lock-out]\nattempts = 1\n[reuse-lock-out]\nattempts = 1\n")
    file.add("[letters]\nlifetime-seconds = 60\n[nonces]\ncapacity = 1\n[reload]\ninterval-seconds = 5\n")
    done = service.reload()
    assert (done.replaced, done.problems) == (("e2ee", "seal"), ())
    assert set(done.needs_restart) == {
        *("database", "steps", "hashing", "policy", "lock-out", "reuse-lock-out", "letters", "nonces", "reload"),
        "rings",
    }
    assert "needs a restart: database, " in caplog.text
    assert not service.unguarded.check("u", "falsch")
    assert service.unguarded.check("u", PASSWORD).matches


def test_unasked_only_what_changed_is_opened_again(
    service: PasswordService, file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interval costs a device nothing while the file stays as it is; a reload that somebody asked for opens all."""
    opened: list[str] = []

    def counted(uri: KeyUri) -> Key:
        opened.append(str(uri).rpartition("/")[2])
        return open_key(uri)

    monkeypatch.setattr(reloading, "open_key", counted)
    assert service._reloader.reload(unasked=True) == Reloaded()
    assert opened == []
    file.replace(("/seal.jwk", "/seal-new.jwk"))
    assert service._reloader.reload(unasked=True).replaced == ("seal",)
    assert opened == ["seal-new.jwk"]
    assert service.reload().replaced == ("e2ee", "seal")
    assert opened == ["seal-new.jwk", "e2ee.pem", "seal-new.jwk"]


def test_a_key_file_that_was_replaced_is_found_when_asked(
    service: PasswordService, file: ConfigurationFile, tmp_path: Path
) -> None:
    """The file says the same, and stands for another key by now."""
    path = tmp_path / "own.pem"
    uri = str(key_maker(f"software:path={path}").create_rsa(2048, UnwrapMode.SOFTWARE))
    file.path.write_text(file.text.replace(file.text.splitlines()[3], f'current = "{uri}"'))
    service.reload()
    before = current_kid(service)
    path.unlink()
    key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)
    assert service.reload().problems == ()
    assert current_kid(service) != before


@pytest.mark.parametrize(
    ("error", "tries"),
    [(AuthenticationFailed("the token refused the PIN"), 1), (BackendUnavailable("away", retryable=True), 3)],
)
def test_a_refused_login_is_not_tried_again_unasked(
    service: PasswordService,
    file: ConfigurationFile,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: OperatorError,
    tries: int,
) -> None:
    """An interval would lock the token; a device that is away is asked each time. Either is logged once."""
    tried = []

    def fail(uri: KeyUri) -> Key:
        tried.append(uri)
        raise error

    file.replace(("/e2ee.pem", "/e2ee-new.pem"))
    monkeypatch.setattr(reloading, "open_key", fail)
    for _ in range(3):
        service._reloader.reload(unasked=True)
    assert len(tried) == tries
    assert len([record for record in caplog.records if record.name == LOG]) == 1
    monkeypatch.setattr(reloading, "open_key", open_key)
    assert service.reload().replaced == ("e2ee", "seal")


def test_a_refused_login_ends_the_reload(
    service: PasswordService, file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ring may be on the same token."""
    tried = []

    def fail(uri: KeyUri) -> Key:
        tried.append(uri)
        raise AuthenticationFailed("the token refused the PIN")

    monkeypatch.setattr(reloading, "open_key", fail)
    assert len(service.reload().problems) == 1
    assert len(tried) == 1


# -- the thread --------------------------------------------------------------------------------------------------------


class Reloader:
    """Says when it was asked, and whether by the interval; the first time it can fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._fails = fails

    def reload(self, *, unasked: bool = False) -> Reloaded:
        """See RingReloader."""
        self.asked.put(unasked)
        if self._fails:
            self._fails = False
            raise RuntimeError("hunter2")
        return Reloaded()


def threads() -> list[threading.Thread]:
    """Those of reloads."""
    return [thread for thread in threading.enumerate() if thread.name == "sealpass-reload"]


def test_no_thread_unless_it_is_configured(file: ConfigurationFile) -> None:
    """One daemon with an interval, none without; closing ends it."""
    with open_service(file.path):
        assert threads() == []
    with open_service(file.add("[reload]\ninterval-seconds = 3600\n")) as service:
        assert [thread.daemon for thread in threads()] == [True]
        service.reload_on_interval()
        assert len(threads()) == 1
    assert threads() == []


def test_an_interval_reloads_again_and_again() -> None:
    """Each time only what changed."""
    reloader = Reloader()
    thread = ReloadThread(reloader, 0.001)  # type: ignore[arg-type]
    thread.start()
    assert [reloader.asked.get(timeout=30) for _ in range(3)] == [True, True, True]
    thread.close()
    assert threads() == []


def test_sighup_reloads_and_is_given_back(file: ConfigurationFile) -> None:
    """In the thread, because a handler would meet the locks of the thread that it interrupts."""
    assert threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGHUP)
    reloader = Reloader()
    thread = ReloadThread(reloader, None)  # type: ignore[arg-type]
    thread.listen()
    thread.listen()
    try:
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
            assert reloader.asked.get(timeout=30) is False
    finally:
        thread.close()
    assert signal.getsignal(signal.SIGHUP) is handler
    assert threads() == []


def test_sighup_rotates_a_service(
    service: PasswordService, file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, from the signal to the key that is announced."""
    before = current_kid(service)
    done: queue.SimpleQueue[Reloaded] = queue.SimpleQueue()
    reload = service._reloader.reload

    def told(*, unasked: bool = False) -> Reloaded:
        done.put(reload(unasked=unasked))
        return Reloaded()

    monkeypatch.setattr(service._reloader, "reload", told)
    service.reload_on_sighup()
    file.replace(("/e2ee.pem", "/e2ee-new.pem"))
    signal.raise_signal(signal.SIGHUP)
    assert done.get(timeout=30).replaced == ("e2ee", "seal")
    assert current_kid(service) != before


def test_signals_are_for_the_main_thread(service: PasswordService) -> None:
    """Elsewhere Python cannot set a handler; the error says what to do."""
    errors: list[BaseException] = []

    def listen() -> None:
        try:
            service.reload_on_sighup()
        except ConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
    assert threads() == []


def test_a_bug_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged without its text, and the next reload happens."""
    reloader = Reloader(fails=True)
    thread = ReloadThread(reloader, 0.001)  # type: ignore[arg-type]
    with caplog.at_level(logging.CRITICAL, LOG):
        thread.start()
        assert [reloader.asked.get(timeout=30) for _ in range(2)] == [True, True]
        thread.close()
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_reloads_once_it_asks_for_it(service: PasswordService, file: ConfigurationFile) -> None:
    """A fork takes no threads along, may come while the lock is held, and the child can listen anew."""
    service.reload_on_sighup()
    before = current_kid(service)
    file.replace(("/e2ee.pem", "/e2ee-new.pem"))
    with service._reloader._lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not see it
            status = 1
            try:
                if not threads():
                    service.reload_on_sighup()
                    signal.raise_signal(signal.SIGHUP)
                    deadline = threading.Event()
                    for _ in range(1000):
                        if current_kid(service) != before:
                            status = 0
                            break
                        deadline.wait(0.01)
            finally:
                os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    assert current_kid(service) == before


def test_a_failed_reload_is_one_line_of_the_log(file: ConfigurationFile, caplog: pytest.LogCaptureFixture) -> None:
    """With everything that is wrong in it."""
    with open_service(file.path) as service:
        file.replace(("passes = 1", "pases = 1"), ("lanes = 1", "lains = 1"))
        caplog.clear()
        service.reload()
    (message,) = caplog.messages
    assert "pases" in message
    assert "lains" in message
    assert "\n" not in message


def test_a_start_logs_nothing_of_alembic(file: ConfigurationFile, caplog: pytest.LogCaptureFixture) -> None:
    """At any level: nothing is migrated."""
    with caplog.at_level(logging.DEBUG, "alembic"), open_service(file.path):
        pass
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []
