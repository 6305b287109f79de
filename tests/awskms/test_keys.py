# SPDX-License-Identifier: Apache-2.0
"""Opening keys of KMS and using them, inside this process and over HTTP."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sealpass.backends.awskms.kms_key import KmsKey
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import (
    A128GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    RSA_OAEP,
    RSA_OAEP_256,
    RSA_OAEP_384,
    SEAL_AWSKMS,
    ContentEncryption,
    RsaOaep,
)
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.protocols import (
    FollowsAlias,
    Key,
    Opener,
    Resealer,
    Sealed,
    Sealer,
    Unwrapper,
    as_sealer,
    as_unwrapper,
)
from sealpass.core.uri import KeyUri
from tests.support.kms_emulator import REGION, KmsEmulator

AAD = b"$sealpass$v=1$k=1234$a=awskms$current$c3ViamVjdA"

Open = Callable[[str], Key]


@pytest.fixture(scope="module")
def rsa(either: KmsEmulator) -> str:
    """The ARN of an RSA key."""
    return either.create_rsa()


@pytest.fixture(scope="module")
def symmetric(either: KmsEmulator) -> str:
    """The ARN of a symmetric key."""
    return either.create_symmetric()


def uri_of(emulator: KmsEmulator, key_id: str, query: str = "") -> str:
    """A URI for a key of the emulator."""
    endpoint = f"endpoint-url={emulator.endpoint_url}" if emulator.endpoint_url else ""
    parts = "&".join(part for part in (endpoint, query) if part)
    return f"awskms:key-id={key_id};region={REGION}" + (f"?{parts}" if parts else "")


def open_rsa(emulator: KmsEmulator, key_id: str) -> KmsRsaKey:
    """That RSA key, open, with failures released at once."""
    key = open_key(uri_of(emulator, key_id), failure_floor=0)
    assert isinstance(key, KmsRsaKey)
    return key


def open_symmetric(emulator: KmsEmulator, key_id: str) -> KmsSymmetricKey:
    """That symmetric key, open."""
    key = open_key(uri_of(emulator, key_id))
    assert isinstance(key, KmsSymmetricKey)
    return key


@pytest.fixture
def rsa_key(emulator: KmsEmulator, rsa: str) -> Iterator[KmsRsaKey]:
    """The RSA key, open; calls are counted from here on."""
    with open_rsa(emulator, rsa) as key:
        emulator.reset()
        yield key
        emulator.reset()


@pytest.fixture
def symmetric_key(emulator: KmsEmulator, symmetric: str) -> Iterator[KmsSymmetricKey]:
    """The symmetric key, open; calls are counted from here on."""
    with open_symmetric(emulator, symmetric) as key:
        emulator.reset()
        yield key
        emulator.reset()


@pytest.fixture
def alias(emulator: KmsEmulator, rsa: str) -> Iterator[str]:
    """An alias of the RSA key."""
    client = emulator.client()
    client.create_alias(AliasName="alias/e2ee", TargetKeyId=rsa)
    yield "alias/e2ee"
    client.delete_alias(AliasName="alias/e2ee")


def test_all_four_spellings_open_the_one_key(emulator: KmsEmulator, rsa: str, alias: str) -> None:
    """Key id, key ARN, alias and alias ARN; each call after open names the key by its ARN."""
    uuid, base = rsa.rpartition("/")[2], rsa.partition(":key/")[0]
    for spelling in (uuid, rsa, alias, f"{base}:{alias}"):
        with open_rsa(emulator, spelling) as key:
            emulator.reset()
            token = encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP-256", "A256GCM")
            assert jwe.decrypt(token, key) == b"payload"
            assert {call.key_ids for call in emulator.calls if call.operation == "Decrypt"} == {(rsa,)}


def test_roles_and_capabilities_of_an_rsa_key(rsa_key: KmsRsaKey) -> None:
    """Native unwrapping with OAEP over SHA-1 and SHA-256, any content encryption, half a second to fail in."""
    assert isinstance(rsa_key, Unwrapper)
    assert isinstance(rsa_key, FollowsAlias)
    assert not isinstance(rsa_key, Sealer)
    assert rsa_key.capabilities.mode is UnwrapMode.NATIVE
    assert rsa_key.capabilities.unwrap == {RSA_OAEP, RSA_OAEP_256}
    assert rsa_key.capabilities.content == set(CONTENT_ENCRYPTIONS)
    assert not rsa_key.capabilities.seal
    assert rsa_key.key_id == rsa_key.public_jwk.kid


def test_the_failure_floor_is_half_a_second(emulator: KmsEmulator, rsa: str) -> None:
    """Longer than that of tokens, because two round trips must fit."""
    with open_key(uri_of(emulator, rsa)) as key:
        assert as_unwrapper(key).failure_floor.seconds == 0.5


def test_opening_decrypts_nothing(emulator: KmsEmulator, rsa: str) -> None:
    """A DescribeKey and a GetPublicKey: nothing of the quota for RSA."""
    emulator.reset()
    with open_rsa(emulator, rsa):
        assert {call.operation: times for call, times in emulator.calls.items()} == {
            "DescribeKey": 1,
            "GetPublicKey": 1,
        }


@pytest.mark.parametrize("oaep", [RSA_OAEP, RSA_OAEP_256], ids=str)
@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS, ids=str)
def test_what_is_declared_unwraps(rsa_key: KmsRsaKey, oaep: RsaOaep, enc: ContentEncryption) -> None:
    """Each OAEP variant with each content encryption, in a whole token."""
    token = encrypt.encrypt(b"payload", rsa_key.public_jwk, str(oaep.jwe_name), enc.name)
    assert jwe.decrypt(token, rsa_key) == b"payload"


def test_what_is_not_declared_is_refused_without_a_call(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """Another OAEP variant never reaches KMS."""
    with pytest.raises(UnsupportedAlgorithm):
        rsa_key.unwrap(bytes(256), RSA_OAEP_384, A256GCM)
    assert not emulator.calls


@pytest.mark.parametrize(
    ("answered", "capable"),
    [(["RSAES_OAEP_SHA_256"], {RSA_OAEP_256}), (["RSAES_OAEP_SHA_1"], {RSA_OAEP}), (["SOMETHING_NEW"], set())],
    ids=["SHA-256", "SHA-1", "neither"],
)
def test_capabilities_are_what_get_public_key_says(
    kms: KmsEmulator, rsa_arn: str, monkeypatch: pytest.MonkeyPatch, answered: list[str], capable: set[RsaOaep]
) -> None:
    """A variant that KMS does not name is not declared; without any, no content encryption is either."""
    answer = kms.answer

    def fewer(headers: Any, body: str) -> tuple[int, dict[str, str], str]:
        status, members, text = answer(headers, body)
        found = json.loads(text)
        if "PublicKey" in found:
            found["EncryptionAlgorithms"] = answered
        return status, members, json.dumps(found)

    monkeypatch.setattr(kms, "answer", fewer)
    with open_key(f"awskms:key-id={rsa_arn}") as key:
        assert key.capabilities.unwrap == capable
        assert bool(key.capabilities.content) is bool(capable)


def _unwraps(key: KmsRsaKey, encrypted_key: bytes, cek: bytes) -> bool:
    iv, ciphertext, tag = encrypt_gcm(cek, b"payload", b"aad")
    with key.unwrap(encrypted_key, RSA_OAEP_256, A256GCM) as content_key:
        return content_key.decrypt(iv, ciphertext, tag, b"aad") == b"payload"


def test_what_no_rsa_ciphertext_can_be_never_reaches_kms(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """A wrong length, or a number not below the modulus, opens nothing and costs no call."""
    modulus = rsa_key.public_jwk.public_key().public_numbers().n
    for encrypted_key in (b"", bytes(255), bytes(257), bytes(7000), modulus.to_bytes(256, "big"), b"\xff" * 256):
        assert not _unwraps(rsa_key, encrypted_key, bytes(32))
    assert not emulator.calls


def test_what_kms_refuses_opens_nothing(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """Bad padding, another hash and CEKs of another length give a content key, and no error."""
    public_key, cek = rsa_key.public_jwk.public_key(), secrets.token_bytes(32)
    good = oaep_encrypt(public_key, cek, RSA_OAEP_256)
    assert _unwraps(rsa_key, good, cek)
    for encrypted_key in (
        bytes(256),
        (1).to_bytes(256, "big"),
        good[:-1] + bytes((good[-1] ^ 1,)),
        oaep_encrypt(public_key, cek, RSA_OAEP),
        oaep_encrypt(public_key, b"", RSA_OAEP_256),
        oaep_encrypt(public_key, cek + b"x", RSA_OAEP_256),
    ):
        assert not _unwraps(rsa_key, encrypted_key, cek)
    assert emulator.count("Decrypt") == 7


def test_no_two_refused_ciphertexts_give_one_key(rsa_key: KmsRsaKey) -> None:
    """The content key that opens nothing is a random one each time."""
    ceks = {rsa_key.unwrap(bytes(256), RSA_OAEP_256, A128GCM)._cek for _ in range(3)}
    assert {len(cek) for cek in ceks} == {16}
    assert len(ceks) == 3


def test_the_probe_leaves_the_rsa_quota_alone(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """One DescribeKey."""
    rsa_key.probe()
    assert {call.operation: times for call, times in emulator.calls.items()} == {"DescribeKey": 1}


def test_a_probe_without_time_asks_nothing(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """And is no error: nothing is known against KMS."""
    rsa_key.probe(Deadline.after(0))
    assert not emulator.calls


def test_a_busy_kms_is_not_dead(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """A probe that is throttled to the end raises nothing; one that breaks down does."""
    with open_key(f"{rsa_key.uri}{'&' if rsa_key.uri.query else '?'}max-attempts=1") as key:
        emulator.throttle("DescribeKey", 1)
        as_unwrapper(key).probe()
        emulator.fail("DescribeKey", "KMSInternalException", 1)
        with pytest.raises(BackendUnavailable):
            as_unwrapper(key).probe()


# -- aliases ------------------------------------------------------------------------------------------------------


def test_a_moved_alias_leaves_the_open_key_alone(emulator: KmsEmulator, rsa: str, alias: str) -> None:
    """The open key says that it moved, and still unwraps what was made for it; a new one opens the new key."""
    with open_rsa(emulator, alias) as old:
        assert not old.has_moved()
        emulator.client().update_alias(AliasName=alias, TargetKeyId=emulator.create_rsa())
        assert old.has_moved()
        token = encrypt.encrypt(b"made before", old.public_jwk, "RSA-OAEP-256", "A256GCM")
        assert jwe.decrypt(token, old) == b"made before"
        with open_rsa(emulator, alias) as new:
            assert new.key_id != old.key_id
            assert not new.has_moved()


def test_an_alias_that_vanished_is_an_error(emulator: KmsEmulator, rsa: str) -> None:
    """An operator removed it: the key goes on, the question does not."""
    client = emulator.client()
    client.create_alias(AliasName="alias/gone", TargetKeyId=rsa)
    with open_rsa(emulator, "alias/gone") as key:
        client.delete_alias(AliasName="alias/gone")
        with pytest.raises(KeyNotFound):
            key.has_moved()
        key.probe()


def test_a_key_by_its_own_name_never_moves(emulator: KmsEmulator, rsa_key: KmsRsaKey) -> None:
    """And asking that costs no call."""
    assert not rsa_key.has_moved()
    assert not emulator.calls


def test_the_interval_comes_from_the_uri(emulator: KmsEmulator, symmetric: str) -> None:
    """In seconds."""
    with open_key(uri_of(emulator, symmetric, "alias-interval=7")) as key:
        assert isinstance(key, FollowsAlias)
        assert key.alias_interval == 7


# -- sealing ------------------------------------------------------------------------------------------------------


def test_roles_of_a_symmetric_key(symmetric_key: KmsSymmetricKey, symmetric: str) -> None:
    """It seals, opens and re-encrypts; its id is the key's, without account and Region."""
    assert isinstance(symmetric_key, Sealer)
    assert isinstance(symmetric_key, Opener)
    assert isinstance(symmetric_key, Resealer)
    assert not isinstance(symmetric_key, Unwrapper)
    assert as_sealer(symmetric_key) is symmetric_key
    assert symmetric_key.capabilities.seal == {SEAL_AWSKMS}
    assert symmetric_key.key_id == symmetric.rpartition("/")[2]


