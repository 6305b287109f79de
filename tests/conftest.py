# SPDX-License-Identifier: Apache-2.0
"""What every folder of tests shares: hypothesis profiles and a software key."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Unwrapper, as_unwrapper
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken, make_soft_token

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
