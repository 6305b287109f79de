# SPDX-License-Identifier: Apache-2.0
"""The baseline file: what a key did when somebody said that it was fine, and why. Small JSON, meant to be committed.

Schema: bench/schemas/baseline-1.json. It is written on purpose only, with a reason, and never after a wrong answer.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealpass import __version__
from sealpass.bench import published
from sealpass.bench.gate.decision import MIN_PROCESSES
from sealpass.bench.gate.figures import MIN_WARM_LONG, MOST_SECONDS, Figures
from sealpass.bench.report.files import write_all
from sealpass.core.errors import ConfigError

SCHEMA = "sealpass.baseline/1"
_SCHEMA_FILE = "baseline-1.json"
_MAKE_AGAIN = "restore it from version control; or remove it, and make it again with --update-baseline REASON"
_ANOTHER_FILE = "--baseline names the file that --update-baseline REASON writes; results go into --out DIRECTORY"
_CONFLICT = b"<<<<<<< "
_LATER = re.compile(r"sealpass\.baseline/[0-9]{1,9}")
_GATE = "sealpass.gate/1"
_RESULTS = {"sealpass.run/1": "bench run", "sealpass.qualification/1": "qualify"}
"""What writes other documents, by their schema; of a gate their kind says it."""
PROCESSES = 12
"""How many count in a new one: its own error is in every later comparison."""
_MAX_BYTES = 1_000_000
_MOST_LOG_RATIO = 12.0
"""160 thousand times as long as the reference, or as short: no device."""
_LOG_RATIO_ERROR = 1e-3
"""What rounding leaves between the logarithm and the medians, which are whole nanoseconds."""
_LONGEST_PAIR_NS = 4e9 * MOST_SECONDS / MIN_WARM_LONG
"""Of both medians together. Six of a dozen operations take their median or longer, and all but the last fit into the
time of a process: so a third of this is the most that is measured."""
_HOST = ("cpu", "cores", "machine", "system", "cryptography", "openssl")
"""What makes hosts unlike: the processor, and the library that does the reference operation."""
_MODULE = ("module", "library manufacturer", "library version", "token model", "token firmware")
"""What makes modules unlike; not the label or the serial number of one token."""
_OPERATION = ("bits", "mode", "alg")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline as it is in its file."""

    taken: str
    """UTC, as in all result files."""
    device: Mapping[str, Any]
    reference: Mapping[str, Any]
    host: Mapping[str, Any]
    processes: Sequence[Figures]
    history: Sequence[Mapping[str, Any]]
    """The reason of every update, the latest last."""

    def to_dict(self) -> dict[str, Any]:
        """For the file."""
        return {
            "schema": SCHEMA,
            "tool": {"name": "sealpass", "version": __version__},
            "taken": self.taken,
            "device": dict(self.device),
            "reference": dict(self.reference),
            "host": dict(self.host),
            "processes": [one.to_dict() for one in self.processes],
            "history": [dict(one) for one in self.history],
        }

    def save(self, path: Path) -> None:
        """Replace the file in one step; raises ConfigError."""
        write_all({path: json.dumps(self.to_dict(), indent=2) + "\n"})


