# SPDX-License-Identifier: Apache-2.0
"""Keys made in a token: for one mode, not extractable, visible to Java where wanted."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import Attribute, KeyType, ObjectClass

from sealpass.backends.pkcs11.rsa_key import InTokenRsaKey, NativeRsaKey
from sealpass.backends.registry import key_maker, open_key
from sealpass.core import base64url, encrypt, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, Error, UnsupportedAlgorithm
from sealpass.core.protocols import as_unwrapper
from tests.pkcs11.test_finding import rw_session
from tests.support.soft_tokens import SoftToken


def open_token_key(uri: str) -> NativeRsaKey | InTokenRsaKey:
    """The key, as its own class."""
    key = open_key(uri)
    assert isinstance(key, NativeRsaKey | InTokenRsaKey)
    return key


def test_a_native_key_has_the_attributes_of_its_mode(softhsm2: SoftToken) -> None:
    """A key for mode native decrypts, does nothing else, and never leaves the token."""
    with open_token_key(softhsm2.new_key()) as key:
        found = key.attributes()
        assert found["id"] == base64url.decode(key.key_id.encode()).hex()
    expected = {"sensitive": True, "extractable": False, "always_sensitive": True, "never_extractable": True}
    expected |= {"private": True, "token": True, "local": True, "decrypt": True}
    expected |= {"unwrap": False, "sign": False, "derive": False}
    assert {name: found[name] for name in expected} == expected


def test_an_in_token_key_may_unwrap_and_not_decrypt(softhsm2: SoftToken) -> None:
    """A key for mode in-token has CKA_UNWRAP and not CKA_DECRYPT."""
    uri = softhsm2.new_key(UnwrapMode.IN_TOKEN)
    listing = next(item for item in key_maker(uri).list_keys())
    assert listing.modes == (UnwrapMode.IN_TOKEN,)


def test_a_self_signed_pair_has_a_certificate_that_verifies(softhsm2: SoftToken) -> None:
    """The certificate holds the key, verifies with it, and the key may not sign any more."""
    uri = softhsm2.new_key(self_signed=True)
    with open_token_key(uri) as key, rw_session(softhsm2) as session:
        identifier = base64url.decode(key.key_id.encode())
        stored = list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.ID: identifier}))
        certificate = x509.load_der_x509_certificate(stored[0][Attribute.VALUE])
        assert certificate.public_key() == key.public_jwk.public_key()
        certificate.verify_directly_issued_by(certificate)
        assert key.attributes()["sign"] is False


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no Java on this machine")
def test_java_sees_a_self_signed_pair(softhsm2: SoftToken, tmp_path: Path) -> None:
    """Java's PKCS11 key store lists the pair, which it does not do without a certificate."""
    with_certificate, without = softhsm2.new_key(self_signed=True), softhsm2.new_key()
    config = tmp_path / "sunpkcs11.cfg"
    with open_token_key(with_certificate) as key:
        token = key.describe()
    with rw_session(softhsm2) as session:
        slot = session.token.slot.slot_id
    config.write_text(f"name = test\nlibrary = {softhsm2.uri.require('module-path')}\nslot = {slot}\n")
    keytool = [shutil.which("keytool") or "", "-list", "-storetype", "PKCS11", "-storepass:file"]
    keytool += [str(softhsm2.directory / "pin"), "-providerClass", "sun.security.pkcs11.SunPKCS11"]
    listed = subprocess.run([*keytool, "-providerArg", str(config)], capture_output=True, text=True, check=True).stdout
    labels = [uri.split("object=")[1].split(";")[0] for uri in (with_certificate, without)]
    assert f"{labels[0]}, PrivateKeyEntry" in listed
    assert f"{labels[1]}, " not in listed
    assert token["token"] == "sealpass"


def test_an_imported_key_unwraps_and_is_known_as_imported(softhsm2: SoftToken) -> None:
    """A PEM key works in the token, which does not claim that it was always sensitive."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    uri = str(key_maker(softhsm2.key_uri(softhsm2.fresh_label())).import_rsa(pem, UnwrapMode.NATIVE))
    with open_token_key(uri) as key:
        assert key.public_jwk.public_key() == private_key.public_key()
        token = encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP", "A256GCM")
        assert jwe.decrypt(token, as_unwrapper(key)) == b"payload"
        found = key.attributes()
        assert (found["sensitive"], found["extractable"]) == (True, False)
        assert (found["always_sensitive"], found["local"]) == (False, False)


def test_a_key_is_never_overwritten(softhsm2: SoftToken) -> None:
    """A second key under a label is refused, and the first one stays."""
    uri = softhsm2.new_key()
    label = uri.split("object=")[1].split(";")[0]
    with open_key(uri) as key:
        before = key.key_id
    with pytest.raises(ConfigError, match="already"):
        key_maker(softhsm2.key_uri(label)).create_rsa(2048, UnwrapMode.NATIVE)
    with open_key(uri) as key:
        assert key.key_id == before


def test_what_cannot_be_made_is_said(softhsm2: SoftToken) -> None:
    """A URI without a label, a chosen id, a mode of another backend and a file that is no key are refused."""
    new = softhsm2.key_uri(softhsm2.fresh_label())
    with pytest.raises(ConfigError):
        key_maker(softhsm2.uri).create_rsa(2048, UnwrapMode.NATIVE)
    with pytest.raises(ConfigError, match="thumbprint"):
        key_maker(new.replace("?", ";id=%01?", 1)).create_rsa(2048, UnwrapMode.NATIVE)
    with pytest.raises(ConfigError, match="native or in-token"):
        key_maker(new).create_rsa(2048, UnwrapMode.SOFTWARE)
    with pytest.raises(ConfigError, match="PEM"):
        key_maker(new).import_rsa(b"no key", UnwrapMode.NATIVE)
    with pytest.raises(ConfigError, match="128, 192 or 256"):
        key_maker(new).create_aes(64)
    assert list(key_maker(new).list_keys()) == []


def test_a_failure_half_way_leaves_nothing(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where storing the certificate fails, the pair that was made before it is destroyed."""
    from sealpass.backends.pkcs11 import key_making

    def fail(*_: object) -> None:
        raise ConfigError("planted")

    monkeypatch.setattr(key_making, "_store_certificate", fail)
    label = softhsm2.fresh_label()
    with pytest.raises(ConfigError, match="planted"):
        key_maker(softhsm2.key_uri(label)).create_rsa(2048, UnwrapMode.NATIVE, self_signed=True)
    with rw_session(softhsm2) as session:
        assert list(session.get_objects({Attribute.LABEL: label})) == []


