# SPDX-License-Identifier: Apache-2.0
"""Catalogue R and V, the part of compact JWE: what a token says of its purpose, and further forms that must work."""

from collections.abc import Iterator
from functools import partial

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import OPENS, Case, Expected, Outcome, refused, refused_late
from sealpass.bench.qualification.cases.protocol import by_sealpass
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow, JweFlow
from sealpass.core import jwe
from sealpass.core.algorithms import ENC_BY_JWE_NAME, ContentEncryption
from sealpass.core.errors import RejectReason
from sealpass.core.nonces import Purpose


def cases(subject: Subject) -> Iterator[Case[JweFlow]]:
    """The cases of this part for a key under a profile."""
    yield Case("V2", "a valid token made by a JOSE library", "RFC 7516 §5.1, §5.2", OPENS, by_sealpass)
    yield Case(
        "V3",
        "a valid token with its header members in another order",
        "RFC 7516 §4",
        OPENS,
        lambda flow: flow.token(header=dict(reversed(flow.header().items()))),
    )
    yield Case(
        "V4",
        "the same content as plain JWE, without a profile",
        "RFC 7516 §5.2",
        Expected(Outcome.ACCEPTED, None),
        lambda flow: flow.token(payload=flow.password.encode("utf-8")),
        lambda flow, token: jwe.decrypt(token, flow.subject.key).decode("utf-8"),
    )
    others = [enc for enc in subject.profile.encs if enc != subject.enc] if subject.profile.client_picks_enc else []
    for number, enc in enumerate(others, start=5):
        yield Case(
            f"V{number}",
            f"a valid token with {enc}, the client's choice",
            "RFC 7518 §5.3",
            OPENS,
            partial(with_enc, enc=ENC_BY_JWE_NAME[enc]),
        )
    for letter, purpose in zip("abcd", (p for p in Purpose if p is not Purpose.CHECK), strict=True):
        yield Case(
            f"R2{letter}",
            f"a token for {Purpose.CHECK.value} sent to {purpose.value}",
            "the contract: a nonce is bound to one purpose",
            refused_late(RejectReason.NONCE),
            Flow.token,
            partial(Flow.open, purpose=purpose),
        )
    yield Case(
        "R4b",
        "the payload itself in place of a token",
        "the contract: never a fallback to plain text",
        refused(RejectReason.FORM),
        lambda flow: flow.payload(),
    )


def with_enc(flow: JweFlow, enc: ContentEncryption) -> str:
    """A token with a content encryption of the sender's choice."""
    return flow.parts(header=flow.header(enc=enc.name), cek=crafting.new_cek(enc)).token()
