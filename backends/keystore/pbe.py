# SPDX-License-Identifier: Apache-2.0
"""Password-based encryption and integrity of PKCS #12: PBES2 and PBMAC1 (RFC 8018), and the older algorithms.

The key derivation of RFC 7292 appendix B comes from purejks, PBKDF2 and AES from cryptography, RC2 with 40 bits, which
cryptography does not have, from PyCryptodome. What a file says about iterations and sizes is checked first.
"""

import hashlib
import hmac
from typing import Any

from asn1crypto import algos
from Cryptodome.Cipher import ARC2
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from jks import rfc7292
from jks.util import BadDataLengthException, BadPaddingException

from sealpass.backends.keystore import der
from sealpass.backends.keystore.entries import WrongKeyPassword, check_iterations, check_salt
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm

_PBMAC1 = "1.2.840.113549.1.5.14"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - what the store was written with
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_HMAC_NAMES = {
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_AES_CBC_BYTES = {"aes128_cbc": 16, "aes192_cbc": 24, "aes256_cbc": 32}
_RC2_BITS = {"pkcs12_sha1_rc2_40": 40, "pkcs12_sha1_rc2_128": 128}
_RC2_BLOCK_BYTES = 8
_TRIPLE_DES = "pkcs12_sha1_tripledes_3key"
# RFC 9579 section 4 refuses shorter keys of a MAC; nothing needs one longer than the longest digest.
_MAC_KEY_BYTES = range(20, 65)
_CONVERT = "write the store again with AES: keytool -importkeystore -deststoretype PKCS12, or openssl pkcs12"


def _unsupported(what: str) -> UnsupportedAlgorithm:
    return UnsupportedAlgorithm(f"the key store uses {what}", hint=_CONVERT)


def _pbkdf2(function: Any, password: str, key_bytes: int | None) -> bytes:
    """Derive with PBKDF2 (RFC 8018 section 5.2); ``key_bytes`` None = the length that the parameters state."""
    if function["algorithm"].native != "pbkdf2":
        raise _unsupported(f"the key derivation {function['algorithm'].dotted}")
    parameters = function["parameters"]
    prf = _HASHES.get(parameters["prf"]["algorithm"].native)
    if prf is None or parameters["salt"].name != "specified":
        raise _unsupported("PBKDF2 in a variant that we do not know")
    stated = parameters["key_length"].native
    if key_bytes is None and stated not in _MAC_KEY_BYTES:
        raise ConfigError("the key store's MAC has a key of a wrong length (RFC 9579 section 4)")
    if key_bytes is not None and stated not in (None, key_bytes):
        raise ConfigError("the key store states a key length that its cipher does not have")
    derivation = PBKDF2HMAC(
        prf,
        key_bytes or stated,
        check_salt(parameters["salt"].native),
        check_iterations(parameters["iteration_count"].native),
    )
    return derivation.derive(password.encode("utf-8"))


def _decrypt_pbes2(parameters: Any, ciphertext: bytes, password: str) -> bytes:
    scheme = parameters["encryption_scheme"]
    key_bytes = _AES_CBC_BYTES.get(scheme["algorithm"].native)
    if key_bytes is None:
        raise _unsupported(f"the cipher {scheme['algorithm'].dotted}")
    initial = modes.CBC(scheme["parameters"].native)
    key = _pbkdf2(parameters["key_derivation_func"], password, key_bytes)
    decryptor = Cipher(algorithms.AES(key), initial).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def _decrypt_rc2(bits: int, parameters: Any, ciphertext: bytes, password: str) -> bytes:
    salt, iterations = check_salt(parameters["salt"].native), check_iterations(parameters["iterations"].native)
    key = rfc7292.derive_key(hashlib.sha1, rfc7292.PURPOSE_KEY_MATERIAL, password, salt, iterations, bits // 8)
    initial = rfc7292.derive_key(
        hashlib.sha1, rfc7292.PURPOSE_IV_MATERIAL, password, salt, iterations, _RC2_BLOCK_BYTES
    )
    # Not ours to choose; and the stub of new() lacks an argument.
    cipher = ARC2.new(key, ARC2.MODE_CBC, iv=initial, effective_keylen=bits)  # type: ignore[call-arg]  # noqa: S304
    padded = cipher.decrypt(ciphertext)
    unpadder = padding.PKCS7(8 * _RC2_BLOCK_BYTES).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def stated_iterations(algorithm: Any) -> int | None:
    """What :func:`decrypt` would derive with; None for an algorithm that it refuses. Not checked yet."""
    name, parameters = algorithm["algorithm"].native, algorithm["parameters"]
    if name == "pbes2":
        function = parameters["key_derivation_func"]
        known = function["algorithm"].native == "pbkdf2"
        return int(function["parameters"]["iteration_count"].native) if known else None
    known = name in _RC2_BITS or name == _TRIPLE_DES
    return int(parameters["iterations"].native) if known else None


def decrypt(algorithm: Any, ciphertext: bytes, password: str) -> bytes:
    """Decrypt what an AlgorithmIdentifier (asn1crypto's EncryptionAlgorithm) describes; the answer is secret.

    Raises WrongKeyPassword, UnsupportedAlgorithm, ConfigError, or what asn1crypto raises at damaged parameters.
    """
    name = algorithm["algorithm"].native
    parameters = algorithm["parameters"]
    try:
        if name == "pbes2":
            return _decrypt_pbes2(parameters, ciphertext, password)
        if name in _RC2_BITS:
            return _decrypt_rc2(_RC2_BITS[name], parameters, ciphertext, password)
        if name == _TRIPLE_DES:
            salt, iterations = check_salt(parameters["salt"].native), check_iterations(parameters["iterations"].native)
            return bytes(rfc7292.decrypt_PBEWithSHAAnd3KeyTripleDESCBC(ciphertext, password, salt, iterations))
    except (BadDataLengthException, BadPaddingException, ValueError):
        raise WrongKeyPassword from None
    raise _unsupported(f"the protection {algorithm['algorithm'].dotted}")


def _pbmac1(parameters: Any, content: bytes, password: str) -> bytes:
    # PBMAC1-params has the shape of PBES2-params, with a MAC where that has a cipher (RFC 8018 appendix A.5).
    read = der.load(algos.Pbes2Params, parameters.dump())
    name = _HMAC_NAMES.get(read["encryption_scheme"]["algorithm"].dotted)
    if name is None:
        raise _unsupported("a MAC that we do not know")
    return hmac.digest(_pbkdf2(read["key_derivation_func"], password, None), content, name)


def verify_mac(mac_data: Any, content: bytes, password: str) -> bool:
    """Whether the MacData of a PFX (RFC 7292 section 4, RFC 9579) is the one of password and content.

    Raises UnsupportedAlgorithm, ConfigError, or what asn1crypto raises at damaged parameters.
    """
    algorithm = mac_data["mac"]["digest_algorithm"]
    found = mac_data["mac"]["digest"].native
    if algorithm["algorithm"].dotted == _PBMAC1:
        return hmac.compare_digest(_pbmac1(algorithm["parameters"], content, password), found)
    name = algorithm["algorithm"].native
    if name not in _HASHES:
        raise _unsupported(f"the MAC {algorithm['algorithm'].dotted}")
    salt, iterations = check_salt(mac_data["mac_salt"].native), check_iterations(mac_data["iterations"].native)
    key = rfc7292.derive_key(
        getattr(hashlib, name),
        rfc7292.PURPOSE_MAC_MATERIAL,
        password,
        salt,
        iterations,
        _HASHES[name].digest_size,
    )
    return hmac.compare_digest(hmac.digest(key, content, name), found)
