# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Any

import argon2
import pytest
from argon2 import low_level
from argon2.exceptions import HashingError, VerificationError

from sealpass.core import argon2_hash, phc
from sealpass.core.argon2_hash import (
    DEFAULT_CEILINGS,
    HASHING_PROFILES,
    OWASP_12_MIB,
    OWASP_19_MIB,
    OWASP_46_MIB,
    RFC_9106_HIGH_MEMORY,
    RFC_9106_LOW_MEMORY,
    Argon2Ceilings,
    Argon2Parameters,
)
from sealpass.core.errors import BackendUnavailable, ConfigError, RecordProblem, RecordRefused
from tests.support.sealing import CHEAP

CEILINGS = Argon2Ceilings(memory_kib=64, passes=2, lanes=2)
SALT, TAG = "c2FsdHNhbHQ", phc.encode(bytes(32))


def text(m: int | str = 8, t: int | str = 1, p: int | str = 1, salt: str = SALT, tag: str = TAG) -> str:
    """A PHC string with such fields."""
    return f"$argon2id$v=19$m={m},t={t},p={p}${salt}${tag}"


def problem_of(value: str, ceilings: Argon2Ceilings = CEILINGS) -> RecordProblem:
    """What parsing says about it."""
    with pytest.raises(RecordRefused) as caught:
        argon2_hash.parse(value, ceilings)
    assert not value or value not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RFC_9106_HIGH_MEMORY, argon2.profiles.RFC_9106_HIGH_MEMORY),
        (RFC_9106_LOW_MEMORY, argon2.profiles.RFC_9106_LOW_MEMORY),
    ],
)
def test_profiles_of_the_rfc_are_those_of_the_library(ours: Argon2Parameters, theirs: argon2.Parameters) -> None:
    """RFC 9106 section 4, as another reader of it has it."""
    assert (ours.memory_kib, ours.passes, ours.lanes) == (theirs.memory_cost, theirs.time_cost, theirs.parallelism)
    assert (ours.salt_bytes, ours.tag_bytes) == (theirs.salt_len, theirs.hash_len)


def test_profiles_of_owasp_are_the_published_ones() -> None:
    """The three of the cheat sheet that ask for most memory, with one lane."""
    assert [(one.memory_kib, one.passes, one.lanes) for one in (OWASP_46_MIB, OWASP_19_MIB, OWASP_12_MIB)] == [
        (47104, 1, 1),
        (19456, 2, 1),
        (12288, 3, 1),
    ]
    assert len(set(HASHING_PROFILES.values())) == 5


def test_a_hash_verifies_here_and_in_the_library() -> None:
    """What is written is a plain PHC string, which any Argon2 library reads."""
    made = argon2_hash.hash_password(b"secret \0\xff", CHEAP)
    parsed = argon2_hash.parse(made, CEILINGS)
    assert parsed.parameters == CHEAP
    assert argon2_hash.verify(parsed, b"secret \0\xff")
    assert not argon2_hash.verify(parsed, b"secret ")
    assert low_level.verify_secret(made.encode(), b"secret \0\xff", low_level.Type.ID)


def test_every_hash_has_a_salt_of_its_own() -> None:
    """One password hashed twice has two hashes."""
    assert len({argon2_hash.hash_password(b"x", CHEAP) for _ in range(5)}) == 5


def test_lengths_of_salt_and_tag_are_those_asked_for() -> None:
    """They are read back from the string, too."""
    parameters = Argon2Parameters(16, 2, 2, salt_bytes=9, tag_bytes=20)
    assert argon2_hash.parse(argon2_hash.hash_password(b"x", parameters), CEILINGS).parameters == parameters


