# SPDX-License-Identifier: Apache-2.0
"""From a file to a Configuration, or to one error with everything that is wrong with the file."""

import ast
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sealpass.backends.registry import uri_without_secrets
from sealpass.core.argon2_hash import HASHING_PROFILES, RFC_9106_LOW_MEMORY, Argon2Ceilings, Argon2Parameters
from sealpass.core.contract import profile_named
from sealpass.core.errors import ConfigError
from sealpass.core.jwe_profile import AIRLOCK_JWE
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.nonces import Purpose
from sealpass.core.profile import Profile
from sealpass.service.configuration.check import missing_steps
from sealpass.service.configuration.findings import (
    ConfigurationRefused,
    Finding,
    FindingCode,
    Locations,
    Severity,
    own_hint,
    written,
)
from sealpass.service.configuration.positions import KeyPath, Position
from sealpass.service.configuration.shape import find_breaches
from sealpass.service.configuration.values import (
    Configuration,
    DatabaseSettings,
    HashingSettings,
    NonceSettings,
    PolicySettings,
    RingSettings,
    StepSettings,
)
from sealpass.service.database import database_url
from sealpass.service.policy import Normalisation, PasswordPolicy
from sealpass.service.repository import DEFAULT_LETTER_LIFETIME, DEFAULT_LOCK_OUT
from sealpass.service.storage import LockOut

MAX_FILE_BYTES = 1024 * 1024
_COSTS = ("memory-kib", "passes", "lanes")
_DECLARED_TWICE = re.compile(r"Cannot declare (\(.*\)) twice")
_SYNTAX_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)\Z")

T = TypeVar("T")


def read_configuration(path: Path | str) -> Configuration:
    """Read a file. Opens no key and no database.

    Raises ConfigurationRefused with everything that is wrong in the file, and ConfigError where there is none to read.
    """
    path = Path(path).absolute()
    document = _text(path)
    try:
        tables = tomllib.loads(document)
        locations = Locations(document)  # which goes deeper into the stack than the parser
        reader = _Reader(path, tables, locations)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationRefused(path, [_syntax_error(str(error), document)]) from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    return reader.read()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    if len(octets) > MAX_FILE_BYTES:
        raise ConfigError(f"the configuration {path} has over {MAX_FILE_BYTES} bytes", hint="is it the right file?")
    text = octets.decode("utf-8", "replace")  # the error of a strict decode() would hold the file
    if text.encode("utf-8") != octets:
        raise ConfigError(f"the configuration {path} is not UTF-8 text")
    return text.replace("\r\n", "\n")  # as the parser does before it counts columns


def _syntax_error(message: str, document: str) -> Finding:
    place = _SYNTAX_PLACE.search(message)
    if place is not None:
        position = Position(int(place[1]), int(place[2]))
    else:  # at its end
        *_, last = lines = document.split("\n")
        position = Position(len(lines), len(last) + 1)
    reason = re.sub(r" \(at [^()]*\)\Z", "", message)
    if twice := _DECLARED_TWICE.fullmatch(reason):
        reason = f"[{written(ast.literal_eval(twice[1]))}] stands twice"
    return Finding(Severity.ERROR, FindingCode.FILE, position, "", f"not TOML: {reason}")


