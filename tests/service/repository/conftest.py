# SPDX-License-Identifier: Apache-2.0
"""A repository with one user, on a database of each kind, a clock that stands and a device that can fall silent."""

from collections.abc import Callable

import pytest

from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealed
from sealpass.service.database import Database
from sealpass.service.password_repository import Outcome, PasswordCheck
from sealpass.service.policy import PasswordPolicy, PolicyReason, PolicyViolation
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import LockOut, PasswordStorage, StoredPassword
from tests.support.sealing import CHEAP, CountedKey, MemoryRing, watch_hashes

OLD, NEW, OTHER = "korrekt Pferd ☃ Batterie", "Tretmühle Wolke sieben", "Gurkenglas am Morgen"
RIGHT, WRONG = PasswordCheck(matches=True), PasswordCheck(matches=False)
MUST_CHANGE = PasswordCheck(matches=True, must_change=True)
LOCK_OUT = LockOut(attempts=3, seconds=60)
POLICY = PasswordPolicy(min_length=8, history=2)


class DeafKey(CountedKey):
    """A key of a device that stops answering when a test says so."""

    deaf = False

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        self._answer()
        return super().open_sealed(sealed, aad, deadline)

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        self._answer()
        return super().seal(plaintext, aad, deadline)

    def _answer(self) -> None:
        if self.deaf:
            raise BackendUnavailable("the device does not answer", retryable=True)


@pytest.fixture
def key() -> DeafKey:
    """The current key."""
    return DeafKey()


@pytest.fixture
def ring(key: DeafKey) -> MemoryRing:
    """A ring of it."""
    return MemoryRing(key)


@pytest.fixture
def passwords(ring: MemoryRing) -> Passwords:
    """Under that ring, with the cheapest hash."""
    return Passwords(ring, hashing=CHEAP)


@pytest.fixture
def storage(database: Database) -> PasswordStorage:
    """The tables, on a clock that stands."""
    return PasswordStorage(database)


@pytest.fixture
def repository(storage: PasswordStorage, passwords: Passwords) -> SqlPasswordRepository:
    """A repository with one user ``s``, whose password is OLD."""
    repository = SqlPasswordRepository(storage, passwords, POLICY, lock_out=LOCK_OUT)
    assert repository.register("s", OLD) is Outcome.DONE
    return repository


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Argon2Parameters]:
    """The parameters of every hash that is verified from here on."""
    return watch_hashes(monkeypatch)


def seen(storage: PasswordStorage, subject: str = "s") -> StoredPassword:
    """What is stored for a subject that exists."""
    found = storage.get(subject)
    assert found is not None
    return found


def logged_in(repository: SqlPasswordRepository, password: str, subject: str = "s") -> int:
    """The generation of a login that has to change its password."""
    found = repository.check(subject, password)
    assert found == MUST_CHANGE
    assert found.generation is not None
    return found.generation


def violated(run: Callable[[], object]) -> tuple[PolicyReason, ...]:
    """Why a new password was not accepted."""
    with pytest.raises(PolicyViolation) as caught:
        run()
    return caught.value.reasons
