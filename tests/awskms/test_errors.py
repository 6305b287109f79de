# SPDX-License-Identifier: Apache-2.0
"""What KMS, the network and boto3 can answer, and what becomes of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as boto

from sealpass.backends.awskms import client
from sealpass.backends.awskms.client import Connection, connect, leave
from sealpass.backends.awskms.refusals import THROTTLING, Asked, CiphertextRefused, translate
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.settings import Settings
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import open_key
from sealpass.core.algorithms import A256GCM, RSA_OAEP_256
from sealpass.core.deadline import Deadline
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    KeyNotFound,
    UnsupportedAlgorithm,
)
from tests.support.kms_emulator import REGION, KmsEmulator

ONCE = f";region={REGION}?max-attempts=1"


@pytest.fixture
def key(kms: KmsEmulator, symmetric_arn: str) -> Iterator[KmsSymmetricKey]:
    """A symmetric key whose calls are tried once."""
    with open_key(f"awskms:key-id={symmetric_arn}{ONCE}") as opened:
        assert isinstance(opened, KmsSymmetricKey)
        kms.reset()
        yield opened


@pytest.fixture
def rsa_key(kms: KmsEmulator, rsa_arn: str) -> Iterator[KmsRsaKey]:
    """An RSA key whose calls are tried once."""
    with open_key(f"awskms:key-id={rsa_arn}{ONCE}", failure_floor=0) as opened:
        assert isinstance(opened, KmsRsaKey)
        kms.reset()
        yield opened


def failure_of(key: KmsSymmetricKey) -> Error:
    """The error of sealing with that key, with nothing of an SDK attached to it."""
    with pytest.raises(Error) as caught:
        key.seal(b"x", b"aad")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("code", sorted(THROTTLING))
def test_throttling_says_for_how_long(kms: KmsEmulator, key: KmsSymmetricKey, code: str) -> None:
    """By the string of the code; it may be tried again."""
    kms.fail("Encrypt", code, 1)
    error = failure_of(key)
    assert isinstance(error, BackendUnavailable)
    assert error.retryable
    assert error.code == "backend-unavailable"
    assert re.search(r"for [0-9]+\.[0-9] s$", str(error))
    assert str(translate(boto.ClientError({"Error": {"Code": code}}, "Encrypt"), Asked("Encrypt"), 12.34)).endswith(
        "for 12.3 s"
    )
    assert "quota" in error.hint


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("KMSInternalException", True),
        ("DependencyTimeoutException", True),
        ("KeyUnavailableException", True),
        ("InternalFailure", True),
        ("ServiceUnavailable", True),
        ("KMSInvalidStateException", True),
        ("DisabledException", False),
        ("LimitExceededException", False),
        ("SomethingNewException", False),
    ],
)
def test_trouble_of_kms_or_key(kms: KmsEmulator, key: KmsSymmetricKey, code: str, retryable: bool) -> None:  # noqa: FBT001 - a column of the table
    """BackendUnavailable; retryable says whether time alone can mend it."""
    kms.fail("Encrypt", code, 1)
    error = failure_of(key)
    assert isinstance(error, BackendUnavailable)
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NotFoundException", KeyNotFound),
        ("AccessDeniedException", AuthenticationFailed),
        ("NotAuthorizedException", AuthenticationFailed),
        ("UnrecognizedClientException", AuthenticationFailed),
        ("InvalidSignatureException", AuthenticationFailed),
        ("ExpiredTokenException", AuthenticationFailed),
        ("IncompleteSignature", AuthenticationFailed),
        ("MissingAuthenticationTokenException", AuthenticationFailed),
        ("OptInRequired", AuthenticationFailed),
        ("InvalidKeyUsageException", UnsupportedAlgorithm),
        ("UnsupportedOperationException", UnsupportedAlgorithm),
        ("ValidationException", ConfigError),
        ("InvalidArnException", ConfigError),
        ("InvalidGrantTokenException", ConfigError),
        ("AlreadyExistsException", ConfigError),
        ("InvalidAliasNameException", ConfigError),
    ],
)
def test_what_an_operator_must_put_right(kms: KmsEmulator, key: KmsSymmetricKey, code: str, kind: type[Error]) -> None:
    """Each with a next step."""
    kms.fail("Encrypt", code, 1)
    error = failure_of(key)
    assert isinstance(error, kind)
    assert error.hint


def test_a_missing_right_is_named(kms: KmsEmulator, key: KmsSymmetricKey, rsa_key: KmsRsaKey) -> None:
    """The action that the policy must allow, as IAM writes it."""
    kms.fail("Encrypt", "AccessDeniedException", 1)
    assert "kms:Encrypt" in failure_of(key).hint
    kms.fail("Decrypt", "AccessDeniedException", 1)
    with pytest.raises(AuthenticationFailed) as caught:
        rsa_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM)
    assert "kms:Decrypt" in caught.value.hint


@pytest.mark.parametrize("code", ["InvalidCiphertextException", "IncorrectKeyException"])
def test_what_a_sender_can_cause_is_no_error(
    kms: KmsEmulator, key: KmsSymmetricKey, rsa_key: KmsRsaKey, code: str
) -> None:
    """The answer is None, or a content key that opens nothing."""
    sealed = key.seal(b"x", b"aad")
    kms.fail("Decrypt", code, 2)
    kms.fail("ReEncrypt", code, 1)
    assert key.open_sealed(sealed, b"aad") is None
    assert key.reencrypt(sealed, b"aad", key, b"aad") is None
    with rsa_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM) as content_key:
        assert content_key.decrypt(bytes(12), b"", bytes(16), b"") is None


def test_a_key_disabled_while_open_comes_back(kms: KmsEmulator) -> None:
    """Not retryable by itself; after EnableKey the open key works."""
    arn, client = kms.create_symmetric(), kms.client()
    with open_key(f"awskms:key-id={arn}{ONCE}") as key:
        assert isinstance(key, KmsSymmetricKey)
        client.disable_key(KeyId=arn)
        assert "disabled" in str(failure_of(key))
        client.enable_key(KeyId=arn)
        assert key.seal(b"x", b"aad").ciphertext
        client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        error = failure_of(key)
        assert isinstance(error, BackendUnavailable)
        assert (error.retryable, "pending deletion" in str(error)) == (False, True)


def _raise_before_sending(key: KmsSymmetricKey, error: Exception) -> None:
    def raise_it(**_: Any) -> None:
        raise error

    key._connection.client.meta.events.register_first("before-send.kms", raise_it)


URL = "https://kms.example"
CASES: list[tuple[Exception, type[Error], bool | None]] = [
    (boto.EndpointConnectionError(endpoint_url=URL, error="x"), BackendUnavailable, True),
    (boto.ConnectTimeoutError(endpoint_url=URL, error="x"), BackendUnavailable, True),
    (boto.ReadTimeoutError(endpoint_url=URL, error="x"), BackendUnavailable, True),
    (boto.ConnectionClosedError(endpoint_url=URL, error="x"), BackendUnavailable, True),
    (boto.ProxyConnectionError(proxy_url=URL, error="x"), BackendUnavailable, True),
    (boto.HTTPClientError(error="x"), BackendUnavailable, True),
    (boto.SSLError(endpoint_url=URL, error="EOF occurred"), BackendUnavailable, True),
    (boto.SSLError(endpoint_url=URL, error="[SSL: CERTIFICATE_VERIFY_FAILED]"), BackendUnavailable, False),
    (boto.NoCredentialsError(), AuthenticationFailed, None),
    (boto.PartialCredentialsError(provider="env", cred_var="x"), AuthenticationFailed, None),
    (boto.CredentialRetrievalError(provider="x", error_msg="x"), AuthenticationFailed, None),
    (boto.TokenRetrievalError(provider="x", error_msg="x"), AuthenticationFailed, None),
    (boto.UnauthorizedSSOTokenError(), AuthenticationFailed, None),
    (boto.LoginRefreshRequired(), AuthenticationFailed, None),
    (boto.ParamValidationError(report="x"), ConfigError, None),
    (boto.ConfigParseError(path="x"), ConfigError, None),
    (boto.ProfileNotFound(profile="x"), ConfigError, None),
    (boto.NoRegionError(), ConfigError, None),
    (boto.UnknownServiceError(service_name="x", known_service_names="y"), BackendUnavailable, False),
    (OSError("x"), BackendUnavailable, False),
]


@pytest.mark.parametrize(("error", "kind", "retryable"), CASES, ids=lambda item: type(item).__name__)
def test_nothing_of_boto3_crosses(
    key: KmsSymmetricKey,
    error: Exception,
    kind: type[Error],
    retryable: bool | None,  # noqa: FBT001 - a column of the table
) -> None:
    """Each exception of botocore, and any other, becomes one of ours."""
    _raise_before_sending(key, error)
    found = failure_of(key)
    assert type(found) is kind
    assert getattr(found, "retryable", None) is retryable


def test_every_exception_of_botocore_becomes_one_of_ours() -> None:
    """Those of today's version and of a later one, whatever their constructors take."""

    def all_below(kind: type[Exception]) -> Iterator[type[Exception]]:
        for below in kind.__subclasses__():
            yield below
            yield from all_below(below)

    kinds = [kind for kind in all_below(boto.BotoCoreError) if kind.__module__ == "botocore.exceptions"]
    assert len(kinds) > 60
    for kind in kinds:
        error = kind.__new__(kind)
        assert isinstance(translate(error, Asked("Decrypt"), 0), Error), kind


