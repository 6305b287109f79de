# SPDX-License-Identifier: Apache-2.0
"""A soft token that behaves in one respect as a vendor's documents say of theirs.

Functions of the real token's function list are replaced, and the opening of sessions. What a test shows with it is
that we do what the documents ask for; whether the device does what they say, only the device can show.
"""

import ctypes
import secrets
from collections.abc import Callable
from ctypes import POINTER, Structure, c_ulong, c_void_p
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pkcs11 import Session, Slot
from pkcs11.exceptions import PKCS11Error, SessionCount

from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11 import sharing
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.cryptoki import (
    CKA_VALUE_LEN,
    CKM_AES_GCM,
    CKM_RSA_PKCS_OAEP,
    Attribute,
    FunctionList,
    GcmMechanism,
    Mechanism,
)
from sealpass.backends.pkcs11.library import ModuleSettings, load_module
from sealpass.backends.pkcs11.return_values import (
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_OK,
)
from sealpass.backends.pkcs11.token import find_slot
from sealpass.backends.pkcs11.vendor_profile import GcmIv
from tests.support.soft_tokens import SoftToken


class GcmParams(Structure):
    """CK_GCM_PARAMS with plain pointers: an IV may hold zeros."""

    _fields_ = (
        ("pIv", c_void_p),
        ("ulIvLen", c_ulong),
        ("ulIvBits", c_ulong),
        ("pAAD", c_void_p),
        ("ulAADLen", c_ulong),
        ("ulTagBits", c_ulong),
    )


class OaepParams(Structure):
    """The first members of CK_RSA_PKCS_OAEP_PARAMS."""

    _fields_ = (("hashAlg", c_ulong), ("mgf", c_ulong))


def functions_of(token: SoftToken) -> FunctionList:
    """The function list of the token's module, which all its keys share."""
    settings = ModuleSettings(token.uri.text("module-args"))
    return load_module(token.uri.require("module-path"), settings).functions


def mechanism_at(reference: Any) -> Mechanism:
    """The CK_MECHANISM behind a byref()."""
    return cast("Mechanism", reference._obj)


