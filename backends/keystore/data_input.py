# SPDX-License-Identifier: Apache-2.0
"""Big-endian octets as Java's ``java.io.DataInput`` reads them, with every length checked against what is there."""

from contextlib import suppress

_NUL = b"\xc0\x80"  # so that no octet of a string is 0; in UTF-8 it is nothing


class DataInput:
    """A position in octets. Every method raises ValueError where they end too early."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 0

    @property
    def remaining(self) -> int:
        """How many octets are left."""
        return len(self._octets) - self._position

    def take(self, count: int) -> bytes:
        """The next octets."""
        if count > self.remaining:
            raise ValueError("a length goes beyond the end")
        start = self._position
        self._position += count
        return self._octets[start : self._position]

    def unsigned(self, count: int) -> int:
        """An unsigned number of that many octets."""
        return int.from_bytes(self.take(count), "big")

    def block(self) -> bytes:
        """Octets behind their length of four octets."""
        return self.take(self.unsigned(4))

    def text(self) -> str:
        """A string in modified UTF-8 behind its length of two octets (``DataInput.readUTF``)."""
        octets = self.take(self.unsigned(2)).replace(_NUL, b"\0")
        # Java writes a character beyond U+FFFF as two surrogates of three octets each.
        with suppress(UnicodeError):  # which would carry the octets along, and they may be of a decrypted key
            units = octets.decode("utf-8", "surrogatepass")
            return units.encode("utf-16", "surrogatepass").decode("utf-16")
        raise ValueError("not modified UTF-8")
