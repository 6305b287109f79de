# SPDX-License-Identifier: Apache-2.0
"""What every folder of tests shares: hypothesis profiles and a software key."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Unwrapper, as_unwrapper
from sealpass.core.uri import KeyUri
from sealpass.softhsm import opencryptoki as opencryptoki_token
from sealpass.softhsm import p11_kit as p11_kit_token
from tests.support.kms_emulator import KmsEmulator
from tests.support.soft_tokens import (
    RemoteSoftToken,
    SoftToken,
    make_opencryptoki,
    make_remote_token,
    make_soft_token,
    need,
)

if TYPE_CHECKING:
    from tests.support.postgresql import PostgresServer

# The same examples at every run and no limit on their time: a red build must mean a broken program.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
# For the developer who looks for trouble: pytest --hypothesis-profile=explore
settings.register_profile("explore", deadline=None, max_examples=5000)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--key-uri URI``: run the conformance suite on a key of the user's own, too."""
    parser.addoption("--key-uri", action="append", default=[], help="a key URI to add to the conformance suite")


@pytest.fixture(scope="session")
def software_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of an RSA-2048 key file, made once per worker."""
    path = tmp_path_factory.mktemp("software") / "key.pem"
    return str(key_maker(KeyUri("software", {"path": bytes(path)})).create_rsa(2048, UnwrapMode.SOFTWARE))


@pytest.fixture(scope="session")
def software_key(software_uri: str) -> Iterator[Unwrapper]:
    """The key of ``software_uri``; its failures are released at once."""
    with open_key(software_uri, failure_floor=0) as key:
        yield as_unwrapper(key)


@pytest.fixture(scope="session")
def software_ring(software_uri: str) -> Iterator[KeyRing]:
    """A ring of that one key; its failures are released at once."""
    with KeyRing(software_uri, failure_floor=0) as ring:
        yield ring


@pytest.fixture(scope="session")
def softhsm2(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """A SoftHSM2 token of this worker's own."""
    return make_soft_token("softhsm2", tmp_path_factory.mktemp("softhsm2"))


@pytest.fixture(scope="session")
def nss(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """An NSS softokn token of this worker's own."""
    return make_soft_token("nss", tmp_path_factory.mktemp("nss"))


@pytest.fixture(scope="session")
def kms_in_process() -> Iterator[KmsEmulator]:
    """A KMS emulator inside this worker, for URIs without an endpoint; who plans faults or counts calls resets it."""
    with KmsEmulator.in_process() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def kms_over_http() -> Iterator[KmsEmulator]:
    """A KMS emulator of this worker's own on loopback, at its ``endpoint_url``; to be reset as ``kms_in_process``."""
    with KmsEmulator.over_http() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def opencryptoki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """An openCryptoki token of this worker's own. From here on the worker is in a mount namespace of its own."""
    need(opencryptoki_token)
    with make_opencryptoki(tmp_path_factory.mktemp("opencryptoki")) as token:
        yield token


@pytest.fixture(scope="session")
def p11_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteSoftToken]:
    """A SoftHSM2 token of this worker's own in another process, behind p11-kit's server."""
    need(p11_kit_token)
    with make_remote_token(tmp_path_factory.mktemp("p11-kit")) as token:
        yield token


@pytest.fixture(scope="session")
def postgresql() -> Iterator["PostgresServer"]:
    """A PostgreSQL server of this worker's own."""
    from tests.support import postgresql as postgresql_server  # slow to import, and few need it

    need(postgresql_server)
    with postgresql_server.run_server() as server:
        yield server
