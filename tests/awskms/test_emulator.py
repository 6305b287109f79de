# SPDX-License-Identifier: Apache-2.0
"""The KMS emulator answers plain boto3 as AWS would, in both ways of running it."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.support.kms_emulator import Call, KmsEmulator

OAEP = {"RSAES_OAEP_SHA_1": hashes.SHA1(), "RSAES_OAEP_SHA_256": hashes.SHA256()}  # noqa: S303 (KMS offers it)
SHA_256 = "RSAES_OAEP_SHA_256"
ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1})
PHC = b"$argon2id$v=19$m=65536,t=3,p=4$" + b"s" * 22 + b"$" + b"h" * 43


@pytest.fixture(scope="module", params=["kms_in_process", "kms_over_http"])
def running(request: pytest.FixtureRequest) -> KmsEmulator:
    """An emulator in each way of running it."""
    started: KmsEmulator = request.getfixturevalue(request.param)
    return started


@pytest.fixture(scope="module")
def rsa_arn(running: KmsEmulator) -> str:
    """An RSA-2048 key for encryption."""
    return running.create_rsa()


@pytest.fixture(scope="module")
def other_rsa_arn(running: KmsEmulator) -> str:
    """Another RSA-2048 key for encryption."""
    return running.create_rsa()


@pytest.fixture
def emulator(running: KmsEmulator) -> Iterator[KmsEmulator]:
    """The emulator without faults and calls of other tests."""
    running.reset()
    yield running
    running.reset()


@pytest.fixture
def client(emulator: KmsEmulator) -> Any:
    """A boto3 client that never retries."""
    return emulator.client(config=ONE_ATTEMPT)


@pytest.fixture
def alias() -> str:
    """The name of an alias that no test has yet."""
    return f"alias/{uuid.uuid4()}"


def locally_encrypted(client: Any, key_id: str, algorithm: str = SHA_256, plaintext: bytes = b"a CEK") -> bytes:
    """OAEP under the public key that KMS hands out."""
    public_key = load_der_public_key(client.get_public_key(KeyId=key_id)["PublicKey"])
    assert isinstance(public_key, rsa.RSAPublicKey)
    return public_key.encrypt(plaintext, padding.OAEP(padding.MGF1(OAEP[algorithm]), OAEP[algorithm], None))


def refusal(call: Callable[..., object], **parameters: object) -> str:
    """The error code that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


# RSA


@pytest.mark.parametrize("bits", [2048, 3072])
def test_decrypt_opens_what_the_public_key_encrypted(emulator: KmsEmulator, client: Any, bits: int) -> None:
    """RSA-OAEP made outside KMS, with either hash, opens under the private half of GetPublicKey's key."""
    arn = emulator.create_rsa(bits)
    for algorithm in OAEP:
        ciphertext = locally_encrypted(client, arn, algorithm)
        assert len(ciphertext) == bits // 8

        answer = client.decrypt(KeyId=arn, CiphertextBlob=ciphertext, EncryptionAlgorithm=algorithm)

        assert answer["Plaintext"] == b"a CEK"
        assert (answer["KeyId"], answer["EncryptionAlgorithm"]) == (arn, algorithm)


@pytest.mark.parametrize(("algorithm", "longest"), [("RSAES_OAEP_SHA_1", 214), ("RSAES_OAEP_SHA_256", 190)])
def test_encrypt_on_an_rsa_key(client: Any, rsa_arn: str, algorithm: str, longest: int) -> None:
    """Encrypt gives a bare RSA ciphertext of the modulus' length, up to the longest plaintext of OAEP."""
    answer = client.encrypt(KeyId=rsa_arn, Plaintext=bytes(longest), EncryptionAlgorithm=algorithm)
    assert (answer["KeyId"], len(answer["CiphertextBlob"])) == (rsa_arn, 256)

    ciphertext = answer["CiphertextBlob"]
    opened = client.decrypt(KeyId=rsa_arn, CiphertextBlob=ciphertext, EncryptionAlgorithm=algorithm)
    assert opened["Plaintext"] == bytes(longest)

    too_long = bytes(longest + 1)
    assert refusal(client.encrypt, KeyId=rsa_arn, Plaintext=too_long, EncryptionAlgorithm=algorithm) == (
        "ValidationException"
    )


