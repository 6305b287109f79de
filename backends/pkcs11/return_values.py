# SPDX-License-Identifier: Apache-2.0
"""CK_RV values: their names, and what each of them means for us.

The classes come from what modules really answer (docs/decisions/0004): SoftHSM 2.6.1 says CKR_GENERAL_ERROR for a
bad ciphertext, so that code must not count as a lost device, or any sender could force a reconnect.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pkcs11 import exceptions as p11

from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    OperatorError,
    UnsupportedAlgorithm,
)

CKR_OK = 0x000
CKR_HOST_MEMORY = 0x002
CKR_GENERAL_ERROR = 0x005
CKR_FUNCTION_FAILED = 0x006
CKR_ARGUMENTS_BAD = 0x007
CKR_ATTRIBUTE_TYPE_INVALID = 0x012
CKR_ATTRIBUTE_VALUE_INVALID = 0x013
CKR_DATA_INVALID = 0x020
CKR_DATA_LEN_RANGE = 0x021
CKR_DEVICE_ERROR = 0x030
CKR_DEVICE_MEMORY = 0x031
CKR_DEVICE_REMOVED = 0x032
CKR_ENCRYPTED_DATA_INVALID = 0x040
CKR_ENCRYPTED_DATA_LEN_RANGE = 0x041
CKR_FUNCTION_CANCELED = 0x050
CKR_KEY_HANDLE_INVALID = 0x060
CKR_KEY_SIZE_RANGE = 0x062
CKR_KEY_FUNCTION_NOT_PERMITTED = 0x068
CKR_MECHANISM_INVALID = 0x070
CKR_MECHANISM_PARAM_INVALID = 0x071
CKR_OBJECT_HANDLE_INVALID = 0x082
CKR_OPERATION_ACTIVE = 0x090
CKR_OPERATION_NOT_INITIALIZED = 0x091
CKR_PIN_INCORRECT = 0x0A0
CKR_PIN_INVALID = 0x0A1
CKR_PIN_LEN_RANGE = 0x0A2
CKR_PIN_EXPIRED = 0x0A3
CKR_PIN_LOCKED = 0x0A4
CKR_SESSION_CLOSED = 0x0B0
CKR_SESSION_COUNT = 0x0B1
CKR_SESSION_HANDLE_INVALID = 0x0B3
CKR_TEMPLATE_INCOMPLETE = 0x0D0
CKR_TEMPLATE_INCONSISTENT = 0x0D1
CKR_TOKEN_NOT_PRESENT = 0x0E0
CKR_UNWRAPPING_KEY_HANDLE_INVALID = 0x0F0
CKR_USER_ALREADY_LOGGED_IN = 0x100
CKR_USER_NOT_LOGGED_IN = 0x101
CKR_USER_PIN_NOT_INITIALIZED = 0x102
CKR_WRAPPED_KEY_INVALID = 0x110
CKR_WRAPPED_KEY_LEN_RANGE = 0x112
CKR_CRYPTOKI_NOT_INITIALIZED = 0x190
CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191

NAMES = {value: name for name, value in list(globals().items()) if name.startswith("CKR_")}

LOST = frozenset(
    (
        CKR_DEVICE_ERROR,
        CKR_DEVICE_REMOVED,
        CKR_KEY_HANDLE_INVALID,
        CKR_OBJECT_HANDLE_INVALID,
        CKR_SESSION_CLOSED,
        CKR_SESSION_HANDLE_INVALID,
        CKR_TOKEN_NOT_PRESENT,
        CKR_UNWRAPPING_KEY_HANDLE_INVALID,
        CKR_USER_NOT_LOGGED_IN,
        CKR_CRYPTOKI_NOT_INITIALIZED,
    )
)
"""Session, login or device are gone: never the fault of a ciphertext. A lost login shows as an invalid handle."""

TROUBLE = frozenset(
    (CKR_HOST_MEMORY, CKR_DEVICE_MEMORY, CKR_MECHANISM_INVALID, CKR_OPERATION_NOT_INITIALIZED, CKR_SESSION_COUNT)
)
"""The token cannot work just now, whatever the ciphertext: for operators, and no failure of the sender's."""

REFUSED_INPUT = frozenset(
    (
        CKR_GENERAL_ERROR,
        CKR_FUNCTION_FAILED,
        CKR_ARGUMENTS_BAD,
        CKR_DATA_INVALID,
        CKR_DATA_LEN_RANGE,
        CKR_ENCRYPTED_DATA_INVALID,
        CKR_ENCRYPTED_DATA_LEN_RANGE,
        # of C_UnwrapKey, for a CEK that is no AES key or not the one that the template wants
        CKR_WRAPPED_KEY_INVALID,
        CKR_WRAPPED_KEY_LEN_RANGE,
        CKR_KEY_SIZE_RANGE,
        CKR_ATTRIBUTE_VALUE_INVALID,
        CKR_TEMPLATE_INCONSISTENT,
    )
)
"""What modules answer to a ciphertext that does not open; the session stays usable. Anything else replaces it."""


