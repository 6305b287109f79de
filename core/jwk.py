# SPDX-License-Identifier: Apache-2.0
"""The public half of an unwrapping key, as a JWK (RFC 7517) with its RFC 7638 thumbprint as ``kid``.

jwcrypto does the JWK work; it is loaded on first use, because it costs more than the rest of sealpass together.
"""

import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.core import strict_json
from sealpass.core.algorithms import MAX_RSA_BITS, MIN_RSA_BITS, OAEP_BY_JWE_NAME
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm


def _unfit(message: str) -> UnsupportedAlgorithm:
    return UnsupportedAlgorithm(message, hint=f"make an RSA key of {MIN_RSA_BITS} bits or more")


def check_rsa_public_key(public_key: rsa.RSAPublicKey) -> None:
    """Refuse what RFC 7518 section 4.3 and common sense refuse; raises UnsupportedAlgorithm."""
    if not MIN_RSA_BITS <= public_key.key_size <= MAX_RSA_BITS:
        raise _unfit(f"the RSA key has {public_key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are allowed")
    numbers = public_key.public_numbers()
    if numbers.n % 2 == 0:
        raise _unfit("the RSA key's modulus is even, so it is not a product of two primes")
    exponent = numbers.e
    if exponent == 1 or exponent % 2 == 0:
        raise _unfit("the RSA key's public exponent is not an odd number above 1")


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """An RSA public key. Everything in it is public."""

    n: str
    """The modulus, base64url (RFC 7518 section 6.3.1.1)."""
    e: str
    kid: str
    """The RFC 7638 SHA-256 thumbprint."""
    bits: int

    @property
    def modulus_bytes(self) -> int:
        """The length of every ciphertext under this key (RFC 8017 section 7.1)."""
        return (self.bits + 7) // 8

    @classmethod
    def from_public_key(cls, public_key: rsa.RSAPublicKey) -> "PublicJwk":
        """From a cryptography public key; raises UnsupportedAlgorithm where the key is too weak."""
        from jwcrypto import jwk

        check_rsa_public_key(public_key)
        key = jwk.JWK.from_pyca(public_key)
        members = key.export_public(as_dict=True)
        return cls(members["n"], members["e"], key.thumbprint(), public_key.key_size)

    @classmethod
    def from_json(cls, text: bytes) -> "PublicJwk":
        """From a JWK file; raises ConfigError for anything but an RSA public key meant for encryption."""
        try:
            members = strict_json.loads(text)
        except ValueError as error:
            raise ConfigError(f"not a JWK: {error}") from None
        return cls.from_dict(members)

    @classmethod
    def from_dict(cls, members: Any) -> "PublicJwk":
        """From the members of a JWK; see :meth:`from_json`."""
        from jwcrypto import jwk
        from jwcrypto.common import JWException

        if not isinstance(members, dict):
            raise ConfigError("not a JWK: not a JSON object")
        if members.get("kty") != "RSA":
            raise ConfigError("the JWK is not an RSA key")
        if any(name in members for name in ("d", "p", "q", "dp", "dq", "qi", "oth")):
            raise ConfigError("the JWK holds a private key", hint="give only its public members: kty, n, e")
        if members.get("use", "enc") != "enc":
            raise ConfigError("the JWK's use is not 'enc'")
        operations = members.get("key_ops", ["encrypt"])
        if not isinstance(operations, list) or not ("wrapKey" in operations or "encrypt" in operations):
            raise ConfigError("the JWK's key_ops allow neither wrapKey nor encrypt")
        if members.get("alg", "RSA-OAEP-256") not in tuple(OAEP_BY_JWE_NAME):  # a tuple, because a list has no hash
            raise ConfigError("the JWK's alg is not RSA-OAEP-256 or RSA-OAEP")
        try:
            # json.dumps() because the constructor of JWK takes keyword arguments and warns about unknown ones
            key = jwk.JWK.from_json(json.dumps({name: members[name] for name in ("kty", "n", "e")}))
            public_key = serialization.load_pem_public_key(key.export_to_pem())
        except (JWException, KeyError, TypeError, ValueError):
            raise ConfigError("the JWK's n and e are not an RSA public key") from None
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise ConfigError("the JWK is not an RSA key")
        try:
            found = cls.from_public_key(public_key)
        except UnsupportedAlgorithm as error:
            raise ConfigError(str(error)) from None
        if (found.n, found.e) != (members["n"], members["e"]):
            raise ConfigError("the JWK's n or e is not in its shortest base64url form (RFC 7518 section 6.3.1)")
        return found

    def public_key(self) -> rsa.RSAPublicKey:
        """The key for cryptography."""
        from jwcrypto import jwk

        key = serialization.load_pem_public_key(jwk.JWK(kty="RSA", n=self.n, e=self.e).export_to_pem())
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - kty is RSA
        return key

    def to_dict(self, alg: str | None = None) -> dict[str, str]:
        """The JWK's members; ``alg`` pins the key to one algorithm (RFC 8725bis)."""
        members = {"kty": "RSA", "n": self.n, "e": self.e, "kid": self.kid, "use": "enc"}
        return members | {"alg": alg} if alg else members
