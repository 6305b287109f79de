# SPDX-License-Identifier: Apache-2.0
"""Passwords of users: checked, changed, reset, registered and set by administrators, over SQL storage.

What a login page learns is in the answers, and it is little: a wrong password, a user who does not exist, one who is
locked out and one whose record is damaged all look the same (docs/repository.md). Operators read the log.
"""

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sealpass.core import records
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, OperatorError, RecordProblem, RecordRefused
from sealpass.core.nonces import Purpose
from sealpass.core.passwords import NO_MATCH, Passwords, SealingRing, Verification
from sealpass.core.records import Record, RecordUse
from sealpass.service.policy import PasswordPolicy, PolicyReason, PolicyViolation
from sealpass.service.storage import LockOut, PasswordStorage, StoredPassword

DEFAULT_LOCK_OUT = LockOut(attempts=10, seconds=900)
STEPS_WITH_POLICY = frozenset(Purpose) - {Purpose.CHECK}
"""Those that set a password."""
_log = logging.getLogger(__name__)
_CHANGES_TRIED = 3
"""How often a change begins again because a login or a rotation rewrote the record of the same password meanwhile."""


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The answer to a login; true where the password matches."""

    matches: bool
    must_change: bool = False
    """The password matches, and the user has to choose another one now: see change_forced()."""

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

    def change_forced(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """The change that check() demanded; the caller vouches for that login. DONE, NOT_DUE or CONFLICT."""
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


@dataclass(frozen=True, slots=True)
class _Match:
    """What a password was right for."""

    seen: StoredPassword
    use: RecordUse
    needs_rehash: bool


class SqlPasswordRepository:
    """A :class:`PasswordRepository` in the tables of ``storage``.

    ``ring`` is the one of ``passwords``: an old record is sealed anew for the history with it. ``policy_off`` names
    the steps that do not enforce the policy. Nothing is closed here.
    """

    def __init__(
        self,
        storage: PasswordStorage,
        passwords: Passwords,
        ring: SealingRing,
        policy: PasswordPolicy,
        *,
        lock_out: LockOut = DEFAULT_LOCK_OUT,
        policy_off: Collection[Purpose | str] = (),
    ) -> None:
        self._storage = storage
        self._passwords = passwords
        self._ring = ring
        self._policy = policy
        self._lock_out = lock_out
        self._policy_off = frozenset(policy_off)
        if not self._policy_off <= STEPS_WITH_POLICY:
            raise ConfigError(
                "no such step to switch the policy off", hint=f"steps: {', '.join(sorted(STEPS_WITH_POLICY))}"
            )
        self._refused: Counter[RecordProblem] = Counter()
        self._refused_lock = threading.Lock()

    @property
    def records_refused(self) -> Mapping[RecordProblem, int]:
        """How many records could not be verified since the start, by what is wrong with them: for monitoring."""
        with self._refused_lock:
            return dict(self._refused)

    # -- operations ------------------------------------------------------------------------------------------------

    def check(self, subject: str | None, password: str, deadline: Deadline | None = None) -> PasswordCheck:
        """See :class:`PasswordRepository`. A record that is out of date is brought up to date."""
        text = self._policy.comparable(password)
        match = self._attempt(subject or "", text, deadline)
        if match is None:
            return PasswordCheck(matches=False)
        if match.use is RecordUse.LETTER and not match.seen.must_change:
            self._storage.set_must_change(match.seen.subject, must_change=True)
        if match.needs_rehash:
            self._bring_up_to_date(match, text, deadline)
        return PasswordCheck(matches=True, must_change=match.seen.must_change or match.use is RecordUse.LETTER)

    def change(self, subject: str, old: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See :class:`PasswordRepository`. The history is looked at only once the old password turned out right."""
        old_text, new_text = self._policy.comparable(old), self._acceptable(new, Purpose.CHANGE)
        match = self._attempt(subject, old_text, deadline)
        if match is None:
            return Outcome.NO_MATCH
        self._refuse_reuse(match.seen, new_text, Purpose.CHANGE, deadline)
        record = self._passwords.hash(new_text, subject, deadline=deadline)
        for _ in range(_CHANGES_TRIED):
            known = old_text if match.use is RecordUse.CURRENT else None
            if self._replace(match.seen, record, deadline, known=known):
                return Outcome.DONE
            seen = self._storage.get(subject)
            match = None if seen is None else self._match(seen, old_text, [], deadline)
            if match is None:
                break
        return Outcome.CONFLICT

    def change_forced(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See :class:`PasswordRepository`."""
        text = self._acceptable(new, Purpose.CHANGE)
        seen = self._storage.get(subject)
        if seen is None or not seen.must_change:
            return Outcome.NOT_DUE
        self._refuse_reuse(seen, text, Purpose.CHANGE, deadline)
        return self._set(seen, text, deadline)

    def reset(self, subject: str, new: str, deadline: Deadline | None = None) -> Outcome:
        """See :class:`PasswordRepository`. Ends a lock-out."""
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
        text = self._acceptable(new, Purpose.ADMIN_SET)
        seen = self._storage.get(subject)
        return Outcome.UNKNOWN if seen is None else self._set(seen, text, deadline, must_change=must_change)

    # -- verifying -------------------------------------------------------------------------------------------------

    def _attempt(self, subject: str, password: str, deadline: Deadline | None) -> _Match | None:
        """What the password is right for, if anything. The attempt is counted before anybody looks at the password."""
        may_try = self._storage.count_attempt(subject, self._lock_out)
        compared: list[RecordUse] = []
        try:
            seen = self._storage.get(subject)  # in any case, so that all take the same steps
            if seen is None or not may_try:
                self._passwords.verify_nobody(password, deadline)
                return None
            match = self._match(seen, password, compared, deadline)
        except OperatorError:
            # Given back only where nothing was compared: otherwise failing devices would let guesses through uncounted.
            if may_try and not compared:
                self._storage.return_attempt(subject)
            raise
        if match is not None:
            self._storage.clear_attempts(subject)
        return match

    def _match(
        self, seen: StoredPassword, password: str, compared: list[RecordUse], deadline: Deadline | None
    ) -> _Match | None:
        """What the password matches; ``compared`` gets the slots that were looked at, also where this raises."""
        for record, use in ((seen.current, RecordUse.CURRENT), (seen.letter, RecordUse.LETTER)):
            if record is None:
                continue
            verification = self._verify(record, password, seen.subject, use, deadline)
            compared.append(use)
            if verification.matches:
                return _Match(seen, use, needs_rehash=verification.needs_rehash and use is RecordUse.CURRENT)
        return None

    def _verify(
        self, record: str, password: str, subject: str, use: RecordUse, deadline: Deadline | None
    ) -> Verification:
        """As Passwords.verify; a record that cannot be verified matches nothing, and operators are told."""
        try:
            verification = self._passwords.verify(record, password, subject, use, deadline)
        except RecordRefused as refused:
            self._tell(refused, subject, use)
            return NO_MATCH
        if verification.refusal is not None:
            _log.warning("subject %r cannot log in by the legacy hash: %s", subject, verification.refusal)
        return verification

    def _tell(self, refused: RecordRefused, subject: str, use: RecordUse) -> None:
        with self._refused_lock:
            self._refused[refused.problem] += 1
        _log.error("subject %r, slot %s: %s; %s", subject, use.value, refused, refused.hint)

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
        """Raise PolicyViolation where the new password is not new: at most MAX_HISTORY + 2 hashes."""
        if not self._policy.history or step in self._policy_off:
            return
        earlier = [(seen.current, RecordUse.CURRENT), (seen.letter, RecordUse.LETTER)]
        earlier += [(entry.record, RecordUse.HISTORY) for entry in seen.history[: self._policy.history]]
        for record, use in earlier:
            if record is not None and self._verify(record, new, seen.subject, use, deadline):
                raise PolicyViolation(PolicyReason.REUSED)

    def _set(self, seen: StoredPassword, new: str, deadline: Deadline | None, *, must_change: bool = False) -> Outcome:
        record = self._passwords.hash(new, seen.subject, deadline=deadline)
        return Outcome.DONE if self._replace(seen, record, deadline, must_change=must_change) else Outcome.CONFLICT

    def _replace(
        self,
        seen: StoredPassword,
        record: str,
        deadline: Deadline | None,
        *,
        known: str | None = None,
        must_change: bool = False,
    ) -> bool:
        """Whether the new record took the place of what was seen; ``known``: the current password, if it is."""
        history = self._for_history(seen, known, deadline) if self._policy.history else None
        keep = self._policy.history
        return self._storage.change(seen, record, history=history, keep=keep, must_change=must_change)

    def _for_history(self, seen: StoredPassword, known: str | None, deadline: Deadline | None) -> str | None:
        """The current record for the history slot; None where there is none that can be kept."""
        if seen.current is None:
            return None
        if not records.is_record(seen.current):
            # A legacy hash must not outlive its password unsealed.
            return None if known is None else self._passwords.hash(known, seen.subject, RecordUse.HISTORY, deadline)
        try:
            return self._moved_to_history(seen.subject, seen.current, deadline)
        except RecordRefused as refused:  # a damaged record must not keep its user from a new one
            self._tell(refused, seen.subject, RecordUse.CURRENT)
            return None

    def _moved_to_history(self, subject: str, current: str, deadline: Deadline | None) -> str:
        record = Record.parse(current)
        opener = self._ring.find_opener(record.key_id)
        if opener is None:
            raise RecordRefused(RecordProblem.KEY_UNKNOWN, f"the ring has no key {record.key_id} that opens records")
        hashed = record.open(opener, records.bound_to(subject, RecordUse.CURRENT), deadline)
        binding = records.bound_to(subject, RecordUse.HISTORY)
        return str(records.seal(self._ring.current_sealer, hashed, binding, deadline))
