# SPDX-License-Identifier: Apache-2.0
import base64
import contextlib
import hashlib
from typing import Any

import pytest

from sealpass.core import phc
from sealpass.core.argon2_hash import Argon2Ceilings, hash_password
from sealpass.core.errors import ConfigError, MissingDependency, RecordProblem, RecordRefused
from sealpass.core.legacy_hashes import LegacyArgon2id, LegacyHash, LegacyPbkdf2, LegacySaltedSha256, LegacyScrypt
from sealpass.core.passwords import Passwords, Verification
from sealpass.service import legacy_hashes
from sealpass.service.legacy_hashes import LEGACY_HASHES, LegacyBcrypt, legacy_hash_named
from tests.support.sealing import CHEAP, CountedKey, MemoryRing
from tests.unit.test_secrecy import told_by

SUBJECT = "8a6e0804"
BCRYPT_72 = "$2b$04$GHb6de.McPBDL09NoRkCw.85bNUVvXHfNRfwCb0gMVtXyZgINXM8u"
"""Of 72 times the letter x."""
SALT, DIGEST = bytes(range(32)), hashlib.sha256(bytes(range(32)) + "Pässwort".encode()).digest()


def _phc(head: str, salt: bytes, digest: str) -> str:
    return f"{head}${phc.encode(salt)}${phc.encode(bytes.fromhex(digest))}"


