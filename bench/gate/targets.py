# SPDX-License-Identifier: Apache-2.0
"""``targets.toml``: how fast a key has to be for the logins of a site, by backend.

docs/targets.toml is a worked example. The rate of logins and their slowest hundredth come from the business; what a
device has to bear is the same number, because one login opens one token.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealpass.bench.report.outline import printable
from sealpass.core.errors import ConfigError

DEFAULT_SLACK = 1.5
"""A quiet machine's absolute speed fell by 1.4 times within minutes; a tighter limit would fail for nothing."""
OTHERS = "default"
"""The table for backends without one of their own."""
_BACKENDS = ("pkcs11", "awskms", "keystore", "software", OTHERS)
_EXAMPLE = "a table a backend: [pkcs11], logins-per-second = 100, p99-ms = 50; docs/targets.toml is an example"
_SLACK = (1, 100)
_BOUNDS = {
    "logins-per-second": (0.001, 100_000),
    "p99-ms": (0.001, 600_000),
    "minimum-per-second": (0.001, 1_000_000),
    "threads": (1, 1024),
    "seconds": (0.1, 604_800),
}
"""Of each setting: what lies outside was never meant. Of threads the load engine has no more."""
_MAX_BYTES = 100_000
_SHOWN = 40
"""Characters of a name that nobody knows."""


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
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than any targets file", hint=_EXAMPLE)
        document = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no targets file {path}", hint=_EXAMPLE) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the targets {path}: {reason}", hint=_EXAMPLE) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the targets {path} are not TOML: {error}", hint=_EXAMPLE) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a thousand lists inside each other
        raise ConfigError(f"the targets {path} cannot be read as TOML", hint=_EXAMPLE) from None
    hint = f"slack = {DEFAULT_SLACK} lets a limit be missed by a half"
    slack = _number(document.pop("slack", DEFAULT_SLACK), _SLACK, f"{path}: slack", hint)
    unknown = [name for name, table in document.items() if name not in _BACKENDS or not isinstance(table, dict)]
    if unknown or not document:
        raise ConfigError(
            f"{path}: {_shown(unknown[0])} is no table of a backend"
            if unknown
            else f"{path} has no table of a backend",
            hint=f"tables: {', '.join(_BACKENDS)}; besides slack = {DEFAULT_SLACK}",
        )
    return Targets(slack, {backend: _target(path, backend, table) for backend, table in document.items()})


def _target(path: Path, backend: str, table: Mapping[str, Any]) -> Target:
    where = f"{path}: [{backend}]"
    for name in table:
        if name not in _BOUNDS:
            raise ConfigError(f"{where} has no setting {_shown(name)}", hint=f"settings: {', '.join(_BOUNDS)}")
    found = {name: _number(value, _BOUNDS[name], f"{where} {name}") for name, value in table.items()}
    for name in ("logins-per-second", "p99-ms"):
        if name not in found:
            raise ConfigError(f"{where} has no {name}", hint=_EXAMPLE)
    threads = found.get("threads", 4)
    if threads != int(threads):
        raise ConfigError(f"{where} threads is a whole number", hint=_EXAMPLE)
    return Target(
        backend,
        found["logins-per-second"],
        found["p99-ms"],
        found.get("minimum-per-second"),
        int(threads),
        found.get("seconds", 5.0),
    )


def _number(value: object, bounds: tuple[float, float], name: str, hint: str = _EXAMPLE) -> float:
    least, most = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{name} is a number from {least} to {most}", hint=hint)
    return float(value)


def _shown(name: str) -> str:
    """A name out of the file, which may be of any characters and any length."""
    return f"'{printable(name[:_SHOWN])}'"
