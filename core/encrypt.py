# SPDX-License-Identifier: Apache-2.0
"""The encrypting half, JWE done by jwcrypto: what a browser does, for tools and tests. Needs public keys only."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace

from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.contract import E2eeInformation, profile_named
from sealpass.core.errors import ConfigError
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.jwe_profile import JweProfile
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import KmsProfile, additional_data
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.profile import Profile


def encrypt(payload: bytes, public_key: PublicJwk, alg: str, enc: str, header: Mapping[str, str] | None = None) -> str:
    """A compact JWE of ``payload`` (secret) with ``header``'s members protected; raises ConfigError."""
    from jwcrypto import jwe, jwk

    if alg not in OAEP_BY_JWE_NAME or enc not in ENC_BY_JWE_NAME:
        raise ConfigError(f"alg is one of {', '.join(OAEP_BY_JWE_NAME)}; enc is one of {', '.join(ENC_BY_JWE_NAME)}")
    token = jwe.JWE(
        payload,
        json.dumps({"alg": alg, "enc": enc, **(header or {})}),
        algs=[alg, enc],
        recipient=jwk.JWK(kty="RSA", n=public_key.n, e=public_key.e),
    )
    return str(token.serialize(compact=True))


def encrypt_password(password: str, information: E2eeInformation, profile: Profile | None = None) -> str:
    """The message for a password (secret) under what the server announced; raises ConfigError where it gets too long.

    ``profile`` is a variant of the announced one, with the password at another JSON Pointer or other AES-GCM settings.
    """
    profile = profile or replace(profile_named(information.profile), encs=(information.enc,))
    payload = profile.write_payload(password)
    if isinstance(profile, KmsProfile):
        message = _encrypt_for_kms(payload, information, profile)
    else:
        assert isinstance(profile, JweProfile)  # noqa: S101 - there are two kinds
        header = {"nonce": information.nonce}
        if "kid" in profile.required_members:
            header = {"kid": information.public_key.kid, **header}
        message = encrypt(payload, information.public_key, information.alg, information.enc, header)
    if len(message) > MAX_TOKEN_BYTES:
        raise ConfigError(f"the password is too long: its token has more than {MAX_TOKEN_BYTES} bytes")
    return message


def _encrypt_for_kms(payload: bytes, information: E2eeInformation, profile: KmsProfile) -> str:
    """The string of JSON that Airlock's clients send."""
    cek = secrets.token_bytes(ENC_BY_JWE_NAME[profile.encs[0]].cek_bytes)
    aad = additional_data(information.nonce, profile.nonce_form)
    iv, ciphertext, tag = encrypt_gcm(cek, payload, aad)
    key = oaep_encrypt(information.public_key.public_key(), cek, OAEP_BY_JWE_NAME[information.alg])
    members = {"password": ciphertext + tag, "key": key, "iv": iv}
    return json.dumps({name: base64.b64encode(octets).decode("ascii") for name, octets in members.items()})