def test_an_error_from_assuming_a_role_is_about_credentials(key: KmsSymmetricKey) -> None:
    """boto3 asks STS on the way; its NotFound is not a missing key, and its ValidationError not our parameter."""
    for code in ("AccessDenied", "NotFoundException", "ValidationError"):
        found = translate(boto.ClientError({"Error": {"Code": code}}, "AssumeRole"), Asked("Decrypt"), 0)
        assert isinstance(found, AuthenticationFailed)
        assert "AssumeRole" in str(found)


def test_no_text_of_an_answer_is_repeated() -> None:
    """Neither its message nor a code that is no code."""
    for code in ("NotFoundException", "AccessDeniedException", "KMSInvalidStateException", "New", "secret <b>code</b>"):
        answer = {"Error": {"Code": code, "Message": "secret: pending deletion"}}
        found = translate(boto.ClientError(answer, "Decrypt"), Asked("Decrypt"), 0)
        assert isinstance(found, Error)
        assert "secret" not in f"{found} {found.hint}"


def test_a_key_that_is_not_there_is_named(kms: KmsEmulator) -> None:
    """With the Region that was asked; what may be an alias without its prefix is called one."""
    uuid = "12345678-0000-4000-8000-123456789012"
    for name, is_alias in (("e2ee", True), ("alias/e-two-ee", False), (uuid, False), (f"mrk-{'0' * 32}", False)):
        with pytest.raises(KeyNotFound) as caught:
            open_key(f"awskms:key-id={name}{ONCE}")
        assert f"({name}) in this account and {REGION}" in str(caught.value)
        assert (f"alias/{name}" in caught.value.hint) == is_alias
        assert "check key-id and region" in caught.value.hint


