# SPDX-License-Identifier: Apache-2.0
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealpass.backends.registry import key_maker, open_key
from sealpass.core.algorithms import (
    A128GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    OAEP_VARIANTS,
    RSA_OAEP_256,
    SEAL_A256GCM,
    Hash,
    RsaOaep,
)
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.protocols import Key, Opener, Sealed, Sealer, Unwrapper, as_unwrapper
from sealpass.core.uri import KeyUri
from tests.support import tokens
from tests.support.process import run_python

AES_KEY = bytes(range(32))
AES_JWK = {"kty": "oct", "k": tokens.encode(AES_KEY), "kid": "id-1"}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A URI that nothing answers to yet."""
    return f"software:path={tmp_path / 'key'}"


def _path(uri: str | KeyUri) -> Path:
    return Path((KeyUri.parse(uri) if isinstance(uri, str) else uri).require("path"))


def _pem(bits: int = 2048) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def pem() -> bytes:
    """A private key to import."""
    return _pem()


@pytest.fixture(params=["rsa", "imported", "aes"])
def made(request: pytest.FixtureRequest, uri: str, pem: bytes) -> KeyUri:
    """A key file, made in each of the three ways."""
    maker = key_maker(uri)
    if request.param == "rsa":
        return maker.create_rsa(2048, UnwrapMode.SOFTWARE)
    return maker.import_rsa(pem, UnwrapMode.NATIVE) if request.param == "imported" else maker.create_aes(256)


def test_made_key_opens_under_the_uri_it_was_made_with(uri: str, made: KeyUri) -> None:
    """And says so."""
    assert made == KeyUri.parse(uri)
    with open_key(made) as key:
        assert key.uri == made
        assert key.key_id


def test_key_files_are_private(made: KeyUri) -> None:
    """Mode 0600, whatever the process's umask allows."""
    assert stat.S_IMODE(_path(made).stat().st_mode) == 0o600


def test_umask_does_not_open_key_files(uri: str) -> None:
    """The mode is asked for, not left to chance."""
    before = os.umask(0)
    try:
        made = key_maker(uri).create_aes(128)
    finally:
        os.umask(before)
    assert stat.S_IMODE(_path(made).stat().st_mode) == 0o600


def test_keys_are_never_overwritten(made: KeyUri, pem: bytes) -> None:
    """Not by any of the ways to make one; the file stays as it was."""
    before = _path(made).read_bytes()
    maker = key_maker(made)
    makes: list[Callable[[], KeyUri]] = [
        lambda: maker.create_rsa(2048, UnwrapMode.SOFTWARE),
        lambda: maker.import_rsa(pem, UnwrapMode.SOFTWARE),
        lambda: maker.create_aes(256),
    ]
    for make in makes:
        with pytest.raises(ConfigError, match="exists already") as caught:
            make()
        assert "never overwritten" in caught.value.hint
    assert _path(made).read_bytes() == before


WRITE_ON_A_FULL_DISK = """
import resource
from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError

resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    key_maker({uri!r}).create_rsa(2048, UnwrapMode.SOFTWARE)
except ConfigError as error:
    print(error)
"""


def test_a_write_that_fails_leaves_no_file(uri: str) -> None:
    """Half a key would stand in the way of the next try; the error is one for the operator."""
    path = _path(uri)
    printed = run_python(WRITE_ON_A_FULL_DISK.format(uri=uri)).strip()
    assert printed == f"cannot write {path}: File too large"
    assert not path.exists()


def test_links_to_nowhere_are_not_followed(uri: str, tmp_path: Path) -> None:
    """A prepared link does not make the key appear somewhere else."""
    _path(uri).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="exists already"):
        key_maker(uri).create_aes(256)
    assert not (tmp_path / "elsewhere").exists()


def test_import_keeps_the_key(uri: str, pem: bytes, tmp_path: Path) -> None:
    """Same numbers, same thumbprint."""
    other = tmp_path / "other.pem"
    other.write_bytes(pem)
    with (
        open_key(key_maker(uri).import_rsa(pem, UnwrapMode.SOFTWARE)) as one,
        open_key(f"software:path={other}") as two,
    ):
        assert one.key_id == two.key_id


