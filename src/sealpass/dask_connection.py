# SPDX-License-Identifier: Apache-2.0
"""A Dask cluster to run our functions on: over TLS with certificates both ways, or not at all (docs/distributed.md).

Whoever reaches the scheduler can run any code on the workers, and so use their keys. Hence no other transport.

What is sent is a function of this package, by its name, with names and numbers as its arguments: workers have the
package installed, and they read secrets themselves. What comes back is an answer, or an error of ours as a value: a
task that raises would have its arguments and its traceback logged on the way.
"""

import logging
import socket
import ssl
import time
import traceback
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    MissingDependency,
)

_log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
"""For a scheduler to answer, and for a first worker to be there."""
_LOOK_AGAIN_SECONDS = 0.005
_PACKAGE = "sealpass"
_CERTIFICATES_HINT = "scheduler, workers and client need certificates of one CA: docs/distributed.md makes them"
_REACHABLE_HINT = "look whether it runs, at its log, and at the firewall in between"

T = TypeVar("T")


class Future(Protocol):
    """What a function will have answered; of Dask's own."""

    def done(self) -> bool:
        """Whether there is anything for Cluster.result(). Asks nobody."""
        ...

    def result(self) -> Any:
        """Cluster.result() is ours."""
        ...


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the cluster's CA, and a certificate of it with its key, without a passphrase."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of a function on a worker; one of the three others is set."""

    worker: str
    value: Any = None
    error: Error | None = None
    bug: str | None = None


class WorkerFailed(Exception):
    """A function ended on a worker with an exception that is none of ours. A bug; what and where is in the log."""


@contextmanager
def connect(address: str, files: TlsFiles | None = None, *, seconds: float = CONNECT_SECONDS) -> Iterator["Cluster"]:
    """The cluster of the scheduler at ``tls://HOST:PORT``; at the end what still runs on it for us is cancelled.

    Without ``files``, Dask's own configuration names them. Every worker must have this version of the package.
    Raises ConfigError, AuthenticationFailed, BackendUnavailable or MissingDependency.
    """
    host, port = _host_and_port(address)
    distributed = _distributed()
    security = _security(files)
    _greet(host, port, security.get_connection_args("client")["ssl_context"], seconds)
    with _told_as_ours():
        client = distributed.Client(address, security=security, timeout=seconds, set_as_default=False, name=_PACKAGE)
    try:
        cluster = Cluster(client)
        cluster.check(seconds)
        yield cluster
    finally:
        client.close()


def _distributed() -> Any:
    """The package; half of it has no types."""
    try:
        return import_module("distributed")
    except ImportError:
        raise MissingDependency("distributed", "distributed") from None


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        if parts.scheme == "tls" and parts.hostname and parts.port and f"tls://{parts.netloc}" == address:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigError(
        "a Dask scheduler is named tls://HOST:PORT; without TLS it would lend the keys of its workers to everybody",
        hint=_CERTIFICATES_HINT,
    )


def _security(files: TlsFiles | None) -> Any:
    named = (
        {"tls_ca_file": str(files.ca), "tls_client_cert": str(files.certificate), "tls_client_key": str(files.key)}
        if files
        else {}
    )
    security = _distributed().Security(require_encryption=True, **named)
    chosen = security.get_tls_config_for_role("client")
    if not (chosen["ca_file"] and chosen["cert"]):
        raise ConfigError(
            "there is no certificate for the connection to the Dask scheduler",
            hint="name the files with --tls-ca, --tls-cert and --tls-key, or in Dask's own configuration",
        )
    paths = [Path(chosen[name]) for name in ("ca_file", "cert", "key") if chosen[name]]
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        if b"ENCRYPTED" in content:  # OpenSSL would ask for it, on the terminal
            raise ConfigError(f"the key in {path} has a passphrase, and a service cannot be asked for one")
    try:
        security.get_connection_args("client")
    except ssl.SSLError as error:
        names = ", ".join(map(str, paths))
        reason = error.reason or "no PEM"
        raise ConfigError(f"certificates and key do not go together, or are none ({reason}): {names}") from None
    return security


def _greet(host: str, port: int, context: ssl.SSLContext, seconds: float) -> None:
    """Connect once by ourselves: Dask would not say what is wrong, and try again until the time is over."""
    failure: Error
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.recv(1)  # a scheduler speaks first; with TLS 1.3 it refuses a certificate only here
            return
    except ssl.SSLCertVerificationError as error:
        failure = AuthenticationFailed(
            f"the scheduler's certificate is not accepted: {error.verify_message}", hint=_CERTIFICATES_HINT
        )
    except ssl.SSLError as error:
        failure = AuthenticationFailed(
            f"the scheduler refuses our certificate, or does not speak TLS ({error.reason})", hint=_CERTIFICATES_HINT
        )
    except OSError as error:
        failure = BackendUnavailable(
            f"the Dask scheduler is not reachable: {error.strerror or 'it does not answer'}",
            retryable=True,
            hint=_REACHABLE_HINT,
        )
    except UnicodeError:  # a label that is empty or too long; it holds the name
        failure = ConfigError("the Dask scheduler is named by something that no host is called")
    raise failure


