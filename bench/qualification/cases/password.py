# SPDX-License-Identifier: Apache-2.0
"""Catalogue P, the part that holds for any dialect: passwords that somebody might have, to the letter."""

from collections.abc import Iterator

from sealpass.bench.qualification.cases.case import OPENS, Case, refused
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.flow import Flow
from sealpass.core.errors import RejectReason

_TEXT = "RFC 8265 §4.2: never changed, never trimmed"


def cases(_subject: Subject) -> Iterator[Case[Flow]]:
    """The cases of this part for a key under a profile."""
    composed = "Zu\u0308rich-A\u030a"
    texts: tuple[tuple[str, str, str], ...] = (
        ("P4a", "umlauts, composed (NFC)", "Z\u00fcrich-\u00c5"),
        ("P4b", "umlauts, decomposed (NFD)", composed),
        ("P4c", "Turkish dotless and dotted i", "\u0131\u0130iI"),
        ("P4d", "full-width letters", "\uff50\uff41\uff53\uff53"),
        ("P4e", "an emoji joined by ZWJ", "\U0001f469\u200d\U0001f4bb"),
        ("P4f", "right-to-left text with a direction mark", "\u05e1\u05d9\u05e1\u05de\u05d4\u200f1"),
        ("P5a", "spaces in front and behind", "  leading and trailing  "),
        ("P5b", "a NUL inside", "before\0after"),
        ("P5c", "control characters", "\x01\t\r\n\x1f\x7f"),
        ("P5d", "one character", "x"),
        ("P5e", "nothing at all", ""),
        ("P5f", "quotes and backslashes", '"\\/\u2028{}'),
    )
    for name, title, password in texts:
        yield Case(name, f"a password of {title}", _TEXT, OPENS, Flow.token, password=password)
    for letter, size in zip("abcde", (64, 72, 73, 128, 4096), strict=True):
        yield Case(
            f"P6{letter}",
            f"a password of {size} bytes",
            "NIST SP 800-63B-4 §3.1.1.2: no truncation",
            OPENS,
            Flow.token,
            password="".join(chr(33 + position % 90) for position in range(size)),
        )
    yield Case(
        "P6f",
        "a password of 1 MiB",
        "the contract: tokens of at most 8 KiB",
        refused(RejectReason.SIZE),
        Flow.token,
        password="x" * 1_048_576,
    )
