# SPDX-License-Identifier: Apache-2.0
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.core.errors import ConfigError, Error, OperatorError
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.service.policy import (
    MAX_BLOCK_LIST_BYTES,
    MAX_HISTORY,
    NOTHING_MATCHES,
    BlockList,
    Normalisation,
    PasswordPolicy,
    PolicyReason,
    PolicyViolation,
)
from tests.unit.test_secrecy import told_by

ONE, TWO = "ä", "a\u0308"
"""The same letter, of one code point and of two."""


def refused(policy: PasswordPolicy, password: str, *, enforced: bool = True) -> tuple[PolicyReason, ...]:
    """Why a password is not accepted; the error does not tell it."""
    with pytest.raises(PolicyViolation) as caught:
        policy.acceptable(password, enforced=enforced)
    if len(password) > 2:
        assert password[:100] not in told_by(caught.value)
    return caught.value.reasons


def test_length_is_counted_in_code_points() -> None:
    """Not in bytes, and not in UTF-16 units; both ends are allowed."""
    policy = PasswordPolicy(min_length=4, max_length=6)
    for password in ("\U0001f510" * 4, "ä" * 6):
        assert policy.acceptable(password) == password
    assert refused(policy, "\U0001f510" * 3) == (PolicyReason.TOO_SHORT,)
    assert refused(policy, "ä" * 7) == (PolicyReason.TOO_LONG,)


def test_length_is_counted_after_normalisation() -> None:
    """What is counted is what is hashed."""
    assert refused(PasswordPolicy(min_length=4, normalisation=Normalisation.NFC), TWO * 2) == (PolicyReason.TOO_SHORT,)
    assert PasswordPolicy(min_length=4).acceptable(TWO * 2) == TWO * 2


def test_the_default_asks_what_sp_800_63b_4_asks_of_an_only_factor() -> None:
    """15 characters of any kind, spaces too, and nothing is trimmed."""
    assert PasswordPolicy().acceptable(" correct horse ") == " correct horse "
    assert refused(PasswordPolicy(), "correct horse ") == (PolicyReason.TOO_SHORT,)


@pytest.mark.parametrize("enforced", [True, False])
def test_nothing_over_the_byte_ceiling_is_hashed(*, enforced: bool) -> None:
    """Enforced or not; nor what only normalisation makes so long."""
    policy = PasswordPolicy(max_length=MAX_PASSWORD_BYTES, normalisation=Normalisation.NFKC)
    longest = "x" * MAX_PASSWORD_BYTES
    assert policy.acceptable(longest, enforced=enforced) == policy.comparable(longest) == longest
    shorter_in_nfc = TWO * 1500
    for password in (longest + "x", shorter_in_nfc, "\ufdfa" * 1000, "x" * 1_000_000):
        assert PolicyReason.TOO_LONG in refused(policy, password, enforced=enforced)
        assert policy.comparable(password) == NOTHING_MATCHES


@pytest.mark.parametrize(
    ("choice", "text"),
    [(Normalisation.NONE, TWO + "\uff21"), (Normalisation.NFC, ONE + "\uff21"), (Normalisation.NFKC, ONE + "A")],
)
def test_one_form_is_hashed_and_compared(choice: Normalisation, text: str) -> None:
    """The chosen one, and case stays: this is no folding."""
    policy = PasswordPolicy(min_length=1, normalisation=choice)
    assert policy.acceptable(TWO + "\uff21") == policy.comparable(TWO + "\uff21") == text


@given(st.text(st.characters(codec=None)), st.sampled_from(Normalisation))
def test_what_is_accepted_is_compared_in_the_same_form(password: str, choice: Normalisation) -> None:
    """Or nobody could log in with it; and a form is the form of itself."""
    policy = PasswordPolicy(min_length=1, normalisation=choice)
    try:
        text = policy.acceptable(password, enforced=False)
    except PolicyViolation:
        return
    assert text == policy.comparable(password) == policy.comparable(text)
    assert text.encode() != b""


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\x1b", "\x7f", "\x85"], ids=ascii)
def test_control_characters_are_a_choice(character: str) -> None:
    """Refused unless allowed; then they stay where they are."""
    password = f"correct{character}horse{character}"
    assert refused(PasswordPolicy(min_length=1), password) == (PolicyReason.CHARACTERS,)
    assert PasswordPolicy(min_length=1, control_characters=True).acceptable(password) == password


def test_half_a_surrogate_pair_is_never_accepted() -> None:
    """It is no text, so no hash can be of it, whatever is allowed."""
    for password in ("abc\ud800", "\udc00abc"):
        policy = PasswordPolicy(min_length=1, control_characters=True)
        assert refused(policy, password) == refused(policy, password, enforced=False) == (PolicyReason.CHARACTERS,)
        assert policy.comparable(password) == password


@pytest.mark.parametrize("character", ["\u200d", "\u00ad", " ", "\ue000", "\u0378"], ids=ascii)
def test_other_characters_are_accepted(character: str) -> None:
    """Joiners (they make emoji), spaces, private and unassigned code points."""
    assert PasswordPolicy(min_length=1).acceptable(f"a{character * 3}") == f"a{character * 3}"


