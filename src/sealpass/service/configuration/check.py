# SPDX-License-Identifier: Apache-2.0
"""What a configuration that can be read still leaves open: steps, purposes of keys, keys and tables that are not there.

A token locks after a few wrong PINs. So a login that was refused is not tried again with the next key of that token.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from sealpass.backends.registry import open_key
from sealpass.core.argon2_tuning import meets_owasp
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
from sealpass.service.audit import Standing, audit
from sealpass.service.configuration.findings import Finding, FindingCode, Locations, Severity, own_hint, written
from sealpass.service.configuration.positions import KeyPath
from sealpass.service.configuration.values import Configuration
from sealpass.service.database import Database
from sealpass.service.legacy_hashes import legacy_hash_named
from sealpass.service.policy import LEAST_LENGTH
from sealpass.service.record_table import RecordTable

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
    return [*_in_itself(configuration), *_shared(configuration, {})]


def refusals(configuration: Configuration) -> list[Finding]:
    """Of these, the ones with which no service begins."""
    return [finding for finding in find_in_file(configuration) if finding.severity is Severity.ERROR]


def check_configuration(configuration: Configuration) -> Checked:
    """Everything: opens each key, reads the block list, and asks the database. Raises no OperatorError."""
    checked = Checked([*_in_itself(configuration), *_memory(configuration), *_legacy(configuration)])
    refused: list[KeyUri] = []
    for place, uri in keys_of(configuration):
        _try_key(configuration, place, uri, checked, refused)
    key_ids = {key.place: key.key_id for key in checked.keys}
    checked.findings += _shared(configuration, key_ids)
    checked.findings += [*_block_list(configuration), *_database(configuration, key_ids)]
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


def _in_itself(configuration: Configuration) -> Iterator[Finding]:
    yield from missing_steps(configuration.steps, configuration.locations)
    yield from _steps(configuration)
    yield from _uses(configuration)
    yield from _weak(configuration)


def missing_steps(steps: Collection[str], where: Locations) -> Iterator[Finding]:
    """Those that the file does not name."""
    for purpose in Purpose:
        if purpose.value not in steps:
            path = ("steps", purpose.value)
            hint = f'add [{written(path)}] with a ring, or with e2ee = "off" if it is to take plain passwords'
            yield where.error(FindingCode.STEP_MISSING, path, "the step is not configured", hint)


def _steps(configuration: Configuration) -> Iterator[Finding]:
    where = configuration.locations
    for purpose, step in configuration.steps.items():
        path = ("steps", purpose.value)
        if step.e2ee_off:
            message = "end-to-end encryption is off: the step takes plain passwords"
            yield where.warning(FindingCode.STEP_WITHOUT_E2EE, (*path, "e2ee"), message)
        elif step.ring is None:
            hint = 'add ring = "NAME", or e2ee = "off" if it is to take plain passwords'
            yield where.error(FindingCode.STEP_WITHOUT_E2EE, path, "the step has no ring, so no E2EE", hint)
        if step.policy_off:
            yield where.warning(FindingCode.STEP_WITHOUT_POLICY, (*path, "policy"), "the password policy is off")


def _weak(configuration: Configuration) -> Iterator[Finding]:
    """What is allowed, and easier to guess than what others recommend."""
    where, hashing = configuration.locations, configuration.hashing.parameters
    if not meets_owasp(hashing):
        hint = "'sealpass hash tune' prints the strongest that this machine can bear"
        yield where.warning(FindingCode.HASHING_WEAK, ("hashing",), f"{hashing} is weaker than OWASP accepts", hint)
    least = configuration.policy.rules.min_length
    if least < LEAST_LENGTH:
        message = f"passwords of {least} characters are allowed, and NIST SP 800-63B-4 asks for {LEAST_LENGTH} at least"
        yield where.warning(FindingCode.POLICY_WEAK, ("policy", "min-length"), message)


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
        elif uri == other:
            yield where.error(FindingCode.KEY_SHARED, second, f"{line} again, in the same ring")
        elif uri.scheme != _KMS:  # there it is an alias, and the key that it names
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


def _memory(configuration: Configuration) -> Iterator[Finding]:
    hashing = configuration.hashing.parameters
    kib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    if hashing.memory_kib > kib:
        message = f"one hash takes {hashing.memory_kib} KiB of memory, and this machine has {kib}"
        code, path = FindingCode.HASHING_TOO_LARGE, ("hashing", "memory-kib")
        yield configuration.locations.error(code, path, message, "'sealpass hash tune' measures what it can bear")


def _legacy(configuration: Configuration) -> Iterator[Finding]:
    for at, name in enumerate(configuration.hashing.legacy):
        try:
            legacy_hash_named(name)
        except OperatorError as error:
            path = ("hashing", "legacy", at)
            yield configuration.locations.error(FindingCode.HASHING_MISSING, path, str(error), own_hint(error))


def _database(configuration: Configuration, key_ids: Mapping[KeyPath, str]) -> Iterator[Finding]:
    settings, place = configuration.database, ("database", "url")
    try:
        with Database(settings.url, timeout=settings.timeout_seconds, connections=1) as database:
            migrations.check(database)
            yield from _stored(configuration, key_ids, database)
    except BackendUnavailable as error:
        code = FindingCode.DATABASE_DOES_NOT_ANSWER
        yield configuration.locations.error(code, place, str(error), own_hint(error))
    except OperatorError as error:
        yield configuration.locations.error(FindingCode.DATABASE, place, str(error), own_hint(error))


def _stored(configuration: Configuration, key_ids: Mapping[KeyPath, str], database: Database) -> Iterator[Finding]:
    """Keys of stored records that their ring has not. Nothing where a key of it did not answer: it may be that one."""
    place: KeyPath = ("rings", configuration.records_ring)
    ring = [key for key, _ in keys_of(configuration) if key[:2] == place]
    if not all(key in key_ids for key in ring):
        return
    found: Counter[str | None] = Counter()
    for line in audit(RecordTable(database).counts(), [key_ids[key] for key in ring]).with_standing(Standing.UNKNOWN):
        found[line.key_id] += line.records
    for key_id, number in found.items():
        many = f"{number} record is" if number == 1 else f"{number} records are"
        message = f"a key left the ring too early: {many} under {key_id}"
        hint = "put it back into previous, or nobody can log in with them"
        yield configuration.locations.error(FindingCode.KEY_MISSING, place, message, hint)