@pytest.mark.parametrize("bits", [-1, 0, 1024, 2047, 8193, 1_000_000])
def test_rsa_sizes_that_could_not_be_opened_are_not_made(uri: str, bits: int) -> None:
    """Refused before the work, and without leaving a file."""
    with pytest.raises(ConfigError, match="bits"):
        key_maker(uri).create_rsa(bits, UnwrapMode.SOFTWARE)
    assert not _path(uri).exists()


@pytest.mark.parametrize("bits", [0, 64, 100, 129, 512])
def test_aes_sizes_that_could_not_be_opened_are_not_made(uri: str, bits: int) -> None:
    """As for RSA."""
    with pytest.raises(ConfigError, match="bits"):
        key_maker(uri).create_aes(bits)
    assert not _path(uri).exists()


def test_files_have_neither_token_nor_certificate(uri: str, pem: bytes) -> None:
    """What cannot be kept is refused, not forgotten."""
    with pytest.raises(UnsupportedAlgorithm, match="in-token"):
        key_maker(uri).import_rsa(pem, UnwrapMode.IN_TOKEN)
    with pytest.raises(UnsupportedAlgorithm, match="certificate"):
        key_maker(uri).import_rsa(pem, UnwrapMode.SOFTWARE, self_signed=True)
    assert not _path(uri).exists()


def test_weak_keys_are_not_imported(uri: str) -> None:
    """RFC 7518 section 4.3."""
    with pytest.raises(UnsupportedAlgorithm, match="1024 bits"):
        key_maker(uri).import_rsa(_pem(1024), UnwrapMode.SOFTWARE)
    assert not _path(uri).exists()


@pytest.mark.parametrize(
    "make",
    [lambda maker: maker.create_aes(256), lambda maker: maker.create_rsa(2048, UnwrapMode.SOFTWARE)],
    ids=["aes", "rsa"],
)
def test_folder_that_is_not_there(tmp_path: Path, make: Any) -> None:
    """Folders are not made: a typing error would hide the key."""
    with pytest.raises(ConfigError, match=r"cannot write .*: No such file"):
        make(key_maker(f"software:path={tmp_path}/none/key"))


def test_listing(uri: str) -> None:
    """Kind, size, id and mode of the one key of the file."""
    made = key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)
    [listing] = key_maker(uri).list_keys()
    with open_key(made) as key:
        assert (listing.uri, listing.kind, listing.key_id) == (made, "RSA-2048", key.key_id)
    assert listing.modes == (UnwrapMode.SOFTWARE,)


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_listing_of_aes_keys(uri: str, bits: int) -> None:
    """With the size in the kind."""
    key_maker(uri).create_aes(bits)
    [listing] = key_maker(uri).list_keys()
    assert (listing.kind, listing.modes) == (f"AES-{bits}", ())


def test_missing_file(uri: str) -> None:
    """KeyNotFound, with the way to make one."""
    with pytest.raises(KeyNotFound, match="no key file") as caught:
        open_key(uri)
    assert "keys create" in caught.value.hint


def test_directory(tmp_path: Path) -> None:
    """What cannot be read is named with the system's reason."""
    with pytest.raises(ConfigError, match=r"cannot read .*directory"):
        open_key(f"software:path={tmp_path}")


@pytest.mark.parametrize("use", [open_key, lambda uri: key_maker(uri).create_aes(256)])
def test_path_with_nul(use: Any) -> None:
    """Python would answer with a ValueError of its own."""
    with pytest.raises(ConfigError, match="NUL"):
        use("software:path=a%00b")


