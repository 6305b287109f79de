# SPDX-License-Identifier: Apache-2.0
"""What stands beside a private key. Its certificate must be the key's own; that it expired is worth a warning only.

Nobody validates certificates here: they are how Java stores public keys.
"""

import logging
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm as CryptographyUnsupported
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from sealpass.core.errors import ConfigError

_log = logging.getLogger(__name__)


def _read(certificate: bytes) -> tuple[rsa.RSAPublicKey, datetime] | None:
    try:
        read = x509.load_der_x509_certificate(certificate)
        # What is not for RSA encryption is not looked at: some kinds of keys are worth a warning to cryptography.
        if read.public_key_algorithm_oid != PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
            return None
        public_key, expiry = read.public_key(), read.not_valid_after_utc
    except (ValueError, x509.InvalidVersion, CryptographyUnsupported):
        return None
    return (public_key, expiry) if isinstance(public_key, rsa.RSAPublicKey) else None


def rsa_public_key_of(certificate: bytes) -> rsa.RSAPublicKey | None:
    """The public key of an X.509 certificate in DER; None where it is none for RSA encryption, or not readable."""
    read = _read(certificate)
    return None if read is None else read[0]


def check_certificate(certificate: bytes, private_key: rsa.RSAPrivateKey, alias: str) -> None:
    """Raise ConfigError where the certificate is another key's; log a warning where it expired."""
    read = _read(certificate)
    if read is None or read[0].public_numbers() != private_key.public_key().public_numbers():
        raise ConfigError(
            f"the certificate of '{alias}' is not the certificate of its key",
            hint="whoever takes the public key from the certificate encrypts to another key; import the right one",
        )
    if read[1] < datetime.now(UTC):
        _log.warning("the certificate of '%s' expired on %s; its key still works", alias, read[1].date().isoformat())
