# SPDX-License-Identifier: Apache-2.0
"""``keystore:path=FILE;alias=NAME?store-pass-source=…``: a key of a Java key store (JKS, JCEKS or PKCS #12).

The key is read once and kept in the memory of this process, as ``software:`` does. Keys are made with keytool.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sealpass.backends.keystore.certificates import check_certificate, rsa_public_key_of
from sealpass.backends.keystore.entries import (
    CertificateEntry,
    Entry,
    PrivateKeyEntry,
    SecretKeyEntry,
    WrongKeyPassword,
)
from sealpass.backends.keystore.private_key import load_rsa_key
from sealpass.backends.keystore.store_file import comparable, read_entries
from sealpass.backends.memory_key import AesMemoryKey, RsaMemoryKey
from sealpass.backends.registry import OpenOptions
from sealpass.backends.secret_source import read_secret
from sealpass.core.algorithms import GCM_SEAL_BY_KEY_BYTES
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.jwk import PublicJwk
from sealpass.core.protocols import Key, KeyListing, KeyMaker
from sealpass.core.uri import KeyUri, UriAttributes

ATTRIBUTES = UriAttributes(
    path=frozenset({"path", "alias", "key-id"}),
    query=frozenset({"store-pass-source", "key-pass-source"}),
    required=frozenset({"path", "store-pass-source"}),
)
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")  # it becomes a field of every stored record
_MAX_SHOWN = 20
_MAX_SHOWN_CHARACTERS = 80


def _shown(alias: str) -> str:
    """An alias for messages: whoever wrote the store chose its characters, and how many."""
    shown = "".join(character if character.isprintable() else "?" for character in alias[:_MAX_SHOWN_CHARACTERS])
    return shown + ("…" if len(alias) > _MAX_SHOWN_CHARACTERS else "")


def _load(uri: KeyUri) -> list[Entry]:
    path = uri.require("path")
    if "\0" in path:
        raise ConfigError("keystore: a path holds no NUL")
    return read_entries(Path(path), read_secret(uri.require("store-pass-source"), "store-pass-source"))


def _select(entries: list[Entry], alias: str | None) -> Entry:
    for entry in entries:
        if alias and comparable(entry.alias) == comparable(alias):
            return entry
    found = [_shown(entry.alias) for entry in entries if not isinstance(entry, CertificateEntry)]
    listed = ", ".join(found[:_MAX_SHOWN]) + (", …" if len(found) > _MAX_SHOWN else "")
    raise KeyNotFound(
        f"the key store has no entry '{_shown(alias)}'" if alias else "keystore: key URI lacks 'alias'",
        hint=f"keys of this store: {listed}" if found else "the store holds no keys at all",
    )


def _key_password(uri: KeyUri) -> str:
    attribute = "key-pass-source" if uri.octets("key-pass-source") is not None else "store-pass-source"
    return read_secret(uri.require(attribute), attribute)


def _wrong_key_password(entry: Entry) -> ConfigError:
    return ConfigError(
        f"wrong key password for '{_shown(entry.alias)}', or the entry was changed: the two look alike",
        hint="a key with a password of its own needs key-pass-source=…; without it the store password is used",
    )


def _open_rsa(uri: KeyUri, entry: PrivateKeyEntry, floor: float | None) -> RsaMemoryKey:
    private_key = load_rsa_key(entry.decrypt(_key_password(uri)), _shown(entry.alias))
    if entry.certificate is not None:
        check_certificate(entry.certificate, private_key, _shown(entry.alias))
    key = RsaMemoryKey(uri, private_key, floor)
    if uri.text("key-id") not in (None, key.key_id):
        raise ConfigError(
            f"key-id is not the thumbprint of '{_shown(entry.alias)}'", hint=f"leave it out; it is {key.key_id}"
        )
    return key


def _open_aes(uri: KeyUri, entry: SecretKeyEntry) -> AesMemoryKey:
    key_id = uri.text("key-id")
    if key_id is None:
        raise ConfigError(
            f"'{_shown(entry.alias)}' is a secret key, and a key store has no key ids",
            hint="add ;key-id=NAME to the URI; stored records will name it, so it must stay the same for ever",
        )
    if not _KEY_ID.match(key_id):
        raise ConfigError("key-id is 1 to 64 characters: letters, digits, '.', '_' and '-'")
    secret = entry.decrypt(_key_password(uri))
    if secret.algorithm != "AES" or len(secret.octets) not in GCM_SEAL_BY_KEY_BYTES:
        # Which algorithm it says it is for stays unsaid: that text was decrypted, and JCEKS does not authenticate it.
        raise _not_for_us(entry, "not an AES key of 16, 24 or 32 bytes")
    return AesMemoryKey(uri, secret.octets, key_id)


def _not_for_us(entry: Entry, what: str) -> UnsupportedAlgorithm:
    return UnsupportedAlgorithm(f"'{_shown(entry.alias)}' is {what}", hint="name an RSA pair or an AES key")


def open_key(uri: KeyUri, options: OpenOptions) -> Key:
    """Read one key; raises KeyNotFound, ConfigError (also for a wrong password) or UnsupportedAlgorithm."""
    entry = _select(_load(uri), uri.text("alias"))
    try:
        match entry:
            case PrivateKeyEntry():
                return _open_rsa(uri, entry, options.failure_floor)
            case SecretKeyEntry():
                return _open_aes(uri, entry)
            case CertificateEntry():
                raise _not_for_us(entry, "a certificate without a key")
    except WrongKeyPassword:
        raise _wrong_key_password(entry) from None


def _listing(uri: KeyUri, entry: PrivateKeyEntry | SecretKeyEntry) -> KeyListing:
    """Kind and key id from the certificate: what needs the key itself would cost a key derivation for every entry."""
    path = {"alias": entry.alias.encode("utf-8")}
    # A key-id is one entry's; it stays where the URI names that entry.
    named = uri.replace(path=path if uri.octets("alias") else {**path, "key-id": None})
    if isinstance(entry, SecretKeyEntry):
        return KeyListing(named, "secret key", None)
    public_key = None if entry.certificate is None else rsa_public_key_of(entry.certificate)
    if public_key is None:
        return KeyListing(named, "private key", None)
    try:
        key_id = PublicJwk.from_public_key(public_key).kid
    except UnsupportedAlgorithm:
        key_id = None
    return KeyListing(named, f"RSA-{public_key.key_size}", key_id, (UnwrapMode.SOFTWARE,) if key_id else ())


class _StoreReader:
    """Lists keys. Making them is keytool's business: two programs that write one file lose entries."""

    def __init__(self, uri: KeyUri) -> None:
        self._uri = uri

    def _refuse(self, command: str) -> UnsupportedAlgorithm:
        return UnsupportedAlgorithm("sealpass does not write key stores", hint=f"use keytool {command}")

    def create_rsa(self, bits: int, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:  # noqa: ARG002 - refused
        raise self._refuse(
            f"-genkeypair -keyalg RSA -keysize {bits} -alias NAME -dname CN=NAME -storetype PKCS12 -keystore FILE"
        )

    def import_rsa(self, pem: bytes, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:  # noqa: ARG002 - refused
        raise self._refuse("-importkeystore -srcstoretype PKCS12 -srckeystore FILE -destkeystore FILE")

    def create_aes(self, bits: int) -> KeyUri:
        raise self._refuse(f"-genseckey -keyalg AES -keysize {bits} -alias NAME -storetype PKCS12 -keystore FILE")

    def list_keys(self) -> Iterator[KeyListing]:
        entries = _load(self._uri)
        alias = self._uri.text("alias")
        for entry in entries if alias is None else [_select(entries, alias)]:
            if not isinstance(entry, CertificateEntry):
                yield _listing(self._uri, entry)


def key_maker(uri: KeyUri, options: OpenOptions) -> KeyMaker:  # noqa: ARG001 - a file asks for no login
    """List the keys of a store."""
    return _StoreReader(uri)
