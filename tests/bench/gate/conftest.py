# SPDX-License-Identifier: Apache-2.0
"""Processes of a gate that are made up, and the published schemas."""

import json
import math
from collections.abc import Callable
from importlib import resources
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.gate.baseline import Baseline
from sealpass.bench.gate.spawn import Measured, Request
from tests.bench.gate.modelled import plain

EXAMPLES = Path(__file__).parent / "examples"
DEVICE: dict[str, Any] = {
    "uri": "pkcs11:token=prod;object=e2ee",
    "key_id": "key-one",
    "bits": 2048,
    "mode": "native",
    "alg": "RSA-OAEP",
    "module": {"status": "read", "reason": None, "values": {"library version": "2.6", "token serial": "1"}},
    "note": None,
}
REFERENCE: dict[str, Any] = {"kind": "software", "uri": None, "key_id": "reference", "bits": 2048}
HOST: dict[str, Any] = {
    "cpu": "made up", "cores": 2, "machine": "x86_64", "system": "Linux", "kernel": "6", "python": "CPython 3.11",
    "cryptography": "50", "openssl": "OpenSSL 4",
}  # fmt: skip
RATIO = 2.2
TAKEN = "2026-11-01T09:00:00Z"


def example(name: str) -> dict[str, Any]:
    """A ``sealpass.gate/1`` document of tests/bench/gate/examples."""
    found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def a_baseline(**device: Any) -> Baseline:
    """Twelve processes of another day."""
    spread = cycle((0.0, 0.003, -0.003))
    processes = [plain(math.log(RATIO) + next(spread)) for _ in range(12)]
    history = [{"at": TAKEN, "reason": "first", "version": "0.1.0", "key_id": "key-one", "ratio": RATIO}]
    return Baseline(TAKEN, DEVICE | device, REFERENCE, HOST, processes, history)


Take = Callable[[Request], Measured]


def processes(slower: float = 0.0, *, host: dict[str, Any] = HOST, **figures: Any) -> Take:
    """Fresh processes of a device that is slower by a part of itself."""
    spread = cycle((0.0, 0.003, -0.003))

    def take(_request: Request) -> Measured:
        found = plain(math.log(RATIO * (1 + slower)) + next(spread), **figures)
        return Measured(found, DEVICE, REFERENCE, host)

    return take


def _schema(name: str) -> dict[str, Any]:
    text = (resources.files("sealpass.bench") / "schemas" / name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture(scope="session")
def gate_schema() -> dict[str, Any]:
    """The published schema of gates and comparisons."""
    return _schema("gate-1.json")


@pytest.fixture(scope="session")
def baseline_schema() -> dict[str, Any]:
    """The published schema of baselines."""
    return _schema("baseline-1.json")
