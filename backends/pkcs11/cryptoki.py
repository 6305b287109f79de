# SPDX-License-Identifier: Apache-2.0
"""The module's own function list, called directly: what python-pkcs11 does not offer, and the calls of the hot path.

python-pkcs11 asks for the length before every operation (3 calls where 2 do, 9 where 4 do), and on a network HSM each
call is a round trip. So the operations go straight to the function list (PKCS#11 v2.40 section 3.6) with the session
and key handles of python-pkcs11. ctypes releases the GIL around every call.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_ulong, c_void_p, cast

from sealpass.core.algorithms import Hash, RsaOaep

CKF_OS_LOCKING_OK = 0x00000002
CKU_USER = 1
CKU_CONTEXT_SPECIFIC = 2
CKS_RO_USER_FUNCTIONS = 1
CKS_RW_USER_FUNCTIONS = 3
CKM_RSA_X_509 = 0x00000003
CKM_RSA_PKCS_OAEP = 0x00000009
CKG_MGF1 = {Hash.SHA1: 1, Hash.SHA224: 5, Hash.SHA256: 2, Hash.SHA384: 3, Hash.SHA512: 4}
CKM_HASH = {Hash.SHA1: 0x220, Hash.SHA224: 0x255, Hash.SHA256: 0x250, Hash.SHA384: 0x260, Hash.SHA512: 0x270}
CKZ_DATA_SPECIFIED = 1
MAX_MODULUS_BYTES = 1024


class _InitializeArgs(Structure):
    # NSS reads one pointer more than the standard has, where pReserved is not NULL.
    _fields_ = (
        ("CreateMutex", c_void_p),
        ("DestroyMutex", c_void_p),
        ("LockMutex", c_void_p),
        ("UnlockMutex", c_void_p),
        ("flags", c_ulong),
        ("pReserved", c_char_p),
        ("nss_reserved", c_void_p),
    )


class Mechanism(Structure):
    """CK_MECHANISM. Keeps its parameter alive."""

    _fields_ = (("mechanism", c_ulong), ("pParameter", c_void_p), ("ulParameterLen", c_ulong))

    _parameter: Structure | None = None

    @classmethod
    def of(cls, mechanism: int, parameter: Structure | None = None) -> "Mechanism":
        """A mechanism with its parameter, if it has one."""
        made = cls(mechanism, None, 0)
        if parameter is not None:
            made._parameter = parameter
            made.pParameter = cast(byref(parameter), c_void_p)
            made.ulParameterLen = ctypes.sizeof(parameter)
        return made


class _OaepParams(Structure):
    _fields_ = (
        ("hashAlg", c_ulong),
        ("mgf", c_ulong),
        ("source", c_ulong),
        ("pSourceData", c_void_p),
        ("ulSourceDataLen", c_ulong),
    )


class SessionInfo(Structure):
    """CK_SESSION_INFO."""

    _fields_ = (("slotID", c_ulong), ("state", c_ulong), ("flags", c_ulong), ("ulDeviceError", c_ulong))

    state: int


def oaep_mechanism(oaep: RsaOaep) -> Mechanism:
    """CKM_RSA_PKCS_OAEP with both hashes stated and no label (a pointer to nothing: SoftHSM refuses an empty one)."""
    parameter = _OaepParams(CKM_HASH[oaep.hash], CKG_MGF1[oaep.mgf_hash], CKZ_DATA_SPECIFIED, None, 0)
    return Mechanism.of(CKM_RSA_PKCS_OAEP, parameter)


# Positions in CK_FUNCTION_LIST, counted from C_Initialize (PKCS#11 v2.40, pkcs11f.h).
_POSITIONS = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_InitToken": 9,
    "C_OpenSession": 12,
    "C_GetSessionInfo": 15,
    "C_Login": 18,
    "C_DestroyObject": 22,
    "C_GetAttributeValue": 24,
    "C_EncryptInit": 29,
    "C_Encrypt": 30,
    "C_DecryptInit": 33,
    "C_Decrypt": 34,
    "C_UnwrapKey": 61,
}
_FIRST_POINTER = ctypes.sizeof(c_void_p)  # CK_VERSION, padded


class FunctionList:
    """CK_FUNCTION_LIST of one loaded module. Every call returns a CK_RV; nothing here raises for one."""

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        get_function_list = library.C_GetFunctionList
        get_function_list.argtypes = [POINTER(c_void_p)]
        get_function_list.restype = c_ulong
        table = c_void_p()
        if get_function_list(byref(table)) != 0 or table.value is None:
            raise OSError("C_GetFunctionList failed")
        self._table = table.value
        handle, pointer = c_ulong, c_void_p
        self.initialize = self._function("C_Initialize", pointer)
        self.finalize = self._function("C_Finalize", pointer)
        self.init_token = self._function("C_InitToken", handle, c_char_p, c_ulong, c_char_p)
        self.get_session_info = self._function("C_GetSessionInfo", handle, pointer)
        self.login = self._function("C_Login", handle, c_ulong, c_char_p, c_ulong)
        self.decrypt_init = self._function("C_DecryptInit", handle, pointer, handle)
        self.decrypt = self._function("C_Decrypt", handle, c_char_p, c_ulong, pointer, pointer)

    def _function(self, name: str, *arguments: type) -> Callable[..., int]:
        address = c_void_p.from_address(self._table + _FIRST_POINTER * (1 + _POSITIONS[name])).value
        if address is None:
            raise OSError(f"the module has no {name}")
        return ctypes.CFUNCTYPE(c_ulong, *arguments)(address)

    def initialize_with_locking(self, module_args: str | None) -> int:
        """C_Initialize with CKF_OS_LOCKING_OK; ``module_args`` goes into pReserved (NSS softokn)."""
        reserved = None if module_args is None else module_args.encode("utf-8")
        arguments = _InitializeArgs(None, None, None, None, CKF_OS_LOCKING_OK, reserved, None)
        return self.initialize(byref(arguments))


class OutputBuffer:
    """Where one session's operation puts its result: allocated once, its length reset for each call."""

    __slots__ = ("_length", "_size", "data", "length")

    def __init__(self, size: int = MAX_MODULUS_BYTES) -> None:
        self._size = size
        self.data = (c_char * size)()
        self._length = c_ulong(size)
        self.length = byref(self._length)

    def prepare(self) -> None:
        """Say to the module how much room there is."""
        self._length.value = self._size

    def take(self) -> bytes:
        """Copy the result (secret) out and wipe the buffer."""
        length = self._length.value
        if length > self._size:
            return b""  # a module that says it wrote beyond the buffer is not believed
        result: bytes = self.data[:length]  # type: ignore[assignment]  # of c_char a slice is bytes
        ctypes.memset(self.data, 0, length)
        return result
