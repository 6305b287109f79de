# SPDX-License-Identifier: Apache-2.0
"""What becomes of the record, or of the legacy value, of a password that is one no more."""

import base64
import hashlib

import pytest

from sealpass.core import records
from sealpass.core.argon2_hash import Argon2Parameters, hash_password
from sealpass.core.errors import RecordProblem, RecordRefused
from sealpass.core.legacy_hashes import LegacyArgon2id, LegacySaltedSha256
from sealpass.core.passwords import NO_MATCH, Passwords, Verification
from sealpass.core.records import Record, RecordUse, bound_to
from tests.support.sealing import CHEAP, CountedKey, MemoryRing, watch_hashes
from tests.unit.test_passwords import PASSWORD, PLAIN, SUBJECT, refused

SALTED = base64.b64encode(bytes(32) + hashlib.sha256(bytes(32) + PASSWORD.encode()).digest()).decode()


@pytest.fixture
def key() -> CountedKey:
    """The current key."""
    return CountedKey()


@pytest.fixture
def ring(key: CountedKey) -> MemoryRing:
    """A ring of it."""
    return MemoryRing(key)


@pytest.fixture
def passwords(ring: MemoryRing) -> Passwords:
    """Passwords under that ring, with the cheapest hash, and two legacy forms."""
    return Passwords(ring, hashing=CHEAP, legacy=[LegacyArgon2id(), LegacySaltedSha256()])


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Argon2Parameters]:
    """The parameters of every Argon2 hash that is verified from here on."""
    return watch_hashes(monkeypatch)


@pytest.mark.parametrize("key_id", ["key-1", "key-2"])
def test_a_record_goes_to_another_use(ring: MemoryRing, passwords: Passwords, key: CountedKey, key_id: str) -> None:
    """The same hash, under the current key, without its password; the old record stays as it is."""
    record = passwords.hash(PASSWORD, SUBJECT)
    ring.keys = [key] if key_id == "key-1" else [CountedKey(key_id), key]
    moved = passwords.rebind(record, SUBJECT, "current", RecordUse.HISTORY)
    assert Record.parse(moved).key_id == key_id
    assert passwords.verify(moved, PASSWORD, SUBJECT, "history") == Verification(matches=True)
    assert refused(lambda: passwords.verify(moved, PASSWORD, SUBJECT)) is RecordProblem.DOES_NOT_OPEN
    assert passwords.verify(record, PASSWORD, SUBJECT)


def test_what_does_not_open_goes_nowhere(ring: MemoryRing, passwords: Passwords) -> None:
    """Of another subject or use, under an unknown key, or a legacy value."""
    record = passwords.hash(PASSWORD, SUBJECT)
    assert refused(lambda: passwords.rebind(record, "another", "current", "history")) is RecordProblem.DOES_NOT_OPEN
    assert refused(lambda: passwords.rebind(record, SUBJECT, "letter", "history")) is RecordProblem.DOES_NOT_OPEN
    assert refused(lambda: passwords.rebind(PLAIN, SUBJECT, "current", "history")) is RecordProblem.FORM
    ring.keys = [CountedKey("key-2")]
    assert refused(lambda: passwords.rebind(record, SUBJECT, "current", "history")) is RecordProblem.KEY_UNKNOWN


@pytest.mark.parametrize("value", [SALTED, hash_password(PASSWORD.encode(), CHEAP)], ids=["sha256", "argon2id"])
def test_a_legacy_value_is_sealed_for_the_history(passwords: Passwords, value: str) -> None:
    """As it is, since nobody knows the password; there it tells its password from others."""
    record = passwords.seal_legacy(value, SUBJECT)
    assert passwords.verify(record, PASSWORD, SUBJECT, "history")
    assert not passwords.verify(record, PASSWORD + " ", SUBJECT, "history")
    for use in (RecordUse.CURRENT, RecordUse.LETTER):
        assert refused(lambda: passwords.verify(record, PASSWORD, SUBJECT, use)) is RecordProblem.DOES_NOT_OPEN  # noqa: B023 - called at once
    assert refused(lambda: passwords.verify(record, PASSWORD, "another", "history")) is RecordProblem.DOES_NOT_OPEN


@pytest.mark.parametrize("use", [RecordUse.CURRENT, RecordUse.LETTER])
def test_a_sealed_legacy_value_lets_nobody_in(
    passwords: Passwords, key: CountedKey, hashed: list[Argon2Parameters], use: RecordUse
) -> None:
    """Even where our own key sealed it for another use: only the history reads legacy forms."""
    record = str(records.seal(key, SALTED.encode(), bound_to(SUBJECT, use)))
    assert refused(lambda: passwords.verify(record, PASSWORD, SUBJECT, use)) is RecordProblem.CONTENT
    assert passwords.verify(
        str(records.seal(key, SALTED.encode(), bound_to(SUBJECT, "history"))), PASSWORD, SUBJECT, "history"
    )
    assert hashed == [CHEAP]  # of the refusal; a match costs its own hash


def test_a_form_that_is_not_allowed_is_neither_sealed_nor_read(ring: MemoryRing, passwords: Passwords) -> None:
    """Legacy forms end for the history, too, when they are no longer allowed."""
    record, strict = passwords.seal_legacy(SALTED, SUBJECT), Passwords(ring, hashing=CHEAP)
    assert refused(lambda: strict.seal_legacy(SALTED, SUBJECT)) is RecordProblem.FORM
    assert refused(lambda: strict.verify(record, PASSWORD, SUBJECT, "history")) is RecordProblem.CONTENT
    for value in ("", "nothing", passwords.hash(PASSWORD, SUBJECT)):
        assert refused(lambda: passwords.seal_legacy(value, SUBJECT)) is RecordProblem.FORM  # noqa: B023 - called at once


def test_a_legacy_value_that_makes_no_record_is_refused(passwords: Passwords) -> None:
    """What does not fit a column must not be lost there."""
    assert refused(lambda: passwords.seal_legacy("$argon2id$" + "x" * 900, SUBJECT)) is RecordProblem.FORM


def test_a_wrong_password_costs_the_same_in_the_history(
    passwords: Passwords, key: CountedKey, hashed: list[Argon2Parameters]
) -> None:
    """One device call and one Argon2id hash; a legacy value its own beside it."""
    for record in (passwords.seal_legacy(SALTED, SUBJECT), passwords.hash(PASSWORD, SUBJECT, "history")):
        hashed.clear()
        key.opened = key.sealed = 0
        assert passwords.verify(record, "wrong", SUBJECT, "history") == NO_MATCH
        assert (key.opened, key.sealed, hashed) == (1, 0, [CHEAP])


class _Unreadable(LegacySaltedSha256):
    """A form that recognises what it cannot read."""

    def verify(self, value: str, password: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """See LegacyHash."""
        raise RecordRefused(RecordProblem.CONTENT, "not readable")


@pytest.mark.parametrize("order", [1, -1])
def test_a_value_that_one_form_compared_is_no_record_that_nobody_did(ring: MemoryRing, order: int) -> None:
    """Of several forms that look alike: a wrong password is an answer as soon as one of them can tell."""
    forms = [_Unreadable(), LegacySaltedSha256()][::order]
    passwords = Passwords(ring, hashing=CHEAP, legacy=forms)
    assert passwords.verify(SALTED, PASSWORD, SUBJECT)
    assert passwords.verify(SALTED, "wrong", SUBJECT) == NO_MATCH
    unreadable = Passwords(ring, hashing=CHEAP, legacy=[_Unreadable()])
    assert refused(lambda: unreadable.verify(SALTED, PASSWORD, SUBJECT)) is RecordProblem.CONTENT
