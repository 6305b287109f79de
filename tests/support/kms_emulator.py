# SPDX-License-Identifier: Apache-2.0
"""A KMS emulator for tests and demonstrations: moto's KMS, made honest (tests/support/kms_service.py), in two ways.

``KmsEmulator.in_process()`` answers the calls of every boto3 session made after its start, without a socket.
``KmsEmulator.over_http()`` answers on a free port of 127.0.0.1; URIs and clients name its ``endpoint_url``.
Both are context managers. For their time the environment holds made-up AWS credentials, no file of the user's is read,
and boto3 sessions made in that time reach nothing beyond loopback.

What is still not AWS:

- Nothing is eventual: a new alias or state counts from the next call, where AWS may take minutes.
- No IAM: key policies and grants do not decide. Whoever has the made-up access key may do everything;
  another access key is refused, and signatures are not checked.
- No quotas and no throttling but what ``throttle`` asks for; no CloudTrail, no metrics.
- Symmetric ciphertexts are as long as those of AWS but of our own format, and open only in the emulator that made them.
- DryRun, grant tokens and Recipient (Nitro enclaves) are ignored.
- Keys are AES-256 and what moto offers of RSA, ECC and HMAC; no SM2, ML-KEM, ML-DSA, imported or custom stores;
  no replicas of multi-Region keys; signing, MACs and data keys are not offered.
- Lists are not paged. Error texts resemble those of AWS, but only the codes are promised.
- Keys live in memory and end with the emulator. Timing and speed say nothing about AWS.
"""

import contextlib
import functools
import itertools
import os
import re
import socket
import socketserver
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Self
from unittest import mock
from urllib.parse import urlsplit

import boto3
import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.exceptions import JsonRESTError

from tests.support.kms_service import KmsAccount, KmsService, refusal

LOOPBACK = "127.0.0.1"
REGION = "eu-central-1"
ACCESS_KEY_ID = "AKIAEMULATEDKMS00000"
SECRET_ACCESS_KEY = "made-up-secret-of-the-emulator"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Files that cannot exist: the user's profiles, roles and endpoints stay unread.
    "AWS_CONFIG_FILE": os.devnull + "/config",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull + "/credentials",
    "BOTO_CONFIG": os.devnull + "/boto",
    "NO_PROXY": LOOPBACK,
    "no_proxy": LOOPBACK,
}
KMS_HOST = re.compile(r"kms(-fips)?\.[a-z0-9-]+\.amazonaws\.com")
_account_ids = itertools.count(100_000_000_001)


class Call(NamedTuple):
    """A request as it came in: the operation, and the strings that named its keys (ReEncrypt: source, destination)."""

    operation: str
    key_ids: tuple[str, ...]


