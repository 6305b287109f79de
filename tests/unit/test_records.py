# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from sealpass.core import base64url, records
from sealpass.core.algorithms import SEAL_A128GCM, SEAL_ALGORITHMS
from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY, matchless_hash
from sealpass.core.capabilities import Capabilities
from sealpass.core.errors import ConfigError, RecordProblem, RecordRefused
from sealpass.core.protocols import Sealed
from sealpass.core.records import MAX_RECORD_CHARACTERS, Record, RecordUse, bound_to
from tests.support.sealing import CountedKey

NONCE, CIPHERTEXT = "A" * 16, "B" * 40
GOOD = f"$sealpass$v=1$k=key-1$a=A256GCM${NONCE}${CIPHERTEXT}"


def assert_no_record(text: object) -> None:
    """It is refused for its form, without being quoted."""
    with pytest.raises(RecordRefused) as caught:
        Record.parse(text)
    assert caught.value.problem is RecordProblem.FORM
    assert "$" not in str(caught.value)


def test_a_record_by_its_fields() -> None:
    """Key id and algorithm in the clear, nonce and ciphertext in unpadded base64url."""
    record = Record.parse(GOOD)
    assert record == Record("key-1", Sealed("A256GCM", bytes(12), base64url.decode(CIPHERTEXT.encode())))
    assert str(record) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        f"$sealpass$v=1$k=key-1$a=A256GCM${'A' * 22}${CIPHERTEXT}",
        f"$sealpass$v=1$k=AZaz09._-$a=A128GCM${NONCE}${CIPHERTEXT}",
        f"$sealpass$v=1$k={'k' * 64}$a=A192GCM${NONCE}${CIPHERTEXT}",
        f"$sealpass$v=1$k=mrk-0123456789abcdef0123456789abcdef$a=awskms$${CIPHERTEXT}",
        f"$sealpass$v=1$k=key-1$a=A256GCM${NONCE}${'B' * 22}A",
    ],
)
def test_other_good_records(text: str) -> None:
    """A nonce of 16 bytes, every character of a key id, a long key id, AWS KMS, one byte of plaintext."""
    assert str(Record.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"$sealpass$v=1",
        5,
        "",
        "secret",
        "$sealpass$",
        GOOD[1:],
        GOOD + "$",
        GOOD + "\n",
        " " + GOOD,
        GOOD + "=",
        GOOD.replace("v=1", "v=2"),
        GOOD.replace("v=1", "v=01"),
        GOOD.replace("sealpass", "Sealpass"),
        GOOD.replace("$v=1$k=key-1", "$k=key-1$v=1"),
        GOOD.replace("$k=key-1", ""),
        GOOD.replace("$k=key-1", "$k=key-1$k=key-1"),
        GOOD.replace("key-1", ""),
        GOOD.replace("key-1", "k" * 65),
        GOOD.replace("key-1", "key 1"),
        GOOD.replace("key-1", "key/1"),
        GOOD.replace("key-1", "schlüssel"),
        GOOD.replace("key-1", "key-1\n"),
        GOOD.replace("A256GCM", "a256gcm"),
        GOOD.replace("A256GCM", "A256CBC"),
        GOOD.replace("A256GCM", ""),
        GOOD.replace("A256GCM", "awskms"),
        GOOD.replace(NONCE, ""),
        GOOD.replace(NONCE, NONCE[:-1]),
        GOOD.replace(NONCE, NONCE + "AA"),
        GOOD.replace(NONCE, "A" * 18),
        GOOD.replace(NONCE, "A" * 21 + "B"),
        GOOD.replace(NONCE, "A" * 24),
        GOOD.replace(NONCE, "+" * 16),
        GOOD.replace(CIPHERTEXT, ""),
        GOOD.replace(CIPHERTEXT, "B" * 22 + "B"),
        GOOD.replace(CIPHERTEXT, "B" * 21 + "A"),
        GOOD.replace(CIPHERTEXT, "B" * 41),
        GOOD.replace(CIPHERTEXT, "B" * MAX_RECORD_CHARACTERS),
        GOOD.replace(CIPHERTEXT, "B" * 20 + "." + "B" * 19),
        GOOD.replace(CIPHERTEXT, "B" * 20 + "\0" + "B" * 19),
        GOOD.replace(CIPHERTEXT, "B" * 20 + "\ud800" + "B" * 19),
        GOOD.replace("$", "\N{FULLWIDTH DOLLAR SIGN}"),
    ],
)
def test_what_is_no_record(text: object) -> None:
    """Another version, order, alphabet or length of any field, or no text at all."""
    assert_no_record(text)


def test_the_longest_record_is_read() -> None:
    """A column of MAX_RECORD_CHARACTERS holds every record; one more is refused unread."""
    head = f"$sealpass$v=1$k=key-1$a=A256GCM${NONCE}$"
    for surplus in range(3):  # one length of four is no base64url
        text = head + "A" * (MAX_RECORD_CHARACTERS - len(head) - surplus)
        if (len(text) - len(head)) % 4 != 1:
            assert str(Record.parse(text)) == text
    assert_no_record(head + "A" * (MAX_RECORD_CHARACTERS - len(head) + 1))


