# SPDX-License-Identifier: Apache-2.0
"""What is asked of a run: settings, from a TOML file or a command line, and checked once."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sealpass.bench.load.operations import HASHING, UNWRAPPING, Name, check_payloads
from sealpass.bench.load.worker import GARBAGE_COLLECTOR
from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY, Argon2Parameters
from sealpass.core.contract import PROFILES
from sealpass.core.errors import ConfigError

MAX_THREADS = 1024
MAX_PROCESSES = 256
MAX_SECONDS = 604_800
"""Of a measurement, a warm-up or a rate that is held: a week."""
MIN_RATE, MAX_RATE = 1e-7, 1e7
"""A second, in an open loop: of less there is no second start in MAX_SECONDS, and more no thread of ours begins."""
MAX_REPEAT = 1000
MAX_MEASUREMENTS = 10_000
"""Of a run, for each of its keys."""
MAX_SEED = 2**32 - 1
MAX_PAYLOAD_BYTES = 4096
"""What a device seals at most; of a token less, because a token has at most 8 KiB."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A run as it was asked for; raises ConfigError for what makes none. The names are those of a scenario file."""

    keys: tuple[str, ...] = ()
    """URIs of the keys that are measured, side by side."""
    seal_key: str | None = None
    """URI of the key of the records: for ``login``, and beside keys that unwrap."""
    operations: tuple[Name, ...] = ()
    """Empty: ``unwrap``, or ``open`` where no key unwraps."""
    threads: tuple[int, ...] = (1,)
    """Of each process."""
    sessions: tuple[int, ...] = ()
    """Of each process, where a device has sessions (PKCS#11). Empty: as the URI says."""
    processes: tuple[int, ...] = (1,)
    payload_bytes: tuple[int, ...] = (64,)
    seconds: float = 10.0
    """Of each measurement."""
    repeat: int = 1
    rate_per_s: float | None = None
    """None: a closed loop."""
    shared_schedule: bool = True
    """Open loop: threads take the next start from one list, as a pool of workers does. False: each has its own."""
    warm_up_min_s: float = 0.5
    warm_up_max_s: float = 10.0
    profile: str = "sealpass"
    allow_sha1: bool = False
    hashing: Argon2Parameters = RFC_9106_LOW_MEMORY
    seed: int = 1
    raw: bool = False
    """Whether the document holds every service time."""

    def __post_init__(self) -> None:
        _check_axis("threads", self.threads, MAX_THREADS)
        _check_axis("sessions", self.sessions, MAX_THREADS, may_be_empty=True)
        _check_axis("processes", self.processes, MAX_PROCESSES)
        _check_axis("payload_bytes", self.payload_bytes, MAX_PAYLOAD_BYTES)
        if not 0 < self.seconds <= MAX_SECONDS:
            raise ConfigError(f"a measurement takes more than 0 seconds, and at most {MAX_SECONDS}")
        if not 1 <= self.repeat <= MAX_REPEAT:
            raise ConfigError(f"repeat is from 1 to {MAX_REPEAT}")
        if self.rate_per_s is not None and not MIN_RATE <= self.rate_per_s <= MAX_RATE:
            raise ConfigError(f"the rate of an open loop is from {MIN_RATE:g} to {MAX_RATE:g} operations a second")
        if not 0 <= self.warm_up_min_s <= self.warm_up_max_s <= MAX_SECONDS:
            raise ConfigError(
                f"the warm-up takes from min_seconds to max_seconds, not less than 0 and at most {MAX_SECONDS}"
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"the seed is from 0 to {MAX_SEED}")
        axes = (self.operations, self.threads, self.sessions, self.processes, self.payload_bytes)
        count = self.repeat * math.prod(max(1, len(values)) for values in axes)
        if count > MAX_MEASUREMENTS:
            raise ConfigError(f"these are {count} measurements of each key, and {MAX_MEASUREMENTS} are the most")
        if self.profile not in PROFILES:
            raise ConfigError(f"no profile '{self.profile}'", hint=f"profiles: {', '.join(PROFILES)}")
        check_payloads(self.operations, PROFILES[self.profile], self.payload_bytes)

    def to_dict(self, operations: tuple[Name, ...]) -> dict[str, Any]:
        """For the result document; ``operations`` are those that were settled on. Keys stand there as devices."""
        is_open, hashing = self.rate_per_s is not None, self.hashing
        costs = {"memory_kib": hashing.memory_kib, "passes": hashing.passes, "lanes": hashing.lanes}
        return {
            "operations": [name.value for name in operations],
            "load": "open" if is_open else "closed",
            "rate_per_s": self.rate_per_s,
            "schedule": ("shared" if self.shared_schedule else "per-thread") if is_open else None,
            "threads": list(self.threads),
            "sessions": list(self.sessions) or None,
            "processes": list(self.processes),
            "payload_bytes": list(self.payload_bytes),
            "seconds": self.seconds,
            "repeat": self.repeat,
            "warm_up": {"min_seconds": self.warm_up_min_s, "max_seconds": self.warm_up_max_s},
            "profile": self.profile if UNWRAPPING & set(operations) else None,
            "allow_sha1": self.allow_sha1,
            "hashing": costs if HASHING & set(operations) else None,
            "raw": self.raw,
            "garbage_collector": GARBAGE_COLLECTOR,
        }


