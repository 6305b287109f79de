# SPDX-License-Identifier: Apache-2.0
"""What stands between the octets of a file and asn1crypto: a look at their shape, in linear time.

asn1crypto 1.5 takes the square of the length for an object identifier, and for a tag of many octets. Both stand before
the MAC of a store, so whoever could write 1 MiB to the file, without any password, kept a core busy for two minutes.
"""

from typing import Any

MAX_IDENTIFIER_BYTES = 64
"""Of an object identifier; the longest that any store needs has 11."""
MAX_NESTING = 64
"""Of constructed elements; a PKCS #12 store has about 15."""
_OBJECT_IDENTIFIER = 0x06
_CONSTRUCTED = 0x20
_MANY_OCTETS = 0x1F  # the number of the tag follows in octets of its own (X.690 section 8.1.2.4)
_INDEFINITE = 0x80


def load(kind: Any, octets: bytes, **options: Any) -> Any:
    """``kind.load`` of asn1crypto, strictly; raises ValueError, and whatever else asn1crypto raises at damaged octets.

    Octets inside an OCTET STRING are not looked at: they go through here when they are loaded themselves.
    """
    _check_shape(octets)
    return kind.load(octets, strict=True, **options)


def is_cut_off(octets: bytes) -> bool:
    """Whether the outermost element goes on beyond the end, as in a file of which the last part is missing."""
    length, position = _length(octets, 1)
    return not octets.endswith(b"\0\0") if length is None else position + length > len(octets)


def _check_shape(octets: bytes) -> None:
    position, size = 0, len(octets)
    enclosing: list[tuple[int, bool]] = []  # where each open element ends, at the latest; whether its length is open
    while position < size or enclosing:
        end, is_open = enclosing[-1] if enclosing else (size, False)
        if position == end:
            if is_open:
                raise ValueError("no end of an element without a length")
            enclosing.pop()
            continue
        if is_open and octets[position : position + 2] == b"\0\0":
            enclosing.pop()
            position += 2
            continue
        tag = octets[position]
        length, position = _length(octets, position + 1)
        _check_tag(tag, length, end - position)
        if tag & _CONSTRUCTED:
            if len(enclosing) == MAX_NESTING:
                raise ValueError("nested too deeply")
            enclosing.append((end, True) if length is None else (position + length, False))
        else:
            position += length or 0


def _length(octets: bytes, position: int) -> tuple[int | None, int]:
    """The length that begins at a position, and where it ends; None for one that is not stated."""
    first = octets[position] if position < len(octets) else 0
    position += 1
    if first < _INDEFINITE:
        return first, position
    if first == _INDEFINITE:
        return None, position
    end = position + first - _INDEFINITE
    return int.from_bytes(octets[position:end], "big"), end


def _check_tag(tag: int, length: int | None, available: int) -> None:
    if tag & _MANY_OCTETS == _MANY_OCTETS:
        raise ValueError("a tag of many octets")
    if length is None:
        if not tag & _CONSTRUCTED:
            raise ValueError("a primitive element without a length")
        length = 0
    if length > available:
        raise ValueError("a length goes beyond the end")
    if tag & ~_CONSTRUCTED == _OBJECT_IDENTIFIER and length > MAX_IDENTIFIER_BYTES:
        raise ValueError("an absurd object identifier")
