# SPDX-License-Identifier: Apache-2.0
"""Initial passwords: how they look, how strong they are, and that every character is equally likely."""

import math
import secrets
from itertools import cycle
from typing import Any

import pytest

from sealpass.core.errors import ConfigError
from sealpass.service.letter_password import ALPHABET, entropy_bits, make_initial_password
from sealpass.service.policy import PasswordPolicy


def test_default_form() -> None:
    """Four groups of four, separated by hyphens, of the alphabet only."""
    groups = make_initial_password().split("-")
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert set("".join(groups)) <= set(ALPHABET)


def test_settings() -> None:
    """Groups and their length are as asked for."""
    assert [len(group) for group in make_initial_password(groups=3, group_length=6).split("-")] == [6, 6, 6]


def test_alphabet_is_unambiguous() -> None:
    """No character twice, none in upper case, no vowel, and none that looks like another one."""
    assert len(set(ALPHABET)) == len(ALPHABET) == 26
    assert ALPHABET.lower() == ALPHABET
    assert set(ALPHABET).isdisjoint("aeiouy01lq")


def test_entropy() -> None:
    """At least 75 bits by default; as many as the number of equally likely passwords says."""
    assert entropy_bits() >= 75
    assert entropy_bits() == pytest.approx(math.log2(len(ALPHABET) ** 16))
    assert entropy_bits(groups=5, group_length=3) == pytest.approx(math.log2(len(ALPHABET) ** 15))


def test_default_policy_accepts_it() -> None:
    """What is made is accepted, and hashed as it is printed."""
    password = make_initial_password()
    assert PasswordPolicy().acceptable(password) == password


@pytest.mark.parametrize(("groups", "group_length"), [(3, 4), (1, 12), (0, 16), (4, 0), (-4, -4), (13, 4), (4, 13)])
def test_weak_or_absurd_settings_are_refused(groups: int, group_length: int) -> None:
    """Below 60 bits, or beyond what fits on paper."""
    with pytest.raises(ConfigError):
        make_initial_password(groups=groups, group_length=group_length)


def test_weakest_settings_that_are_accepted() -> None:
    """14 characters have 65 bits; 12 have 56."""
    assert len(make_initial_password(groups=2, group_length=7)) == 15


def test_every_character_is_a_choice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """secrets.choice() of the whole alphabet, once a character: so none is likelier than another."""
    drawn: list[str] = []
    characters = cycle(ALPHABET)

    def choice(alphabet: Any) -> str:
        drawn.append(alphabet)
        return next(characters)

    monkeypatch.setattr(secrets, "choice", choice)
    assert make_initial_password() == "bcdf-ghjk-mnpr-stvw"
    assert drawn == [ALPHABET] * 16


def test_no_two_alike() -> None:
    """1,000 passwords are 1,000 different ones, in which every character of the alphabet occurs."""
    made = {make_initial_password() for _ in range(1000)}
    assert len(made) == 1000
    assert set("".join(made)) == {*ALPHABET, "-"}
