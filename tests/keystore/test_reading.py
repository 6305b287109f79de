# SPDX-License-Identifier: Apache-2.0
import hashlib
import hmac
import logging
import shutil
from pathlib import Path

import pytest
from asn1crypto import algos, core, keys, pkcs12
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12, serialize_key_and_certificates

from sealpass.backends.memory_key import AesMemoryKey
from sealpass.backends.registry import open_key
from sealpass.core.algorithms import A256GCM, RSA_OAEP_256
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.protocols import as_sealer, as_unwrapper
from tests.keystore.conftest import STORES, store_uri, variable
from tests.keystore.crafting import authenticated_safe, bag, pfx, store_of
from tests.keystore.make_stores import (
    KNOWN_AES_KEY,
    STORE_PASSWORD,
    keytool_is_missing,
    make_main_stores,
)

# store, whether its entries have passwords of their own, whether it holds the AES key
MATRIX = (
    ("store.jks", True, False),
    ("store.jceks", True, True),
    ("modern.p12", False, True),
    ("legacy.p12", False, True),
    ("per-entry.p12", True, True),
)
RSA_ENTRIES = ("rsa-2048", "rsa-3072")


def _uri(store: str | Path, alias: str, *, own_password: bool) -> str:
    sources = {"key_pass_source": f"env:{variable(alias)}"} if own_password else {}
    return store_uri(store, alias, key_id="key-1" if alias == "aes-256" else None, **sources)


def _check_unwraps(uri: str, bits: int) -> str:
    """A content key that was encrypted to the public half opens; the answer is the key id."""
    with open_key(uri) as opened:
        key = as_unwrapper(opened)
        assert key.public_jwk.bits == bits
        cek = bytes(range(32))
        content = encrypt_gcm(cek, b"password", b"aad")
        unwrapped = key.unwrap(oaep_encrypt(key.public_jwk.public_key(), cek, RSA_OAEP_256), RSA_OAEP_256, A256GCM)
        assert unwrapped.decrypt(*content, b"aad") == b"password"
        return key.key_id


def _check_stores(folder: Path) -> None:
    """Every entry of every store of the matrix is the same key in all of them."""
    for bits, alias in zip((2048, 3072), RSA_ENTRIES, strict=True):
        ids = {_check_unwraps(_uri(folder / store, alias, own_password=own), bits) for store, own, _ in MATRIX}
        assert len(ids) == 1
    with open_key(_uri(folder / "modern.p12", "aes-256", own_password=False)) as opened:
        sealed = as_sealer(opened).seal(b"record", b"aad")
    for store, own, has_aes in MATRIX:
        if has_aes:
            with open_key(_uri(folder / store, "aes-256", own_password=own)) as key:
                assert isinstance(key, AesMemoryKey)
                assert (key.key_id, key.bits) == ("key-1", 256)
                # Java could not copy this one into per-entry.p12: the generator put a known key there.
                expected = None if store == "per-entry.p12" else b"record"
                assert key.open_sealed(sealed, b"aad") == expected


def test_every_entry_of_the_committed_stores_is_the_same_key_in_each_format() -> None:
    """JKS, JCEKS and PKCS #12, old and new, give the same RSA pairs and the same AES key."""
    _check_stores(STORES)


@pytest.mark.skipif(keytool_is_missing(), reason="no JDK on this machine: the committed stores were tested")
def test_every_entry_of_stores_that_keytool_writes_now_is_the_same_key_in_each_format(tmp_path: Path) -> None:
    """What the JDK of this machine writes opens as the committed stores do."""
    make_main_stores(tmp_path)
    _check_stores(tmp_path)


def test_a_known_aes_key_comes_out_of_a_store_octet_by_octet() -> None:
    """The key that Java was given seals what the same octets open."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    with open_key(_uri("per-entry.p12", "aes-256", own_password=True)) as opened:
        sealed = as_sealer(opened).seal(b"record", b"aad")
    assert AESGCM(KNOWN_AES_KEY).decrypt(sealed.nonce, sealed.ciphertext, b"aad") == b"record"


@pytest.mark.parametrize(("store", "own", "name"), [("modern.p12", False, "x.jks"), ("store.jks", True, "x.p12")])
def test_the_first_octets_tell_the_format_and_not_the_name(store: str, own: bool, name: str, tmp_path: Path) -> None:  # noqa: FBT001 - pytest's parameter
    """A PKCS #12 store called .jks opens, and a JKS store called .p12."""
    shutil.copy(STORES / store, tmp_path / name)
    _check_unwraps(_uri(tmp_path / name, "rsa-2048", own_password=own), 2048)


