# SPDX-License-Identifier: Apache-2.0
"""One session of the pool, with everything that its operations need prepared once."""

import ctypes
import sys
from ctypes import byref, c_char, c_ulong, c_void_p, cast
from typing import TYPE_CHECKING

from pkcs11 import Session

from sealpass.backends.pkcs11.cryptoki import (
    CKA_VALUE,
    CKA_VALUE_LEN,
    CKS_RO_USER_FUNCTIONS,
    CKS_RW_USER_FUNCTIONS,
    AesKeyTemplate,
    Attribute,
    FunctionList,
    GcmMechanism,
    Reference,
    SessionInfo,
)
from sealpass.backends.pkcs11.objects import handle_of_session
from sealpass.backends.pkcs11.return_values import CKR_OK

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUT_BYTES = 8192
"""Room for a modulus, and for the content of the longest token that the contract takes."""

_ZEROS = bytes(OUTPUT_BYTES)


class OutputBuffer:
    """Where an operation puts its result: allocated once, its length reset for each call."""

    __slots__ = ("_bytes", "_length", "data", "length")

    def __init__(self) -> None:
        self.data = (c_char * OUTPUT_BYTES)()
        self._bytes = memoryview(self.data).cast("B")
        self._length = c_ulong(OUTPUT_BYTES)
        self.length: Reference = byref(self._length)

    def prepare(self) -> None:
        """Say to the module how much room there is."""
        self._length.value = OUTPUT_BYTES

    def copy(self) -> bytes:
        """The result."""
        length = self._length.value
        if length > OUTPUT_BYTES:
            return b""  # a module that says it wrote beyond the buffer is not believed
        return self.data[:length]  # type: ignore[return-value]  # of c_char a slice is bytes

    def take(self) -> bytes:
        """The result (secret); the buffer is wiped."""
        result = self.copy()
        self._bytes[: len(result)] = _ZEROS[: len(result)]  # ctypes.memset takes longer
        return result


class PooledSession:
    """A session without a login of its own. One operation at a time (PKCS#11 section 5.6.7). Not thread-safe."""

    __slots__ = (
        "_length_query",
        "_length_value",
        "_new",
        "gcm",
        "generation",
        "handle",
        "home",
        "info",
        "output",
        "reclaim",
        "session",
    )

    def __init__(self, session: Session, home: "list[PooledSession]", generation: int) -> None:
        self.reclaim: Callable[[PooledSession], None] | None = None
        """What the pool does where the last reference goes and nobody has given the session back."""
        self.session = session
        self.handle = handle_of_session(session)
        self.home = home
        """The list of the epoch that the session belongs to."""
        self.generation = generation
        self.output = OutputBuffer()
        self.gcm = GcmMechanism()
        self.info = SessionInfo()
        self._new = c_ulong()
        self._length_value = c_ulong()
        self._length_query = Attribute(CKA_VALUE_LEN, cast(byref(self._length_value), c_void_p), ctypes.sizeof(c_ulong))

    def __del__(self) -> None:
        # An exception from outside (Ctrl-C, a worker's timeout) can come at any line, between two owners as well.
        reclaim = getattr(self, "reclaim", None)
        if reclaim is not None and not sys.is_finalizing():
            reclaim(self)

    def replace(self, session: Session, generation: int) -> None:
        """Go on with another session under the same buffers."""
        self.session = session
        self.handle = handle_of_session(session)
        self.generation = generation

    @property
    def new_handle(self) -> int:
        """The object that the last :meth:`unwrap` made."""
        return self._new.value

    def decrypt(self, functions: FunctionList, ciphertext: bytes) -> int:
        """C_Decrypt into ``output``."""
        output = self.output
        output.prepare()
        return functions.decrypt(self.handle, ciphertext, len(ciphertext), output.data, output.length)

    def encrypt(self, functions: FunctionList, plaintext: bytes) -> int:
        """C_Encrypt into ``output``."""
        output = self.output
        output.prepare()
        return functions.encrypt(self.handle, plaintext, len(plaintext), output.data, output.length)

    def unwrap(
        self,
        functions: FunctionList,
        mechanism: Reference,
        key_handle: int,
        encrypted_key: bytes,
        template: AesKeyTemplate,
    ) -> int:
        """C_UnwrapKey; the new object is ``new_handle``."""
        return functions.unwrap_key(
            self.handle,
            mechanism,
            key_handle,
            encrypted_key,
            len(encrypted_key),
            template.reference,
            template.count,
            byref(self._new),
        )

    def value_len(self, functions: FunctionList) -> int | None:
        """CKA_VALUE_LEN of the new object, in bytes; None where the module does not say."""
        self._length_query.ulValueLen = ctypes.sizeof(c_ulong)
        rv = functions.get_attribute_value(self.handle, self._new.value, byref(self._length_query), 1)
        return self._length_value.value if rv == CKR_OK else None

    def value(self, functions: FunctionList) -> bytes | None:
        """CKA_VALUE of the new object, where the token lets it out: only a qualification asks."""
        room = (c_char * 64)()
        query = Attribute(CKA_VALUE, cast(byref(room), c_void_p), ctypes.sizeof(room))
        if functions.get_attribute_value(self.handle, self._new.value, byref(query), 1) != CKR_OK:
            return None
        return bytes(room.raw[: query.ulValueLen])

    def ask(self, functions: FunctionList) -> int:
        """C_GetSessionInfo: CKR_OK where the session lives; then :attr:`logged_in` tells the rest."""
        return functions.get_session_info(self.handle, byref(self.info))

    @property
    def logged_in(self) -> bool:
        """What the last :meth:`ask` saw."""
        return self.info.state in (CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS)
