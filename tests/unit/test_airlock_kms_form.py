# SPDX-License-Identifier: Apache-2.0
"""The message of profile airlock-kms: what has not its form, and what the client's half writes."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.deadline import Deadline
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import BackendUnavailable, ConfigError, RejectReason, TokenRejected
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.kms_profile import AIRLOCK_KMS, NonceForm, additional_data
from tests.support.contract import PASSWORD
from tests.support.kms_messages import MEMBERS, KmsFlow, changed, join, split

Change = Callable[[str], Any]


@pytest.fixture
def kms_flow(software_ring: KeyRing) -> KmsFlow:
    """A login under the default settings."""
    return KmsFlow(software_ring)


def refused(flow: KmsFlow, message: Any) -> RejectReason:
    """Why the message was rejected; fails where it was not."""
    with pytest.raises(TokenRejected) as caught:
        flow.unwrap(message)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value.reason


def _member(name: str, change: Callable[[str], Any]) -> Change:
    """Change the text of one member."""
    return lambda message: json.dumps({**json.loads(message), name: change(json.loads(message)[name])})


def _octets(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the octets of one member."""
    return lambda message: changed(message, name, change)


def _without(name: str) -> Change:
    """Leave one member out."""
    return lambda message: join({other: octets for other, octets in split(message).items() if other != name})


FORMS: list[tuple[str, RejectReason, Change]] = [
    ("plain password", RejectReason.FORM, lambda _: "hunter2"),
    ("plain password, not ASCII", RejectReason.FORM, lambda _: "hünter2"),
    ("half a surrogate pair", RejectReason.FORM, lambda _: "\ud800"),
    ("empty", RejectReason.FORM, lambda _: ""),
    ("object in place of text", RejectReason.FORM, json.loads),
    ("null", RejectReason.FORM, lambda _: None),
    ("bytearray", RejectReason.FORM, lambda message: bytearray(message.encode())),
    ("encoded three times", RejectReason.FORM, json.dumps),
    ("array", RejectReason.FORM, lambda message: f"[{message}]"),
    ("two objects", RejectReason.FORM, lambda message: message + message),
    ("cut", RejectReason.FORM, lambda message: message[:-1]),
    ("byte order mark", RejectReason.FORM, lambda message: "\ufeff" + message),
    ("byte order mark in bytes", RejectReason.FORM, lambda message: b"\xef\xbb\xbf" + message.encode()),
    ("UTF-16", RejectReason.FORM, lambda message: message.encode("utf-16-le")),
    ("compact JWE", RejectReason.FORM, lambda _: "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.AQ.AQ.AQ.AQ"),
    ("depth bomb", RejectReason.FORM, lambda _: "[" * 8000),
    ("number bomb", RejectReason.FORM, lambda _: '{"password":' + "9" * 8000 + "}"),
    ("extra member", RejectReason.FORM, lambda message: json.dumps({**json.loads(message), "nonce": "x"})),
    ("repeated member", RejectReason.FORM, lambda message: message[:-1] + ',"iv":"AAAAAAAAAAAAAAAA"}'),
    ("other case", RejectReason.FORM, lambda message: message.replace('"iv"', '"IV"')),
    *[(f"no {name}", RejectReason.FORM, _without(name)) for name in MEMBERS],
    *[(f"{name} is a number", RejectReason.FORM, _member(name, lambda _: 5)) for name in MEMBERS],
    *[(f"{name} is null", RejectReason.FORM, _member(name, lambda _: None)) for name in MEMBERS],
    *[(f"{name} is a list", RejectReason.FORM, _member(name, lambda text: [text])) for name in MEMBERS],
    *[(f"{name} ends in a newline", RejectReason.FORM, _member(name, lambda text: text + "\n")) for name in MEMBERS],
    *[(f"{name} with a space", RejectReason.FORM, _member(name, lambda t: t[:4] + " " + t[4:])) for name in MEMBERS],
    *[(f"{name} with more padding", RejectReason.FORM, _member(name, lambda text: text + "=")) for name in MEMBERS],
    *[(f"{name} beyond ASCII", RejectReason.FORM, _member(name, lambda text: text[:-1] + "é")) for name in MEMBERS],
    *[(f"{name} in base64url", RejectReason.FORM, _member(name, lambda text: "-_" + text[2:])) for name in MEMBERS],
    ("key without its padding", RejectReason.FORM, _member("key", lambda text: text.rstrip("="))),
    ("key with spare bits", RejectReason.FORM, _member("key", lambda text: text[:-3] + "/==")),
    ("iv empty", RejectReason.LENGTH, _octets("iv", lambda _: b"")),
    ("iv of 11 bytes", RejectReason.LENGTH, _octets("iv", lambda iv: iv[:-1])),
    ("iv of 13 bytes", RejectReason.LENGTH, _octets("iv", lambda iv: iv + b"\0")),
    ("iv of 16 bytes", RejectReason.LENGTH, _octets("iv", lambda iv: iv + bytes(4))),
    ("key empty", RejectReason.LENGTH, _octets("key", lambda _: b"")),
    ("password empty", RejectReason.LENGTH, _octets("password", lambda _: b"")),
    ("password shorter than a tag", RejectReason.LENGTH, _octets("password", lambda sealed: sealed[:15])),
    ("too long", RejectReason.SIZE, lambda message: message + " " * MAX_TOKEN_BYTES),
    ("too long in bytes", RejectReason.SIZE, lambda message: (message + " " * MAX_TOKEN_BYTES).encode()),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "change"), [case[1:] for case in FORMS], ids=[case[0] for case in FORMS])
