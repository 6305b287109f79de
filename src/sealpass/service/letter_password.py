# SPDX-License-Identifier: Apache-2.0
"""Initial passwords for letters: random, read from paper, typed once.

The alphabet begins with the letters of RFC 8628 section 6.1 for codes that people type: consonants only, so that no
words turn up. Lower case, because that needs no shift key; without l and q, which look like 1 and like 9 or g; and
with the digits but 0 and 1, which look like o and l.
"""

import math
import secrets

from sealpass.core.errors import ConfigError

ALPHABET = "bcdfghjkmnprstvwxz" + "23456789"
SEPARATOR = "-"
"""Part of the password: what is typed without it does not match."""
DEFAULT_GROUPS = 4
DEFAULT_GROUP_LENGTH = 4
MAX_GROUPS = MAX_GROUP_LENGTH = 12
MIN_ENTROPY_BITS = 60.0
"""Nothing below it is made. The defaults have over 75: out of reach also for who stole the record and its key."""


def entropy_bits(*, groups: int = DEFAULT_GROUPS, group_length: int = DEFAULT_GROUP_LENGTH) -> float:
    """The entropy of make_initial_password() with the same settings, in bits; the separators add none."""
    return groups * group_length * math.log2(len(ALPHABET))


def make_initial_password(*, groups: int = DEFAULT_GROUPS, group_length: int = DEFAULT_GROUP_LENGTH) -> str:
    """A new random password (secret) such as ``7kfm-x3wd-bh9t-r4vc``. Raises ConfigError for settings that are weak.

    Each character is drawn evenly from ALPHABET by the system's generator. With the defaults it has 19 code points,
    more than the default policy asks for.
    """
    if not (1 <= groups <= MAX_GROUPS and 1 <= group_length <= MAX_GROUP_LENGTH):
        raise ConfigError(
            f"an initial password has 1 to {MAX_GROUPS} groups of 1 to {MAX_GROUP_LENGTH} characters",
            hint=f"the default is {DEFAULT_GROUPS} groups of {DEFAULT_GROUP_LENGTH}",
        )
    bits = entropy_bits(groups=groups, group_length=group_length)
    if bits < MIN_ENTROPY_BITS:
        raise ConfigError(
            f"{groups} groups of {group_length} characters have {bits:.1f} bits of entropy,"
            f" and an initial password at least {MIN_ENTROPY_BITS:.0f}",
            hint=f"the default is {DEFAULT_GROUPS} groups of {DEFAULT_GROUP_LENGTH}",
        )
    return SEPARATOR.join("".join(secrets.choice(ALPHABET) for _ in range(group_length)) for _ in range(groups))
