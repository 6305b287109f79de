# SPDX-License-Identifier: Apache-2.0
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from argon2.exceptions import VerificationError

from sealpass.core import argon2_hash, records
from sealpass.core.argon2_hash import (
    RFC_9106_HIGH_MEMORY,
    Argon2Ceilings,
    Argon2Parameters,
    hash_password,
)
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, RecordProblem, RecordRefused, UnsupportedAlgorithm
from sealpass.core.legacy_hashes import LegacyArgon2id, LegacySaltedSha256
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.core.passwords import NO_MATCH, Passwords, Verification
from sealpass.core.protocols import Key, Sealed
from sealpass.core.records import Record, RecordUse, bound_to
from tests.support.sealing import CHEAP, CountedKey, MemoryRing, watch_hashes
from tests.unit.test_secrecy import told_by

PASSWORD = "korrekt Pferd ☃ Batterie"
SUBJECT = "8a6e0804-2bd0-4672-b79d-d97027f9071a"


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


def refused(run: Callable[[], Any]) -> RecordProblem:
    """The problem of a record that is refused; the error tells no secret."""
    with pytest.raises(RecordRefused) as caught:
        run()
    told = told_by(caught.value)
    assert "Pferd" not in told
    assert "$" not in told
    return caught.value.problem


def test_a_password_verifies_against_its_record(passwords: Passwords) -> None:
    """And another one does not: an answer, and no error."""
    record = passwords.hash(PASSWORD, SUBJECT)
    assert passwords.verify(record, PASSWORD, SUBJECT) == Verification(matches=True)
    assert passwords.verify(record, PASSWORD, SUBJECT)
    assert passwords.verify(record, PASSWORD + " ", SUBJECT) == NO_MATCH
    assert not passwords.verify(record, "", SUBJECT)


@pytest.mark.parametrize("password", ["", " ", "a\0b", "ä", "a\u0308", "x" * 4096, "\U0001f510"], ids=ascii)
def test_a_password_is_taken_as_it_is(passwords: Passwords, password: str) -> None:
    """Nothing is trimmed, cut off or normalised."""
    record = passwords.hash(password, SUBJECT)
    assert passwords.verify(record, password, SUBJECT)
    for other in (password + "\0", password + "\n", password[:-1] or "x", "ä" if password == "a\u0308" else "a\u0308"):
        assert not passwords.verify(record, other, SUBJECT)


def test_the_record_holds_an_argon2_hash_of_the_chosen_cost(ring: MemoryRing, key: CountedKey) -> None:
    """What is sealed is the PHC string, and nothing besides."""
    record = Passwords(ring, hashing=Argon2Parameters(16, 2, 2)).hash(PASSWORD, SUBJECT)
    plaintext = Record.parse(record).open(key, bound_to(SUBJECT, "current"))
    assert plaintext.startswith(b"$argon2id$v=19$m=16,t=2,p=2$")


def test_two_records_of_one_password_differ(passwords: Passwords) -> None:
    """Salt and nonce are fresh for each."""
    assert len({passwords.hash(PASSWORD, SUBJECT) for _ in range(3)}) == 3


@pytest.mark.parametrize("use", RecordUse)
def test_a_record_is_of_one_subject_and_one_use(passwords: Passwords, use: RecordUse) -> None:
    """Moved to another user, or from the history to the current slot, it is refused, and is no wrong password."""
    record = passwords.hash(PASSWORD, SUBJECT, use)
    assert passwords.verify(record, PASSWORD, SUBJECT, use)
    assert passwords.verify(record, PASSWORD, SUBJECT, use.value)
    assert refused(lambda: passwords.verify(record, PASSWORD, "another", use)) is RecordProblem.DOES_NOT_OPEN
    for other in set(RecordUse) - {use}:
        assert refused(lambda: passwords.verify(record, PASSWORD, SUBJECT, other)) is RecordProblem.DOES_NOT_OPEN  # noqa: B023 - called at once


def test_parameters_cannot_be_edited_downwards(passwords: Passwords, ring: MemoryRing) -> None:
    """They are inside the seal; a hash of one's own choosing without a seal is of no allowed form."""
    strong = Passwords(ring, hashing=Argon2Parameters(16, 2, 1)).hash(PASSWORD, SUBJECT)
    assert passwords.verify(strong, PASSWORD, SUBJECT).needs_rehash
    plain = hash_password(PASSWORD.encode(), CHEAP)
    assert refused(lambda: Passwords(ring, hashing=CHEAP).verify(plain, PASSWORD, SUBJECT)) is RecordProblem.FORM