def test_an_alias_is_found_whatever_its_case() -> None:
    """Java compares aliases without regard to case, and so do we."""
    with (
        open_key(store_uri("modern.p12", "RSA-2048")) as one,
        open_key(store_uri("modern.p12", "rsa-2048")) as two,
    ):
        assert one.key_id == two.key_id


def test_an_expired_certificate_is_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The key works; the log names the entry and the day."""
    with caplog.at_level(logging.WARNING):
        _check_unwraps(store_uri("expired.p12", "rsa"), 2048)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'rsa' expired on 20" in caplog.text


def test_a_valid_certificate_is_worth_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged when all is well."""
    with caplog.at_level(logging.DEBUG, logger="sealpass"):
        _check_unwraps(store_uri("modern.p12", "rsa-2048"), 2048)
    assert not caplog.records


def test_the_key_id_of_an_rsa_entry_may_be_written_into_the_uri() -> None:
    """Who states the thumbprint gets that key or none."""
    with open_key(store_uri("modern.p12", "rsa-2048")) as key:
        kid = key.key_id
    with open_key(store_uri("modern.p12", "rsa-2048", key_id=kid)) as same:
        assert same.key_id == kid


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    """A key that the committed stores do not have."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_a_password_beyond_ascii_opens_a_pkcs12_store(
    private_key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MAC takes the password as UTF-16, PBES2 as UTF-8, characters beyond U+FFFF included."""
    password = "pässwörd€😀"
    monkeypatch.setenv("STORE_PASSWORD", password)
    store = serialize_key_and_certificates(
        b"key", private_key, None, None, BestAvailableEncryption(password.encode("utf-8"))
    )
    (tmp_path / "store").write_bytes(store)
    _check_unwraps(store_uri(tmp_path / "store", "key"), 2048)


def _pkcs8(private_key: rsa.RSAPrivateKey) -> keys.PrivateKeyInfo:
    return keys.PrivateKeyInfo.load(private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def test_keys_without_a_name_are_numbered_as_java_numbers_them(private_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """OpenSSL writes names only when told to; Java calls such keys 1, 2, and so on."""
    key = _pkcs8(private_key)
    (tmp_path / "store").write_bytes(store_of(bag("key_bag", key, "named"), bag("key_bag", key), bag("key_bag", key)))
    for alias in ("named", "1", "2"):
        _check_unwraps(store_uri(tmp_path / "store", alias), 2048)


def _pbmac1(safe: bytes, password: str) -> pkcs12.MacData:
    """PBMAC1 as RFC 9579 has it: PBKDF2 and HMAC, both with SHA-256."""
    derived = PBKDF2HMAC(hashes.SHA256(), 32, b"saltsalt", 2048).derive(password.encode("utf-8"))
    parameters = algos.Pbes2Params(
        {
            "key_derivation_func": {
                "algorithm": "pbkdf2",
                "parameters": {
                    "salt": core.OctetString(b"saltsalt"),
                    "iteration_count": 2048,
                    "key_length": 32,
                    "prf": {"algorithm": "sha256"},
                },
            },
            "encryption_scheme": {"algorithm": "1.2.840.113549.2.9", "parameters": core.Null()},
        }
    )
    return pkcs12.MacData(
        {
            "mac": {
                "digest_algorithm": {"algorithm": "1.2.840.113549.1.5.14", "parameters": core.Any(parameters)},
                "digest": hmac.digest(derived, safe, hashlib.sha256),
            },
            "mac_salt": b"NOT USED",
            "iterations": 1,
        }
    )


def test_a_store_with_pbmac1_opens(private_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """The MAC of newer OpenSSL and Java (RFC 9579) is verified."""
    safe = authenticated_safe(bag("key_bag", _pkcs8(private_key), "key"))
    store = pfx(safe, _pbmac1(safe, STORE_PASSWORD))
    # Another reader agrees on what we made here, because keytool of JDK 17 cannot write it.
    assert load_pkcs12(store, STORE_PASSWORD.encode()).key is not None
    (tmp_path / "store").write_bytes(store)
    _check_unwraps(store_uri(tmp_path / "store", "key"), 2048)
