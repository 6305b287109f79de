# SPDX-License-Identifier: Apache-2.0
"""A key to plant faults in, and the shortest measurement that still measures."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, Plan
from sealpass.core.pem import load_rsa_private_key
from sealpass.core.uri import KeyUri

TINY = Plan(threads=(1, 2), seconds=30.0, warm_up_seconds=0.02, max_tokens=40, min_samples=20)
"""Ends when its tokens are used up, so it takes no time that a test would have to wait for."""


@pytest.fixture(scope="session")
def private_key(software_uri: str) -> rsa.RSAPrivateKey:
    """The private key behind ``software_uri``."""
    return load_rsa_private_key(Path(KeyUri.parse(software_uri).require("path")).read_bytes())


@pytest.fixture
def tiny() -> Options:
    """Every contract case, and hardly any measuring; the planted keys are software keys, so these are allowed."""
    return Options(quick=True, plan=TINY, allow_software=True)


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The published schema, as package data."""
    text = (resources.files("sealpass.bench") / "schemas" / "qualification-1.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