@pytest.mark.parametrize(
    "character",
    [
        "\u00ad",
        "\u034f",
        "\u115f",
        "\u200b",
        "\u200c",
        "\u200d",
        "\u200e",
        "\u2060",
        "\u2065",
        "\u3164",
        "\ufe0f",
        "\ufeff",
        "\uffa0",
        "\ufff0",
        "\U000e0020",
        "\U000e0100",
        "\U000e0fff",
    ],
    ids=ascii,
)
def test_what_shows_nothing_does_not_count_towards_the_length(character: str) -> None:
    """A password of such characters is empty for whoever reads it; beside others they stay where they are."""
    policy = PasswordPolicy(max_length=21)
    assert refused(policy, character * 15) == (PolicyReason.TOO_SHORT,)
    assert refused(policy, "x" * 14 + character) == (PolicyReason.TOO_SHORT,)
    assert policy.acceptable(f"correct {character}horse staple") == f"correct {character}horse staple"
    assert refused(policy, "x" * 15 + character * 7) == (PolicyReason.TOO_LONG,)
    assert policy.acceptable(character, enforced=False) == character


@pytest.mark.parametrize("character", [" ", "\u0301", "\u2003", "\u2028", "\u3000", "\ue000"], ids=ascii)
def test_marks_and_spaces_count(character: str) -> None:
    """Each is a code point that is shown, if only as a gap."""
    assert PasswordPolicy(min_length=4).acceptable(f"a{character * 2}b") == f"a{character * 2}b"


def test_a_policy_that_is_off_leaves_what_cannot_be_done_without() -> None:
    """Normalisation, or steps with and without a policy could not share a table; and a password that is one."""
    policy = PasswordPolicy(block_list=BlockList(frozenset({"x"})), normalisation=Normalisation.NFC)
    assert policy.acceptable("x", enforced=False) == "x"
    assert policy.acceptable("\0", enforced=False) == "\0"
    assert policy.acceptable(TWO, enforced=False) == ONE
    assert refused(policy, "", enforced=False) == (PolicyReason.TOO_SHORT,)


def test_all_reasons_are_told_at_once(tmp_path: Path) -> None:
    """So that nobody has to try as often as there are rules."""
    path = tmp_path / "list"
    path.write_bytes(b"a\tb")
    policy = PasswordPolicy(block_list=BlockList.load(path))
    reasons = refused(policy, "A\tB")
    assert reasons == (PolicyReason.TOO_SHORT, PolicyReason.CHARACTERS, PolicyReason.BLOCK_LISTED)


def test_a_violation_is_an_answer_to_a_user() -> None:
    """Of our tree, not for operators, and it survives a process pool."""
    violation = PolicyViolation(PolicyReason.TOO_SHORT, PolicyReason.BLOCK_LISTED)
    assert isinstance(violation, Error)
    assert not isinstance(violation, OperatorError)
    copied = pickle.loads(pickle.dumps(violation))  # noqa: S301 - our own octets
    assert copied.reasons == violation.reasons
    assert str(copied) == str(violation) == "the password was not accepted (too-short, block-listed)"


def test_the_block_list_knows_no_case_and_no_compatible_form(tmp_path: Path) -> None:
    """Nor which line ends the file has; spaces in an entry count, and '#' begins no comment."""
    path = tmp_path / "list"
    path.write_bytes("\ufeffPassWort\r\n\nSTRASSE\n# a b \nÄffchen\n".encode())
    listed = BlockList.load(path)
    assert len(listed) == 4
    for password in ("PASSWORT", "passwort", "\uff30asswort", "straße", "# A B ", "a\u0308ffchen", "pass\u200bwort"):
        assert password in listed
    for password in ("passwort ", "", "a b", "asswort"):
        assert password not in listed
    assert "passwort" not in repr(PasswordPolicy(block_list=listed)).lower()


def test_a_line_ends_at_a_line_feed_only(tmp_path: Path) -> None:
    """Other separators of Unicode may stand in a password."""
    path = tmp_path / "list"
    path.write_bytes("ab\u2028cd\x0bef\n".encode())
    assert len(BlockList.load(path)) == 1


@pytest.mark.parametrize("content", [None, b"", b"\n\r\n", b"a\n\xff\n", b"x\n" * (MAX_BLOCK_LIST_BYTES // 2) + b"x"])
def test_a_bad_block_list_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """One that is not there, is empty, is no text, or is too large; never half of it taken."""
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="the block list"):
        BlockList.load(path)


def test_a_block_list_without_a_possible_path_is_refused() -> None:
    """As one that is not there."""
    with pytest.raises(ConfigError, match="NUL"):
        BlockList.load(Path("a\0b"))


@pytest.mark.parametrize(
    "values",
    [
        {"min_length": 0},
        {"min_length": 9, "max_length": 8},
        {"max_length": MAX_PASSWORD_BYTES + 1},
        {"history": -1},
        {"history": MAX_HISTORY + 1},
        {"normalisation": "NFD"},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    """When it is made, not when somebody chooses a password."""
    with pytest.raises(ConfigError):
        PasswordPolicy(**values)
