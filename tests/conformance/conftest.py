# SPDX-License-Identifier: Apache-2.0
"""The devices of the conformance suite. ``--key-uri URI`` adds a real one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from sealpass.backends import matrix
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Key, Unwrapper, as_unwrapper
from tests.support.soft_tokens import SoftToken


@dataclass(frozen=True)
class Device:
    """A device under test: how to get at a key of it, and what the written matrix says."""

    name: str
    uri: Callable[[pytest.FixtureRequest], str]
    row: matrix.Row | None


def _given(uri: str) -> Callable[[pytest.FixtureRequest], str]:
    """A key of the user's own."""
    return lambda _: uri


def _in_token(kind: str, mode: UnwrapMode) -> Callable[[pytest.FixtureRequest], str]:
    """The worker's key of a soft token for a mode."""

    def uri(request: pytest.FixtureRequest) -> str:
        token: SoftToken = request.getfixturevalue(kind)
        return token.shared_key(mode)

    return uri


DEVICES = (
    Device("software", lambda request: str(request.getfixturevalue("software_uri")), matrix.SOFTWARE_RSA),
    Device("softhsm2-native", _in_token("softhsm2", UnwrapMode.NATIVE), matrix.SOFTHSM2_NATIVE),
    Device("softhsm2-in-token", _in_token("softhsm2", UnwrapMode.IN_TOKEN), matrix.SOFTHSM2_IN_TOKEN),
    Device("nss-native", _in_token("nss", UnwrapMode.NATIVE), matrix.NSS_NATIVE),
    Device("nss-in-token", _in_token("nss", UnwrapMode.IN_TOKEN), matrix.NSS_IN_TOKEN),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test of this folder that asks for a device on each of them."""
    if "device" in metafunc.fixturenames:
        given = metafunc.config.getoption("--key-uri")
        real = [Device(uri.split("?")[0], _given(uri), None) for uri in given]
        devices = [*DEVICES, *real]
        metafunc.parametrize("device", devices, ids=[device.name for device in devices], scope="session")


@pytest.fixture
def uri(device: Device, request: pytest.FixtureRequest) -> str:
    """A key URI of the device."""
    return device.uri(request)


@pytest.fixture
def key(uri: str) -> Iterator[Unwrapper]:
    """The key, open, with failures released at once; the token is checked for leftovers."""
    with open_key(uri, failure_floor=0) as opened, open_key(uri) as witness:
        before = _objects(witness)
        yield as_unwrapper(opened)
        assert _objects(witness) == before, "the test left objects in the token"


def _objects(key: Key) -> int:
    """How many objects, session objects included, the token shows."""
    if not isinstance(key, RsaTokenKey):
        return 0
    with key._connection.own_session() as session:
        return len(list(session.get_objects({})))