def test_the_token_itself_enforces_what_the_key_is_for(softhsm2: SoftToken) -> None:
    """A new key does OAEP and nothing else, and a CEK unwrapped in the token stays there, whoever has the PIN."""
    for mode in (UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN):
        with open_token_key(softhsm2.shared_key(mode)) as key:
            found = key.attributes()
        assert found["allowed_mechanisms"] == "CKM_RSA_PKCS_OAEP"
        assert (found["raw_rsa"], found["rsa_pkcs"]) == (False, False)
        assert found.get("cek_readable", False) is False


def test_what_a_token_does_not_enforce_is_found_by_trying(nss: SoftToken) -> None:
    """NSS keeps neither restriction; the attempt to misuse the key succeeds and is reported."""
    with open_token_key(nss.shared_key(UnwrapMode.IN_TOKEN)) as key:
        found = key.attributes()
    assert (found["cek_readable"], found["raw_rsa"], found["cek_length_checked"]) == (True, True, True)


def test_a_key_for_both_modes_goes_by_the_uri(softhsm2: SoftToken) -> None:
    """A key for both modes is native unless the URI says in-token; a mode that it is not made for is refused."""
    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        pair = session.generate_keypair(KeyType.RSA, 2048, label=label, store=True)
        try:
            for suffix, mode in (("", "native"), ("&unwrap-mode=in-token", "in-token")):
                with open_token_key(softhsm2.key_uri(label) + suffix) as key:
                    assert key.capabilities.mode == mode
        finally:
            for half in pair:
                half.destroy()
    with pytest.raises(UnsupportedAlgorithm, match="made for native"):
        open_key(softhsm2.shared_key() + "&unwrap-mode=in-token")


def test_a_token_that_knows_no_restrictions_makes_the_key_and_says_so(
    nss: SoftToken, caplog: pytest.LogCaptureFixture
) -> None:
    """What the token will not enforce is named in a warning; the key is made all the same."""
    uri = nss.new_key(UnwrapMode.IN_TOKEN)
    assert "CKA_ALLOWED_MECHANISMS" in caplog.text
    # NSS takes CKA_UNWRAP_TEMPLATE in silence and does not enforce it: only trying tells.
    with open_token_key(uri) as key:
        assert key.attributes()["cek_readable"] is True


def test_trouble_of_the_moment_does_not_drop_the_restrictions(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that is lost while the pair is made is BackendUnavailable; no unprotected key is made instead."""
    from pkcs11.exceptions import DeviceError

    from sealpass.backends.pkcs11 import key_making
    from sealpass.core.errors import BackendUnavailable

    tried: list[object] = []

    def fail(restrictions: object) -> None:
        tried.append(restrictions)
        raise DeviceError

    original = key_making._most_restricted
    monkeypatch.setattr(key_making, "_most_restricted", lambda _, restrictions: original(fail, restrictions))  # type: ignore[arg-type]
    with pytest.raises(BackendUnavailable):
        softhsm2.new_key()
    assert len(tried) == 1


def test_a_refused_import_leaves_nothing(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the token takes one half of an imported pair and refuses the other, neither stays."""
    from sealpass.backends.pkcs11 import key_making

    # Refused at once. After an attribute that it refuses later, SoftHSM2 2.6.1 keeps an empty object for the process.
    monkeypatch.setitem(key_making._PUBLIC_USE[UnwrapMode.NATIVE], Attribute.KEY_TYPE, KeyType.X9_42_DH)
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    label = softhsm2.fresh_label()
    with pytest.raises(Error):
        key_maker(softhsm2.key_uri(label)).import_rsa(pem, UnwrapMode.NATIVE)
    with rw_session(softhsm2) as session:
        assert list(session.get_objects({Attribute.LABEL: label})) == []


def test_a_uri_that_contradicts_the_mode_makes_no_key(softhsm2: SoftToken) -> None:
    """unwrap-mode in the URI of a new key must be the mode that it is made for, or the key would not open by it."""
    uri = softhsm2.key_uri(softhsm2.fresh_label()) + "&unwrap-mode=in-token"
    with pytest.raises(ConfigError, match="unwrap-mode=in-token"):
        key_maker(uri).create_rsa(2048, UnwrapMode.NATIVE)
    assert list(key_maker(uri).list_keys()) == []
    open_key(key_maker(uri).create_rsa(2048, UnwrapMode.IN_TOKEN)).close()
