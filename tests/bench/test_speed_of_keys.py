# SPDX-License-Identifier: Apache-2.0
"""One operation on every backend: ``pytest --benchmark-enable tests/bench/test_speed_of_keys.py`` measures it.

Elsewhere each runs once and is checked. Soft tokens and emulators say nothing about the speed of a device.
"""

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sealpass.backends.registry import open_key
from sealpass.core import jwe
from sealpass.core.algorithms import A256GCM, OAEP_BY_JWE_NAME
from sealpass.core.encrypt import encrypt
from sealpass.core.protocols import Unwrapper, as_unwrapper
from tests.conformance.conftest import kms_keys as kms_keys  # noqa: PLC0414 - a fixture that the devices ask for
from tests.conformance.conftest import store_passwords as store_passwords  # noqa: PLC0414 - as above
from tests.conformance.devices import SEALING, UNWRAPPING, SealingDevice, SealingKey, UnwrappingDevice

ONE_OF_EACH = ("software", "softhsm2-native", "softhsm2-in-token", "nss-native", "nss-in-token", "keystore-jks",
               "kms-in-process", "kms-over-http")  # fmt: skip
SEALING_ONE_OF_EACH = ("software", "softhsm2", "nss", "keystore-jceks", "kms-in-process", "kms-over-http")
SECRET = b"$argon2id$v=19$m=65536,t=3,p=4$bm90IGEgcmVhbCBzYWx0$bm90IGEgcmVhbCBoYXNoIG9mIGFueXRoaW5n"
CONTEXT = b"$sealpass$v=1$..."


@pytest.fixture(params=[device for device in UNWRAPPING if device.name in ONE_OF_EACH], ids=lambda device: device.name)
def key(request: pytest.FixtureRequest) -> Iterator[Unwrapper]:
    """An RSA-2048 key of each device, open."""
    device: UnwrappingDevice = request.param
    with open_key(device.uri(request), failure_floor=0) as opened:
        yield as_unwrapper(opened)


@pytest.fixture(
    params=[device for device in SEALING if device.name in SEALING_ONE_OF_EACH and device.bits == 256],
    ids=lambda device: device.name,
)
def sealing_key(request: pytest.FixtureRequest) -> Iterator[SealingKey]:
    """A symmetric key of each device that has one, open."""
    device: SealingDevice = request.param
    with open_key(device.uri(request)) as opened:
        yield opened  # type: ignore[misc]  # the two roles together


@pytest.mark.benchmark(group="unwrap")
def test_unwrap(benchmark: BenchmarkFixture, key: Unwrapper) -> None:
    """A whole token to its payload."""
    alg = next(name for name in ("RSA-OAEP-256", "RSA-OAEP") if OAEP_BY_JWE_NAME[name] in key.capabilities.unwrap)
    payload = b'{"password":"correct horse"}'.ljust(64)
    token = encrypt(payload, key.public_jwk, alg, A256GCM.name)
    assert benchmark(jwe.decrypt, token, key) == payload


@pytest.mark.benchmark(group="seal")
def test_seal(benchmark: BenchmarkFixture, sealing_key: SealingKey) -> None:
    """A password's hash into a record."""
    sealed = benchmark(sealing_key.seal, SECRET, CONTEXT)
    assert sealing_key.open_sealed(sealed, CONTEXT) == SECRET


@pytest.mark.benchmark(group="open")
def test_open(benchmark: BenchmarkFixture, sealing_key: SealingKey) -> None:
    """And out of it."""
    sealed = sealing_key.seal(SECRET, CONTEXT)
    assert benchmark(sealing_key.open_sealed, sealed, CONTEXT) == SECRET


def test_every_backend_is_measured() -> None:
    """The names above are those of the conformance suite, and none of its families is left out."""
    names = {device.name for device in UNWRAPPING}
    assert names >= set(ONE_OF_EACH)
    others = {"opencryptoki", "p11-kit-remote"}  # which not every machine can have
    families = {name.partition("-")[0] for name in names - others}
    assert {name.partition("-")[0] for name in ONE_OF_EACH} == families
    assert {device.name for device in SEALING} >= set(SEALING_ONE_OF_EACH)
