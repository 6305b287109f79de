# SPDX-License-Identifier: Apache-2.0
"""What every password repository does, and what it answers; needs no database."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sealpass.core.deadline import Deadline


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The answer to a login; true where the password matches."""

    matches: bool
    must_change: bool = False
    """The password matches, and the user has to choose another one now: see change_forced()."""
    generation: int | None = field(default=None, compare=False)
    """Which password it was that matched, for change_forced(): keep it in the session on the server. None: no match."""

    def __bool__(self) -> bool:
        return self.matches


class Outcome(StrEnum):
    """What became of a new password."""

    DONE = "done"
    NO_MATCH = "no-match"
    """The old password is wrong, or may not be tried now."""
    CONFLICT = "conflict"
    """Somebody else set another password in the meantime. Theirs stays."""
    NOT_DUE = "not-due"
    """No change is demanded of this user, or no longer."""
    UNKNOWN = "unknown"
    """There is no such subject."""
    EXISTS = "exists"
    """The subject is registered already, and its password stays."""


@dataclass(frozen=True, slots=True)
class IssuedLetter:
    """An initial password that was just made, for the letter and for nothing else: it is stored nowhere."""

    outcome: Outcome
    password: str | None = field(default=None, repr=False)
    """Secret. None unless the outcome is DONE."""


class PasswordRepository(Protocol):
    """Where plain passwords (secret) are checked and set. Thread-safe, blocking.

    A subject is the immutable random id of a user, never a login name. Every method raises operator errors. Those that
    set a password raise PolicyViolation, before anything is stored.
    """

    def check(self, subject: str | None, password: str, deadline: Deadline | None = None) -> PasswordCheck:
        """Whether the user may log in; None is the subject of a login name that nobody has."""
        ...

    def change(self, subject: str, old: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """A change that the user wants: DONE, NO_MATCH or CONFLICT."""
        ...

    def change_forced(
        self, subject: str, new: str, deadline: Deadline | None = None, *, generation: int | None
    ) -> Outcome:
        """The change that check() demanded: DONE, NOT_DUE or CONFLICT.

        ``generation`` is what check() answered to this login: where the password that it showed is no longer the
        user's, so is the right to change it. The caller vouches that the session is that login's.
        """
        ...

    def reset(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """A new password for a user who forgot it, and whom the caller identified. DONE, UNKNOWN or CONFLICT."""
        ...

    def register(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = False
    ) -> Outcome:
        """The first password of a new user. DONE or EXISTS."""
        ...

    def admin_set(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = True
    ) -> Outcome:
        """A password that an administrator chose. DONE, UNKNOWN or CONFLICT."""
        ...

    def issue_letter(
        self,
        subject: str,
        password_maker: Callable[[], str] | None = None,
        deadline: Deadline | None = None,
        *,
        register: bool = False,
    ) -> IssuedLetter:
        """An initial password for a letter, in the place of any before it; the current password stays.

        DONE, UNKNOWN or CONFLICT. ``register``: for a new user, who has no other password yet; DONE or EXISTS.
        ``password_maker`` answers the password; the default makes a random one that can be read and typed.
        """
        ...