@pytest.mark.parametrize("plaintext", [b"x", b"$argon2id$" + b"v" * 87, bytes(4096)], ids=len)
def test_what_is_sealed_opens(emulator: KmsEmulator, symmetric_key: KmsSymmetricKey, plaintext: bytes) -> None:
    """With one Encrypt and one Decrypt, both naming the key."""
    sealed = symmetric_key.seal(plaintext, AAD)
    assert (sealed.algorithm, sealed.nonce) == ("awskms", b"")
    assert symmetric_key.open_sealed(sealed, AAD) == plaintext
    assert {(call.operation, call.key_ids): times for call, times in emulator.calls.items()} == {
        ("Encrypt", (symmetric_key._arn,)): 1,
        ("Decrypt", (symmetric_key._arn,)): 1,
    }


@pytest.mark.parametrize("plaintext", [b"", bytes(4097)], ids=len)
def test_what_kms_cannot_seal_is_refused_without_a_call(
    emulator: KmsEmulator, symmetric_key: KmsSymmetricKey, plaintext: bytes
) -> None:
    """Nothing, and more than 4096 bytes."""
    with pytest.raises(ConfigError, match="1 to 4096"):
        symmetric_key.seal(plaintext, AAD)
    assert not emulator.calls


@pytest.mark.parametrize("aad", [b"", b"\xc3\xa4", b"a\nb", b"a\0", b"\x7f"])
def test_an_aad_that_is_no_text_is_refused(emulator: KmsEmulator, symmetric_key: KmsSymmetricKey, aad: bytes) -> None:
    """An EncryptionContext is text, and two byte strings must never become one text."""
    for run in (
        lambda: symmetric_key.seal(b"x", aad),
        lambda: symmetric_key.open_sealed(Sealed("awskms", b"", b"x"), aad),
        lambda: symmetric_key.reencrypt(Sealed("awskms", b"", b"x"), AAD, symmetric_key, aad),
    ):
        with pytest.raises(ConfigError, match="printable ASCII"):
            run()
    assert not emulator.calls


