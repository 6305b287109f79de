# SPDX-License-Identifier: Apache-2.0
"""Catalogue A: the algorithm a token names, and the key it was encrypted to."""

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import (
    FAILS,
    OPENS,
    Case,
    Flow,
    Make,
    changed,
    flip,
    refused,
    refused_late,
)
from sealpass.bench.qualification.crafting import OaepFault
from sealpass.bench.qualification.device import Subject
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME, Hash, RsaOaep
from sealpass.core.errors import RejectReason

_ALGORITHM = refused(RejectReason.ALGORITHM)
_CEK_SIZE = (
    "the token does not tell the size of a key that it unwrapped: a content encryption key of another size than enc"
    " asks for is accepted; who encrypts can so choose a shorter AES key for his own password, and nothing else"
)
_UNIFORM = "RFC 8017 §7.1.2; RFC 7516 §11.5"


def _other(hash_: Hash) -> Hash:
    return Hash.SHA256 if hash_ is Hash.SHA1 else Hash.SHA1


def cases(subject: Subject) -> Iterator[Case]:
    """The cases of this part for a key under a profile."""
    yield from _names(subject)
    yield from _paddings(subject)
    yield from _content_keys(subject)
    yield from _encrypted_keys(subject)
    yield from _oaep_blocks()


def _named(**members: Any) -> Make:
    return lambda flow: flow.token(flow.header(**members))


def _names(subject: Subject) -> Iterator[Case]:
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
        lambda flow: flow.parts(flow.header(alg="dir"), cek=_from_public_key(flow), encrypted_key=b"").compact(),
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
        lambda flow: flow.parts(flow.header(enc=foreign), cek=crafting.new_cek(ENC_BY_JWE_NAME[foreign])).compact(),
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


def _paddings(subject: Subject) -> Iterator[Case]:
    oaep = subject.oaep
    other_mgf = RsaOaep(oaep.hash, _other(oaep.hash))
    yield Case(
        "A1b",
        f"PKCS #1 v1.5 padding under a header that says {subject.alg}",
        "RFC 8725 §3.1; RFC 8017 §7.1.2",
        FAILS,
        _pkcs1,
    )
    yield Case(
        "A6a",
        f"OAEP {oaep.hash} with MGF1 {other_mgf.mgf_hash}"
        + (", as Java does by default" if oaep.hash is Hash.SHA256 else ""),
        "RFC 8017 §A.2.1; RFC 7518 §4.3",
        FAILS,
        lambda flow: _wrapped(flow, other_mgf),
    )
    other_hash = RsaOaep(_other(oaep.hash), _other(oaep.hash))
    yield Case(
        "A6b",
        f"OAEP {other_hash.hash} under a header that says {subject.alg}",
        "RFC 7518 §4.3",
        FAILS,
        lambda flow: _wrapped(flow, other_hash),
    )
    yield Case(
        "A7",
        "OAEP with a label",
        "RFC 8017 §7.1.2; RFC 7518 §4.3",
        FAILS,
        lambda flow: flow.with_key(lambda cek: crafting.encrypt_key(flow.subject.public_key, oaep, cek, b"label")),
    )


def _content_keys(subject: Subject) -> Iterator[Case]:
    right = subject.content_encryption.cek_bytes
    wrong = [size for size in (16, 24, 32) if size != right]
    for letter, size in zip("ef", wrong, strict=True):
        yield Case(
            f"A9{letter}",
            f"a well-padded content encryption key of {size} bytes instead of {right}",
            "RFC 7516 §5.2 step 10, §11.5",
            FAILS,
            partial(_with_cek_of, size=size),
            deviation=_CEK_SIZE if subject.may_take_any_cek_size else None,
        )
    yield Case(
        "A9g",
        "a well-padded content encryption key with one byte too many",
        "RFC 7516 §5.2 step 10, §11.5",
        FAILS,
        lambda flow: flow.with_key(lambda cek: flow.encrypt_key(cek + b"\0")),
    )
    yield Case(
        "A9h",
        "a well-padded empty content encryption key",
        "RFC 7516 §5.2 step 10, §11.5",
        FAILS,
        lambda flow: flow.with_key(lambda _cek: flow.encrypt_key(b"")),
    )
    yield Case(
        "A11",
        "a well-padded content encryption key that is not the token's",
        "RFC 7516 §11.5",
        FAILS,
        lambda flow: flow.with_key(lambda cek: flow.encrypt_key(os.urandom(len(cek)))),
    )


