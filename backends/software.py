# SPDX-License-Identifier: Apache-2.0
"""``software:path=FILE``: an RSA key as PEM, or an oct JWK for sealing, on disk.

For development, and the reference that every other backend is compared with. It protects nothing: the key is in a
file and in the memory of this process.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.backends.memory_key import AesMemoryKey, RsaMemoryKey
from sealpass.backends.private_file import read_private_file, write_private_file
from sealpass.backends.registry import OpenOptions
from sealpass.core import base64url, strict_json
from sealpass.core.algorithms import GCM_SEAL_BY_KEY_BYTES, MAX_RSA_BITS, MIN_RSA_BITS
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.pem import load_rsa_private_key
from sealpass.core.protocols import Key, KeyListing, KeyMaker
from sealpass.core.uri import KeyUri, UriAttributes

ATTRIBUTES = UriAttributes(path=frozenset({"path"}), query=frozenset(), required=frozenset({"path"}))
_MAX_FILE_BYTES = 64 * 1024  # the PEM of RSA-8192 has 6 KB


def _path(uri: KeyUri) -> Path:
    path = uri.require("path")
    if "\0" in path:
        raise ConfigError("software: a path holds no NUL")
    return Path(path)


def _read(path: Path) -> bytes:
    try:
        return read_private_file(path, _MAX_FILE_BYTES)
    except FileNotFoundError:
        raise KeyNotFound(f"no key file {path}", hint="make one with 'sealpass keys create URI'") from None


def _load_oct_jwk(text: bytes) -> tuple[bytes, str]:
    try:
        members = strict_json.loads(text)
        key = base64url.decode(members["k"].encode("utf-8"))  # "ascii" would put k into its error
        kid = members.get("kid")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("the file is not an oct JWK (RFC 7518 section 6.4)") from None
    if members.get("kty") != "oct" or len(key) not in GCM_SEAL_BY_KEY_BYTES:
        raise ConfigError("the JWK is not an AES key of 16, 24 or 32 bytes")
    if not isinstance(kid, str) or not kid:
        raise ConfigError("the JWK has no kid", hint="'sealpass keys create URI --aes' makes one")
    return key, kid


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Open a PEM or JWK file; raises KeyNotFound or ConfigError."""
    content = _read(_path(uri))
    if content.lstrip()[:1] == b"{":
        key, kid = _load_oct_jwk(content)
        return AesMemoryKey(uri, key, kid)
    return RsaMemoryKey(uri, load_rsa_private_key(content), options.failure_floor)


class _FileKeyMaker:
    """Writes keys to files of mode 0600; never over an existing one."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri
        self._path = _path(uri)

    def _write(self, content: bytes) -> KeyUri:
        try:
            write_private_file(self._path, content)
        except FileExistsError:
            raise ConfigError(
                f"{self._path} exists already",
                hint="use it as it is, or choose another path=…; keys are never overwritten",
            ) from None
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error.strerror}") from None
        return self._uri

    def create_rsa(self, bits: int, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise ConfigError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
        return self._store(
            rsa.generate_private_key(public_exponent=65537, key_size=bits), mode, self_signed=self_signed
        )

    def import_rsa(self, pem: bytes, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        return self._store(load_rsa_private_key(pem), mode, self_signed=self_signed)

    def _store(self, key: rsa.RSAPrivateKey, mode: UnwrapMode, *, self_signed: bool) -> KeyUri:
        if mode is UnwrapMode.IN_TOKEN:
            raise UnsupportedAlgorithm(
                "a key file has no in-token mode", hint="leave out --mode, or make the key on a PKCS#11 token"
            )
        if self_signed:
            raise UnsupportedAlgorithm("a key file holds no certificate", hint="leave out --self-signed")
        return self._write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def create_aes(self, bits: int) -> KeyUri:
        if bits not in (128, 192, 256):
            raise ConfigError("an AES key has 128, 192 or 256 bits")
        members: dict[str, Any] = {
            "kty": "oct",
            "k": base64url.encode(secrets.token_bytes(bits // 8)).decode("ascii"),
            "kid": base64url.encode(secrets.token_bytes(16)).decode("ascii"),
            "alg": f"A{bits}GCM",
        }
        return self._write(json.dumps(members).encode("ascii") + b"\n")

    def list_keys(self) -> Iterator[KeyListing]:
        with open_key(self._uri, OpenOptions()) as key:
            if isinstance(key, RsaMemoryKey):
                yield KeyListing(self._uri, f"RSA-{key.public_jwk.bits}", key.key_id, (UnwrapMode.SOFTWARE,))
            elif isinstance(key, AesMemoryKey):
                yield KeyListing(self._uri, f"AES-{key.bits}", key.key_id)


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:  # noqa: ARG001 - a file asks for no login
    """Make a key file."""
    return _FileKeyMaker(uri)