@pytest.mark.parametrize(
    "uri_text", ["software:", "software:path=", "software:path=a;alias=b", "software:path=a?pin-source=env:A"]
)
def test_attributes_of_the_scheme(uri_text: str) -> None:
    """A path, and nothing else."""
    with pytest.raises(ConfigError):
        open_key(uri_text)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct"},
        AES_JWK | {"k": 5},
        AES_JWK | {"k": "AA="},
        AES_JWK | {"k": "é"},
        AES_JWK | {"k": tokens.encode(bytes(15))},
        AES_JWK | {"k": tokens.encode(bytes(64))},
        AES_JWK | {"k": ""},
        AES_JWK | {"kty": "RSA"},
        AES_JWK | {"kid": None},
        AES_JWK | {"kid": ""},
        AES_JWK | {"kid": 5},
        {"kty": "oct", "k": AES_JWK["k"]},
    ],
    ids=str,
)
def test_wrong_jwk_files(uri: str, jwk: dict[str, Any]) -> None:
    """Each its own ConfigError, none with the key in it."""
    _path(uri).write_text(json.dumps(jwk))
    with pytest.raises(ConfigError) as caught:
        open_key(uri)
    assert AES_JWK["k"] not in repr(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b'{"kty":"oct",', b"[]", b"{}{}", b'{"k":"\xff"}', b"\xef\xbb\xbf{}"]
)
def test_wrong_files(uri: str, content: bytes) -> None:
    """Neither PEM nor JWK."""
    _path(uri).write_bytes(content)
    with pytest.raises(ConfigError):
        open_key(uri)


def test_closed_keys_refuse_everything(uri: str, tmp_path: Path) -> None:
    """Closing twice is closing."""
    with open_key(key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)) as key:
        unwrapper = as_unwrapper(key)
    unwrapper.close()
    with pytest.raises(ConfigError, match="closed"):
        unwrapper.probe()
    with pytest.raises(ConfigError, match="closed"):
        unwrapper.unwrap(bytes(256), RSA_OAEP_256, A256GCM)
    with open_key(key_maker(f"software:path={tmp_path / 'aes'}").create_aes(256)) as aes:
        assert isinstance(aes, Sealer)
        assert isinstance(aes, Opener)
    with pytest.raises(ConfigError, match="closed"):
        aes.seal(b"x", b"")
    with pytest.raises(ConfigError, match="closed"):
        aes.open_sealed(Sealed("A256GCM", bytes(12), bytes(16)), b"")


def test_declares_everything(software_key: Unwrapper) -> None:
    """It is the reference: what it cannot do, no backend is measured by."""
    assert software_key.capabilities.unwrap == set(OAEP_VARIANTS)
    assert software_key.capabilities.content == set(CONTENT_ENCRYPTIONS)
    assert software_key.capabilities.mode is UnwrapMode.SOFTWARE
    assert software_key.capabilities.seal == frozenset()


@pytest.mark.parametrize("used", OAEP_VARIANTS, ids=str)
def test_unwraps_every_declared_variant(software_key: Unwrapper, used: RsaOaep) -> None:
    """Each of them, and under no other: neither hash is ignored."""
    cek = secrets.token_bytes(32)
    encrypted_key = oaep_encrypt(software_key.public_jwk.public_key(), cek, used)
    iv, ciphertext, tag = encrypt_gcm(cek, b"hello", b"aad")
    for oaep in OAEP_VARIANTS:
        with software_key.unwrap(encrypted_key, oaep, A256GCM) as content_key:
            assert content_key.decrypt(iv, ciphertext, tag, b"aad") == (b"hello" if oaep == used else None)


def test_undeclared_variant_is_refused(software_key: Unwrapper) -> None:
    """Before the key is used, with what it does instead."""
    with pytest.raises(UnsupportedAlgorithm, match="SHA-224"):
        software_key.unwrap(bytes(256), RsaOaep(Hash.SHA224, Hash.SHA224), A256GCM)


