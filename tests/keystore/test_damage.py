# SPDX-License-Identifier: Apache-2.0
"""Damaged and hostile stores. Nothing here measures time: what would take long or grow is made to fail when called."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, cms, core, pkcs12
from jks import rfc7292, sun_crypto

from sealpass.backends.keystore import der, pbe, store_file, sun
from sealpass.backends.keystore.data_input import DataInput
from sealpass.backends.keystore.entries import WrongKeyPassword
from sealpass.backends.keystore.java_object import UnexpectedClass, read_object
from sealpass.backends.keystore.pkcs12 import _decrypt_private_key
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.errors import ConfigError, OperatorError, UnsupportedAlgorithm
from tests.keystore.conftest import STORES, store_uri
from tests.keystore.crafting import (
    ABSURD,
    JCEKS,
    JKS,
    authenticated_safe,
    bag,
    block,
    data,
    encrypted_parts,
    entry,
    legacy,
    mac_data,
    number,
    pbes2,
    pfx,
    pfx_of_pieces,
    shrouded,
    sign,
    store_of,
    sun_store,
    text,
)
from tests.keystore.make_stores import STORE_PASSWORD

SUN_STORES = ("store.jks", "store.jceks")
PKCS12_STORES = ("modern.p12", "per-entry.p12")
CERTIFICATE = entry(2, "c", text("X.509") + block(b"certificate"))


@pytest.fixture
def no_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test where a key is derived from a password."""

    def derived(*arguments: object, **named: object) -> None:
        pytest.fail("a key was derived")

    monkeypatch.setattr(sun_crypto, "jce_pbe_decrypt", derived)
    monkeypatch.setattr(sun_crypto, "jks_pkey_decrypt", derived)
    monkeypatch.setattr(rfc7292, "derive_key", derived)
    monkeypatch.setattr(pbe, "PBKDF2HMAC", derived)


@pytest.fixture
def only_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test where a key is derived for anything but the MAC."""
    derive = rfc7292.derive_key

    def for_mac(hash_function: Any, purpose: int, *rest: Any) -> Any:
        assert purpose == rfc7292.PURPOSE_MAC_MATERIAL
        return derive(hash_function, purpose, *rest)

    monkeypatch.setattr(rfc7292, "derive_key", for_mac)
    monkeypatch.setattr(pbe, "PBKDF2HMAC", None)


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., OperatorError]:
    """What opening a store of these octets raises."""

    def open_it(content: bytes, alias: str = "key", key_id: str | None = None) -> OperatorError:
        (tmp_path / "store").write_bytes(content)
        with pytest.raises(OperatorError) as caught:
            open_key(store_uri(tmp_path / "store", alias, key_id=key_id))
        return caught.value

    return open_it


Refusal = Callable[..., OperatorError]


@pytest.mark.parametrize("store", [*SUN_STORES, *PKCS12_STORES, "legacy.p12"])
def test_a_store_cut_off_at_any_64th_byte_is_refused_without_a_derivation(
    store: str, refusal: Refusal, no_derivation: None
) -> None:
    """Each is a ConfigError that says so; Sun's formats fail at the digest, PKCS #12 at its outermost length."""
    content = (STORES / store).read_bytes()
    for length in (1, *range(64, len(content), 64), len(content) - 1):
        error = refusal(content[:length])
        assert isinstance(error, ConfigError), length
        assert length == 1 or "cut off" in str(error), length
    assert isinstance(refusal(b""), ConfigError)


def test_a_cut_pkcs12_store_is_told_from_a_wrong_password(tmp_path: Path, no_derivation: None) -> None:
    """With any password: look for a backup."""
    (tmp_path / "store").write_bytes((STORES / "modern.p12").read_bytes()[:1000])
    for password in (STORE_PASSWORD, "wrong"):
        with pytest.raises(ConfigError, match=r"^the PKCS #12 store is cut off or damaged: look for a backup$"):
            store_file.read_entries(tmp_path / "store", password)