# Values that others computed: the sources stand beside them.
KNOWN: list[tuple[str, LegacyHash, str, str]] = [
    # crypt_blowfish 1.3, wrapper.c
    ("2a", LegacyBcrypt(), "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("2b", LegacyBcrypt(), "U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("2y", LegacyBcrypt(), "U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("72 bytes", LegacyBcrypt(), "x" * 72, BCRYPT_72),
    # RFC 7914 section 12
    (
        "scrypt",
        LegacyScrypt(),
        "pleaseletmein",
        _phc(
            "$scrypt$ln=14,r=8,p=1",
            b"SodiumChloride",
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
        ),
    ),
    (
        "scrypt, 16 lanes",
        LegacyScrypt(max_lanes=16),
        "password",
        _phc(
            "$scrypt$ln=10,r=8,p=16",
            b"NaCl",
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
        ),
    ),
    # RFC 6070, and RFC 7914 section 11
    (
        "pbkdf2-sha1",
        LegacyPbkdf2(),
        "password",
        _phc("$pbkdf2-sha1$i=4096,l=20", b"salt", "4b007901b765489abead49d926f721d065a429c1"),
    ),
    ("pbkdf2", LegacyPbkdf2(), "password", _phc("$pbkdf2$4096", b"salt", "4b007901b765489abead49d926f721d065a429c1")),
    (
        "pbkdf2-sha256",
        LegacyPbkdf2(),
        "passwd",
        _phc(
            "$pbkdf2-sha256$i=1",
            b"salt",
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
            "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
        ),
    ),
    # The documentation of passlib, and the tests of Django 1.5
    (
        "passlib",
        LegacyPbkdf2(),
        "password",
        "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ",
    ),
    ("django", LegacyPbkdf2(), "lètmein", "pbkdf2_sha256$10000$seasalt$CWWFdHOWwPnki7HvkcqN9iA2T3KLW1cf2uZ5kvArtVY="),
    # Airlock IAM's plugins "SHA256 Base64" and "SHA256 Hex": salt|SHA256(salt|password)
    ("base64", LegacySaltedSha256(), "Pässwort", base64.b64encode(SALT + DIGEST).decode()),
    ("hex", LegacySaltedSha256("hex"), "Pässwort", (SALT + DIGEST).hex()),
    ("HEX", LegacySaltedSha256("hex"), "Pässwort", (SALT + DIGEST).hex().upper()),
    ("salt last", LegacySaltedSha256(salt_first=False), "Pässwort", base64.b64encode(DIGEST + SALT).decode()),
    ("hex, salt last", LegacySaltedSha256("hex", salt_first=False), "Pässwort", (DIGEST + SALT).hex()),
    ("argon2id", LegacyArgon2id(), "Pässwort", hash_password("Pässwort".encode(), CHEAP)),
]
EACH = pytest.mark.parametrize(("kind", "password", "value"), [one[1:] for one in KNOWN], ids=[one[0] for one in KNOWN])


def passwords(*kinds: LegacyHash) -> Passwords:
    """Passwords that take these forms."""
    return Passwords(MemoryRing(CountedKey()), hashing=CHEAP, legacy=kinds)


def problem_of(kind: LegacyHash, value: str) -> RecordProblem:
    """What verifying says about it, without quoting it."""
    with pytest.raises(RecordRefused) as caught:
        kind.verify(value, b"secret")
    assert value[-20:] not in told_by(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, caught.value.__context__ is not None)
    return caught.value.problem


@EACH
def test_a_legacy_value_verifies_and_is_due_for_a_record(kind: LegacyHash, password: str, value: str) -> None:
    """With its own password it matches and says so; with another one it does not."""
    service = passwords(kind)
    assert service.verify(value, password, SUBJECT) == Verification(matches=True, needs_rehash=True)
    for wrong in (password + "x", password[:-1], ""):
        found = service.verify(value, wrong, SUBJECT)
        assert not found
        assert not found.needs_rehash


@EACH
def test_a_form_must_be_asked_for(kind: LegacyHash, password: str, value: str) -> None:
    """By default an unsealed value verifies nothing: whoever writes to the table could put one there."""
    assert kind.recognises(value)
    with pytest.raises(RecordRefused) as caught:
        passwords().verify(value, password, SUBJECT)
    assert caught.value.problem is RecordProblem.FORM


@EACH
def test_no_edit_of_a_value_matches(kind: LegacyHash, password: str, value: str) -> None:
    """Characters of the hash changed: refused, or another hash. Costs stay as they are."""
    service = passwords(kind)
    first = value.rindex("$") + 1 if "$" in value else 0
    for position in range(first, len(value), 7):
        other = "A" if value[position] not in "Aa" else "b"
        with contextlib.suppress(RecordRefused):
            assert not service.verify(value[:position] + other + value[position + 1 :], password, SUBJECT)


def test_forms_do_not_take_each_other_for_their_own() -> None:
    """A value goes to the form that wrote it; only where the salt stands cannot be seen."""
    for _, kind, _, value in KNOWN:
        for _, other, _, _ in KNOWN:
            assert other.recognises(value) is (
                type(other) is type(kind)
                and (not isinstance(kind, LegacySaltedSha256) or kind.encoding == getattr(other, "encoding", None))
            )


def test_several_forms_of_one_look_are_all_tried() -> None:
    """A table with both orders of salt and hash verifies."""
    service = passwords(LegacySaltedSha256(salt_first=False), LegacySaltedSha256())
    for octets in (SALT + DIGEST, DIGEST + SALT):
        assert service.verify(base64.b64encode(octets).decode(), "Pässwort", SUBJECT)


# -- bcrypt -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["x" * 73, "x" * 72 + "\0", "ü" * 37, "x\0" + "y" * 10], ids=len)
def test_bcrypt_refuses_what_it_would_cut_off(password: str) -> None:
    """Explicitly: neither a match by the first 72 bytes, nor a plain wrong password."""
    found = passwords(LegacyBcrypt()).verify(BCRYPT_72, password, SUBJECT)
    assert not found
    assert found.refusal is not None
    assert "bcrypt" in found.refusal


def test_a_refused_password_costs_what_any_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length does not tell, by the time of the answer, that bcrypt is behind it."""
    calls: list[bytes] = []
    check = LegacyBcrypt.verify

    def watched(self: LegacyBcrypt, value: str, password: bytes) -> bool:
        calls.append(password)
        return check(self, value, password)

    monkeypatch.setattr(LegacyBcrypt, "verify", watched)
    passwords(LegacyBcrypt()).verify(BCRYPT_72, "x" * 73, SUBJECT)
    assert calls == [b""]


def test_a_refused_password_is_not_the_empty_one() -> None:
    """A stand-in is hashed in its place, and can match: the answer is a refusal all the same."""
    import bcrypt

    value = bcrypt.hashpw(b"", bcrypt.gensalt(4)).decode()
    service = passwords(LegacyBcrypt())
    assert service.verify(value, "", SUBJECT)
    assert not service.verify(value, "x" * 73, SUBJECT)


@pytest.mark.parametrize(
    "value",
    ["$2x$" + BCRYPT_72[4:], "$2$" + BCRYPT_72[4:], BCRYPT_72[:-1], BCRYPT_72 + "x", BCRYPT_72.replace("$04", "$03")],
)
def test_what_is_no_bcrypt(value: str) -> None:
    """2x marks a broken implementation; costs below 4 do not exist."""
    assert not LegacyBcrypt().recognises(value)


def test_without_its_package_bcrypt_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """At configuration, not at a login."""
    monkeypatch.setattr(legacy_hashes, "_bcrypt", None)
    with pytest.raises(MissingDependency) as caught:
        LegacyBcrypt()
    assert caught.value.extra == "legacy"


# -- ceilings, and values that are no hashes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (LegacyBcrypt(), BCRYPT_72.replace("$04", "$16")),
        (LegacyBcrypt(max_cost=4), BCRYPT_72.replace("$04", "$05")),
        (LegacyScrypt(), _phc("$scrypt$ln=19,r=8,p=1", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=14,r=8,p=9", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=14,r=4294967295,p=1", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=9999999999,r=9999999999,p=1", SALT, DIGEST.hex())),
        (LegacyPbkdf2(), _phc("$pbkdf2-sha256$i=4000001", SALT, DIGEST.hex())),
        (LegacyPbkdf2(max_iterations=9), _phc("$pbkdf2-sha256$10", SALT, DIGEST.hex())),
        (LegacyPbkdf2(max_iterations=9), "pbkdf2_sha256$10$salt$" + base64.b64encode(DIGEST).decode()),
        (LegacyArgon2id(Argon2Ceilings(64, 2, 2)), _phc("$argon2id$v=19$m=65,t=1,p=1", SALT, DIGEST.hex())),
    ],
)
def test_a_stored_cost_is_not_obeyed_beyond_its_ceiling(
    kind: LegacyHash, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by its numbers, before anything is computed."""

    def computed(*_arguments: object, **_options: object) -> Any:
        pytest.fail("it was computed")

    for name in ("scrypt", "pbkdf2_hmac"):
        monkeypatch.setattr(hashlib, name, computed)
    assert kind.recognises(value)
    assert problem_of(kind, value) is RecordProblem.COST


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (LegacyScrypt(), "$scrypt$"),
        (LegacyScrypt(), _phc("$scrypt$ln=014,r=8,p=1", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=0,r=8,p=1", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=16,r=1,p=1", SALT, DIGEST.hex())),
        (LegacyScrypt(), _phc("$scrypt$ln=4,r=8,p=1", SALT, "00" * 15)),
        (LegacyScrypt(), _phc("$scrypt$ln=4,r=8,p=1", SALT, "00" * 65)),
        (LegacyScrypt(), _phc("$scrypt$ln=4,r=8,p=1", SALT, DIGEST.hex()) + "="),
        (LegacyScrypt(), "$scrypt$ln=4,r=8,p=1$AB$" + phc.encode(DIGEST)),
        (LegacyPbkdf2(), "$pbkdf2-md5$1$c2FsdA$" + phc.encode(DIGEST)),
        (LegacyPbkdf2(), _phc("$pbkdf2-sha256$0", SALT, DIGEST.hex())),
        (LegacyPbkdf2(), _phc("$pbkdf2-sha256$i=1,l=31", SALT, DIGEST.hex())),
        (LegacyPbkdf2(), _phc("$pbkdf2-sha256$1", SALT, "00" * 15)),
        (LegacyPbkdf2(), "pbkdf2_sha512$1$salt$" + base64.b64encode(DIGEST).decode()),
        (LegacyPbkdf2(), "pbkdf2_sha256$1$$" + base64.b64encode(DIGEST).decode()),
        (LegacyPbkdf2(), "pbkdf2_sha256$1$sa lt$" + base64.b64encode(DIGEST).decode()),
        (LegacyArgon2id(), "$argon2id$"),
    ],
)
def test_what_only_looks_like_a_legacy_value(kind: LegacyHash, value: str) -> None:
    """It begins as one, and is refused: damage is no wrong password."""
    assert kind.recognises(value)
    assert problem_of(kind, value) is RecordProblem.CONTENT


