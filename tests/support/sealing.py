# SPDX-License-Identifier: Apache-2.0
"""Rings of AES keys in memory, which count their calls, and hashing that costs nothing: for tests of records."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sealpass.backends.memory_key import AesMemoryKey
from sealpass.core import argon2_hash
from sealpass.core.argon2_hash import Argon2Hash, Argon2Parameters
from sealpass.core.deadline import Deadline
from sealpass.core.protocols import Opener, Sealed, Sealer
from sealpass.core.uri import KeyUri

if TYPE_CHECKING:
    import pytest  # not for those who use this in a process of their own

CHEAP = Argon2Parameters(memory_kib=8, passes=1, lanes=1)
"""The least that Argon2 does."""


def watch_hashes(monkeypatch: "pytest.MonkeyPatch") -> list[Argon2Parameters]:
    """A list that gets the parameters of every Argon2 hash which is verified until the test ends."""
    seen: list[Argon2Parameters] = []
    verify = argon2_hash.verify

    def watched(stored: Argon2Hash, password: bytes) -> bool:
        seen.append(stored.parameters)
        return verify(stored, password)

    monkeypatch.setattr(argon2_hash, "verify", watched)
    return seen


class CountedKey(AesMemoryKey):
    """An AES-256 key of its own for each id; ``opened`` and ``sealed`` count the calls of its device."""

    def __init__(self, key_id: str = "key-1") -> None:
        super().__init__(KeyUri("software", {"path": b"nowhere"}), hashlib.sha256(key_id.encode()).digest(), key_id)
        self.opened = self.sealed = 0

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See Sealer."""
        self.sealed += 1
        return super().seal(plaintext, aad, deadline)

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See Opener."""
        self.opened += 1
        return super().open_sealed(sealed, aad, deadline)


class MemoryRing:
    """The smallest ring: the first key is the current one."""

    def __init__(self, *keys: AesMemoryKey) -> None:
        self.keys: Sequence[AesMemoryKey] = keys

    @property
    def current_sealer(self) -> Sealer:
        """See SealingRing."""
        return self.keys[0]

    def find_opener(self, kid: str) -> Opener | None:
        """See SealingRing."""
        return next((key for key in self.keys if key.key_id == kid), None)