@pytest.mark.parametrize("encrypted_key", [b"", b"\0", bytes(255), bytes(256), b"\xff" * 256, bytes(257)], ids=len)
def test_bad_input_is_a_key_that_opens_nothing(software_key: Unwrapper, encrypted_key: bytes) -> None:
    """RFC 7516 section 11.5: never an exception, always a CEK of the right size, another one each time."""
    seen = set()
    for _ in range(2):
        with software_key.unwrap(encrypted_key, RSA_OAEP_256, A128GCM) as content_key:
            seen.add(content_key._cek)  # type: ignore[attr-defined]
            assert content_key.decrypt(bytes(12), b"", bytes(16), b"") is None
    assert {len(cek) for cek in seen} == {16}
    assert len(seen) == 2


def test_late_unwrap_does_not_start(software_key: Unwrapper) -> None:
    """The deadline is looked at before the key."""
    with pytest.raises(BackendUnavailable):
        software_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM, Deadline(0.0))


@pytest.fixture
def aes(uri: str) -> Key:
    """The key of AES_JWK, opened."""
    _path(uri).write_text(json.dumps(AES_JWK))
    return open_key(uri)


def test_seals_and_opens(aes: Key) -> None:
    """Under a fresh nonce each time, bound to the AAD."""
    assert isinstance(aes, Sealer)
    assert isinstance(aes, Opener)
    assert aes.key_id == "id-1"
    assert aes.capabilities.seal == {SEAL_A256GCM}
    first, second = aes.seal(b"hash", b"user"), aes.seal(b"hash", b"user")
    assert first.algorithm == "A256GCM"
    assert len(first.nonce) == 12
    assert (first.nonce, first.ciphertext) != (second.nonce, second.ciphertext)
    assert aes.open_sealed(first, b"user") == aes.open_sealed(second, b"user") == b"hash"
    assert aes.open_sealed(first, b"other") is None


def test_what_was_changed_does_not_open(aes: Key) -> None:
    """None, never an exception: algorithm, nonce, ciphertext, and lengths that no sealing makes."""
    assert isinstance(aes, Sealer)
    assert isinstance(aes, Opener)
    sealed = aes.seal(b"hash", b"user")
    flipped = bytes((sealed.ciphertext[0] ^ 1,)) + sealed.ciphertext[1:]
    for wrong in (
        Sealed("A128GCM", sealed.nonce, sealed.ciphertext),
        Sealed("A256GCM", secrets.token_bytes(12), sealed.ciphertext),
        Sealed("A256GCM", b"", sealed.ciphertext),
        Sealed("A256GCM", sealed.nonce + b"\0", sealed.ciphertext),
        Sealed("A256GCM", sealed.nonce, flipped),
        Sealed("A256GCM", sealed.nonce, b""),
        Sealed("A256GCM", sealed.nonce, sealed.ciphertext[:-1]),
    ):
        assert aes.open_sealed(wrong, b"user") is None


def test_late_sealing_does_not_start(aes: Key) -> None:
    """Neither way."""
    assert isinstance(aes, Sealer)
    assert isinstance(aes, Opener)
    with pytest.raises(BackendUnavailable):
        aes.seal(b"x", b"user", Deadline(0.0))
    with pytest.raises(BackendUnavailable):
        aes.open_sealed(Sealed("A256GCM", bytes(12), bytes(16)), b"", Deadline(0.0))


def test_aes_keys_do_not_unwrap(aes: Key) -> None:
    """The role is asked for by type and by capability."""
    with pytest.raises(UnsupportedAlgorithm, match="does not unwrap"):
        as_unwrapper(aes)


def test_repr_shows_the_uri_only(aes: Key, software_key: Unwrapper) -> None:
    """A key in a log is named, not told."""
    assert repr(aes) == f"<AesMemoryKey {aes.uri!r}>"
    assert repr(software_key) == f"<RsaMemoryKey {software_key.uri!r}>"


@pytest.mark.parametrize(("given", "used"), [(None, 0.05), (0, 0), (0.25, 0.25)])
def test_failure_floor(software_uri: str, given: float | None, used: float) -> None:
    """The caller's, also where it is zero, or the backend's own."""
    with open_key(software_uri, failure_floor=given) as key:
        assert as_unwrapper(key).failure_floor.seconds == used
