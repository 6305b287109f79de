# SPDX-License-Identifier: Apache-2.0
"""Hash, then encrypt: passwords become records that only the device of the ring can open.

Which failure is which (docs/decisions/0009): a wrong password is an answer, a record that cannot be verified is an
error for operators. Before such an error is raised, the work of a wrong password is done, so that a login page that
shows the same for both takes the same time for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sealpass.core import argon2_hash, records
from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY, Argon2Ceilings, Argon2Parameters
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, RecordProblem, RecordRefused, UnsupportedAlgorithm
from sealpass.core.legacy_hashes import MAX_VALUE_CHARACTERS, LegacyHash
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.core.protocols import Opener, Resealer, Sealer
from sealpass.core.records import Record, RecordUse


class SealingRing(Protocol):
    """The keys of a ring, by key id: what records need of :class:`sealpass.KeyRing`."""

    @property
    def current_sealer(self) -> Sealer:
        """The key for new records."""
        ...

    def find_opener(self, kid: str) -> Opener | None:
        """The current or a previous key, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to a password; true where it matches."""

    matches: bool
    needs_rehash: bool = False
    """The password matches, and its record should be replaced by ``Passwords.hash`` now, while the password is known:
    it has other parameters, another key than the current one, or a legacy form."""
    refusal: str | None = None
    """Why the stored legacy form could not tell this password from others; for operators. None otherwise."""

    def __bool__(self) -> bool:
        return self.matches


NO_MATCH = Verification(matches=False)


@dataclass(frozen=True, slots=True)
class _Decoy:
    """A record of nobody, under one key."""

    record: Record
    binding: str


class Passwords:
    """Makes and verifies records. Thread-safe, blocking; the ring stays the caller's to close.

    Seals one record of nobody at once, so that a ring that cannot seal says so at start. Raises ConfigError and what
    the device raises.

    ``ceilings`` bound what a stored hash may cost (default: 256 MiB, 16 passes, 16 lanes, or what ``hashing`` needs).
    ``legacy`` are the unsealed forms that verify as well; leave it empty once everybody has logged in.
    """

    def __init__(
        self,
        ring: SealingRing,
        *,
        hashing: Argon2Parameters = RFC_9106_LOW_MEMORY,
        ceilings: Argon2Ceilings | None = None,
        legacy: Sequence[LegacyHash] = (),
    ) -> None:
        self._ring = ring
        self._hashing = hashing
        self._ceilings = Argon2Ceilings().raised_to(hashing) if ceilings is None else ceilings
        if not self._ceilings.admit(hashing):
            raise ConfigError("the ceilings are below what new hashes cost")
        self._legacy = tuple(legacy)
        matchless = argon2_hash.matchless_hash(hashing)
        self._matchless = argon2_hash.parse(matchless, self._ceilings)
        self._decoy = self._make_decoy(ring.current_sealer, None)

    # -- making ----------------------------------------------------------------------------------------------------

    def hash(
        self,
        password: str,
        subject: str,
        use: RecordUse | str = RecordUse.CURRENT,
        deadline: Deadline | None = None,
    ) -> str:
        """A new record of ``password`` (secret, taken as it is) under the current key.

        ``subject`` is an immutable random id of the user. Raises ConfigError, also for over MAX_PASSWORD_BYTES,
        and what the device raises.
        """
        binding = records.bound_to(subject, use)
        octets = _octets(password, "strict")
        if len(octets) > MAX_PASSWORD_BYTES:
            raise ConfigError(f"a password has at most {MAX_PASSWORD_BYTES} bytes in UTF-8: no login would take it")
        if deadline is not None:
            deadline.check()
        hashed = argon2_hash.hash_password(octets, self._hashing)
        return str(records.seal(self._ring.current_sealer, hashed.encode("ascii"), binding, deadline))

    def rotate(
        self,
        record: str,
        subject: str,
        use: RecordUse | str = RecordUse.CURRENT,
        deadline: Deadline | None = None,
    ) -> str:
        """The same hash under the current key; no password is needed. A record that is there already is answered as is.

        Where both keys are on one device that can do it (AWS KMS), the hash does not leave the device. Raises
        RecordRefused, also for legacy values, and what the devices raise.
        """
        binding = records.bound_to(subject, use)
        parsed = Record.parse(record)
        target = self._ring.current_sealer
        if parsed.key_id == target.key_id:
            return record
        opener = self._opener(parsed)
        # Asking a key for its role costs more than moving a record, so that is left to keys which may have it.
        if hasattr(opener, "reencrypt") and isinstance(opener, Resealer):
            try:
                return str(parsed.reencrypt(opener, target, binding, deadline))
            except UnsupportedAlgorithm:
                pass  # the target is elsewhere: through this process, then
        return str(records.seal(target, parsed.open(opener, binding, deadline), binding, deadline))

    def rebind(
        self,
        record: str,
        subject: str,
        use_from: RecordUse | str,
        use_to: RecordUse | str,
        deadline: Deadline | None = None,
    ) -> str:
        """The same hash for another use of the same subject, under the current key; no password is needed.

        For a current record that goes into the history. Raises as rotate().
        """
        binding_from, binding_to = records.bound_to(subject, use_from), records.bound_to(subject, use_to)
        parsed = Record.parse(record)
        plaintext = parsed.open(self._opener(parsed), binding_from, deadline)
        return str(records.seal(self._ring.current_sealer, plaintext, binding_to, deadline))

    def seal_legacy(self, value: str, subject: str, deadline: Deadline | None = None) -> str:
        """A legacy value as a record for the history, where it verifies while its form is allowed; nowhere else.

        Raises RecordRefused for a form that is not allowed or a value too long for a record, and operator errors.
        """
        binding = records.bound_to(subject, RecordUse.HISTORY)
        self._legacy_kinds(value)
        record = str(records.seal(self._ring.current_sealer, value.encode("utf-8", "replace"), binding, deadline))
        if len(record) > records.MAX_RECORD_CHARACTERS:
            raise RecordRefused(RecordProblem.FORM, "the legacy value is too long for a record")
        return record

    # -- verifying -------------------------------------------------------------------------------------------------

    def verify(
        self,
        record: str,
        password: str,
        subject: str,
        use: RecordUse | str = RecordUse.CURRENT,
        deadline: Deadline | None = None,
    ) -> Verification:
        """Whether ``record`` is one of ``password`` (secret), of this subject and for this use.

        Raises RecordRefused where the record cannot be verified, after as much work as for a wrong password; show
        whoever logs in the same as for one, and tell an operator. Raises what the device raises.
        """
        binding = records.bound_to(subject, use)
        octets = _octets(password, "surrogatepass")  # what no str of ours was hashed from matches nothing
        if not records.is_record(record):
            return self._verify_legacy(record, octets, deadline)
        try:
            key_id, sealed = self._open(record, binding, deadline)
            if self._is_sealed_legacy(sealed, use):
                return self._compare_legacy(sealed, octets)
            stored = argon2_hash.parse(sealed, self._ceilings)
        except RecordRefused as refused:
            if refused.problem in (RecordProblem.FORM, RecordProblem.KEY_UNKNOWN):
                self._call_device(deadline)
            argon2_hash.verify(self._matchless, octets)
            raise
        if not argon2_hash.verify(stored, octets):
            return NO_MATCH
        return Verification(
            matches=True,
            needs_rehash=stored.parameters != self._hashing or key_id != self._ring.current_sealer.key_id,
        )

    def verify_nobody(self, password: str, deadline: Deadline | None = None) -> Verification:
        """For a user who does not exist: the device call and the hash of a wrong password, and never a match."""
        return self._spend(_octets(password, "surrogatepass"), deadline)

    def _opener(self, record: Record) -> Opener:
        opener = self._ring.find_opener(record.key_id)
        if opener is None:
            raise RecordRefused(RecordProblem.KEY_UNKNOWN, f"the ring has no key {record.key_id} that opens records")
        return opener

    def _open(self, text: str, binding: str, deadline: Deadline | None) -> tuple[str, str]:
        """The key id of a record, and what it holds (secret); raises RecordRefused."""
        record = Record.parse(text)
        plaintext = record.open(self._opener(record), binding, deadline)
        return record.key_id, plaintext.decode("utf-8", "replace")

    def _is_sealed_legacy(self, sealed: str, use: RecordUse | str) -> bool:
        """Only in the history, where it lets nobody in. Argon2id is as good from anywhere, and needs no legacy form."""
        is_argon2 = sealed.startswith(argon2_hash.PREFIX)
        return RecordUse(use) is RecordUse.HISTORY and not is_argon2 and bool(self._kinds_of(sealed))

    def _verify_legacy(self, value: str, password: bytes, deadline: Deadline | None) -> Verification:
        # First of all: a device that does not answer must not tell a right password from a wrong one.
        self._call_device(deadline)
        try:
            return self._compare_legacy(value, password)
        except RecordRefused:
            argon2_hash.verify(self._matchless, password)
            raise

    def _compare_legacy(self, value: str, password: bytes) -> Verification:
        """Raises RecordRefused only where no form that the value has could be compared at all."""
        refusals: list[str | None] = []
        unread: list[RecordRefused] = []
        for kind in self._legacy_kinds(value):
            refusal = kind.refusal(password)
            try:
                # A refused password costs what any other does.
                matches = kind.verify(value, password if refusal is None else b"")
            except RecordRefused as refused:
                unread.append(refused)
                continue
            if matches and refusal is None:
                return Verification(matches=True, needs_rehash=True)
            refusals.append(refusal)
        if not refusals:
            raise unread[0]
        argon2_hash.verify(self._matchless, password)  # else a cheap legacy hash would tell that the user exists
        return Verification(matches=False, refusal=next(filter(None, refusals), None))

    def _legacy_kinds(self, value: object) -> list[LegacyHash]:
        """The forms that the value has; raises RecordRefused(form) where it has none."""
        kinds = self._kinds_of(value)
        if not kinds:
            raise RecordRefused(RecordProblem.FORM, "the value is no record, and of no legacy form that is allowed")
        return kinds

    def _kinds_of(self, value: object) -> list[LegacyHash]:
        text = value if isinstance(value, str) and len(value) <= MAX_VALUE_CHARACTERS else ""
        return [kind for kind in self._legacy if kind.recognises(text)]

    # -- the work of a wrong password ------------------------------------------------------------------------------

    def _spend(self, password: bytes, deadline: Deadline | None) -> Verification:
        self._call_device(deadline)
        argon2_hash.verify(self._matchless, password)
        return NO_MATCH

    def _call_device(self, deadline: Deadline | None) -> None:
        sealer = self._ring.current_sealer
        decoy = self._decoy
        if decoy.record.key_id != sealer.key_id:  # the ring was rotated
            decoy = self._decoy = self._make_decoy(sealer, deadline)
        decoy.record.open(self._opener(decoy.record), decoy.binding, deadline)

    def _make_decoy(self, sealer: Sealer, deadline: Deadline | None) -> _Decoy:
        binding = records.bound_to("nobody", RecordUse.CURRENT)
        return _Decoy(records.seal(sealer, self._matchless.text.encode("ascii"), binding, deadline), binding)


def _octets(password: object, surrogates: str) -> bytes:
    """The password (secret) in UTF-8; raises ConfigError, without the password, for what is no Unicode text."""
    try:
        if isinstance(password, str):
            return password.encode("utf-8", surrogates)
    except UnicodeEncodeError:
        pass
    raise ConfigError("a password is a str of Unicode text, without lone surrogates")