class Meaning(StrEnum):
    """What an answer of the module means for us."""

    LOST = "lost"
    TROUBLE = "trouble"
    REFUSED_INPUT = "refused input"


@dataclass(frozen=True, slots=True)
class Answers:
    """The three classes, as they are on one vendor's device."""

    lost: frozenset[int] = LOST
    trouble: frozenset[int] = TROUBLE
    refused_input: frozenset[int] = REFUSED_INPUT

    @classmethod
    def of(cls, meanings: Iterable[tuple[int, Meaning]]) -> "Answers":
        """The usual classes, but for the values that mean something else on this device."""
        sets = {Meaning.LOST: set(LOST), Meaning.TROUBLE: set(TROUBLE), Meaning.REFUSED_INPUT: set(REFUSED_INPUT)}
        for rv, meaning in meanings:
            for name, values in sets.items():
                (values.add if name is meaning else values.discard)(rv)
        return cls(*map(frozenset, sets.values()))


def name_of(rv: int) -> str:
    """The name of a CK_RV for texts and logs."""
    return NAMES.get(rv, f"CK_RV 0x{rv:X}")


def lost(rv: int) -> BackendUnavailable:
    """The error for a device, session or login that went away."""
    return BackendUnavailable(f"the PKCS#11 token does not answer: {name_of(rv)}", retryable=True)


_PIN_TEXTS = {
    CKR_PIN_INCORRECT: "the token refused the PIN",
    CKR_PIN_INVALID: "the token refused the PIN",
    CKR_PIN_LEN_RANGE: "the token refused the PIN",
    CKR_PIN_LOCKED: "the token's user PIN is locked",
    CKR_PIN_EXPIRED: "the token's user PIN has expired",
    CKR_USER_PIN_NOT_INITIALIZED: "the token has no user PIN yet",
}
REFUSED_PIN = frozenset((CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE))
"""Answers that are about the PIN that was sent; whatever else a C_Login answers may pass by itself."""


def login_failure(rv: int) -> OperatorError:
    """The error for a C_Login that did not succeed."""
    text = _PIN_TEXTS.get(rv)
    if text is None:
        return BackendUnavailable(f"the token does not log in: {name_of(rv)}", retryable=True)
    return AuthenticationFailed(f"{text}: {name_of(rv)}")


LOST_ERRORS = (
    p11.DeviceError,
    p11.DeviceRemoved,
    p11.SessionClosed,
    p11.SessionHandleInvalid,
    p11.TokenNotPresent,
    p11.UserNotLoggedIn,
    p11.ObjectHandleInvalid,
    p11.KeyHandleInvalid,
)
"""LOST, as python-pkcs11 raises it."""
_UNAVAILABLE = (*LOST_ERRORS, p11.SessionCount, p11.SlotIDInvalid, p11.GeneralError, p11.FunctionFailed)
"""What passes. A slot goes where the module was initialised again while its token was away."""
_UNSUPPORTED = (
    p11.MechanismInvalid,
    p11.MechanismParamInvalid,
    p11.FunctionNotSupported,
    p11.KeySizeRange,
    p11.AttributeValueInvalid,
    p11.TemplateInconsistent,
)


_NOT_INITIALISED = "not initialized"
"""Of python-pkcs11's text for CKR_CRYPTOKI_NOT_INITIALIZED, which has no class: somebody is just bringing it back."""

_LIMIT_ERRORS: dict[int, type[p11.PKCS11Error]] = {
    CKR_SESSION_COUNT: p11.SessionCount,
    CKR_ARGUMENTS_BAD: p11.ArgumentsBad,
}


def session_limit_errors(values: Iterable[int]) -> tuple[type[p11.PKCS11Error], ...]:
    """What python-pkcs11 raises where C_OpenSession answers one of these because no session is left."""
    return tuple(_LIMIT_ERRORS[rv] for rv in sorted(values))


def translate(error: p11.PKCS11Error, doing: str) -> OperatorError:
    """Our error for one of python-pkcs11; ``doing`` says what we were about. Raise it ``from None``."""
    what = f"{doing}: {type(error).__name__}"
    if isinstance(error, _UNAVAILABLE):
        return BackendUnavailable(what, retryable=True)
    if isinstance(error, _UNSUPPORTED):
        return UnsupportedAlgorithm(what)
    if isinstance(error, (p11.SessionReadOnly, p11.TokenWriteProtected)):
        return ConfigError(what, hint="the token does not accept changes")
    # python-pkcs11 names codes that it does not know, and three of CRYPTOKI's own, in the text only.
    text = str(error)
    return BackendUnavailable(f"{doing}: {text or type(error).__name__}", retryable=_NOT_INITIALISED in text)
