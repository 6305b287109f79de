# SPDX-License-Identifier: Apache-2.0
"""From the URI to one token, and logging in to it without locking it."""

import hashlib
import logging
import secrets

from pkcs11 import Slot, Token
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised

from sealpass.backends.pkcs11.cryptoki import CKU_USER
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.return_values import (
    CKR_OK,
    CKR_USER_ALREADY_LOGGED_IN,
    login_failure,
    translate,
)
from sealpass.backends.secret_source import read_secret
from sealpass.core.errors import AuthenticationFailed, ConfigError, KeyNotFound
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)


def _matches(uri: KeyUri, module: Module, slot: Slot, token: Token) -> bool:
    """RFC 7512 section 2.3: every attribute given must equal; blank padding is no part of a value."""
    library = module.library
    found = {
        "token": token.label,
        "serial": token.serial.decode("utf-8", errors="replace").strip("\0 "),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "slot-id": str(slot.slot_id),
        "slot-description": slot.slot_description,
        "slot-manufacturer": slot.manufacturer_id,
        "library-manufacturer": library.manufacturer_id,
        "library-description": library.library_description,
        "library-version": "{}.{}".format(*library.library_version),
    }
    return all(uri.path.get(name) is None or uri.text(name) == value for name, value in found.items())


def find_slot(uri: KeyUri, module: Module) -> Slot:
    """The slot whose token the URI names; raises KeyNotFound where there is none or more than one."""
    found: list[tuple[Slot, str]] = []
    seen: list[str] = []
    try:
        for slot in module.library.get_slots(token_present=True):
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
    if not found:
        raise KeyNotFound(
            "no token of the PKCS#11 module matches the URI",
            hint=f"tokens there: {', '.join(map(repr, seen)) or 'none; is the module configured?'}",
        )
    if len(found) > 1:
        raise KeyNotFound(
            f"{len(found)} tokens match the URI: {', '.join(repr(label) for _, label in found)}",
            hint="say which by serial=… or slot-id=…",
        )
    return found[0][0]


class RefusedPin:
    """Remembers, as a keyed hash, the last PIN that a token refused: a loop that sent it again would lock the token."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._refused: bytes | None = None

    def _digest(self, pin: bytes) -> bytes:
        return hashlib.blake2b(pin, key=self._key).digest()

    def check(self, pin: bytes) -> None:
        """Raise AuthenticationFailed for the PIN that was refused."""
        if self._refused is not None and self._digest(pin) == self._refused:
            raise AuthenticationFailed("the token refused this PIN before; it is not sent again")

    def remember(self, pin: bytes) -> None:
        """The token refused this PIN."""
        self._refused = self._digest(pin)


class Login:
    """Logs a session's token in. Login belongs to the token and the process, not to a session (PKCS#11 section 5.6).

    A PIN that the token refused is never sent again by this object: a restart loop would lock the token.
    """

    def __init__(self, uri: KeyUri, module: Module, *, force: bool) -> None:
        self._source = uri.text("pin-source")
        self._module = module
        self._force = force
        self._refused = RefusedPin()

    def __call__(self, slot: Slot, session_handle: int) -> None:
        """Log in; raises AuthenticationFailed, ConfigError (no PIN source), BackendUnavailable."""
        flags = slot.get_token().flags  # fetched anew: Token.flags is a snapshot
        if TokenFlag.LOGIN_REQUIRED not in flags:
            return
        protected_path = TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags
        if self._source is None and not protected_path:
            raise ConfigError("the token wants a PIN", hint="add ?pin-source=file:PATH or env:NAME to the URI")
        self._check(flags)
        pin = None if self._source is None else read_secret(self._source, "pin-source").encode("utf-8")
        if pin is not None:
            self._refused.check(pin)
        rv = self._module.functions.login(session_handle, CKU_USER, pin, len(pin or b""))
        if rv in (CKR_OK, CKR_USER_ALREADY_LOGGED_IN):
            return
        failure = login_failure(rv)
        if pin is not None and isinstance(failure, AuthenticationFailed):
            self._refused.remember(pin)
        raise failure

    def _check(self, flags: TokenFlag) -> None:
        if TokenFlag.USER_PIN_LOCKED in flags:
            raise AuthenticationFailed("the token's user PIN is locked", hint="the security officer can set a new PIN")
        if TokenFlag.USER_PIN_INITIALIZED not in flags:
            raise AuthenticationFailed("the token has no user PIN yet", hint="initialise the token's user PIN first")
        if TokenFlag.USER_PIN_FINAL_TRY in flags and not self._force:
            raise AuthenticationFailed(
                "one more wrong PIN locks the token; not trying",
                hint="check the PIN by hand, then pass --force-login (force_login=True) once",
            )
        if TokenFlag.USER_PIN_COUNT_LOW in flags:
            _log.warning("somebody has sent a wrong PIN to this token since the last login")
