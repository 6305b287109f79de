# SPDX-License-Identifier: Apache-2.0
"""Sealing where the token makes the IV, in each documented way, imitated on a soft token."""

import ctypes
import dataclasses
from typing import Any

import pytest

from sealpass.backends.pkcs11 import vendor_profiles
from sealpass.backends.pkcs11.aes_key import AesTokenKey
from sealpass.backends.pkcs11.cryptoki import CKM_CLOUDHSM_AES_GCM, CKM_CLOUDKMS_AES_GCM
from sealpass.backends.pkcs11.return_values import CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID
from sealpass.backends.pkcs11.vendor_profile import GcmIv, GcmSealing
from sealpass.backends.registry import open_key
from sealpass.core.errors import BackendUnavailable, ConfigError, UnsupportedAlgorithm
from sealpass.core.protocols import Key, Sealed
from tests.support.simulated_module import TokenMadeIv, functions_of
from tests.support.soft_tokens import SoftToken

RECORD = b"$argon2id$" + b"v" * 87
GCM_VENDORS = {
    "luna-fips": TokenMadeIv(GcmIv.APPENDED, iv_bytes=16),
    "cloudhsm": TokenMadeIv(GcmIv.WRITTEN_BACK, refusal=CKR_ARGUMENTS_BAD),
    "cloudhsm-prepended": TokenMadeIv(GcmIv.PREPENDED, mechanism=CKM_CLOUDHSM_AES_GCM),
    "google-kms": TokenMadeIv(GcmIv.WRITTEN_BACK, mechanism=CKM_CLOUDKMS_AES_GCM),
}


def aes(key: Key) -> AesTokenKey:
    """The key, as an AES key in a token."""
    assert isinstance(key, AesTokenKey)
    return key


@pytest.fixture(params=GCM_VENDORS)
def gcm(
    request: pytest.FixtureRequest, softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, TokenMadeIv]:
    """The URI of an AES key in a token that makes its own IVs, with the vendor's profile; and the simulation."""
    simulated = GCM_VENDORS[request.param]
    simulated.made.clear()
    uri = f"{softhsm2.shared_aes_key(256)}&profile={request.param}"
    return uri, simulated.install(softhsm2, monkeypatch)


def test_sealing_with_the_tokens_iv(gcm: tuple[str, TokenMadeIv]) -> None:
    """What is sealed opens; the nonce is the IV that the token used, and the ciphertext has its tag and no more."""
    uri, simulated = gcm
    with open_key(uri) as key:
        for plaintext in (b"x", RECORD, bytes(4096)):
            sealed = aes(key).seal(plaintext, b"aad")
            assert sealed.nonce == simulated.made[-1]
            assert len(sealed.ciphertext) == len(plaintext) + 16
            assert aes(key).open_sealed(sealed, b"aad") == plaintext
            assert aes(key).open_sealed(sealed, b"AAD") is None


def test_the_default_profile_does_not_seal_there(gcm: tuple[str, TokenMadeIv]) -> None:
    """Where a token refuses the caller's IV, the default profile finds by trying that the key does not seal."""
    with open_key(gcm[0].split("&profile=")[0] + "&profile=default") as key:
        assert not key.capabilities.seal


def test_records_of_one_key_open_in_any_way(softhsm2: SoftToken, gcm: tuple[str, TokenMadeIv]) -> None:
    """The stored form is AES-GCM's own: another reader of the same key opens it."""
    from sealpass.backends.pkcs11.library import load_module
    from sealpass.backends.pkcs11.sharing import connect, leave

    with open_key(gcm[0]) as key:
        sealed = aes(key).seal(RECORD, b"aad")
        # straight to the real token under the simulation, as a module with the standard's GCM would
        connection = connect(key.uri, load_module(softhsm2.uri.require("module-path")), force_login=False)
        session = connection.acquire(None)
        try:
            simulated = gcm[1]
            reference = session.gcm.prepare(sealed.nonce, b"aad")
            assert simulated._decrypt_init(session.handle, reference, aes(key)._handle) == 0
            output = session.output
            output.prepare()
            ciphertext = sealed.ciphertext
            assert simulated._decrypt(session.handle, ciphertext, len(ciphertext), output.data, output.length) == 0
            assert output.take() == RECORD
        finally:
            connection.release(session)
            leave(connection)


@pytest.mark.parametrize("fault", ["zero", "repeated"])
def test_an_iv_that_is_none_makes_no_record(
    gcm: tuple[str, TokenMadeIv], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """An IV of zeros, or one that was used before, is BackendUnavailable, not to be retried; nothing is sealed."""
    uri, simulated = gcm
    with open_key(uri) as key:
        first = aes(key).seal(RECORD, b"aad")
        monkeypatch.setattr(simulated, "make_iv", lambda size: bytes(size) if fault == "zero" else first.nonce)
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="nothing is sealed") as caught:
                aes(key).seal(RECORD, b"aad")
            assert not caught.value.retryable
        assert aes(key).open_sealed(first, b"aad") == RECORD
        assert key.capabilities.seal


@pytest.mark.parametrize("iv", [bytes(16), b"always the same."], ids=["zero", "constant"])
def test_a_token_that_never_makes_an_iv_does_not_seal(
    gcm: tuple[str, TokenMadeIv], monkeypatch: pytest.MonkeyPatch, iv: bytes
) -> None:
    """Such a token is found out when the key is opened."""
    uri, simulated = gcm
    monkeypatch.setattr(simulated, "make_iv", lambda size: iv[:size])
    with open_key(uri) as key:
        assert not key.capabilities.seal
        with pytest.raises(UnsupportedAlgorithm):
            aes(key).seal(RECORD, b"aad")


