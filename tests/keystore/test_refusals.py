# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Callable
from pathlib import Path

import jks
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jks import sun_crypto

from sealpass.backends.keystore import pbe, sun
from sealpass.backends.keystore.entries import MAX_STORE_BYTES
from sealpass.backends.registry import key_maker, open_key
from sealpass.cli import failures
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, KeyNotFound, OperatorError, UnsupportedAlgorithm
from sealpass.core.protocols import KeyMaker
from tests.keystore.conftest import STORES, store_uri, variable
from tests.keystore.crafting import bag, certificate_bag, store_of
from tests.keystore.make_stores import KEY_PASSWORDS, STORE_PASSWORD

NOT_STORES = {
    "empty": (b"", "it is empty"),
    "PEM": (b"-----BEGIN PRIVATE KEY-----\n", "it looks like PEM"),
    "BKS": (bytes.fromhex("0000000200000014") + bytes(40), "it looks like a BKS or UBER store"),
    "else": (b"\x7fELF" + bytes(40), "its first octets are of no format that we know"),
    "DER": (bytes.fromhex("3003020100"), "damaged"),
    "too large": (bytes.fromhex("feedfeed") + bytes(MAX_STORE_BYTES), "has over 1024 KiB"),
}
ALL_STORES = ("store.jks", "store.jceks", "modern.p12", "legacy.p12", "per-entry.p12")


def _refusal(uri: str) -> OperatorError:
    """What opening raises; the command ends with status 2 for it, and no text holds a password."""
    with pytest.raises(OperatorError) as caught:
        open_key(uri)
    assert failures.describe(caught.value).status == failures.WRONG_INPUT
    shown = f"{caught.value} {caught.value.hint}"
    assert not any(secret in shown for secret in (STORE_PASSWORD, "not-the-password", *KEY_PASSWORDS.values()))
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("kind", NOT_STORES)
def test_a_file_that_is_no_key_store_is_refused_by_what_it_looks_like(kind: str, tmp_path: Path) -> None:
    """The operator learns what the file is instead."""
    content, expected = NOT_STORES[kind]
    (tmp_path / "store.jks").write_bytes(content)
    error = _refusal(store_uri(tmp_path / "store.jks", "key"))
    assert isinstance(error, ConfigError)
    assert expected in str(error)


def test_a_file_that_is_not_there_is_a_key_that_is_not_found(tmp_path: Path) -> None:
    """As for software: no file, no key."""
    assert isinstance(_refusal(store_uri(tmp_path / "none", "key")), KeyNotFound)


def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder is no store."""
    assert "cannot read" in str(_refusal(store_uri(tmp_path, "key")))


def test_a_path_with_nul_is_refused() -> None:
    """The operating system would raise ValueError."""
    assert "NUL" in str(_refusal("keystore:path=a%00b;alias=x?store-pass-source=env:STORE_PASSWORD"))


def test_a_store_password_must_be_named() -> None:
    """Nothing is opened without a check of integrity, and that needs the password."""
    assert "store-pass-source" in str(_refusal(f"keystore:path={STORES / 'store.jks'};alias=rsa-2048"))


@pytest.mark.parametrize("store", ALL_STORES)
def test_a_wrong_store_password_is_refused_before_any_key_is_derived(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 2, and the text says that a changed file looks alike."""
    monkeypatch.setattr(sun, "_entry", None)
    monkeypatch.setattr(pbe, "decrypt", None)
    error = _refusal(store_uri(store, "rsa-2048", store_pass_source="env:WRONG_PASSWORD"))
    assert isinstance(error, ConfigError)
    assert "wrong store password, or the key store was changed" in str(error)


@pytest.mark.parametrize("store", ["store.jks", "store.jceks", "per-entry.p12"])
@pytest.mark.parametrize("source", ["env:WRONG_PASSWORD", None])
def test_a_wrong_key_password_is_refused(store: str, source: str | None) -> None:
    """So is the store password, where the entry has one of its own."""
    error = _refusal(store_uri(store, "rsa-2048", **({"key_pass_source": source} if source else {})))
    assert isinstance(error, ConfigError)
    assert "wrong key password for 'rsa-2048'" in str(error)


def test_a_wrong_key_password_of_a_secret_key_is_refused() -> None:
    """As for RSA."""
    error = _refusal(store_uri("per-entry.p12", "aes-256", key_id="k"))
    assert "wrong key password for 'aes-256'" in str(error)


