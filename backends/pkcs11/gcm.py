# SPDX-License-Identifier: Apache-2.0
"""Sealing with AES-GCM in a token, one class for each way that IVs come about.

Whatever the device does, a caller sees the same: the IV that was used, and the ciphertext with its tag behind it. An
IV that the token makes is checked: AES-GCM under an IV that was used before gives both texts and the key's
authentication away (SP 800-38D appendix A).
"""

import ctypes
import secrets
import threading
from collections import OrderedDict
from ctypes import Array, c_ubyte
from typing import Protocol

from sealpass.backends.pkcs11.cryptoki import GcmMechanism, Reference
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.pkcs11.vendor_profile import GcmIv, GcmSealing
from sealpass.core.algorithms import A256GCM
from sealpass.core.errors import BackendUnavailable
from sealpass.core.protocols import Sealed

TAG_BYTES = A256GCM.tag_bytes
_REMEMBERED_IVS = 4096
_ROOM_BEHIND_IV = 16

IvPlace = bytes | Array[c_ubyte] | None
"""Our IV, the buffer that the token writes its IV into, or nothing where the IV comes with the ciphertext."""


class Sealing(Protocol):
    """How one module seals and opens. Thread-safe; made once for a key."""

    def begin(self, session: PooledSession, aad: bytes) -> tuple[Reference, IvPlace]:
        """The mechanism for C_EncryptInit, and what :meth:`end` wants. Keep both until C_Encrypt is over."""
        ...

    def end(self, place: IvPlace, output: bytes, plaintext_bytes: int) -> tuple[bytes, bytes]:
        """IV, and ciphertext with tag, out of what C_Encrypt gave; raises BackendUnavailable where that is no good."""
        ...

    def mechanism_to_open(self, session: PooledSession, iv: bytes, aad: bytes) -> Reference:
        """The mechanism for C_DecryptInit."""
        ...

    def octets_to_open(self, sealed: Sealed) -> bytes:
        """What C_Decrypt wants."""
        ...


def _checked(ciphertext: bytes, plaintext_bytes: int) -> bytes:
    if len(ciphertext) != plaintext_bytes + TAG_BYTES:
        raise BackendUnavailable("the token's ciphertext has not the length of AES-GCM", retryable=False)
    return ciphertext


class OwnIv:
    """The IV is ours: random bytes, as every module takes them that follows the standard."""

    def __init__(self, how: GcmSealing) -> None:
        self._iv_bytes = how.iv_bytes

    def begin(self, session: PooledSession, aad: bytes) -> tuple[Reference, IvPlace]:
        """See :class:`Sealing`."""
        iv = secrets.token_bytes(self._iv_bytes)
        return session.gcm.prepare(iv, aad), iv

    def end(self, place: IvPlace, output: bytes, plaintext_bytes: int) -> tuple[bytes, bytes]:
        """See :class:`Sealing`."""
        assert isinstance(place, bytes)  # noqa: S101 - begin() made it
        return place, _checked(output, plaintext_bytes)

    def mechanism_to_open(self, session: PooledSession, iv: bytes, aad: bytes) -> Reference:
        """See :class:`Sealing`."""
        return session.gcm.prepare(iv, aad)

    def octets_to_open(self, sealed: Sealed) -> bytes:
        """See :class:`Sealing`."""
        return sealed.ciphertext


class _TokenIv:
    """What the ways with the token's IV share: the IV must be one, and must be new."""

    def __init__(self, how: GcmSealing) -> None:
        self._iv_bytes = how.iv_bytes
        self._mechanism = how.mechanism
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def _fresh(self, iv: bytes) -> bytes:
        if not any(iv):
            raise BackendUnavailable("the token made no IV of its own: nothing is sealed", retryable=False)
        with self._lock:
            repeated = iv in self._seen
            self._seen[iv] = None
            if len(self._seen) > _REMEMBERED_IVS:
                self._seen.popitem(last=False)
        if repeated:
            raise BackendUnavailable("the token gave the same IV twice: nothing is sealed", retryable=False)
        return iv

    def mechanism_to_open(self, session: PooledSession, iv: bytes, aad: bytes) -> Reference:  # noqa: ARG002 - OwnIv has it
        """See :class:`Sealing`."""
        return GcmMechanism(self._mechanism).prepare(iv, aad)

    def octets_to_open(self, sealed: Sealed) -> bytes:
        """See :class:`Sealing`."""
        return sealed.ciphertext


