# SPDX-License-Identifier: Apache-2.0
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.pem import load_rsa_private_key


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A key that is right."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n".encode()


# PKCS #8 with an algorithm that nobody has assigned: 1.2.840.113549.1.1.99.
UNKNOWN_KIND = bytes.fromhex("3017020100300d06092a864886f70d01016305000403040100")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_rsa_keys_load(key: rsa.RSAPrivateKey, form: PrivateFormat) -> None:
    """Both PEM forms that openssl writes."""
    loaded = load_rsa_private_key(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    assert loaded.private_numbers() == key.private_numbers()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_keys_are_refused(key: rsa.RSAPrivateKey, form: PrivateFormat) -> None:
    """There is no place for their password."""
    with pytest.raises(ConfigError, match="encrypted") as caught:
        load_rsa_private_key(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x")))
    assert caught.value.hint
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("other", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
def test_other_kinds_of_key_are_refused(other: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    """Only RSA unwraps."""
    with pytest.raises(UnsupportedAlgorithm, match="not an RSA key"):
        load_rsa_private_key(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_weak_keys_are_refused() -> None:
    """RFC 7518 section 4.3."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point of the test
    with pytest.raises(UnsupportedAlgorithm, match="1024 bits"):
        load_rsa_private_key(weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_public_keys_are_refused(key: rsa.RSAPrivateKey) -> None:
    """The other half of the pair is an easy mistake."""
    with pytest.raises(ConfigError, match="not a PEM private key"):
        load_rsa_private_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_der_is_refused(key: rsa.RSAPrivateKey) -> None:
    """The same key without its armour."""
    with pytest.raises(ConfigError, match="not a PEM private key"):
        load_rsa_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\0",
        b"hello",
        b"-----BEGIN PRIVATE KEY-----\n",
        _pem("PRIVATE KEY", b"\x30\x00"),
        _pem("PRIVATE KEY", UNKNOWN_KIND),
    ],
    ids=["empty", "nul", "text", "cut", "empty-sequence", "unknown-algorithm"],
)
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    """No exception of cryptography's own comes through."""
    with pytest.raises(ConfigError, match="not a PEM private key"):
        load_rsa_private_key(pem)
