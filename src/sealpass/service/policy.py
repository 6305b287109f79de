# SPDX-License-Identifier: Apache-2.0
"""What a password may be, and in which form it is hashed and compared.

Follows NIST SP 800-63B-4 section 3.1.1.2: length and a block list, no rules of composition. What the policy says is
an answer to whoever chooses a password, as TokenRejected is to whoever sends a token: neither is for operators.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from sealpass.core.errors import ConfigError, Error
from sealpass.core.password_size import MAX_PASSWORD_BYTES

LEAST_LENGTH = 8
"""Code points: what SP 800-63B-4 asks for where the password is one of two factors."""
MAX_HISTORY = 24
"""A new password costs one hash and one call of the device for each record of the history."""
MAX_BLOCK_LIST_BYTES = 16 * 1024 * 1024
NOTHING_MATCHES = "\ud800"
"""No text of Unicode, so no password was ever hashed from it; verifying it costs what any wrong password does."""


_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Fillers, variation selectors: what Default_Ignorable_Code_Point has besides format characters (category Cf).

https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt, and The Unicode Standard, section 5.21.
"""


class Normalisation(StrEnum):
    """The form of Unicode in which passwords are hashed and compared."""

    NONE = "none"
    """As they come: an ä of one code point is another password than an ä of two."""
    NFC = "nfc"
    NFKC = "nfkc"
    """Also folds what only looks different: full-width letters, ligatures."""

    def apply(self, text: str) -> str:
        """The text in this form."""
        match self:
            case Normalisation.NONE:
                return text
            case Normalisation.NFC:
                return unicodedata.normalize("NFC", text)
            case Normalisation.NFKC:
                return unicodedata.normalize("NFKC", text)


class PolicyReason(StrEnum):
    """Why a password was not accepted; may be shown to whoever chose it."""

    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    CHARACTERS = "characters"
    """It holds a control character, or half of a surrogate pair."""
    BLOCK_LISTED = "block-listed"
    REUSED = "reused"
    """It is the current or a recent password."""


class PolicyViolation(Error):
    """A new password was not accepted, and nothing was stored; ``reasons`` are all that were found, one at least.

    For whoever chose it, who has just typed it; an operator has nothing to do.
    """

    code = "policy-violation"
    hint = "choose another password"

    def __init__(self, *reasons: PolicyReason) -> None:
        super().__init__(f"the password was not accepted ({', '.join(reasons)})")
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class BlockList:
    """Passwords that everybody guesses first.

    Compared without regard to case and to what shows nothing (joiners, zero-width spaces), and as NFKC has them.
    """

    entries: frozenset[str] = field(repr=False)
    """Folded."""

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, password: str) -> bool:
        return _folded(password) in self.entries

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file in UTF-8, one entry a line, empty lines skipped; nothing is a comment. Raises ConfigError."""
        try:
            with path.open("rb") as file:
                octets = file.read(MAX_BLOCK_LIST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"cannot read the block list {path}: {error.strerror}") from None
        except ValueError:
            raise ConfigError("the path of a block list holds no NUL") from None
        if len(octets) > MAX_BLOCK_LIST_BYTES:
            raise ConfigError(f"the block list {path} has over {MAX_BLOCK_LIST_BYTES} bytes", hint="take its top")
        try:
            text = octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"the block list {path} is not UTF-8 text at byte {error.start}") from None
        # Not splitlines(), which also splits at characters that may stand in a password.
        entries = frozenset(_folded(line.removesuffix("\r")) for line in text.split("\n")) - {""}
        if not entries:
            raise ConfigError(f"the block list {path} is empty", hint="is it the right file?")
        return cls(entries)


def _shown(text: str) -> str:
    """Without format characters and all else that is ignored by whatever shows a text."""
    if text.isascii():
        return text
    return "".join(one for one in text if unicodedata.category(one) != "Cf" and not _IGNORABLE.match(one))


def _folded(text: str) -> str:
    """For caseless comparison of compatible texts (The Unicode Standard, section 3.13.5, D146), as they are shown."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", _shown(text)).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What a new password may be. Lengths are in code points, after normalisation. Raises ConfigError.

    Code points that show nothing (joiners, zero-width spaces, variation selectors) may occur, and do not count towards
    ``min_length``.

    Whether a step enforces it is the repository's to say; normalisation, the byte ceiling and what cannot be hashed
    at all hold in every step.
    """

    min_length: int = 15
    """SP 800-63B-4 asks for 15 where the password is the only factor, for 8 where it is one of two."""
    max_length: int = 256
    normalisation: Normalisation = Normalisation.NONE
    """Decide before the first password is stored: hashes of before keep the form that they were made from."""
    control_characters: bool = False
    """Whether they may occur: NUL, tab, line ends and the like."""
    block_list: BlockList | None = None
    history: int = 5
    """A new password is neither the current one nor one of so many before it. 0: it may be."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_length <= self.max_length <= MAX_PASSWORD_BYTES:
            raise ConfigError(f"lengths of passwords go from 1 to {MAX_PASSWORD_BYTES}, the least one first")
        if not 0 <= self.history <= MAX_HISTORY:
            raise ConfigError(f"a history has 0 to {MAX_HISTORY} records")
        if not isinstance(self.normalisation, Normalisation):
            raise ConfigError(f"a normalisation is one of {', '.join(Normalisation)}")

    def comparable(self, password: str) -> str:
        """The form of a password (secret) to verify records with; for what no record can be of, NOTHING_MATCHES.

        Beyond MAX_PASSWORD_BYTES, before or after normalisation, nothing is normalised, hashed or looked up.
        """
        if _is_too_long(password):
            return NOTHING_MATCHES
        text = self.normalisation.apply(password)
        return NOTHING_MATCHES if _is_too_long(text) else text

    def acceptable(self, password: str, *, enforced: bool = True) -> str:
        """The form of a new password (secret) to hash; raises PolicyViolation. The history is not looked at here.

        Not ``enforced``: whatever can be hashed and is not empty is accepted.
        """
        if _is_too_long(password):
            raise PolicyViolation(PolicyReason.TOO_LONG)
        text = self.normalisation.apply(password)
        reasons = []
        if len(_shown(text)) < self.min_length if enforced else not text:
            reasons.append(PolicyReason.TOO_SHORT)
        if _is_too_long(text) or (enforced and len(text) > self.max_length):
            reasons.append(PolicyReason.TOO_LONG)
        if any(map(_is_surrogate, text)) or (enforced and not self.control_characters and any(map(_is_control, text))):
            reasons.append(PolicyReason.CHARACTERS)
        if enforced and self.block_list is not None and text in self.block_list:
            reasons.append(PolicyReason.BLOCK_LISTED)
        if reasons:
            raise PolicyViolation(*reasons)
        return text


def _is_too_long(password: object) -> bool:
    """Raises ConfigError for what is not text."""
    if not isinstance(password, str):
        raise ConfigError(f"a password is a str, not {type(password).__name__}")
    return len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"