def test_the_context_is_the_one_pair_of_the_design(emulator: KmsEmulator, symmetric_key: KmsSymmetricKey) -> None:
    """Another client with the context {'sealpass': AAD} opens the record, and none without it."""
    sealed = symmetric_key.seal(b"hash", AAD)
    client = emulator.client()
    answer = client.decrypt(CiphertextBlob=sealed.ciphertext, EncryptionContext={"sealpass": AAD.decode()})
    assert answer["Plaintext"] == b"hash"
    with pytest.raises(client.exceptions.InvalidCiphertextException):
        client.decrypt(CiphertextBlob=sealed.ciphertext)


def test_nothing_that_was_changed_opens(emulator: KmsEmulator, symmetric_key: KmsSymmetricKey) -> None:
    """Another AAD, ciphertext or key opens nothing and never raises; another form is not even sent."""
    sealed = symmetric_key.seal(b"text", AAD)
    flipped = bytes((sealed.ciphertext[-1] ^ 1,))
    with open_symmetric(emulator, emulator.create_symmetric()) as other:
        assert other.open_sealed(sealed, AAD) is None
    assert symmetric_key.open_sealed(sealed, AAD + b"x") is None
    assert symmetric_key.open_sealed(replace(sealed, ciphertext=sealed.ciphertext[:-1] + flipped), AAD) is None
    emulator.reset()
    for changed in (
        replace(sealed, ciphertext=b""),
        replace(sealed, ciphertext=bytes(6145)),
        replace(sealed, nonce=bytes(12)),
        replace(sealed, algorithm="A256GCM"),
    ):
        assert symmetric_key.open_sealed(changed, AAD) is None
        assert symmetric_key.reencrypt(changed, AAD, symmetric_key, AAD) is None
    assert not emulator.calls


