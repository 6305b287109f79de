# SPDX-License-Identifier: Apache-2.0
"""Catalogue C and E5, the part that holds for any dialect: initialization vector, ciphertext, tag, and size."""

from collections.abc import Callable, Iterator
from functools import partial

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import FAILS, Case, flip, refused
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow
from sealpass.core import jwe
from sealpass.core.errors import RejectReason

AUTHENTICATED = "RFC 7516 §5.2; RFC 7518 §5.3"
_SIZE = refused(RejectReason.SIZE)


def cases(_subject: Subject) -> Iterator[Case[Flow]]:
    """The cases of this part for a key under a profile."""
    yield Case(
        "E5a",
        "a token of more than 8 KiB",
        "the contract: tokens of at most 8 KiB",
        _SIZE,
        lambda flow: flow.token(payload=flow.payload() + b" " * jwe.MAX_TOKEN_BYTES),
    )
    yield Case(
        "E5b", "a megabyte of dots", "the contract: tokens of at most 8 KiB", _SIZE, lambda _flow: b"." * 1_048_576
    )
    for letter, size in zip("abcd", (0, 8, 13, 16), strict=True):
        yield Case(
            f"C2{letter}",
            f"initialization vector of {size} bytes",
            "RFC 7518 §5.3",
            refused(RejectReason.LENGTH),
            partial(_with_iv, size=size),
        )
    flips: tuple[tuple[str, str, Callable[[crafting.Parts], dict[str, bytes]]], ...] = (
        ("b", "a bit of the initialization vector flipped", lambda parts: {"iv": flip(parts.iv, 0)}),
        ("c", "first bit of the ciphertext flipped", lambda parts: {"ciphertext": flip(parts.ciphertext, 0, 0x80)}),
        ("e", "first bit of the tag flipped", lambda parts: {"tag": flip(parts.tag, 0, 0x80)}),
        ("f", "last bit of the tag flipped", lambda parts: {"tag": flip(parts.tag, -1)}),
        ("g", "tag all zero", lambda _parts: {"tag": bytes(16)}),
        ("h", "last byte of the ciphertext cut off", lambda parts: {"ciphertext": parts.ciphertext[:-1]}),
        ("i", "ciphertext empty", lambda _parts: {"ciphertext": b""}),
    )
    for letter, what, change in flips:
        yield Case(f"C3{letter}", what, AUTHENTICATED, FAILS, partial(_replaced, change=change))


def _with_iv(flow: Flow, size: int) -> str:
    return flow.parts(iv_bytes=size).token()


def _replaced(flow: Flow, change: Callable[[crafting.Parts], dict[str, bytes]]) -> str:
    parts = flow.parts()
    return parts.changed(**change(parts)).token()
