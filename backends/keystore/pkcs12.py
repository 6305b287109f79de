# SPDX-License-Identifier: Apache-2.0
"""PKCS #12 (RFC 7292) as Java's KeyStore and OpenSSL write it.

asn1crypto reads the structure, because cryptography's reader gives back one private key and no secret keys, and none at
all where an entry has a password of its own. So the MAC is ours to verify, and it is, before anything is decrypted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from asn1crypto import keys, pkcs12

from sealpass.backends.keystore import der, pbe
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
from sealpass.backends.keystore.private_key import algorithm_and_key
from sealpass.core.errors import ConfigError

_MAX_CONTENTS = 16
"""Of an AuthenticatedSafe: keytool writes two, OpenSSL three. Each encrypted one costs a key derivation."""
_SHROUDED_KEY = "1.2.840.113549.1.12.10.1.2"
_AES = "2.16.840.1.101.3.4.1"


@dataclass(frozen=True, slots=True)
class _Bag:
    kind: str
    value: Any
    name: str | None
    """friendlyName: the alias."""
    key_id: bytes | None
    """localKeyId: the same for a key and its certificate."""
    trusted: bool


def _authenticated(content: bytes, store_password: str) -> bytes:
    """The octets of the AuthenticatedSafe, once their MAC is verified."""
    pfx = der.load(pkcs12.Pfx, content)
    if pfx["version"].native != "v3":
        raise ConfigError("the file is DER, but not a PKCS #12 store of version 3")
    if pfx["auth_safe"]["content_type"].native != "data":
        raise ConfigError(
            "the PKCS #12 store is not protected by a password (RFC 7292 section 4)",
            hint="write it again with keytool -importkeystore",
        )
    safe = bytes(pfx["auth_safe"]["content"].native)
    if not pfx["mac_data"]:
        raise ConfigError(
            "the PKCS #12 store has no MAC, so nothing tells whether it was changed",
            hint="write it again with keytool -importkeystore",
        )
    if not pbe.verify_mac(pfx["mac_data"], safe, store_password):
        raise ConfigError(
            "wrong store password, or the key store was changed: the two look alike",
            hint="check the store password with 'keytool -list -keystore FILE'",
        )
    return safe


def _check_total_iterations(infos: Any) -> None:
    """Sixteen parts at the limit would take a minute: it holds for all of them together."""
    encrypted = [info["content"] for info in infos if info["content_type"].native == "encrypted_data"]
    algorithms = [part["encrypted_content_info"]["content_encryption_algorithm"] for part in encrypted]
    stated = [check_iterations(count) for count in map(pbe.stated_iterations, algorithms) if count is not None]
    if stated:
        check_iterations(sum(stated))


def _contents(safe: bytes, store_password: str) -> Iterator[bytes]:
    """The SafeContents, decrypted where they are encrypted as a whole, as certificates usually are."""
    infos = der.load(pkcs12.AuthenticatedSafe, safe)
    if len(infos) > _MAX_CONTENTS:
        raise ConfigError(f"the PKCS #12 store has over {_MAX_CONTENTS} parts")
    _check_total_iterations(infos)
    for info in infos:
        kind = info["content_type"].native
        if kind == "data":
            yield bytes(info["content"].native)
        elif kind == "encrypted_data":
            encrypted = info["content"]["encrypted_content_info"]
            try:
                yield pbe.decrypt(
                    encrypted["content_encryption_algorithm"],
                    bytes(encrypted["encrypted_content"].native),
                    store_password,
                )
            except WrongKeyPassword:
                raise ConfigError("a part of the PKCS #12 store does not decrypt with the store password") from None
        else:
            raise ConfigError("a part of the PKCS #12 store is encrypted to a public key, which we cannot read")


def _bag(bag: Any) -> _Bag:
    attributes = {attribute["type"].native: attribute["values"] for attribute in bag["bag_attributes"] or ()}
    names, key_ids = attributes.get("friendly_name"), attributes.get("local_key_id")
    return _Bag(
        bag["bag_id"].native,
        bag["bag_value"],
        str(names[0].native) if names else None,
        bytes(key_ids[0].native) if key_ids else None,
        "trusted_key_usage" in attributes,
    )


def _decrypt_private_key(encrypted: bytes, password: str) -> bytes:
    with refusing_damage("an entry of the PKCS #12 store"):
        info = der.load(keys.EncryptedPrivateKeyInfo, encrypted)
        return pbe.decrypt(info["encryption_algorithm"], bytes(info["encrypted_data"].native), password)


def _decrypt_secret_key(encrypted: bytes, password: str) -> SecretKey:
    """Java writes a secret key as an EncryptedPrivateKeyInfo whose algorithm is that of the key."""
    plaintext = _decrypt_private_key(encrypted, password)
    try:
        with refusing_damage("a secret key"):
            algorithm, octets = algorithm_and_key(plaintext)
    except ConfigError:  # one wrong password in 256 leaves good padding
        raise WrongKeyPassword from None
    return SecretKey("AES" if algorithm == _AES else algorithm, octets)


def _plain(key: bytes, password: str) -> bytes:  # noqa: ARG001 - it has none of its own
    return key


def _certificate_of(key: _Bag, certificates: Iterable[_Bag]) -> bytes | None:
    for certificate in certificates:
        same = certificate.key_id == key.key_id if key.key_id else key.name and certificate.name == key.name
        if same and certificate.value["cert_id"].native == "x509":
            return bytes(certificate.value["cert_value"])
    return None


def _key_entry(bag: _Bag, alias: str, certificates: Iterable[_Bag]) -> Entry:
    match bag.kind:
        case "secret_bag" if bag.value["secret_type_id"].native == _SHROUDED_KEY:
            encrypted = check_encrypted_key(bytes(bag.value["secret_value"].native))
            return SecretKeyEntry(alias, partial(_decrypt_secret_key, encrypted))
        case "pkcs8_shrouded_key_bag" | "key_bag":
            key = check_encrypted_key(bag.value.untag().dump())
            decrypt = partial(_plain if bag.kind == "key_bag" else _decrypt_private_key, key)
            return PrivateKeyEntry(alias, _certificate_of(bag, certificates), decrypt)
        case _:
            raise ConfigError("the PKCS #12 store has an entry of a kind that we do not know")


def read_entries(content: bytes, store_password: str) -> list[Entry]:
    """The entries of a PKCS #12 store; raises ConfigError, or UnsupportedAlgorithm for how the store is protected.

    A key without a name has Java's alias for it: its number, from 1.
    """
    if der.is_cut_off(content):
        raise ConfigError(
            "the PKCS #12 store is cut off or damaged: look for a backup",
            hint="fewer octets are there than the file says of itself; no password was tried",
        )
    with refusing_damage("the PKCS #12 store"):
        bags = [
            _bag(bag)
            for part in _contents(_authenticated(content, store_password), store_password)
            for bag in der.load(pkcs12.SafeContents, part)
        ]
        certificates = [bag for bag in bags if bag.kind == "cert_bag"]
        entries: list[Entry] = [CertificateEntry(bag.name) for bag in certificates if bag.trusted and bag.name]
        unnamed = 0
        for bag in bags:
            if bag.kind in ("cert_bag", "crl_bag"):
                continue
            if not bag.name:
                unnamed += 1
            entries.append(_key_entry(bag, bag.name or str(unnamed), certificates))
    return entries