def test_a_record_moves_to_another_key_inside_kms(emulator: KmsEmulator, symmetric_key: KmsSymmetricKey) -> None:
    """ReEncrypt changes key and AAD without a Decrypt of ours; what does not open is None."""
    sealed = symmetric_key.seal(b"hash", AAD)
    with open_symmetric(emulator, emulator.create_symmetric()) as new:
        emulator.reset()
        moved = symmetric_key.reencrypt(sealed, AAD, new, b"new")
        assert [call.key_ids for call in emulator.calls] == [(symmetric_key._arn, new._arn)]
        assert moved is not None
        assert new.open_sealed(moved, b"new") == b"hash"
        assert symmetric_key.open_sealed(moved, b"new") is None
        assert symmetric_key.reencrypt(sealed, b"other", new, b"new") is None
        assert new.reencrypt(sealed, AAD, symmetric_key, AAD) is None


def test_reencrypting_to_what_kms_cannot_reach_is_refused(
    emulator: KmsEmulator, symmetric_key: KmsSymmetricKey, rsa_key: KmsRsaKey, software_key: Unwrapper
) -> None:
    """A key of another kind, device or Region, before any call."""
    sealed = Sealed("awskms", b"", b"x")
    targets: list[Key] = [rsa_key, software_key]
    for target in targets:
        with pytest.raises(UnsupportedAlgorithm, match="symmetric keys only"):
            symmetric_key.reencrypt(sealed, AAD, target, AAD)
    elsewhere = emulator.client(region_name="us-east-1").create_key()["KeyMetadata"]["Arn"]
    with open_key(uri_of(emulator, elsewhere).replace(f";region={REGION}", "")) as far:
        emulator.reset()
        with pytest.raises(UnsupportedAlgorithm, match="one Region"):
            symmetric_key.reencrypt(sealed, AAD, far, AAD)
        assert not emulator.calls


