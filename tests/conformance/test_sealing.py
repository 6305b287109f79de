# SPDX-License-Identifier: Apache-2.0
"""What every sealing key promises, on every device."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealpass.backends import matrix
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, UnsupportedAlgorithm
from sealpass.core.protocols import Opener, Sealer, as_unwrapper
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken

DEVICES = {"software": matrix.SOFTWARE_AES, "softhsm2": matrix.SOFTHSM2_AES, "nss": matrix.NSS_AES}
BITS = (128, 192, 256)


class SealingKey(Sealer, Opener):
    """Both roles in one type, as every AES key of ours has them."""


@pytest.fixture(params=[(name, bits) for name in DEVICES for bits in BITS], ids=lambda item: f"{item[0]}-{item[1]}")
def sealing_device(request: pytest.FixtureRequest) -> tuple[str, int]:
    """A device and a key size."""
    found: tuple[str, int] = request.param
    return found


@pytest.fixture
def key(sealing_device: tuple[str, int], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SealingKey]:
    """An AES key of the device, open."""
    name, bits = sealing_device
    if name == "software":
        uri = str(key_maker(KeyUri("software", {"path": bytes(tmp_path / "key.jwk")})).create_aes(bits))
    else:
        token: SoftToken = request.getfixturevalue(name)
        uri = token.shared_aes_key(bits)
    with open_key(uri) as opened:
        assert isinstance(opened, Sealer)
        assert isinstance(opened, Opener)
        yield opened  # type: ignore[misc]  # the two roles together


def test_capabilities_are_those_of_the_written_matrix(sealing_device: tuple[str, int], key: SealingKey) -> None:
    """An AES key seals with the AES-GCM of its size, as the shipped matrix says, and unwraps nothing."""
    name, bits = sealing_device
    assert {algorithm.name for algorithm in key.capabilities.seal} == {f"A{bits}GCM"} <= set(DEVICES[name].seal)
    assert not key.capabilities.unwrap
    with pytest.raises(UnsupportedAlgorithm):
        as_unwrapper(key)


@pytest.mark.parametrize("plaintext", [b"", b"x", b"$argon2id$" + b"v" * 87, bytes(4096)], ids=len)
def test_what_is_sealed_opens(key: SealingKey, plaintext: bytes) -> None:
    """Sealing and opening is the identity, from nothing to 4 KiB."""
    sealed = key.seal(plaintext, b"aad")
    assert key.open_sealed(sealed, b"aad") == plaintext
    assert len(sealed.ciphertext) == len(plaintext) + 16


def test_every_nonce_is_fresh(key: SealingKey) -> None:
    """The same text sealed twice has two nonces and two ciphertexts."""
    sealed = [key.seal(b"text", b"aad") for _ in range(20)]
    assert len({item.nonce for item in sealed}) == len({item.ciphertext for item in sealed}) == 20


def test_nothing_that_was_changed_opens(key: SealingKey) -> None:
    """Another AAD, algorithm, nonce or ciphertext opens nothing, and never raises."""
    sealed = key.seal(b"text", b"aad")
    flipped = bytes((sealed.ciphertext[0] ^ 1,)) + sealed.ciphertext[1:]
    assert key.open_sealed(sealed, b"other") is None
    for changed in (
        replace(sealed, ciphertext=flipped),
        replace(sealed, ciphertext=sealed.ciphertext[:-1]),
        replace(sealed, ciphertext=sealed.ciphertext + b"\0"),
        replace(sealed, ciphertext=b""),
        replace(sealed, ciphertext=bytes(5000)),
        replace(sealed, nonce=bytes(12)),
        replace(sealed, nonce=sealed.nonce[:-1]),
        replace(sealed, nonce=b""),
        replace(sealed, algorithm="A512GCM"),
    ):
        assert key.open_sealed(changed, b"aad") is None
    assert key.open_sealed(sealed, b"aad") == b"text"


def test_a_passed_deadline_stops_before_the_device(key: SealingKey) -> None:
    """After its deadline neither sealing nor opening is started."""
    sealed = key.seal(b"text", b"aad")
    with pytest.raises(BackendUnavailable):
        key.seal(b"text", b"aad", Deadline.after(-1))
    with pytest.raises(BackendUnavailable):
        key.open_sealed(sealed, b"aad", Deadline.after(-1))


def test_a_closed_key_refuses(key: SealingKey) -> None:
    """After close() any use is a ConfigError."""
    sealed = key.seal(b"text", b"aad")
    key.close()
    with pytest.raises(ConfigError):
        key.seal(b"text", b"aad")
    with pytest.raises(ConfigError):
        key.open_sealed(sealed, b"aad")
