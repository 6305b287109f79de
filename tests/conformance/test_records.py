# SPDX-License-Identifier: Apache-2.0
"""Records under every sealing device: what opens, what does not, and how long they are."""

from collections.abc import Iterator

import pytest

from sealpass.core import argon2_hash, base64url, records
from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY
from sealpass.core.errors import RecordProblem, RecordRefused
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Opener, Sealer
from sealpass.core.records import MAX_RECORD_CHARACTERS, Record, RecordUse, bound_to
from tests.conformance.devices import SealingKey
from tests.support.sealing import CHEAP

PASSWORD, SUBJECT = "korrekt Pferd", "8a6e0804-2bd0-4672-b79d-d97027f9071a"
PLACE = bound_to(SUBJECT, RecordUse.CURRENT)
HASH = argon2_hash.matchless_hash(RFC_9106_LOW_MEMORY).encode()


class OneKeyRing:
    """A ring of the device's key."""

    def __init__(self, key: SealingKey) -> None:
        self.key = key

    @property
    def current_sealer(self) -> Sealer:
        """See SealingRing."""
        return self.key

    def find_opener(self, kid: str) -> Opener | None:
        """See SealingRing."""
        return self.key if kid == self.key.key_id else None


@pytest.fixture
def passwords(sealing_key: SealingKey) -> Passwords:
    """Passwords under the key, with the cheapest hash."""
    return Passwords(OneKeyRing(sealing_key), hashing=CHEAP)


def _changed(text: str) -> Iterator[str]:
    """The text with each of its characters changed to one that is as good in its place, most of the time."""
    for position, character in enumerate(text):
        yield text[:position] + ("B" if character in "Aa" else "A") + text[position + 1 :]


def test_a_password_verifies_in_its_own_place_only(passwords: Passwords) -> None:
    """Another password does not match; another user's, or another slot's, record is refused."""
    record = passwords.hash(PASSWORD, SUBJECT)
    assert passwords.verify(record, PASSWORD, SUBJECT)
    assert not passwords.verify(record, PASSWORD + " ", SUBJECT)
    for subject, use in (("another", "current"), (SUBJECT, "history"), (SUBJECT, "letter")):
        with pytest.raises(RecordRefused) as caught:
            passwords.verify(record, PASSWORD, subject, use)
        assert caught.value.problem is RecordProblem.DOES_NOT_OPEN


def test_no_edit_opens(sealing_key: SealingKey) -> None:
    """Each character of a record changed, one after the other: every one is covered by form, key or seal."""
    text = str(records.seal(sealing_key, HASH, PLACE))
    assert Record.parse(text).open(sealing_key, PLACE) == HASH
    for edited in _changed(text):
        with pytest.raises(RecordRefused):
            Record.parse(edited).open(sealing_key, PLACE)


def test_every_bit_of_nonce_and_ciphertext_counts(sealing_key: SealingKey) -> None:
    """The lowest and the highest bit of each byte; a character has six bits, and its edit might hide some."""
    record = records.seal(sealing_key, b"x", PLACE)
    header, nonce, ciphertext = str(record).rsplit("$", 2)
    for field, template in ((nonce, f"{header}${{}}${ciphertext}"), (ciphertext, f"{header}${nonce}${{}}")):
        octets = base64url.decode(field.encode())
        for position in range(len(octets)):
            for bit in (0x01, 0x80):
                flipped = octets[:position] + bytes((octets[position] ^ bit,)) + octets[position + 1 :]
                with pytest.raises(RecordRefused):
                    Record.parse(template.format(base64url.encode(flipped).decode())).open(sealing_key, PLACE)


def test_records_are_short_and_printable(sealing_key: SealingKey) -> None:
    """At most 260 characters with AES-GCM and 420 with AWS KMS, for a hash as RFC 9106 recommends it."""
    record = records.seal(sealing_key, HASH, PLACE)
    text = str(record)
    assert len(text) <= (420 if record.sealed.algorithm == "awskms" else 260) < MAX_RECORD_CHARACTERS
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


def test_the_longest_hash_fits_into_a_record(sealing_key: SealingKey) -> None:
    """Whatever parameters are chosen, no device makes a record that a column of MAX_RECORD_CHARACTERS cannot hold."""
    longest = argon2_hash.Argon2Parameters(2**32 - 1, 2**32 - 1, 2**24 - 1, salt_bytes=64, tag_bytes=64)
    record = records.seal(sealing_key, argon2_hash.matchless_hash(longest).encode(), PLACE)
    assert Record.parse(str(record)) == record


def test_nobody_is_asked_for_on_the_device(passwords: Passwords) -> None:
    """The record of nobody opens on every device, and matches nothing."""
    assert not passwords.verify_nobody(PASSWORD)
