# SPDX-License-Identifier: Apache-2.0
"""Big-endian octets as Java's ``java.io.DataInput`` reads them, with every length checked against what is there."""


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
        # Java writes a character beyond U+FFFF as two surrogates of three octets each.
        units = self.take(self.unsigned(2)).decode("utf-8", "surrogatepass")
        return units.encode("utf-16", "surrogatepass").decode("utf-16")
