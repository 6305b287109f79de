# SPDX-License-Identifier: Apache-2.0
"""What a key can do, as a value: found by trying, never by believing a mechanism list."""

from dataclasses import dataclass
from enum import StrEnum

from sealpass.core.algorithms import ContentEncryption, RsaOaep, SealAlgorithm
from sealpass.core.errors import UnsupportedAlgorithm


class UnwrapMode(StrEnum):
    """Where the CEK goes when a key unwraps it; every report names the mode."""

    NATIVE = "native"
    """The device removes the padding and hands the CEK to us: the private key is protected, the CEK is in memory."""
    IN_TOKEN = "in-token"  # noqa: S105
    """The CEK becomes an object inside the token, which also does the content decryption."""
    SOFTWARE = "software"
    """Key and CEK are both in the memory of this process."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is declared here works; what is not is refused with UnsupportedAlgorithm before any I/O."""

    mode: UnwrapMode | None = None
    unwrap: frozenset[RsaOaep] = frozenset()
    content: frozenset[ContentEncryption] = frozenset()
    seal: frozenset[SealAlgorithm] = frozenset()

    def refuse_unwrap(self, oaep: RsaOaep, enc: ContentEncryption) -> UnsupportedAlgorithm:
        """The error for an unwrap that is not declared, naming what is."""
        known = ", ".join(sorted(map(str, self.unwrap))) or "no RSA-OAEP at all"
        contents = ", ".join(sorted(map(str, self.content))) or "no content encryption"
        return UnsupportedAlgorithm(f"this key does not unwrap {oaep} with {enc}; it does {known} with {contents}")

    def refuse_seal(self) -> UnsupportedAlgorithm:
        """The error for sealing with a key that does not."""
        return UnsupportedAlgorithm("this key does not seal: it has no AES-GCM", hint="seal with an AES key")
