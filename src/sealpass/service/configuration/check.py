# SPDX-License-Identifier: Apache-2.0
"""What a configuration that can be read still leaves open: steps, purposes of keys, keys and tables that are not there.

A token locks after a few wrong PINs. So a login that was refused is not tried again with the next key of that token.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from sealpass.backends.registry import open_key
from sealpass.core.contract import announced_algorithms
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    OperatorError,
    UnsupportedAlgorithm,
)
from sealpass.core.nonces import Purpose
from sealpass.core.profile import Profile
from sealpass.core.protocols import Key, as_sealer, as_unwrapper
from sealpass.core.uri import KeyUri
from sealpass.service import migrations
from sealpass.service.configuration.findings import Finding, FindingCode, Severity, own_hint, written
from sealpass.service.configuration.positions import KeyPath
from sealpass.service.configuration.values import Configuration
from sealpass.service.database import Database

_KMS = "awskms"
_NAMES_OF_KEYS = ("object", "id", "type", "alias", "key-id")
"""Attributes that say which key of a device it is."""


class KeyUse(StrEnum):
    """What the keys of a ring are for."""

    TOKENS = "tokens"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that answered."""

    place: KeyPath
    uses: tuple[KeyUse, ...]
    key_id: str
    does: tuple[str, ...]
    """Names of algorithms."""


@dataclass(slots=True)
class Checked:
    """The answer of check_configuration()."""

    findings: list[Finding] = field(default_factory=list)
    keys: list[FoundKey] = field(default_factory=list)


def find_in_file(configuration: Configuration) -> list[Finding]:
    """What the file itself shows: no key is opened."""
    return [*_steps(configuration), *_uses(configuration), *_shared(configuration, {})]


def refusals(configuration: Configuration) -> list[Finding]:
    """Of these, the ones with which no service begins."""
    return [finding for finding in find_in_file(configuration) if finding.severity is Severity.ERROR]


def check_configuration(configuration: Configuration) -> Checked:
    """Everything: opens each key, reads the block list, and asks the database. Raises no OperatorError."""
    checked = Checked([*_steps(configuration), *_uses(configuration)])
    refused: list[KeyUri] = []
    for place, uri in keys_of(configuration):
        _try_key(configuration, place, uri, checked, refused)
    checked.findings += _shared(configuration, {key.place: key.key_id for key in checked.keys})
    checked.findings += [*_block_list(configuration), *_database(configuration)]
    return checked


def keys_of(configuration: Configuration) -> list[tuple[KeyPath, KeyUri]]:
    """Every key of every ring, by its place in the file."""
    found: list[tuple[KeyPath, KeyUri]] = []
    for name, ring in configuration.rings.items():
        found.append((("rings", name, "current"), ring.current))
        found += [(("rings", name, "previous", at), uri) for at, uri in enumerate(ring.previous)]
    return found


def uses_of(configuration: Configuration, ring: object) -> set[KeyUse]:
    """What a ring is for."""
    uses = {KeyUse.TOKENS} if ring in configuration.token_rings() else set()
    return uses | {KeyUse.RECORDS} if ring == configuration.records_ring else uses


# -- in the file -------------------------------------------------------------------------------------------------------


def _steps(configuration: Configuration) -> Iterator[Finding]:
    where = configuration.locations
    for purpose in Purpose:
        step, path = configuration.steps.get(purpose), ("steps", purpose.value)
        if step is None:
            hint = f'add [{written(path)}] with a ring, or with e2ee = "off" if it is to take plain passwords'
            yield where.error(FindingCode.STEP_MISSING, path, "the step is not configured", hint)
            continue
        if step.e2ee_off:
            message = "end-to-end encryption is off: the step takes plain passwords"
            yield where.warning(FindingCode.STEP_WITHOUT_E2EE, (*path, "e2ee"), message)
        elif step.ring is None:
            hint = 'add ring = "NAME", or e2ee = "off" if it is to take plain passwords'
            yield where.error(FindingCode.STEP_WITHOUT_E2EE, path, "the step has no ring, so no E2EE", hint)
        if step.policy_off:
            yield where.warning(FindingCode.STEP_WITHOUT_POLICY, (*path, "policy"), "the password policy is off")


def _uses(configuration: Configuration) -> Iterator[Finding]:
    where = configuration.locations
    for ring in configuration.rings:
        uses = uses_of(configuration, ring)
        if len(uses) > 1:
            message = "one key for two purposes: the ring opens tokens, and seals records"
            hint = "give records a ring of their own, of symmetric keys"
            yield where.error(FindingCode.KEY_SHARED, ("records", "ring"), message, hint)
        if not uses:
            yield where.warning(FindingCode.RING_UNUSED, ("rings", ring), "neither a step nor records use this ring")


