# SPDX-License-Identifier: Apache-2.0
"""A password repository that takes only passwords which the browser encrypted."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, profile_named, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, NonceStore, Purpose
from sealpass.core.profile import Profile
from sealpass.core.records import check_subject
from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck, PasswordRepository


class TokenRepository(ABC):
    """Takes tokens, and hands the passwords in them to the repository inside. Thread-safe; closes nothing.

    ``session`` names the login flow, as in announce(). Every method that takes a token raises TokenRejected, which
    plain text in its place gets, too, or DecryptionFailed. The repository inside hears of neither, so no token that
    does not open ever counts as a wrong password. All tokens of a step are opened before anything else of it happens;
    only a subject that is no text is a ConfigError before that.
    """

    def __init__(self, inner: PasswordRepository) -> None:
        self._inner = inner

    def check(self, session: str, subject: str | None, token: str, deadline: Deadline | None = None) -> PasswordCheck:
        """See PasswordRepository; the token is of Purpose.CHECK."""
        if subject is not None:
            check_subject(subject)
        return self._inner.check(subject, self._password(session, token, Purpose.CHECK, deadline), deadline)

    def change(
        self, session: str, subject: str, old_token: str, new_token: str, deadline: Deadline | None = None
    ) -> Outcome:
        """See PasswordRepository; the old password is in a token of Purpose.CHECK, the new one of Purpose.CHANGE."""
        check_subject(subject)
        old = self._password(session, old_token, Purpose.CHECK, deadline)
        new = self._password(session, new_token, Purpose.CHANGE, deadline)
        return self._inner.change(subject, old, new, deadline)

    def change_forced(
        self, session: str, subject: str, token: str, deadline: Deadline | None = None, *, generation: int | None
    ) -> Outcome:
        """See PasswordRepository; the token is of Purpose.CHANGE."""
        check_subject(subject)
        password = self._password(session, token, Purpose.CHANGE, deadline)
        return self._inner.change_forced(subject, password, deadline, generation=generation)

    def reset(self, session: str, subject: str, token: str, deadline: Deadline | None = None) -> Outcome:
        """See PasswordRepository; the token is of Purpose.RESET."""
        check_subject(subject)
        return self._inner.reset(subject, self._password(session, token, Purpose.RESET, deadline), deadline)

    def register(
        self, session: str, subject: str, token: str, deadline: Deadline | None = None, *, must_change: bool = False
    ) -> Outcome:
        """See PasswordRepository; the token is of Purpose.REGISTER."""
        check_subject(subject)
        password = self._password(session, token, Purpose.REGISTER, deadline)
        return self._inner.register(subject, password, deadline, must_change=must_change)

    def admin_set(
        self, session: str, subject: str, token: str, deadline: Deadline | None = None, *, must_change: bool = True
    ) -> Outcome:
        """See PasswordRepository; the token is of Purpose.ADMIN_SET."""
        check_subject(subject)
        password = self._password(session, token, Purpose.ADMIN_SET, deadline)
        return self._inner.admin_set(subject, password, deadline, must_change=must_change)

    def issue_letter(
        self,
        subject: str,
        password_maker: Callable[[], str] | None = None,
        deadline: Deadline | None = None,
        *,
        register: bool = False,
    ) -> IssuedLetter:
        """See PasswordRepository. The server makes the password, so there is neither a session nor a token."""
        return self._inner.issue_letter(subject, password_maker, deadline, register=register)

    @abstractmethod
    def _password(self, session: str, token: str, purpose: Purpose, deadline: Deadline | None) -> str:
        """The password (secret) in a token of that step."""


class E2eePasswordRepository(TokenRepository):
    """A repository whose steps have one ring and one profile.

    Where they differ, sealpass.service.configuration.open_service() makes one that has them by step.
    """

    def __init__(
        self, inner: PasswordRepository, ring: UnwrapperRing, profile: Profile | str, nonces: NonceStore
    ) -> None:
        super().__init__(inner)
        self._ring = ring
        self._profile = profile_named(profile) if isinstance(profile, str) else profile
        self._nonces = nonces

    def announce(
        self, session: str, purpose: Purpose | str, *, lifetime: float = DEFAULT_LIFETIME_SECONDS
    ) -> E2eeInformation:
        """What the client needs for one password. change() takes two: of Purpose.CHECK and of Purpose.CHANGE."""
        return announce(self._ring, self._profile, self._nonces, session, purpose, lifetime=lifetime)

    def _password(self, session: str, token: str, purpose: Purpose, deadline: Deadline | None) -> str:
        return unwrap_password(token, self._ring, self._profile, self._nonces, session, purpose, deadline=deadline)
