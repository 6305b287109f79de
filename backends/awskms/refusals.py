# SPDX-License-Identifier: Apache-2.0
"""From what boto3 raises to the errors of sealpass.

KMS's answers are told apart by the string of their code: its model has no ThrottlingException, and a typed class
exists only for modelled ones. No text of an answer is repeated: it may quote what was sent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from sealpass.backends.awskms.settings import host_of, is_aws, is_key_name, looks_like_alias
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    KeyNotFound,
    UnsupportedAlgorithm,
)


class CiphertextRefused(Exception):
    """KMS does not open a ciphertext. Inside this package only: keys turn it into their answer for bad input."""


class Throttled(BackendUnavailable):
    """KMS is there, and has no time for us. A class of its own because a probe must not take it for absence."""


class CredentialsRefused(AuthenticationFailed):
    """KMS knows no such credentials, or no longer. A class of its own because boto3's chain may have others by now."""


THROTTLING = frozenset(
    {
        # As botocore.retries.standard has them, but for LimitExceededException: of KMS that is a full account.
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_CIPHERTEXT = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_TRANSIENT = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "InternalServerError",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "NotAuthorizedException"})
_WRONG = frozenset(
    {
        "InvalidAliasNameException",
        "InvalidArnException",
        "InvalidGrantTokenException",
        "MalformedPolicyDocumentException",
        "ValidationError",
        "ValidationException",
    }
)
_UNSUPPORTED = frozenset({"InvalidKeyUsageException", "UnsupportedOperationException"})
_PENDING = re.compile(r"pending|PendingDeletion|PendingImport", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}\Z")
_SERVER_ERROR = 500

_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.MetadataRetrievalError,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.UnknownCredentialError,
)
_CONFIGURATION = (
    boto.ConfigParseError,
    boto.ConfigNotFound,
    boto.BaseEndpointResolverError,
    boto.EndpointProviderError,
    boto.InvalidConfigError,
    boto.InvalidDefaultsMode,
    boto.InvalidEndpointConfigurationError,
    boto.InvalidProxiesConfigError,
    boto.InvalidRegionError,
    boto.InvalidRetryConfigurationError,
    boto.ParamValidationError,
    boto.UnknownRegionError,
)
_CREDENTIALS_HINT = (
    "boto3 looks in its usual places: environment, shared files (aws-profile=… picks a profile), SSO, container, "
    "instance; 'aws sts get-caller-identity' shows what it finds"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, of which key, and where: for the texts of errors, so nothing secret is in here."""

    operation: str
    keys: str = ""
    """The names of the keys in the request, as the URI has them or as KMS calls them; public."""
    region: str = ""
    endpoint_url: str = ""

    @classmethod
    def of(cls, operation: str, parameters: Mapping[str, Any], region: str, endpoint_url: str) -> "Asked":
        """The names in a request's parameters; what is no name of a key stays out."""
        given = (parameters.get(name) for name in _KEY_PARAMETERS)
        keys = " or ".join(name for name in given if isinstance(name, str) and is_key_name(name))
        return cls(operation, keys, region, endpoint_url)


_KEY_PARAMETERS = ("KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId", "AliasName")


def translate(error: Exception, asked: Asked, spent: float) -> Error | CiphertextRefused:
    """The error to raise for ``error``, which came from what was ``asked`` after ``spent`` seconds."""
    if isinstance(error, boto.ClientError):
        return _answer(error, asked, spent)
    return _before_an_answer(error, asked, spent)


def _answer(error: boto.ClientError, asked: Asked, spent: float) -> Error | CiphertextRefused:
    operation = asked.operation
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    shown = code if _CODE.match(code) else "a code of its own"
    if code in THROTTLING:
        return Throttled(
            f"AWS KMS had no capacity for {operation} ({shown}), for {spent:.1f} s",
            retryable=True,
            hint="the account's request quota of the Region is used up; see docs/awskms.md",
        )
    if error.operation_name != operation:  # boto3 asked another service on the way, to assume a role
        return AuthenticationFailed(
            f"boto3 gets no credentials for AWS KMS: {error.operation_name} said {shown}", hint=_CREDENTIALS_HINT
        )
    if code in _CIPHERTEXT:
        return CiphertextRefused()
    if found := _refusal(code, shown, asked):
        return found
    return _trouble(code, shown, message, asked, error)


def _refusal(code: str, shown: str, asked: Asked) -> Error | None:
    """What an operator must put right in a URI, a policy or the credentials."""
    operation = asked.operation
    if code == "NotFoundException":
        return _not_found(asked)
    if code in _DENIED:
        return AuthenticationFailed(
            f"AWS KMS refuses {operation}{_on(asked)} to these credentials ({shown})",
            hint=f"key policy or IAM policy must allow kms:{operation} on this key; docs/awskms.md has the whole "
            "policy. A key of another account that is not there looks the same",
        )
    if code in _CREDENTIALS:
        return CredentialsRefused(
            f"AWS KMS does not accept the credentials ({shown})",
            hint="they may be expired, disabled or mistyped, or this machine's clock is wrong; " + _CREDENTIALS_HINT,
        )
    if code == "AlreadyExistsException":
        return ConfigError("the alias exists already", hint="use it as it is, or choose another alias/NAME")
    if code in _UNSUPPORTED:
        return UnsupportedAlgorithm(
            f"{asked.keys or 'the key'} is not made for {operation} ({shown})",
            hint="sealpass needs the key usage ENCRYPT_DECRYPT",
        )
    if code in _WRONG:
        return ConfigError(f"AWS KMS does not take the parameters of {operation} ({shown})")
    return None


def _on(asked: Asked) -> str:
    return f" with {asked.keys}" if asked.keys else ""


def _not_found(asked: Asked) -> KeyNotFound:
    hint = "check key-id and region of the URI, and whose credentials these are"
    if looks_like_alias(asked.keys):
        hint = f"if it is an alias, write key-id=alias/{asked.keys}; otherwise {hint}"
    missing = f" ({asked.keys})" if asked.keys else ""
    where = asked.region or "Region"
    return KeyNotFound(f"AWS KMS has no such key or alias{missing} in this account and {where}", hint=hint)


def _trouble(code: str, shown: str, message: str, asked: Asked, error: boto.ClientError) -> BackendUnavailable:
    """What is wrong with the key's state or with KMS itself."""
    operation = asked.operation
    if code == "DisabledException":
        return BackendUnavailable(
            f"the key is disabled: AWS KMS refuses {operation}{_on(asked)}",
            retryable=False,
            hint="enable it with kms:EnableKey",
        )
    if code == "KMSInvalidStateException":
        # Pending deletion or import stays until somebody acts; what a custom key store says may pass.
        pending = bool(_PENDING.search(message))
        return BackendUnavailable(
            f"the key's state does not allow {operation}{_on(asked)}"
            + (": it is pending deletion or import" if pending else ""),
            retryable=not pending,
            hint="see the key's state with 'aws kms describe-key'",
        )
    if code == "LimitExceededException":
        return BackendUnavailable(
            f"a resource quota of the account is reached: AWS KMS refuses {operation}",
            retryable=False,
            hint="ask AWS for more keys or aliases, or delete some",
        )
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code.isdigit() and status < _SERVER_ERROR:
        # botocore takes the HTTP status for the code where the body is none of KMS: another server's page.
        return not_kms(operation, asked.endpoint_url)
    retryable = code in _TRANSIENT or status >= _SERVER_ERROR
    return BackendUnavailable(f"AWS KMS answered {operation} with {shown}", retryable=retryable)


def _before_an_answer(error: Exception, asked: Asked, spent: float) -> Error:
    """What went wrong on this machine or on the way."""
    operation = asked.operation
    kind = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS) or kind.startswith("Login"):
        return AuthenticationFailed(f"boto3 finds no usable credentials for AWS KMS ({kind})", hint=_CREDENTIALS_HINT)
    if isinstance(error, boto.ProfileNotFound):
        return ConfigError("the AWS configuration has no such profile", hint="check aws-profile and AWS_PROFILE")
    if isinstance(error, boto.NoRegionError):
        return no_region()
    if isinstance(error, _CONFIGURATION):
        return ConfigError(f"boto3 does not take its configuration ({kind})", hint="check ~/.aws/config and AWS_…")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        return _no_way(error, asked, spent)
    if isinstance(error, ResponseParserError):
        return not_kms(operation, asked.endpoint_url)
    return BackendUnavailable(f"boto3 could not do {operation} ({kind})", retryable=False)


