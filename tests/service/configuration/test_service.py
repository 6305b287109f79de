# SPDX-License-Identifier: Apache-2.0
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2.exceptions import HashingError

from sealpass.backends.keyring import KeyRing
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError, DecryptionFailed, Error, RejectReason, TokenRejected
from sealpass.core.nonces import Purpose
from sealpass.service.configuration import ConfigurationRefused, PasswordService, open_service
from sealpass.service.database import Database
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import PolicyReason, PolicyViolation
from tests.service.configuration.conftest import ConfigurationFile

OLD, NEW, OTHER = "korrekt Pferd Batterie", "Tretmühle Wolke sieben", "Gurkenglas am Morgen"
SESSION = "session-1"


@pytest.fixture
def service(file: ConfigurationFile) -> Iterator[PasswordService]:
    """A service as the file of the tests has it."""
    with open_service(file.path) as service:
        yield service


def token(service: PasswordService, password: str, purpose: Purpose) -> str:
    """What the browser sends for one password."""
    return encrypt_password(password, service.repository.announce(SESSION, purpose))


def test_a_user_is_registered_logs_in_and_changes(service: PasswordService) -> None:
    """All of it by tokens, from one file; a change opens a token of each of its two steps."""
    repository = service.repository
    assert repository.register(SESSION, "u", token(service, OLD, Purpose.REGISTER)) is Outcome.DONE
    assert repository.check(SESSION, "u", token(service, OLD, Purpose.CHECK)).matches
    old, new = token(service, OLD, Purpose.CHECK), token(service, NEW, Purpose.CHANGE)
    assert repository.change(SESSION, "u", old, new) is Outcome.DONE
    assert not repository.check(SESSION, "u", token(service, OLD, Purpose.CHECK)).matches
    assert repository.check(SESSION, "u", token(service, NEW, Purpose.CHECK)).matches


def test_steps_have_rings_and_profiles_of_their_own(file: ConfigurationFile, keys: str) -> None:
    """Each is announced and opened as its step says, also the two of one change."""
    file.replace(
        ("[rings.seal]", f'[rings.other]\ncurrent = "{keys}/e2ee-new.pem"\n[rings.seal]'),
        ('change = { ring = "e2ee" }', 'change = { ring = "other", profile = "airlock-jwe" }'),
        ('register = { ring = "e2ee" }', 'register = { ring = "other", profile = "airlock-kms" }'),
    )
    with open_service(file.path) as service:
        announced = {purpose: service.repository.announce(SESSION, purpose) for purpose in Purpose}
        assert {purpose: info.profile for purpose, info in announced.items()} == {
            Purpose.CHECK: "sealpass",
            Purpose.CHANGE: "airlock-jwe",
            Purpose.RESET: "sealpass",
            Purpose.REGISTER: "airlock-kms",
            Purpose.ADMIN_SET: "sealpass",
        }
        kids = {purpose: info.public_key.kid for purpose, info in announced.items()}
        assert kids[Purpose.CHANGE] == kids[Purpose.REGISTER] != kids[Purpose.CHECK] == kids[Purpose.RESET]
        repository = service.repository
        assert repository.register(SESSION, "u", token(service, OLD, Purpose.REGISTER)) is Outcome.DONE
        old, new = token(service, OLD, Purpose.CHECK), token(service, NEW, Purpose.CHANGE)
        assert repository.change(SESSION, "u", old, new) is Outcome.DONE


def test_plain_text_is_refused_where_e2ee_is_on(service: PasswordService) -> None:
    """In the place of a token, and at the other door, in every step that it has."""
    assert service.unguarded.register("u", OLD) is Outcome.DONE
    with pytest.raises(TokenRejected) as caught:
        service.repository.check(SESSION, "u", OLD)
    assert caught.value.reason is RejectReason.FORM
    plain = service.plain
    for call in (
        lambda: plain.check("u", OLD),
        lambda: plain.change("u", OLD, NEW),
        lambda: plain.change_forced("u", NEW, generation=1),
        lambda: plain.reset("u", NEW),
        lambda: plain.register("v", NEW),
        lambda: plain.admin_set("u", NEW),
    ):
        with pytest.raises(ConfigError, match="has E2EE, and takes no plain passwords"):
            call()
    assert service.unguarded.check("u", OLD).matches


def test_a_step_without_e2ee_takes_plain_passwords_only(file: ConfigurationFile) -> None:
    """Its own door is open, and only its own; a token for it cannot be had."""
    file.replace(('admin-set = { ring = "e2ee" }', 'admin-set = { e2ee = "off" }'))
    with open_service(file.path) as service:
        assert service.unguarded.register("u", OLD) is Outcome.DONE
        assert service.plain.admin_set("u", NEW) is Outcome.DONE
        with pytest.raises(ConfigError, match="step reset has E2EE"):
            service.plain.reset("u", NEW)
        with pytest.raises(ConfigError, match="admin-set has E2EE off"):
            service.repository.announce(SESSION, "admin-set")
        with pytest.raises(ConfigError, match="admin-set has E2EE off"):
            service.repository.admin_set(SESSION, "u", token(service, OTHER, Purpose.RESET))
        with pytest.raises(ConfigError, match="no such purpose"):
            service.repository.announce(SESSION, "login")


def test_all_steps_may_be_plain(file: ConfigurationFile) -> None:
    """Where the file says so of each: a change takes the old password as it is, too."""
    file.path.write_text(file.text.replace('{ ring = "e2ee" }', '{ e2ee = "off" }'))
    with open_service(file.path) as service:
        assert service.plain.register("u", OLD, must_change=True) is Outcome.DONE
        found = service.plain.check("u", OLD)
        assert found.must_change
        assert service.plain.change_forced("u", NEW, generation=found.generation) is Outcome.DONE
        assert service.plain.change("u", NEW, OTHER) is Outcome.DONE
        assert service.plain.reset("u", OLD + "!") is Outcome.DONE
        assert service.plain.issue_letter("u").outcome is Outcome.DONE