@pytest.mark.parametrize("value", ["", "A" * 87, "A" * 88, "A" * 85 + "===", "0" * 127, "0" * 126 + "g0", "aA" * 64])
def test_what_is_no_salted_sha256(value: str) -> None:
    """Exactly 64 bytes, in base64 with its padding or in hex of one case."""
    assert not LegacySaltedSha256().recognises(value)
    assert not LegacySaltedSha256("hex").recognises(value)


def test_a_very_long_value_is_refused_unread() -> None:
    """No column of hashes holds one."""
    with pytest.raises(RecordRefused) as caught:
        passwords(LegacyPbkdf2()).verify("pbkdf2_" + "a" * 1024, "x", SUBJECT)
    assert caught.value.problem is RecordProblem.FORM


def test_a_record_is_never_a_legacy_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the forms would say: what claims to be a record is opened or refused."""
    monkeypatch.setattr(LegacyArgon2id, "recognises", lambda *_: True)
    monkeypatch.setattr(LegacyArgon2id, "verify", lambda *_: True)
    service = passwords(LegacyArgon2id())
    assert service.verify("anything", "x", SUBJECT)
    with pytest.raises(RecordRefused):
        service.verify("$sealpass$v=2$anything", "x", SUBJECT)


@pytest.mark.parametrize("name", LEGACY_HASHES)
def test_forms_by_name(name: str) -> None:
    """For configurations and commands; each recognises one of the known values."""
    kind = legacy_hash_named(name)
    assert any(kind.recognises(value) for _, _, _, value in KNOWN)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A slip in a configuration is told with what there is."""
    with pytest.raises(ConfigError) as caught:
        legacy_hash_named("md5")
    assert "bcrypt" in caught.value.hint
