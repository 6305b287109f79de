# SPDX-License-Identifier: Apache-2.0
"""Nothing of a record can be changed, exchanged or moved so that it still opens; and no text raises anything else."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.core import argon2_hash, records
from sealpass.core.algorithms import SEAL_ALGORITHMS, SealAlgorithm
from sealpass.core.argon2_hash import Argon2Ceilings, Argon2Parameters
from sealpass.core.errors import RecordRefused
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealed
from sealpass.core.records import Record, RecordUse, bound_to
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

KEYS = (CountedKey("key-1"), CountedKey("key-2"), CountedKey("key-3"))
PASSWORDS = Passwords(MemoryRing(*KEYS), hashing=CHEAP)
SUBJECTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
USES = st.sampled_from(RecordUse)
ALPHABET = "ABZabz019-_.=+/$, \n\0äé"


def assert_opens_nothing(text: str, binding: str) -> None:
    """Refused by the parser, or opened by none of the keys: RecordRefused in either case."""
    try:
        record = Record.parse(text)
    except RecordRefused:
        return
    for key in KEYS:
        with pytest.raises(RecordRefused):
            record.open(key, binding)


@given(
    key_id=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    algorithm=st.sampled_from(SEAL_ALGORITHMS),
    nonce_bytes=st.sampled_from([12, 16]),
    data=st.data(),
)
def test_parsing_and_printing_are_inverse(
    key_id: str, algorithm: SealAlgorithm, nonce_bytes: int, data: st.DataObject
) -> None:
    """Every record that can be made is read as what it was made of."""
    size = nonce_bytes if algorithm.nonce_bytes else 0
    nonce = data.draw(st.binary(min_size=size, max_size=size), label="nonce")
    ciphertext = data.draw(st.binary(min_size=17, max_size=600), label="ciphertext")
    record = Record(key_id, Sealed(algorithm.name, nonce, ciphertext))
    assert Record.parse(str(record)) == record
    assert re.fullmatch(r"[!-~]+", str(record))


@given(
    text=st.text(st.characters() | st.sampled_from(ALPHABET)) | st.from_regex(r"\$sealpass\$v=1\$k=.*\$a=.*\$.*\$.*")
)
def test_any_text_is_a_record_or_refused(text: str) -> None:
    """One spelling: what is read prints as it was."""
    with contextlib.suppress(RecordRefused):
        assert str(Record.parse(text)) == text


@given(subject=SUBJECTS, use=USES, plaintext=st.binary(min_size=1, max_size=300), data=st.data())
def test_any_edit(subject: str, use: RecordUse, plaintext: bytes, data: st.DataObject) -> None:
    """Characters replaced, put in or left out, anywhere."""
    binding = bound_to(subject, use)
    record = records.seal(KEYS[0], plaintext, binding)
    assert record.open(KEYS[0], binding) == plaintext
    text = str(record)
    position = data.draw(st.integers(0, len(text)), label="position")
    length = data.draw(st.integers(0, 3), label="left out")
    extra = data.draw(st.text(st.sampled_from(ALPHABET), max_size=3), label="put in")
    edited = text[:position] + extra + text[position + length :]
    if edited != text:
        assert_opens_nothing(edited, binding)


@given(data=st.data())
def test_fields_of_two_records_do_not_mix(data: st.DataObject) -> None:
    """Of two users, two keys, two passwords: any mixture but the records themselves opens nothing."""
    pair = [
        str(records.seal(key, plaintext, bound_to("user-1", "current"))).split("$")
        for key, plaintext in ((KEYS[0], b"one"), (KEYS[1], b"two"))
    ]
    choice = data.draw(st.lists(st.integers(0, 1), min_size=4, max_size=4), label="choice")  # k, nonce, ciphertext, a
    key_id, nonce, ciphertext, algorithm = choice
    fields = [
        *pair[0][:3], pair[key_id][3], pair[algorithm][4], pair[nonce][5], pair[ciphertext][6]
    ]  # fmt: skip
    mixed = "$".join(fields)
    if key_id == nonce == ciphertext:
        assert Record.parse(mixed).open(KEYS[key_id], bound_to("user-1", "current")) in (b"one", b"two")
    else:
        assert_opens_nothing(mixed, bound_to("user-1", "current"))


@given(first=st.tuples(SUBJECTS, USES), second=st.tuples(SUBJECTS, USES))
def test_any_two_places_have_two_bindings(first: tuple[str, RecordUse], second: tuple[str, RecordUse]) -> None:
    """No subject looks like another's together with a use: a record opens in its own place only."""
    assert (bound_to(*first) == bound_to(*second)) is (first == second)
    record = records.seal(KEYS[0], b"hash", bound_to(*first))
    if first != second:
        with pytest.raises(RecordRefused):
            record.open(KEYS[0], bound_to(*second))


@given(password=st.text(st.characters(codec="utf-8")), other=st.text(st.characters(codec="utf-8")), subject=SUBJECTS)
def test_any_password_verifies_and_no_other_does(password: str, other: str, subject: str) -> None:
    """Whatever it is made of."""
    record = PASSWORDS.hash(password, subject)
    assert PASSWORDS.verify(record, password, subject)
    assert bool(PASSWORDS.verify(record, other, subject)) is (other == password)


@given(text=st.text(st.characters() | st.sampled_from("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAA$")))
def test_any_text_is_an_affordable_hash_or_refused(text: str) -> None:
    """No text of the database raises anything else."""
    with contextlib.suppress(RecordRefused):
        assert argon2_hash.parse(text, Argon2Ceilings()).text == text


@given(
    memory=st.integers(1, 2**32 - 1), passes=st.integers(1, 2**32 - 1), lanes=st.integers(1, 2**24 - 1), data=st.data()
)
def test_nothing_above_a_ceiling_is_parsed(memory: int, passes: int, lanes: int, data: st.DataObject) -> None:
    """For any ceilings and any parameters."""
    ceilings = Argon2Ceilings(
        *(data.draw(st.integers(1, top), label="ceiling") for top in (2**32 - 1, 2**32 - 1, 2**24 - 1))
    )
    text = f"$argon2id$v=19$m={memory},t={passes},p={lanes}${'A' * 22}${'A' * 43}"
    affordable = memory <= ceilings.memory_kib and passes <= ceilings.passes and lanes <= ceilings.lanes
    if affordable and memory >= 8 * lanes:
        assert argon2_hash.parse(text, ceilings).parameters == Argon2Parameters(memory, passes, lanes)
    else:
        with pytest.raises(RecordRefused):
            argon2_hash.parse(text, ceilings)