def test_an_unknown_key_is_an_error_of_its_own(passwords: Passwords) -> None:
    """Case S2: never a wrong password, whatever the password is."""
    record = passwords.hash(PASSWORD, SUBJECT).replace("key-1", "key-9")
    for password in (PASSWORD, "wrong"):
        with pytest.raises(RecordRefused, match="no key key-9") as caught:
            passwords.verify(record, password, SUBJECT)
        assert caught.value.problem is RecordProblem.KEY_UNKNOWN
    assert refused(lambda: passwords.rotate(record, SUBJECT)) is RecordProblem.KEY_UNKNOWN


def test_a_key_that_opens_no_records_is_unknown_too(passwords: Passwords) -> None:
    """Case S2: the id of an RSA key, for which a ring answers None as well."""
    record = passwords.hash(PASSWORD, SUBJECT).replace("key-1", "a" * 43)
    assert refused(lambda: passwords.verify(record, PASSWORD, SUBJECT)) is RecordProblem.KEY_UNKNOWN


def test_what_a_sealed_hash_may_cost_is_bounded(ring: MemoryRing, key: CountedKey) -> None:
    """Even what our own key sealed is not obeyed beyond the ceilings."""
    passwords = Passwords(ring, hashing=CHEAP, ceilings=Argon2Ceilings(64, 2, 2))
    dear = hash_password(b"x", CHEAP).replace("m=8", "m=4294967295").encode()
    record = str(records.seal(key, dear, bound_to(SUBJECT, "current")))
    assert refused(lambda: passwords.verify(record, "x", SUBJECT)) is RecordProblem.COST


@pytest.mark.parametrize("plaintext", [b"secret", b"\xff\xfe", b"$2b$10$"])
def test_what_is_sealed_and_no_hash(passwords: Passwords, key: CountedKey, plaintext: bytes) -> None:
    """Whoever sealed it, it is nothing to verify with."""
    record = str(records.seal(key, plaintext, bound_to(SUBJECT, "current")))
    assert refused(lambda: passwords.verify(record, "secret", SUBJECT)) is RecordProblem.CONTENT


def test_ceilings_below_the_own_hash_are_refused(ring: MemoryRing) -> None:
    """No record that is made could be verified."""
    with pytest.raises(ConfigError, match="ceilings"):
        Passwords(ring, hashing=Argon2Parameters(65, 1, 1), ceilings=Argon2Ceilings(64, 2, 2))
    Passwords(ring, hashing=RFC_9106_HIGH_MEMORY)  # the default ceilings are raised to it


# -- what needs a new record --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        Argon2Parameters(16, 1, 1),
        Argon2Parameters(8, 2, 1),
        Argon2Parameters(16, 1, 2),
        Argon2Parameters(8, 1, 1, salt_bytes=17),
        Argon2Parameters(8, 1, 1, tag_bytes=33),
    ],
)
def test_other_parameters_need_a_rehash(ring: MemoryRing, passwords: Passwords, other: Argon2Parameters) -> None:
    """In either direction, and only where the password matches."""
    record = Passwords(ring, hashing=other).hash(PASSWORD, SUBJECT)
    assert passwords.verify(record, PASSWORD, SUBJECT) == Verification(matches=True, needs_rehash=True)
    assert passwords.verify(record, "wrong", SUBJECT) == NO_MATCH
    assert Passwords(ring, hashing=other).verify(record, PASSWORD, SUBJECT) == Verification(matches=True)


def test_a_previous_key_opens_and_asks_for_a_rehash(ring: MemoryRing, key: CountedKey, passwords: Passwords) -> None:
    """After a rotation old records keep opening, and new ones are under the new key at once."""
    record = passwords.hash(PASSWORD, SUBJECT)
    ring.keys = (CountedKey("key-2"), key)
    assert passwords.verify(record, PASSWORD, SUBJECT) == Verification(matches=True, needs_rehash=True)
    assert passwords.verify(record, "wrong", SUBJECT) == NO_MATCH
    assert Record.parse(passwords.hash(PASSWORD, SUBJECT)).key_id == "key-2"


