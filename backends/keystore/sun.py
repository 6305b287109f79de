# SPDX-License-Identifier: Apache-2.0
"""JKS and JCEKS, the two formats of Sun.

The layout is ours to read, because nothing may be parsed before the store's digest is verified and no Java object of
an entry that nobody asked for may be made; purejks has no way to ask for either. Its functions decrypt the keys.
"""

import hashlib
import hmac
from functools import partial

from asn1crypto import algos, keys
from jks import sun_crypto
from jks.util import BadHashCheckException, BadPaddingException

from sealpass.backends.keystore import der
from sealpass.backends.keystore.data_input import DataInput
from sealpass.backends.keystore.entries import (
    CertificateEntry,
    Entry,
    PrivateKeyEntry,
    SecretKey,
    SecretKeyEntry,
    WrongKeyPassword,
    check_encrypted_key,
    check_iterations,
    refusing_damage,
)
from sealpass.backends.keystore.java_object import UnexpectedClass, read_object
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm

JKS_MAGIC = bytes.fromhex("feedfeed")
JCEKS_MAGIC = bytes.fromhex("cececece")
_DIGEST_BYTES = 20
_WHITENING = b"Mighty Aphrodite"
_VERSION = 2
_PRIVATE_KEY, _CERTIFICATE, _SECRET_KEY = 1, 2, 3
_JKS_ALGORITHM = "1.3.6.1.4.1.42.2.17.1.1"
_JCE_ALGORITHM = "1.3.6.1.4.1.42.2.19.1"
_JCE_NAME = "PBEWithMD5AndTripleDES"


def _verify(content: bytes, store_password: str) -> bytes:
    """The store without its digest; raises ConfigError where the digest is not the one of password and content."""
    body, found = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    hashed = hashlib.sha1(store_password.encode("utf-16-be"), usedforsecurity=False)
    hashed.update(_WHITENING)
    hashed.update(body)
    if not hmac.compare_digest(hashed.digest(), found):
        raise ConfigError(
            "wrong store password, or the key store was changed or cut off: the two look alike",
            hint="check the store password with 'keytool -list -keystore FILE'",
        )
    return body


def _decrypt_jce(ciphertext: bytes, parameters: bytes, password: str) -> bytes:
    with refusing_damage("an entry of the key store"):
        read = der.load(algos.Pbes1Params, parameters)
        salt, iterations = bytes(read["salt"].native), check_iterations(int(read["iterations"].native))
    if not password.isascii():
        raise ConfigError("the key password of a JCEKS entry is ASCII text; the given one is not")
    try:
        return bytes(sun_crypto.jce_pbe_decrypt(ciphertext, password, salt, iterations))
    except (BadPaddingException, ValueError):
        raise WrongKeyPassword from None


def _decrypt_private_key(encrypted: bytes, password: str, *, jceks: bool) -> bytes:
    with refusing_damage("an entry of the key store"):
        info = der.load(keys.EncryptedPrivateKeyInfo, encrypted)
        algorithm = info["encryption_algorithm"]["algorithm"].dotted
        parameters = info["encryption_algorithm"]["parameters"].dump()
        ciphertext = bytes(info["encrypted_data"].native)
    if algorithm == _JCE_ALGORITHM and jceks:
        return _decrypt_jce(ciphertext, parameters, password)
    if algorithm != _JKS_ALGORITHM:
        raise UnsupportedAlgorithm(
            f"an entry of the key store is protected by {algorithm}",
            hint="convert the store: keytool -importkeystore -deststoretype PKCS12",
        )
    try:
        return bytes(sun_crypto.jks_pkey_decrypt(ciphertext, password))
    except BadHashCheckException:
        raise WrongKeyPassword from None


def _decrypt_secret_key(ciphertext: bytes, parameters: bytes, password: str) -> SecretKey:
    plaintext = _decrypt_jce(ciphertext, parameters, password)
    try:
        fields = read_object(DataInput(plaintext), "javax.crypto.spec.SecretKeySpec")
    except UnexpectedClass as error:
        return SecretKey(str(error), b"")
    except ValueError:  # one wrong password in 256 leaves good padding
        raise WrongKeyPassword from None
    algorithm, octets = fields.get("algorithm"), fields.get("key")
    if not isinstance(algorithm, str) or not isinstance(octets, bytes):
        raise WrongKeyPassword
    return SecretKey(algorithm, octets)


def _private_key_entry(source: DataInput, alias: str, *, jceks: bool) -> PrivateKeyEntry:
    encrypted = check_encrypted_key(source.block())
    chain = [_certificate(source) for _ in range(source.unsigned(4))]
    return PrivateKeyEntry(alias, chain[0] if chain else None, partial(_decrypt_private_key, encrypted, jceks=jceks))


def _certificate(source: DataInput) -> bytes:
    source.text()  # its type, always X.509
    return source.block()


def _secret_key_entry(source: DataInput, alias: str) -> SecretKeyEntry:
    try:
        sealed = read_object(source, "javax.crypto.SealedObject")
    except UnexpectedClass:
        raise ValueError("not a sealed object") from None
    ciphertext, parameters = sealed.get("encryptedContent"), sealed.get("encodedParams")
    if not isinstance(ciphertext, bytes) or not isinstance(parameters, bytes):
        raise ValueError("a sealed object without content")  # noqa: TRY004 - of the file, not of an argument
    if sealed.get("sealAlg") != _JCE_NAME or sealed.get("paramsAlg") != _JCE_NAME:
        raise ValueError("a sealed object of another algorithm")
    return SecretKeyEntry(alias, partial(_decrypt_secret_key, check_encrypted_key(ciphertext), parameters))


def _entry(source: DataInput, *, jceks: bool) -> Entry:
    kind = source.unsigned(4)
    alias = source.text()
    source.take(8)  # when it was made
    if kind == _PRIVATE_KEY:
        return _private_key_entry(source, alias, jceks=jceks)
    if kind == _SECRET_KEY and jceks:
        return _secret_key_entry(source, alias)
    if kind != _CERTIFICATE:
        raise ValueError("an unknown kind of entry")
    _certificate(source)
    return CertificateEntry(alias)


def read_entries(content: bytes, store_password: str) -> list[Entry]:
    """The entries of a JKS or JCEKS store; raises ConfigError.

    Until the digest is verified, nothing but the magic number is looked at.
    """
    source = DataInput(_verify(content, store_password))
    with refusing_damage("the key store"):
        jceks = source.take(4) == JCEKS_MAGIC
        if source.unsigned(4) != _VERSION:
            raise ValueError("unknown version")
        entries = [_entry(source, jceks=jceks) for _ in range(source.unsigned(4))]
        # Nothing may follow. The digest is a hash with a prefix, to whose input whoever knows it can append (length
        # extension); the count of entries stands before what was appended, so it would not be read.
        if source.remaining:
            raise ValueError("octets after the last entry")
    return entries
