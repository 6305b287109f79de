# SPDX-License-Identifier: Apache-2.0
"""Stores that no honest program writes, with an integrity check that is right all the same."""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Any

from asn1crypto import algos, cms, core, keys, pkcs12
from jks import rfc7292

from tests.keystore.make_stores import STORE_PASSWORD

JKS = bytes.fromhex("feedfeed")
JCEKS = bytes.fromhex("cececece")
ABSURD = 2**31


def sign(body: bytes, password: str = STORE_PASSWORD) -> bytes:
    """A JKS or JCEKS store: its octets and their digest."""
    prefix = password.encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(prefix + body, usedforsecurity=False).digest()


def number(value: int) -> bytes:
    """A number of four octets."""
    return struct.pack(">L", value)


def text(value: str) -> bytes:
    """A string behind its length."""
    octets = value.encode("utf-8")
    return struct.pack(">H", len(octets)) + octets


def block(octets: bytes) -> bytes:
    """Octets behind their length."""
    return number(len(octets)) + octets


def entry(kind: int, alias: str, content: bytes) -> bytes:
    """An entry of JKS or JCEKS: 1 is a private key, 2 a certificate, 3 a secret key."""
    return number(kind) + text(alias) + bytes(8) + content


def sun_store(magic: bytes, *entries: bytes, count: int | None = None, version: int = 2) -> bytes:
    """A JKS or JCEKS store of these entries."""
    stated = len(entries) if count is None else count
    return sign(magic + number(version) + number(stated) + b"".join(entries))


def bag(kind: str, value: Any, name: str | None = None, key_id: bytes | None = None) -> pkcs12.SafeBag:
    """A SafeBag (RFC 7292 section 4.2) with friendlyName and localKeyId."""
    attributes: list[dict[str, Any]] = []
    if name is not None:
        attributes.append({"type": "friendly_name", "values": [name]})
    if key_id is not None:
        attributes.append({"type": "local_key_id", "values": [key_id]})
    return pkcs12.SafeBag({"bag_id": kind, "bag_value": value, "bag_attributes": attributes or None})


def certificate_bag(der: bytes, **attributes: Any) -> pkcs12.SafeBag:
    """A bag with an X.509 certificate."""
    return bag(
        "cert_bag", pkcs12.CertBag({"cert_id": "x509", "cert_value": core.ParsableOctetString(der)}), **attributes
    )


def pbes2(iterations: int, key_length: int | None = None) -> algos.EncryptionAlgorithm:
    """PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC."""
    derivation = {"salt": core.OctetString(bytes(8)), "iteration_count": iterations, "prf": {"algorithm": "sha256"}}
    if key_length is not None:
        derivation["key_length"] = key_length
    return algos.EncryptionAlgorithm(
        {
            "algorithm": "pbes2",
            "parameters": {
                "key_derivation_func": {"algorithm": "pbkdf2", "parameters": derivation},
                "encryption_scheme": {"algorithm": "aes256_cbc", "parameters": bytes(16)},
            },
        }
    )


def legacy(name: str, iterations: int, salt: bytes = bytes(8)) -> algos.EncryptionAlgorithm:
    """One of the older algorithms of RFC 7292 appendix C."""
    return algos.EncryptionAlgorithm({"algorithm": name, "parameters": {"salt": salt, "iterations": iterations}})


def shrouded(algorithm: algos.EncryptionAlgorithm, ciphertext: bytes = bytes(32)) -> keys.EncryptedPrivateKeyInfo:
    """An encrypted private key."""
    return keys.EncryptedPrivateKeyInfo({"encryption_algorithm": algorithm, "encrypted_data": ciphertext})


def data(octets: bytes) -> cms.ContentInfo:
    """Octets as they are."""
    return cms.ContentInfo({"content_type": "data", "content": octets})


def authenticated_safe(*bags: pkcs12.SafeBag) -> bytes:
    """One part with these bags, not encrypted as a whole."""
    return bytes(pkcs12.AuthenticatedSafe([data(pkcs12.SafeContents(bags).dump())]).dump())


def mac_data(safe: bytes, *, iterations: int = 1, stated: int | None = None) -> pkcs12.MacData:
    """The MAC of RFC 7292 with SHA-256; ``stated`` is what the store says about its iterations."""
    key = rfc7292.derive_key(hashlib.sha256, rfc7292.PURPOSE_MAC_MATERIAL, STORE_PASSWORD, b"salt", iterations, 32)
    return pkcs12.MacData(
        {
            "mac": {"digest_algorithm": {"algorithm": "sha256"}, "digest": hmac.digest(key, safe, "sha256")},
            "mac_salt": b"salt",
            "iterations": iterations if stated is None else stated,
        }
    )


def pfx(safe: bytes, mac: pkcs12.MacData | None) -> bytes:
    """A PKCS #12 store."""
    members = {"version": "v3", "auth_safe": data(safe)}
    return bytes(pkcs12.Pfx(members | ({"mac_data": mac} if mac is not None else {})).dump())


def pfx_of_pieces(depth: int) -> bytes:
    """A PKCS #12 store whose content is a BER string in one piece, which is in one piece, and so on."""
    octets = core.OctetString(b"").dump()
    for _ in range(depth):
        octets = b"\x24" + core.OctetString(octets).dump()[1:]
    tagged = b"\xa0" + core.OctetString(octets).dump()[1:]
    info = core.Sequence(contents=cms.ContentType("data").dump() + tagged)
    return bytes(core.Sequence(contents=core.Integer(3).dump() + info.dump()).dump())


def store_of(*bags: pkcs12.SafeBag) -> bytes:
    """A PKCS #12 store of these bags, with a MAC that is right."""
    safe = authenticated_safe(*bags)
    return pfx(safe, mac_data(safe))


def encrypted_parts(parts: Sequence[algos.EncryptionAlgorithm]) -> bytes:
    """A PKCS #12 store whose parts are encrypted as a whole."""
    infos = [
        cms.ContentInfo(
            {
                "content_type": "encrypted_data",
                "content": {
                    "version": "v0",
                    "encrypted_content_info": {
                        "content_type": "data",
                        "content_encryption_algorithm": algorithm,
                        "encrypted_content": bytes(32),
                    },
                },
            }
        )
        for algorithm in parts
    ]
    safe = bytes(pkcs12.AuthenticatedSafe(infos).dump())
    return pfx(safe, mac_data(safe))
