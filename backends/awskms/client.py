# SPDX-License-Identifier: Apache-2.0
"""One botocore client for all keys with the same settings: thread-safe, new in a forked child, silent in logs."""

import binascii
import json
import os
import threading
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sealpass.backends.awskms.refusals import Asked, CredentialsRefused, no_region, not_kms, translate
from sealpass.backends.awskms.settings import Settings, check_endpoint, is_aws
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, Error

_FIRST_ERROR = 300
_LEAST_TIMEOUT = 0.001

RENEW_SECONDS = 10.0
"""After refused credentials the chain is read again, and no more often than that: a new client costs some 0.1 s."""


class _Unprinted(bytes):
    """The body of a request. botocore.endpoint logs whole requests at level DEBUG; this one shows nothing there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


def _hide_request(params: dict[str, Any], **_: Any) -> None:
    params["body"] = _Unprinted(params["body"])


def _take_plaintext(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the plaintext out of Decrypt's answer before botocore.parsers logs the body at level DEBUG.

    What stands in ``customized_response_dict`` becomes part of the parsed answer. Parsing costs the same as it would
    there. An answer that is none of KMS's leaves nothing, and is refused for what it lacks.
    """
    if response_dict["status_code"] >= _FIRST_ERROR:
        return
    body, response_dict["body"] = response_dict["body"], b"{}"
    try:
        members = json.loads(body)
        found = {
            "KeyId": members["KeyId"],
            "Plaintext": binascii.a2b_base64(members.get("Plaintext", ""), strict_mode=True),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    customized_response_dict.update(found)


class Connection:
    """The client of keys with the same settings. Get one with :func:`connect`, give it back with :func:`leave`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.users = 0
        self._lock = threading.Lock()
        self._current = threading.local()
        self._client: Any = None
        self._made = 0.0

    def after_fork(self) -> None:
        """In the child: a lock of its own and, at the next call, a client with connections of its own."""
        if self._client is not None:
            # Kept, and never touched: its pool's finalizer would take locks that threads of the parent may hold.
            _inherited.append(self._client)
        self._client = None
        self._lock = threading.Lock()
        self._current = threading.local()

    @property
    def client(self) -> Any:
        """The botocore client, made at the first use; raises ConfigError or AuthenticationFailed."""
        client = self._client
        if client is None:
            with self._lock:
                if self._client is None:
                    if not self.users:  # closed under a thread that was about to call; nobody would close another one
                        raise ConfigError("the key is closed")
                    self._client, self._made = self._make(), time.monotonic()
                client = self._client
        return client

    def _renew(self, refused: Any) -> None:
        """Let the next call make a client: boto3 reads credentials of environment and shared files once a client.

        Ring and keys may live for months; without this only their end would let go of credentials that were rotated.
        """
        with self._lock:
            if self._client is not refused or time.monotonic() - self._made < RENEW_SECONDS:
                return
            self._client = None
        refused.close()  # what is under way ends; only idle connections go

    def _make(self) -> Any:
        try:
            client = self._build()
        except Error:
            raise
        except Exception as error:  # noqa: BLE001 - no SDK's exception crosses; boto3 raises OSError and others, too
            failure = translate(error, Asked("boto3.client"), 0)
        else:
            return client
        raise failure

    def _build(self) -> Any:
        settings = self.settings
        # A session of our own: the default one is shared with the application, and sessions are not thread-safe.
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        if not session.region_name:
            raise no_region()
        config = Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            max_pool_connections=settings.max_connections,
            retries={"mode": settings.retry_mode, "total_max_attempts": settings.max_attempts},
            tcp_keepalive=True,  # a login service may be idle for longer than NAT gateways remember a connection
        )
        client = session.client("kms", endpoint_url=settings.endpoint_url, config=config)
        endpoint = client.meta.endpoint_url
        check_endpoint(endpoint, "the endpoint of AWS KMS (endpoint-url, AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL)")
        if endpoint.startswith("http:"):
            # To this machine, and not by way of HTTP_PROXY.
            client.close()
            client = session.client("kms", endpoint_url=settings.endpoint_url, config=config.merge(Config(proxies={})))
        events = client.meta.events
        events.register("before-call.kms", _hide_request)
        events.register("before-parse.kms.Decrypt", _take_plaintext)
        events.register("request-created.kms", self._bound)
        events.register("needs-retry.kms", self._remember)
        return client

    # -- what happens inside one call -----------------------------------------------------------------------------

    def _bound(self, request: Any, **_: Any) -> None:
        """Before each attempt: none after the deadline, and no longer wait for an answer than until then."""
        deadline: Deadline | None = getattr(self._current, "deadline", None)
        if deadline is None:
            return
        remaining = deadline.remaining()
        if remaining <= 0 and self._current.failure is not None:
            raise self._current.failure  # what the attempts before it came to says more than that time is over
        deadline.check()
        request.context["read_timeout"] = min(self.settings.read_timeout, max(remaining, _LEAST_TIMEOUT))

    def _remember(self, response: Any, caught_exception: Any, operation: Any, **_: Any) -> None:
        """After each attempt: keep how it failed."""
        if caught_exception is not None:
            self._current.failure = caught_exception
        elif response is not None and response[0].status_code >= _FIRST_ERROR:
            self._current.failure = ClientError(response[1], operation.name)

    def call(self, operation: str, deadline: Deadline | None = None, **parameters: Any) -> dict[str, Any]:
        """Call an operation by its API name. Thread-safe.

        Raises CiphertextRefused where KMS does not open a ciphertext, and operator errors otherwise. Until the
        deadline new attempts are started, and answers waited for; connecting, and the pause before a retry, may
        exceed it.
        """
        if deadline is not None:
            deadline.check()
        client = self._client or self.client
        self._current.deadline, self._current.failure = deadline, None
        started = time.monotonic()
        try:
            answer: dict[str, Any] = getattr(client, _METHODS[operation])(**parameters)
        except Error:
            raise
        except Exception as error:  # noqa: BLE001 - no SDK's exception crosses, and they hold requests
            asked = Asked.of(operation, parameters, client.meta.region_name, client.meta.endpoint_url)
            failure = translate(error, asked, time.monotonic() - started)
        else:
            return answer
        finally:
            self._current.failure = None
        if isinstance(failure, CredentialsRefused):
            self._renew(client)
        # Outside the handler, so that no SDK's exception stays attached as the context.
        raise failure

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """The Region that is asked."""
        return str(self.client.meta.region_name)

    @property
    def is_emulator(self) -> bool:
        """Whether the endpoint is not one of AWS."""
        return not is_aws(self.client.meta.endpoint_url)

    def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


_METHODS = {
    "CreateAlias": "create_alias",
    "CreateKey": "create_key",
    "Decrypt": "decrypt",
    "DescribeKey": "describe_key",
    "Encrypt": "encrypt",
    "GetPublicKey": "get_public_key",
    "ListAliases": "list_aliases",
    "ListKeys": "list_keys",
    "ReEncrypt": "re_encrypt",
    "ScheduleKeyDeletion": "schedule_key_deletion",
    "UpdateAlias": "update_alias",
}
"""The operations that sealpass uses, all of them; docs/awskms.md says which role needs which."""


def member(answer: dict[str, Any], name: str, operation: str) -> Any:
    """A member that every answer of the operation has; raises BackendUnavailable where it is missing."""
    found = answer.get(name)
    if not found:
        raise not_kms(operation)
    return found


_table_lock = threading.Lock()
_table: dict[Settings, Connection] = {}
_inherited: list[Any] = []


def connect(settings: Settings) -> Connection:
    """The connection for these settings, made or shared; raises ConfigError or AuthenticationFailed."""
    with _table_lock:
        connection = _table.setdefault(settings, Connection(settings))
        connection.users += 1
    try:
        _ = connection.client
    except BaseException:
        leave(connection)
        raise
    return connection


def leave(connection: Connection) -> None:
    """Give a connection back; the last user closes it."""
    with _table_lock:
        connection.users -= 1
        if connection.users:
            return
        if _table.get(connection.settings) is connection:
            del _table[connection.settings]
    connection.close()


def _after_fork_in_child() -> None:
    global _table_lock  # noqa: PLW0603 - a thread that the child does not have may hold the old one
    _table_lock = threading.Lock()
    for connection in _table.values():
        connection.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
