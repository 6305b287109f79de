# SPDX-License-Identifier: Apache-2.0
"""Every test of this folder runs on every device that plays the role it asks for. ``--key-uri URI`` adds a real one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealpass.backends.pkcs11.objects import handle_of
from sealpass.backends.pkcs11.token_key import TokenKey
from sealpass.backends.registry import open_key
from sealpass.core.protocols import Key, Opener, Sealer, Unwrapper, as_unwrapper
from tests.conformance.devices import SEALING, UNWRAPPING, SealingDevice, SealingKey, UnwrappingDevice, given
from tests.keystore.make_stores import KEY_PASSWORDS, STORE_PASSWORD
from tests.support.kms_emulator import KmsEmulator


def _uris(metafunc: pytest.Metafunc) -> list[str]:
    uris: list[str] = metafunc.config.getoption("--key-uri")
    return uris


def _emulators_may_run(metafunc: pytest.Metafunc) -> bool:
    """An emulator keeps the user's AWS credentials, and the way to AWS, out of this process."""
    return not any(uri.startswith("awskms:") and "endpoint-url" not in uri for uri in _uris(metafunc))


def _unwrapping(metafunc: pytest.Metafunc) -> list[UnwrappingDevice]:
    real = [UnwrappingDevice(uri.split("?")[0], given(uri), None) for uri in _uris(metafunc)]
    kms = _emulators_may_run(metafunc)
    return [*(device for device in UNWRAPPING if kms or not device.name.startswith("kms")), *real]


def _sealing(metafunc: pytest.Metafunc) -> list[SealingDevice]:
    real = [SealingDevice(uri.split("?")[0], None, given(uri), None) for uri in _uris(metafunc)]
    kms = _emulators_may_run(metafunc)
    return [*(device for device in SEALING if kms or not device.name.startswith("kms")), *real]


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
        metafunc.parametrize("sealing_device", _sealing(metafunc), ids=lambda device: device.id, scope="session")


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
def key(device: UnwrappingDevice, uri: str) -> Iterator[Unwrapper]:
    """The key, open, with failures released at once; the token is checked for leftovers."""
    with open_key(uri, failure_floor=0) as opened, _without_leftovers(opened, uri):
        if device.row is None and not isinstance(opened, Unwrapper):
            pytest.skip("this key of the user's own does not unwrap")
        yield as_unwrapper(opened)


@pytest.fixture
def sealing_uri(sealing_device: SealingDevice, request: pytest.FixtureRequest) -> str:
    """The URI of a symmetric key of the device."""
    return sealing_device.uri(request)


@pytest.fixture
def sealing_key(sealing_device: SealingDevice, sealing_uri: str) -> Iterator[SealingKey]:
    """The symmetric key, open; the token is checked for leftovers."""
    with open_key(sealing_uri) as opened, _without_leftovers(opened, sealing_uri):
        if sealing_device.row is None and not opened.capabilities.seal:
            pytest.skip("this key of the user's own does not seal")
        assert isinstance(opened, Sealer)
        assert isinstance(opened, Opener)
        yield opened  # type: ignore[misc]  # the two roles together


@contextmanager
def _without_leftovers(key: Key, uri: str) -> Iterator[None]:
    """Fail where the token has other objects at the end; only a token has objects that could stay behind."""
    if not isinstance(key, TokenKey):
        yield
        return
    with open_key(uri) as witness:  # a second key, because a test may close the first
        before = _objects(witness)
        yield
        assert _objects(witness) == before, "the test left objects in the token, or took some"


def _objects(key: Key) -> set[int]:
    """The handles of all objects that the token shows, session objects included."""
    assert isinstance(key, TokenKey)
    with key._connection.own_session() as session:
        return {handle_of(item) for item in session.get_objects({})}
