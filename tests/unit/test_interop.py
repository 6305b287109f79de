# SPDX-License-Identifier: Apache-2.0
"""Both ways with two independent JOSE libraries, for every alg and enc that we accept."""

from pathlib import Path

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import RSAKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk

from sealpass.core import jwe
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.encrypt import encrypt
from sealpass.core.protocols import Unwrapper
from sealpass.core.uri import KeyUri
from tests.support import tokens

PAYLOADS = [b"", b"x", '{"password":"päss ☃"}'.encode(), bytes(range(256))]
GCM = sorted(name for name, enc in ENC_BY_JWE_NAME.items() if enc.is_gcm)
ALG = pytest.mark.parametrize("alg", OAEP_BY_JWE_NAME)
ENC = pytest.mark.parametrize("enc", ENC_BY_JWE_NAME)


@pytest.fixture(scope="module")
def pem(software_uri: str) -> bytes:
    """The private key of ``software_key``, for the other libraries."""
    return Path(KeyUri.parse(software_uri).require("path")).read_bytes()


def _jwcrypto_open(token: str, pem: bytes, alg: str, enc: str) -> bytes:
    opened = jwcrypto_jwe.JWE(algs=[alg, enc])
    opened.deserialize(token, jwcrypto_jwk.JWK.from_pem(pem))
    assert isinstance(opened.payload, bytes)
    return opened.payload


def _joserfc_open(token: str, pem: bytes, alg: str, enc: str) -> bytes:
    plaintext = joserfc_jwe.decrypt_compact(token, RSAKey.import_key(pem), algorithms=[alg, enc]).plaintext
    assert plaintext is not None
    return plaintext


@ALG
@ENC
def test_tokens_of_jwcrypto_open(software_key: Unwrapper, pem: bytes, alg: str, enc: str) -> None:
    """It is also what our own client half is made of, so this is no proof by itself."""
    for payload in PAYLOADS:
        made = jwcrypto_jwe.JWE(payload, {"alg": alg, "enc": enc}, algs=[alg, enc])
        made.add_recipient(jwcrypto_jwk.JWK.from_pem(pem))
        assert jwe.decrypt(made.serialize(compact=True), software_key) == payload


@ALG
@ENC
def test_tokens_of_joserfc_open(software_key: Unwrapper, pem: bytes, alg: str, enc: str) -> None:
    """A library that shares no code with ours or with jwcrypto."""
    public = RSAKey.import_key(RSAKey.import_key(pem).as_dict(private=False))
    for payload in PAYLOADS:
        made = joserfc_jwe.encrypt_compact({"alg": alg, "enc": enc, "kid": "k"}, payload, public, algorithms=[alg, enc])
        assert jwe.decrypt(made, software_key) == payload


@ALG
@ENC
def test_our_tokens_open_elsewhere(software_key: Unwrapper, pem: bytes, alg: str, enc: str) -> None:
    """What encrypt() makes, with members of its own, opens in both."""
    for payload in PAYLOADS:
        made = encrypt(payload, software_key.public_jwk, alg, enc, {"kid": "k"})
        assert tokens.header_of(made) == {"alg": alg, "enc": enc, "kid": "k"}
        if payload:  # jwcrypto 1.6 takes an empty plaintext for a failure
            assert _jwcrypto_open(made, pem, alg, enc) == payload
        assert _joserfc_open(made, pem, alg, enc) == payload


@ALG
@pytest.mark.parametrize("enc", GCM)
def test_tokens_built_for_the_tests_open_everywhere(software_key: Unwrapper, pem: bytes, alg: str, enc: str) -> None:
    """The builder under tests/support makes real tokens: a refusal of one is not the builder's fault."""
    made = tokens.build(software_key.public_jwk.public_key(), {"alg": alg, "enc": enc}, PAYLOADS[2])
    assert jwe.decrypt(made, software_key) == PAYLOADS[2]
    assert _jwcrypto_open(made, pem, alg, enc) == PAYLOADS[2]
    assert _joserfc_open(made, pem, alg, enc) == PAYLOADS[2]


def test_our_public_key_is_read_elsewhere(software_key: Unwrapper, pem: bytes) -> None:
    """The announced JWK, with its thumbprint as both libraries compute it."""
    members = software_key.public_jwk.to_dict("RSA-OAEP-256")
    assert jwcrypto_jwk.JWK(**members).thumbprint() == members["kid"]
    assert RSAKey.import_key(dict(members)).thumbprint() == members["kid"]
    assert RSAKey.import_key(pem).thumbprint() == software_key.key_id
