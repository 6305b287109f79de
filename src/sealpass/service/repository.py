# SPDX-License-Identifier: Apache-2.0
"""Passwords of users: checked, changed, reset, registered and set by administrators, over SQL storage.

What a login page learns is in the answers, and it is little: a wrong password, a user who does not exist, one who is
locked out and one whose record is damaged all look the same (docs/repository.md). Operators read the log.
"""

import logging
import math
import threading
from collections import Counter as Tally
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sealpass.core import records
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, OperatorError, RecordProblem, RecordRefused
from sealpass.core.nonces import Purpose
from sealpass.core.passwords import NO_MATCH, Passwords, Verification
from sealpass.core.records import RecordUse
from sealpass.service.letter_password import make_initial_password
from sealpass.service.password_repository import IssuedLetter, Outcome, PasswordCheck
from sealpass.service.policy import PasswordPolicy, PolicyReason, PolicyViolation
from sealpass.service.storage import Counter, LockOut, PasswordStorage, StoredPassword

DEFAULT_LOCK_OUT = LockOut(attempts=10, seconds=900)
DEFAULT_LETTER_LIFETIME = 30 * 24 * 3600.0
"""Seconds."""
STEPS_WITH_POLICY = frozenset(Purpose) - {Purpose.CHECK}
"""Those that set a password."""
_log = logging.getLogger(__name__)
_WRITES_TRIED = 3
"""How often a write begins again because a login or a rotation rewrote a record of the same password meanwhile."""


@dataclass(slots=True)
class _Guess:
    """A password that is held against records of a subject."""

    subject: str
    text: str = field(repr=False)
    deadline: Deadline | None
    was_compared: bool = False
    """Whether any record told something about it."""


@dataclass(frozen=True, slots=True)
class _Match:
    """What a password was right for."""

    seen: StoredPassword
    use: RecordUse
    needs_rehash: bool


