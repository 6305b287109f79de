# SPDX-License-Identifier: Apache-2.0
"""RSA-OAEP with a public key, by cryptography: for probes of a device's own key."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sealpass.core.algorithms import Hash, RsaOaep

_HASHES: dict[Hash, hashes.HashAlgorithm] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - RSA-OAEP of RFC 7518; the contract makes it an opt-in
    Hash.SHA224: hashes.SHA224(),
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}


def oaep_padding(oaep: RsaOaep) -> padding.OAEP:
    """Cryptography's form of an OAEP variant."""
    return padding.OAEP(mgf=padding.MGF1(_HASHES[oaep.mgf_hash]), algorithm=_HASHES[oaep.hash], label=None)


def oaep_encrypt(public_key: rsa.RSAPublicKey, plaintext: bytes, oaep: RsaOaep) -> bytes:
    """Encrypt ``plaintext`` (secret) to a public key (RFC 8017 section 7.1.1)."""
    return public_key.encrypt(plaintext, oaep_padding(oaep))
