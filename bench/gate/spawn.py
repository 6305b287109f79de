# SPDX-License-Identifier: Apache-2.0
"""Fresh processes: each opens the key anew, so that luck with heap, session or page is drawn anew as well."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sealpass import __version__
from sealpass.bench import published
from sealpass.bench.gate.figures import PROTOCOL, Figures, Recording, figures
from sealpass.bench.report.outline import printable
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    KeyNotFound,
    UnsupportedAlgorithm,
)

_PATIENCE_SECONDS = 35.0
"""For starting, opening the key, warming up and measuring."""
_END_SECONDS = 57.0
"""So long after a gate or a comparison began its last process is given up: it ends within a minute."""
_LEAST_SECONDS = 1.0
_SENT = (ConfigError, KeyNotFound, UnsupportedAlgorithm, AuthenticationFailed)
INTERNAL = "internal"
"""The code of an error that is sealpass's own."""
_SERIES = ("device_ns", "reference_ns", "device_cpu_ns", "marks")
_FACTS = ("device", "reference", "host")


class FreshProcessError(Exception):
    """A bug of sealpass in a fresh process. Its text is the type of an exception and its place, and quotes nothing."""

    is_printable = True
    """To whoever reports bugs: this text may be shown."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one process is asked to measure."""

    uri: str
    """Without secrets: a PIN comes from its source, in the process."""
    reference: str | None = None
    """See :func:`~sealpass.bench.gate.operation.reference_operation`."""
    seconds: float = 0.8
    warm: int = 150
    """It goes on until so many pairs are warm ..."""
    most_seconds: float = 5.0
    """... or this has passed."""
    force_login: bool = False
    patience: float = _PATIENCE_SECONDS
    """Seconds after which the process is given up."""

    def by(self, began: float) -> "Request":
        """The same, given up in time for a gate that ``began`` then, on the clock of ``time.monotonic``."""
        left = began + _END_SECONDS - time.monotonic()
        return replace(self, patience=max(_LEAST_SECONDS, min(self.patience, left)))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process found."""

    figures: Figures
    device: dict[str, Any]
    reference: dict[str, Any]
    host: dict[str, Any]
    version: str = __version__
    """Of the sealpass that measured."""


def worker_command(python: str = sys.executable) -> list[str]:
    """The command of a process; of another installation where ``python`` is its interpreter."""
    # -P: what lies in the current directory is not to be imported where PINs are read. -E: another installation is not
    # to be replaced by what PYTHONPATH names.
    isolation = ["-P"] if python == sys.executable else ["-P", "-E"]
    return [python, *isolation, "-m", "sealpass.bench.gate.worker"]


def measure(request: Request, command: Sequence[str] | None = None) -> Measured:
    """Run one process to its end; raises operator errors, those of the process included."""
    try:
        child = subprocess.run(  # noqa: S603 - our own module
            command or worker_command(),
            input=json.dumps(asdict(request)).encode("ascii"),
            capture_output=True,
            check=False,
            timeout=request.patience,
        )
    except subprocess.TimeoutExpired:
        raise BackendUnavailable("the device did not answer a fresh process in time", retryable=True) from None
    except OSError as error:
        hint = "name the interpreter of an installation of sealpass, such as before/bin/python"
        raise ConfigError(f"cannot start {(command or worker_command())[0]}: {error.strerror}", hint=hint) from None
    try:
        answer = json.loads(child.stdout)
    except (ValueError, RecursionError):  # also what is not UTF-8
        answer = None
    if not isinstance(answer, dict):
        # Its words may quote anything, so none of them is told.
        raise _broken(child.returncode, child.stderr)
    if _is_error(answer.get("error")):
        raise _error(answer["error"])
    if answer.get("protocol") != PROTOCOL or not _is_whole(answer):
        version = answer.get("version")
        raise ConfigError(
            f"the sealpass that measured ({printable(version) if isinstance(version, str) else 'an early one'}) answers"
            f" in another form than {__version__}",
            hint="run the comparison from the later of the two versions, or compare versions nearer to each other",
        )
    recording = Recording(*(answer[name] for name in (*_SERIES, "errors")))
    return Measured(figures(recording), answer["device"], answer["reference"], answer["host"], answer["version"])


def _is_error(sent: Any) -> bool:
    """Whether it has the members of an error."""
    return (
        isinstance(sent, dict)
        and isinstance(sent.get("code"), str)
        and isinstance(sent.get("message"), str)
        and isinstance(sent.get("hint"), str | None)
    )


def _is_whole(answer: dict[str, Any]) -> bool:
    """Whether an answer has all members of its form."""
    series: list[Any] = [answer.get(name) for name in _SERIES]
    errors = answer.get("errors")
    return (
        all(isinstance(one, list) and all(type(value) is int and value >= 0 for value in one) for one in series)
        and len(set(map(len, series))) == 1
        and isinstance(errors, dict)
        and all(type(count) is int and count >= 0 for count in errors.values())
        and isinstance(answer.get("version"), str)
        and all(isinstance(answer.get(name), dict) and answer[name].keys() >= _required(name) for name in _FACTS)
    )


def _required(facts: str) -> set[str]:
    """What facts have to hold, as in the baseline that is made of them; those of another version may hold more."""
    return set(published.schema("baseline-1.json")["$defs"][facts]["required"])


def _error(sent: dict[str, Any]) -> Exception:
    """The error that a process sent, in its class."""
    if sent["code"] == INTERNAL:
        return FreshProcessError(f"{printable(sent['message'])} in a fresh process")
    if sent["code"] == BackendUnavailable.code:
        return BackendUnavailable(sent["message"], retryable=True, hint=sent.get("hint"))
    kind = next((kind for kind in _SENT if kind.code == sent["code"]), ConfigError)
    return kind(sent["message"], hint=sent.get("hint"))


def _broken(status: int, words: bytes) -> Error:
    if b"No module named" in words:
        return ConfigError(
            "the interpreter has no sealpass with a gate", hint="install this version, or a later one, for it"
        )
    if status < 0:
        return BackendUnavailable(
            f"the device's module ended a fresh process with signal {-status}",
            retryable=False,
            hint="a fault of the module, whatever the key: try its other versions with 'sealpass doctor URI'",
        )
    return ConfigError(
        f"a fresh process ended with status {status} and no answer",
        hint="'sealpass doctor URI' tries the key alone; of an interpreter after --python,"
        " 'PYTHON -m sealpass --version' says whether it has a sealpass",
    )