def test_the_binding_is_the_published_one() -> None:
    """AAD: everything before the nonce, the use, and the subject in base64url."""
    key = CountedKey()
    aad = b"$sealpass$v=1$k=key-1$a=A256GCM$letter$Wm_Dqy0x"
    record = records.seal(key, b"hash", bound_to("Zoë-1", "letter"))
    assert key.open_sealed(record.sealed, aad) == b"hash"
    assert Record("key-1", key.seal(b"hash", aad)).open(key, bound_to("Zoë-1", "letter")) == b"hash"


@pytest.mark.parametrize(
    "text",
    [
        "no header",
        "$sealpass$v=1$k=a$a=A256GCM$ñ$b",
        "ñ$sealpass$v=1$k=ñ$a=A256GCM$a$b",
        "$sealpass$v=2$k=a$a=A256GCM$a$b",
    ],
)
def test_a_header_that_cannot_be_read_is_refused_without_the_text(text: str) -> None:
    """Also where only the header is looked at, and not in the context of the error either."""
    with pytest.raises(RecordRefused) as caught:
        records.key_and_algorithm(text)
    assert caught.value.problem is RecordProblem.FORM
    assert caught.value.__context__ is None or text not in repr(caught.value.__context__)


def test_what_is_sealed_opens_with_the_same_binding_only() -> None:
    """Another subject or use is another binding."""
    key = CountedKey()
    bindings = [bound_to(subject, use) for subject in ("user-1", "user-2", "USER-1") for use in RecordUse]
    assert len(set(bindings)) == 9
    record = records.seal(key, b"hash", bindings[0])
    assert Record.parse(str(record)).open(key, bindings[0]) == b"hash"
    for other in bindings[1:]:
        with pytest.raises(RecordRefused) as caught:
            record.open(key, other)
        assert caught.value.problem is RecordProblem.DOES_NOT_OPEN


def test_another_key_under_the_same_id_does_not_open() -> None:
    """The id is a name; what opens is the key."""
    key, impostor = CountedKey("key-1"), CountedKey("key-2")
    impostor.key_id = "key-1"
    record = records.seal(key, b"hash", bound_to("user-1", "current"))
    with pytest.raises(RecordRefused):
        record.open(impostor, bound_to("user-1", "current"))


@pytest.mark.parametrize("subject", ["", "a" * 129, "ü" * 65, "\ud800"])
def test_what_is_no_subject(subject: str) -> None:
    """1 to 128 bytes of Unicode text."""
    with pytest.raises(ConfigError):
        bound_to(subject, RecordUse.CURRENT)


@pytest.mark.parametrize("subject", ["a", "a" * 128, "ü" * 64, " ", "\0", "a$b"])
def test_any_text_is_a_subject(subject: str) -> None:
    """Whatever the id of a user is made of, the binding is printable ASCII without a further $."""
    binding = bound_to(subject, RecordUse.HISTORY)
    assert binding.isascii()
    assert binding.isprintable()
    assert binding.count("$") == 1


@pytest.mark.parametrize("use", ["", "Current", "current ", "password"])
def test_another_use_is_refused(use: str) -> None:
    """The three uses are a closed list."""
    with pytest.raises(ConfigError, match="current, history, letter"):
        bound_to("user-1", use)


@pytest.mark.parametrize("key_id", ["", "a$b", "a b", "a" * 65, "ä", "a\n", "arn:aws:kms:x"])
def test_a_key_that_no_record_can_name_seals_none(key_id: str) -> None:
    """A record under it could not be read again: refused before the device is called."""
    key = CountedKey()
    key.key_id = key_id
    with pytest.raises(ConfigError):
        records.seal(key, b"hash", bound_to("user-1", "current"))
    assert key.sealed == 0


def test_a_hash_of_the_rfc_fits_into_260_characters() -> None:
    """Also under the longest key id, and one printable line."""
    for key_id, characters in (("k" * 22, 217), ("k" * 64, 259)):
        record = str(
            records.seal(CountedKey(key_id), matchless_hash(RFC_9106_LOW_MEMORY).encode(), bound_to("u", "current"))
        )
        assert len(record) == characters <= 260
        assert record.isascii()
        assert record.isprintable()


def test_the_algorithm_is_bound() -> None:
    """A record whose algorithm was edited to that of a weaker key of the same octets would not open."""
    key = CountedKey()
    record = records.seal(key, b"hash", bound_to("user-1", "current"))
    key._algorithm = SEAL_A128GCM
    key.capabilities = Capabilities(seal=frozenset({SEAL_A128GCM}))
    edited = replace(record, sealed=replace(record.sealed, algorithm="A128GCM"))
    with pytest.raises(RecordRefused):
        edited.open(key, bound_to("user-1", "current"))


def test_every_algorithm_can_stand_in_a_record() -> None:
    """Nothing is sealed that the parser does not know."""
    for algorithm in SEAL_ALGORITHMS:
        nonce = base64url.encode(bytes(algorithm.nonce_bytes)).decode()
        Record.parse(f"$sealpass$v=1$k=key-1$a={algorithm.name}${nonce}${CIPHERTEXT}")


@pytest.mark.parametrize(
    ("value", "claims"), [(GOOD, True), ("$sealpass$v=9", True), ("$2b$10$", False), (None, False)]
)
def test_what_claims_to_be_a_record(value: object, claims: bool) -> None:  # noqa: FBT001 - a parameter
    """By its prefix, of any version: it is never taken for a legacy value."""
    assert records.is_record(value) is claims
