# SPDX-License-Identifier: Apache-2.0
"""Keys with CKA_ALWAYS_AUTHENTICATE: their own PIN, after every C_DecryptInit (PKCS#11 v2.40 section 4.9)."""

from collections.abc import Iterator

import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag

from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.errors import AuthenticationFailed, ConfigError
from sealpass.core.protocols import as_unwrapper
from tests.pkcs11.test_finding import rw_session
from tests.support.soft_tokens import SoftToken


@pytest.fixture
def uri(softhsm2: SoftToken) -> Iterator[str]:
    """A key that wants its PIN before every operation."""
    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        pair = session.generate_keypair(
            KeyType.RSA,
            2048,
            label=label,
            store=True,
            capabilities=MechanismFlag(0),
            private_template={Attribute.DECRYPT: True, Attribute.ALWAYS_AUTHENTICATE: True},
        )
        yield softhsm2.key_uri(label)
        for half in pair:
            half.destroy()


def test_without_a_source_for_the_keys_pin_it_does_not_open(uri: str) -> None:
    """The error names the attribute that is missing."""
    with pytest.raises(ConfigError) as caught:
        open_key(uri)
    assert "key-pin-source" in caught.value.hint


def test_with_its_pin_the_key_opens_token_after_token(softhsm2: SoftToken, uri: str) -> None:
    """The PIN is given for each operation, not once."""
    with open_key(f"{uri}&key-pin-source=file:{softhsm2.directory / 'pin'}", failure_floor=0) as key:
        token = encrypt.encrypt(b"payload", as_unwrapper(key).public_jwk, "RSA-OAEP", "A256GCM")
        for _ in range(3):
            assert jwe.decrypt(token, as_unwrapper(key)) == b"payload"


def test_a_wrong_pin_is_sent_once(softhsm2: SoftToken, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN that turns wrong later fails, is not sent a second time, and the right one works again."""
    monkeypatch.setenv("TEST_KEY_PIN", softhsm2.pin)
    with open_key(f"{uri}&key-pin-source=env:TEST_KEY_PIN") as opened:
        assert isinstance(opened, RsaTokenKey)
        key = as_unwrapper(opened)
        token = encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP", "A256GCM")
        monkeypatch.setenv("TEST_KEY_PIN", "000000000000")
        sent: list[object] = []
        login = opened._functions.login

        def recording(*given: object) -> int:
            sent.append(given)
            return login(*given)

        monkeypatch.setattr(opened._functions, "login", recording)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                jwe.decrypt(token, key)
        assert len(sent) == 1
        monkeypatch.setenv("TEST_KEY_PIN", softhsm2.pin)
        assert jwe.decrypt(token, key) == b"payload"
        assert opened._connection._opened == 1
