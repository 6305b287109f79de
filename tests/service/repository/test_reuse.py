# SPDX-License-Identifier: Apache-2.0
"""How often anybody may ask whether a password was the user's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.passwords import Passwords
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import PolicyReason
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import LockOut, PasswordStorage
from tests.service.conftest import Clock
from tests.service.repository.conftest import (
    LOCK_OUT,
    NEW,
    OLD,
    OTHER,
    POLICY,
    RIGHT,
    DeafKey,
    logged_in,
    seen,
    violated,
)

REUSED = (PolicyReason.REUSED,)
BOUND = LockOut(attempts=2, seconds=30)


@pytest.fixture
def bounded(storage: PasswordStorage, passwords: Passwords, repository: SqlPasswordRepository) -> SqlPasswordRepository:
    """The same user, of whom two comparisons with earlier passwords are told."""
    return SqlPasswordRepository(storage, passwords, POLICY, lock_out=LOCK_OUT, reuse_lock_out=BOUND)


def test_a_reset_tests_no_more_guesses_than_the_bound_allows(
    bounded: SqlPasswordRepository, hashed: list[Argon2Parameters], clock: Clock
) -> None:
    """Beyond it nothing is compared and any password is one that was there, until the time is over."""
    for _ in range(BOUND.attempts):
        assert violated(lambda: bounded.reset("s", OLD)) == REUSED
    hashed.clear()
    for password in (OLD, NEW):
        assert violated(lambda: bounded.reset("s", password)) == REUSED  # noqa: B023 - called at once
        assert violated(lambda: bounded.change("s", OLD, password)) == REUSED  # noqa: B023 - as above
    assert len(hashed) == 2  # the old password of the changes
    clock.now += BOUND.seconds - 1
    assert violated(lambda: bounded.reset("s", NEW)) == REUSED
    clock.now += 1
    assert bounded.reset("s", NEW) is Outcome.DONE


def test_a_forced_change_is_bounded_with_it(bounded: SqlPasswordRepository) -> None:
    """Whichever step asks; an administrator's set compares nothing, and begins anew."""
    assert bounded.admin_set("s", OTHER) is Outcome.DONE
    generation = logged_in(bounded, OTHER)
    assert violated(lambda: bounded.change_forced("s", OLD, generation=generation)) == REUSED
    assert violated(lambda: bounded.reset("s", OLD)) == REUSED
    assert violated(lambda: bounded.change_forced("s", NEW, generation=generation)) == REUSED
    assert bounded.admin_set("s", OTHER) is Outcome.DONE
    assert bounded.change_forced("s", NEW, generation=logged_in(bounded, OTHER)) is Outcome.DONE


def test_a_login_does_not_lift_the_bound(bounded: SqlPasswordRepository) -> None:
    """Or whoever has both a reset and the password that it set could go on testing earlier ones."""
    for _ in range(BOUND.attempts):
        assert violated(lambda: bounded.reset("s", OLD)) == REUSED
        assert bounded.check("s", OLD) == RIGHT
    assert violated(lambda: bounded.reset("s", NEW)) == REUSED


def test_a_new_password_begins_anew(bounded: SqlPasswordRepository) -> None:
    """Comparing once for each is no use of the bound, however many passwords somebody has in a life."""
    for number in range(3 * BOUND.attempts):
        assert bounded.reset("s", f"{NEW} {number}") is Outcome.DONE


def test_a_user_who_is_locked_out_can_reset(bounded: SqlPasswordRepository) -> None:
    """Attempts to log in are counted apart."""
    for _ in range(LOCK_OUT.attempts + 1):
        bounded.check("s", OTHER)
    assert violated(lambda: bounded.reset("s", OLD)) == REUSED
    assert bounded.reset("s", NEW) is Outcome.DONE
    assert bounded.check("s", NEW) == RIGHT


def test_a_comparison_that_the_device_did_not_answer_does_not_count(
    bounded: SqlPasswordRepository, key: DeafKey
) -> None:
    """Nothing was learned; the user is not to blame for the device."""
    key.deaf = True
    for _ in range(BOUND.attempts + 1):
        with pytest.raises(BackendUnavailable):
            bounded.reset("s", NEW)
    key.deaf = False
    assert bounded.reset("s", NEW) is Outcome.DONE


def test_resets_at_once_test_no_more_guesses_either(
    storage: PasswordStorage, passwords: Passwords, bounded: SqlPasswordRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted before anything is compared: however many ask at the same moment."""
    asked: list[str] = []
    verify = passwords.verify

    def watched(record: str, password: str, *arguments: object) -> object:
        asked.append(password)
        return verify(record, password, *arguments)  # type: ignore[arg-type]  # passed on as they come

    monkeypatch.setattr(passwords, "verify", watched)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: violated(lambda: bounded.reset("s", OLD)), range(6)))
    assert answers == [REUSED] * 6
    assert asked == [OLD] * BOUND.attempts
    assert seen(storage).failures == 0


def test_a_bound_without_an_end_is_refused(storage: PasswordStorage, passwords: Passwords) -> None:
    """Such a user could not choose a password any more."""
    with pytest.raises(ConfigError, match="for ever"):
        SqlPasswordRepository(storage, passwords, POLICY, reuse_lock_out=LockOut(attempts=2, seconds=float("inf")))
