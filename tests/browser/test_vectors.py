# SPDX-License-Identifier: Apache-2.0
"""Tokens that the encryptor made, committed, and the generator that made them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwcrypto import jwk

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.contract import E2eeInformation, profile_named
from sealpass.core.errors import DecryptionFailed
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.jwe_profile import JweProfile
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.nonces import NonceRecord, Purpose
from sealpass.core.uri import KeyUri
from tests.browser.programs import HERE, Program
from tests.support import tokens
from tests.support.contract import SESSION, Flow
from tests.support.kms_messages import SETTINGS, KmsFlow
from tests.support.vectors import Vector, load

VECTORS = load("browser")
JWE = [name for name, vector in VECTORS.items() if vector["information"]["type"] == "JWE"]
KMS = [name for name, vector in VECTORS.items() if vector["information"]["type"] == "KMS"]
IV_BYTES, TAG_BYTES = 12, 16


@pytest.fixture(scope="module")
def fresh(node: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vector]:
    """What the generator makes now."""
    folder = tmp_path_factory.mktemp("vectors")
    node.run("make-vectors.mjs", str(folder))
    return {path.stem: json.loads(path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture(params=["committed", "fresh"])
def vectors(request: pytest.FixtureRequest) -> dict[str, Vector]:
    """The committed vectors, then those of the generator; without node only the former."""
    return VECTORS if request.param == "committed" else request.getfixturevalue("fresh")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> KeyUri:
    """The vectors' key as a software key."""
    pem = jwk.JWK.from_json((HERE / "key.json").read_text()).export_to_pem(private_key=True, password=None)
    path: Path = tmp_path_factory.mktemp("browser") / "key.pem"
    return key_maker(f"software:path={path}").import_rsa(pem, UnwrapMode.SOFTWARE)


@pytest.fixture(scope="module")
def ring(uri: KeyUri) -> Iterator[KeyRing]:
    """A ring of that key."""
    with KeyRing(uri, failure_floor=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def private_key(uri: KeyUri) -> rsa.RSAPrivateKey:
    """The same key for cryptography."""
    key = load_pem_private_key(Path(uri.require("path")).read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def test_the_generator_still_makes_them(fresh: dict[str, Vector]) -> None:
    """All but the token is as it was, and no token is."""
    assert fresh.keys() == VECTORS.keys()
    for name, vector in fresh.items():
        assert vector | {"token": ""} == VECTORS[name] | {"token": ""}
        assert vector["token"] != VECTORS[name]["token"]


@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_has_the_one_key(name: str) -> None:
    """The test key of the folder, which opens nothing else."""
    vector = VECTORS[name]
    assert vector["jwk"] == json.loads((HERE / "key.json").read_bytes())
    assert vector["expect"] == "opens"
    assert len(vector["token"]) <= MAX_TOKEN_BYTES


@pytest.mark.parametrize("name", JWE)
def test_jwe_opens(name: str, vectors: dict[str, Vector], ring: KeyRing) -> None:
    """By the path of a server that announced it."""
    vector = vectors[name]
    information = E2eeInformation.from_json(json.dumps(vector["information"]).encode())
    profile = profile_named(information.profile).reading(vector["options"].get("passwordPointer", "/password"))
    profile = profile.allowing_sha1() if vector["options"].get("allowSha1") else profile
    assert isinstance(profile, JweProfile)
    flow = Flow(ring, profile)
    record = NonceRecord(
        nonce=information.nonce,
        session=SESSION,
        purpose=Purpose.CHECK,
        profile=profile.name,
        alg=information.alg,
        encs=(information.enc,),
        kid=information.public_key.kid,
    )
    flow.nonces.put(record)
    assert flow.unwrap(vector["token"]) == vector["password"]


@pytest.mark.parametrize("name", JWE)
def test_jwe_has_the_form(name: str, vectors: dict[str, Vector]) -> None:
    """Header members in their order, canonical parts, an IV of 96 and a tag of 128 bits, padding where it is due."""
    vector = vectors[name]
    header, encrypted_key, iv, ciphertext, tag = tokens.split(vector["token"])
    strict = vector["information"].get("profile") == "sealpass"
    assert list(json.loads(header)) == (["alg", "enc", "kid", "nonce"] if strict else ["alg", "enc", "nonce"])
    assert json.loads(header)["nonce"] == vector["information"]["nonce"]
    assert (len(encrypted_key), len(iv), len(tag)) == (256, IV_BYTES, TAG_BYTES)
    assert not strict or len(ciphertext) % 64 == 0
    assert tokens.join(tokens.split(vector["token"])) == vector["token"]


@pytest.mark.parametrize("name", KMS)
def test_kms_opens(name: str, vectors: dict[str, Vector], ring: KeyRing) -> None:
    """By the path of a server that announced it; with any other setting it does not."""
    vector = vectors[name]
    options = vector["options"]
    information = E2eeInformation.from_json(json.dumps(vector["information"]).encode())
    assert information.public_key == ring.current.public_jwk
    profile = AIRLOCK_KMS.with_key_bits(options.get("kmsKeyBits", 256)).authenticating(options.get("kmsAad", "text"))
    for other in SETTINGS.values():
        flow = KmsFlow(ring, other.allowing_sha1() if options.get("allowSha1") else other)
        record = NonceRecord(
            nonce=information.nonce,
            session=SESSION,
            purpose=Purpose.CHECK,
            profile=information.profile,
            alg=information.alg,
            encs=other.encs,
            kid=information.public_key.kid,
        )
        flow.nonces.put(record)
        if other == profile:
            assert flow.unwrap(vector["token"]) == vector["password"]
        else:
            with pytest.raises(DecryptionFailed):
                flow.unwrap(vector["token"])


@pytest.mark.parametrize("name", KMS)
def test_kms_has_the_form(name: str, vectors: dict[str, Vector], private_key: rsa.RSAPrivateKey) -> None:
    """Exactly password, key and iv in padded base64; the AES key of the size, the nonce in the form that was chosen."""
    vector = vectors[name]
    members = json.loads(vector["token"])
    assert list(members) == ["password", "key", "iv"]
    sealed, wrapped, iv = (base64.b64decode(text, validate=True) for text in members.values())
    assert (len(wrapped), len(iv)) == (256, IV_BYTES)
    sha1 = vector["information"]["algorithm"] == "RSAES_OAEP_SHA_1"
    key = private_key.decrypt(wrapped, tokens.OAEP_SHA1 if sha1 else tokens.OAEP_SHA256)
    assert 8 * len(key) == vector["options"].get("kmsKeyBits", 256)
    nonce = vector["information"]["nonce"]
    aad = base64.urlsafe_b64decode(nonce) if vector["options"].get("kmsAad") == "bytes" else nonce.encode("ascii")
    assert AESGCM(key).decrypt(iv, sealed, aad) == vector["password"].encode()


def test_all_forms_of_kms_are_there() -> None:
    """Both key sizes with both forms of the nonce, and both hashes: what Airlock's manual leaves open."""
    options = [VECTORS[name]["options"] for name in KMS]
    forms = {(one.get("kmsKeyBits", 256), one.get("kmsAad", "text")) for one in options}
    assert forms == {(256, "text"), (256, "bytes"), (128, "text"), (128, "bytes")}
    assert {VECTORS[name]["information"]["algorithm"] for name in KMS} == {"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