class WrittenBackIv(_TokenIv):
    """The token writes its IV into a zeroed buffer of ours, at C_EncryptInit or at C_Encrypt."""

    def begin(self, session: PooledSession, aad: bytes) -> tuple[Reference, IvPlace]:  # noqa: ARG002 - OwnIv has it
        """See :class:`Sealing`. The buffer is new each time: Python's bytes are shared, and must never change."""
        buffer = (c_ubyte * (self._iv_bytes + _ROOM_BEHIND_IV))()
        return GcmMechanism(self._mechanism).prepare_for_token(buffer, self._iv_bytes, aad), buffer

    def end(self, place: IvPlace, output: bytes, plaintext_bytes: int) -> tuple[bytes, bytes]:
        """See :class:`Sealing`."""
        assert isinstance(place, ctypes.Array)  # noqa: S101 - begin() made it
        written = bytes(place)
        if any(written[self._iv_bytes :]):
            raise BackendUnavailable("the token wrote a longer IV than it was asked for", retryable=False)
        ciphertext = _checked(output, plaintext_bytes)
        return self._fresh(written[: self._iv_bytes]), ciphertext


class _IvInOutput(_TokenIv):
    """The token's IV comes with the ciphertext."""

    def begin(self, session: PooledSession, aad: bytes) -> tuple[Reference, IvPlace]:  # noqa: ARG002 - OwnIv has it
        """See :class:`Sealing`."""
        return GcmMechanism(self._mechanism).prepare_for_token(None, self._iv_bytes, aad), None


class AppendedIv(_IvInOutput):
    """Ciphertext, tag, IV; opened as usual."""

    def end(self, place: IvPlace, output: bytes, plaintext_bytes: int) -> tuple[bytes, bytes]:  # noqa: ARG002 - OwnIv has it
        """See :class:`Sealing`."""
        ciphertext = _checked(output[: -self._iv_bytes], plaintext_bytes)
        return self._fresh(output[-self._iv_bytes :]), ciphertext


class PrependedIv(_IvInOutput):
    """IV, ciphertext, tag; opened in the same form."""

    def end(self, place: IvPlace, output: bytes, plaintext_bytes: int) -> tuple[bytes, bytes]:  # noqa: ARG002 - OwnIv has it
        """See :class:`Sealing`."""
        ciphertext = _checked(output[self._iv_bytes :], plaintext_bytes)
        return self._fresh(output[: self._iv_bytes]), ciphertext

    def mechanism_to_open(self, session: PooledSession, iv: bytes, aad: bytes) -> Reference:  # noqa: ARG002 - OwnIv has them
        """See :class:`Sealing`."""
        return GcmMechanism(self._mechanism).prepare_for_token(None, self._iv_bytes, aad)

    def octets_to_open(self, sealed: Sealed) -> bytes:
        """See :class:`Sealing`."""
        return sealed.nonce + sealed.ciphertext


_WAYS: dict[GcmIv, type[OwnIv | WrittenBackIv | AppendedIv | PrependedIv]] = {
    GcmIv.OURS: OwnIv,
    GcmIv.WRITTEN_BACK: WrittenBackIv,
    GcmIv.APPENDED: AppendedIv,
    GcmIv.PREPENDED: PrependedIv,
}


def sealing(how: GcmSealing) -> Sealing:
    """The way that a vendor profile names."""
    return _WAYS[how.iv](how)