def test_a_refusal_names_its_key(kms: KmsEmulator, key: KmsSymmetricKey, symmetric_arn: str) -> None:
    """An operator with several keys must know which one to allow, enable or replace."""
    for code in ("AccessDeniedException", "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException"):
        kms.fail("Encrypt", code, 1)
        assert symmetric_arn in str(failure_of(key))


def test_only_names_of_keys_are_repeated() -> None:
    """Nothing else that stood in the request, and no name that is none."""
    asked = Asked.of("Encrypt", {"KeyId": "alias/a\nb", "TargetKeyId": "alias/b", "Plaintext": b"secret"}, REGION, "")
    assert asked == Asked("Encrypt", "alias/b", REGION)


@pytest.mark.parametrize("status", [301, 403, 404])
def test_a_web_server_that_is_not_kms(
    kms: KmsEmulator, key: KmsSymmetricKey, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Its page has no code of KMS; the host is named, and trying again is no help."""
    monkeypatch.setattr(kms, "answer", lambda *_: (status, {"Content-Type": "text/html"}, "<html>not here</html>"))
    error = failure_of(key)
    assert isinstance(error, BackendUnavailable)
    assert str(error) == f"what answered Encrypt at kms.{REGION}.amazonaws.com is not AWS KMS"
    assert not error.retryable
    assert "endpoint-url" in error.hint


def test_a_server_error_without_a_code_may_pass() -> None:
    """A gateway that answers 502 with a page of its own."""
    answer = {"Error": {"Code": "502"}, "ResponseMetadata": {"HTTPStatusCode": 502}}
    found = translate(boto.ClientError(answer, "Decrypt"), Asked("Decrypt"), 0)
    assert isinstance(found, BackendUnavailable)
    assert found.retryable


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", "<html>", '{"KeyId": "x", "Plaintext": "!"}', '{"Plaintext": "AAAA"}']
)
def test_an_answer_that_is_not_from_kms(
    kms: KmsEmulator, key: KmsSymmetricKey, rsa_key: KmsRsaKey, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """A proxy's page with status 200 is BackendUnavailable, not bad input and not a crash."""
    sealed = key.seal(b"x", b"aad")

    monkeypatch.setattr(kms, "answer", lambda *_: (200, {}, body))
    for use in (
        lambda: key.seal(b"x", b"aad"),
        lambda: key.open_sealed(sealed, b"aad"),
        lambda: key.reencrypt(sealed, b"aad", key, b"aad"),
        lambda: rsa_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM),
        rsa_key.probe,
    ):
        with pytest.raises(BackendUnavailable, match=r"is not AWS KMS|could not do") as caught:
            use()
        assert not caught.value.retryable