def _no_way(error: Exception, asked: Asked, spent: float) -> BackendUnavailable:
    # What could not be reached, as botocore has it: it may be STS, or a proxy. Only the host is repeated.
    details = getattr(error, "kwargs", {})
    proxy = host_of(str(details.get("proxy_url", "")))
    url = str(details.get("endpoint_url") or asked.endpoint_url)
    host = f"the proxy {proxy}" if proxy else host_of(url)
    if isinstance(error, boto.SSLError):
        return _no_tls(str(error), host or "the endpoint of AWS KMS")
    if proxy:
        hint = "check HTTPS_PROXY and the network"
    elif is_aws(url):
        hint = "check the network, the proxy, and how region is spelt: it is part of that name"
    else:
        hint = "check the network, the proxy and endpoint-url"
    where = f" at {host}" if host else ""
    return BackendUnavailable(
        f"AWS KMS could not be reached, or did not answer, for {spent:.1f} s ({type(error).__name__}{where})",
        retryable=True,
        hint=hint,
    )


_OTHER_HOST = ("Hostname mismatch", "IP address mismatch")
_NOT_TLS = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure", "HTTP_REQUEST")


def _no_tls(reason: str, host: str) -> BackendUnavailable:
    """What OpenSSL says (``reason`` is not repeated), as what to do."""
    if any(text in reason for text in _OTHER_HOST):
        found = ": its certificate is for another host"
        hint = "check endpoint-url; a VPC endpoint answers to its own names only"
    elif "CERTIFICATE_VERIFY_FAILED" in reason:
        found = ": its certificate is not trusted"
        hint = "check endpoint-url; behind a proxy with a certificate of its own, set AWS_CA_BUNDLE"
    elif any(text in reason for text in _NOT_TLS):
        found = ": what answers there speaks no TLS"
        hint = "check host and port of endpoint-url; an emulator of this machine is http://localhost:4566"
    else:  # may pass: a connection that broke
        return BackendUnavailable(
            f"no TLS with {host}", retryable=True, hint="check endpoint-url and the proxy: is that host AWS KMS?"
        )
    return BackendUnavailable(f"no TLS with {host}{found}", retryable=False, hint=hint)


def not_kms(operation: str, endpoint_url: str = "") -> BackendUnavailable:
    """The error for an answer that has not what KMS's answers have."""
    host = host_of(endpoint_url)
    return BackendUnavailable(
        f"what answered {operation}{f' at {host}' if host else ''} is not AWS KMS",
        retryable=False,
        hint="check endpoint-url and any proxy",
    )


def no_region() -> ConfigError:
    """The error where neither URI nor environment name a Region."""
    return ConfigError(
        "awskms: in which Region is the key?",
        hint="add region=… to the URI, or set AWS_DEFAULT_REGION or the profile's region",
    )