def test_a_longer_iv_than_asked_for_is_noticed(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that writes 16 bytes where 12 were asked for overwrites nothing of ours, and seals nothing."""
    simulated = TokenMadeIv(GcmIv.WRITTEN_BACK).install(softhsm2, monkeypatch)
    with open_key(f"{softhsm2.shared_aes_key(256)}&profile=cloudhsm") as key:
        make_iv = simulated.make_iv
        monkeypatch.setattr(simulated, "make_iv", lambda size: make_iv(size) + b"more")
        with pytest.raises(BackendUnavailable, match="longer"):
            aes(key).seal(RECORD, b"aad")


def test_output_of_another_length_is_no_record(
    softhsm2: SoftToken, gcm: tuple[str, TokenMadeIv], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the token answers with more bytes than documented, nothing is sealed."""
    uri, simulated = gcm

    def longer(session: int, data: bytes, length: int, output: Any, output_length: Any) -> int:
        rv = simulated.encrypt(session, data, length, output, output_length)
        output_length._obj.value += 4
        return rv

    monkeypatch.setattr(functions_of(softhsm2), "encrypt", longer)
    with open_key(uri) as key:
        assert not key.capabilities.seal


def test_each_sealing_gives_the_token_a_buffer_of_its_own(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token writes into fresh zeros that nobody else holds: Python's bytes are shared and must never change."""
    TokenMadeIv(GcmIv.WRITTEN_BACK).install(softhsm2, monkeypatch)
    with open_key(f"{softhsm2.shared_aes_key(256)}&profile=cloudhsm") as key:
        session = aes(key)._connection.acquire(None)
        one, two = (aes(key)._sealing.begin(session, b"aad")[1] for _ in range(2))
        aes(key)._connection.release(session)
        assert isinstance(one, ctypes.Array)
        assert isinstance(two, ctypes.Array)
        assert ctypes.addressof(one) != ctypes.addressof(two)
        assert not any(bytes(one))
        assert len({aes(key).seal(RECORD, b"aad").nonce for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("profile", "lengths"), [("default", {12}), ("softhsm2", {12}), ("luna", {12, 16}), ("cloudhsm", {12})]
)
def test_which_iv_lengths_open(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch, profile: str, lengths: set[int]
) -> None:
    """Luna also opens what it sealed in its other mode; elsewhere an IV that is not 12 bytes opens nothing."""
    uri = softhsm2.shared_aes_key(256)
    made = {}
    for size in (12, 16):
        with monkeypatch.context() as patch:
            TokenMadeIv(GcmIv.APPENDED, iv_bytes=16).install(softhsm2, patch)
            if size == 16:
                with open_key(f"{uri}&profile=luna-fips") as key:
                    made[size] = aes(key).seal(RECORD, b"aad")
        if size == 12:
            with open_key(f"{uri}&profile=default") as key:
                made[size] = aes(key).seal(RECORD, b"aad")
    if profile == "cloudhsm":
        TokenMadeIv(GcmIv.WRITTEN_BACK).install(softhsm2, monkeypatch)
    with open_key(f"{uri}&profile={profile}") as key:
        assert {size for size, sealed in made.items() if aes(key).open_sealed(sealed, b"aad") == RECORD} == lengths


def test_a_devices_own_limit_is_kept(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is longer than what the device takes at a time is refused before any I/O."""
    small = dataclasses.replace(vendor_profiles.LUNA, sealing=GcmSealing(longest=100))
    monkeypatch.setattr(vendor_profiles, "PROFILES", (small,))
    with open_key(f"{softhsm2.shared_aes_key(256)}&profile=luna") as key:
        assert len(aes(key).seal(bytes(100), b"aad").ciphertext) == 116
        with pytest.raises(ConfigError, match="at most 100"):
            aes(key).seal(bytes(101), b"aad")


def test_luna_in_fips_mode_opens_records_of_before(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record with our 12-byte IV still opens after the switch to FIPS mode."""
    uri = softhsm2.shared_aes_key(256)
    with open_key(f"{uri}&profile=luna") as key:
        before = aes(key).seal(RECORD, b"aad")
    TokenMadeIv(GcmIv.APPENDED, iv_bytes=16).install(softhsm2, monkeypatch)
    with open_key(f"{uri}&profile=luna-fips") as key:
        assert aes(key).open_sealed(before, b"aad") == RECORD
        assert aes(key).open_sealed(Sealed(before.algorithm, before.nonce[:8], before.ciphertext), b"aad") is None


def test_yubihsm_is_not_asked_for_gcm(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without AES-GCM is not even tried, and the key refuses before any I/O."""
    asked: list[object] = []

    def refuse(*given: object) -> int:
        asked.append(given)
        return CKR_MECHANISM_INVALID

    monkeypatch.setattr(functions_of(softhsm2), "encrypt_init", refuse)
    with open_key(f"{softhsm2.shared_aes_key(256)}&profile=yubihsm2") as key:
        assert not key.capabilities.seal
        assert asked == []
        with pytest.raises(UnsupportedAlgorithm):
            aes(key).seal(RECORD, b"aad")
    with open_key(f"{softhsm2.shared_aes_key(256)}&profile=default") as key:
        assert not key.capabilities.seal
        assert asked