def test_a_jceks_key_password_beyond_ascii_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java cannot have written it."""
    monkeypatch.setenv("WRONG_PASSWORD", "pässwörd")
    error = _refusal(store_uri("store.jceks", "rsa-2048", key_pass_source="env:WRONG_PASSWORD"))
    assert "ASCII" in str(error)


def test_an_alias_that_is_not_there_shows_those_that_are() -> None:
    """Aliases are public; certificates are not shown, because they are no keys."""
    error = _refusal(store_uri("store.jks", "other"))
    assert isinstance(error, KeyNotFound)
    assert "'other'" in str(error)
    assert set(error.hint.removeprefix("keys of this store: ").split(", ")) == {"rsa-2048", "rsa-3072"}


def test_a_uri_without_an_alias_shows_those_that_are() -> None:
    """No key is guessed, not even where there is only one."""
    error = _refusal(store_uri("expired.p12"))
    assert isinstance(error, KeyNotFound)
    assert error.hint == "keys of this store: rsa"


def test_a_store_without_entries_says_so(tmp_path: Path) -> None:
    """An empty store is a store."""
    (tmp_path / "store").write_bytes(jks.KeyStore.new("jks", []).saves(STORE_PASSWORD))
    assert _refusal(store_uri(tmp_path / "store", "key")).hint == "the store holds no keys at all"


@pytest.mark.parametrize("alias", ["ec", "pss", "weak", "hmac", "certificate"])
def test_an_entry_that_sealpass_has_no_use_for_is_an_unsupported_algorithm(alias: str) -> None:
    """EC, RSASSA-PSS, RSA-1024, HMAC keys and certificates without a key."""
    error = _refusal(store_uri("others.p12", alias, key_id="k" if alias == "hmac" else None))
    assert isinstance(error, UnsupportedAlgorithm)


def test_a_password_entry_of_jceks_is_an_unsupported_algorithm() -> None:
    """Keytool -importpass makes a java.security.KeyRep, which nobody is told: JCEKS does not authenticate that text."""
    error = _refusal(store_uri("store.jceks", "password", key_id="k"))
    assert isinstance(error, UnsupportedAlgorithm)
    assert "KeyRep" not in str(error)


def test_a_secret_key_needs_a_key_id() -> None:
    """Without one, records could not name their key; nothing is derived to say so."""
    error = _refusal(store_uri("modern.p12", "aes-256"))
    assert isinstance(error, ConfigError)
    assert "key-id=" in error.hint


@pytest.mark.parametrize("key_id", ["a%24b", "a%20b", "x" * 65, "%C3%A4"])
def test_a_key_id_is_a_short_word(key_id: str) -> None:
    """It becomes a field of every record."""
    assert "key-id is 1 to 64 characters" in str(_refusal(store_uri("modern.p12", "aes-256", key_id=key_id)))


def test_a_key_id_that_is_not_the_thumbprint_of_the_rsa_key_is_refused() -> None:
    """It states the key that the operator means."""
    assert "not the thumbprint" in str(_refusal(store_uri("modern.p12", "rsa-2048", key_id="other")))


@pytest.fixture(scope="module")
def other_key() -> bytes:
    """PKCS #8 of a key whose certificate no store has."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _certificate() -> bytes:
    store = jks.KeyStore.load(os.fspath(STORES / "store.jks"), STORE_PASSWORD, try_decrypt_keys=False)
    return bytes(store.entries["rsa-2048"].cert_chain[0][1])


def test_a_jks_certificate_of_another_key_is_refused(other_key: bytes, tmp_path: Path) -> None:
    """Whoever took the public key from it would encrypt to somebody else."""
    entry = jks.PrivateKeyEntry.new("key", [_certificate()], other_key)
    (tmp_path / "store").write_bytes(jks.KeyStore.new("jks", [entry]).saves(STORE_PASSWORD))
    assert "not the certificate of its key" in str(_refusal(store_uri(tmp_path / "store", "key")))


@pytest.mark.parametrize("same", ["key_id", "name"])
def test_a_pkcs12_certificate_of_another_key_is_refused(same: str, other_key: bytes, tmp_path: Path) -> None:
    """Key and certificate belong together by localKeyId, or, where the key has none, by their names."""
    from asn1crypto import keys

    shared = {"key_id": b"1"} if same == "key_id" else {"name": "key"}
    key = bag("key_bag", keys.PrivateKeyInfo.load(other_key), **({"name": "key"} | shared))
    (tmp_path / "store").write_bytes(store_of(key, certificate_bag(_certificate(), **shared)))
    assert "not the certificate of its key" in str(_refusal(store_uri(tmp_path / "store", "key")))