def _shared(configuration: Configuration, key_ids: Mapping[KeyPath, str]) -> Iterator[Finding]:
    """Keys that stand in two places, by their URIs and, of those that were opened, by their ids."""
    where = configuration.locations
    for (first, uri), (second, other) in combinations(keys_of(configuration), 2):
        same_id = first in key_ids and key_ids[first] == key_ids.get(second)
        if uri != other and not same_id:
            continue
        line = f"the key of line {where.position(first).line}"
        if first[1] != second[1]:
            uses = uses_of(configuration, first[1]) | uses_of(configuration, second[1])
            if len(uses) > 1:
                message = f"one key for two purposes: {line} ({written(first)}) again"
                yield where.error(FindingCode.KEY_SHARED, second, message)
            else:
                message = f"{line} ({written(first)}) again; who retires it must take it out of both rings"
                yield where.warning(FindingCode.KEY_SHARED, second, message)
        elif uri != other and uri.scheme != _KMS:  # there it is an alias, and the key that it names
            yield where.error(FindingCode.KEY_SHARED, second, f"{line} again, by another URI")


# -- at the devices ----------------------------------------------------------------------------------------------------


def _try_key(
    configuration: Configuration, place: KeyPath, uri: KeyUri, checked: Checked, refused: list[KeyUri]
) -> None:
    where = configuration.locations
    device = uri.replace(path=dict.fromkeys(_NAMES_OF_KEYS))
    if device in refused:
        message = "not tried, because this device has just refused the login"
        checked.findings.append(where.error(FindingCode.KEY_DOES_NOT_ANSWER, place, message))
        return
    try:
        with open_key(uri) as key:
            checked.keys.append(
                FoundKey(place, tuple(sorted(uses_of(configuration, place[1]))), key.key_id, _does(key))
            )
            checked.findings += fitness(configuration, place, key)
    except OperatorError as error:
        if isinstance(error, AuthenticationFailed):
            refused.append(device)
        message = f"the key does not answer [{error.code}]: {error}"
        checked.findings.append(where.error(FindingCode.KEY_DOES_NOT_ANSWER, place, message, own_hint(error)))


def _does(key: Key) -> tuple[str, ...]:
    can = key.capabilities
    names = [str(oaep) for oaep in can.unwrap], [enc.name for enc in can.content], [name.name for name in can.seal]
    return tuple(name for group in names for name in sorted(group))


def fitness(configuration: Configuration, place: KeyPath, key: Key) -> Iterator[Finding]:
    """What the key should do and does not."""
    where, (_, ring, kind, *_rest) = configuration.locations, place
    for use in sorted(uses_of(configuration, ring)):
        try:
            as_unwrapper(key) if use is KeyUse.TOKENS else as_sealer(key)
        except UnsupportedAlgorithm as error:
            message = f"the ring is for {use.value}, and {error}"
            yield where.error(FindingCode.KEY_CANNOT, place, message, error.hint)
            continue
        if use is KeyUse.TOKENS and kind == "current":  # others open only what was announced for them
            lacks: dict[_Lack, list[str]] = {}
            for purpose, step in configuration.steps.items():
                if step.ring == ring and (lack := _lack(step.profile, key)) is not None:
                    lacks.setdefault(lack, []).append(purpose.value)
            for lack, steps in lacks.items():
                hint = "a token that knows SHA-1 only needs allow-sha1 = true in each step" if lack.sha1_helps else None
                message = f"{lack.text} ({'step' if len(steps) == 1 else 'steps'} {', '.join(steps)})"
                yield where.error(FindingCode.KEY_CANNOT, place, message, hint)


class _Lack(NamedTuple):
    text: str
    sha1_helps: bool


def _lack(profile: Profile, key: Key) -> _Lack | None:
    """What the key lacks for the profile; None where it lacks nothing."""
    unwrapper = as_unwrapper(key)
    try:
        announced_algorithms(profile, unwrapper)
    except UnsupportedAlgorithm as error:
        text = str(error)
    else:
        return None
    try:
        announced_algorithms(profile.allowing_sha1(), unwrapper)
    except UnsupportedAlgorithm:
        return _Lack(text, sha1_helps=False)
    return _Lack(text, sha1_helps=True)


# -- elsewhere ---------------------------------------------------------------------------------------------------------


def _block_list(configuration: Configuration) -> Iterator[Finding]:
    try:
        configuration.password_policy()
    except ConfigError as error:
        yield configuration.locations.error(FindingCode.FILE, ("policy", "block-list"), str(error), own_hint(error))


def _database(configuration: Configuration) -> Iterator[Finding]:
    settings, place = configuration.database, ("database", "url")
    try:
        with Database(settings.url, timeout=settings.timeout_seconds, connections=1) as database:
            migrations.check(database)
    except BackendUnavailable as error:
        code = FindingCode.DATABASE_DOES_NOT_ANSWER
        yield configuration.locations.error(code, place, str(error), own_hint(error))
    except OperatorError as error:
        yield configuration.locations.error(FindingCode.DATABASE, place, str(error), own_hint(error))
