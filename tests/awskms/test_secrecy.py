# SPDX-License-Identifier: Apache-2.0
"""No secret in a log, a repr or an exception, also where an application has switched on every log there is."""

import base64
import logging
import secrets
from collections.abc import Iterator

import boto3
import pytest

from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import open_key
from sealpass.core.algorithms import A256GCM, RSA_OAEP_256
from sealpass.core.errors import Error
from sealpass.core.oaep import oaep_encrypt
from tests.support.kms_emulator import KmsEmulator

MARK = b"$argon2id$v=19$m=65536,t=3,p=4$c2VhbHBhc3M$bm90aGluZyBvZiB0aGlz"


def query(emulator: KmsEmulator) -> str:
    """The query of a URI for the emulator, with one attempt a call."""
    return "?max-attempts=1" + (f"&endpoint-url={emulator.endpoint_url}" if emulator.endpoint_url else "")


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that any logger says at any level."""
    with caplog.at_level(logging.NOTSET):
        for name in ("botocore", "boto3", "urllib3", "sealpass"):
            caplog.set_level(logging.DEBUG, logger=name)
        yield caplog


def forms(secret: bytes) -> list[str]:
    """The ways in which a secret may be written in a log."""
    return [
        repr(secret)[2:-1],
        secret.hex(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode(),
        str(list(secret))[1:-1],
    ]


def told(logs: pytest.LogCaptureFixture) -> str:
    """All that was logged, with the arguments of each record as text and as repr."""
    return "\n".join(f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in logs.records)


def test_a_content_key_reaches_no_log(emulator: KmsEmulator, logs: pytest.LogCaptureFixture) -> None:
    """Decrypt's answer holds the CEK, and botocore logs answers at DEBUG: not this one."""
    with open_key(f"awskms:key-id={emulator.create_rsa()}{query(emulator)}", failure_floor=0) as key:
        assert isinstance(key, KmsRsaKey)
        cek = secrets.token_bytes(32)
        logs.clear()
        handle = key.unwrap(oaep_encrypt(key.public_jwk.public_key(), cek, RSA_OAEP_256), RSA_OAEP_256, A256GCM)
        assert handle._cek == cek
    text = told(logs)
    assert "Response body" in text, "botocore's log is on"
    assert not any(form in text for form in forms(cek))
    assert "***" in repr(handle)


def test_a_sealed_text_reaches_no_log(emulator: KmsEmulator, logs: pytest.LogCaptureFixture) -> None:
    """Neither on its way to Encrypt, nor back from Decrypt, nor through ReEncrypt."""
    with open_key(f"awskms:key-id={emulator.create_symmetric()}{query(emulator)}") as key:
        assert isinstance(key, KmsSymmetricKey)
        logs.clear()
        sealed = key.seal(MARK, b"aad")
        moved = key.reencrypt(sealed, b"aad", key, b"new")
        assert moved is not None
        assert key.open_sealed(moved, b"new") == MARK
    text = told(logs)
    assert text.count("Making request for") == 3, "botocore's log is on"
    assert not any(form in text for form in forms(MARK))


def test_a_failed_call_keeps_it_as_well(emulator: KmsEmulator, logs: pytest.LogCaptureFixture) -> None:
    """Retries, refusals and broken connections: nothing in logs, texts, hints, or behind the exception."""
    with open_key(f"awskms:key-id={emulator.create_symmetric()}{query(emulator)}") as key:
        assert isinstance(key, KmsSymmetricKey)
        for code in ("ThrottlingException", "KMSInternalException", "ValidationException", "AccessDeniedException"):
            emulator.fail("Encrypt", code, 1)
            with pytest.raises(Error) as caught:
                key.seal(MARK, b"aad")
            error = caught.value
            shown = (
                f"{error} {error.hint} {error!r} {error.args} {error.__dict__} {error.__context__} {error.__cause__}"
            )
            assert not any(form in shown for form in forms(MARK))
    assert not any(form in told(logs) for form in forms(MARK))


def test_a_bare_client_would_have_told(emulator: KmsEmulator, logs: pytest.LogCaptureFixture) -> None:
    """What the two tests above look for is there, where the client is not ours."""
    client = boto3.Session().client("kms", endpoint_url=emulator.endpoint_url)
    sealed = client.encrypt(KeyId=emulator.create_symmetric(), Plaintext=MARK)["CiphertextBlob"]
    assert any(form in told(logs) for form in forms(MARK))
    logs.clear()
    client.decrypt(CiphertextBlob=sealed)
    assert any(form in told(logs) for form in forms(MARK))
    client.close()
