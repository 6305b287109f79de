# SPDX-License-Identifier: Apache-2.0
"""Catalogue P, the part of compact JWE: the JSON that a token holds, once it is open."""

import json
from collections.abc import Callable, Iterator

from sealpass.bench.qualification.cases.case import FAILS, OPENS, Case, Make
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import JweFlow

_JSON = "RFC 8259 §4, §8.1; RFC 7493 §2"


def cases(subject: Subject) -> Iterator[Case[JweFlow]]:
    """The cases of this part for a key under a profile."""
    yield from _broken()
    exact = JweFlow.profile_of(subject).exact_payload
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


def _broken() -> Iterator[Case[JweFlow]]:
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


def _written(write: Callable[[str], bytes]) -> Make[JweFlow]:
    return lambda flow: flow.token(payload=flow.pad(write(flow.password)))


def _quoted(password: str) -> bytes:
    return json.dumps(password).encode("ascii")
