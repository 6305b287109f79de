# SPDX-License-Identifier: Apache-2.0
"""Catalogue E6, C, P, R4 and V, the part of ``airlock-kms``: how a message is written, and what it holds."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import FAILS, OPENS, Case, Make, flip, refused
from sealpass.bench.qualification.cases.content import AUTHENTICATED
from sealpass.bench.qualification.cases.protocol import by_sealpass
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import KmsFlow
from sealpass.core.errors import RejectReason

_FORM = refused(RejectReason.FORM)
_LENGTH = refused(RejectReason.LENGTH)
_JSON = "RFC 8259 §4, §8.1; RFC 7493 §2"
_BASE64 = "RFC 4648 §3.2 to §3.5, §4"
_PLAIN = "the contract: never a fallback to plain text"
Members = dict[str, Any]


def cases(_subject: Subject) -> Iterator[Case[KmsFlow]]:
    """The cases of this part for a key under a profile."""
    yield from _good_forms()
    yield from _encodings()
    yield from _objects()
    yield from _texts()
    yield from _tags()
    yield from _passwords()


def _members(change: Callable[[Members], Any]) -> Make[KmsFlow]:
    """The message whose members are what ``change`` makes of the right ones."""
    return lambda flow: json.dumps(change(_right(flow)))


def _right(flow: KmsFlow) -> Members:
    return dict(flow.parts().members())


def _with(name: str, change: Callable[[str], Any]) -> Make[KmsFlow]:
    """The message with one member changed."""
    return _members(lambda members: members | {name: change(members[name])})


def _good_forms() -> Iterator[Case[KmsFlow]]:
    forms: tuple[tuple[str, Make[KmsFlow]], ...] = (
        ("its members in another order", _members(lambda members: dict(reversed(members.items())))),
        ("spaces and line breaks between its members", lambda flow: f"\r\n{json.dumps(_right(flow), indent=2)}\n"),
        ("every slash escaped, as some JSON writers do", lambda flow: json.dumps(_right(flow)).replace("/", "\\/")),
    )
    yield Case("V2", "a valid message made by 'sealpass encrypt'", "RFC 8017 §7.1.1; RFC 7518 §5.3", OPENS, by_sealpass)
    for number, (what, make) in enumerate(forms, start=3):
        yield Case(f"V{number}", f"a valid message with {what}", "RFC 8259 §2, §4, §7", OPENS, make)


def _encodings() -> Iterator[Case[KmsFlow]]:
    changes: tuple[tuple[str, Make[KmsFlow]], ...] = (
        ("password in the base64url alphabet", partial(_base64url, name="password")),
        ("key in the base64url alphabet", partial(_base64url, name="key")),
        ("iv in the base64url alphabet", partial(_base64url, name="iv")),
        ("password without its padding", _with("password", lambda text: text.rstrip("="))),
        ("iv with padding that it does not need", _with("iv", lambda text: text + "====")),
        ("password with spare bits that are not zero", _with("password", _spare_bits)),
        ("key with a line break, as MIME writes it", _with("key", lambda text: f"{text[:76]}\r\n{text[76:]}")),
        ("iv with a space behind it", _with("iv", lambda text: text + " ")),
        ("password with a character outside ASCII", _with("password", lambda text: text[:-1] + "\uff1d")),
    )
    for letter, (what, make) in zip("abcdefghi", changes, strict=True):
        yield Case(f"E6{letter}", what, _BASE64, _FORM, make)


def _base64url(flow: KmsFlow, name: str) -> str:
    while True:  # nearly every key has '+' or '/', one iv of three
        members = _right(flow)
        rewritten = members[name].replace("+", "-").replace("/", "_")
        if rewritten != members[name]:
            return json.dumps(members | {name: rewritten})


def _spare_bits(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    # 32 bytes end in one '=' and leave two spare bits in the character before it: the next character has the same rest.
    return text[:-2] + alphabet[alphabet.index(text[-2]) + 1] + "="


def _objects() -> Iterator[Case[KmsFlow]]:
    changes: tuple[tuple[str, Make[KmsFlow]], ...] = (
        ("key missing", _members(lambda members: _without(members, "key"))),
        ("iv missing", _members(lambda members: _without(members, "iv"))),
        ("password missing", _members(lambda members: _without(members, "password"))),
        ("a fourth member", lambda flow: json.dumps(_right(flow) | {"nonce": flow.information.nonce})),
        ("password in another case", _members(lambda members: _without(members, "password") | {"Password": "AA=="})),
        ("iv null", _with("iv", lambda _text: None)),
        ("key an array", _with("key", lambda text: [text])),
        ("password twice", partial(_twice, spelling="password")),
        ("password twice, once escaped", partial(_twice, spelling="p\\u0061ssword")),
        ("an array around the object", _members(lambda members: [members])),
        ("arrays nested 400 deep", partial(_nested, depth=400)),
    )
    for letter, (what, make) in zip("jklmnopqrst", changes, strict=True):
        yield Case(f"E6{letter}", f"message with {what}" if letter in "jklmnopq" else what, _JSON, _FORM, make)


def _without(members: Members, name: str) -> Members:
    return {other: value for other, value in members.items() if other != name}


def _twice(flow: KmsFlow, spelling: str) -> str:
    return flow.token()[:-1] + f',"{spelling}":"AA=="' + "}"


def _nested(flow: KmsFlow, depth: int) -> str:
    return flow.token()[:-1] + f',"more":{"[" * depth}{"]" * depth}' + "}"


def _texts() -> Iterator[Case[KmsFlow]]:
    changes: tuple[tuple[str, Make[KmsFlow]], ...] = (
        ("the object itself, not as text (JSON encoded once)", _right),
        ("the text as a JSON string (JSON encoded three times)", lambda flow: json.dumps(flow.token())),
        ("message followed by another object", lambda flow: flow.token() + "{}"),
        ("message with a NUL behind it", lambda flow: flow.token().encode("ascii") + b"\0"),
        ("message behind a byte order mark", lambda flow: b"\xef\xbb\xbf" + flow.token().encode("ascii")),
        ("a compact JWE", _compact_jwe),
    )
    for letter, (what, make) in zip("uvwxyz", changes, strict=True):
        yield Case(f"E6{letter}", what, _JSON, _FORM, make)


def _compact_jwe(flow: KmsFlow) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    header = {"alg": flow.information.alg, "enc": flow.information.enc, "nonce": flow.information.nonce}
    return crafting.seal(crafting.write_header(header), flow.encrypt_key(cek), cek, flow.payload()).token()


def _tags() -> Iterator[Case[KmsFlow]]:
    # The tag stands behind the ciphertext, and no length tells the two apart: the octets before become the tag.
    for letter, size in zip("bcdef", (1, 4, 8, 12, 15), strict=True):
        yield Case(
            f"C1{letter}", f"authentication tag cut to {size} bytes", "RFC 7518 §5.3", FAILS, partial(_tag, size=size)
        )
    yield Case("C1g", "authentication tag with a byte too many", "RFC 7518 §5.3", FAILS, partial(_tag, size=17))
    yield Case(
        "C1h",
        "an empty password with its tag cut to 15 bytes: less than a tag",
        "RFC 7518 §5.3",
        _LENGTH,
        partial(_tag, size=15),
        password="",
    )
    yield Case("C1i", "password of no bytes at all", "RFC 7518 §5.3", _LENGTH, _with("password", lambda _text: ""))
    yield Case(
        "C3d",
        "last octet of the ciphertext changed",
        AUTHENTICATED,
        FAILS,
        lambda flow: _last_octet_changed(flow.parts()),
    )


def _tag(flow: KmsFlow, size: int) -> str:
    parts = flow.parts()
    return parts.changed(tag=(parts.tag + b"\0")[:size]).token()


def _last_octet_changed(parts: crafting.KmsParts) -> str:
    return parts.changed(ciphertext=flip(parts.ciphertext, -1)).token()


def _passwords() -> Iterator[Case[KmsFlow]]:
    octets = (
        ("P3a", "invalid UTF-8", b"secret\xff1"),
        ("P3b", "overlong UTF-8", b"secret\xc0\xaf"),
        ("P3d", "UTF-16", "secret".encode("utf-16")),
        ("P3f", "a lone surrogate, as UTF-8 octets", b"secret\xed\xa0\x80"),
    )
    for name, what, payload in octets:
        yield Case(name, f"a password of {what}", _JSON, FAILS, partial(KmsFlow.token, payload=payload))
    yield Case(
        "P3c",
        "a password that begins with a byte order mark, which is a part of it",
        "RFC 8265 §4.2: never changed, never trimmed",
        OPENS,
        KmsFlow.token,
        password="\ufeffsecret",  # noqa: S106 - no secret
    )
    yield Case("R4b", "the password, not encrypted, where the encrypted one belongs", _PLAIN, FAILS, _not_encrypted)
    yield Case(
        "R4c", "password alone, not encrypted", _PLAIN, _FORM, lambda flow: json.dumps({"password": flow.password})
    )


def _alone(flow: KmsFlow) -> str:
    return json.dumps({"password": flow.password})


def _not_encrypted(flow: KmsFlow) -> str:
    # As long as a tag at least, or its length alone would be wrong.
    parts = flow.parts()
    return parts.changed(ciphertext=b"", tag=flow.payload().ljust(len(parts.tag), b" ")).token()