def test_an_empty_plaintext_is_an_answer(kms: KmsEmulator, rsa_key: KmsRsaKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender may encrypt nothing with OAEP, and KMS may leave the member out: a content key that opens nothing."""
    monkeypatch.setattr(kms, "answer", lambda *_: (200, {}, '{"KeyId": "x"}'))
    with rsa_key.unwrap(bytes(256), RSA_OAEP_256, A256GCM) as content_key:
        assert content_key.decrypt(bytes(12), b"", bytes(16), b"") is None


# -- credentials, region, profile ---------------------------------------------------------------------------------


def test_no_credentials_at_all(kms: KmsEmulator, symmetric_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AuthenticationFailed with the places where boto3 looks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(AuthenticationFailed, match="no usable credentials") as caught:
        open_key(f"awskms:key-id={symmetric_arn}")
    assert "aws-profile" in caught.value.hint


def test_half_of_the_credentials(kms: KmsEmulator, symmetric_arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id without its secret."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthenticationFailed, match="no usable credentials"):
        open_key(f"awskms:key-id={symmetric_arn}")


def test_credentials_that_aws_does_not_know(
    kms: KmsEmulator, symmetric_arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused once, and not tried again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN000000000")
    kms.reset()
    with pytest.raises(AuthenticationFailed, match="does not accept the credentials") as caught:
        open_key(f"awskms:key-id={symmetric_arn}")
    assert "AKIA" not in f"{caught.value} {caught.value.hint}"


def test_rotated_credentials_are_read_again(
    kms: KmsEmulator, symmetric_arn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that stays open for months notices new ones in the shared file, and looks for them now and then only."""
    path = tmp_path / "credentials"
    right, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]

    def write(access_key: str) -> None:
        path.write_text(f"[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret}\n")

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    write(right)
    with open_key(f"awskms:key-id={symmetric_arn}{ONCE}") as key:
        assert isinstance(key, KmsSymmetricKey)
        kms.fail("Encrypt", "ExpiredTokenException", 2)
        first = key._connection.client
        assert isinstance(failure_of(key), AuthenticationFailed)
        assert key._connection.client is first, "made a moment ago"
        monkeypatch.setattr(client, "RENEW_SECONDS", 0)
        write("AKIAUNKNOWN000000000")
        assert isinstance(failure_of(key), AuthenticationFailed)
        assert "UnrecognizedClientException" in str(failure_of(key)), "the file was read again"
        write(right)
        assert key.seal(b"x", b"aad").ciphertext