def test_a_cut_store_without_an_outermost_length_is_seen_too() -> None:
    """BER lets a writer leave the length open; then the end has a mark (X.690 section 8.1.5)."""
    assert der.is_cut_off(b"\x30\x80\x05\x00")
    assert not der.is_cut_off(b"\x30\x80\x05\x00\x00\x00")


@pytest.mark.parametrize("store", SUN_STORES)
def test_a_flipped_bit_of_jks_and_jceks_is_refused_before_anything_is_parsed(
    store: str, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java objects least of all."""
    monkeypatch.setattr(sun, "DataInput", None)
    content = (STORES / store).read_bytes()
    for position in range(4, len(content), 16):
        changed = bytearray(content)
        changed[position] ^= 1 << position // 16 % 8
        assert "wrong store password, or the key store was changed" in str(refusal(bytes(changed))), position


def _cheap_mac(content: bytes) -> tuple[bytes, bytes]:
    """The AuthenticatedSafe of a store, and the store with a MAC of one iteration."""
    safe = bytes(pkcs12.Pfx.load(content)["auth_safe"]["content"].native)
    return safe, pfx(safe, mac_data(safe))


def test_a_flipped_bit_of_pkcs12_is_refused_before_anything_is_decrypted(refusal: Refusal, only_mac: None) -> None:
    """Whatever the bit is part of: the keys, the certificates, the MAC itself."""
    safe, content = _cheap_mac((STORES / "modern.p12").read_bytes())
    for position in range(0, len(content), 31):
        changed = bytearray(content)
        changed[position] ^= 1 << position // 31 % 8
        assert isinstance(refusal(bytes(changed)), OperatorError), position
    assert len(content) > len(safe)


def _flipped(body: bytes, step: int) -> Iterator[bytes]:
    for position in range(0, len(body), step):
        changed = bytearray(body)
        changed[position] ^= 1 << position // step % 8
        yield bytes(changed)


def _try_every_key(uri_of: Callable[..., str]) -> None:
    """List and open: all may succeed or be refused, and nothing else may happen."""
    try:
        listed = list(key_maker(uri_of()).list_keys())
    except OperatorError:
        return
    for key in listed:
        if key.kind != "RSA-3072":  # cryptography takes 0.1 s to validate one
            with suppress(OperatorError):
                open_key(key.uri.replace(path={"key-id": None if key.kind.startswith("RSA") else b"k"})).close()


@pytest.mark.parametrize("store", SUN_STORES)
def test_a_hostile_jks_or_jceks_store_raises_nothing_but_our_errors(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits flipped by somebody who knows the store password, so that the digest is right."""

    def wrong(*arguments: object) -> None:
        raise WrongKeyPassword

    monkeypatch.setattr(sun_crypto, "jce_pbe_decrypt", wrong)  # 200,000 iterations each
    body = (STORES / store).read_bytes()[:-20]
    for changed in _flipped(body[4:], 23):
        (tmp_path / "store").write_bytes(sign(body[:4] + changed))
        _try_every_key(lambda: store_uri(tmp_path / "store"))


def test_a_hostile_pkcs12_store_raises_nothing_but_our_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits flipped by somebody who knows the store password, so that the MAC is right."""
    safe, _ = _cheap_mac((STORES / "modern.p12").read_bytes())
    known: dict[bytes, bytes] = {}
    decrypt = pbe.decrypt

    def once(algorithm: Any, ciphertext: bytes, password: str) -> bytes:
        if ciphertext not in known:
            known[ciphertext] = decrypt(algorithm, ciphertext, password)
        return known[ciphertext]

    monkeypatch.setattr(pbe, "decrypt", once)  # 10,000 iterations each
    for content in (safe, *_flipped(safe, 151)):
        (tmp_path / "store").write_bytes(pfx(content, mac_data(content)))
        _try_every_key(lambda: store_uri(tmp_path / "store"))
    assert len(known) > 3  # two keys and the certificates were decrypted, the rest with flipped bits


@pytest.mark.parametrize(
    "algorithm", [pbes2(1), legacy("pkcs12_sha1_tripledes_3key", 1), legacy("pkcs12_sha1_rc2_40", 1)]
)
def test_a_hostile_description_of_the_encryption_raises_nothing_but_our_errors(
    algorithm: algos.EncryptionAlgorithm,
) -> None:
    """Whatever bit of the algorithm or its parameters is flipped."""
    for changed in _flipped(shrouded(algorithm).dump(), 1):
        with pytest.raises((OperatorError, WrongKeyPassword)):
            _decrypt_private_key(changed, "password")


_JKS_ALGORITHM = "1.3.6.1.4.1.42.2.17.1.1"


def _sun_key(algorithm: str, parameters: core.Asn1Value, length: int) -> bytes:
    """An encrypted private key of one of Sun's algorithms, of so many octets."""
    info = shrouded(pbes2(1), bytes(length))
    info["encryption_algorithm"] = {"algorithm": algorithm, "parameters": core.Any(parameters)}
    return bytes(info.dump())


HOSTILE_SUN = {
    "unknown version": sun_store(JKS, CERTIFICATE, version=3),
    "more entries stated than there are": sun_store(JKS, CERTIFICATE, count=2**32 - 1),
    "fewer entries stated than there are": sun_store(JKS, CERTIFICATE, CERTIFICATE, count=1),
    "unknown kind of entry": sun_store(JCEKS, entry(4, "key", b"")),
    "a secret key in JKS": sign(JKS + (STORES / "store.jceks").read_bytes()[4:-20]),
    "a key of 4 GiB": sun_store(JKS, entry(1, "key", number(2**32 - 1))),
    "a key of over 64 KiB": sun_store(
        JKS, entry(1, "key", block(_sun_key(_JKS_ALGORITHM, core.Null(), 2**17)) + number(0))
    ),
    "a chain of 4 billion certificates": sun_store(JKS, entry(1, "key", block(b"x") + number(2**32 - 1))),
    "a certificate of 4 GiB": sun_store(JKS, entry(2, "key", text("X.509") + number(2**32 - 1))),
    "an alias beyond the end": sign(JKS + number(2) + number(1) + number(2) + b"\xff\xff" + b"a"),
    "an alias that is no UTF-8": sign(JKS + number(2) + number(1) + number(2) + b"\x00\x01\xff" + bytes(20)),
    "an alias of half a surrogate pair": sign(
        JKS + number(2) + number(1) + number(2) + b"\x00\x03\xed\xa0\x80" + bytes(8) + text("X.509") + block(b"")
    ),
    "nothing after the magic number": sign(JKS),
    "the same alias twice": sun_store(JKS, CERTIFICATE, entry(2, "C", text("X.509") + block(b""))),
    "a secret key that is no Java object": sun_store(JCEKS, entry(3, "key", bytes(64))),
}


@pytest.mark.parametrize("kind", HOSTILE_SUN)
def test_a_jks_or_jceks_store_of_absurd_lengths_and_kinds_is_refused(
    kind: str, refusal: Refusal, no_derivation: None
) -> None:
    """The digest is right, so it is the parser that refuses."""
    error = refusal(HOSTILE_SUN[kind])
    assert isinstance(error, ConfigError)
    assert "wrong store password" not in str(error)


def _jce_entry(iterations: int) -> bytes:
    parameters = legacy("pkcs12_sha1_tripledes_3key", iterations)["parameters"]
    key = _sun_key("1.3.6.1.4.1.42.2.19.1", parameters, 32)
    return sun_store(JCEKS, entry(1, "key", block(key) + number(0)))


@pytest.mark.parametrize("iterations", [ABSURD, 5_000_001, 0, -1, 2**70])
def test_absurd_iterations_of_jceks_are_refused_before_they_are_made(
    iterations: int, refusal: Refusal, no_derivation: None
) -> None:
    """Java's ceiling is ours."""
    assert "iterations" in str(refusal(_jce_entry(iterations)))


def test_the_highest_number_of_iterations_is_passed_on(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ceiling refuses nothing that Java writes."""
    seen = []

    def wrong(ciphertext: bytes, password: str, salt: bytes, iterations: int) -> None:
        seen.append(iterations)
        raise ValueError

    monkeypatch.setattr(sun_crypto, "jce_pbe_decrypt", wrong)
    refusal(_jce_entry(5_000_000))
    assert seen == [5_000_000]


def test_a_protection_of_jceks_in_jks_is_an_unsupported_algorithm(refusal: Refusal, no_derivation: None) -> None:
    """Java refuses it, too."""
    body = _jce_entry(1)[:-20].replace(JCEKS, JKS)
    assert isinstance(refusal(sign(body)), UnsupportedAlgorithm)


@pytest.mark.parametrize("iterations", [ABSURD, 5_000_001, 0, -1, 2**70])
@pytest.mark.parametrize("where", ["mac", "pbes2", "legacy", "rc2", "part", "legacy part"])
def test_absurd_iterations_of_pkcs12_are_refused_before_they_are_made(
    where: str, iterations: int, refusal: Refusal, only_mac: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a store states them: in the MAC, around a key, around a part."""
    safe = authenticated_safe()
    match where:
        case "mac":
            store = pfx(safe, mac_data(safe, stated=iterations))
            monkeypatch.setattr(rfc7292, "derive_key", None)
        case "pbes2":
            store = store_of(bag("pkcs8_shrouded_key_bag", shrouded(pbes2(iterations)), "key"))
        case "legacy" | "rc2":
            name = "pkcs12_sha1_tripledes_3key" if where == "legacy" else "pkcs12_sha1_rc2_40"
            store = store_of(bag("pkcs8_shrouded_key_bag", shrouded(legacy(name, iterations)), "key"))
        case "part":
            store = encrypted_parts([pbes2(iterations)])
        case _:
            store = encrypted_parts([legacy("pkcs12_sha1_rc2_40", iterations)])
    error = refusal(store)
    assert isinstance(error, ConfigError)
    assert "iterations" in str(error)


def _deep(octets: bytes, depth: int) -> bytes:
    for _ in range(depth):
        octets = core.Sequence(contents=octets).dump()
    return octets


_SAFE = authenticated_safe()
_UNKNOWN = pkcs12.SafeBag.load(bytes.fromhex("300906032a0304a0020500"))  # 1.2.3.4, [0] NULL
_NESTED = bag("safe_contents", pkcs12.SafeContents([]))
_SIGNED = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData({"version": "v1",
    "digest_algorithms": [], "encap_content_info": {"content_type": "data"}, "signer_infos": []})})  # fmt: skip
