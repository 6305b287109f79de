# SPDX-License-Identifier: Apache-2.0
"""Catalogue H: the protected header and its nonce."""

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import (
    FAILS,
    GONE_SECONDS,
    OPENS,
    Case,
    Make,
    Unexpected,
    refused,
    refused_late,
)
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import JweFlow
from sealpass.core.errors import RejectReason

_HEADER = refused(RejectReason.HEADER)
_LATE_NONCE = refused_late(RejectReason.NONCE)
_FETCH = "RFC 7516 §4.1.4 to §4.1.8; RFC 8725 §3.10"


def cases(subject: Subject) -> Iterator[Case[JweFlow]]:
    """The cases of this part for a key under a profile."""
    yield from _members()
    yield from _kids(subject)
    yield from _nonces(subject)
    yield from _forms()


def _with(**members: Any) -> Make[JweFlow]:
    return lambda flow: flow.token(header=flow.header(**members))


def _members() -> Iterator[Case[JweFlow]]:
    crits: tuple[tuple[str, dict[str, Any]], ...] = (
        ("names an unknown extension", {"crit": ["exp"], "exp": 0}),
        ("is empty", {"crit": []}),
        ("names a member that is not there", {"crit": ["b64"]}),
        ("names a standard member", {"crit": ["alg"]}),
    )
    for letter, (what, members) in zip("abcd", crits, strict=True):
        yield Case(f"H1{letter}", f"crit {what}", "RFC 7516 §4.1.13; RFC 7515 §4.1.11", _HEADER, _with(**members))
    yield Case("H2a", "zip DEF, a small payload", "RFC 7516 §4.1.3; RFC 8725 §3.6", _HEADER, _zipped(b""))
    yield Case(
        "H2b",
        "zip DEF, a payload that inflates to 2 MiB",
        "RFC 7516 §4.1.3; RFC 8725 §3.6",
        _HEADER,
        _zipped(b" " * 2_097_152),
    )
    yield Case("H3a", "alg twice", "RFC 7516 §4; RFC 8725 §2.4", _HEADER, lambda flow: _twice(flow, "alg", "alg"))
    yield Case("H3b", "nonce twice", "RFC 7516 §4", _HEADER, lambda flow: _twice(flow, "nonce", "nonce"))
    yield Case(
        "H3c",
        "alg twice, once escaped",
        "RFC 7516 §4; RFC 8259 §8.3",
        _HEADER,
        lambda flow: _twice(flow, "alg", "\\u0061lg"),
    )
    fetched: dict[str, Any] = {
        "jku": "https://keys.example/jwks.json",
        "jwk": {"kty": "oct", "k": "AA"},
        "x5u": "https://keys.example/chain.pem",
        "x5c": ["MIIB"],
        "epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    }
    for letter, (name, value) in zip("abcde", fetched.items(), strict=True):
        yield Case(f"H4{letter}", f"{name} present", _FETCH, _HEADER, _with(**{name: value}))
    yield Case(
        "H9a", "typ and cty JWT (a nested token)", "RFC 7516 §4.1.11, §4.1.12", _HEADER, _with(typ="JWT", cty="JWT")
    )
    yield Case("H9b", "a member that the profile does not have", "RFC 8725 §3.11", _HEADER, _with(iat=1))


def _kids(subject: Subject) -> Iterator[Case[JweFlow]]:
    optional = "kid" in JweFlow.profile_of(subject).optional_members
    yield Case(
        "H5a",
        "kid missing" + (", which the profile allows" if optional else ""),
        "RFC 7516 §4.1.6",
        OPENS if optional else _HEADER,
        _with(kid=None),
    )
    yield Case("H5b", "kid is a number", "RFC 7515 §4.1.4", _HEADER, _with(kid=7))
    for letter, kid in zip("cde", ("another-key", "../../etc/passwd", "' OR 1=1 --"), strict=True):
        yield Case(
            f"H5{letter}", f"kid is {kid!r}", "RFC 8725 §3.10", refused_late(RejectReason.ANNOUNCEMENT), _with(kid=kid)
        )


def _nonces(subject: Subject) -> Iterator[Case[JweFlow]]:
    source = "RFC 7516 §5.2; the nonce rule of the profile"
    yield Case("H7a", "nonce missing", source, _HEADER, _with(nonce=None))
    yield Case("H7b", "nonce is a number", source, _HEADER, _with(nonce=1))
    yield Case("H7c", "nonce is empty", source, refused(RejectReason.NONCE), _with(nonce=""))
    yield Case(
        "H7d", "nonce never issued", source, refused(RejectReason.NONCE), _with(nonce=subject.profile.new_nonce())
    )
    yield Case(
        "H7e",
        "nonce of another session",
        source,
        _LATE_NONCE,
        lambda flow: flow.token(),
        lambda flow, token: flow.open(token, session=f"{flow.session}-other"),
    )
    yield Case("H7f", "nonce expired", source, _LATE_NONCE, lambda flow: flow.token(), lifetime=GONE_SECONDS)
    yield Case(
        "H7g",
        "the bytes of the nonce in another spelling (padding)",
        "RFC 4648 §3.2; nonces compare as exact strings",
        refused(RejectReason.NONCE),
        lambda flow: flow.token(header=flow.header(nonce=_other_padding(flow.information.nonce))),
    )
    yield Case(
        "H7h",
        "the bytes of the nonce in another spelling (spare bits)",
        "RFC 4648 §3.5; nonces compare as exact strings",
        refused(RejectReason.NONCE),
        lambda flow: flow.token(header=flow.header(nonce=_other_spare_bits(flow.information.nonce))),
    )
    yield Case(
        "H8",
        "nonce only in an unprotected header (JSON serialization)",
        "RFC 7516 §7.2.1",
        refused(RejectReason.FORM),
        _unprotected_nonce,
    )


def _forms() -> Iterator[Case[JweFlow]]:
    yield Case(
        "H10",
        "this token's header in front of another token's content",
        "RFC 7516 §5.1 step 14",
        FAILS,
        lambda flow: flow.new().parts().changed(header=flow.parts().header).token(),
    )
    octets: tuple[tuple[str, Make[JweFlow]], ...] = (
        ("not UTF-8", _octets(lambda right: right[:-1] + b',"\xff":1}')),
        ("begins with a byte order mark", _octets(lambda right: b"\xef\xbb\xbf" + right)),
        ("is UTF-16", _octets(lambda right: right.decode("utf-8").encode("utf-16"))),
        ("is an array", _octets(lambda right: b"[" + right + b"]")),
        ("is followed by another object", _octets(lambda right: right + b"{}")),
        ("is nested 400 deep", _octets(lambda right: right[:-1] + b',"x":' + b"[" * 400 + b"]" * 400 + b"}")),
        ("is empty", _octets(lambda _right: b"")),
        ("holds NaN", _octets(lambda right: right[:-1] + b',"x":NaN}')),
    )
    for letter, (what, make) in zip("abcdefgh", octets, strict=True):
        yield Case(f"H11{letter}", f"the header {what}", "RFC 7516 §5.2 step 3; RFC 8259 §8.1", _HEADER, make)
    yield Case(
        "H12",
        "the header has more than 1 KiB",
        "the contract: headers of at most 1 KiB",
        refused(RejectReason.SIZE),
        _with(x="x" * 1100),
    )


def _octets(change: Any) -> Make[JweFlow]:
    return lambda flow: flow.token(header=change(crafting.write_header(flow.header())))


def _zipped(extra: bytes) -> Make[JweFlow]:
    def make(flow: JweFlow) -> str:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return flow.token(deflate.compress(flow.payload() + extra) + deflate.flush(), flow.header(zip="DEF"))

    return make


def _twice(flow: JweFlow, name: str, spelling: str) -> str:
    right = crafting.write_header(flow.header()).decode("utf-8")
    value = json.dumps(flow.header()[name])
    return flow.token(header=(right[:-1] + f',"{spelling}":{value}' + "}").encode("utf-8"))


def _other_padding(nonce: str) -> str:
    return nonce.rstrip("=") if nonce.endswith("=") else nonce + "="


def _other_spare_bits(nonce: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    digits = nonce.rstrip("=")
    last = alphabet.find(digits[-1].translate({ord("+"): "-", ord("/"): "_"}))
    other = digits[:-1] + alphabet[last ^ 1]
    if base64.urlsafe_b64decode(other + "=") != base64.urlsafe_b64decode(digits.translate({43: 45, 47: 95}) + "="):
        raise Unexpected("the other spelling of the nonce has other bytes")
    return other + nonce[len(digits) :]


def _unprotected_nonce(flow: JweFlow) -> str:
    protected, encrypted_key, iv, ciphertext, tag = flow.parts(header=flow.header(nonce=None)).encoded()
    return json.dumps(
        {
            "protected": protected,
            "unprotected": {"nonce": flow.information.nonce},
            "encrypted_key": encrypted_key,
            "iv": iv,
            "ciphertext": ciphertext,
            "tag": tag,
        }
    )
