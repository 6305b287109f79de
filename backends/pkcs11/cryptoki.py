# SPDX-License-Identifier: Apache-2.0
"""The module's own function list, called directly: what python-pkcs11 does not offer, and the calls of the hot path.

python-pkcs11 asks for the length before every operation (3 calls where 2 do, 9 where 4 do), and on a network HSM each
call is a round trip. So the operations go straight to the function list (PKCS#11 v2.40 section 3.6) with the session
and key handles of python-pkcs11. ctypes releases the GIL around every call.
"""

import ctypes
from collections.abc import Callable
from ctypes import Array, Structure, byref, c_char_p, c_ubyte, c_ulong, c_void_p, cast
from typing import Any

from sealpass.core.algorithms import Hash, RsaOaep

CKF_OS_LOCKING_OK = 0x00000002
CKU_USER = 1
CKU_CONTEXT_SPECIFIC = 2
CKS_RO_USER_FUNCTIONS = 1
CKS_RW_USER_FUNCTIONS = 3
CKM_RSA_PKCS = 0x00000001
CKM_RSA_X_509 = 0x00000003
CKM_RSA_PKCS_OAEP = 0x00000009
CKG_MGF1 = {Hash.SHA1: 1, Hash.SHA224: 5, Hash.SHA256: 2, Hash.SHA384: 3, Hash.SHA512: 4}
CKM_HASH = {Hash.SHA1: 0x220, Hash.SHA224: 0x255, Hash.SHA256: 0x250, Hash.SHA384: 0x260, Hash.SHA512: 0x270}
CKZ_DATA_SPECIFIED = 1
CKM_AES_GCM = 0x00001087
CKM_CLOUDHSM_AES_GCM = 0x80000000 | CKM_AES_GCM
CKM_CLOUDKMS_AES_GCM = 0x8001E101
CKO_SECRET_KEY = 4
CKK_AES = 0x1F
CKA_CLASS = 0x000
CKA_TOKEN = 0x001
CKA_PRIVATE = 0x002
CKA_VALUE = 0x011
CKA_KEY_TYPE = 0x100
CKA_SENSITIVE = 0x103
CKA_ENCRYPT = 0x104
CKA_DECRYPT = 0x105
CKA_WRAP = 0x106
CKA_UNWRAP = 0x107
CKA_VALUE_LEN = 0x161
CKA_EXTRACTABLE = 0x162

Reference = Any
"""What ctypes.byref() answers: a pointer for one call, whose target its maker keeps alive."""


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


class _GcmParams(Structure):
    _fields_ = (
        ("pIv", c_char_p),
        ("ulIvLen", c_ulong),
        ("ulIvBits", c_ulong),
        ("pAAD", c_char_p),
        ("ulAADLen", c_ulong),
        ("ulTagBits", c_ulong),
    )


class GcmMechanism:
    """CKM_AES_GCM (PKCS#11 v2.40 section 2.12.3) for one session: built once, filled in for each operation.

    Or a vendor's mechanism with the same parameter structure.
    """

    __slots__ = ("_mechanism", "_parameter", "reference")

    def __init__(self, mechanism: int = CKM_AES_GCM) -> None:
        self._parameter = _GcmParams(None, 0, 0, None, 0, 128)
        self._mechanism = Mechanism.of(mechanism, self._parameter)
        self.reference: Reference = byref(self._mechanism)

    def prepare(self, iv: bytes, aad: bytes) -> Reference:
        """The mechanism for this IV and AAD. The structure keeps both alive until the next call."""
        parameter = self._parameter
        parameter.pIv = iv
        parameter.ulIvLen = len(iv)
        parameter.ulIvBits = 8 * len(iv)
        parameter.pAAD = aad
        parameter.ulAADLen = len(aad)
        return self.reference

    def prepare_for_token(self, buffer: "Array[c_ubyte] | None", iv_bytes: int, aad: bytes) -> Reference:
        """The mechanism for an IV that the token makes: it may write one of ``iv_bytes`` into ``buffer``.

        The caller keeps the buffer alive until C_Encrypt is over. Without one, the IV comes with the ciphertext.
        """
        parameter = self._parameter
        parameter.pIv = None if buffer is None else ctypes.addressof(buffer)
        parameter.ulIvLen = 0 if buffer is None else iv_bytes
        parameter.ulIvBits = 8 * iv_bytes
        parameter.pAAD = aad
        parameter.ulAADLen = len(aad)
        return self.reference


class Attribute(Structure):
    """CK_ATTRIBUTE."""

    _fields_ = (("type", c_ulong), ("pValue", c_void_p), ("ulValueLen", c_ulong))


class AesKeyTemplate:
    """The template of a CEK that C_UnwrapKey makes: a session object that only decrypts and never comes out.

    ``value_len`` puts CKA_VALUE_LEN into it, which some modules demand and others refuse; ``readable`` asks for a CEK
    that may be read, as a thief would. ``enforced`` is the part that belongs into CKA_UNWRAP_TEMPLATE of a key: no
    CEK ever comes out, whoever has the PIN.
    """

    item_bytes = ctypes.sizeof(Attribute)

    def __init__(self, *, value_len: int | None = None, readable: bool = False, enforced: bool = False) -> None:
        self.value_len = value_len
        numbers, flags = {CKA_CLASS: CKO_SECRET_KEY, CKA_KEY_TYPE: CKK_AES}, {CKA_TOKEN: False, CKA_PRIVATE: True}
        flags |= {CKA_ENCRYPT: False, CKA_DECRYPT: True, CKA_WRAP: False, CKA_UNWRAP: False}
        if enforced:
            numbers, flags = {}, {}
        if value_len is not None:
            numbers[CKA_VALUE_LEN] = value_len
        flags |= {CKA_SENSITIVE: not readable, CKA_EXTRACTABLE: readable}
        self._values: list[c_ulong | c_ubyte] = [c_ulong(number) for number in numbers.values()]
        self._values += [c_ubyte(flag) for flag in flags.values()]
        items = [
            Attribute(kind, cast(byref(value), c_void_p), ctypes.sizeof(value))
            for kind, value in zip((*numbers, *flags), self._values, strict=True)
        ]
        self._items = (Attribute * len(items))(*items)
        self.count = len(items)
        self.reference: Reference = byref(self._items)


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
    """CK_FUNCTION_LIST at the address ``table``. Every call returns a CK_RV; nothing here raises for one."""

    def __init__(self, table: int) -> None:
        self._table = table
        handle, pointer = c_ulong, c_void_p
        self.initialize = self._function("C_Initialize", pointer)
        self.finalize = self._function("C_Finalize", pointer)
        self.init_token = self._function("C_InitToken", handle, c_char_p, c_ulong, c_char_p)
        self.get_session_info = self._function("C_GetSessionInfo", handle, pointer)
        self.login = self._function("C_Login", handle, c_ulong, c_char_p, c_ulong)
        self.decrypt_init = self._function("C_DecryptInit", handle, pointer, handle)
        self.destroy_object = self._function("C_DestroyObject", handle, handle)
        self.get_attribute_value = self._function("C_GetAttributeValue", handle, handle, pointer, c_ulong)
        self.unwrap_key = self._function(
            "C_UnwrapKey", handle, pointer, handle, c_char_p, c_ulong, pointer, c_ulong, pointer
        )
        self.encrypt_init = self._function("C_EncryptInit", handle, pointer, handle)
        self.encrypt = self._function("C_Encrypt", handle, c_char_p, c_ulong, pointer, pointer)
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
