# SPDX-License-Identifier: Apache-2.0
"""From the URI to one token, and logging in to it without locking it."""

import hashlib
import logging
import secrets
from pathlib import PurePath

from pkcs11 import Slot, Token
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised

from sealpass.backends.pkcs11.cryptoki import CKU_USER
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.return_values import (
    CKR_OK,
    CKR_USER_ALREADY_LOGGED_IN,
    REFUSED_PIN,
    login_failure,
    translate,
)
from sealpass.backends.pkcs11.vendor_profile import Sign
from sealpass.backends.secret_source import read_secret
from sealpass.core.errors import AuthenticationFailed, BackendUnavailable, ConfigError, KeyNotFound
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)


def _version(text: str) -> tuple[int, int]:
    """RFC 7512 section 2.3: a library-version without a minor part means minor 0."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def _matches(uri: KeyUri, module: Module, slot: Slot, token: Token) -> bool:
    """RFC 7512 section 2.3: every attribute given must equal; blank padding is no part of a value."""
    library = module.library
    version = uri.text("library-version")
    if version is not None and _version(version) != tuple(library.library_version):
        return False
    slot_id = uri.text("slot-id")
    if slot_id is not None and int(slot_id) != slot.slot_id:
        return False
    found = {
        "token": token.label,
        "serial": token.serial.decode("utf-8", errors="replace").strip("\0 "),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "slot-description": slot.slot_description,
        "slot-manufacturer": slot.manufacturer_id,
        "library-manufacturer": library.manufacturer_id,
        "library-description": library.library_description,
    }
    return all(uri.path.get(name) is None or uri.text(name) == value for name, value in found.items())


def signs_of(module: Module, token: Token) -> dict[Sign, str]:
    """What file, library and token say of their maker."""
    return {
        Sign.FILE: PurePath(module.path).name,
        Sign.LIBRARY_MANUFACTURER: module.library.manufacturer_id,
        Sign.LIBRARY: module.library.library_description,
        Sign.TOKEN_MANUFACTURER: token.manufacturer_id,
        Sign.TOKEN_MODEL: token.model,
    }


def find_slot(uri: KeyUri, module: Module) -> Slot:
    """The slot whose token the URI names; raises KeyNotFound where there is none or more than one of that name."""
    found: list[tuple[Slot, str]] = []
    seen: list[str] = []
    try:
        slots = module.library.get_slots(token_present=True)
        for slot in slots:
            try:
                token = slot.get_token()
            except (TokenNotPresent, TokenNotRecognised):
                continue
            if TokenFlag.TOKEN_INITIALIZED not in token.flags:
                continue
            seen.append(token.label)
            if _matches(uri, module, slot, token):
                found.append((slot, token.label))
    except PKCS11Error as error:
        raise translate(error, "listing the module's tokens") from None
    if not slots:
        raise BackendUnavailable(
            "the PKCS#11 module shows no token at all",
            retryable=True,
            hint="is the device reachable, and does the module find its configuration?",
        )
    if not found:
        raise KeyNotFound(
            "no token of the PKCS#11 module matches the URI",
            hint=f"tokens there: {', '.join(map(repr, seen))}"
            if seen
            else "it shows none at all; does it find its configuration? (SoftHSM2: the variable SOFTHSM2_CONF)",
        )
    if len(found) > 1:
        raise KeyNotFound(
            f"{len(found)} tokens match the URI: {', '.join(repr(label) for _, label in found)}",
            hint="say which by serial=… or slot-id=…",
        )
    return found[0][0]


class PinMemory:
    """What this process knows of the PINs of one token, as keyed hashes.

    A PIN that the token refused is never sent again, however often a key is opened: a loop would lock the token.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._refused: bytes | None = None
        self._accepted: bytes | None = None

    def _digest(self, pin: bytes) -> bytes:
        return hashlib.blake2b(pin, key=self._key).digest()

    def check(self, pin: bytes) -> None:
        """Raise AuthenticationFailed for the PIN that was refused."""
        if self._refused is not None and self._digest(pin) == self._refused:
            raise AuthenticationFailed("the token refused this PIN before; it is not sent again")

    def was_accepted(self, pin: bytes) -> bool:
        """Whether it is the PIN that the token took last."""
        return self._accepted is not None and self._digest(pin) == self._accepted

    def learn(self, pin: bytes, rv: int) -> None:
        """What C_Login answered to it."""
        if rv == CKR_OK:
            self._accepted, self._refused = self._digest(pin), None
        elif rv in REFUSED_PIN:
            self._refused = self._digest(pin)


_memories: dict[tuple[str, bytes, str, int], PinMemory] = {}


def pin_memory(module: Module, token: Token, user_type: int) -> PinMemory:
    """The one memory of a token in this process; the PIN of keys (CKU_CONTEXT_SPECIFIC) may be another one."""
    return _memories.setdefault((module.path, token.serial, token.label, user_type), PinMemory())


class Login:
    """Logs a session's token in. Login belongs to the token and the process, not to a session (PKCS#11 section 5.6)."""

    def __init__(self, uri: KeyUri, module: Module, *, force: bool) -> None:
        self._source = uri.text("pin-source")
        self._module = module
        self._force = force

    def __call__(self, slot: Slot, session_handle: int) -> None:
        """Log in; raises AuthenticationFailed, ConfigError (no PIN source), BackendUnavailable."""
        token = slot.get_token()  # fetched anew: its flags are a snapshot
        if TokenFlag.LOGIN_REQUIRED not in token.flags:
            return
        protected_path = TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags
        if self._source is None and not protected_path:
            raise ConfigError("the token wants a PIN", hint="add ?pin-source=file:PATH or env:NAME to the URI")
        check_pin_flags(token.flags, force=self._force)
        if self._source is None:
            rv = self._module.functions.login(session_handle, CKU_USER, None, 0)
        else:
            pin = read_secret(self._source, "pin-source").encode("utf-8")
            memory = pin_memory(self._module, token, CKU_USER)
            if not self._force:
                memory.check(pin)
            rv = self._module.functions.login(session_handle, CKU_USER, pin, len(pin))
            memory.learn(pin, rv)
        if rv not in (CKR_OK, CKR_USER_ALREADY_LOGGED_IN):
            raise login_failure(rv)


def check_pin_flags(flags: TokenFlag, *, force: bool) -> None:
    """Raise AuthenticationFailed where sending a PIN is useless, or may lock the token."""
    if TokenFlag.USER_PIN_LOCKED in flags:
        raise AuthenticationFailed("the token's user PIN is locked", hint="the security officer can set a new PIN")
    if TokenFlag.USER_PIN_INITIALIZED not in flags:
        raise AuthenticationFailed("the token has no user PIN yet", hint="initialise the token's user PIN first")
    if TokenFlag.USER_PIN_FINAL_TRY in flags and not force:
        raise AuthenticationFailed(
            "one more wrong PIN locks the token; not trying",
            hint="check the PIN by hand, then pass --force-login (force_login=True) once",
        )
    if TokenFlag.USER_PIN_COUNT_LOW in flags:
        _log.warning("somebody has sent a wrong PIN to this token since the last login")