class Cluster:
    """The workers of one scheduler. Every method raises BackendUnavailable where the scheduler is lost."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def check(self, seconds: float) -> None:
        """Wait for a first worker; raises ConfigError where one, or the scheduler, has another version, or none."""
        with self._told_as_ours():
            self._client.wait_for_workers(1, timeout=seconds)
            # A function of the standard library: it is there, whatever else is not.
            versions = self._client.run(metadata.version, _PACKAGE, on_error="return")
            try:
                versions["the scheduler"] = self._client.run_on_scheduler(metadata.version, _PACKAGE)
            except metadata.PackageNotFoundError as error:  # it reads the names of functions, too
                versions["the scheduler"] = error
        for where, version in versions.items():
            _check_version(where, None if isinstance(version, Exception) else version, _version())

    def workers(self) -> list[str]:
        """The addresses of those that are there now."""
        with self._told_as_ours():
            return sorted(self._client.nthreads())

    def submit(self, function: Callable[..., Any], *arguments: object, worker: str | None = None) -> Future:
        """Have a function of this package run, on any worker or on that one. It must bear being begun twice."""
        with self._told_as_ours():
            # Not pure: an answer of before is of no use.
            future = self._client.submit(run_on_worker, _version(), function, *arguments, workers=worker, pure=False)
        return cast("Future", future)

    def wait(self, futures: Collection[Future], seconds: float) -> list[Future]:
        """Those that are done; waits for one, or so long."""
        until = time.monotonic() + seconds
        while not (done := [future for future in futures if future.done()]) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_SECONDS)  # at what is known here: nobody is asked
        return done

    def cancel(self, futures: Iterable[Future]) -> None:
        """Nobody wants them any more: those that run end where they next ask is_wanted()."""
        with self._told_as_ours():
            self._client.cancel(list(futures))

    def result(self, future: Future) -> Any:
        """What the function answered, when it is done; an error of ours says which worker it came from."""
        with self._told_as_ours():
            answer = cast("_Answer", future.result())
        if answer.error is not None:
            answer.error.args = (f"{answer.error} (worker {answer.worker})", *answer.error.args[1:])
            raise answer.error
        if answer.bug is not None:
            _log.warning("worker %s failed: %s", answer.worker, answer.bug)
            raise WorkerFailed(answer.worker)
        return answer.value

    def on_each(self, function: Callable[..., T], *arguments: object, seconds: float) -> Mapping[str, T]:
        """The answers of all workers, by address; BackendUnavailable where one takes so long, or none is there."""
        futures = {self.submit(function, *arguments, worker=worker): worker for worker in self.workers()}
        if not futures:
            raise BackendUnavailable("the Dask cluster has no workers", retryable=True, hint=_REACHABLE_HINT)
        answers: dict[str, T] = {}
        waiting = set(futures)
        while waiting:
            done = self.wait(waiting, seconds)
            if not done:
                late = futures[next(iter(waiting))]
                raise BackendUnavailable(f"worker {late} does not answer", retryable=True, hint=_REACHABLE_HINT)
            for future in done:
                waiting.discard(future)
                answers[futures[future]] = self.result(future)
        return answers

    def have_all(self, function: Callable[..., Coroutine[Any, Any, object]], *arguments: object) -> None:
        """Have all workers run a coroutine now, beside what they are doing."""
        with self._told_as_ours():
            self._client.run(function, *arguments, on_error="ignore")

    def listen(self, topic: str, handler: Callable[[dict[str, Any]], object]) -> None:
        """Have ``handler`` called, in another thread, with what functions tell() under that topic."""
        with self._told_as_ours():
            self._client.subscribe_topic(topic, lambda event: handler(event[1]))

    @contextmanager
    def _told_as_ours(self) -> Iterator[None]:
        with _told_as_ours():
            if self._client.status in ("closing", "closed"):  # it gave up reconnecting
                raise ConnectionError
            yield


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Dask's own failures, as errors of ours."""
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    failure: Error
    try:
        yield
    except KilledWorker:
        failure = BackendUnavailable(
            "one worker after the other ended over the same piece of work",
            retryable=False,
            hint="their logs, or the kernel's, say why: too little memory, or a module that crashes",
        )
    except (OSError, CancelledError):  # TimeoutError is an OSError
        failure = BackendUnavailable(
            "the Dask scheduler went away, or has no workers", retryable=True, hint=_REACHABLE_HINT
        )
    else:
        return
    raise failure


def _version() -> str:
    return metadata.version(_PACKAGE)


def _check_version(where: str, version: str | None, ours: str) -> None:
    if version != ours:
        raise ConfigError(
            f"{where} has {_PACKAGE} {version}, and here it is {ours}" if version else f"{where} has no {_PACKAGE}",
            hint=f"install {_PACKAGE}[distributed] {ours} on the scheduler and on every worker",
        )


# -- on a worker -------------------------------------------------------------------------------------------------


def run_on_worker(version: str, function: Callable[..., Any], *arguments: object) -> _Answer:
    """What every task of ours is. Workers may come after Cluster.check(), so it looks at the version, too."""
    from distributed import Reschedule, get_worker

    here = get_worker().address
    try:
        _check_version(here, _version(), version)
        return _Answer(here, value=function(*arguments))
    except Error as error:
        return _Answer(here, error=error)
    except Reschedule:
        raise
    except Exception as error:  # noqa: BLE001 - no text of another's exception travels: it may quote what it is about
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return _Answer(here, bug=f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")


def tell(topic: str, message: dict[str, Any]) -> None:
    """Say how far a task is, to whom listens; numbers and names only, which the scheduler keeps for a while."""
    from distributed import get_worker

    get_worker().log_event(topic, message)


def is_wanted() -> bool:
    """Asked now and then by a long task: whether its client is still there, and this worker not about to end."""
    from distributed import Status, get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state not in ("executing", "long-running"):
        return False
    return worker.status in (Status.running, Status.paused)


def give_up() -> NoReturn:
    """End a task that is not wanted here; where the client does want it, another worker begins it anew."""
    from distributed import Reschedule

    raise Reschedule
