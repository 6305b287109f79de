# SPDX-License-Identifier: Apache-2.0
"""``software:path=FILE``: an RSA key as PEM, or an oct JWK for sealing, on disk.

For development, and the reference that every other backend is compared with. It protects nothing: the key is in a
file and in the memory of this process.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealpass.backends.private_file import write_private_file
from sealpass.backends.registry import OpenOptions
from sealpass.core import base64url, strict_json
from sealpass.core.algorithms import (
    A128GCM,
    A192GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    OAEP_VARIANTS,
    ContentEncryption,
    RsaOaep,
)
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.failure import FailureFloor
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_padding
from sealpass.core.pem import load_rsa_private_key
from sealpass.core.protocols import Key, KeyListing, KeyMaker, Sealed
from sealpass.core.uri import KeyUri, UriAttributes

ATTRIBUTES = UriAttributes(path=frozenset({"path"}), query=frozenset(), required=frozenset({"path"}))
DEFAULT_FLOOR_SECONDS = 0.05
GCM_NONCE_BYTES = 12
_GCM_BY_KEY_BYTES = {enc.cek_bytes: enc for enc in (A128GCM, A192GCM, A256GCM)}


class _SoftwareKey:
    """What both kinds of software key share: the URI and closing."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri
        self._closed = False

    @property
    def uri(self) -> KeyUri:
        return self._uri

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("the key is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._uri!r}>"


class SoftwareRsaKey(_SoftwareKey):
    """An RSA private key in memory: :class:`~sealpass.core.protocols.Unwrapper`."""

    def __init__(
        self, uri: KeyUri, private_key: rsa.RSAPrivateKey, floor_seconds: float = DEFAULT_FLOOR_SECONDS
    ) -> None:
        super().__init__(uri)
        self._private_key = private_key
        self.public_jwk = PublicJwk.from_public_key(private_key.public_key())
        self.key_id = self.public_jwk.kid
        self.failure_floor = FailureFloor(floor_seconds)
        self._paddings = {
            oaep: oaep_padding(oaep)
            for oaep in OAEP_VARIANTS
            if oaep.max_plaintext(self.public_jwk.modulus_bytes) >= max(enc.cek_bytes for enc in CONTENT_ENCRYPTIONS)
        }
        self.capabilities = Capabilities(
            mode=UnwrapMode.SOFTWARE, unwrap=frozenset(self._paddings), content=frozenset(CONTENT_ENCRYPTIONS)
        )

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        """See :class:`~sealpass.core.protocols.Unwrapper`."""
        self._check_open()
        scheme = self._paddings.get(oaep)
        if scheme is None or enc not in self.capabilities.content:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        if deadline is not None:
            deadline.check()
        cek = secrets.token_bytes(enc.cek_bytes)
        try:
            unwrapped = self._private_key.decrypt(encrypted_key, scheme)
        except ValueError:
            unwrapped = b""
        return MemoryContentKey(unwrapped if len(unwrapped) == enc.cek_bytes else cek, enc)

    def probe(self, deadline: Deadline | None = None) -> None:  # noqa: ARG002 - nothing to wait for
        """Memory always answers."""
        self._check_open()


class SoftwareAesKey(_SoftwareKey):
    """An AES key in memory: Sealer and Opener."""

    def __init__(self, uri: KeyUri, key: bytes, key_id: str) -> None:
        super().__init__(uri)
        self._gcm = AESGCM(key)
        self._enc = _GCM_BY_KEY_BYTES[len(key)]
        self.bits = 8 * len(key)
        self.key_id = key_id
        self.capabilities = Capabilities(seal=frozenset({self._enc}))

    def seal(self, plaintext: bytes, aad: bytes, deadline: Deadline | None = None) -> Sealed:
        """See :class:`~sealpass.core.protocols.Sealer`."""
        self._check_open()
        if deadline is not None:
            deadline.check()
        nonce = secrets.token_bytes(GCM_NONCE_BYTES)
        return Sealed(self._enc.name, nonce, self._gcm.encrypt(nonce, plaintext, aad))

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See :class:`~sealpass.core.protocols.Opener`."""
        self._check_open()
        if deadline is not None:
            deadline.check()
        if sealed.algorithm != self._enc.name or len(sealed.nonce) != GCM_NONCE_BYTES:
            return None
        try:
            return self._gcm.decrypt(sealed.nonce, sealed.ciphertext, aad)
        except InvalidTag:
            return None


def _path(uri: KeyUri) -> Path:
    path = uri.require("path")
    if "\0" in path:
        raise ConfigError("software: a path holds no NUL")
    return Path(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise KeyNotFound(f"no key file {path}", hint="make one with 'sealpass keys create URI'") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _load_oct_jwk(text: bytes) -> tuple[bytes, str]:
    try:
        members = strict_json.loads(text)
        key = base64url.decode(members["k"].encode("utf-8"))  # "ascii" would put k into its error
        kid = members.get("kid")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("the file is not an oct JWK (RFC 7518 section 6.4)") from None
    if members.get("kty") != "oct" or len(key) not in _GCM_BY_KEY_BYTES:
        raise ConfigError("the JWK is not an AES key of 16, 24 or 32 bytes")
    if not isinstance(kid, str) or not kid:
        raise ConfigError("the JWK has no kid", hint="'sealpass keys create URI --aes' makes one")
    return key, kid


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Open a PEM or JWK file; raises KeyNotFound or ConfigError."""
    content = _read(_path(uri))
    if content.lstrip()[:1] == b"{":
        key, kid = _load_oct_jwk(content)
        return SoftwareAesKey(uri, key, kid)
    floor = DEFAULT_FLOOR_SECONDS if options.failure_floor is None else options.failure_floor
    return SoftwareRsaKey(uri, load_rsa_private_key(content), floor)


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
            if isinstance(key, SoftwareRsaKey):
                yield KeyListing(self._uri, f"RSA-{key.public_jwk.bits}", key.key_id, (UnwrapMode.SOFTWARE,))
            elif isinstance(key, SoftwareAesKey):
                yield KeyListing(self._uri, f"AES-{key.bits}", key.key_id)


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:  # noqa: ARG001 - a file asks for no login
    """Make a key file."""
    return _FileKeyMaker(uri)