def test_a_call_that_comes_after_the_last_close_makes_no_client(kms: KmsEmulator, symmetric_arn: str) -> None:
    """A thread may have looked just before; nobody would close what it opened."""
    with open_key(f"awskms:key-id={symmetric_arn}{ONCE}") as key:
        assert isinstance(key, KmsSymmetricKey)
        connection = key._connection
    with pytest.raises(ConfigError, match="closed"):
        connection.call("DescribeKey", KeyId=symmetric_arn)


def test_no_region_anywhere(kms: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step is in the hint; the Region of an ARN is enough."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="which Region") as caught:
        open_key("awskms:key-id=alias/e2ee")
    assert "region=" in caught.value.hint
    with open_key(f"awskms:key-id={kms.create_symmetric()}") as key:
        assert isinstance(key, KmsSymmetricKey)
        assert key.describe()["region"] == REGION


def test_a_profile_that_is_not_there(kms: KmsEmulator) -> None:
    """A mistake in the URI, without repeating it."""
    with pytest.raises(ConfigError, match="no such profile") as caught:
        open_key("awskms:key-id=alias/e2ee;region=eu-central-1?aws-profile=production")
    assert "production" not in f"{caught.value} {caught.value.hint}"


def test_a_profile_is_used(
    kms: KmsEmulator, symmetric_arn: str, tmp_path: "os.PathLike[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its credentials and not those of the environment."""
    path = os.path.join(tmp_path, "credentials")  # noqa: PTH118 - tmp_path as boto3 takes it
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - as above
        file.write("[prod]\n" + "".join(f"{name.lower()}={os.environ[name]}\n" for name in names))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", path)
    for name in names:
        monkeypatch.delenv(name)
    with open_key(f"awskms:key-id={symmetric_arn}?aws-profile=prod") as key:
        assert isinstance(key, KmsSymmetricKey)
        assert key.seal(b"x", b"aad").ciphertext


def test_an_endpoint_of_the_environment_is_checked_too(kms: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_ENDPOINT_URL_KMS must not send content keys readable across the network either."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://10.0.0.1:4566")
    with pytest.raises(ConfigError, match="plain http to another machine"):
        open_key("awskms:key-id=alias/e2ee;region=eu-central-1")


def test_an_emulator_of_the_environment_is_called_one(remote_kms: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """And reached directly, whatever HTTP_PROXY says."""
    arn = remote_kms.create_symmetric()
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", str(remote_kms.endpoint_url))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    with open_key(f"awskms:key-id={arn}") as key:
        assert isinstance(key, KmsSymmetricKey)
        assert key.is_emulator


# -- retries and time ---------------------------------------------------------------------------------------------


@pytest.fixture
def connection(kms: KmsEmulator) -> Iterator[Connection]:
    """A client with the default settings, whose retries do not wait."""
    connection = connect(Settings(REGION, None, None))
    yield connection
    leave(connection)


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between the attempts of botocore."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.mark.usefixtures("_no_pause")
def test_a_call_is_tried_three_times(kms: KmsEmulator, connection: Connection, symmetric_arn: str) -> None:
    """Two failures are survived, three are not; a refused ciphertext is not retried at all."""
    kms.reset()
    kms.throttle("DescribeKey", 2)
    assert connection.call("DescribeKey", KeyId=symmetric_arn)
    kms.throttle("DescribeKey", 3)
    with pytest.raises(BackendUnavailable):
        connection.call("DescribeKey", KeyId=symmetric_arn)
    assert kms.count("DescribeKey") == 6
    with pytest.raises(CiphertextRefused):
        connection.call("Decrypt", KeyId=symmetric_arn, CiphertextBlob=bytes(200))
    assert kms.count("Decrypt") == 1


class _Fading(Deadline):
    """A deadline that passes after the first look."""

    __slots__ = ("looks",)

    def remaining(self) -> float:
        looks = getattr(self, "looks", 0) + 1
        object.__setattr__(self, "looks", looks)
        return 1.0 if looks == 1 else 0.0


@pytest.mark.usefixtures("_no_pause")
def test_no_attempt_begins_after_the_deadline(kms: KmsEmulator, connection: Connection, symmetric_arn: str) -> None:
    """What the attempts before it came to is the error: throttled, not unreachable."""
    kms.reset()
    kms.throttle("DescribeKey", 3)
    with pytest.raises(BackendUnavailable, match="no capacity"):
        connection.call("DescribeKey", _Fading(float("inf")), KeyId=symmetric_arn)
    assert kms.count("DescribeKey") == 1


class _Late(Deadline):
    """A deadline that passes while the request is made: credentials may have to be fetched first."""

    __slots__ = ("looked",)

    def remaining(self) -> float:
        return 0.0

    def check(self) -> None:
        if hasattr(self, "looked"):
            super().check()
        object.__setattr__(self, "looked", True)


def test_a_request_that_is_ready_too_late_is_not_sent(
    kms: KmsEmulator, connection: Connection, symmetric_arn: str
) -> None:
    """The deadline is looked at once more before the first attempt."""
    with pytest.raises(BackendUnavailable, match="deadline passed"):
        connection.call("DescribeKey", _Late(0.0), KeyId=symmetric_arn)
    assert not kms.calls


def test_an_answer_is_waited_for_until_the_deadline_only(
    kms: KmsEmulator, connection: Connection, symmetric_arn: str
) -> None:
    """The read timeout of the request is what is left, and never more than the one of the settings."""
    timeouts: list[float | None] = []

    def note(request: Any, **_: Any) -> None:
        timeouts.append(request.context.get("read_timeout"))

    connection.client.meta.events.register_first("before-send.kms", note)
    connection.call("DescribeKey", Deadline.after(2), KeyId=symmetric_arn)
    connection.call("DescribeKey", Deadline.after(200), KeyId=symmetric_arn)
    connection.call("DescribeKey", KeyId=symmetric_arn)
    assert timeouts[0] is not None
    assert 0 < timeouts[0] <= 2
    assert timeouts[1:] == [3.0, None]


def test_a_slow_kms_is_given_up_at_the_deadline(remote_kms: KmsEmulator) -> None:
    """One attempt, ended by what was left of the time, and no second one."""
    arn = remote_kms.create_symmetric()
    with open_key(f"awskms:key-id={arn}?endpoint-url={remote_kms.endpoint_url}") as key:
        assert isinstance(key, KmsSymmetricKey)
        remote_kms.reset()
        remote_kms.latency("Encrypt", 1)
        with pytest.raises(BackendUnavailable) as caught:
            key.seal(b"x", b"aad", Deadline.after(0.1))
        assert caught.value.retryable
        assert remote_kms.count("Encrypt") == 1


def test_a_server_that_went_away_and_came_back(remote_kms: KmsEmulator) -> None:
    """BackendUnavailable(retryable) meanwhile, for the probe as well; then the same key works."""
    arn = remote_kms.create_rsa()
    uri = f"awskms:key-id={arn}?endpoint-url={remote_kms.endpoint_url}&max-attempts=1"
    with open_key(uri, failure_floor=0) as key:
        assert isinstance(key, KmsRsaKey)
        with remote_kms.unreachable():
            for use in (key.probe, lambda: key.unwrap(bytes(256), RSA_OAEP_256, A256GCM)):
                with pytest.raises(BackendUnavailable, match="could not be reached") as caught:
                    use()
                assert caught.value.retryable
        key.probe()


def test_a_probe_that_gets_no_answer_in_time_says_nothing(remote_kms: KmsEmulator) -> None:
    """A slow network must not turn a sender's failure into an operator's: slow until the deadline is not dead."""
    arn = remote_kms.create_rsa()
    uri = f"awskms:key-id={arn}?endpoint-url={remote_kms.endpoint_url}&max-attempts=1"
    with open_key(uri, failure_floor=0) as key:
        assert isinstance(key, KmsRsaKey)
        remote_kms.latency("DescribeKey", 30.0)
        try:
            key.probe(Deadline.after(0.05))
        finally:
            remote_kms.reset()