# -- both ---------------------------------------------------------------------------------------------------------


def _uses(rsa_key: KmsRsaKey, symmetric_key: KmsSymmetricKey) -> list[Callable[[Deadline | None], object]]:
    sealed = symmetric_key.seal(b"x", AAD)
    return [
        lambda deadline: rsa_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM, deadline),
        lambda deadline: rsa_key.unwrap(b"", RSA_OAEP_256, A256GCM, deadline),
        lambda deadline: symmetric_key.seal(b"x", AAD, deadline),
        lambda deadline: symmetric_key.open_sealed(sealed, AAD, deadline),
        lambda deadline: symmetric_key.open_sealed(replace(sealed, ciphertext=b""), AAD, deadline),
        lambda deadline: symmetric_key.reencrypt(sealed, AAD, symmetric_key, AAD, deadline),
    ]


def test_a_passed_deadline_stops_before_kms(
    emulator: KmsEmulator, rsa_key: KmsRsaKey, symmetric_key: KmsSymmetricKey
) -> None:
    """No use of a key starts after its deadline."""
    uses = _uses(rsa_key, symmetric_key)
    emulator.reset()
    for use in uses:
        with pytest.raises(BackendUnavailable) as caught:
            use(Deadline.after(-1))
        assert caught.value.retryable
    assert not emulator.calls


