# SPDX-License-Identifier: Apache-2.0
"""A token that locks its user PIN after three wrong ones: openCryptoki does, SoftHSM2 and NSS never do."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11.constants import TokenFlag

from sealpass.backends import pkcs11
from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11.connection import Connection
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.pkcs11.token import find_slot
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.errors import AuthenticationFailed
from sealpass.core.protocols import Key, Unwrapper
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken

TRIES = 3
_wrong_pins = itertools.count(1000)


class LockableToken:
    """The worker's openCryptoki token, and PINs to try on it."""

    def __init__(self, token: SoftToken, pin_file: Path) -> None:
        self.token = token
        self._pin_file = pin_file
        self._module = pkcs11._module(token.uri)
        self.set_pin(token.pin)
        uri = KeyUri.parse(token.shared_key())
        self.uri = str(KeyUri(uri.scheme, uri.path, {**uri.query, "pin-source": b"file:" + os.fsencode(pin_file)}))

    def set_pin(self, pin: str) -> None:
        self._pin_file.write_text(pin)

    def wrong_pin(self) -> str:
        """A PIN that nobody has sent so far; it becomes the configured one."""
        pin = next(number for number in map(str, _wrong_pins) if number != self.token.pin)
        self.set_pin(pin)
        return pin

    def open(self, *, force: bool = False) -> Key:
        return open_key(self.uri, failure_floor=0, force_login=force)

    def refusal(self, *, force: bool = False) -> str:
        """Open the key, which must fail for the PIN; what the error says."""
        with pytest.raises(AuthenticationFailed) as caught:
            self.open(force=force)
        return str(caught.value)

    def flags(self) -> TokenFlag:
        """What the token says of its PIN."""
        return find_slot(self.token.uri, self._module).get_token().flags

    def lock(self) -> None:
        """Send wrong PINs, against all warnings, until the token has had enough."""
        for _ in range(TRIES):
            self.wrong_pin()
            self.refusal(force=True)
        self.set_pin(self.token.pin)

    def unlock(self) -> None:
        """The security officer sets the user PIN anew."""
        token = find_slot(self.token.uri, self._module).get_token()
        with token.open(rw=True, so_pin=(self.token.directory / "so-pin").read_text().strip()) as session:
            session.init_pin(self.token.pin)


@pytest.fixture
def token(opencryptoki: SoftToken, tmp_path: Path) -> Iterator[LockableToken]:
    """The token, with no wrong PIN counted; as good as new for the next test."""
    lockable = LockableToken(opencryptoki, tmp_path / "pin")
    try:
        yield lockable
    finally:
        lockable.unlock()
        lockable.set_pin(opencryptoki.pin)
        lockable.open().close()  # a right PIN sets the count back
        assert not lockable.flags() & (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_COUNT_LOW)


def works(key: Key) -> bool:
    """Whether the key opens a token."""
    assert isinstance(key, Unwrapper)
    return jwe.decrypt(encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP-256", "A256GCM"), key) == b"payload"


def sealpass(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, in a process that knows nothing of the PINs that this one has sent."""
    return subprocess.run(
        [sys.executable, "-m", "sealpass", *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_one_wrong_pin_is_one_wrong_try(token: LockableToken) -> None:
    """However often a key is opened with the same wrong PIN, the token sees it once, and takes the right one after."""
    token.wrong_pin()
    for _ in range(2 * TRIES):
        token.refusal()
    assert TokenFlag.USER_PIN_COUNT_LOW in token.flags()
    assert not token.flags() & (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED)
    token.set_pin(token.token.pin)
    with token.open() as key:
        assert works(key)


def test_the_last_try_is_the_operators(token: LockableToken) -> None:
    """With one try left not even the right PIN is sent unless the operator insists; then it opens the token."""
    for _ in range(TRIES - 1):
        token.wrong_pin()
        token.refusal()
    assert TokenFlag.USER_PIN_FINAL_TRY in token.flags()
    token.wrong_pin()
    assert "one more wrong PIN" in token.refusal()
    token.set_pin(token.token.pin)
    assert "one more wrong PIN" in token.refusal()
    assert TokenFlag.USER_PIN_LOCKED not in token.flags()
    with token.open(force=True) as key:
        assert works(key)
    assert TokenFlag.USER_PIN_FINAL_TRY not in token.flags()


def test_a_locked_pin_is_called_locked(token: LockableToken) -> None:
    """After the third wrong PIN the right one is AuthenticationFailed, too, and says why, insisting or not."""
    token.lock()
    assert TokenFlag.USER_PIN_LOCKED in token.flags()
    assert "locked" in token.refusal()
    assert "locked" in token.refusal(force=True)


def test_the_wrong_pin_that_locks_says_so(token: LockableToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """CKR_PIN_LOCKED, as C_Login answers where the flags said nothing, is the same plain AuthenticationFailed."""
    token.lock()
    monkeypatch.setattr("sealpass.backends.pkcs11.token.check_pin_flags", lambda *_, **__: None)
    assert "CKR_PIN_LOCKED" in token.refusal()


def test_the_security_officer_unlocks(token: LockableToken) -> None:
    """After a new PIN from the security officer the same process opens the key again."""
    token.lock()
    token.refusal()
    token.unlock()
    with token.open() as key:
        assert works(key)


def test_an_open_key_meets_a_pin_that_was_locked_meanwhile(
    token: LockableToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that has lost its session when the PIN is locked is AuthenticationFailed, and sends no PIN again."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with token.open() as key:
        assert isinstance(key, RsaTokenKey)
        connection: Connection = key._connection
        assert works(key)
        for _ in range(TRIES):
            token.wrong_pin()
            assert sealpass("keys", "list", token.uri, "--force-login").returncode == 3
        token.set_pin(token.token.pin)
        sent: list[object] = []
        login = connection.functions.login

        def notice(*arguments: object) -> int:
            sent.append(arguments)
            return login(*arguments)

        monkeypatch.setattr(connection.functions, "login", notice)
        connection.lose(connection._idle)
        for _ in range(2):
            with pytest.raises(AuthenticationFailed, match="locked"):
                works(key)
        assert sent == []


def test_the_command_says_locked_and_exits_with_3(token: LockableToken) -> None:
    """``sealpass keys list`` on a locked token exits with 3 and one line that says so, without any PIN in it."""
    token.lock()
    ran = sealpass("keys", "list", token.uri)
    assert ran.returncode == 3
    assert "locked" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert token.token.pin not in ran.stderr + ran.stdout