# -- rotation -----------------------------------------------------------------------------------------------------


def test_rotation_needs_no_password(ring: MemoryRing, key: CountedKey, passwords: Passwords) -> None:
    """The same hash under the new key; what is there already is answered as it is, without a device call."""
    record = passwords.hash(PASSWORD, SUBJECT, "history")
    new = CountedKey("key-2")
    ring.keys = (new, key)
    rotated = passwords.rotate(record, SUBJECT, "history")
    assert Record.parse(rotated).key_id == "key-2"
    ring.keys = (new,)
    assert passwords.verify(rotated, PASSWORD, SUBJECT, "history") == Verification(matches=True)
    calls = (new.sealed, new.opened)
    assert passwords.rotate(rotated, SUBJECT, "history") == rotated
    assert (new.sealed, new.opened) == calls


def test_what_does_not_open_is_not_rotated(ring: MemoryRing, key: CountedKey, passwords: Passwords) -> None:
    """Of another subject, edited, or a legacy value."""
    record = passwords.hash(PASSWORD, SUBJECT)
    ring.keys = (CountedKey("key-2"), key)
    assert refused(lambda: passwords.rotate(record, "another")) is RecordProblem.DOES_NOT_OPEN
    assert refused(lambda: passwords.rotate(record, SUBJECT, "history")) is RecordProblem.DOES_NOT_OPEN
    assert refused(lambda: passwords.rotate(record[:-1], SUBJECT)) is RecordProblem.FORM
    assert refused(lambda: passwords.rotate(hash_password(b"x", CHEAP), SUBJECT)) is RecordProblem.FORM


class ResealingKey(CountedKey):
    """A key whose device moves records to keys of its own, which ``reaches`` lists."""

    def __init__(self, key_id: str, reaches: tuple[CountedKey, ...]) -> None:
        super().__init__(key_id)
        self.reaches = reaches
        self.moved = 0

    def reencrypt(
        self, sealed: Sealed, aad: bytes, target: Key, new_aad: bytes, deadline: Deadline | None = None
    ) -> Sealed | None:
        """See Resealer."""
        if target not in self.reaches:
            raise UnsupportedAlgorithm("not a key of this device")
        assert isinstance(target, CountedKey)
        self.moved += 1
        plaintext = self.open_sealed(sealed, aad, deadline)
        return None if plaintext is None else target.seal(plaintext, new_aad, deadline)


def test_a_device_that_can_moves_the_record_itself(ring: MemoryRing) -> None:
    """The hash does not come into this process; where the target is elsewhere, it has to."""
    near, far = CountedKey("near"), CountedKey("far")
    old = ResealingKey("old", (near,))
    record = Passwords(MemoryRing(old), hashing=CHEAP).hash(PASSWORD, SUBJECT)
    for new, moved in ((near, 1), (far, 1)):
        passwords = Passwords(MemoryRing(new, old), hashing=CHEAP)
        rotated = passwords.rotate(record, SUBJECT)
        assert passwords.verify(rotated, PASSWORD, SUBJECT) == Verification(matches=True)
        assert old.moved == moved
    assert refused(lambda: Passwords(MemoryRing(near, old), hashing=CHEAP).rotate(record, "another")) is (
        RecordProblem.DOES_NOT_OPEN
    )


# -- the cost of every answer -------------------------------------------------------------------------------------

PLAIN = hash_password(PASSWORD.encode(), CHEAP)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda record: record, id="wrong password"),
        pytest.param(lambda record: record[:-2] + ("AA" if record[-2:] != "AA" else "BA"), id="edited"),
        pytest.param(lambda record: record.replace("key-1", "key-9"), id="key unknown"),
        pytest.param(lambda record: record + "=", id="no record"),
        pytest.param(lambda _record: "nothing at all", id="no form"),
        pytest.param(lambda _record: "", id="empty"),
        pytest.param(lambda _record: None, id="null"),
        pytest.param(lambda _record: "A" * 86 + "==", id="legacy"),
        pytest.param(lambda _record: PLAIN.replace("m=8", "m=4294967295"), id="legacy above a ceiling"),
    ],
)
def test_every_failure_costs_one_device_call_and_one_hash(
    passwords: Passwords, key: CountedKey, hashed: list[Argon2Parameters], edit: Callable[[str], Any]
) -> None:
    """Case S12 and beyond: by its time, a login page cannot tell what is wrong, nor whether anybody is there."""
    record = edit(passwords.hash(PASSWORD, SUBJECT))
    key.opened = key.sealed = 0
    with contextlib.suppress(RecordRefused):
        assert not passwords.verify(record, "wrong", SUBJECT)
    assert (key.opened, key.sealed, hashed) == (1, 0, [CHEAP])