_KEY = bag("pkcs8_shrouded_key_bag", shrouded(pbes2(1)), "key")
_SAME = bag("pkcs8_shrouded_key_bag", shrouded(pbes2(1)), "KEY")
_LONG_SALT = legacy("pkcs12_sha1_tripledes_3key", 1, bytes(2000))
_MAC = mac_data(_SAFE)
HOSTILE_PKCS12 = {
    "no MAC": (pfx(_SAFE, None), "has no MAC"),
    "version 4": (pkcs12.Pfx({"version": 4, "auth_safe": data(_SAFE), "mac_data": _MAC}).dump(), "version 3"),
    "signed instead": (
        pkcs12.Pfx({"version": "v3", "auth_safe": _SIGNED, "mac_data": _MAC}).dump(),
        "not protected by a password",
    ),
    "octets after the end": (pfx(_SAFE, _MAC) + b"\0", "damaged"),
    "an unknown kind of bag": (store_of(_UNKNOWN), "of a kind that we do not know"),
    "bags in bags": (store_of(_NESTED), "of a kind that we do not know"),
    "the same alias twice": (store_of(_KEY, _SAME), "the same alias"),
    "17 parts": (encrypted_parts([pbes2(1)] * 17), "over 16 parts"),
    "a salt of 2000 bytes": (store_of(bag("pkcs8_shrouded_key_bag", shrouded(_LONG_SALT), "key")), "salt of over"),
    "a key of over 64 KiB": (
        store_of(bag("pkcs8_shrouded_key_bag", shrouded(pbes2(1), bytes(2**17)), "key")),
        "entry of over",
    ),
    "a key length that the cipher does not have": (
        store_of(bag("pkcs8_shrouded_key_bag", shrouded(pbes2(1, key_length=2**31)), "key")),
        "key length",
    ),
    "an absurd outer length": (bytes.fromhex("3084ffffffff020103"), "damaged"),
    "deep nesting": (_deep(b"\5\0", 5000), "damaged"),
    "deep nesting without lengths": (b"\x30\x80" * 200_000, "damaged"),
    "octets in pieces in pieces": (pfx_of_pieces(5000), "damaged"),
    "no parts": (pfx(b"", mac_data(b"")), "damaged"),
}


