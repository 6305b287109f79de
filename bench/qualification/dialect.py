# SPDX-License-Identifier: Apache-2.0
"""The dialects of the contract as a qualification knows them: how to write tokens, which cases to try."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealpass.bench.qualification.cases import (
    algorithm,
    compact_jwe,
    content,
    encoding,
    encrypted_key,
    header,
    kms_message,
    kms_nonce,
    password,
    payload,
    protocol,
)
from sealpass.bench.qualification.cases.case import Case
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow, JweFlow, KmsFlow
from sealpass.core.algorithms import ENC_BY_JWE_NAME
from sealpass.core.jwe_profile import JweProfile
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.profile import Profile

_NEVER_COVERED = {
    "A8": "a key below 2048 bits or with an even exponent fails when it is opened, before any case",
    "A14, A15": "checks of the client; the server cannot see them",
    "A16": "a key of several uses is a finding on the key's attributes, not a token",
    "C4": "a client that repeats its random numbers cannot be seen from one token",
    "R3": "a token binds session and purpose, not the name that is typed beside it",
    "R5": "equal timing of failures is shown here by the failure floor only, not by statistics",
    "R6": "secrets in logs are a property of the service, tested with the product",
    "R7": "loss of the device in the middle of work needs fault injection",
    "R8": "no profile carries a time",
    "R9": "what a client does after 'key-retired' is the client's",
}
_NOT_IN_JWE = {"C5, E6": "belong to a profile that carries the password outside a JWE"}
_NOT_IN_KMS = {
    "A2, A3, A4, A5, A10": "a message names no algorithm; one for another OAEP hash than was announced is C5",
    "C6": "a message is AES-GCM, whatever else a key can do",
    "E1, E2, E3, E4": "a message is no JWE; how it is written is E6",
    "H1, H2, H3, H4, H5, H8, H9, H10, H11, H12": "a message has no header; what binds it to its nonce is C5",
    "P1, P2, P7, P9": "the payload is the password itself and no JSON; the JSON around it is E6",
    "P8": "messages are not padded: who sees one knows how many bytes the password has",
}


def _no_settings(_profile: Profile) -> dict[str, Any]:
    return {}


def _kms_settings(profile: Profile) -> dict[str, Any]:
    assert isinstance(profile, KmsProfile)  # noqa: S101 - the dialect was chosen by the profile
    return {"kms_key_bits": 8 * ENC_BY_JWE_NAME[profile.encs[0]].cek_bytes, "kms_aad": profile.nonce_form.value}


Part = Callable[[Subject], Iterator[Case[Any]]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of the kinds of message that the contract knows."""

    flow: type[Flow]
    """Writes tokens of the dialect, good and bad ones."""
    parts: tuple[Part, ...]
    not_covered: Mapping[str, str]
    """Catalogue ids for which the dialect has no case, each with the reason."""
    settings: Callable[[Profile], dict[str, Any]] = _no_settings
    """What a profile leaves to its users and a result file has to name."""


_FOR_ANY: tuple[Part, ...] = (protocol.cases, encrypted_key.cases, content.cases, password.cases)
_DIALECTS: dict[type[Profile], Dialect] = {
    JweProfile: Dialect(
        JweFlow,
        (*_FOR_ANY, compact_jwe.cases, algorithm.cases, header.cases, encoding.cases, payload.cases),
        _NEVER_COVERED | _NOT_IN_JWE,
    ),
    KmsProfile: Dialect(
        KmsFlow, (*_FOR_ANY, kms_message.cases, kms_nonce.cases), _NEVER_COVERED | _NOT_IN_KMS, _kms_settings
    ),
}


def dialect_of(profile: Profile) -> Dialect:
    """The dialect of a profile."""
    return next(dialect for kind, dialect in _DIALECTS.items() if isinstance(profile, kind))


def all_cases(subject: Subject) -> Iterator[Case[Any]]:
    """Every case for a key under a profile; ids are unique."""
    for part in dialect_of(subject.profile).parts:
        yield from part(subject)