def _encrypted_keys(subject: Subject) -> Iterator[Case]:
    size = subject.key.public_jwk.modulus_bytes
    modulus = subject.public_key.public_numbers().n
    late = refused_late(RejectReason.LENGTH)
    yield Case(
        "A12a", "last bit of the encrypted key flipped", _UNIFORM, FAILS, lambda flow: _encrypted_key_flipped(flow, -1)
    )
    yield Case(
        "A12b",
        "a bit in the middle of the encrypted key flipped",
        _UNIFORM,
        FAILS,
        lambda flow: _encrypted_key_flipped(flow, size // 2),
    )
    yield Case(
        "A12c",
        "encrypted key one byte short",
        "RFC 8017 §7.1.2 step 1",
        late,
        lambda flow: flow.with_key(lambda cek: flow.encrypt_key(cek)[:-1]),
    )
    yield Case(
        "A12d",
        "encrypted key with a zero byte in front",
        "RFC 8017 §7.1.2 step 1",
        late,
        lambda flow: flow.with_key(lambda cek: b"\0" + flow.encrypt_key(cek)),
    )
    yield Case(
        "A12e",
        "encrypted key with a zero byte behind",
        "RFC 8017 §7.1.2 step 1",
        late,
        lambda flow: flow.with_key(lambda cek: flow.encrypt_key(cek) + b"\0"),
    )
    yield Case(
        "A12f",
        "encrypted key whose leading zero byte was dropped",
        "RFC 8017 §7.1.1 step 3c",
        late,
        lambda flow: flow.with_key(
            lambda cek: crafting.encrypt_key_with_leading_zero(flow.subject.public_key, subject.oaep, cek)[1:]
        ),
    )
    yield Case(
        "A12g",
        "a right encrypted key that begins with a zero byte",
        "RFC 8017 §7.1.1 step 3c",
        OPENS,
        lambda flow: flow.with_key(
            lambda cek: crafting.encrypt_key_with_leading_zero(flow.subject.public_key, subject.oaep, cek)
        ),
    )
    yield Case(
        "A12h",
        "encrypted key empty",
        "RFC 7516 §5.2 step 2",
        refused(RejectReason.LENGTH),
        lambda flow: flow.with_key(lambda _cek: b""),
    )
    integers = {
        "the modulus": modulus,
        "above the modulus, all bits set": 256**size - 1,
        "the modulus minus one": modulus - 1,
        "zero": 0,
        "one": 1,
    }
    for letter, (name, integer) in zip("ijklm", integers.items(), strict=True):
        yield Case(
            f"A12{letter}",
            f"encrypted key as an integer: {name}",
            _UNIFORM,
            FAILS,
            partial(_with_encrypted_key, octets=integer.to_bytes(size, "big")),
        )
    room = 256**size - modulus
    yield Case(
        "A12r",
        "the right encrypted key plus the modulus: the same number to RSA, not a ciphertext",
        "RFC 8017 §5.1.2 step 1",
        FAILS,
        partial(_plus_modulus, modulus=modulus),
        # A ciphertext below `room` is found by trying; with a modulus next to a power of two there is hardly any.
        not_applicable=None if room * 500 > modulus else "the modulus leaves no room for it",
    )
    yield Case(
        "A13",
        "encrypted to another key under the announced kid",
        "RFC 8725 §3.3",
        FAILS,
        lambda flow: flow.with_key(
            lambda cek: crafting.encrypt_key(flow.subject.stranger.public_key(), subject.oaep, cek)
        ),
    )


def _oaep_blocks() -> Iterator[Case]:
    faults = {
        "first octet not zero (Manger)": OaepFault(first_octet=1),
        "label hash wrong": OaepFault(label_hash_flip=1),
        "padding string not zero": OaepFault(padding_octet=2),
        "no 0x01 before the message": OaepFault(separator=2),
    }
    for letter, (name, fault) in zip("nopq", faults.items(), strict=True):
        yield Case(
            f"A12{letter}",
            f"OAEP block: {name}",
            _UNIFORM,
            FAILS,
            partial(_faulty, fault=fault),
        )


def _with_cek_of(flow: Flow, size: int) -> str:
    return flow.parts(cek=os.urandom(size)).compact()


def _with_encrypted_key(flow: Flow, octets: bytes) -> str:
    return flow.with_key(lambda _cek: octets)


def _plus_modulus(flow: Flow, modulus: int) -> str:
    size = flow.subject.key.public_jwk.modulus_bytes
    while True:
        parts = flow.parts()
        integer = int.from_bytes(parts.encrypted_key, "big") + modulus
        if integer < 256**size:
            return changed(parts, encrypted_key=integer.to_bytes(size, "big"))


def _faulty(flow: Flow, fault: OaepFault) -> str:
    subject = flow.subject
    size = subject.key.public_jwk.modulus_bytes
    return flow.with_key(
        lambda cek: crafting.raw_encrypt(subject.public_key, crafting.oaep_block(cek, size, subject.oaep, fault))
    )


def _encrypted_key_flipped(flow: Flow, position: int) -> str:
    parts = flow.parts()
    return changed(parts, encrypted_key=flip(parts.encrypted_key, position))


def _pkcs1(flow: Flow, **members: Any) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = crafting.encrypt_key_pkcs1(flow.subject.public_key, cek)
    return flow.parts(flow.header(**members), cek=cek, encrypted_key=encrypted_key).compact()


def _wrapped(flow: Flow, oaep: RsaOaep, **members: Any) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = crafting.encrypt_key(flow.subject.public_key, oaep, cek)
    return flow.parts(flow.header(**members), cek=cek, encrypted_key=encrypted_key).compact()


def _from_public_key(flow: Flow) -> bytes:
    der = flow.subject.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).digest()


def _wrapped_by_public_key(flow: Flow) -> str:
    cek = crafting.new_cek(flow.subject.content_encryption)
    encrypted_key = aes_key_wrap(_from_public_key(flow), cek)
    return flow.parts(flow.header(alg="A256KW"), cek=cek, encrypted_key=encrypted_key).compact()


def _cbc(flow: Flow) -> str:
    cek = crafting.new_cek(ENC_BY_JWE_NAME["A128CBC-HS256"])
    header = crafting.write_header(flow.header(enc="A128CBC-HS256"))
    return crafting.seal_cbc(header, flow.encrypt_key(cek), cek, flow.payload()).compact()