@pytest.mark.parametrize("kind", HOSTILE_PKCS12)
def test_a_pkcs12_store_of_absurd_lengths_and_kinds_is_refused(kind: str, refusal: Refusal, only_mac: None) -> None:
    """Where the MAC is right, it is the parser that refuses."""
    content, expected = HOSTILE_PKCS12[kind]
    error = refusal(content)
    assert isinstance(error, ConfigError)
    assert expected in str(error)


def _renamed(old: str, new: str) -> algos.EncryptionAlgorithm:
    """PBES2 with another object identifier of the same length in it."""
    return algos.EncryptionAlgorithm.load(pbes2(1).dump().replace(bytes.fromhex(old), bytes.fromhex(new)))


UNSUPPORTED = {
    "a cipher": legacy("pkcs12_sha1_tripledes_2key", 1),
    "another cipher": legacy("pbes1_md5_des", 1),
    "AES-GCM": _renamed("60864801650304012a", "60864801650304012e"),
    "another key derivation": _renamed("2a864886f70d01050c", "2a864886f70d01050a"),
    "an unknown pseudorandom function": _renamed("2a864886f70d0209", "2a864886f70d0202"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_a_protection_that_we_do_not_know_is_an_unsupported_algorithm(
    kind: str, refusal: Refusal, only_mac: None
) -> None:
    """The hint says how to convert the store."""
    error = refusal(store_of(bag("pkcs8_shrouded_key_bag", shrouded(UNSUPPORTED[kind]), "key")))
    assert isinstance(error, UnsupportedAlgorithm)
    assert "keytool -importkeystore" in error.hint


def _sealed_object() -> bytes:
    """The serialised object of the AES entry of store.jceks, and whatever follows."""
    content = (STORES / "store.jceks").read_bytes()
    return content[content.index(bytes.fromhex("aced0005")) : -20]


def test_a_java_object_damaged_at_any_byte_is_read_or_refused() -> None:
    """ValueError and UnexpectedClass are all that a hostile stream can cause."""
    stream = _sealed_object()
    for changed in _flipped(stream, 1):
        try:
            fields = read_object(DataInput(changed), "javax.crypto.SealedObject")
        except (ValueError, UnexpectedClass):
            continue
        assert fields.keys()


def test_a_java_object_cut_off_at_any_byte_is_refused() -> None:
    """Nothing is read beyond the end."""
    stream = _sealed_object()
    source = DataInput(stream)
    read_object(source, "javax.crypto.SealedObject")
    for length in range(len(stream) - source.remaining):
        with pytest.raises(ValueError, match=r"."):
            read_object(DataInput(stream[:length]), "javax.crypto.SealedObject")


def _class(name: str, fields: bytes = bytes(2), flags: int = 2) -> bytes:
    return b"\x72" + text(name) + bytes(8) + bytes([flags]) + fields + b"\x78"


START = bytes.fromhex("aced000573")
HOSTILE_OBJECTS = {
    "1000 superclasses": START + _class("x") * 1000 + b"\x70",
    "a class with data of its own": START + _class("x", flags=3) + b"\x70",
    "65535 fields": START + _class("x", b"\xff\xff"),
    "17 fields": START
    + _class("x", b"\x00\x11" + 17 * (b"L" + text("n") + b"\x74" + text("t")))
    + b"\x70"
    + 17 * b"\x70",
    "a field of a number": START + _class("x", b"\x00\x01" + b"I" + text("n")) + b"\x70",
    "a reference to nothing": START + b"\x71\x00\x7e\x00\x63",
    "a negative reference": START + b"\x71\x00\x00\x00\x00",
    "an object without a class, which is null": START[:-1] + b"\x70",
    "another version": b"\xac\xed\x00\x06\x73",
    "an array of 2 GiB": START
    + _class("x", b"\x00\x01" + b"[" + text("a") + b"\x74" + text("[B"))
    + b"\x70\x75"
    + _class("[B")
    + b"\x70\x7f\xff\xff\xff",
    "an array of other things": START
    + _class("x", b"\x00\x01" + b"[" + text("a") + b"\x74" + text("[I"))
    + b"\x70\x75"
    + _class("[I")
    + b"\x70\x00\x00\x00\x00",
    "a string that is a class": START + _class("x", b"\x00\x01" + b"L" + text("a") + b"\x71\x00\x7e\x00\x00"),
}


@pytest.mark.parametrize("kind", HOSTILE_OBJECTS)
def test_a_java_object_of_another_make_is_refused(kind: str) -> None:
    """Only objects of byte arrays and strings are known."""
    with pytest.raises(ValueError, match=r"."):
        read_object(DataInput(HOSTILE_OBJECTS[kind]), "x")


def test_a_java_object_of_another_class_is_refused_before_its_fields_are_read() -> None:
    """The class is named, so that the operator learns what the entry is."""
    with pytest.raises(UnexpectedClass, match=r"java\.util\.HashMap"):
        read_object(DataInput(START + _class("java.util.HashMap") + b"\x70"), "x")


def test_a_sealed_object_of_another_algorithm_is_refused(refusal: Refusal, no_derivation: None) -> None:
    """JCEKS has one."""
    content = (STORES / "store.jceks").read_bytes()[:-20]
    changed = content.replace(b"PBEWithMD5AndTripleDES", b"PBEWithMD5AndTripleDEX")
    assert changed != content
    assert "damaged" in str(refusal(sign(changed)))


def test_a_secret_entry_without_content_is_refused(refusal: Refusal, no_derivation: None) -> None:
    """A SealedObject whose fields are null."""
    fields = b"\x00\x01" + b"[" + text("encryptedContent") + b"\x74" + text("[B")
    sealed = START + _class("javax.crypto.SealedObject", fields) + b"\x70\x70"
    assert "damaged" in str(refusal(sun_store(JCEKS, entry(3, "key", sealed)), key_id="k"))


def test_a_secret_entry_of_another_class_is_refused(refusal: Refusal, no_derivation: None) -> None:
    """No object of a class that the file chooses is made."""
    store = sun_store(JCEKS, entry(3, "key", START + _class("java.util.HashMap") + b"\x70"))
    assert "damaged" in str(refusal(store, key_id="k"))


@pytest.mark.parametrize("alias", ["rsa-2048", "aes-256"])
def test_a_wrong_key_password_that_leaves_good_padding_is_still_a_wrong_password(
    alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in 256 does; what comes out is no key."""
    monkeypatch.setattr(sun_crypto, "jce_pbe_decrypt", lambda *_: b"rubbish")
    with pytest.raises(ConfigError, match="wrong key password"):
        open_key(store_uri("store.jceks", alias, key_id="k" if alias == "aes-256" else None))


@pytest.mark.parametrize("alias", ["rsa-2048", "aes-256"])
def test_rubbish_inside_a_pkcs12_entry_is_a_wrong_password(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for JCEKS."""
    decrypt = pbe.decrypt

    def rubbish(algorithm: Any, ciphertext: bytes, password: str) -> bytes:
        return b"rubbish" if password == "not-the-password" else decrypt(algorithm, ciphertext, password)

    monkeypatch.setattr(pbe, "decrypt", rubbish)
    uri = store_uri(
        "modern.p12", alias, key_id="k" if alias == "aes-256" else None, key_pass_source="env:WRONG_PASSWORD"
    )
    with pytest.raises(ConfigError, match="wrong key password"):
        open_key(uri)


def test_the_digest_is_bound_to_its_length() -> None:
    """What is appended behind the last entry, digest and all, is refused: the digest is open to length extension."""
    content = (STORES / "store.jks").read_bytes()
    with pytest.raises(ConfigError, match="damaged"):
        sun.read_entries(sign(content[:-20] + bytes(64)), STORE_PASSWORD)
