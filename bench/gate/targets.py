# SPDX-License-Identifier: Apache-2.0
"""``targets.toml``: how fast a key has to be for the logins of a site, by backend.

docs/targets.toml is a worked example. The rate of logins and their slowest hundredth come from the business; what a
device has to bear is the same number, because one login opens one token.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealpass.core.errors import ConfigError

DEFAULT_SLACK = 1.5
"""A quiet machine's absolute speed fell by 1.4 times within minutes; a tighter limit would fail for nothing."""
OTHERS = "default"
"""The table for backends without one of their own."""
_BACKENDS = ("pkcs11", "awskms", "keystore", "software", OTHERS)
_EXAMPLE = "a table a backend: [pkcs11], logins-per-second = 100, p99-ms = 50; docs/targets.toml is an example"
_NAMES = ("logins-per-second", "p99-ms", "minimum-per-second", "threads", "seconds")


@dataclass(frozen=True, slots=True)
class Target:
    """What a key of one backend has to do."""

    backend: str
    logins_per_s: float
    """Tokens that arrive in a second, however long the ones before take."""
    p99_ms: float
    """99 of 100 are opened within this, waiting included, at that rate."""
    minimum_per_s: float | None = None
    """What the key has to do at least with all threads busy: the reserve."""
    threads: int = 4
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Targets:
    """A targets file."""

    slack: float
    by_backend: Mapping[str, Target]

    def of(self, backend: str) -> Target:
        """The target of a backend, which is a scheme; raises ConfigError where there is none."""
        target = self.by_backend.get(backend) or self.by_backend.get(OTHERS)
        if target is None:
            raise ConfigError(f"the targets have no table for {backend}", hint=f"add [{backend}], or [{OTHERS}]")
        return target


def load(path: Path) -> Targets:
    """Read a targets file; raises ConfigError, which names what is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no targets file {path}", hint=_EXAMPLE) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the targets {path}: {reason}", hint=_EXAMPLE) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the targets {path} are not TOML: {error}", hint=_EXAMPLE) from None
    slack = _number(document.pop("slack", DEFAULT_SLACK), "slack")
    if slack < 1:
        hint = f"slack = {DEFAULT_SLACK} lets a limit be missed by a half"
        raise ConfigError("targets: slack is 1 or more", hint=hint)
    unknown = [name for name, table in document.items() if name not in _BACKENDS or not isinstance(table, dict)]
    if unknown or not document:
        raise ConfigError(
            f"{path} has no table of a backend" if not unknown else f"{path}: '{unknown[0]}' is no table of a backend",
            hint=f"tables: {', '.join(_BACKENDS)}; besides slack = {DEFAULT_SLACK}",
        )
    return Targets(slack, {backend: _target(backend, table) for backend, table in document.items()})


def _target(backend: str, table: Mapping[str, Any]) -> Target:
    for name in table:
        if name not in _NAMES:
            raise ConfigError(f"targets: [{backend}] has no setting '{name}'", hint=f"settings: {', '.join(_NAMES)}")
    found = {name: _number(value, f"[{backend}] {name}") for name, value in table.items()}
    for name in ("logins-per-second", "p99-ms"):
        if name not in found:
            raise ConfigError(f"targets: [{backend}] has no {name}", hint=_EXAMPLE)
    threads = found.get("threads", 4)
    if threads != int(threads):
        raise ConfigError(f"targets: [{backend}] threads is a whole number", hint=_EXAMPLE)
    return Target(
        backend,
        found["logins-per-second"],
        found["p99-ms"],
        found.get("minimum-per-second"),
        int(threads),
        found.get("seconds", 5.0),
    )


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"targets: {name} is a number above 0", hint=_EXAMPLE)
    return float(value)
