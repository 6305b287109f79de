# SPDX-License-Identifier: Apache-2.0
"""From decrypted PKCS #8 (RFC 5958) to an RSA key that may decrypt.

cryptography tests the primes of what it loads. That takes an hour where they have 20,000 bits, and other kinds of keys
have no use here, so both are refused before it sees them.
"""

from asn1crypto import core, keys
from cryptography.exceptions import UnsupportedAlgorithm as CryptographyUnsupported
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from sealpass.backends.keystore import der
from sealpass.backends.keystore.entries import WrongKeyPassword, refusing_damage
from sealpass.core.algorithms import MAX_RSA_BITS
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm

_RSA = "1.2.840.113549.1.1.1"  # RSASSA-PSS has another, because it is bound to signatures (RFC 4055 section 1.2)
_HINT = "name an RSA pair or an AES key"


def algorithm_and_key(pkcs8: bytes) -> tuple[str, bytes]:
    """The object identifier in PKCS #8 and the key's own octets (secret); raises ValueError, and what asn1crypto does.

    Its PrivateKeyInfo raises KeyError at algorithms that it does not know, Diffie-Hellman's and AES among them.
    """
    _version, identifier, key, *_attributes = der.load(core.SequenceOf, pkcs8, spec=core.Any)
    algorithm, *_parameters = der.load(core.SequenceOf, identifier.dump(), spec=core.Any)
    octets = der.load(core.OctetString, key.dump())
    return der.load(core.ObjectIdentifier, algorithm.dump()).dotted, bytes(octets.native)


def _check(pkcs8: bytes, alias: str) -> None:
    with refusing_damage("a private key"):
        algorithm, octets = algorithm_and_key(pkcs8)
        if algorithm != _RSA:
            raise UnsupportedAlgorithm(f"'{alias}' is not an RSA key that may decrypt", hint=_HINT)
        numbers = der.load(keys.RSAPrivateKey, octets)
        longest = max(len(numbers[name].contents) for name in ("modulus", "public_exponent", "prime1", "prime2"))
    if longest > MAX_RSA_BITS // 8 + 1:  # and an octet for the sign
        raise UnsupportedAlgorithm(f"'{alias}' is an RSA key of over {MAX_RSA_BITS} bits", hint=_HINT)


def load_rsa_key(pkcs8: bytes, alias: str) -> rsa.RSAPrivateKey:
    """The key of PKCS #8 in DER (secret). ``alias`` is for messages.

    Raises WrongKeyPassword for what is no key, UnsupportedAlgorithm for another kind of key and for one too large.
    """
    try:
        _check(pkcs8, alias)
        key = load_der_private_key(pkcs8, password=None)
    except (ConfigError, ValueError, TypeError, CryptographyUnsupported):
        raise WrongKeyPassword from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise WrongKeyPassword
    return key
