# SPDX-License-Identifier: Apache-2.0
"""The published schema, keys to put load on, and the shortest run that measures."""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.backends.registry import key_maker
from sealpass.bench.load.run import run
from sealpass.bench.load.scenario import Settings
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.uri import KeyUri
from tests.bench.load import sources

CHEAP = Argon2Parameters(memory_kib=8, passes=1, lanes=1)
Validate = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="session")
def run_schema() -> dict[str, Any]:
    """The published schema, as package data."""
    text = (resources.files("sealpass.bench") / "schemas" / "run-1.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture(scope="session")
def valid(run_schema: dict[str, Any]) -> Validate:
    """Answers a document after it was found to follow the schema and to survive JSON unchanged."""

    def check(document: dict[str, Any]) -> dict[str, Any]:
        Draft202012Validator(run_schema).validate(document)
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        return document

    return check


@pytest.fixture(scope="session")
def aes_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of an AES key file for records."""
    path = tmp_path_factory.mktemp("software-aes") / "key.jwk"
    return str(key_maker(KeyUri("software", {"path": bytes(path)})).create_aes(256))


@pytest.fixture
def short(software_uri: str) -> Settings:
    """One thread, without a warm-up, for longer than a source of these tests has operations."""
    return Settings(keys=(software_uri,), seconds=30, warm_up_min_s=0, warm_up_max_s=0, hashing=CHEAP)


@pytest.fixture(scope="session")
def measured(software_uri: str) -> dict[str, Any]:
    """A document of a closed loop on a software key; not to be changed."""
    settings = Settings(keys=(software_uri,), seconds=30, warm_up_min_s=0, warm_up_max_s=0, threads=(1, 2))
    return run(settings, source=sources.limited)
