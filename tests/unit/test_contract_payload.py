# SPDX-License-Identifier: Apache-2.0
"""The payload rules P1 to P9: what is a password, and what is DecryptionFailed."""

import json
from dataclasses import replace

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError, DecryptionFailed
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from tests.support.contract import JWE_PROFILES, Flow

ALL = pytest.mark.parametrize("profile", JWE_PROFILES.values(), ids=JWE_PROFILES)

# In both profiles, whatever the padding.
BROKEN = {
    "P1-repeated": b'{"password":"a","password":"b"}',
    "P1-repeated-same": b'{"password":"a","password":"a"}',
    "P1-repeated-escaped": b'{"password":"a","\\u0070assword":"b"}',
    "P2-number": b'{"password":5}',
    "P2-null": b'{"password":null}',
    "P2-true": b'{"password":true}',
    "P2-object": b'{"password":{"password":"a"}}',
    "P2-array": b'{"password":["a"]}',
    "P2-missing": b"{}",
    "P2-other-member": b'{"passwort":"a"}',
    "P2-other-case": b'{"Password":"a"}',
    "P2-string-on-top": b'"password"',
    "P2-array-on-top": b'[{"password":"a"}]',
    "P2-null-on-top": b"null",
    "P2-plain-text": b"hunter2",
    "P2-empty": b"",
    "P2-trailing-text": b'{"password":"a"}x',
    "P2-nul-padding": b'{"password":"a"}\0',
    "P3-invalid-utf-8": b'{"password":"\xff"}',
    "P3-overlong": b'{"password":"\xc0\x80"}',
    "P3-utf-8-surrogate": b'{"password":"\xed\xa0\x80"}',
    "P3-bom": b'\xef\xbb\xbf{"password":"a"}',
    "P3-utf-16": '{"password":"a"}'.encode("utf-16-le"),
    "P3-utf-16-bom": '{"password":"a"}'.encode("utf-16"),
    "P3-latin-1": '{"password":"ü"}'.encode("latin-1"),
    "P3-lone-surrogate": b'{"password":"\\ud83d"}',
    "P3-reversed-surrogates": b'{"password":"\\ude00\\ud83d"}',
    "P5-raw-control": b'{"password":"a\x01b"}',
    "P9-depth": b'{"password":' + b"[" * 2500 + b"]" * 2500 + b"}",
    "P9-number": b'{"password":' + b"9" * 5000 + b"}",
}


def _padded(octets: bytes) -> bytes:
    return octets + b" " * (-len(octets) % 64)


@ALL
@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN)
def test_broken_payload_has_no_password(profile: JweProfile, payload: bytes) -> None:
    """Read as None, never as an exception: the failure is the same as that of a wrong tag."""
    assert profile.read_password(_padded(payload)) is None


@ALL
@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN)
def test_broken_payload_is_the_one_failure(software_ring: KeyRing, profile: JweProfile, payload: bytes) -> None:
    """Through the whole contract: the tag is right, the answer tells nothing, the nonce is spent."""
    flow = Flow(software_ring, profile)
    information = flow.announce()
    with pytest.raises(DecryptionFailed) as caught:
        flow.unwrap(flow.token(information, payload=_padded(payload)))
    assert caught.value.args == (DecryptionFailed.TEXT,)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert flow.is_spent(information)


# P4 and P5: passed on exactly; policy and normalisation are not the contract's business.
PASSWORDS = {
    "empty": "",
    "one": "x",
    "spaces": "  a  ",
    "nul": "a\0b",
    "controls": "\x01\t\r\n\x7f\x85",
    "quotes": '"\\/',
    "nfc": "\u00e9",
    "nfd": "e\u0301",
    "turkish": "İıIi",
    "full-width": "\uff41",
    "zwj": "👩‍👩‍👧",
    "astral": "😀",
    "noncharacter": "\uffff\U0010ffff",
    "replacement": "\ufffd",
    "bom-inside": "\ufeffa",
    "rtl": "\u202eabc",
    "looks-like-json": '{"password":"x"}',
}


@ALL
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_password_is_read_exactly(profile: JweProfile, password: str, ascii_only: bool) -> None:  # noqa: FBT001
    """Whether the client escaped it or not."""
    payload = json.dumps({"password": password}, ensure_ascii=ascii_only).encode()
    assert profile.read_password(_padded(payload)) == password


@ALL
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_own_payload_is_read_back(profile: JweProfile, password: str) -> None:
    """The client half and the server half agree."""
    assert profile.read_password(profile.write_payload(password)) == password


