# SPDX-License-Identifier: Apache-2.0
"""What every sealing key promises, on every device."""

from dataclasses import replace

import pytest

from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, UnsupportedAlgorithm
from sealpass.core.protocols import MAX_SEALED_BYTES, as_unwrapper
from tests.conformance.devices import SealingDevice, SealingKey


@pytest.fixture
def key(sealing_key: SealingKey) -> SealingKey:
    """The symmetric key, open."""
    return sealing_key


def test_capabilities_are_those_of_the_written_matrix(sealing_device: SealingDevice, key: SealingKey) -> None:
    """A symmetric key seals with the algorithm of its size, as the shipped matrix says, and unwraps nothing."""
    if sealing_device.row is None:
        pytest.skip("a device of the user's own has no row in the shipped matrix")
    assert {algorithm.name for algorithm in key.capabilities.seal} == {sealing_device.algorithm}
    assert sealing_device.algorithm in sealing_device.row.seal
    assert not key.capabilities.unwrap
    with pytest.raises(UnsupportedAlgorithm):
        as_unwrapper(key)


@pytest.mark.parametrize("plaintext", [b"x", b"$argon2id$" + b"v" * 87, bytes(MAX_SEALED_BYTES)], ids=len)
def test_what_is_sealed_opens(key: SealingKey, plaintext: bytes) -> None:
    """Sealing and opening is the identity, from one byte to 4 KiB."""
    sealed = key.seal(plaintext, b"aad")
    assert key.open_sealed(sealed, b"aad") == plaintext
    assert sealed.algorithm in {algorithm.name for algorithm in key.capabilities.seal}


@pytest.mark.parametrize("plaintext", [b"", bytes(MAX_SEALED_BYTES + 1)], ids=len)
def test_what_not_every_device_seals_none_does(key: SealingKey, plaintext: bytes) -> None:
    """Nothing at all, and more than 4 KiB: AWS KMS refuses both, and a record must be able to move there."""
    with pytest.raises(ConfigError):
        key.seal(plaintext, b"aad")


@pytest.mark.parametrize("aad", [b"", "Jürg".encode(), b"line\nbreak", b"\0", b"\xff"], ids=repr)
def test_a_record_is_bound_to_printable_text_only(key: SealingKey, aad: bytes) -> None:
    """The encryption context of AWS KMS is text, and shows up in its logs."""
    with pytest.raises(ConfigError):
        key.seal(b"text", aad)


def test_every_nonce_is_fresh(key: SealingKey) -> None:
    """The same text sealed twice has two ciphertexts."""
    sealed = [key.seal(b"text", b"aad") for _ in range(20)]
    assert len({(item.nonce, item.ciphertext) for item in sealed}) == len({item.ciphertext for item in sealed}) == 20


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
        replace(sealed, ciphertext=bytes(7000)),
        replace(sealed, nonce=bytes(12)),
        replace(sealed, nonce=sealed.nonce[:-1] or b"n"),
        replace(sealed, nonce=b"" if sealed.nonce else bytes(16)),
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


def test_text_is_no_plaintext_and_no_aad(key: SealingKey) -> None:
    """Text in place of bytes is a ConfigError that says so, on every device, and nothing is sealed."""
    for plaintext, aad in (("text", b"aad"), (b"text", "aad")):
        with pytest.raises(ConfigError, match="bytes"):
            key.seal(plaintext, aad)  # type: ignore[arg-type]
