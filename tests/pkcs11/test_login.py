# SPDX-License-Identifier: Apache-2.0
"""Logging in: once, never twice with a wrong PIN, never into a locked token."""

import secrets
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from pkcs11 import Slot
from pkcs11.constants import TokenFlag

from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.return_values import CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, CKR_OK, CKR_PIN_INCORRECT
from sealpass.backends.pkcs11.token import Login
from sealpass.backends.registry import open_key
from sealpass.core.errors import AuthenticationFailed, BackendUnavailable, ConfigError, Error
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken

READY = TokenFlag.TOKEN_INITIALIZED | TokenFlag.LOGIN_REQUIRED | TokenFlag.USER_PIN_INITIALIZED


@dataclass
class RecordingToken:
    """A token that answers C_Login as told and remembers the PINs that it was sent."""

    flags: TokenFlag = READY
    answer: int = CKR_OK
    pins: list[bytes | None] = field(default_factory=list)
    serial: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    label: str = "t"

    def login(self, _session: int, _user: int, pin: bytes | None, _length: int) -> int:
        self.pins.append(pin)
        return self.answer

    def make_login(self, query: str = "pin-source=env:TEST_PIN", *, force: bool = False) -> Login:
        module = cast("Module", SimpleNamespace(path="/module", functions=SimpleNamespace(login=self.login)))
        return Login(KeyUri.parse("pkcs11:token=t" + (f"?{query}" if query else "")), module, force=force)

    def slot(self) -> Slot:
        return cast("Slot", SimpleNamespace(get_token=lambda: self))


@pytest.fixture(autouse=True)
def _pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PIN", "4711")


def test_a_refused_pin_is_never_sent_again() -> None:
    """After CKR_PIN_INCORRECT the same PIN is refused by us, in whatever key is opened next; the token sees it once."""
    token = RecordingToken(answer=CKR_PIN_INCORRECT)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            token.make_login()(token.slot(), 1)
    assert token.pins == [b"4711"]


def test_force_sends_it_again() -> None:
    """An operator who has reset the token to that very PIN can insist."""
    token = RecordingToken(answer=CKR_PIN_INCORRECT)
    with pytest.raises(AuthenticationFailed):
        token.make_login()(token.slot(), 1)
    token.answer = CKR_OK
    token.make_login(force=True)(token.slot(), 1)
    token.make_login()(token.slot(), 1)
    assert len(token.pins) == 3


@pytest.mark.parametrize("rv", [CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR, 0x80000001], ids=hex)
def test_a_passing_trouble_does_not_condemn_the_pin(rv: int) -> None:
    """A C_Login that fails for another reason than the PIN is retryable, and the PIN is sent again."""
    token = RecordingToken(answer=rv)
    with pytest.raises(BackendUnavailable) as caught:
        token.make_login()(token.slot(), 1)
    assert caught.value.retryable
    token.answer = CKR_OK
    token.make_login()(token.slot(), 1)
    assert len(token.pins) == 2


def test_a_pin_that_is_no_unicode_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Octets that are no UTF-8 in a variable are a ConfigError that holds neither them nor a cause that does."""
    monkeypatch.setenv("TEST_PIN", "geheim-4711\udcff")
    token = RecordingToken()
    with pytest.raises(ConfigError) as caught:
        token.make_login()(token.slot(), 1)
    assert "geheim" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert token.pins == []


def test_a_corrected_pin_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PIN source is read again at each login, so a corrected PIN gets its try."""
    token = RecordingToken(answer=CKR_PIN_INCORRECT)
    login = token.make_login()
    with pytest.raises(AuthenticationFailed):
        login(token.slot(), 1)
    monkeypatch.setenv("TEST_PIN", "4712")
    token.answer = CKR_OK
    login(token.slot(), 1)
    assert token.pins == [b"4711", b"4712"]


def test_a_final_try_token_is_not_tried_without_force() -> None:
    """A token whose next wrong PIN locks it sees no PIN unless the operator insists."""
    token = RecordingToken(flags=READY | TokenFlag.USER_PIN_FINAL_TRY)
    with pytest.raises(AuthenticationFailed, match="one more wrong PIN"):
        token.make_login()(token.slot(), 1)
    assert token.pins == []
    token.make_login(force=True)(token.slot(), 1)
    assert token.pins == [b"4711"]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (READY | TokenFlag.USER_PIN_LOCKED, "locked"),
        (TokenFlag.TOKEN_INITIALIZED | TokenFlag.LOGIN_REQUIRED, "no user PIN"),
    ],
    ids=["locked", "without a PIN"],
)
def test_a_token_that_cannot_log_in_sees_no_pin(flags: TokenFlag, text: str) -> None:
    """A locked token, and one without a user PIN, are told apart by their flags, without a try."""
    token = RecordingToken(flags=flags)
    with pytest.raises(AuthenticationFailed, match=text):
        token.make_login(force=True)(token.slot(), 1)
    assert token.pins == []


def test_a_token_without_login_needs_no_pin() -> None:
    """Where CKF_LOGIN_REQUIRED is not set nothing is sent."""
    token = RecordingToken(flags=TokenFlag.TOKEN_INITIALIZED)
    token.make_login("")(token.slot(), 1)
    assert token.pins == []


def test_a_pin_pad_gets_no_pin_from_us() -> None:
    """With CKF_PROTECTED_AUTHENTICATION_PATH and no source the PIN comes from the device's own pad."""
    token = RecordingToken(flags=READY | TokenFlag.PROTECTED_AUTHENTICATION_PATH)
    token.make_login("")(token.slot(), 1)
    assert token.pins == [None]


def test_a_missing_pin_source_says_what_to_add() -> None:
    """A token that wants a PIN, and a URI without one, is a ConfigError with the attribute to add."""
    token = RecordingToken()
    with pytest.raises(ConfigError) as caught:
        token.make_login("")(token.slot(), 1)
    assert "pin-source" in caught.value.hint


def test_a_wrong_pin_on_a_real_token(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SoftHSM2 refuses a wrong PIN; no session stays open, neither PIN is in the error, the right one still works."""
    uri = softhsm2.shared_key()
    wrong = "000000000000"
    monkeypatch.setenv("TEST_PIN", wrong)
    source = str(softhsm2.directory / "pin")
    with pytest.raises(AuthenticationFailed) as caught:
        open_key(uri.replace(f"pin-source=file:{source}", "pin-source=env:TEST_PIN"))
    assert wrong not in repr(caught.value)
    with open_key(uri) as key:
        assert key.capabilities.unwrap
    assert softhsm2.pin not in caplog.text
    assert wrong not in caplog.text


@pytest.mark.parametrize("source", ["file:/nonexistent/pin", "env:NO_SUCH_VARIABLE", "1234", "file:", "http://pin"])
def test_a_pin_source_that_cannot_be_read_is_a_config_error(softhsm2: SoftToken, source: str) -> None:
    """A missing file or variable, and a PIN in place of its source, are ConfigErrors and nothing is sent."""
    uri = KeyUri.parse(softhsm2.shared_key())
    broken = KeyUri(uri.scheme, uri.path, {**uri.query, "pin-source": source.encode()})
    with pytest.raises(Error) as caught:
        open_key(broken)
    assert isinstance(caught.value, ConfigError)
    assert "1234" not in str(caught.value)
