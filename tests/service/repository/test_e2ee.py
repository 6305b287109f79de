# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Callable
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.contract import PROFILES
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import BackendUnavailable, ConfigError, DecryptionFailed, Error, RejectReason, TokenRejected
from sealpass.core.nonces import Purpose
from sealpass.service.database import Database
from sealpass.service.e2ee_repository import E2eePasswordRepository
from sealpass.service.nonce_store import SqlNonceStore
from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck
from sealpass.service.policy import PolicyReason
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.service.repository.conftest import (
    LOCK_OUT,
    MUST_CHANGE,
    NEW,
    OLD,
    OTHER,
    RIGHT,
    WRONG,
    DeafKey,
    seen,
    violated,
)
from tests.support import tokens
from tests.unit.test_secrecy import told_by

SESSION = "session-1"


class Client:
    """A browser with one login flow."""

    def __init__(self, repository: E2eePasswordRepository) -> None:
        self.repository = repository

    def token(self, password: str, purpose: Purpose) -> str:
        """A password for one step."""
        return encrypt_password(password, self.repository.announce(SESSION, purpose))

    def check(self, password: str, subject: str | None = "s") -> PasswordCheck:
        """A login."""
        return self.repository.check(SESSION, subject, self.token(password, Purpose.CHECK))


@pytest.fixture(params=PROFILES)
def client(
    request: pytest.FixtureRequest, repository: SqlPasswordRepository, software_ring: KeyRing, database: Database
) -> Client:
    """A client of each profile; the nonces are in the same database."""
    return Client(E2eePasswordRepository(repository, software_ring, request.param, SqlNonceStore(database)))


@pytest.fixture
def one_client(repository: SqlPasswordRepository, software_ring: KeyRing, database: Database) -> Client:
    """A client of the default profile."""
    return Client(E2eePasswordRepository(repository, software_ring, PROFILES["sealpass"], SqlNonceStore(database)))


STEPS: dict[Purpose, Callable[[E2eePasswordRepository, str], object]] = {
    Purpose.CHECK: lambda repository, token: repository.check(SESSION, "s", token),
    Purpose.CHANGE: lambda repository, token: repository.change_forced(SESSION, "s", token, generation=0),
    Purpose.RESET: lambda repository, token: repository.reset(SESSION, "s", token),
    Purpose.REGISTER: lambda repository, token: repository.register(SESSION, "new", token),
    Purpose.ADMIN_SET: lambda repository, token: repository.admin_set(SESSION, "s", token),
}


def refused(run: Callable[[], object]) -> RejectReason:
    """Why a token was rejected; nothing of it is told."""
    with pytest.raises(TokenRejected) as caught:
        run()
    told = told_by(caught.value)
    assert "Pferd" not in told
    assert "Wolke" not in told
    return caught.value.reason


def test_a_life_of_a_password(client: Client) -> None:
    """Registered, checked, changed, reset, set by an administrator and changed again, all of it by tokens."""
    repository, token = client.repository, client.token
    assert repository.register(SESSION, "t", token(OLD, Purpose.REGISTER)) is Outcome.DONE
    assert client.check(OLD, "t") == RIGHT
    assert client.check(NEW, "t") == client.check(OLD, None) == WRONG
    old, new = token(OLD, Purpose.CHECK), token(NEW, Purpose.CHANGE)
    assert repository.change(SESSION, "t", old, new) is Outcome.DONE
    assert client.check(NEW, "t") == RIGHT
    assert repository.reset(SESSION, "t", token(OTHER, Purpose.RESET)) is Outcome.DONE
    assert client.check(OTHER, "t") == RIGHT
    temporary = token("für heute genug", Purpose.ADMIN_SET)
    assert repository.admin_set(SESSION, "t", temporary) is Outcome.DONE
    found = client.check("für heute genug", "t")
    assert found == MUST_CHANGE
    for generation, outcome in ((0, Outcome.CONFLICT), (found.generation, Outcome.DONE)):
        chosen = token("und nun ein neues", Purpose.CHANGE)
        assert repository.change_forced(SESSION, "t", chosen, generation=generation) is outcome
    assert client.check("und nun ein neues", "t") == RIGHT


@pytest.mark.parametrize("step", STEPS)
def test_a_token_is_for_one_step_and_once(one_client: Client, storage: PasswordStorage, step: Purpose) -> None:
    """A token of any other step is rejected and changes nothing, and so is the right one when it comes again."""
    before = seen(storage)
    for other in STEPS.keys() - {step}:
        token = one_client.token(NEW, other)
        assert refused(lambda: STEPS[step](one_client.repository, token)) is RejectReason.NONCE  # noqa: B023 - called at once
    assert (seen(storage), storage.get("new")) == (before, None)
    token = one_client.token(NEW, step)
    STEPS[step](one_client.repository, token)
    assert refused(lambda: STEPS[step](one_client.repository, token)) is RejectReason.NONCE


