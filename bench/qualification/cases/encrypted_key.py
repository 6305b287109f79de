# SPDX-License-Identifier: Apache-2.0
"""Catalogue A, the part that holds for any dialect: the encrypted key, and the key to which it was encrypted."""

import os
from collections.abc import Iterator
from functools import partial

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import FAILS, OPENS, Case, flip, refused, refused_late
from sealpass.bench.qualification.crafting import OaepFault
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow
from sealpass.core.algorithms import Hash, RsaOaep
from sealpass.core.errors import RejectReason

_CEK_SIZE = (
    "the token does not tell the size of a key that it unwrapped: a content encryption key of another size than enc"
    " asks for is accepted; who encrypts can so choose a shorter AES key for his own password, and nothing else"
)
_UNIFORM = "RFC 8017 §7.1.2; RFC 7516 §11.5"


def other_hash(hash_: Hash) -> Hash:
    """The one of SHA-1 and SHA-256 that was not announced."""
    return Hash.SHA256 if hash_ is Hash.SHA1 else Hash.SHA1


def padded_otherwise(flow: Flow, oaep: RsaOaep) -> str:
    """A token whose encrypted key has another padding than was announced, and says nothing of it."""
    return flow.with_key(lambda cek: crafting.encrypt_key(flow.subject.public_key, oaep, cek))


def cases(subject: Subject) -> Iterator[Case[Flow]]:
    """The cases of this part for a key under a profile."""
    yield from _paddings(subject)
    yield from _content_keys(subject)
    yield from _encrypted_keys(subject)
    yield from _oaep_blocks()


def _paddings(subject: Subject) -> Iterator[Case[Flow]]:
    oaep = subject.oaep
    other_mgf = RsaOaep(oaep.hash, other_hash(oaep.hash))
    yield Case(
        "A1b",
        f"PKCS #1 v1.5 padding where {subject.alg} was announced",
        "RFC 8725 §3.1; RFC 8017 §7.1.2",
        FAILS,
        lambda flow: flow.with_key(partial(crafting.encrypt_key_pkcs1, flow.subject.public_key)),
    )
    yield Case(
        "A6a",
        f"OAEP {oaep.hash} with MGF1 {other_mgf.mgf_hash}"
        + (", as Java does by default" if oaep.hash is Hash.SHA256 else ""),
        "RFC 8017 §A.2.1; RFC 7518 §4.3",
        FAILS,
        lambda flow: padded_otherwise(flow, other_mgf),
    )
    yield Case(
        "A7",
        "OAEP with a label",
        "RFC 8017 §7.1.2; RFC 7518 §4.3",
        FAILS,
        lambda flow: flow.with_key(lambda cek: crafting.encrypt_key(flow.subject.public_key, oaep, cek, b"label")),
    )


def _content_keys(subject: Subject) -> Iterator[Case[Flow]]:
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


def _encrypted_keys(subject: Subject) -> Iterator[Case[Flow]]:
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


def _oaep_blocks() -> Iterator[Case[Flow]]:
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
    return flow.parts(cek=os.urandom(size)).token()


def _with_encrypted_key(flow: Flow, octets: bytes) -> str:
    return flow.with_key(lambda _cek: octets)


def _plus_modulus(flow: Flow, modulus: int) -> str:
    size = flow.subject.key.public_jwk.modulus_bytes
    while True:
        parts = flow.parts()
        integer = int.from_bytes(parts.encrypted_key, "big") + modulus
        if integer < 256**size:
            return parts.changed(encrypted_key=integer.to_bytes(size, "big")).token()


def _faulty(flow: Flow, fault: OaepFault) -> str:
    subject = flow.subject
    size = subject.key.public_jwk.modulus_bytes
    return flow.with_key(
        lambda cek: crafting.raw_encrypt(subject.public_key, crafting.oaep_block(cek, size, subject.oaep, fault))
    )


def _encrypted_key_flipped(flow: Flow, position: int) -> str:
    parts = flow.parts()
    return parts.changed(encrypted_key=flip(parts.encrypted_key, position)).token()