def test_rsa_ciphertexts_that_do_not_open(client: Any, rsa_arn: str, other_rsa_arn: str) -> None:
    """A damaged, short or foreign ciphertext, and one of the other OAEP hash, are InvalidCiphertextException."""
    ciphertext = locally_encrypted(client, rsa_arn)
    bad = {
        "damaged": (rsa_arn, bytes([*ciphertext[:-1], ciphertext[-1] ^ 1]), SHA_256),
        "short": (rsa_arn, ciphertext[:-1], SHA_256),
        "long": (rsa_arn, ciphertext + b"\0", SHA_256),
        "not below the modulus": (rsa_arn, b"\xff" * 256, SHA_256),
        "other hash": (rsa_arn, ciphertext, "RSAES_OAEP_SHA_1"),
        "other key": (other_rsa_arn, ciphertext, SHA_256),
    }
    for arn, blob, algorithm in bad.values():
        with pytest.raises(client.exceptions.InvalidCiphertextException) as caught:
            client.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_rsa_needs_key_and_algorithm(client: Any, rsa_arn: str) -> None:
    """An RSA ciphertext names neither its key nor its algorithm; a context cannot be bound to it."""
    ciphertext = locally_encrypted(client, rsa_arn)

    assert refusal(client.decrypt, CiphertextBlob=ciphertext, EncryptionAlgorithm=SHA_256) == "ValidationException"
    # Without an algorithm it is taken for a symmetric ciphertext.
    assert refusal(client.decrypt, KeyId=rsa_arn, CiphertextBlob=ciphertext) == "InvalidCiphertextException"
    assert refusal(client.encrypt, KeyId=rsa_arn, Plaintext=b"x") == "InvalidKeyUsageException"
    with_context = {"KeyId": rsa_arn, "EncryptionAlgorithm": SHA_256, "EncryptionContext": {"a": "b"}}
    assert refusal(client.encrypt, Plaintext=b"x", **with_context) == "ValidationException"
    assert refusal(client.decrypt, CiphertextBlob=ciphertext, **with_context) == "ValidationException"


def test_algorithms_that_the_key_does_not_offer(client: Any, emulator: KmsEmulator) -> None:
    """OAEP on a symmetric key and decryption with a signing key are InvalidKeyUsageException; others do not exist."""
    symmetric = emulator.create_symmetric()
    signing = client.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with_oaep = {"CiphertextBlob": bytes(256), "EncryptionAlgorithm": SHA_256}

    assert refusal(client.decrypt, KeyId=symmetric, **with_oaep) == "InvalidKeyUsageException"
    assert refusal(client.decrypt, KeyId=signing, **with_oaep) == "InvalidKeyUsageException"
    assert "EncryptionAlgorithms" not in client.get_public_key(KeyId=signing)
    unknown = with_oaep | {"EncryptionAlgorithm": "RSAES_OAEP_SHA_512"}
    assert refusal(client.decrypt, KeyId=symmetric, **unknown) == "ValidationException"


def test_get_public_key(client: Any, emulator: KmsEmulator, rsa_arn: str) -> None:
    """GetPublicKey tells the ARN and the algorithms, and is unsupported on a symmetric key."""
    answer = client.get_public_key(KeyId=rsa_arn.rpartition("/")[2])

    assert (answer["KeyId"], answer["KeySpec"], answer["KeyUsage"]) == (rsa_arn, "RSA_2048", "ENCRYPT_DECRYPT")
    assert answer["EncryptionAlgorithms"] == list(OAEP)
    assert "SigningAlgorithms" not in answer
    assert refusal(client.get_public_key, KeyId=emulator.create_symmetric()) == "UnsupportedOperationException"


# Symmetric keys