def load(path: Path, hint: str | None = None) -> Baseline:
    """Read a baseline; raises ConfigError, with ``hint`` where there is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no baseline {path}", hint=hint) from None
    except OSError as error:
        raise ConfigError(f"cannot read the baseline {path}: {error.strerror}") from None
    document = _parsed(path, content)
    fault = published.fault(document, _SCHEMA_FILE)
    if fault is not None:
        raise ConfigError(f"{path} is not a {SCHEMA} file: wrong at {fault}", hint=_MAKE_AGAIN)
    processes = [Figures.from_dict(one) for one in document["processes"]]
    for number, one in enumerate(processes):
        if not _adds_up(one):
            raise ConfigError(f"{path}: the figures of processes[{number}] do not add up", hint=_MAKE_AGAIN)
        if any(one.errors.values()):
            raise ConfigError(f"{path}: operations of processes[{number}] failed", hint=_MAKE_AGAIN)
    if sum(one.counts for one in processes) < MIN_PROCESSES:
        raise ConfigError(f"{path}: fewer than {MIN_PROCESSES} of its processes count", hint=_MAKE_AGAIN)
    return Baseline(
        document["taken"], document["device"], document["reference"], document["host"], processes, document["history"]
    )


def _parsed(path: Path, content: bytes) -> Any:
    """The JSON of a baseline's schema; raises ConfigError, which says what is there instead, but no value."""
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than any baseline", hint=_ANOTHER_FILE)
    if not content.strip():
        raise ConfigError(f"the baseline {path} is empty", hint=_MAKE_AGAIN)
    if _CONFLICT in content:
        hint = "resolve it by taking one side whole: figures of two files do not mix"
        raise ConfigError(f"the baseline {path} holds the marks of a merge conflict", hint=hint)
    try:
        document = published.loads(content)
        json.dumps(document, ensure_ascii=False, default=str).encode("utf-8")
    except json.JSONDecodeError as error:
        text = error.doc.rstrip()
        if text.startswith("{") and (error.pos >= len(text) or not text.endswith("}")):
            raise ConfigError(f"the baseline {path} was cut off: its JSON has no end", hint=_MAKE_AGAIN) from None
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{path} is not JSON ({where}), and so no baseline", hint=_ANOTHER_FILE) from None
    except (ValueError, RecursionError):
        # Not UTF-8, half a character, a thousand lists inside each other.
        raise ConfigError(f"the baseline {path} cannot be read as JSON", hint=_MAKE_AGAIN) from None
    members = document if isinstance(document, dict) else {}
    if members.get("schema") == SCHEMA:
        return document
    schema, kind = (value if isinstance(value, str) else "" for value in map(members.get, ("schema", "kind")))
    if _LATER.fullmatch(schema):
        hint = "upgrade sealpass; or remove the file, and make it again with --update-baseline REASON"
        raise ConfigError(f"the baseline {path} was written by a later sealpass, in another form", hint=hint)
    command = f"bench {kind}" if schema == _GATE and kind in {"gate", "compare"} else _RESULTS.get(schema)
    if command is not None:
        raise ConfigError(f"{path} is a result of 'sealpass {command}', and not a baseline", hint=_ANOTHER_FILE)
    raise ConfigError(f"{path} is JSON of another kind, and not a baseline", hint=_ANOTHER_FILE)


def _adds_up(figures: Figures) -> bool:
    """Whether figures can be of one process."""
    if not 0 <= figures.slow <= figures.witnessed <= figures.pairs or not 0 <= figures.warm <= figures.pairs:
        return False
    device, reference = figures.device_median_ns, figures.reference_median_ns
    if figures.log_ratio is None or not device or not reference:
        return not figures.counts
    if min(device, reference) < 0 or device + reference > _LONGEST_PAIR_NS:
        return False
    ratio = math.log(device / reference)
    return abs(ratio) <= _MOST_LOG_RATIO and abs(figures.log_ratio - ratio) < _LOG_RATIO_ERROR


def updated(old: Baseline | None, measured: Baseline, reason: str, ratio: float) -> Baseline:
    """The measured one with the history of the old one and one more entry."""
    entry = {
        "at": measured.taken,
        "reason": reason,
        "version": __version__,
        "key_id": measured.device["key_id"],
        "ratio": round(ratio, 4),
    }
    history = [*(old.history if old is not None else ()), entry]
    return Baseline(measured.taken, measured.device, measured.reference, measured.host, measured.processes, history)


def another_host(baseline: Baseline, host: Mapping[str, Any]) -> list[str]:
    """What makes this machine another one than the baseline's, so that their ratios cannot be compared."""
    return [
        f"{name} was {baseline.host.get(name)} and is {host.get(name)}"
        for name in _HOST
        if baseline.host.get(name) != host.get(name)
    ]


def another_operation(baseline: Baseline, device: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """What makes this another operation than the baseline's: the key, how it is used, or what it is held against."""
    found = [
        f"{name} of the key was {baseline.device.get(name)} and is {device[name]}"
        for name in _OPERATION
        if baseline.device.get(name) != device[name]
    ]
    if baseline.reference.get("key_id") != reference["key_id"]:
        found.append("the reference is another key")
    return found


def another_module(baseline: Baseline, device: Mapping[str, Any]) -> list[str]:
    """What is new about the device: worth telling, and often the reason why one gates."""
    old, new = (facts["module"]["values"] or {} for facts in (baseline.device, device))
    return [f"{name} was {old.get(name)} and is {new.get(name)}" for name in _MODULE if old.get(name) != new.get(name)]