def test_nobody_costs_what_a_user_costs(passwords: Passwords, key: CountedKey, hashed: list[Argon2Parameters]) -> None:
    """One device call, one hash, and never a match."""
    key.opened = key.sealed = 0
    assert passwords.verify_nobody(PASSWORD) == NO_MATCH
    assert (key.opened, key.sealed, hashed) == (1, 0, [CHEAP])


def test_what_does_not_match_in_a_sealed_hash_above_a_ceiling_costs_one_of_ours(
    ring: MemoryRing, key: CountedKey, hashed: list[Argon2Parameters]
) -> None:
    """The device was called already; the hash is one that we can afford."""
    passwords = Passwords(ring, hashing=CHEAP, ceilings=Argon2Ceilings(64, 2, 2))
    dear = hash_password(b"x", CHEAP).replace("m=8", "m=65").encode()
    record = str(records.seal(key, dear, bound_to(SUBJECT, "current")))
    key.opened = key.sealed = 0
    assert refused(lambda: passwords.verify(record, "x", SUBJECT)) is RecordProblem.COST
    assert (key.opened, key.sealed, hashed) == (1, 0, [CHEAP])


def test_nobody_follows_the_ring(ring: MemoryRing, passwords: Passwords, key: CountedKey) -> None:
    """After a rotation the device of the current key is asked, as it is for records that were made since."""
    new = CountedKey("key-2")
    ring.keys = (new,)
    key.opened = 0
    for opened in (1, 2):
        passwords.verify_nobody(PASSWORD)
        assert (new.sealed, new.opened, key.opened) == (1, opened, 0)


