# SPDX-License-Identifier: Apache-2.0
"""RSA private keys in PEM (RFC 7468, RFC 5958)."""

from cryptography.exceptions import UnsupportedAlgorithm as CryptographyUnsupported
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.jwk import check_rsa_public_key


def load_rsa_private_key(pem: bytes) -> rsa.RSAPrivateKey:
    """An RSA private key (secret) from PEM without a password; raises ConfigError.

    Raises UnsupportedAlgorithm for a key that is none of RSA, or too weak.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(
            "the PEM key is encrypted", hint="decrypt it first; keys of real use belong into a device"
        ) from None
    except (ValueError, CryptographyUnsupported):
        raise ConfigError("the file is not a PEM private key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnsupportedAlgorithm("the PEM key is not an RSA key", hint="name an RSA private key")
    check_rsa_public_key(key.public_key())
    return key
