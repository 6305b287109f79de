# SPDX-License-Identifier: Apache-2.0
"""Catalogue P: what a token holds, once it is open."""

import json
from collections.abc import Callable, Iterator

from sealpass.bench.qualification.cases.case import FAILS, OPENS, Case, Make, refused
from sealpass.bench.qualification.device import Subject
from sealpass.core.errors import RejectReason

_JSON = "RFC 8259 §4, §8.1; RFC 7493 §2"
_TEXT = "RFC 8265 §4.2: never changed, never trimmed"


def cases(subject: Subject) -> Iterator[Case]:
    """The cases of this part for a key under a profile."""
    yield from _passwords()
    yield from _broken()
    exact = subject.jwe_profile.exact_payload
    yield Case(
        "P7",
        "an extra member beside the password" + ("" if exact else ", which the profile allows"),
        "the contract: payload of the profile",
        FAILS if exact else OPENS,
        lambda flow: flow.token(payload=flow.pad(json.dumps({"password": flow.password, "note": 1}).encode())),
    )
    yield Case(
        "P8",
        "payload not padded to 64 bytes" + ("" if exact else ", which the profile allows"),
        "RFC 7516 §11; the contract: payload of the profile",
        FAILS if exact else OPENS,
        lambda flow: flow.token(payload=flow.payload().rstrip()),
    )


def _passwords() -> Iterator[Case]:
    composed = "Zu\u0308rich-A\u030a"
    texts: tuple[tuple[str, str, str], ...] = (
        ("P4a", "umlauts, composed (NFC)", "Z\u00fcrich-\u00c5"),
        ("P4b", "umlauts, decomposed (NFD)", composed),
        ("P4c", "Turkish dotless and dotted i", "\u0131\u0130iI"),
        ("P4d", "full-width letters", "\uff50\uff41\uff53\uff53"),
        ("P4e", "an emoji joined by ZWJ", "\U0001f469\u200d\U0001f4bb"),
        ("P4f", "right-to-left text with a direction mark", "\u05e1\u05d9\u05e1\u05de\u05d4\u200f1"),
        ("P5a", "spaces in front and behind", "  leading and trailing  "),
        ("P5b", "a NUL inside", "before\0after"),
        ("P5c", "control characters", "\x01\t\r\n\x1f\x7f"),
        ("P5d", "one character", "x"),
        ("P5e", "nothing at all", ""),
        ("P5f", "quotes and backslashes", '"\\/\u2028{}'),
    )
    for name, title, password in texts:
        yield Case(name, f"a password of {title}", _TEXT, OPENS, lambda flow: flow.token(), password=password)
    for letter, size in zip("abcde", (64, 72, 73, 128, 4096), strict=True):
        yield Case(
            f"P6{letter}",
            f"a password of {size} bytes",
            "NIST SP 800-63B-4 §3.1.1.2: no truncation",
            OPENS,
            lambda flow: flow.token(),
            password="".join(chr(33 + position % 90) for position in range(size)),
        )
    yield Case(
        "P6f",
        "a password of 1 MiB",
        "the contract: tokens of at most 8 KiB",
        refused(RejectReason.SIZE),
        lambda flow: flow.token(),
        password="x" * 1_048_576,
    )


def _broken() -> Iterator[Case]:
    payloads: tuple[tuple[str, str, Callable[[str], bytes]], ...] = (
        ("P1a", "password twice", lambda password: b'{"password":"other","password":%s}' % _quoted(password)),
        (
            "P1b",
            "password twice, once escaped",
            lambda password: b'{"password":%s,"p\\u0061ssword":"other"}' % _quoted(password),
        ),
        ("P2a", "password is a number", lambda _password: b'{"password":12345678}'),
        ("P2b", "password is null", lambda _password: b'{"password":null}'),
        ("P2c", "password is an object", lambda password: b'{"password":{"password":%s}}' % _quoted(password)),
        ("P2d", "password is an array", lambda password: b'{"password":[%s]}' % _quoted(password)),
        ("P2e", "password is missing", lambda _password: b"{}"),
        ("P2f", "the password alone, as a JSON string", _quoted),
        ("P2g", "the password alone, not JSON", lambda password: password.encode("utf-8")),
        ("P2h", "an array around the object", lambda password: b'[{"password":%s}]' % _quoted(password)),
        ("P2i", "nothing but padding", lambda _password: b""),
        ("P2j", "the member in another case", lambda password: b'{"Password":%s}' % _quoted(password)),
        ("P3a", "invalid UTF-8", lambda _password: b'{"password":"secret\xff1"}'),
        ("P3b", "overlong UTF-8", lambda _password: b'{"password":"secret\xc0\xaf"}'),
        ("P3c", "a byte order mark", lambda password: b"\xef\xbb\xbf" + b'{"password":%s}' % _quoted(password)),
        ("P3d", "UTF-16", lambda password: json.dumps({"password": password}).encode("utf-16")),
        ("P3e", "a lone surrogate, escaped", lambda _password: b'{"password":"secret\\ud800"}'),
        ("P3f", "a lone surrogate, as UTF-8 octets", lambda _password: b'{"password":"secret\xed\xa0\x80"}'),
        ("P9a", "arrays nested 2000 deep", lambda _password: b"[" * 2000 + b"]" * 2000),
        ("P9b", "a JSON text that does not end", lambda _password: b'{"password":"secret'),
        ("P9c", "two JSON texts", lambda password: b'{"password":%s}{}' % _quoted(password)),
    )
    for name, title, write in payloads:
        yield Case(name, f"payload: {title}", _JSON, FAILS, _written(write))


def _written(write: Callable[[str], bytes]) -> Make:
    return lambda flow: flow.token(payload=flow.pad(write(flow.password)))


def _quoted(password: str) -> bytes:
    return json.dumps(password).encode("ascii")