def test_policy_and_limits_are_those_of_the_file(file: ConfigurationFile, tmp_path: Path) -> None:
    """Length, block list beside the file, a step without policy, attempts, and the life of a nonce and of a letter."""
    (tmp_path / "common.txt").write_text("Wolke sieben\n")
    file.replace(('reset = { ring = "e2ee" }', 'reset = { ring = "e2ee", policy = "off" }'))
    file.add('[policy]\nmin-length = 10\nblock-list = "common.txt"\n[lock-out]\nattempts = 1\n')
    file.add("[nonces]\nlifetime-seconds = 20\ncapacity = 1\n[letters]\nlifetime-seconds = 60\n")
    with open_service(file.path) as service:
        for password, reason in (("kurz", PolicyReason.TOO_SHORT), ("wolke SIEBEN", PolicyReason.BLOCK_LISTED)):
            with pytest.raises(PolicyViolation) as caught:
                service.unguarded.register("u", password)
            assert caught.value.reasons == (reason,)
        assert service.unguarded.register("u", OLD) is Outcome.DONE
        assert service.unguarded.reset("u", "kurz") is Outcome.DONE
        assert not service.unguarded.check("u", "falsch")
        assert not service.unguarded.check("u", "kurz")
        repository = service.repository
        assert repository._lifetime == 20
        assert service.unguarded._letter_lifetime == 60
        assert repository.check(SESSION, "u", token(service, "x", Purpose.CHECK)).matches is False
        repository.announce(SESSION, "check")
        with pytest.raises(Error, match="1 nonces are outstanding"):
            repository.announce("another", "check")


def test_the_failure_floor_is_that_of_the_ring(file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that do not open are answered after the time that the ring has in the file."""
    file.replace(("[rings.seal]", "failure-floor-seconds = 0.25\n[rings.seal]"))
    with open_service(file.path) as service:
        ring = service._reloader._rings["e2ee"]
        assert ring.current.failure_floor.seconds == 0.25
        monkeypatch.setattr(ring.current.failure_floor, "_sleep", lambda _: None)
        damaged = token(service, OLD, Purpose.CHECK)
        with pytest.raises(DecryptionFailed):
            service.repository.check(SESSION, "u", damaged[:-8] + "AAAAAAAA")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('check = { ring = "e2ee" }\n', "", "steps.check: the step is not configured"),
        ('reset = { ring = "e2ee" }', "reset = {}", "steps.reset: the step has no ring"),
        ('ring = "seal"', 'ring = "e2ee"', "records.ring: one key for two purposes"),
        ("passes = 1", "passes = 0", "hashing.passes: must be at least 1"),
    ],
)
def test_no_service_begins_with_an_error_in_the_file(file: ConfigurationFile, old: str, new: str, said: str) -> None:
    """What config check finds in the file is also what keeps a service from opening with a step left open."""
    with pytest.raises(ConfigurationRefused, match=said):
        open_service(file.replace((old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/seal.jwk", "/gone.jwk"),
        ("passwords.db", "gone.db"),
        ("/seal.jwk", "/e2ee-new.pem"),
        ("[steps]", '[policy]\nblock-list = "gone.txt"\n[reload]\ninterval-seconds = 1\n[steps]'),
    ],
)
def test_what_cannot_be_opened_leaves_nothing_open(
    file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    """Rings and connections that were opened before are closed again, and no thread is left."""
    file.replace((old, new))
    open_now: set[object] = set()
    for kind in (KeyRing, Database):
        began, closed = kind.__init__, kind.close

        def begin(self: object, *arguments: object, began: object = began, **options: object) -> None:
            began(self, *arguments, **options)  # type: ignore[operator]
            open_now.add(self)

        def close(self: object, closed: object = closed) -> None:
            closed(self)  # type: ignore[operator]
            open_now.discard(self)

        monkeypatch.setattr(kind, "__init__", begin)
        monkeypatch.setattr(kind, "close", close)
    with pytest.raises(Error):
        open_service(file.path)
    gc.collect()
    assert open_now == set()
    assert "sealpass-reload" not in {thread.name for thread in threading.enumerate()}


def test_closing_closes_everything(file: ConfigurationFile) -> None:
    """Afterwards neither keys nor connections work; a second time does nothing."""
    service = open_service(file.path)
    service.close()
    service.close()
    with pytest.raises(ConfigError, match="closed"):
        service.repository.announce(SESSION, "check")


def test_hashing_that_does_not_run_is_told_at_the_start(
    file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise those whose records are cheaper could log in, and everybody else would find the service broken."""

    def no_memory(*_: object, **__: object) -> bytes:
        raise HashingError("Memory allocation error")

    monkeypatch.setattr("argon2.low_level.hash_secret", no_memory)
    with pytest.raises(ConfigError, match=r"\[hashing\] asks for m=8 KiB.*Memory allocation error"):
        open_service(file.path)


def test_operators_reach_what_is_stored(file: ConfigurationFile) -> None:
    """To end a lock-out, and to delete a user."""
    file.add("[lock-out]\nattempts = 1\nseconds = 3600\n")
    with open_service(file.path) as service:
        service.unguarded.register("u", "correct horse battery")
        assert not service.unguarded.check("u", "wrong")
        assert not service.unguarded.check("u", "correct horse battery")
        stored = service.storage.get("u")
        assert stored is not None
        assert stored.locked_for > 0
        assert service.storage.clear_attempts("u")
        assert service.unguarded.check("u", "correct horse battery")
        assert service.storage.delete("u")