class SqlPasswordRepository:
    """A :class:`PasswordRepository` in the tables of ``storage``. Nothing is closed here.

    ``lock_out`` bounds the attempts to log in, ``reuse_lock_out`` how often a new password is compared with earlier
    ones before one is taken; its seconds are finite. ``letter_lifetime``: seconds for which an initial password works
    (infinite: for ever). ``policy_off`` names the steps that do not enforce the policy. Raises ConfigError.
    """

    def __init__(
        self,
        storage: PasswordStorage,
        passwords: Passwords,
        policy: PasswordPolicy,
        *,
        lock_out: LockOut = DEFAULT_LOCK_OUT,
        reuse_lock_out: LockOut = DEFAULT_LOCK_OUT,
        letter_lifetime: float = DEFAULT_LETTER_LIFETIME,
        policy_off: Collection[Purpose | str] = (),
    ) -> None:
        self._storage = storage
        self._passwords = passwords
        self._policy = policy
        self._lock_out = lock_out
        self._reuse_lock_out = reuse_lock_out
        self._letter_lifetime = letter_lifetime
        self._policy_off = frozenset(policy_off)
        if not self._policy_off <= STEPS_WITH_POLICY:
            raise ConfigError(
                "no such step to switch the policy off", hint=f"steps: {', '.join(sorted(STEPS_WITH_POLICY))}"
            )
        if math.isinf(reuse_lock_out.seconds):  # nobody could ever lift it but by setting a password
            raise ConfigError("comparing with earlier passwords cannot be locked for ever")
        if not letter_lifetime > 0:
            raise ConfigError("a letter lives for more than no time")
        self._refused: Tally[RecordProblem] = Tally()
        self._refused_lock = threading.Lock()

    @property
    def records_refused(self) -> Mapping[RecordProblem, int]:
        """How many records could not be verified since the start, by what is wrong with them: for monitoring."""
        with self._refused_lock:
            return dict(self._refused)

    # -- operations ------------------------------------------------------------------------------------------------

    def check(self, subject: str | None, password: str, deadline: Deadline | None = None) -> PasswordCheck:
        """See :class:`PasswordRepository`. A record that is out of date is brought up to date."""
        if subject is not None:
            records.check_subject(subject)
        text = self._policy.comparable(password)
        match = self._attempt(subject or "", text, deadline)
        if match is None:
            return PasswordCheck(matches=False)
        seen = match.seen
        if match.needs_rehash:
            self._bring_up_to_date(match, text, deadline)
        if match.use is not RecordUse.LETTER or seen.must_change:
            return PasswordCheck(matches=True, must_change=seen.must_change, generation=seen.generation)
        return PasswordCheck(matches=True, must_change=True, generation=self._demand_change(seen))

    def change(self, subject: str, old: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See :class:`PasswordRepository`. The history is looked at only once the old password turned out right."""
        records.check_subject(subject)
        old_text, new_text = self._policy.comparable(old), self._acceptable(new, Purpose.CHANGE)
        match = self._attempt(subject, old_text, deadline)
        if match is None:
            return Outcome.NO_MATCH
        self._refuse_reuse(match.seen, new_text, Purpose.CHANGE, deadline)
        return self._set(match.seen, new_text, deadline)

    def change_forced(
        self, subject: str, new: str, deadline: Deadline | None = None, *, generation: int | None
    ) -> Outcome:
        """See :class:`PasswordRepository`."""
        records.check_subject(subject)
        text = self._acceptable(new, Purpose.CHANGE)
        seen = self._storage.get(subject)
        if seen is None or not seen.must_change:
            return Outcome.NOT_DUE
        if seen.generation != generation:
            return Outcome.CONFLICT
        self._refuse_reuse(seen, text, Purpose.CHANGE, deadline)
        return self._set(seen, text, deadline)

    def reset(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See :class:`PasswordRepository`. Ends a lock-out."""
        records.check_subject(subject)
        text = self._acceptable(new, Purpose.RESET)
        seen = self._storage.get(subject)
        if seen is None:
            return Outcome.UNKNOWN
        self._refuse_reuse(seen, text, Purpose.RESET, deadline)
        return self._set(seen, text, deadline)

    def register(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = False
    ) -> Outcome:
        """See :class:`PasswordRepository`."""
        records.check_subject(subject)
        text = self._acceptable(new, Purpose.REGISTER)
        record = self._passwords.hash(text, subject, deadline=deadline)
        created = self._storage.create(subject, current=record, must_change=must_change)
        return Outcome.DONE if created else Outcome.EXISTS

    def admin_set(
        self, subject: str, new: str, deadline: Deadline | None = None, *, must_change: bool = True
    ) -> Outcome:
        """See :class:`PasswordRepository`. Ends a lock-out.

        Does not compare with earlier passwords: the answer would tell an administrator what a user's password was.
        """
        records.check_subject(subject)
        text = self._acceptable(new, Purpose.ADMIN_SET)
        seen = self._storage.get(subject)
        return Outcome.UNKNOWN if seen is None else self._set(seen, text, deadline, must_change=must_change)

    def issue_letter(
        self,
        subject: str,
        password_maker: Callable[[], str] | None = None,
        deadline: Deadline | None = None,
        *,
        register: bool = False,
    ) -> IssuedLetter:
        """See :class:`PasswordRepository`. Raises ConfigError where no record can be of what the maker made."""
        records.check_subject(subject)
        seen = self._storage.get(subject)
        if register != (seen is None):
            return IssuedLetter(Outcome.EXISTS if register else Outcome.UNKNOWN)
        password = (password_maker or make_initial_password)()
        try:
            text = self._policy.acceptable(password, enforced=False)
        except PolicyViolation as violation:
            raise ConfigError(f"the maker of initial passwords made none: {', '.join(violation.reasons)}") from None
        record = self._passwords.hash(text, subject, RecordUse.LETTER, deadline)
        if seen is None:
            done, lost = self._storage.create(subject, letter=record), Outcome.EXISTS
        else:
            done, lost = self._write(seen, lambda now: self._storage.set_letter(now, record)), Outcome.CONFLICT
        return IssuedLetter(Outcome.DONE, password) if done else IssuedLetter(lost)

    # -- verifying -------------------------------------------------------------------------------------------------

    def _attempt(self, subject: str, password: str, deadline: Deadline | None) -> _Match | None:
        """What the password is right for, if anything. The attempt is counted before anybody looks at the password."""
        may_try = self._storage.count_attempt(subject, self._lock_out)
        guess = _Guess(subject, password, deadline)
        try:
            seen = self._storage.get(subject)  # in any case, so that all take the same steps
            if seen is None or not may_try:
                self._passwords.verify_nobody(password, deadline)
                return None
            match = self._match(seen, guess)
        finally:
            # Given back only where nothing was compared: otherwise failing devices would let guesses through uncounted.
            if may_try and not guess.was_compared:
                self._storage.return_attempt(subject)
        if match is not None:
            self._storage.clear_attempts(subject)
        elif guess.was_compared and seen.locked_for:  # read after the attempt was counted, and it may still be made
            _log.warning("subject %r is locked out, after %d attempts that failed", subject, seen.failures)
        return match

    def _match(self, seen: StoredPassword, guess: _Guess) -> _Match | None:
        if seen.current is not None:
            verification = self._compare(guess, seen.current, RecordUse.CURRENT)
            if verification.matches:
                return _Match(seen, RecordUse.CURRENT, verification.needs_rehash)
        # An expired letter is compared like any other, so that it takes the same time.
        if seen.letter is not None and self._compare(guess, seen.letter, RecordUse.LETTER).matches:
            return (
                _Match(seen, RecordUse.LETTER, needs_rehash=False) if seen.letter_age < self._letter_lifetime else None
            )
        return None

    def _compare(self, guess: _Guess, record: str, use: RecordUse) -> Verification:
        """As Passwords.verify; a record that cannot be verified matches nothing, and operators are told."""
        try:
            verification = self._passwords.verify(record, guess.text, guess.subject, use, guess.deadline)
        except RecordRefused as refused:
            self._tell(refused, guess.subject, use)
            return NO_MATCH
        guess.was_compared = True
        if verification.refusal is not None:
            _log.warning(
                "subject %r, slot %s: a legacy hash told nothing: %s", guess.subject, use.value, verification.refusal
            )
        return verification

    def _tell(self, refused: RecordRefused, subject: str, use: RecordUse) -> None:
        with self._refused_lock:
            self._refused[refused.problem] += 1
        _log.error("subject %r, slot %s: %s; %s", subject, use.value, refused, refused.hint)

    def _demand_change(self, seen: StoredPassword) -> int:
        """The generation in which the letter that was seen has to be changed; else one that is over."""
        if self._storage.set_must_change(seen, must_change=True):
            return seen.generation + 1
        now = self._storage.get(seen.subject)  # another login by this letter may have been faster
        if now is not None and now.must_change and now.letter == seen.letter:
            return now.generation
        return seen.generation

    def _bring_up_to_date(self, match: _Match, password: str, deadline: Deadline | None) -> None:
        """Hash the same password anew. Failing is no reason to refuse a login; losing means that somebody else did."""
        seen = match.seen
        try:
            record = self._passwords.hash(password, seen.subject, deadline=deadline)
            self._storage.rewrite(seen.subject, RecordUse.CURRENT, str(seen.current), record)
        except OperatorError as error:
            _log.warning(
                "the record of subject %r was not brought up to date (%s): %s", seen.subject, error.code, error
            )

    # -- setting ---------------------------------------------------------------------------------------------------

    def _acceptable(self, new: str, step: Purpose) -> str:
        return self._policy.acceptable(new, enforced=step not in self._policy_off)

    def _refuse_reuse(self, seen: StoredPassword, new: str, step: Purpose, deadline: Deadline | None) -> None:
        """Raise PolicyViolation where the new password is not new: at most MAX_HISTORY + 2 hashes.

        Every answer tells something about earlier passwords, so it is counted before anything is compared, as an
        attempt to log in is, until a new password is set. Beyond the bound every password is one that was there.
        """
        if not self._policy.history or step in self._policy_off:
            return
        if not self._storage.count_attempt(seen.subject, self._reuse_lock_out, Counter.REUSE):
            raise PolicyViolation(PolicyReason.REUSED)
        guess = _Guess(seen.subject, new, deadline)
        earlier = [(seen.current, RecordUse.CURRENT), (seen.letter, RecordUse.LETTER)]
        earlier += [(entry.record, RecordUse.HISTORY) for entry in seen.history[: self._policy.history]]
        try:
            reused = any(record is not None and self._compare(guess, record, use).matches for record, use in earlier)
        finally:
            if not guess.was_compared:
                self._storage.return_attempt(seen.subject, Counter.REUSE)
        if reused:
            raise PolicyViolation(PolicyReason.REUSED)

    def _set(self, seen: StoredPassword, new: str, deadline: Deadline | None, *, must_change: bool = False) -> Outcome:
        record = self._passwords.hash(new, seen.subject, deadline=deadline)
        history, keep = self._for_history(seen, deadline), self._policy.history

        def change(now: StoredPassword) -> bool:
            return self._storage.change(now, record, history=history, keep=keep, must_change=must_change)

        return Outcome.DONE if self._write(seen, change) else Outcome.CONFLICT

    def _write(self, seen: StoredPassword, write: Callable[[StoredPassword], bool]) -> bool:
        """Whether ``write`` was won, on what was seen or on other records of the same passwords."""
        for _ in range(_WRITES_TRIED):
            if write(seen):
                return True
            now = self._storage.get(seen.subject)
            if now is None or now.generation != seen.generation:
                return False
            seen = now
        return False

    def _for_history(self, seen: StoredPassword, deadline: Deadline | None) -> str | None:
        """The current record for the history slot; None where there is none that can be kept, or none is wanted."""
        if seen.current is None or not self._policy.history:
            return None
        try:
            if records.is_record(seen.current):
                return self._passwords.rebind(
                    seen.current, seen.subject, RecordUse.CURRENT, RecordUse.HISTORY, deadline
                )
            return self._passwords.seal_legacy(seen.current, seen.subject, deadline)
        except RecordRefused as refused:  # a damaged record must not keep its user from a new one
            self._tell(refused, seen.subject, RecordUse.CURRENT)
            return None