def test_a_closed_key_refuses(emulator: KmsEmulator, rsa_key: KmsRsaKey, symmetric_key: KmsSymmetricKey) -> None:
    """After close(), which may come twice, any use is a ConfigError."""
    uses = _uses(rsa_key, symmetric_key)
    for key in (rsa_key, symmetric_key):
        key.close()
        key.close()
    emulator.reset()
    for use in (*uses, rsa_key.probe, rsa_key.has_moved, symmetric_key.has_moved):
        with pytest.raises(ConfigError, match="closed"):
            use(None)
    assert not emulator.calls


def test_the_key_describes_itself(emulator: KmsEmulator, symmetric: str) -> None:
    """Public facts only: no account, no ARN; an endpoint that is not AWS is called an emulator."""
    with open_symmetric(emulator, symmetric) as key:
        facts = key.describe()
        assert key.is_emulator is (emulator.endpoint_url is not None)
    assert facts == {
        "service": "AWS KMS",
        "KMS key id": symmetric.rpartition("/")[2],
        "region": REGION,
        "key spec": "SYMMETRIC_DEFAULT",
        "origin": "AWS_KMS",
        "key manager": "CUSTOMER",
        "multi-region": "no",
        "endpoint": "emulator (an endpoint that is not AWS)" if emulator.endpoint_url else "AWS",
    }


def test_a_multi_region_key_keeps_its_id(emulator: KmsEmulator) -> None:
    """mrk-… is the key id in every Region."""
    arn = emulator.client().create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    with open_symmetric(emulator, arn) as key:
        assert key.key_id.startswith("mrk-")
        assert key.describe()["multi-region"] == "yes"
        assert key.open_sealed(key.seal(b"x", AAD), AAD) == b"x"


@pytest.mark.parametrize(
    ("parameters"),
    [{"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}],
    ids=lambda item: item["KeySpec"],
)
def test_a_key_for_another_use_is_refused(emulator: KmsEmulator, parameters: dict[str, str]) -> None:
    """Signing keys do not unwrap."""
    arn = emulator.client().create_key(**parameters)["KeyMetadata"]["Arn"]
    with pytest.raises(UnsupportedAlgorithm, match="ENCRYPT_DECRYPT"):
        open_key(uri_of(emulator, arn))


def test_a_key_of_an_aws_service_is_refused(emulator: KmsEmulator) -> None:
    """Its policy lets that service alone use it: an open key would declare what never works."""
    arn = emulator.create_symmetric()
    emulator.account.backend(REGION).keys[arn.rpartition("/")[2]].key_manager = "AWS"
    with pytest.raises(UnsupportedAlgorithm, match="service of AWS"):
        open_key(uri_of(emulator, arn))


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_may_not_be_used_does_not_open(emulator: KmsEmulator, state: str) -> None:
    """Its state is named, and trying again does not help."""
    arn, client = emulator.create_symmetric(), emulator.client()
    if state == "Disabled":
        client.disable_key(KeyId=arn)
    else:
        client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with pytest.raises(BackendUnavailable, match=state) as caught:
        open_key(uri_of(emulator, arn))
    assert not caught.value.retryable


@pytest.mark.parametrize("key_id", ["alias/none", "12345678-1234-1234-1234-123456789012"])
def test_a_key_that_is_not_there(emulator: KmsEmulator, key_id: str) -> None:
    """KeyNotFound, as on every device."""
    with pytest.raises(KeyNotFound):
        open_key(uri_of(emulator, key_id))


def test_reprs_show_the_uri_and_no_more(rsa_key: KmsRsaKey, symmetric_key: KmsSymmetricKey) -> None:
    """Of the keys and of what they make."""
    for key in (rsa_key, symmetric_key):
        assert isinstance(key, KmsKey)
        assert repr(key) == f"<{type(key).__name__} {KeyUri.parse(str(key.uri))!r}>"