def test_a_certificate_that_cannot_be_read_is_refused(other_key: bytes, tmp_path: Path) -> None:
    """It is not known to be the key's own."""
    entry = jks.PrivateKeyEntry.new("key", [b"no certificate"], other_key)
    (tmp_path / "store").write_bytes(jks.KeyStore.new("jks", [entry]).saves(STORE_PASSWORD))
    assert "not the certificate of its key" in str(_refusal(store_uri(tmp_path / "store", "key")))


def test_an_alias_that_would_disturb_a_terminal_is_shown_cut_and_without_control_characters(
    other_key: bytes, tmp_path: Path
) -> None:
    """Whoever wrote the store chose its aliases."""
    entry = jks.PrivateKeyEntry.new("k\x1b[2Jy" + 1000 * "x", [], other_key)
    (tmp_path / "store").write_bytes(jks.KeyStore.new("jks", [entry]).saves(STORE_PASSWORD))
    assert _refusal(store_uri(tmp_path / "store", "other")).hint == f"keys of this store: k?[2jy{74 * 'x'}…"


def test_only_the_key_that_was_asked_for_is_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    """One derivation to open one entry of five, none to list them all."""
    calls = []
    derive = sun_crypto.jce_pbe_decrypt

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return derive(*arguments)

    monkeypatch.setattr(sun_crypto, "jce_pbe_decrypt", counted)
    assert len(list(key_maker(store_uri("store.jceks")).list_keys())) == 4
    assert not calls
    open_key(store_uri("store.jceks", "rsa-2048", key_pass_source=f"env:{variable('rsa-2048')}")).close()
    assert len(calls) == 1


def test_no_java_object_is_made_by_a_general_deserialiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Purejks would hand every secret entry to javaobj; we never call it, even for the entry that is asked for."""
    import javaobj

    monkeypatch.setattr(javaobj, "load", None)
    monkeypatch.setattr(javaobj, "loads", None)
    uri = store_uri("store.jceks", "aes-256", key_id="k", key_pass_source=f"env:{variable('aes-256')}")
    with open_key(uri) as key:
        assert key.key_id == "k"


def test_listing_names_kinds_and_key_ids_from_the_certificates() -> None:
    """Each URI opens its key; what is not in the clear is not guessed."""
    found = {key.uri.text("alias"): key for key in key_maker(store_uri("modern.p12")).list_keys()}
    assert {alias: key.kind for alias, key in found.items()} == {
        "rsa-2048": "RSA-2048",
        "rsa-3072": "RSA-3072",
        "aes-256": "secret key",
    }
    with open_key(found["rsa-2048"].uri) as key:
        assert key.key_id == found["rsa-2048"].key_id
    assert found["aes-256"].key_id is None


def test_listing_shows_keys_that_do_not_unwrap_without_a_mode() -> None:
    """EC, RSASSA-PSS and short keys are there, but not for us."""
    found = {key.uri.text("alias"): key for key in key_maker(store_uri("others.p12")).list_keys()}
    kinds = {"ec": "private key", "pss": "private key", "weak": "RSA-1024", "hmac": "secret key"}
    assert {alias: key.kind for alias, key in found.items()} == kinds
    assert not any(key.modes or key.key_id for key in found.values())


def test_listing_one_alias_keeps_its_key_id() -> None:
    """The printed URI opens the key."""
    (found,) = key_maker(store_uri("modern.p12", "AES-256", key_id="k")).list_keys()
    assert (found.uri.text("alias"), found.uri.text("key-id")) == ("aes-256", "k")
    (other, *_) = key_maker(store_uri("modern.p12", key_id="k")).list_keys()
    assert other.uri.text("key-id") is None


@pytest.mark.parametrize(
    "make",
    [
        lambda maker: maker.create_rsa(2048, UnwrapMode.SOFTWARE),
        lambda maker: maker.import_rsa(b"", UnwrapMode.SOFTWARE),
        lambda maker: maker.create_aes(256),
    ],
)
def test_keys_are_made_with_keytool(make: Callable[[KeyMaker], object]) -> None:
    """Two programs that write one file lose entries; the hint has the command."""
    with pytest.raises(UnsupportedAlgorithm) as caught:
        make(key_maker(store_uri("modern.p12", "new")))
    assert "keytool -" in caught.value.hint