@pytest.mark.parametrize("step", STEPS)
def test_plain_text_is_refused_as_a_malformed_token(client: Client, storage: PasswordStorage, step: Purpose) -> None:
    """In every step and however it is wrapped: there is no falling back, and nothing is counted."""
    before = seen(storage)
    client.token(NEW, step)
    for plain in (OLD, "Pferd", "", "a.b.c.d.e", json.dumps({"password": OLD}), "x" * 256):
        assert refused(lambda: STEPS[step](client.repository, plain)) is RejectReason.FORM  # noqa: B023 - called at once
    assert (seen(storage), storage.get("new")) == (before, None)


def test_the_second_password_of_a_change_is_no_plain_text_either(client: Client, storage: PasswordStorage) -> None:
    """The right old password was sent, but nothing is looked up before both are opened."""
    before = seen(storage)
    old = client.token(OLD, Purpose.CHECK)
    client.token(NEW, Purpose.CHANGE)
    assert refused(lambda: client.repository.change(SESSION, "s", old, NEW)) is RejectReason.FORM
    assert seen(storage) == before


def test_a_letter_needs_no_token(one_client: Client) -> None:
    """The server makes its password; whoever has it logs in by a token as with any other."""
    repository = one_client.repository
    assert repository.issue_letter("nobody") == IssuedLetter(Outcome.UNKNOWN)
    assert repository.issue_letter("new", lambda: OTHER, register=True).outcome is Outcome.DONE
    assert one_client.check(OTHER, "new") == MUST_CHANGE


def test_one_token_does_not_serve_as_both(one_client: Client) -> None:
    """An old password is no new one."""
    token = one_client.token(OLD, Purpose.CHECK)
    assert refused(lambda: one_client.repository.change(SESSION, "s", token, token)) is RejectReason.NONCE


def test_what_does_not_open_is_no_wrong_password(one_client: Client, storage: PasswordStorage) -> None:
    """However often it comes, it locks nobody out; a wrong password in a token does."""
    for _ in range(LOCK_OUT.attempts + 1):
        damaged = tokens.flip_bit(one_client.token(OLD, Purpose.CHECK), tokens.TAG, 0)
        with pytest.raises(DecryptionFailed):
            one_client.repository.check(SESSION, "s", damaged)
        with pytest.raises(DecryptionFailed):
            one_client.repository.change(
                SESSION,
                "s",
                one_client.token(NEW, Purpose.CHECK),
                tokens.flip_bit(one_client.token(OTHER, Purpose.CHANGE), tokens.CIPHERTEXT, 3),
            )
    assert seen(storage).failures == 0
    assert one_client.check(NEW) == WRONG
    assert seen(storage).failures == 1


def test_the_policy_holds_for_what_is_in_a_token(client: Client, storage: PasswordStorage) -> None:
    """At registration, too, where nobody but the server can enforce it."""
    for step in STEPS.keys() - {Purpose.CHECK}:
        token = client.token("kurz", step)
        assert violated(lambda: STEPS[step](client.repository, token)) == (PolicyReason.TOO_SHORT,)  # noqa: B023 - called at once
    assert storage.get("new") is None


def test_another_session_cannot_use_a_token(one_client: Client) -> None:
    """Nor spends anybody's attempt with it."""
    token = one_client.token(OLD, Purpose.CHECK)
    assert refused(lambda: one_client.repository.check("session-2", "s", token)) is RejectReason.NONCE


def test_errors_hold_no_password(one_client: Client, key: DeafKey) -> None:
    """Also not in what they were raised from, when the device falls silent after the token was opened."""
    token = one_client.token(OLD, Purpose.CHECK)
    key.deaf = True
    with pytest.raises(BackendUnavailable) as caught:
        one_client.repository.check(SESSION, "s", token)
    error: Error = caught.value
    assert "Pferd" not in told_by(error)
    assert "$sealpass" not in told_by(error)


def test_a_subject_that_is_no_text_spends_no_token(one_client: Client) -> None:
    """It is a slip of the application, found before any token is opened."""
    wrong: Any = 7
    token = one_client.token(OLD, Purpose.CHECK)
    for call in (
        lambda: one_client.repository.check(SESSION, wrong, token),
        lambda: one_client.repository.change(SESSION, wrong, token, token),
        lambda: one_client.repository.change_forced(SESSION, wrong, token, generation=0),
        lambda: one_client.repository.reset(SESSION, wrong, token),
        lambda: one_client.repository.register(SESSION, wrong, token),
        lambda: one_client.repository.admin_set(SESSION, wrong, token),
        lambda: one_client.repository.issue_letter(wrong),
    ):
        with pytest.raises(ConfigError, match="a subject is text, not int"):
            call()
    assert one_client.repository.check(SESSION, "s", token) == RIGHT