def _check_axis(name: str, values: tuple[int, ...], most: int, *, may_be_empty: bool = False) -> None:
    if not values and not may_be_empty:
        raise ConfigError(f"{name} needs at least one value")
    if any(not 1 <= value <= most for value in values):
        raise ConfigError(f"{name} has values from 1 to {most}")
    if len(set(values)) < len(values):
        raise ConfigError(f"{name} has a value twice")


# -- scenario files ------------------------------------------------------------------------------------------------

_TEXTS = ("keys", "operations")
_NUMBERS = ("threads", "sessions", "processes", "payload_bytes")
_TABLES = {"warm_up": ("min_seconds", "max_seconds"), "argon2": ("memory_kib", "passes", "lanes")}
_KINDS: dict[str, tuple[type, ...]] = {
    "seal_key": (str,),
    "seconds": (int, float),
    "repeat": (int,),
    "rate_per_s": (int, float),
    "shared_schedule": (bool,),
    "profile": (str,),
    "allow_sha1": (bool,),
    "seed": (int,),
    "raw": (bool,),
}


def read_scenario(path: Path) -> Settings:
    """Read a scenario file (docs/load.md says what stands in one); raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the scenario {path}: {reason}") from None
    try:
        return parse_scenario(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the scenario {path} is not TOML: {error}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        # A number of thousands of digits, lists in lists in lists: TOML, and no scenario.
        raise ConfigError(f"the scenario {path} cannot be read: {type(error).__name__}") from None


def parse_scenario(given: Mapping[str, Any]) -> Settings:
    """The settings of a scenario; raises ConfigError for a name or a type that is not in its schema."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in _TABLES:
            found |= _table(name, value)
        elif name in (*_TEXTS, *_NUMBERS):
            found[name] = _list(name, value, str if name in _TEXTS else int)
        elif name in _KINDS:
            if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) and bool not in _KINDS[name]):
                raise ConfigError(f"scenario: {name} has a value of the wrong type")
            found[name] = value
        else:
            known = ", ".join(sorted((*_TEXTS, *_NUMBERS, *_KINDS, *_TABLES)))
            raise ConfigError(f"scenario: no setting '{name}'", hint=f"settings: {known}")
    found["operations"] = tuple(operation_named(name) for name in found.get("operations", ()))
    return Settings(**found)


def operation_named(name: str) -> Name:
    """Look an operation up; raises ConfigError."""
    try:
        return Name(name)
    except ValueError:
        raise ConfigError(f"no operation '{name}'", hint=f"operations: {', '.join(Name)}") from None


def _list(name: str, value: object, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or any(type(item) is not kind for item in value):
        raise ConfigError(f"scenario: {name} is a list of {'texts' if kind is str else 'whole numbers'}")
    return tuple(value)


def _table(name: str, value: object) -> dict[str, Any]:
    known = _TABLES[name]
    if not isinstance(value, dict) or not value.keys() <= set(known):
        raise ConfigError(f"scenario: [{name}] has {', '.join(known)}")
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in value.values()):
        raise ConfigError(f"scenario: [{name}] has numbers only")
    if name == "warm_up":
        return {f"warm_up_{key.removesuffix('_seconds')}_s": number for key, number in value.items()}
    if any(not isinstance(item, int) for item in value.values()):
        raise ConfigError(f"scenario: [{name}] has whole numbers only")
    return {"hashing": replace(RFC_9106_LOW_MEMORY, **value)}