@pytest.mark.parametrize(
    "value", [text(m=65), text(t=3), text(m=32, p=3), text(m=4294967295), text(t=4294967295)], ids=str
)
def test_what_is_above_a_ceiling_never_reaches_argon2(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored string cannot ask for GiBs or hours: it is refused by its numbers."""
    monkeypatch.setattr(low_level, "verify_secret", lambda *_: pytest.fail("Argon2 was called"))
    assert problem_of(value) is RecordProblem.COST


def test_ceilings_are_exact() -> None:
    """What asks for just as much is verified."""
    assert argon2_hash.parse(text(m=64, t=2, p=2), CEILINGS).parameters == Argon2Parameters(64, 2, 2, 8, 32)


@pytest.mark.parametrize("profile", HASHING_PROFILES)
def test_every_profile_is_affordable_by_itself(profile: str) -> None:
    """The default ceilings hold all but the 2 GiB of the RFC's first option, and are raised for it."""
    parameters = HASHING_PROFILES[profile]
    assert DEFAULT_CEILINGS.admit(parameters) is (parameters is not RFC_9106_HIGH_MEMORY)
    assert DEFAULT_CEILINGS.raised_to(parameters).admit(parameters)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "secret",
        text().replace("argon2id", "argon2i"),
        text().replace("argon2id", "argon2d"),
        text().replace("v=19", "v=16"),
        text().replace("$v=19", ""),
        text(m="08"),
        text(m="+8"),
        text(m="٨"),
        text(m=""),
        text(m=99999999999),
        text(t=0),
        text(p=0),
        text(m=8, p=2),
        text(salt="c2FsdA"),
        text(salt=phc.encode(bytes(65))),
        text(salt="c2FsdHNhbHR"),
        text(salt=SALT + "="),
        text(salt="c2FsdHNhbHQhA"),
        text(tag=phc.encode(bytes(15))),
        text(tag=phc.encode(bytes(65))),
        text(tag=""),
        text(tag=TAG[:-1] + "B"),
        text(tag=TAG.replace("A", "-")),
        text() + "\n",
        text() + "$",
        " " + text(),
        text() + "\0",
        "$argon2id$v=19$t=1,m=8,p=1$" + f"{SALT}${TAG}",
        f"$argon2id$v=19$m=8,t=1,p=1,keyid=1${SALT}${TAG}",
    ],
)
def test_another_spelling_is_not_read(value: str) -> None:
    """One hash has one spelling; version 16, other Argon2s, short salts and tags are not for us."""
    assert problem_of(value) is RecordProblem.CONTENT


def test_a_matchless_hash_costs_the_same_and_matches_nothing() -> None:
    """It has the parameters of any other hash and its length, and its tag was drawn."""
    made = argon2_hash.matchless_hash(CHEAP)
    parsed = argon2_hash.parse(made, CEILINGS)
    assert parsed.parameters == CHEAP
    assert len(made) == len(argon2_hash.hash_password(b"", CHEAP))
    assert not argon2_hash.verify(parsed, b"")
    assert made != argon2_hash.matchless_hash(CHEAP)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Argon2Parameters(7, 1, 1),
        lambda: Argon2Parameters(15, 1, 2),
        lambda: Argon2Parameters(2**32, 1, 1),
        lambda: Argon2Parameters(8, 0, 1),
        lambda: Argon2Parameters(8, 2**32, 1),
        lambda: Argon2Parameters(8, 1, 0),
        lambda: Argon2Parameters(2**31, 1, 2**24),
        lambda: Argon2Parameters(8, 1, 1, salt_bytes=7),
        lambda: Argon2Parameters(8, 1, 1, salt_bytes=65),
        lambda: Argon2Parameters(8, 1, 1, tag_bytes=15),
        lambda: Argon2Parameters(8, 1, 1, tag_bytes=65),
    ],
)
def test_parameters_that_argon2_does_not_take(make: Callable[[], Argon2Parameters]) -> None:
    """A configuration says so at once, and not at the first login."""
    with pytest.raises(ConfigError):
        make()


def test_no_memory_is_an_error_for_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may work in a moment; no exception of the library comes out."""

    def fail(kind: type[Exception]) -> Callable[..., Any]:
        def failing(*_arguments: object, **_options: object) -> Any:
            raise kind("Memory allocation error")

        return failing

    monkeypatch.setattr(low_level, "hash_secret", fail(HashingError))
    monkeypatch.setattr(low_level, "verify_secret", fail(VerificationError))
    parsed = argon2_hash.parse(text(), CEILINGS)
    for run in (lambda: argon2_hash.hash_password(b"x", CHEAP), lambda: argon2_hash.verify(parsed, b"x")):
        with pytest.raises(BackendUnavailable) as caught:
            run()
        assert caught.value.retryable
        assert caught.value.__cause__ is None


def test_the_repr_of_a_hash_does_not_show_it() -> None:
    """It may end up in a log."""
    assert TAG not in repr(argon2_hash.parse(text(), CEILINGS))
