# SPDX-License-Identifier: Apache-2.0
import base64
import random

import pytest

from sealpass.core import base64url
from tests.support import tokens

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("length", range(70))
def test_agrees_with_the_standard_library(length: int) -> None:
    """Both directions give what base64.urlsafe_b64encode gives, without its padding."""
    octets = random.Random(length).randbytes(length)  # noqa: S311 - test data
    text = base64.urlsafe_b64encode(octets).rstrip(b"=")
    assert base64url.encode(octets) == text
    assert base64url.decode(text) == octets


def test_uses_the_url_alphabet() -> None:
    """RFC 4648 section 5: '-' and '_' where base64 has '+' and '/'."""
    assert base64url.encode(b"\xfb\xff\xfe") == b"-__-"
    assert base64url.decode(b"-__-") == b"\xfb\xff\xfe"


@pytest.mark.parametrize(
    "text", [b"QQ==", b"QUI=", b"QUJDQQ==", b"QQ=", b"QUJD=", b"====", b"=", b"==", b"A===", b"Q=Q"]
)
def test_refuses_padding(text: bytes) -> None:
    """RFC 7515 section 2 wants it left out, also where it would be right in base64."""
    with pytest.raises(ValueError, match=r"."):
        base64url.decode(text)


@pytest.mark.parametrize(
    "foreign", [b"+", b"/", b" ", b"\n", b"\r", b"\t", b"\0", b".", b"!", b"\x80", b"\xff", "é".encode()]
)
@pytest.mark.parametrize("position", [0, 2, 4])
def test_refuses_foreign_characters(foreign: bytes, position: int) -> None:
    """Nothing is skipped: white space, line ends and the other alphabet are refused at any place."""
    text = b"QUJD"
    with pytest.raises(ValueError, match=r"."):
        base64url.decode(text[:position] + foreign * 4 + text[position:])


@pytest.mark.parametrize("text", [b"A", b"QUJDR", b"QUJDQUJDX"])
def test_refuses_impossible_lengths(text: bytes) -> None:
    """One character more than a multiple of four holds six bits of a byte."""
    with pytest.raises(ValueError, match="length"):
        base64url.decode(text)


@pytest.mark.parametrize(("prefix", "octets"), [(b"Q", 1), (b"QU", 2), (b"QUJDQ", 4), (b"QUJDQU", 5)])
def test_accepts_exactly_one_spelling(prefix: bytes, octets: int) -> None:
    """RFC 4648 section 3.5: of the last characters only those with zero spare bits decode."""
    accepted = []
    for last in ALPHABET:
        text = prefix + bytes((last,))
        try:
            decoded = base64url.decode(text)
        except ValueError:
            continue
        assert len(decoded) == octets
        assert base64url.encode(decoded) == text
        accepted.append(text)
    assert len(accepted) == (4 if octets % 3 == 1 else 16)


def test_the_encoder_of_the_tests_is_an_independent_one() -> None:
    """The tests' own codec, by the standard library, and ours agree on a long text."""
    octets = bytes(range(256))
    assert tokens.encode(octets).encode("ascii") == base64url.encode(octets)
    assert tokens.decode(tokens.encode(octets)) == octets