class KmsEmulator:
    """KMS for the duration of a ``with``; thread-safe. ``endpoint_url`` is None in-process."""

    def __init__(self, *, http: bool) -> None:
        self.account = KmsAccount(str(next(_account_ids)))
        self.endpoint_url: str | None = None
        self._http = http
        self._server: _LoopbackServer | None = None
        self._lock = threading.Lock()
        self._calls: Counter[Call] = Counter()
        self._failures: defaultdict[str, list[str]] = defaultdict(list)
        self._latencies: dict[str, float] = {}
        self._closing = threading.Event()  # also ends waits that latency() asked for
        self._closing.set()
        self._exit = contextlib.ExitStack()

    @classmethod
    def in_process(cls) -> Self:
        """An emulator that answers inside this process, in place of the real endpoints of KMS."""
        return cls(http=False)

    @classmethod
    def over_http(cls) -> Self:
        """An emulator on a free port of loopback, stopped at the end of the ``with``."""
        return cls(http=True)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.enter_context(_fenced())
            if self._http:
                self._start_server(0)
                exits.callback(self._stop_server)
            else:
                self._closing.clear()
                exits.callback(self._closing.set)
                _in_process.append(self)
                exits.callback(_in_process.remove, self)
            self._exit = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if (client := self.__dict__.pop("_own_client", None)) is not None:
            client.close()
        self._exit.close()

    @property
    def environment(self) -> dict[str, str]:
        """AWS_* variables for a child process: made-up credentials, the region and, over HTTP, the endpoint."""
        endpoint = {"AWS_ENDPOINT_URL_KMS": self.endpoint_url} if self.endpoint_url else {}
        return ENVIRONMENT | endpoint

    def client(self, **options: Any) -> Any:
        """A plain boto3 client of this emulator, from a session of the emulator's own; ``options`` as for boto3."""
        if self._closing.is_set():
            raise RuntimeError("the emulator is not running")
        with self._lock:  # sessions are not thread-safe, and cost 60 ms each
            return self._session.client("kms", endpoint_url=self.endpoint_url, **options)

    @functools.cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)

    @functools.cached_property
    def _own_client(self) -> Any:
        return self.client()

    # Keys

    def create_rsa(self, bits: int = 2048) -> str:
        """The ARN of a new RSA key for encryption; takes 0.1 s and more."""
        return self._create_key({"KeySpec": f"RSA_{bits}", "KeyUsage": "ENCRYPT_DECRYPT"})

    def create_symmetric(self) -> str:
        """The ARN of a new symmetric key."""
        return self._create_key({})

    def _create_key(self, parameters: dict[str, str]) -> str:
        arn: str = self._own_client.create_key(**parameters)["KeyMetadata"]["Arn"]
        return arn

    # What came in

    @property
    def calls(self) -> Counter[Call]:
        """How often each request came, refused ones included, since the start or the last ``reset``."""
        with self._lock:
            return Counter(self._calls)

    def count(self, operation: str) -> int:
        """How often that operation was asked for."""
        return sum(times for call, times in self.calls.items() if call.operation == operation)

    def reset(self) -> None:
        """Forget the calls and the planned faults; keys and aliases stay."""
        with self._lock:
            self._calls.clear()
            self._failures.clear()
            self._latencies.clear()

    # Faults

    def fail(self, operation: str, code: str, times: int) -> None:
        """Answer the next requests for that operation with that error code; earlier plans come first."""
        with self._lock:
            self._failures[operation] += [code] * times

    def throttle(self, operation: str, times: int) -> None:
        """Answer the next requests for that operation with ThrottlingException."""
        self.fail(operation, "ThrottlingException", times)

    def latency(self, operation: str, seconds: float) -> None:
        """Delay every answer to that operation, until ``reset``; the end of the emulator ends the wait."""
        with self._lock:
            self._latencies[operation] = seconds

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        """Stop the server for that time, its open connections included; it comes back on its port."""
        if self._server is None:
            raise RuntimeError("only an emulator over HTTP has a server to stop")
        port = self._server.server_address[1]
        self._stop_server()
        try:
            yield
        finally:
            self._start_server(port)

    # Answering

    def answer(self, headers: Any, body: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body for a signed request; ``headers`` is a mapping that ignores case."""
        operation = text(headers.get("X-Amz-Target", "")).removeprefix("TrentService.")
        authorization = re.search(r"Credential=([^/]+)/\d+/([^/]+)/kms/", text(headers.get("Authorization", "")))
        try:
            if authorization is None:
                raise refusal("MissingAuthenticationTokenException", "Request is missing Authentication Token")
            if authorization[1] != ACCESS_KEY_ID:
                raise refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
            service = KmsService(self.account, authorization[2], body)
            self._admit(operation, service.parameters)
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, service.answer(operation)
        except JsonRESTError as error:
            return error.code, {"Content-Type": "application/x-amz-json-1.1"}, error.description

    def _admit(self, operation: str, parameters: dict[str, Any]) -> None:
        """Count a request, and delay or refuse it as planned."""
        names = ("KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId")
        with self._lock:
            self._calls[Call(operation, tuple(parameters[name] for name in names if name in parameters))] += 1
            seconds = self._latencies.get(operation)
            planned = self._failures[operation]
            code = planned.pop(0) if planned else None
        if seconds is not None:
            self._closing.wait(seconds)
        if code is not None:
            raise refusal(code, "An error that the emulator was asked for.")

    def _start_server(self, port: int) -> None:
        self._closing.clear()
        self._server = _LoopbackServer(self, port)
        self.endpoint_url = f"http://{LOOPBACK}:{self._server.server_address[1]}"
        self._server.start()

    def _stop_server(self) -> None:
        self._closing.set()
        if self._server is not None:
            self._server.stop()


class _Requests(BaseHTTPRequestHandler):
    """The requests of one connection, which stays open between them as with AWS."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write
    server: "_LoopbackServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, answer = self.server.emulator.answer(self.headers, body.decode())
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        pass


class _LoopbackServer(socketserver.ThreadingTCPServer):
    """An HTTP server of one emulator, in threads of its own; binds at once, answers between start and stop."""

    allow_reuse_address = True  # it comes back on its port
    request_queue_size = 128

    def __init__(self, emulator: KmsEmulator, port: int) -> None:
        self.emulator = emulator
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        super().__init__((LOOPBACK, port), _Requests)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for the threads."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):  # closed by its client in the meantime
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._connections[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report bugs of the emulator, and keep silent on clients that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


_in_process: list[KmsEmulator] = []
_fences = 0
_fence_lock = threading.Lock()
_fence = contextlib.ExitStack()


@contextlib.contextmanager
def _fenced() -> Iterator[None]:
    """Made-up credentials in the environment, and no way beyond loopback for new sessions; may be nested."""
    global _fences, _fence  # noqa: PLW0603 (os.environ and botocore's handlers are one for the process, too)
    with _fence_lock:
        _fences += 1
        if _fences == 1:
            _fence = _raise_fence()
    try:
        yield
    finally:
        with _fence_lock:
            _fences -= 1
            if _fences == 0:
                _fence.close()


def _raise_fence() -> contextlib.ExitStack:
    with contextlib.ExitStack() as exits:
        exits.callback(_set_environment, _set_environment(ENVIRONMENT))
        # The default session may know the user's credentials, and was made without our handler.
        exits.enter_context(mock.patch.object(boto3, "DEFAULT_SESSION", None))
        handler = ("before-send", _intercept)
        botocore.handlers.BUILTIN_HANDLERS.append(handler)
        exits.callback(botocore.handlers.BUILTIN_HANDLERS.remove, handler)
        return exits.pop_all()


def _set_environment(new: dict[str, str]) -> dict[str, str]:
    """Exchange every AWS_* variable, and what else the emulator sets, for the new ones; gives back the old ones."""
    old = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_") or name in ENVIRONMENT}
    os.environ.update(new)
    return old


def _intercept(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """Answer what is meant for KMS, let loopback pass, refuse the rest; sessions keep this when the fence is gone."""
    host = urlsplit(request.url).hostname or ""
    if host in (LOOPBACK, "localhost"):
        return None
    if not _in_process or not KMS_HOST.fullmatch(host):
        raise EndpointConnectionError(endpoint_url=request.url)
    status, headers, body = _in_process[-1].answer(request.headers, text(request.body))
    return AWSResponse(request.url, status, headers, MockRawResponse(body))


def text(value: str | bytes) -> str:
    """A header or body as text; botocore has both."""
    return value.decode() if isinstance(value, bytes) else value
