# SPDX-License-Identifier: Apache-2.0
"""Catalogue C5, H7 and R2, the part of ``airlock-kms``: a nonce that no message names, and what is bound to it."""

from collections.abc import Callable, Iterator
from functools import partial

from sealpass.bench.qualification.cases.case import (
    FAILS,
    GONE_SECONDS,
    OPENS,
    Case,
    Expected,
    Make,
    NonceRule,
    Outcome,
    Unexpected,
    refused,
    refused_late,
)
from sealpass.bench.qualification.cases.encrypted_key import other_hash, padded_otherwise
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import KmsFlow
from sealpass.core.algorithms import RsaOaep
from sealpass.core.errors import RejectReason
from sealpass.core.kms_profile import KMS_ALGORITHMS, NonceForm, additional_data
from sealpass.core.nonces import Purpose

_STEP = "the contract: a message answers the latest nonce of its session, purpose and profile"
_BOUND = "the contract: the nonce is the additional data of AES-GCM"
_NONE_LEFT = refused_late(RejectReason.NONCE)


def cases(subject: Subject) -> Iterator[Case[KmsFlow]]:
    """The cases of this part for a key under a profile."""
    yield from _bound(subject)
    yield from _steps()
    for letter, purpose in zip("abcd", (p for p in Purpose if p is not Purpose.CHECK), strict=True):
        yield Case(
            f"R2{letter}",
            f"a message for {Purpose.CHECK.value} sent to {purpose.value}, for which nothing was announced",
            "the contract: a nonce is bound to one purpose",
            refused(RejectReason.NONCE),
            KmsFlow.token,
            partial(KmsFlow.open, purpose=purpose),
        )
    yield Case(
        "R2e",
        f"a message for {Purpose.CHECK.value} sent to {Purpose.CHANGE.value}, for which a nonce was announced, too",
        "the contract: a nonce is bound to one purpose",
        Expected(Outcome.FAILED, NonceRule.KEPT),
        KmsFlow.token,
        _to_the_other_step,
    )


def _to_the_other_step(flow: KmsFlow, token: str) -> str:
    flow.again(Purpose.CHANGE)
    return flow.open(token, purpose=Purpose.CHANGE)


def _bound(subject: Subject) -> Iterator[Case[KmsFlow]]:
    form = KmsFlow.profile_of(subject).nonce_form
    other = NonceForm.BYTES if form is NonceForm.TEXT else NonceForm.TEXT
    announced = next(name for alg, name in KMS_ALGORITHMS.items() if alg == subject.alg)
    sent = next(name for alg, name in KMS_ALGORITHMS.items() if alg != subject.alg)
    hash_ = other_hash(subject.oaep.hash)
    yield Case("C5a", "no additional data", _BOUND, FAILS, _bound_to(lambda _flow: b""))
    yield Case(
        "C5b",
        f"the nonce's {other} as additional data, not its {form}",
        _BOUND,
        FAILS,
        _bound_to(lambda flow: additional_data(flow.information.nonce, other)),
    )
    yield Case("C5c", "the nonce of another login flow", _BOUND, FAILS, _bound_to(lambda flow: flow.new().aad()))
    yield Case(
        "C5d",
        "a nonce that was never announced",
        _BOUND,
        FAILS,
        _bound_to(lambda flow: additional_data(flow.subject.profile.new_nonce(), form)),
    )
    yield Case(
        "C5e",
        "authentication tag stripped",
        "RFC 7518 §5.3",
        FAILS,
        lambda flow: flow.parts().changed(tag=b"").token(),
    )
    yield Case(
        "C5f",
        f"{sent} where {announced} was announced",
        "RFC 8017 §7.1.2; RFC 7518 §4.3",
        FAILS,
        partial(padded_otherwise, oaep=RsaOaep(hash_, hash_)),
    )
    one_form = None if form is NonceForm.TEXT else "the octets of the nonce are the same in every spelling"
    spellings: tuple[tuple[str, str, Callable[[str], str]], ...] = (
        ("g", "without its padding", lambda nonce: nonce.rstrip("=")),
        ("h", "in the standard base64 alphabet", lambda nonce: nonce.replace("-", "+").replace("_", "/")),
    )
    for letter, what, spell in spellings:
        yield Case(
            f"C5{letter}",
            f"the nonce {what} as additional data",
            "RFC 4648 §3.2, §5; nonces compare as exact strings",
            FAILS,
            partial(_spelled, spell=spell),
            not_applicable=one_form,
        )


def _bound_to(aad: Callable[[KmsFlow], bytes]) -> Make[KmsFlow]:
    return lambda flow: flow.parts(aad=aad(flow)).token()


def _spelled(flow: KmsFlow, spell: Callable[[str], str]) -> str:
    # One nonce of four has neither '-' nor '_'; then another one is announced, and it is the latest that counts.
    latest = flow
    while (spelled := spell(latest.information.nonce)) == latest.information.nonce:
        latest = flow.again()
    return latest.parts(aad=spelled.encode("ascii")).token()


def _steps() -> Iterator[Case[KmsFlow]]:
    yield Case(
        "H7e",
        "sent in another session, in which nothing was announced",
        _STEP,
        refused(RejectReason.NONCE),
        KmsFlow.token,
        lambda flow, token: flow.open(token, session=f"{flow.session}-other"),
    )
    yield Case("H7f", "nonce expired", _STEP, _NONE_LEFT, KmsFlow.token, lifetime=GONE_SECONDS)
    yield Case("H7i", "no nonce left of this step", _STEP, _NONE_LEFT, _with_nothing_outstanding)
    yield Case(
        "H7j", "two announcements of a step: the answer to the earlier one", _STEP, FAILS, KmsFlow.token, _after_another
    )
    yield Case(
        "H7k",
        "two announcements of a step: the answer to the later one opens, and the earlier nonce is gone",
        _STEP,
        OPENS,
        KmsFlow.token,
        lambda flow, _token: _answered(flow.again(), flow),
    )
    yield Case(
        "H7l",
        "two announcements of a step: the answer to the earlier one, after the later one was answered",
        _STEP,
        _NONE_LEFT,
        KmsFlow.token,
        _after_the_later_one,
    )
    yield Case(
        "H7m",
        "an announcement for another step of the session, later: each step has its own nonce",
        _STEP,
        OPENS,
        KmsFlow.token,
        _beside_another_step,
    )


def _with_nothing_outstanding(flow: KmsFlow) -> str:
    flow.is_spent()  # looking takes it
    return flow.token()


def _after_another(flow: KmsFlow, token: str) -> str:
    flow.again()
    return flow.open(token)


def _answered(later: KmsFlow, flow: KmsFlow) -> str:
    """Answer the later announcement; gives the password of the flow where that gave its own."""
    if later.open(later.token()) != later.password:
        raise Unexpected("the answer to the latest announcement gave another password")
    return flow.password


def _after_the_later_one(flow: KmsFlow, token: str) -> str:
    _answered(flow.again(), flow)
    return flow.open(token)


def _beside_another_step(flow: KmsFlow, token: str) -> str:
    other = flow.again(Purpose.CHANGE)
    password = flow.open(token)
    _answered(other, flow)
    return password
