# SPDX-License-Identifier: Apache-2.0
"""Catalogue E and C, the part of compact JWE: how a token is written, what it authenticates, and AES-CBC."""

import json
from collections.abc import Callable, Iterator
from functools import partial

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import (
    FAILS,
    Case,
    Expected,
    Make,
    Outcome,
    flip,
    refused,
)
from sealpass.bench.qualification.cases.content import AUTHENTICATED
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import JweFlow
from sealpass.core import jwe
from sealpass.core.algorithms import A128CBC_HS256
from sealpass.core.errors import RejectReason

_FORM = refused(RejectReason.FORM)
_LENGTH = refused(RejectReason.LENGTH)
_ALPHABET = "RFC 7515 §2; RFC 4648 §3.2, §3.3, §5"
_SERIALIZATION = "RFC 7516 §7.1, §9"


def cases(subject: Subject) -> Iterator[Case[JweFlow]]:
    """The cases of these parts for a key under a profile."""
    yield from _spellings()
    yield from _serializations()
    yield from _lengths()
    yield Case(
        "C3a",
        "a space added to the header: same meaning, other bytes",
        AUTHENTICATED,
        FAILS,
        lambda flow: _with_longer_header(flow.parts()),
    )
    yield Case(
        "C3d",
        "last octet of the ciphertext changed: a space of the padding becomes a tab",
        AUTHENTICATED,
        FAILS,
        lambda flow: _space_to_tab(flow.parts(flow.pad(flow.payload()))),
    )
    yield from _cbc(subject)


def _rewritten(change: Callable[[list[str]], str]) -> Make[JweFlow]:
    return lambda flow: change(flow.parts().encoded())


def _spellings() -> Iterator[Case[JweFlow]]:
    spellings: tuple[tuple[str, Make[JweFlow]], ...] = (
        ("padding characters", _rewritten(lambda parts: ".".join(part + "=" * (-len(part) % 4) for part in parts))),
        ("the standard base64 alphabet", _standard_alphabet),
        ("a space inside a part", _rewritten(lambda parts: ".".join(parts).replace(parts[3], _inside(parts[3], " ")))),
        ("a line feed at its end", lambda flow: flow.token() + "\n"),
        ("a line break inside a part", _rewritten(lambda parts: ".".join([_inside(parts[0], "\r\n"), *parts[1:]]))),
        ("a character outside ASCII", lambda flow: flow.token() + "é"),
        ("a NUL at its end", lambda flow: flow.token().encode("ascii") + b"\0"),
    )
    for letter, (what, make) in zip("abcdefg", spellings, strict=True):
        yield Case(f"E1{letter}", f"base64url with {what}", _ALPHABET, _FORM, make)
    yield Case(
        "E2a", "spare bits of the tag not zero", "RFC 4648 §3.5", _FORM, _rewritten(lambda parts: _spare_bits(parts, 4))
    )
    yield Case(
        "E2b",
        "an impossible length of base64url",
        "RFC 4648 §4",
        _FORM,
        _rewritten(lambda parts: ".".join([*parts[:4], parts[4] + "AAA"])),
    )


def _inside(text: str, inserted: str) -> str:
    return text[:4] + inserted + text[4:]


def _standard_alphabet(flow: JweFlow) -> str:
    # The encrypted key has hundreds of characters: it holds '-' or '_' nearly always; if not, another token does.
    while True:
        token = flow.token()
        header, rest = token.split(".", 1)
        rewritten = rest.replace("-", "+").replace("_", "/")
        if rewritten != rest:
            return f"{header}.{rewritten}"


def _spare_bits(parts: list[str], position: int) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 16 bytes leave four spare bits in the last character: the next character has the same significant ones.
    parts[position] = parts[position][:-1] + alphabet[alphabet.index(parts[position][-1]) + 1]
    return ".".join(parts)


def _serializations() -> Iterator[Case[JweFlow]]:
    wholes: tuple[tuple[str, Make[JweFlow]], ...] = (
        ("three parts (a JWS)", _rewritten(lambda parts: ".".join(parts[:3]))),
        ("four parts", _rewritten(lambda parts: ".".join(parts[:4]))),
        ("six parts", _rewritten(lambda parts: ".".join([*parts, parts[4]]))),
        ("nothing", lambda _flow: ""),
        ("two tokens in one", lambda flow: f"{flow.token()}.{flow.token()}"),
    )
    for letter, (what, make) in zip("abcde", wholes, strict=True):
        yield Case(f"E3{letter}", f"a token of {what}", _SERIALIZATION, _FORM, make)
    yield Case("E3f", "five empty parts", _SERIALIZATION, refused(RejectReason.HEADER), lambda _flow: "....")
    yield Case(
        "E4a", "JSON serialization, flattened", "RFC 7516 §7.2.2", _FORM, lambda flow: _json(flow, general=False)
    )
    yield Case(
        "E4b", "JSON serialization, two recipients", "RFC 7516 §7.2.1", _FORM, lambda flow: _json(flow, general=True)
    )


def _json(flow: JweFlow, *, general: bool) -> str:
    protected, encrypted_key, iv, ciphertext, tag = flow.parts().encoded()
    recipient = {"encrypted_key": encrypted_key}
    content = {"protected": protected, "iv": iv, "ciphertext": ciphertext, "tag": tag}
    return json.dumps(content | ({"recipients": [recipient, recipient]} if general else recipient))


def _lengths() -> Iterator[Case[JweFlow]]:
    for letter, size in zip("abcdef", (0, 1, 4, 8, 12, 15), strict=True):
        yield Case(
            f"C1{letter}",
            f"authentication tag cut to {size} bytes",
            "RFC 7518 §5.3",
            _LENGTH,
            partial(_tag, size=size),
        )
    yield Case("C1g", "authentication tag with a byte too many", "RFC 7518 §5.3", _LENGTH, partial(_tag, size=17))


def _tag(flow: JweFlow, size: int) -> str:
    parts = flow.parts()
    return parts.changed(tag=(parts.tag + b"\0")[:size]).token()


def _with_longer_header(parts: crafting.JweParts) -> str:
    return parts.changed(header=parts.header[:-1] + b" }").token()


def _space_to_tab(parts: crafting.JweParts) -> str:
    return parts.changed(ciphertext=flip(parts.ciphertext, -1, ord(" ") ^ ord("\t"))).token()


def _cbc(subject: Subject) -> Iterator[Case[JweFlow]]:
    why_not = None
    if A128CBC_HS256 not in subject.key.capabilities.content:
        why_not = "the key does not do AES-CBC, which no password profile needs"
    for name, title, outcome, al_error in (
        ("C6a", "plain JWE with A128CBC-HS256", Outcome.ACCEPTED, 0),
        ("C6b", "plain JWE with A128CBC-HS256, MAC over a wrong AL", Outcome.FAILED, 8),
    ):
        yield Case(
            name,
            title,
            "RFC 7518 §5.2.2",
            Expected(outcome, None),
            partial(_cbc_token, al_error=al_error),
            lambda flow, token: jwe.decrypt(token, flow.subject.key).decode("utf-8"),
            not_applicable=why_not,
        )


def _cbc_token(flow: JweFlow, al_error: int) -> str:
    cek = crafting.new_cek(A128CBC_HS256)
    header = crafting.write_header({"alg": flow.subject.alg, "enc": A128CBC_HS256.name})
    payload = flow.password.encode("utf-8")
    return crafting.seal_cbc(header, flow.encrypt_key(cek), cek, payload, al_error=al_error).token()