@ALL
@pytest.mark.parametrize("size", [64, 72, 73, 128, 4096])
def test_long_passwords_pass(software_ring: KeyRing, profile: JweProfile, size: int) -> None:
    """P6: nothing is cut, also not at the 72 bytes of bcrypt."""
    flow = Flow(software_ring, profile)
    password = "x" * (size - 1) + "y"
    assert flow.unwrap(encrypt_password(password, flow.announce())) == password


@ALL
@pytest.mark.parametrize("password", ["x" * 6000, "x" * 1_000_000, "😀" * 2000])
def test_passwords_that_make_too_long_a_token_are_refused_by_the_client(
    software_ring: KeyRing, profile: JweProfile, password: str
) -> None:
    """P6: above the limit nothing is sent, and the error does not hold the password."""
    with pytest.raises(ConfigError, match="too long") as caught:
        encrypt_password(password, Flow(software_ring, profile).announce())
    assert password[:10] not in repr(caught.value)


@pytest.mark.parametrize("extra", [b'{"password":"a","user":"b"}', b'{"":"","password":"a"}'])
def test_extra_members(extra: bytes) -> None:
    """P7: sealpass takes exactly one member, Airlock ignores others."""
    assert SEALPASS.read_password(_padded(extra)) is None
    assert AIRLOCK_JWE.read_password(extra) == "a"


@pytest.mark.parametrize("length", range(56))
def test_length_hides_in_steps_of_64(length: int) -> None:
    """P8: tokens of passwords of the same step have the same length."""
    payload = SEALPASS.write_payload("x" * length)
    assert len(payload) == (64 if length <= 64 - len('{"password":""}') else 128)
    assert payload.rstrip(b" ").endswith(b'"}')


@pytest.mark.parametrize("cut", [1, 15, 63])
def test_sealpass_wants_its_padding(cut: int) -> None:
    """P8: a client that forgets it is told by every single login, not found out years later."""
    payload = SEALPASS.write_payload("hunter2")
    assert SEALPASS.read_password(payload) == "hunter2"
    assert SEALPASS.read_password(payload[:-cut]) is None
    assert SEALPASS.read_password(payload + b" " * cut) is None
    assert SEALPASS.read_password(payload + b" " * 64) == "hunter2"


def test_airlock_has_no_padding() -> None:
    """Its payload is as long as it is."""
    assert AIRLOCK_JWE.write_payload("a") == b'{"password":"a"}'


@ALL
@pytest.mark.parametrize("password", ["\ud83d", "hunter2\udc80", "\ude00\ud83d"])
def test_lone_surrogates_are_refused_without_repeating_the_password(profile: JweProfile, password: str) -> None:
    """They have no UTF-8; the codec's own error would carry the whole text along."""
    with pytest.raises(ConfigError, match="not Unicode text") as caught:
        profile.write_payload(password)
    assert caught.value.__context__ is None
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("pointer", ["/credentials/new", "", "/a~1b/0", "/password"])
def test_airlock_reads_another_pointer(software_ring: KeyRing, pointer: str) -> None:
    """Its passwordJsonPath is a matter of configuration."""
    flow = Flow(software_ring, AIRLOCK_JWE.reading(pointer))
    payload = flow.profile.write_payload("hunter2")
    assert flow.unwrap(flow.token(flow.announce(), payload=payload)) == "hunter2"


def test_pointer_reaches_into_arrays() -> None:
    """RFC 6901: a number is an index there."""
    assert AIRLOCK_JWE.reading("/p/1").read_password(b'{"p":["a","b"]}') == "b"
    assert AIRLOCK_JWE.reading("/p/2").read_password(b'{"p":["a","b"]}') is None


def test_sealpass_has_its_pointer_fixed() -> None:
    """Exactly one member, and its name is password."""
    assert SEALPASS.reading("/password") == SEALPASS
    with pytest.raises(ConfigError, match="/password"):
        SEALPASS.reading("/other")


def test_wrong_pointers_are_found_at_configuration() -> None:
    """Not at the first login."""
    with pytest.raises(ConfigError, match="JSON Pointer"):
        AIRLOCK_JWE.reading("password")


def test_variants_do_not_touch_the_original() -> None:
    """Profiles are values."""
    assert AIRLOCK_JWE.reading("/x") == replace(AIRLOCK_JWE, pointer=AIRLOCK_JWE.reading("/x").pointer)
    assert AIRLOCK_JWE.pointer.text == "/password"
