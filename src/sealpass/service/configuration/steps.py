# SPDX-License-Identifier: Apache-2.0
"""The two doors of a configured service: tokens where a step has E2EE, plain passwords where it has not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError
from sealpass.core.nonces import NonceStore, Purpose
from sealpass.core.profile import Profile
from sealpass.service.e2ee_repository import TokenRepository
from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck, PasswordRepository


@dataclass(frozen=True, slots=True)
class E2eeStep:
    """What the tokens of a step are made with."""

    ring: UnwrapperRing
    profile: Profile


class StepTokenRepository(TokenRepository):
    """Tokens, under the ring and the profile of their step; those of a step without E2EE are ConfigError."""

    def __init__(
        self, inner: PasswordRepository, steps: Mapping[Purpose, E2eeStep], nonces: NonceStore, *, lifetime: float
    ) -> None:
        super().__init__(inner)
        self._steps = dict(steps)
        self._nonces = nonces
        self._lifetime = lifetime

    def announce(self, session: str, purpose: Purpose | str) -> E2eeInformation:
        """What the client needs for one password. change() takes two: of Purpose.CHECK and of Purpose.CHANGE."""
        step = self._step(purpose)
        return announce(step.ring, step.profile, self._nonces, session, purpose, lifetime=self._lifetime)

    def _step(self, purpose: Purpose | str) -> E2eeStep:
        try:
            return self._steps[Purpose(purpose)]
        except ValueError:
            raise ConfigError("no such purpose", hint=f"purposes: {', '.join(Purpose)}") from None
        except KeyError:
            raise ConfigError(f"step {Purpose(purpose).value} has E2EE off, and takes no tokens") from None

    def _password(self, session: str, token: str, purpose: Purpose, deadline: Deadline | None) -> str:
        step = self._step(purpose)
        return unwrap_password(token, step.ring, step.profile, self._nonces, session, purpose, deadline=deadline)


class PlainRepository:
    """Plain passwords, for the steps with ``e2ee = "off"``; a :class:`PasswordRepository`.

    Any other step raises ConfigError, so no slip of an application lets plain text in where E2EE is on.
    """

    def __init__(self, inner: PasswordRepository, steps: Collection[Purpose]) -> None:
        self._inner = inner
        self._steps = frozenset(steps)

    def _allow(self, *steps: Purpose) -> None:
        for step in steps:
            if step not in self._steps:
                raise ConfigError(f"step {step.value} has E2EE, and takes no plain passwords", hint="send its tokens")

    def check(self, subject: str | None, password: str, deadline: Deadline | None = None) -> PasswordCheck:
        """See PasswordRepository."""
        self._allow(Purpose.CHECK)
        return self._inner.check(subject, password, deadline)

    def change(self, subject: str, old: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See PasswordRepository."""
        self._allow(Purpose.CHECK, Purpose.CHANGE)
        return self._inner.change(subject, old, new, deadline)

    def change_forced(
        self, subject: str, new: str, deadline: Deadline | None = None, *, generation: int | None
    ) -> Outcome:
        """See PasswordRepository."""
        self._allow(Purpose.CHANGE)
        return self._inner.change_forced(subject, new, deadline, generation=generation)

    def reset(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See PasswordRepository."""
        self._allow(Purpose.RESET)
        return self._inner.reset(subject, new, deadline)

    def register(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = False
    ) -> Outcome:
        """See PasswordRepository."""
        self._allow(Purpose.REGISTER)
        return self._inner.register(subject, new, deadline, must_change=must_change)

    def admin_set(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = True
    ) -> Outcome:
        """See PasswordRepository."""
        self._allow(Purpose.ADMIN_SET)
        return self._inner.admin_set(subject, new, deadline, must_change=must_change)

    def issue_letter(
        self,
        subject: str,
        password_maker: Callable[[], str] | None = None,
        deadline: Deadline | None = None,
        *,
        register: bool = False,
    ) -> IssuedLetter:
        """See PasswordRepository. The server makes the password, so it has nothing to do with E2EE."""
        return self._inner.issue_letter(subject, password_maker, deadline, register=register)