def test_a_device_that_is_away_is_an_error_for_everybody(
    passwords: Passwords, key: CountedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case S10: no verifying without the seal, and the same error for users who do not exist."""
    record = passwords.hash(PASSWORD, SUBJECT)

    def gone(*_: object) -> None:
        raise BackendUnavailable("away", retryable=True)

    monkeypatch.setattr(key, "open_sealed", gone)
    monkeypatch.setattr(key, "seal", gone)
    for run in (
        lambda: passwords.verify(record, PASSWORD, SUBJECT),
        lambda: passwords.verify_nobody(PASSWORD),
        lambda: passwords.hash(PASSWORD, SUBJECT),
    ):
        with pytest.raises(BackendUnavailable) as caught:
            run()
        assert "Pferd" not in told_by(caught.value)


def test_a_ring_that_does_not_seal_says_so_at_start(ring: MemoryRing, key: CountedKey) -> None:
    """The record of nobody is made at once."""
    key.close()
    with pytest.raises(ConfigError):
        Passwords(ring, hashing=CHEAP)


# -- deadlines, and what is no password ---------------------------------------------------------------------------


def test_nothing_begins_after_its_deadline(
    key: CountedKey, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each operation hands its deadline on, and hashing does not begin late."""
    record = passwords.hash(PASSWORD, SUBJECT)
    monkeypatch.setattr(argon2_hash, "hash_password", lambda *_: pytest.fail("hashing began"))
    rotating = Passwords(MemoryRing(CountedKey("key-2"), key), hashing=CHEAP)
    late = Deadline.after(-1)
    for run in (
        lambda: passwords.hash(PASSWORD, SUBJECT, deadline=late),
        lambda: passwords.verify(record, PASSWORD, SUBJECT, deadline=late),
        lambda: passwords.verify_nobody(PASSWORD, late),
        lambda: rotating.rotate(record, SUBJECT, deadline=late),
        lambda: passwords.rebind(record, SUBJECT, "current", "history", late),
        lambda: passwords.seal_legacy(PLAIN, SUBJECT, late),
    ):
        with pytest.raises(BackendUnavailable, match="deadline"):
            run()


def test_half_a_surrogate_pair_matches_nothing_and_makes_nothing(passwords: Passwords) -> None:
    """It is no Unicode text: refused when a record is made, a wrong password when one is verified."""
    with pytest.raises(ConfigError) as caught:
        passwords.hash("Pferd\ud800", SUBJECT)
    assert "Pferd" not in told_by(caught.value)
    record = passwords.hash("Pferd?", SUBJECT)
    assert passwords.verify(record, "Pferd\ud800", SUBJECT) == NO_MATCH
    assert passwords.verify_nobody("Pferd\ud800") == NO_MATCH


@pytest.mark.parametrize("password", [None, b"Pferd", 5])
def test_a_password_is_text(passwords: Passwords, password: Any) -> None:
    """Bytes are refused without being quoted."""
    record = passwords.hash(PASSWORD, SUBJECT)
    for run in (
        lambda: passwords.hash(password, SUBJECT),
        lambda: passwords.verify(record, password, SUBJECT),
        lambda: passwords.verify_nobody(password),
    ):
        with pytest.raises(ConfigError) as caught:
            run()
        assert "Pferd" not in told_by(caught.value)


def test_a_wrong_subject_or_use_is_a_mistake_of_the_program(passwords: Passwords) -> None:
    """Not a record that is refused."""
    record = passwords.hash(PASSWORD, SUBJECT)
    for arguments in (("", "current"), (SUBJECT, "other")):
        with pytest.raises(ConfigError):
            passwords.verify(record, PASSWORD, *arguments)
        with pytest.raises(ConfigError):
            passwords.hash(PASSWORD, *arguments)
        with pytest.raises(ConfigError):
            passwords.rotate(record, *arguments)
        with pytest.raises(ConfigError):
            passwords.rebind(record, arguments[0], arguments[1], "history")
        with pytest.raises(ConfigError):
            passwords.rebind(record, arguments[0], "current", arguments[1])


def test_reprs_tell_nothing(passwords: Passwords) -> None:
    """Of the service and of an answer."""
    record = passwords.hash(PASSWORD, SUBJECT)
    told = repr(passwords) + repr(passwords.verify(record, PASSWORD, SUBJECT))
    assert "Pferd" not in told
    assert "argon2" not in told


@pytest.mark.parametrize("subject", [7, None, b"id"])
def test_a_subject_that_is_no_text_is_told(passwords: Passwords, subject: Any) -> None:
    """With what to do, and in every operation."""
    record = passwords.hash(PASSWORD, SUBJECT)
    for call in (
        lambda: passwords.hash(PASSWORD, subject),
        lambda: passwords.verify(record, PASSWORD, subject),
        lambda: passwords.rotate(record, subject),
        lambda: passwords.rebind(record, subject, RecordUse.CURRENT, RecordUse.HISTORY),
        lambda: passwords.seal_legacy(record, subject),
    ):
        with pytest.raises(ConfigError, match="a subject is text, not") as caught:
            call()
        assert "str(…) of your id" in caught.value.hint


def test_no_password_is_hashed_that_no_login_takes(passwords: Passwords) -> None:
    """Over 4096 bytes of UTF-8."""
    most = "ß" * (MAX_PASSWORD_BYTES // 2)
    assert passwords.verify(passwords.hash(most, SUBJECT), most, SUBJECT)
    with pytest.raises(ConfigError, match="at most 4096 bytes"):
        passwords.hash(most + "x", SUBJECT)


def test_without_memory_known_and_unknown_users_look_the_same(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the one of a device that is away, whichever way the library says it."""
    record = passwords.hash(PASSWORD, SUBJECT)
    for raised in (MemoryError(), VerificationError("Memory allocation error")):

        def no_memory(*_: object, error: Exception = raised) -> bool:
            raise error

        monkeypatch.setattr("argon2.low_level.verify_secret", no_memory)
        calls: list[Callable[[], object]] = [
            lambda: passwords.verify(record, PASSWORD, SUBJECT),
            lambda: passwords.verify_nobody(PASSWORD),
        ]
        for call in calls:
            with pytest.raises(BackendUnavailable, match=r"did not run: \w") as caught:
                call()
            assert caught.value.retryable
