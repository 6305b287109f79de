# SPDX-License-Identifier: Apache-2.0
"""Catalogue A, the part of compact JWE: the algorithms that a token names."""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import FAILS, Case, Make, refused, refused_late
from sealpass.bench.qualification.cases.encrypted_key import other_hash, padded_otherwise
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow, JweFlow
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME, RsaOaep
from sealpass.core.errors import RejectReason

_ALGORITHM = refused(RejectReason.ALGORITHM)


def cases(subject: Subject) -> Iterator[Case[JweFlow]]:
    """The cases of this part for a key under a profile."""
    yield from _names(subject)
    other = other_hash(subject.oaep.hash)
    yield Case(
        "A6b",
        f"OAEP {other} under a header that says {subject.alg}",
        "RFC 7518 §4.3",
        FAILS,
        partial(padded_otherwise, oaep=RsaOaep(other, other)),
    )


def _named(**members: Any) -> Make[JweFlow]:
    return lambda flow: flow.token(header=flow.header(**members))


def _names(subject: Subject) -> Iterator[Case[JweFlow]]:
    yield Case(
        "A1",
        "alg RSA1_5, key wrapped with PKCS #1 v1.5",
        "RFC 7518 §4.2, §8.3; RFC 8725 §3.2",
        _ALGORITHM,
        lambda flow: _pkcs1(flow, alg="RSA1_5"),
    )
    other = next(name for name in OAEP_BY_JWE_NAME if name != subject.alg)
    yield Case(
        "A2",
        f"alg {other} where {subject.alg} was announced",
        "RFC 7518 §4.3; RFC 8725 §3.1",
        refused_late(RejectReason.ANNOUNCEMENT) if other in subject.profile.algs else _ALGORITHM,
        lambda flow: _wrapped(flow, OAEP_BY_JWE_NAME[other], alg=other),
    )
    for letter, alg in zip(
        "abcdef", ("dir", "A128KW", "A256GCMKW", "ECDH-ES", "PBES2-HS256+A128KW", "none"), strict=True
    ):
        yield Case(
            f"A3{letter}", f"alg {alg}", "RFC 7518 §4.1, §4.5 to §4.8; RFC 8725 §3.1", _ALGORITHM, _named(alg=alg)
        )
    for letter, alg in zip("abc", (subject.alg.lower(), "noNE", f" {subject.alg}"), strict=True):
        yield Case(f"A4{letter}", f"alg in another spelling: {alg!r}", "RFC 7515 §4.1.1", _ALGORITHM, _named(alg=alg))
    yield Case("A4d", "alg is not a string", "RFC 7515 §4.1.1", _ALGORITHM, _named(alg=[subject.alg]))
    yield Case("A4e", "alg is missing", "RFC 7516 §4.1.1", _ALGORITHM, _named(alg=None))
    yield Case(
        "A5a",
        "alg dir with the public key as the content encryption key",
        "RFC 8725 §2.1",
        _ALGORITHM,
        lambda flow: flow.parts(header=flow.header(alg="dir"), cek=_from_public_key(flow), encrypted_key=b"").token(),
    )
    yield Case(
        "A5b", "alg A256KW with the public key as the wrapping key", "RFC 8725 §2.1", _ALGORITHM, _wrapped_by_public_key
    )
    foreign = next(name for name in ("A192GCM", "A128GCM", "A256GCM") if name not in subject.profile.encs)
    yield Case(
        "A9a",
        f"enc {foreign}, which the profile does not have",
        "RFC 7518 §5.1",
        _ALGORITHM,
        lambda flow: flow.parts(
            header=flow.header(enc=foreign), cek=crafting.new_cek(ENC_BY_JWE_NAME[foreign])
        ).token(),
    )
    yield Case("A9b", "enc A128CBC-HS256", "RFC 7518 §5.1", _ALGORITHM, _cbc)
    yield Case("A9c", "enc is unknown", "RFC 7518 §5.1", _ALGORITHM, _named(enc="XC20P"))
    yield Case("A9d", "enc is missing", "RFC 7516 §4.1.2", _ALGORITHM, _named(enc=None))
    yield Case(
        "A10",
        "PBES2 with a huge iteration count",
        "RFC 7518 §4.8.1.2, §8.6",
        _ALGORITHM,
        _named(alg="PBES2-HS512+A256KW", p2c=2**31 - 1, p2s="AAAAAAAAAAA"),
    )


def _pkcs1(flow: JweFlow, **members: Any) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = crafting.encrypt_key_pkcs1(flow.subject.public_key, cek)
    return flow.parts(header=flow.header(**members), cek=cek, encrypted_key=encrypted_key).token()


def _wrapped(flow: JweFlow, oaep: RsaOaep, **members: Any) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = crafting.encrypt_key(flow.subject.public_key, oaep, cek)
    return flow.parts(header=flow.header(**members), cek=cek, encrypted_key=encrypted_key).token()


def _from_public_key(flow: Flow) -> bytes:
    der = flow.subject.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).digest()


def _wrapped_by_public_key(flow: JweFlow) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = aes_key_wrap(_from_public_key(flow), cek)
    return flow.parts(header=flow.header(alg="A256KW"), cek=cek, encrypted_key=encrypted_key).token()


def _cbc(flow: JweFlow) -> str:
    cek = crafting.new_cek(ENC_BY_JWE_NAME["A128CBC-HS256"])
    header = crafting.write_header(flow.header(enc="A128CBC-HS256"))
    return crafting.seal_cbc(header, flow.encrypt_key(cek), cek, flow.payload()).token()
