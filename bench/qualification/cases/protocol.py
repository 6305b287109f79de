# SPDX-License-Identifier: Apache-2.0
"""Catalogue R and H6, the part that holds for any dialect: one nonce, one password; V: what simply has to work."""

from collections import Counter
from collections.abc import Iterator

from sealpass.backends.memory_key import RsaMemoryKey
from sealpass.bench.qualification.cases.case import OPENS, Case, Unexpected, flip, refused, refused_late
from sealpass.bench.qualification.device import OneRing, Subject
from sealpass.bench.qualification.flow import Flow
from sealpass.bench.qualification.threads import run_together
from sealpass.core import encrypt
from sealpass.core.errors import BackendUnavailable, DecryptionFailed, RejectReason, TokenRejected
from sealpass.core.uri import KeyUri

_ONCE = refused_late(RejectReason.NONCE)
_SINGLE_USE = "RFC 7516 §11; a nonce buys one key operation"
RACERS = 8


def cases(subject: Subject) -> Iterator[Case[Flow]]:
    """The cases of this part for a key under a profile."""
    yield Case("V1", f"a valid token: {subject.alg} with {subject.enc}", "RFC 7516 §5.1, §5.2", OPENS, Flow.token)
    yield Case(
        "H6a",
        "announced before a rotation, sent after it: the key is a previous one",
        "RFC 7516 §6",
        OPENS,
        Flow.token,
        lambda flow, token: flow.open(token, ring=OneRing(_new_key(flow), (flow.subject.key,))),
    )
    yield Case(
        "H6b",
        "announced before a rotation, sent after the key has left the ring",
        "RFC 7516 §6; RFC 8725 §3.10",
        refused_late(RejectReason.KEY_RETIRED),
        Flow.token,
        lambda flow, token: flow.open(token, ring=OneRing(_new_key(flow))),
    )
    yield Case("R1a", "a token sent a second time", _SINGLE_USE, _ONCE, _already_opened)
    yield Case(
        "R1b",
        "a token sent a second time, in another session",
        _SINGLE_USE,
        _ONCE,
        _already_opened,
        lambda flow, token: flow.open(token, session=f"{flow.session}-other"),
    )
    yield Case("R1c", f"one token sent {RACERS} times at once: one opens", _SINGLE_USE, OPENS, Flow.token, _race)
    yield Case("R1d", "the right token after a failure spent its nonce", _SINGLE_USE, _ONCE, _after_a_failure)
    yield Case("R1e", "the right token after one of a wrong form kept its nonce", _SINGLE_USE, OPENS, _after_a_refusal)
    yield Case(
        "R4a",
        "the password itself in place of a token",
        "the contract: never a fallback to plain text",
        refused(RejectReason.FORM),
        lambda flow: flow.password,
    )


def by_sealpass(flow: Flow) -> str:
    """A token that is not made by hand: for JWE a library makes it."""
    return encrypt.encrypt_password(flow.password, flow.information, flow.subject.profile)


def _new_key(flow: Flow) -> RsaMemoryKey:
    return RsaMemoryKey(KeyUri.parse("software:path=the-next-key"), flow.subject.stranger)


def _already_opened(flow: Flow) -> str:
    token = flow.token()
    if flow.open(token) != flow.password:
        raise Unexpected("the first use of the token gave another password")
    return token


def _after_a_failure(flow: Flow) -> str:
    parts = flow.parts()
    try:
        flow.open(parts.changed(tag=flip(parts.tag, 0)).token())
    except DecryptionFailed:
        return parts.token()
    raise Unexpected("a token with a wrong tag opened")


def _after_a_refusal(flow: Flow) -> str:
    try:
        flow.open(flow.token() + "é")
    except TokenRejected:
        return flow.token()
    raise Unexpected("a token with something behind it opened")


def _race(flow: Flow, token: str | bytes) -> str:
    """Open one token from many threads at the same moment."""
    results: list[str] = []
    losses: Counter[str] = Counter()
    gone: list[BackendUnavailable] = []

    def run() -> None:
        try:
            results.append(flow.open(token))
        except TokenRejected as rejected:
            losses[rejected.reason.value] += 1
        except BackendUnavailable as error:
            gone.append(error)
        except Exception as error:  # noqa: BLE001 - whatever a device raises under threads is the observation
            losses[type(error).__name__] += 1

    run_together([run] * RACERS)
    if gone:
        raise gone[0]  # the race was not run to its end: whether the device is lost is for others to find out
    if len(results) != 1 or losses != {RejectReason.NONCE.value: RACERS - 1}:
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(losses.items())) or "no refusal"
        raise Unexpected(f"of {RACERS} racers {len(results)} opened the token; {outcomes}")
    return results[0]
