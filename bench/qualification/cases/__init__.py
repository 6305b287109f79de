# SPDX-License-Identifier: Apache-2.0
"""The contract as cases, by the ids of the catalogue in docs/qualification.md."""

from collections.abc import Iterator

from sealpass.bench.qualification.cases import algorithm, encoding, header, payload, protocol
from sealpass.bench.qualification.cases.case import Case
from sealpass.bench.qualification.device import Subject

NOT_COVERED = {
    "A8": "a key below 2048 bits or with an even exponent fails when it is opened, before any case",
    "A14, A15": "checks of the client; the server cannot see them",
    "A16": "a key of several uses is a finding on the key's attributes, not a token",
    "C4": "a client that repeats its random numbers cannot be seen from one token",
    "C5, E6": "belong to a profile that carries the password outside a JWE",
    "R3": "a token binds session and purpose, not the name that is typed beside it",
    "R5": "equal timing of failures is shown here by the failure floor only, not by statistics",
    "R6": "secrets in logs are a property of the service, tested with the product",
    "R7": "loss of the device in the middle of work needs fault injection",
    "R8": "no profile carries a time",
    "R9": "what a client does after 'key-retired' is the client's",
}
"""Catalogue ids for which a qualification has no case, each with the reason."""


def all_cases(subject: Subject) -> Iterator[Case]:
    """Every case for a key under a profile; ids are unique."""
    for part in (protocol, algorithm, header, encoding, payload):
        yield from part.cases(subject)
