# SPDX-License-Identifier: Apache-2.0
"""Catalogue R: one nonce, one password, one purpose; and V: what simply has to work."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.cases.case import (
    OPENS,
    SESSION,
    Case,
    Expected,
    Flow,
    Outcome,
    Unexpected,
    changed,
    flip,
    refused,
    refused_late,
)
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.threads import run_together
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import ENC_BY_JWE_NAME, ContentEncryption
from sealpass.core.errors import DecryptionFailed, RejectReason, TokenRejected
from sealpass.core.nonces import Purpose

_ONCE = refused_late(RejectReason.NONCE)
_SINGLE_USE = "RFC 7516 §11; a nonce buys one key operation"
RACERS = 8


def cases(subject: Subject) -> Iterator[Case]:
    """The cases of this part for a key under a profile."""
    yield Case(
        "V1",
        f"a valid token: {subject.alg} with {subject.enc}",
        "RFC 7516 §5.1, §5.2",
        OPENS,
        lambda flow: flow.token(),
    )
    yield Case(
        "V2",
        "a valid token made by a JOSE library",
        "RFC 7516 §5.1, §5.2",
        OPENS,
        lambda flow: encrypt.encrypt_password(flow.password, flow.information),
    )
    yield Case(
        "V3",
        "a valid token with its header members in another order",
        "RFC 7516 §4",
        OPENS,
        lambda flow: flow.token(dict(reversed(flow.header().items()))),
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
            partial(_with_enc, enc=ENC_BY_JWE_NAME[enc]),
        )
    yield Case("R1a", "a token sent a second time", _SINGLE_USE, _ONCE, _already_opened)
    yield Case(
        "R1b",
        "a token sent a second time, in another session",
        _SINGLE_USE,
        _ONCE,
        _already_opened,
        lambda flow, token: flow.open(token, session=f"{SESSION}-other"),
    )
    yield Case("R1c", f"one token sent {RACERS} times at once: one opens", _SINGLE_USE, OPENS, Flow.token, _race)
    yield Case("R1d", "the right token after a failure spent its nonce", _SINGLE_USE, _ONCE, _after_a_failure)
    yield Case("R1e", "the right token after a refused header kept its nonce", _SINGLE_USE, OPENS, _after_a_refusal)
    for letter, purpose in zip("abcd", (p for p in Purpose if p is not Purpose.CHECK), strict=True):
        yield Case(
            f"R2{letter}",
            f"a token for {Purpose.CHECK.value} sent to {purpose.value}",
            "the contract: a nonce is bound to one purpose",
            _ONCE,
            Flow.token,
            partial(Flow.open, purpose=purpose),
        )
    plain = "the contract: never a fallback to plain text"
    yield Case(
        "R4a", "the password itself in place of a token", plain, refused(RejectReason.FORM), lambda flow: flow.password
    )
    yield Case(
        "R4b",
        "the payload itself in place of a token",
        plain,
        refused(RejectReason.FORM),
        lambda flow: flow.payload(),
    )


def _with_enc(flow: Flow, enc: ContentEncryption) -> str:
    return flow.parts(flow.header(enc=enc.name), cek=crafting.new_cek(enc)).compact()


def _already_opened(flow: Flow) -> str:
    token = flow.token()
    if flow.open(token) != flow.password:
        raise Unexpected("the first use of the token gave another password")
    return token


def _after_a_failure(flow: Flow) -> str:
    parts = flow.parts()
    try:
        flow.open(changed(parts, tag=flip(parts.tag, 0)))
    except DecryptionFailed:
        return parts.compact()
    raise Unexpected("a token with a wrong tag opened")


def _after_a_refusal(flow: Flow) -> str:
    try:
        flow.open(flow.token(flow.header(zip="DEF")))
    except TokenRejected:
        return flow.token()
    raise Unexpected("a token with zip opened")


def _race(flow: Flow, token: str | bytes) -> str:
    """Open one token from many threads at the same moment."""
    results: list[str] = []
    losses: Counter[str] = Counter()

    def run() -> None:
        try:
            results.append(flow.open(token))
        except TokenRejected as rejected:
            losses[rejected.reason.value] += 1
        except Exception as error:  # noqa: BLE001 - whatever a device raises under threads is the observation
            losses[type(error).__name__] += 1

    run_together([run] * RACERS)
    if len(results) != 1 or losses != {RejectReason.NONCE.value: RACERS - 1}:
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(losses.items())) or "no refusal"
        raise Unexpected(f"of {RACERS} racers {len(results)} opened the token; {outcomes}")
    return results[0]
