# SPDX-License-Identifier: Apache-2.0
"""Strict base64url without padding, as RFC 7515 section 2 wants it: one byte string has exactly one spelling."""

import binascii

# '-' and '_' become the standard alphabet; '+', '/' and the sender's own '=' become one that strict mode refuses.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", None, b"==", b"=")
# RFC 4648 section 3.5: the unused low bits of the last character must be zero. By length modulo 4.
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}


def decode(text: bytes) -> bytes:
    """Decode canonical base64url; raises ValueError for padding, foreign characters or non-zero spare bits."""
    remainder = len(text) & 3
    padding = _PADDING[remainder]
    if padding is None:
        raise ValueError("not base64url: impossible length")
    if padding and text[-1] not in _LAST[remainder]:
        raise ValueError("not canonical base64url")
    return binascii.a2b_base64(text.translate(_TO_STANDARD) + padding, strict_mode=True)


def encode(octets: bytes) -> bytes:
    """Encode to base64url without padding."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_URL).rstrip(b"=")
