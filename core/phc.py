# SPDX-License-Identifier: Apache-2.0
"""Fields of hash strings in the PHC format (``$id$parameters$salt$hash``): one value has one spelling.

https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
"""

import binascii

NUMBER = "[1-9][0-9]{0,9}"
"""Decimal without a leading zero, as a part of patterns; ten digits hold every 32-bit number."""
BASE64 = "[A-Za-z0-9+/]{1,1024}"
"""The standard alphabet without padding, as a part of patterns."""


def decode(text: str) -> bytes:
    """Decode base64 without padding; raises ValueError, without the text, unless it is canonical."""
    try:
        octets = binascii.a2b_base64(text.encode("ascii", "replace") + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        octets = b""
    if encode(octets) != text:
        raise ValueError("not canonical base64")
    return octets


def encode(octets: bytes) -> str:
    """Encode to base64 without padding."""
    return binascii.b2a_base64(octets, newline=False).decode("ascii").rstrip("=")