@dataclass
class TokenMadeIv:
    """A token that makes the IVs of AES-GCM itself and refuses ours."""

    way: GcmIv
    iv_bytes: int = 12
    mechanism: int = CKM_AES_GCM
    refusal: int = CKR_MECHANISM_PARAM_INVALID
    make_iv: Callable[[int], bytes] = secrets.token_bytes
    made: list[bytes] = field(default_factory=list)
    _begun: dict[int, tuple[bytes, int | None, GcmMechanism]] = field(default_factory=dict)
    _to_open: dict[int, tuple[bytes, int]] = field(default_factory=dict)

    def install(self, token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> "TokenMadeIv":
        """Until the test ends."""
        functions = functions_of(token)
        self._encrypt_init, self._encrypt = functions.encrypt_init, functions.encrypt
        self._decrypt_init, self._decrypt = functions.decrypt_init, functions.decrypt
        for name in ("encrypt_init", "encrypt", "decrypt_init", "decrypt"):
            monkeypatch.setattr(functions, name, getattr(self, name))
        return self

    def _accepts(self, parameters: GcmParams) -> bool:
        if self.way is GcmIv.WRITTEN_BACK:
            given = ctypes.string_at(parameters.pIv, parameters.ulIvLen) if parameters.pIv else b""
            return given == bytes(self.iv_bytes)
        return parameters.pIv is None and parameters.ulIvBits == 8 * self.iv_bytes

    def encrypt_init(self, session: int, reference: Any, key: int) -> int:
        """C_EncryptInit."""
        mechanism = mechanism_at(reference)
        if mechanism.mechanism != self.mechanism:
            return CKR_MECHANISM_INVALID
        parameters = GcmParams.from_address(mechanism.pParameter)
        if not self._accepts(parameters):
            return self.refusal
        iv, real = self.make_iv(self.iv_bytes), GcmMechanism()
        self.made.append(iv)
        aad = ctypes.string_at(parameters.pAAD, parameters.ulAADLen)
        self._begun[session] = iv, parameters.pIv, real
        return int(self._encrypt_init(session, real.prepare(iv[: self.iv_bytes], aad), key))

    def encrypt(self, session: int, data: bytes, length: int, output: Any, output_length: Any) -> int:
        """C_Encrypt."""
        iv, place, _ = self._begun.pop(session)
        rv = int(self._encrypt(session, data, length, output, output_length))
        if rv != CKR_OK:
            return rv
        ciphertext = ctypes.string_at(output, output_length._obj.value)
        if place is not None:
            ctypes.memmove(place, iv, len(iv))
        else:
            both = ciphertext + iv if self.way is GcmIv.APPENDED else iv + ciphertext
            ctypes.memmove(output, both, len(both))
            output_length._obj.value = len(both)
        return rv

    def decrypt_init(self, session: int, reference: Any, key: int) -> int:
        """C_DecryptInit. Other mechanisms are the real token's."""
        mechanism = mechanism_at(reference)
        if mechanism.mechanism != self.mechanism:
            return int(self._decrypt_init(session, reference, key))
        parameters = GcmParams.from_address(mechanism.pParameter)
        aad = ctypes.string_at(parameters.pAAD, parameters.ulAADLen)
        if self.way is GcmIv.PREPENDED:
            if parameters.pIv is not None:
                return self.refusal
            self._to_open[session] = aad, key
            return CKR_OK
        iv = ctypes.string_at(parameters.pIv, parameters.ulIvLen)
        return int(self._decrypt_init(session, GcmMechanism().prepare(iv, aad), key))

    def decrypt(self, session: int, data: bytes, length: int, output: Any, output_length: Any) -> int:
        """C_Decrypt."""
        if session in self._to_open:
            aad, key = self._to_open.pop(session)
            iv, data = data[: self.iv_bytes], data[self.iv_bytes :]
            rv = int(self._decrypt_init(session, GcmMechanism().prepare(iv, aad), key))
            if rv != CKR_OK:
                return rv
            length = len(data)
        return int(self._decrypt(session, data, length, output, output_length))


def ask_for_value_len(token: SoftToken, monkeypatch: pytest.MonkeyPatch, *, required: bool) -> list[bool]:
    """C_UnwrapKey refuses a template with, or without, CKA_VALUE_LEN; the list says which of them were refused."""
    functions = functions_of(token)
    unwrap_key = functions.unwrap_key
    refused: list[bool] = []

    def answer(*arguments: Any) -> int:
        attributes = ctypes.cast(arguments[5], POINTER(Attribute))
        has_length = any(attributes[index].type == CKA_VALUE_LEN for index in range(arguments[6]))
        if has_length is not required:
            refused.append(has_length)
            return CKR_ATTRIBUTE_TYPE_INVALID
        return int(unwrap_key(*arguments))

    monkeypatch.setattr(functions, "unwrap_key", answer)
    return refused


def refuse_mixed_hashes(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """C_DecryptInit refuses OAEP whose two hashes differ; the list counts the refusals."""
    functions = functions_of(token)
    decrypt_init = functions.decrypt_init
    same = {0x220: 1, 0x255: 5, 0x250: 2, 0x260: 3, 0x270: 4}  # PKCS#11 v2.40: CKM_SHA…, CKG_MGF1_SHA…
    refused: list[int] = []

    def answer(session: int, reference: Any, key: int) -> int:
        mechanism = mechanism_at(reference)
        if mechanism.mechanism == CKM_RSA_PKCS_OAEP:
            parameters = OaepParams.from_address(mechanism.pParameter)
            if same[parameters.hashAlg] != parameters.mgf:
                refused.append(parameters.mgf)
                return CKR_MECHANISM_PARAM_INVALID
        return int(decrypt_init(session, reference, key))

    monkeypatch.setattr(functions, "decrypt_init", answer)
    return refused


def misread(token: SoftToken, monkeypatch: pytest.MonkeyPatch, name: str, answers: dict[int, int]) -> None:
    """Let a function say something else than the real token where it fails."""
    functions = functions_of(token)
    original = getattr(functions, name)

    def answer(*arguments: Any) -> int:
        rv = int(original(*arguments))
        return answers.get(rv, rv)

    monkeypatch.setattr(functions, name, answer)


class SimulatedToken:
    """The real token, which says another name of itself and has its own rules for C_OpenSession."""

    def __init__(self, token: Any, simulated: "SimulatedSlot") -> None:
        self._token = token
        self._simulated = simulated

    def __getattr__(self, name: str) -> Any:
        return self._simulated.says.get(name, getattr(self._token, name))

    def open(self, *, rw: bool = False, **given: Any) -> Session:
        """C_OpenSession."""
        self._simulated.check(rw=rw)
        opened: Session = self._token.open(rw=rw, **given)
        self._simulated.opened += 1
        return opened


@dataclass
class SimulatedSlot:
    """The slot with that token. ``opened`` counts the sessions that are open now."""

    says: dict[str, str] = field(default_factory=dict)
    limit: int | None = None
    limit_error: type[PKCS11Error] = SessionCount
    read_only_error: type[PKCS11Error] | None = None
    opened: int = 0
    _slot: Slot | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "SimulatedSlot":
        """For all connections that are made until the test ends."""
        close = Connection._close_session

        def find(*given: Any) -> "SimulatedSlot":
            self._slot = find_slot(*given)
            return self

        def closing(connection: Connection, session: Session, generation: int) -> None:
            self.opened -= 1
            close(connection, session, generation)

        for module in (connection_module, sharing):
            monkeypatch.setattr(module, "find_slot", find)
        monkeypatch.setattr(Connection, "_close_session", closing)
        return self

    def get_token(self) -> SimulatedToken:
        """C_GetTokenInfo."""
        assert self._slot is not None
        return SimulatedToken(self._slot.get_token(), self)

    def check(self, *, rw: bool) -> None:
        """What C_OpenSession has against one more session."""
        if self.read_only_error is not None and not rw:
            raise self.read_only_error
        if self.limit is not None and self.opened >= self.limit:
            raise self.limit_error
