# SPDX-License-Identifier: Apache-2.0
"""Emulated KMS for the tests of the backend, and keys in it."""

from collections.abc import Iterator

import botocore.loaders
import pytest

from sealpass.backends.awskms import client
from tests.support.kms_emulator import KmsEmulator


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Read botocore's description of KMS once, and not for each of some hundred clients."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda _: loader)
        yield


@pytest.fixture
def kms(kms_in_process: KmsEmulator) -> Iterator[KmsEmulator]:
    """The emulator inside this process, without calls and faults of other tests."""
    kms_in_process.reset()
    yield kms_in_process
    kms_in_process.reset()


@pytest.fixture
def remote_kms(kms_over_http: KmsEmulator) -> Iterator[KmsEmulator]:
    """The emulator behind a port of loopback, without calls and faults of other tests."""
    kms_over_http.reset()
    yield kms_over_http
    kms_over_http.reset()


@pytest.fixture(scope="session", params=["kms_in_process", "kms_over_http"])
def either(request: pytest.FixtureRequest) -> KmsEmulator:
    """The emulator, reached in each of its two ways."""
    found: KmsEmulator = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def emulator(either: KmsEmulator) -> Iterator[KmsEmulator]:
    """As ``either``, without calls and faults of other tests."""
    either.reset()
    yield either
    either.reset()


@pytest.fixture(scope="session")
def rsa_arn(kms_in_process: KmsEmulator) -> str:
    """An RSA key of ``kms``."""
    return kms_in_process.create_rsa()


@pytest.fixture(scope="session")
def symmetric_arn(kms_in_process: KmsEmulator) -> str:
    """A symmetric key of ``kms``."""
    return kms_in_process.create_symmetric()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No test leaves a client open."""
    yield
    left = list(client._table)
    client._table.clear()
    assert not left
