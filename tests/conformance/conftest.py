# SPDX-License-Identifier: Apache-2.0
"""Every test of this folder runs on every device that plays the role it asks for. ``--key-uri URI`` adds a real one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core.protocols import Key, Unwrapper, as_unwrapper
from tests.conformance.devices import SEALING, UNWRAPPING, SealingDevice, UnwrappingDevice, given
from tests.keystore.make_stores import KEY_PASSWORDS, STORE_PASSWORD
from tests.support.kms_emulator import KmsEmulator


def _unwrapping(metafunc: pytest.Metafunc) -> list[UnwrappingDevice]:
    uris: list[str] = metafunc.config.getoption("--key-uri")
    real = [UnwrappingDevice(uri.split("?")[0], given(uri), None) for uri in uris]
    # The emulator keeps the user's AWS credentials, and the way to AWS, out of this process.
    to_aws = any(uri.startswith("awskms:") and "endpoint-url" not in uri for uri in uris)
    return [*(device for device in UNWRAPPING if not (to_aws and device.name.startswith("kms"))), *real]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a device; what a device cannot do because of others' mistakes is expected to fail, strictly."""
    if "device" in metafunc.fixturenames:
        test = metafunc.definition.originalname
        devices = [
            pytest.param(device, id=device.name, marks=pytest.mark.xfail(reason=device.broken[test], strict=True))
            if test in device.broken
            else pytest.param(device, id=device.name)
            for device in _unwrapping(metafunc)
        ]
        metafunc.parametrize("device", devices, scope="session")
    if "sealing_device" in metafunc.fixturenames:
        metafunc.parametrize("sealing_device", SEALING, ids=lambda device: device.id, scope="session")


@pytest.fixture(scope="session")
def store_passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with the passwords of the committed key stores, by the name of what they open."""
    folder = tmp_path_factory.mktemp("store-passwords")
    for name, password in {"store": STORE_PASSWORD, **KEY_PASSWORDS}.items():
        (folder / name).write_text(password)
    return folder


@pytest.fixture(scope="session")
def kms_keys(request: pytest.FixtureRequest) -> Mapping[tuple[str, str], str]:
    """ARNs of this worker's KMS keys, by way (the fixture's name) and kind; made when they are asked for."""
    return _KmsKeys(request)


class _KmsKeys(dict[tuple[str, str], str]):
    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__()
        self._request = request

    def __missing__(self, item: tuple[str, str]) -> str:
        way, kind = item
        emulator: KmsEmulator = self._request.getfixturevalue(way)
        self[item] = emulator.create_rsa() if kind == "rsa" else emulator.create_symmetric()
        return self[item]


@pytest.fixture
def uri(device: UnwrappingDevice, request: pytest.FixtureRequest) -> str:
    """The URI of an RSA key of the device."""
    return device.uri(request)


@pytest.fixture
def key(uri: str) -> Iterator[Unwrapper]:
    """The key, open, with failures released at once; the token is checked for leftovers."""
    with ExitStack() as stack:
        opened = stack.enter_context(open_key(uri, failure_floor=0))
        # A second key, because a test may close the first; only a token has objects that could stay behind.
        witness = stack.enter_context(open_key(uri)) if isinstance(opened, RsaTokenKey) else None
        before = _objects(witness)
        yield as_unwrapper(opened)
        assert _objects(witness) == before, "the test left objects in the token"


@pytest.fixture
def sealing_uri(sealing_device: SealingDevice, request: pytest.FixtureRequest) -> str:
    """The URI of a symmetric key of the device."""
    return sealing_device.uri(request)


def _objects(key: Key | None) -> int:
    """How many objects, session objects included, the token shows."""
    if not isinstance(key, RsaTokenKey):
        return 0
    with key._connection.own_session() as session:
        return len(list(session.get_objects({})))
