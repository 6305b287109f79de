# SPDX-License-Identifier: Apache-2.0
"""Which measurements a run makes, and in which order: axes apart, settings at random, keys side by side."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sealpass.bench.load.operations import SEALING, UNWRAPPING, WITH_PAYLOAD, Name, Task
from sealpass.bench.load.scenario import Settings
from sealpass.core.contract import profile_named
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.profile import Profile
from sealpass.core.uri import KeyUri

_PKCS11 = "pkcs11"
_MAX_SESSIONS = "max-sessions"


@dataclass(frozen=True, slots=True)
class Device:
    """A key of a run, as far as it decides on what can be measured with it."""

    uri: KeyUri
    unwraps: bool
    seals: bool
    bits: int | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the cross product: one measurement, but for its repeats."""

    operation: Name
    device: int
    """Index of the key that unwraps; where none does, of the one that seals."""
    sealing_device: int | None
    """Index of the key of the records of a login."""
    threads: int
    sessions: int | None
    processes: int
    payload_bytes: int | None

    def axes(self, device: Device) -> dict[str, Any]:
        """For the result document."""
        return {
            "threads": self.threads,
            "sessions": self.sessions,
            "processes": self.processes,
            "rsa_bits": device.bits if self.operation in UNWRAPPING else None,
            "payload_bytes": self.payload_bytes,
            "mode": device.mode if self.operation in UNWRAPPING else None,
        }


_SHOWN = {"threads": "threads", "sessions": "sessions", "processes": "processes", "rsa_bits": "rsa",
          "payload_bytes": "payload", "mode": "mode"}  # fmt: skip


def identity(operation: str, axes: dict[str, Any], load: dict[str, Any], repeat: int) -> str:
    """The ``id`` of a measurement: what was measured in words, the same on every machine."""
    words = [operation, *(f"{shown}={axes[name]}" for name, shown in _SHOWN.items() if axes[name] is not None)]
    words.append(load["kind"] if load["kind"] == "closed" else f"open rate={load['rate_per_s']:g}/s {load['schedule']}")
    return " ".join(words + ([f"repeat={repeat}"] if repeat > 1 else []))


def settle_operations(settings: Settings, devices: Sequence[Device]) -> tuple[Name, ...]:
    """The operations of a run; raises UnsupportedAlgorithm where the keys cannot do one of them."""
    can_unwrap, can_seal = any(device.unwraps for device in devices), any(device.seals for device in devices)
    if not settings.operations:
        chosen = [name for name, can in ((Name.UNWRAP, can_unwrap), (Name.OPEN, can_seal)) if can]
        return tuple(chosen[:1])
    for name in settings.operations:
        if name in UNWRAPPING and not can_unwrap:
            raise UnsupportedAlgorithm(f"operation {name} needs a key that unwraps", hint="name an RSA private key")
        if name in SEALING and not can_seal:
            raise UnsupportedAlgorithm(
                f"operation {name} needs a key that seals", hint="name an AES key, or add it with --seal-key"
            )
    return tuple(dict.fromkeys(settings.operations))


def all_cells(settings: Settings, operations: Sequence[Name], devices: Sequence[Device]) -> list[Cell]:
    """The cross product; an axis that means nothing to an operation or a device does not multiply it."""
    sealing = [index for index, device in enumerate(devices) if device.seals]
    cells: dict[Cell, None] = {}
    axes = product(
        operations, settings.payload_bytes, settings.threads, settings.sessions or (None,), settings.processes
    )
    for name, payload, threads, sessions, processes in axes:
        for index, device in enumerate(devices):
            if not (device.unwraps if name in UNWRAPPING else device.seals):
                continue
            cell = Cell(
                name,
                index,
                sealing[-1] if name is Name.LOGIN else None,
                threads,
                _sessions(device.uri, sessions),
                processes,
                payload if name in WITH_PAYLOAD else None,
            )
            cells[cell] = None
    return list(cells)


def in_order(cells: Sequence[Cell], repeat: int, seed: int) -> list[tuple[Cell, int]]:
    """Each repeat is a round of its own through all cells, at random; the keys of one setting follow one another."""
    draw = random.Random(seed)  # noqa: S311 - an order, no secret
    ordered: list[tuple[Cell, int]] = []
    for number in range(1, repeat + 1):
        settings: dict[tuple[object, ...], list[Cell]] = {}
        for cell in cells:
            like = (cell.operation, cell.threads, cell.sessions, cell.processes, cell.payload_bytes)
            settings.setdefault(like, []).append(cell)
        groups = list(settings.values())
        draw.shuffle(groups)
        for group in groups:
            ordered += [(cell, number) for cell in draw.sample(group, len(group))]
    return ordered


def _sessions(uri: KeyUri, asked: int | None) -> int | None:
    """How many sessions the pool of a key has; None where the device has none, or nobody said."""
    if uri.scheme != _PKCS11:
        return None
    if asked is not None:
        return asked
    given = uri.text(_MAX_SESSIONS)
    return int(given) if given is not None and given.isdecimal() else None


def uri_for(uri: KeyUri, sessions: int | None) -> str:
    """The URI that opens the key with that many sessions."""
    if sessions is None or uri.scheme != _PKCS11:
        return str(uri)
    return str(KeyUri(uri.scheme, uri.path, {**uri.query, _MAX_SESSIONS: str(sessions).encode("ascii")}))


def profile_of(settings: Settings) -> Profile:
    """The dialect of the tokens."""
    profile = profile_named(settings.profile)
    return profile.allowing_sha1() if settings.allow_sha1 else profile


def task_of(cell: Cell, settings: Settings, devices: Sequence[Device]) -> Task:
    """What each process of a measurement is told."""
    own = uri_for(devices[cell.device].uri, cell.sessions)
    unwraps = cell.operation in UNWRAPPING
    sealing: str | None = None if unwraps else own
    if cell.sealing_device is not None:
        sealing = uri_for(devices[cell.sealing_device].uri, cell.sessions)
    return Task(
        cell.operation,
        cell.threads,
        own if unwraps else None,
        sealing,
        cell.payload_bytes,
        profile_of(settings),
        settings.hashing,
    )