def test_what_has_not_the_form_is_refused_and_keeps_the_nonce(
    kms_flow: KmsFlow, reason: RejectReason, change: Change
) -> None:
    """Cases E6, C1, C2, E5, P9 and R4: decided from the message alone, and never opened as anything else."""
    message = kms_flow.message(kms_flow.announce())
    assert refused(kms_flow, change(message)) is reason
    assert kms_flow.unwrap(message) == PASSWORD


def test_the_longest_message_is_read(kms_flow: KmsFlow) -> None:
    """At the limit is not over it, spaces included."""
    message = kms_flow.message(kms_flow.announce())
    assert kms_flow.unwrap(message.ljust(MAX_TOKEN_BYTES)) == PASSWORD
    assert refused(kms_flow, message.ljust(MAX_TOKEN_BYTES + 1)) is RejectReason.SIZE


def test_late_start_keeps_the_nonce(kms_flow: KmsFlow) -> None:
    """A deadline that passed before the work began costs the sender nothing."""
    message = kms_flow.message(kms_flow.announce())
    with pytest.raises(BackendUnavailable):
        kms_flow.unwrap(message, deadline=Deadline.after(0))
    assert kms_flow.unwrap(message) == PASSWORD


@pytest.mark.parametrize("bits", [0, 192, 512, -128])
def test_aes_keys_have_128_or_256_bits(bits: int) -> None:
    """AES-192 is no size that WebCrypto has everywhere, and Airlock does not name it."""
    with pytest.raises(ConfigError, match="128 or 256"):
        AIRLOCK_KMS.with_key_bits(bits)


def test_forms_of_the_nonce_have_names() -> None:
    """By value or by member; another name is answered with the right ones."""
    assert AIRLOCK_KMS.authenticating("bytes") == AIRLOCK_KMS.authenticating(NonceForm.BYTES)
    with pytest.raises(ConfigError, match="text or bytes"):
        AIRLOCK_KMS.authenticating("octets")


def test_no_pointer() -> None:
    """The password is the whole plaintext."""
    with pytest.raises(ConfigError, match="pointer"):
        AIRLOCK_KMS.reading("/password")


def test_nonce_looks_as_airlock_writes_it() -> None:
    """32 bytes in the base64url alphabet, and yet with ``=``."""
    nonces = {AIRLOCK_KMS.new_nonce() for _ in range(50)}
    assert len(nonces) == 50
    assert {(len(nonce), nonce[-1], len(base64.urlsafe_b64decode(nonce))) for nonce in nonces} == {(44, "=", 32)}
    assert set("-_") & set("".join(nonces))
    assert not set("+/") & set("".join(nonces))


def test_additional_data_of_a_nonce() -> None:
    """The characters as they are, or what they encode in either alphabet."""
    nonce = "p2oE-RbbU1cpy710AeVcdImgwfIXDIg8kMtxXqq2sDw="  # of Airlock's manual
    assert additional_data(nonce, NonceForm.TEXT) == nonce.encode()
    octets = additional_data(nonce, NonceForm.BYTES)
    assert (len(octets), octets) == (32, base64.urlsafe_b64decode(nonce))
    assert additional_data("+/+/", NonceForm.BYTES) == additional_data("-_-_", NonceForm.BYTES) == b"\xfb\xff\xbf"


@pytest.mark.parametrize("nonce", ["n-1", "AA", "AAB=", "AA=A", "a!bcd", "AAA=\n", "é", "\ud800"])
def test_nonce_that_encodes_nothing(nonce: str) -> None:
    """A decoder that skips what it does not know would authenticate something else than the other side."""
    with pytest.raises(ConfigError, match="nonce"):
        additional_data(nonce, NonceForm.BYTES)
    if nonce.isascii():
        assert additional_data(nonce, NonceForm.TEXT) == nonce.encode()
    else:
        with pytest.raises(ConfigError, match="nonce"):
            additional_data(nonce, NonceForm.TEXT)


@pytest.mark.parametrize(("password", "says"), [("x\ud800", "Unicode"), ("x" * 6000, "too long")])
def test_password_that_no_message_can_carry(kms_flow: KmsFlow, password: str, says: str) -> None:
    """The tool says so in place of making what the server refuses."""
    with pytest.raises(ConfigError, match=says):
        encrypt_password(password, kms_flow.announce())


def test_key_and_iv_are_fresh(kms_flow: KmsFlow) -> None:
    """Case C4: the same password under the same announcement shares nothing."""
    information = kms_flow.announce()
    one, other = (split(encrypt_password(PASSWORD, information)) for _ in range(2))
    assert all(one[name] != other[name] for name in MEMBERS)
