# SPDX-License-Identifier: Apache-2.0
"""A password repository that takes only passwords which the browser encrypted."""

from sealpass.core.contract import E2eeInformation, UnwrapperRing, announce, profile_named, unwrap_password
from sealpass.core.deadline import Deadline
from sealpass.core.nonces import DEFAULT_LIFETIME_SECONDS, NonceStore, Purpose
from sealpass.core.profile import Profile
from sealpass.service.repository import Outcome, PasswordCheck, PasswordRepository


class E2eePasswordRepository:
    """Takes tokens, and hands the passwords in them to the repository inside. Thread-safe; closes nothing.

    ``session`` names the login flow, as in announce(). Every method besides raises TokenRejected, which plain text in
    the place of a token gets, too, or DecryptionFailed. The repository inside hears of neither, so no token that does
    not open ever counts as a wrong password. All tokens of a step are opened before anything else of it happens.

    Where steps have profiles or rings of their own, give each of them its own wrapper of the same repository.
    """

    def __init__(
        self, inner: PasswordRepository, ring: UnwrapperRing, profile: Profile | str, nonces: NonceStore
    ) -> None:
        self._inner = inner
        self._ring = ring
        self._profile = profile_named(profile) if isinstance(profile, str) else profile
        self._nonces = nonces

    def announce(
        self, session: str, purpose: Purpose | str, *, lifetime: float = DEFAULT_LIFETIME_SECONDS
    ) -> E2eeInformation:
        """What the client needs for one password. change() takes two: of Purpose.CHECK and of Purpose.CHANGE."""
        return announce(self._ring, self._profile, self._nonces, session, purpose, lifetime=lifetime)

    def check(self, session: str, subject: str | None, token: str, deadline: Deadline | None = None) -> PasswordCheck:
        """See PasswordRepository; the token is of Purpose.CHECK."""
        return self._inner.check(subject, self._password(session, token, Purpose.CHECK, deadline), deadline)

    def change(
        self, session: str, subject: str, old_token: str, new_token: str, deadline: Deadline | None = None
    ) -> Outcome:
        """See PasswordRepository; the old password is in a token of Purpose.CHECK, the new one of Purpose.CHANGE."""
        old = self._password(session, old_token, Purpose.CHECK, deadline)
        new = self._password(session, new_token, Purpose.CHANGE, deadline)
        return self._inner.change(subject, old, new, deadline)

    def change_forced(self, session: str, subject: str, token: str, deadline: Deadline | None = None) -> Outcome:
        """See PasswordRepository; the token is of Purpose.CHANGE."""
        return self._inner.change_forced(subject, self._password(session, token, Purpose.CHANGE, deadline), deadline)

    def reset(self, session: str, subject: str, token: str, deadline: Deadline | None = None) -> Outcome:
        """See PasswordRepository; the token is of Purpose.RESET."""
        return self._inner.reset(subject, self._password(session, token, Purpose.RESET, deadline), deadline)

    def register(
        self, session: str, subject: str, token: str, deadline: Deadline | None = None, *, must_change: bool = False
    ) -> Outcome:
        """See PasswordRepository; the token is of Purpose.REGISTER."""
        password = self._password(session, token, Purpose.REGISTER, deadline)
        return self._inner.register(subject, password, deadline, must_change=must_change)

    def admin_set(
        self, session: str, subject: str, token: str, deadline: Deadline | None = None, *, must_change: bool = True
    ) -> Outcome:
        """See PasswordRepository; the token is of Purpose.ADMIN_SET."""
        password = self._password(session, token, Purpose.ADMIN_SET, deadline)
        return self._inner.admin_set(subject, password, deadline, must_change=must_change)

    def _password(self, session: str, token: str, purpose: Purpose, deadline: Deadline | None) -> str:
        return unwrap_password(token, self._ring, self._profile, self._nonces, session, purpose, deadline=deadline)
