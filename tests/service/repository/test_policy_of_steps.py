# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace

import pytest

from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.errors import ConfigError
from sealpass.core.nonces import Purpose
from sealpass.core.passwords import Passwords
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import Normalisation, PolicyReason
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.service.repository.conftest import (
    NEW,
    OLD,
    POLICY,
    RIGHT,
    WRONG,
    DeafKey,
    seen,
    violated,
)
from tests.support.sealing import CHEAP, MemoryRing

STEPS: dict[Purpose, Callable[[SqlPasswordRepository, str], Outcome]] = {
    Purpose.CHANGE: lambda repository, new: repository.change("s", OLD, new),
    Purpose.RESET: lambda repository, new: repository.reset("s", new),
    Purpose.REGISTER: lambda repository, new: repository.register("new", new),
    Purpose.ADMIN_SET: lambda repository, new: repository.admin_set("s", new),
}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_enforces_the_policy_before_anything_else(
    repository: SqlPasswordRepository,
    storage: PasswordStorage,
    key: DeafKey,
    hashed: list[Argon2Parameters],
    step: Purpose,
) -> None:
    """Registration, too. Nothing is hashed, stored or counted, and no device is asked."""
    before = seen(storage)
    key.deaf = True
    assert violated(lambda: STEPS[step](repository, "kurz")) == (PolicyReason.TOO_SHORT,)
    assert violated(lambda: STEPS[step](repository, "\ud800" * 9)) == (PolicyReason.CHARACTERS,)
    assert (seen(storage), storage.get("new"), hashed) == (before, None, [])


@pytest.mark.parametrize("step", STEPS)
def test_the_policy_can_be_off_for_a_step(
    storage: PasswordStorage, repository: SqlPasswordRepository, passwords: Passwords, ring: MemoryRing, step: Purpose
) -> None:
    """Explicitly, and for that step only; the password that is there may be set again, but is never empty."""
    lax = SqlPasswordRepository(storage, passwords, POLICY, policy_off=[step.value])
    assert STEPS[step](lax, OLD) is Outcome.DONE
    assert violated(lambda: STEPS[step](lax, "")) == (PolicyReason.TOO_SHORT,)
    for other in STEPS.keys() - {step}:
        assert violated(lambda: STEPS[other](lax, "kurz")) == (PolicyReason.TOO_SHORT,)  # noqa: B023 - called at once
    if step is not Purpose.REGISTER:
        assert STEPS[step](lax, "k") is Outcome.DONE


def test_a_step_that_there_is_not_is_refused(storage: PasswordStorage, passwords: Passwords, ring: MemoryRing) -> None:
    """A slip must not leave the policy on or off unnoticed."""
    with pytest.raises(ConfigError, match="no such step"):
        SqlPasswordRepository(storage, passwords, POLICY, policy_off=["registration"])


def test_one_form_of_a_password_is_stored_and_compared(
    storage: PasswordStorage, passwords: Passwords, ring: MemoryRing
) -> None:
    """With a normalisation: all its spellings log in, in every step, and none is a new password."""
    policy = replace(POLICY, normalisation=Normalisation.NFC)
    repository = SqlPasswordRepository(storage, passwords, policy)
    one, two = "Läufer zum Schluß", "La\u0308ufer zum Schluß"
    assert repository.register("n", two) is Outcome.DONE
    for spelling in (one, two):
        assert repository.check("n", spelling) == RIGHT
        assert violated(lambda: repository.reset("n", spelling)) == (PolicyReason.REUSED,)  # noqa: B023 - called at once
    assert repository.change("n", two, NEW) is Outcome.DONE


def test_without_normalisation_spellings_differ(repository: SqlPasswordRepository) -> None:
    """Nothing is folded silently."""
    assert repository.register("n", "La\u0308ufer zum Schluß") is Outcome.DONE
    assert repository.check("n", "Läufer zum Schluß") == WRONG


def test_a_monstrous_password_is_a_wrong_one(repository: SqlPasswordRepository, hashed: list[Argon2Parameters]) -> None:
    """At the usual cost, and it is never hashed as a whole."""
    assert repository.check("s", "x" * 1_000_000) == WRONG
    assert hashed == [CHEAP]
