# SPDX-License-Identifier: Apache-2.0
"""The encrypting half, done by jwcrypto: what a browser does, for tools and tests. Needs public keys only."""

import json
from collections.abc import Mapping

from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME
from sealpass.core.contract import E2eeInformation, Profile, profile_named
from sealpass.core.errors import ConfigError
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.jwk import PublicJwk


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
    """The token for a password (secret) under what the server announced; raises ConfigError where it gets too long.

    ``profile`` is a variant of the announced one, with the password at another JSON Pointer.
    """
    profile = profile or profile_named(information.profile)
    header = {"nonce": information.nonce}
    if "kid" in profile.required_members:
        header = {"kid": information.public_key.kid, **header}
    payload = profile.write_payload(password)
    token = encrypt(payload, information.public_key, information.alg, information.enc, header)
    if len(token) > MAX_TOKEN_BYTES:
        raise ConfigError(f"the password is too long: its token has more than {MAX_TOKEN_BYTES} bytes")
    return token