def test_symmetric_ciphertexts_are_of_real_size(client: Any, emulator: KmsEmulator) -> None:
    """A PHC string of Argon2 gives as many bytes as on AWS, and opens with and without KeyId."""
    arn = emulator.create_symmetric()
    answer = client.encrypt(KeyId=arn, Plaintext=PHC)
    blob = answer["CiphertextBlob"]

    assert (len(PHC), len(blob)) == (97, 249)
    assert (answer["KeyId"], answer["EncryptionAlgorithm"]) == (arn, "SYMMETRIC_DEFAULT")
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == PHC
    opened = client.decrypt(CiphertextBlob=blob, KeyId=arn, EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    assert (opened["Plaintext"], opened["KeyId"]) == (PHC, arn)


def test_every_bit_of_a_symmetric_ciphertext_counts(client: Any, emulator: KmsEmulator) -> None:
    """A ciphertext changed or cut anywhere is InvalidCiphertextException."""
    blob = client.encrypt(KeyId=emulator.create_symmetric(), Plaintext=b"secret")["CiphertextBlob"]
    flipped = [bytes([*blob[:at], blob[at] ^ 0x80, *blob[at + 1 :]]) for at in range(0, len(blob), 9)]
    for bad in [*flipped, blob[:1], blob[:40], blob[:55], blob[:150], blob[:-1], blob + b"\0"]:
        assert refusal(client.decrypt, CiphertextBlob=bad) == "InvalidCiphertextException"


@pytest.mark.parametrize(
    "other", [{"a2u": "1"}, {"a": "2"}, {"A": "2", "u": "1"}, {"a": "2", "u": "1", "b": ""}, {"a": "1", "u": "2"}, {}]
)
def test_contexts_match_exactly(client: Any, emulator: KmsEmulator, other: dict[str, str]) -> None:
    """Only an equal context opens, in whatever order; joined names and values do not make two contexts equal."""
    arn = emulator.create_symmetric()
    blob = client.encrypt(KeyId=arn, Plaintext=b"secret", EncryptionContext={"a": "2", "u": "1"})["CiphertextBlob"]

    assert client.decrypt(CiphertextBlob=blob, EncryptionContext={"u": "1", "a": "2"})["Plaintext"] == b"secret"
    assert refusal(client.decrypt, CiphertextBlob=blob, EncryptionContext=other) == "InvalidCiphertextException"


def test_named_keys_must_be_the_right_ones(client: Any, emulator: KmsEmulator, rsa_arn: str) -> None:
    """Decrypt and ReEncrypt under another key than the named one are IncorrectKeyException."""
    first, second = emulator.create_symmetric(), emulator.create_symmetric()
    blob = client.encrypt(KeyId=first, Plaintext=b"secret")["CiphertextBlob"]

    with pytest.raises(client.exceptions.IncorrectKeyException):
        client.decrypt(KeyId=second, CiphertextBlob=blob)
    assert refusal(client.decrypt, KeyId=rsa_arn, CiphertextBlob=blob) == "IncorrectKeyException"
    moved = {"CiphertextBlob": blob, "DestinationKeyId": second}
    assert refusal(client.re_encrypt, SourceKeyId=second, **moved) == "IncorrectKeyException"
    answer = client.re_encrypt(SourceKeyId=first, DestinationEncryptionContext={"for": "b"}, **moved)
    assert (answer["SourceKeyId"], answer["KeyId"]) == (first, second)
    opened = client.decrypt(CiphertextBlob=answer["CiphertextBlob"], EncryptionContext={"for": "b"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", second)


def test_re_encrypt_from_rsa(client: Any, emulator: KmsEmulator, rsa_arn: str) -> None:
    """ReEncrypt takes an RSA ciphertext to a symmetric key; without SourceKeyId it cannot."""
    arn = emulator.create_symmetric()
    moved = {
        "CiphertextBlob": locally_encrypted(client, rsa_arn),
        "SourceEncryptionAlgorithm": SHA_256,
        "DestinationKeyId": arn,
    }

    assert refusal(client.re_encrypt, **moved) == "ValidationException"
    blob = client.re_encrypt(SourceKeyId=rsa_arn, **moved)["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"a CEK"


def test_length_of_plaintexts(client: Any, emulator: KmsEmulator) -> None:
    """Encrypt takes 4096 bytes and no more."""
    arn = emulator.create_symmetric()
    blob = client.encrypt(KeyId=arn, Plaintext=bytes(4096))["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == bytes(4096)
    assert refusal(client.encrypt, KeyId=arn, Plaintext=bytes(4097)) == "ValidationException"


def test_multi_region_keys(client: Any) -> None:
    """Keys with an id of the form mrk-… decrypt, by id and by ARN."""
    metadata = client.create_key(MultiRegion=True)["KeyMetadata"]
    key_id = metadata["KeyId"]
    assert key_id.startswith("mrk-")
    assert len(key_id) == 36

    blob = client.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=blob, KeyId=metadata["Arn"])["Plaintext"] == b"secret"
    client.disable_key(KeyId=key_id)
    assert refusal(client.decrypt, CiphertextBlob=blob) == "DisabledException"


def test_rotation_on_demand(client: Any, emulator: KmsEmulator, rsa_arn: str, alias: str) -> None:
    """A rotation keeps old ciphertexts open; RSA keys, aliases and the 26th rotation are refused."""
    arn = emulator.create_symmetric()
    client.create_alias(AliasName=alias, TargetKeyId=arn)
    before = client.encrypt(KeyId=arn, Plaintext=b"before")["CiphertextBlob"]

    for _ in range(25):
        client.rotate_key_on_demand(KeyId=arn)

    after = client.encrypt(KeyId=arn, Plaintext=b"after")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=before)["Plaintext"] == b"before"
    assert client.decrypt(CiphertextBlob=after)["Plaintext"] == b"after"
    assert refusal(client.rotate_key_on_demand, KeyId=arn) == "LimitExceededException"
    assert refusal(client.rotate_key_on_demand, KeyId=rsa_arn) == "UnsupportedOperationException"
    assert refusal(client.rotate_key_on_demand, KeyId=alias) == "NotFoundException"


# Key states


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_key_states_count(client: Any, emulator: KmsEmulator, state: str) -> None:
    """A key that is disabled or waits for its deletion does nothing until it is enabled again."""
    asymmetric, symmetric, good = emulator.create_rsa(), emulator.create_symmetric(), emulator.create_symmetric()
    rsa_ciphertext = locally_encrypted(client, asymmetric)
    blob = client.encrypt(KeyId=symmetric, Plaintext=b"secret")["CiphertextBlob"]
    good_blob = client.encrypt(KeyId=good, Plaintext=b"secret")["CiphertextBlob"]
    for arn in (asymmetric, symmetric):
        if state == "Disabled":
            client.disable_key(KeyId=arn)
        else:
            client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        assert client.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == state
    attempts: list[tuple[Callable[..., object], dict[str, object]]] = [
        (client.encrypt, {"KeyId": symmetric, "Plaintext": b"x"}),
        (client.decrypt, {"CiphertextBlob": blob}),
        (client.decrypt, {"KeyId": symmetric, "CiphertextBlob": blob}),
        (client.encrypt, {"KeyId": asymmetric, "Plaintext": b"x", "EncryptionAlgorithm": SHA_256}),
        (client.decrypt, {"KeyId": asymmetric, "CiphertextBlob": rsa_ciphertext, "EncryptionAlgorithm": SHA_256}),
        (client.re_encrypt, {"CiphertextBlob": blob, "DestinationKeyId": good}),
        (client.re_encrypt, {"CiphertextBlob": good_blob, "DestinationKeyId": symmetric}),
        (client.get_public_key, {"KeyId": asymmetric}),
    ]

    code = "DisabledException" if state == "Disabled" else "KMSInvalidStateException"
    assert [refusal(call, **parameters) for call, parameters in attempts] == [code] * len(attempts)

    for arn in (asymmetric, symmetric):
        if state == "PendingDeletion":
            assert refusal(client.enable_key, KeyId=arn) == "KMSInvalidStateException"
            client.cancel_key_deletion(KeyId=arn)
        client.enable_key(KeyId=arn)
    for call, parameters in attempts:
        call(**parameters)


def test_deletion_waits_seven_to_thirty_days(client: Any, emulator: KmsEmulator) -> None:
    """ScheduleKeyDeletion refuses other times, and answers with ARN and date."""
    arn = emulator.create_symmetric()
    for days in (6, 31):
        code = refusal(client.schedule_key_deletion, KeyId=arn, PendingWindowInDays=days)
        assert code == "ValidationException"

    answer = client.schedule_key_deletion(KeyId=arn)

    assert (answer["KeyId"], answer["KeyState"]) == (arn, "PendingDeletion")
    assert answer["DeletionDate"] == client.describe_key(KeyId=arn)["KeyMetadata"]["DeletionDate"]


# Names of keys


def test_four_names_of_a_key(client: Any, emulator: KmsEmulator, alias: str) -> None:
    """Key id, key ARN, alias name and alias ARN all name the key; the answer tells the key ARN."""
    arn = emulator.create_symmetric()
    client.create_alias(AliasName=alias, TargetKeyId=arn)
    prefix, _, key_id = arn.rpartition(":key/")
    for name in (key_id, arn, alias, f"{prefix}:{alias}"):
        assert client.encrypt(KeyId=name, Plaintext=b"x")["KeyId"] == arn
        assert client.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key_id


def test_an_alias_names_the_key_of_now(client: Any, rsa_arn: str, other_rsa_arn: str, alias: str) -> None:
    """An RSA ciphertext of before an alias moved does not open through the alias, but does by its key's name."""
    client.create_alias(AliasName=alias, TargetKeyId=rsa_arn)
    ciphertext = locally_encrypted(client, alias)
    opening = {"CiphertextBlob": ciphertext, "EncryptionAlgorithm": SHA_256}
    assert client.decrypt(KeyId=alias, **opening)["KeyId"] == rsa_arn

    client.update_alias(AliasName=alias, TargetKeyId=other_rsa_arn)

    assert refusal(client.decrypt, KeyId=alias, **opening) == "InvalidCiphertextException"
    assert client.decrypt(KeyId=rsa_arn, **opening)["Plaintext"] == b"a CEK"
    assert client.get_public_key(KeyId=alias)["KeyId"] == other_rsa_arn
    aliases = client.list_aliases(KeyId=other_rsa_arn)["Aliases"]
    assert alias in [found["AliasName"] for found in aliases]
    client.delete_alias(AliasName=alias)
    assert refusal(client.decrypt, KeyId=alias, **opening) == "NotFoundException"


def test_aliases_that_are_refused(client: Any, emulator: KmsEmulator, rsa_arn: str, alias: str) -> None:
    """An alias keeps its type and usage of key; AWS keeps alias/aws/; a key must exist and stay."""
    symmetric, leaving = emulator.create_symmetric(), emulator.create_symmetric()
    signing = client.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    client.create_alias(AliasName=alias, TargetKeyId=rsa_arn)
    client.schedule_key_deletion(KeyId=leaving)

    for other in (symmetric, signing):
        assert refusal(client.update_alias, AliasName=alias, TargetKeyId=other) == "ValidationException"
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == rsa_arn
    assert refusal(client.create_alias, AliasName=alias, TargetKeyId=rsa_arn) == "AlreadyExistsException"
    code = refusal(client.create_alias, AliasName="alias/aws/mine", TargetKeyId=symmetric)
    assert code == "NotAuthorizedException"
    unknown = {"AliasName": "alias/unknown", "TargetKeyId": symmetric}
    assert refusal(client.update_alias, **unknown) == "NotFoundException"
    assert refusal(client.create_alias, AliasName="alias/new", TargetKeyId=leaving) == "KMSInvalidStateException"
    code = refusal(client.create_alias, AliasName="alias/new", TargetKeyId=str(uuid.uuid4()))
    assert code == "NotFoundException"


def test_keys_that_are_not_there(client: Any, emulator: KmsEmulator) -> None:
    """Unknown names are NotFoundException, another Region's too; another account's ARN is AccessDeniedException."""
    arn = emulator.create_symmetric()
    account = arn.split(":")[4]
    codes = {
        str(uuid.uuid4()): "NotFoundException",
        "not-a-key-id": "NotFoundException",
        "alias/unknown": "NotFoundException",
        arn.replace("eu-central-1", "eu-west-1"): "NotFoundException",
        arn.replace(account, "999999999999"): "AccessDeniedException",
    }
    assert {name: refusal(client.encrypt, KeyId=name, Plaintext=b"x") for name in codes} == codes
    elsewhere = emulator.client(region_name="eu-west-1")
    key_id = arn.rpartition("/")[2]
    assert refusal(elsewhere.encrypt, KeyId=key_id, Plaintext=b"x") == "NotFoundException"


def test_new_keys_need_a_usage_that_fits(client: Any) -> None:
    """CreateKey wants KeyUsage for all but symmetric keys, and one that the spec allows."""
    assert refusal(client.create_key, KeySpec="RSA_2048") == "ValidationException"
    assert refusal(client.create_key, KeySpec="ECC_NIST_P256", KeyUsage="ENCRYPT_DECRYPT") == "ValidationException"
    assert refusal(client.create_key, KeySpec="ROT_13", KeyUsage="ENCRYPT_DECRYPT") == "ValidationException"
    assert client.create_key()["KeyMetadata"]["KeyUsage"] == "ENCRYPT_DECRYPT"


# What tests ask of the emulator itself


def test_calls_are_counted_with_the_names_that_were_sent(
    client: Any, emulator: KmsEmulator, rsa_arn: str, alias: str
) -> None:
    """A test can tell whether a call named the key or its alias; refused calls count, too."""
    client.create_alias(AliasName=alias, TargetKeyId=rsa_arn)
    emulator.reset()

    client.get_public_key(KeyId=alias)
    client.get_public_key(KeyId=rsa_arn)
    client.get_public_key(KeyId=rsa_arn)
    refusal(client.decrypt, CiphertextBlob=b"x")
    refusal(client.re_encrypt, CiphertextBlob=b"x", SourceKeyId=alias, DestinationKeyId=rsa_arn)

    assert emulator.calls == {
        Call("GetPublicKey", (alias,)): 1,
        Call("GetPublicKey", (rsa_arn,)): 2,
        Call("Decrypt", ()): 1,
        Call("ReEncrypt", (alias, rsa_arn)): 1,
    }
    assert emulator.count("GetPublicKey") == 3


def test_throttling(client: Any, emulator: KmsEmulator, rsa_arn: str) -> None:
    """So many requests are throttled as asked for, of that operation only."""
    emulator.throttle("GetPublicKey", 2)
    emulator.fail("GetPublicKey", "KMSInternalException", 1)

    client.describe_key(KeyId=rsa_arn)
    codes = [refusal(client.get_public_key, KeyId=rsa_arn) for _ in range(3)]

    assert codes == ["ThrottlingException", "ThrottlingException", "KMSInternalException"]
    assert client.get_public_key(KeyId=rsa_arn)["KeyId"] == rsa_arn
    emulator.throttle("GetPublicKey", 1)
    emulator.reset()
    assert client.get_public_key(KeyId=rsa_arn)["KeyId"] == rsa_arn


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("KMSInternalException", 500), ("KeyUnavailableException", 500)]
)
def test_status_of_failures(client: Any, emulator: KmsEmulator, rsa_arn: str, code: str, status: int) -> None:
    """A planned failure has the HTTP status that AWS gives it."""
    emulator.fail("DescribeKey", code, 1)
    with pytest.raises(ClientError) as caught:
        client.describe_key(KeyId=rsa_arn)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_retries_are_those_of_boto3(emulator: KmsEmulator, rsa_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled request is sent again by boto3, and each attempt counts."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    emulator.throttle("DescribeKey", 1)
    client = emulator.client(config=Config(retries={"mode": "standard", "total_max_attempts": 2}))
    assert client.describe_key(KeyId=rsa_arn)["ResponseMetadata"]["RetryAttempts"] == 1
    assert emulator.count("DescribeKey") == 2


def test_latency(client: Any, emulator: KmsEmulator, rsa_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delayed operation waits for the time asked for before it is answered; others do not."""
    waited: list[float | None] = []
    monkeypatch.setattr(emulator._closing, "wait", waited.append)
    emulator.latency("DescribeKey", 0.25)

    client.get_public_key(KeyId=rsa_arn)
    assert waited == []
    client.describe_key(KeyId=rsa_arn)
    assert waited == [0.25]


@pytest.mark.parametrize(
    ("given", "code"),
    [("AKIAOFSOMEBODYELSE00", "UnrecognizedClientException"), ("", "MissingAuthenticationTokenException")],
)
def test_only_the_made_up_access_key_counts(emulator: KmsEmulator, rsa_arn: str, given: str, code: str) -> None:
    """Other credentials, or none, are refused as on AWS."""
    from botocore import UNSIGNED

    config = ONE_ATTEMPT if given else ONE_ATTEMPT.merge(Config(signature_version=UNSIGNED))
    client = emulator.client(aws_access_key_id=given or None, aws_secret_access_key=given or None, config=config)
    assert refusal(client.describe_key, KeyId=rsa_arn) == code


def test_threads(client: Any, emulator: KmsEmulator, alias: str) -> None:
    """While an alias moves to and fro and keys are made, calls through it are answered and none gets lost."""
    first, second = emulator.create_symmetric(), emulator.create_symmetric()
    client.create_alias(AliasName=alias, TargetKeyId=first)
    emulator.reset()

    def work(number: int) -> str:
        if number % 4 == 0:
            client.update_alias(AliasName=alias, TargetKeyId=(first, second)[number // 4 % 2])
            emulator.create_symmetric()
        blob = client.encrypt(KeyId=alias, Plaintext=b"secret")["CiphertextBlob"]
        answer = client.decrypt(CiphertextBlob=blob)
        assert answer["Plaintext"] == b"secret"
        return str(answer["KeyId"])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(40))) == {first, second}
    assert (emulator.count("Encrypt"), emulator.count("UpdateAlias")) == (40, 10)


def test_emulators_do_not_share_keys(emulator: KmsEmulator, rsa_arn: str) -> None:
    """An emulator started meanwhile has its own keys, account, calls and faults; then the first one is back."""
    emulator.throttle("Decrypt", 1)
    start = KmsEmulator.over_http if emulator.endpoint_url else KmsEmulator.in_process
    with start() as other:
        other_client = other.client(config=ONE_ATTEMPT)
        key_id = rsa_arn.rpartition("/")[2]
        assert refusal(other_client.describe_key, KeyId=key_id) == "NotFoundException"
        assert refusal(other_client.decrypt, CiphertextBlob=b"x") == "InvalidCiphertextException"
        assert other.count("DescribeKey") == 1
    assert emulator.count("DescribeKey") == 0
    assert emulator.client().describe_key(KeyId=rsa_arn)["KeyMetadata"]["Arn"] == rsa_arn


# The two ways of running


def test_nothing_reaches_aws(kms_over_http: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions made beside an emulator reach loopback only: no other service, and no metadata of the machine."""
    look_up = mock.Mock(return_value=[])
    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with KmsEmulator.in_process():
        session = boto3.Session()
        with pytest.raises(EndpointConnectionError):
            session.client("sts", config=ONE_ATTEMPT).get_caller_identity()
    # In-process emulators of other tests may still run; beyond them the sessions made here stay fenced in.
    with pytest.raises(EndpointConnectionError):
        session.client("s3", config=ONE_ATTEMPT).list_buckets()
    look_up.assert_not_called()


def test_environment_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's AWS variables are away while an emulator runs, and back after the last one ends."""
    from tests.support import kms_emulator

    # As if no emulator of this worker's were running.
    monkeypatch.setattr(kms_emulator, "_fences", 0)
    monkeypatch.setattr(kms_emulator, "_fence", None)
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEUSER")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "https://elsewhere.example")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", object())  # made before, with the user's credentials
    before = dict(os.environ), boto3.DEFAULT_SESSION

    with KmsEmulator.in_process() as emulator:
        with KmsEmulator.in_process():
            pass
        found = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        assert found.items() <= emulator.environment.items()
        assert boto3.client("kms", config=ONE_ATTEMPT).create_key()["KeyMetadata"]["AWSAccountId"] == (
            emulator.account.account_id
        )

    assert (dict(os.environ), boto3.DEFAULT_SESSION) == before


def test_environment_names_the_endpoint(kms_over_http: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with the emulator's environment talks to the emulator, without any argument."""
    arn = kms_over_http.create_symmetric()
    for name, value in kms_over_http.environment.items():
        monkeypatch.setenv(name, value)
    assert boto3.Session().client("kms").describe_key(KeyId=arn)["KeyMetadata"]["Arn"] == arn


def test_server_is_on_loopback_and_ends() -> None:
    """The server listens on 127.0.0.1 only; afterwards its port is closed, its threads are gone, and clients too."""
    threads = set(threading.enumerate())
    with KmsEmulator.over_http() as emulator:
        assert emulator._server is not None
        assert emulator._server.server_address[0] == "127.0.0.1"
        client = emulator.client(config=ONE_ATTEMPT)
        client.list_keys()
    assert not set(threading.enumerate()) - threads
    with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
        client.list_keys()
    with pytest.raises(EndpointConnectionError):
        client.list_keys()
    with pytest.raises(RuntimeError, match="not running"):
        emulator.client()


def test_unreachable(kms_over_http: KmsEmulator) -> None:
    """A stopped server refuses connections, kept ones included; it comes back at its address with its keys."""
    arn, endpoint_url = kms_over_http.create_symmetric(), kms_over_http.endpoint_url
    client = kms_over_http.client(config=ONE_ATTEMPT)
    client.describe_key(KeyId=arn)

    with kms_over_http.unreachable():
        with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            client.describe_key(KeyId=arn)
        with pytest.raises(EndpointConnectionError):
            client.describe_key(KeyId=arn)

    assert kms_over_http.endpoint_url == endpoint_url
    assert client.describe_key(KeyId=arn)["KeyMetadata"]["Arn"] == arn


def test_only_a_server_can_be_stopped(kms_in_process: KmsEmulator) -> None:
    """In-process there is no server to be unreachable."""
    with pytest.raises(RuntimeError, match="over HTTP"), kms_in_process.unreachable():
        pass