class _Reader:
    """Builds what the schema cannot judge, and goes on where something is wrong, to find the rest, too."""

    def __init__(self, path: Path, tables: Mapping[str, Any], locations: Locations) -> None:
        self._path = path
        self._tables = tables
        self._locations = locations
        self._findings = find_breaches(tables, locations)
        self._broken = [finding.key for finding in self._findings]

    def read(self) -> Configuration:
        configuration = Configuration(
            path=self._path,
            database=self._section("database", self._database, DatabaseSettings("")),
            rings=self._rings(),
            records_ring=self._section("records", self._records_ring, ""),
            steps=self._steps(),
            hashing=self._section("hashing", self._hashing, HashingSettings()),
            policy=self._section("policy", self._policy, PolicySettings()),
            lock_out=self._section("lock-out", _lock_out, DEFAULT_LOCK_OUT),
            reuse_lock_out=self._section("reuse-lock-out", _lock_out, DEFAULT_LOCK_OUT),
            letter_lifetime_seconds=self._section("letters", _letter_lifetime, DEFAULT_LETTER_LIFETIME),
            nonces=self._section("nonces", lambda table: NonceSettings(**_by_field(table)), NonceSettings()),
            reload_seconds=self._section("reload", lambda table: table.get("interval-seconds"), None),
            locations=self._locations,
        )
        if self._findings:
            steps = self._tables.get("steps", {})
            missing = missing_steps(steps, self._locations) if isinstance(steps, dict) else ()
            raise ConfigurationRefused(self._path, [*self._findings, *missing])
        return configuration

    # -- going on ------------------------------------------------------------------------------------------------

    def _refuse(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        self._findings.append(self._locations.error(FindingCode.FILE, path, message, hint))

    def _members(self, path: KeyPath) -> dict[str, Any] | None:
        """What stands in a table and is as the schema wants it; None where that is no table."""
        table: Any = self._tables
        for name in path:
            table = table.get(name, {})
        if not isinstance(table, dict):
            return None
        return {name: value for name, value in table.items() if self._is_sound((*path, name))}

    def _is_sound(self, path: KeyPath) -> bool:
        name = written(path)
        return not any(key == name or key.startswith((f"{name}.", f"{name}[")) for key in self._broken)

    def _at(self, path: KeyPath, make: Callable[[], T], otherwise: T) -> T:
        """What ``make`` makes of the value there; where that is a ConfigError, it becomes a finding.

        Unless the schema has something against it: then the error may be about what is not looked at for that.
        """
        try:
            return make()
        except ConfigError as error:
            if self._is_sound(path):
                self._refuse(path, str(error), own_hint(error))
            return otherwise

    def _section(self, name: str, make: Callable[[dict[str, Any]], T], otherwise: T) -> T:
        table = self._members((name,))
        return otherwise if table is None else self._at((name,), lambda: make(table), otherwise)

    def _ring_name(self, path: KeyPath, name: str) -> str:
        rings = self._tables.get("rings")
        if isinstance(rings, dict) and name not in rings:
            self._refuse(path, "there is no such ring", f"rings: {', '.join(rings) or 'none'}")
        return name

    # -- tables --------------------------------------------------------------------------------------------------

    def _database(self, table: dict[str, Any]) -> DatabaseSettings:
        if "url" not in table:
            return DatabaseSettings("")
        self._at(("database", "url"), lambda: _check_url(table["url"]), None)
        return DatabaseSettings(**_by_field(table))

    def _records_ring(self, table: dict[str, Any]) -> str:
        return self._ring_name(("records", "ring"), table["ring"]) if "ring" in table else ""

    def _policy(self, table: dict[str, Any]) -> PolicySettings:
        rules = _by_field(table)
        block_list = rules.pop("block_list", None)
        if "normalisation" in rules:
            rules["normalisation"] = Normalisation(rules["normalisation"])
        least = rules.get("min_length", PasswordPolicy().min_length)
        most = rules.get("max_length", PasswordPolicy().max_length)
        if least > most:
            self._refuse(("policy", "min-length"), f"is above max-length, which is {most}")
            return PolicySettings()
        return PolicySettings(PasswordPolicy(**rules), None if block_list is None else self._path.parent / block_list)

    def _rings(self) -> dict[str, RingSettings]:
        rings = self._tables.get("rings")
        if not isinstance(rings, dict):
            return {}
        return {name: ring for name in rings if (ring := self._ring(name)) is not None}

    def _ring(self, name: str) -> RingSettings | None:
        table = self._members(("rings", name)) or {}
        uris: list[tuple[KeyPath, str]] = [(("rings", name, "current"), table["current"])] if "current" in table else []
        uris += [(("rings", name, "previous", at), uri) for at, uri in enumerate(table.get("previous", ()))]
        keys = [
            key for path, uri in uris if (key := self._at(path, partial(uri_without_secrets, uri), None)) is not None
        ]
        return RingSettings(keys[0], tuple(keys[1:]), table.get("failure-floor-seconds")) if keys else None

    def _hashing(self, table: dict[str, Any]) -> HashingSettings:
        path = ("hashing",)
        parameters = self._at(path, lambda: _parameters(table), RFC_9106_LOW_MEMORY)
        ceilings = Argon2Ceilings().raised_to(parameters)
        if "ceilings" in table:
            ceilings = replace(ceilings, **_by_field(table["ceilings"]))
            if not ceilings.admit(parameters):
                self._refuse((*path, "ceilings"), "below what new hashes cost")
        return HashingSettings(parameters, ceilings, tuple(table.get("legacy", ())))

    def _steps(self) -> dict[Purpose, StepSettings]:
        steps = self._tables.get("steps")
        if not isinstance(steps, dict):
            return {}
        known = [purpose for purpose in Purpose if isinstance(steps.get(purpose.value), dict)]
        found = {purpose: self._step(("steps", purpose.value)) for purpose in known}
        check, change = found.get(Purpose.CHECK), found.get(Purpose.CHANGE)
        if check is not None and change is not None and check.e2ee_off is not change.e2ee_off:
            self._refuse(
                ("steps", "change"),
                "E2EE is off in one of check and change, and on in the other",
                "a change takes the old password as well; both have E2EE or none",
            )
        return found

    def _step(self, path: KeyPath) -> StepSettings:
        table = self._members(path) or {}
        off, policy_off = "e2ee" in table, "policy" in table
        if off:
            for name in table.keys() - {"e2ee", "policy"}:
                self._refuse((*path, name), 'means nothing where e2ee = "off"')
        ring = table.get("ring")
        if ring is not None and not off:
            self._ring_name((*path, "ring"), ring)
        return StepSettings(self._profile(path, table), None if off else ring, off, policy_off)

    def _profile(self, path: KeyPath, table: dict[str, Any]) -> Profile:
        profile = profile_named(table.get("profile", "sealpass"))
        if table.get("allow-sha1", False):
            profile = profile.allowing_sha1()
        if "pointer" in table and profile.name != AIRLOCK_JWE.name:
            self._refuse((*path, "pointer"), f"is for profile {AIRLOCK_JWE.name} only")
        elif "pointer" in table:
            profile = self._at((*path, "pointer"), lambda: profile.reading(table["pointer"]), profile)
        for name in ("kms-key-bits", "kms-aad"):
            if name not in table:
                continue
            if not isinstance(profile, KmsProfile):
                self._refuse((*path, name), "is for profile airlock-kms only")
            elif name == "kms-key-bits":
                profile = profile.with_key_bits(table[name])
            else:
                profile = profile.authenticating(table[name])
        return profile


def _by_field(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in table.items()}


def _lock_out(table: dict[str, Any]) -> LockOut:
    return replace(DEFAULT_LOCK_OUT, **table)


def _letter_lifetime(table: dict[str, Any]) -> float:
    return float(table.get("lifetime-seconds", DEFAULT_LETTER_LIFETIME))


def _check_url(url: str) -> None:
    # What env: and file: hold is looked up where it is used: here there may be no such variable.
    if not url.startswith(("env:", "file:")) and database_url(url).password:
        raise ConfigError(
            "the URL has a password, and the configuration holds no secret",
            hint="write the URL into a file or variable, and name that: file:PATH or env:NAME",
        )


def _parameters(table: dict[str, Any]) -> Argon2Parameters:
    costs = [table.get(name) for name in _COSTS]
    given = [cost for cost in costs if cost is not None]
    if not given:
        return HASHING_PROFILES[table.get("profile", "rfc9106-low-memory")]
    if "profile" in table:
        raise ConfigError("a profile and numbers of its own: only one of the two")
    if len(given) < len(_COSTS):
        raise ConfigError(f"needs all of {', '.join(_COSTS)}", hint="'sealpass hash tune' prints them")
    return Argon2Parameters(*given)
