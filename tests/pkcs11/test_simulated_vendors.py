# SPDX-License-Identifier: Apache-2.0
"""Each vendor's documented peculiarity, imitated on a soft token: its profile copes, the default one does not."""

import pytest
from pkcs11.exceptions import ArgumentsBad, FunctionFailed

from sealpass.backends.pkcs11 import connection as connection_module
from sealpass.backends.pkcs11.aes_key import AesTokenKey
from sealpass.backends.pkcs11.cryptoki import CKM_CLOUDKMS_AES_GCM
from sealpass.backends.pkcs11.return_values import (
    CKR_DEVICE_ERROR,
    CKR_ENCRYPTED_DATA_INVALID,
    CKR_GENERAL_ERROR,
)
from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.pkcs11.vendor_profile import GcmIv
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import RSA_OAEP, RSA_OAEP_256, RSA_OAEP_256_MGF1_SHA1
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, DecryptionFailed
from sealpass.core.protocols import Key, as_unwrapper
from tests.support.simulated_module import (
    SimulatedSlot,
    TokenMadeIv,
    ask_for_value_len,
    functions_of,
    misread,
    refuse_mixed_hashes,
)
from tests.support.soft_tokens import SoftToken

RECORD = b"$argon2id$" + b"v" * 87


def rsa(key: Key) -> RsaTokenKey:
    """The key, as an RSA key in a token."""
    assert isinstance(key, RsaTokenKey)
    return key


def aes(key: Key) -> AesTokenKey:
    """The key, as an AES key in a token."""
    assert isinstance(key, AesTokenKey)
    return key


# -- sessions ----------------------------------------------------------------------------------------------------------


def opens_a_token(key: Key) -> bool:
    """Whether the key opens what is made for it."""
    token = encrypt.encrypt(b"payload", as_unwrapper(key).public_jwk, "RSA-OAEP", "A256GCM")
    return jwe.decrypt(token, as_unwrapper(key)) == b"payload"


def test_cloudhsm_gets_read_write_sessions(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDK 5 before 5.5 refuses read-only sessions: with its profile every session is read-write."""
    uri = softhsm2.shared_key()
    slot = SimulatedSlot(read_only_error=FunctionFailed).install(monkeypatch)
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    with pytest.raises(BackendUnavailable):
        open_key(f"{uri}&profile=default")
    with open_key(f"{uri}&profile=cloudhsm&unwrap-mode=native") as key:
        connection = rsa(key)._connection
        assert rsa(key).describe()["token"] == "sealpass"
        session = connection.acquire(None)
        connection.renew(session)
        connection.release(session)
        assert opens_a_token(key)
        connection.lose(connection._idle)
        assert opens_a_token(key)
    assert slot.opened == 0


def test_cloudhsm_without_a_free_session_is_waited_for(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """CKR_ARGUMENTS_BAD of C_OpenSession means that no session is free: we wait for one of ours."""
    uri = softhsm2.shared_key()
    slot = SimulatedSlot(limit_error=ArgumentsBad).install(monkeypatch)
    for profile, retryable in (("default", False), ("cloudhsm", True)):
        with open_key(f"{uri}&profile={profile}") as key:
            connection = rsa(key)._connection
            slot.limit = 2
            held = connection.acquire(None)
            with pytest.raises(BackendUnavailable) as caught:
                connection.acquire(Deadline.after(0.01))
            assert caught.value.retryable is retryable
            if retryable:
                with pytest.raises(BackendUnavailable, match="no free session") as caught, connection.own_session():
                    pass
                assert caught.value.retryable
            assert connection._stale is not retryable  # the default profile takes it for a lost token
            connection.release(held)
            slot.limit = None
    assert slot.opened == 0


def test_a_pause_between_questions_for_a_session(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none of ours open a token without free sessions is asked now and then, until the deadline."""
    uri = softhsm2.shared_aes_key(128)
    slot = SimulatedSlot(limit_error=ArgumentsBad).install(monkeypatch)
    with open_key(f"{uri}&profile=yubihsm2") as key:
        connection = aes(key)._connection
        questions: list[bool] = []
        check = slot.check

        def counting(*, rw: bool) -> None:
            questions.append(rw)
            check(rw=rw)

        monkeypatch.setattr(slot, "check", counting)
        monkeypatch.setattr(connection, "_no_session_left", (ArgumentsBad,))
        monkeypatch.setattr(connection_module, "SESSION_PAUSE_SECONDS", 60.0)
        slot.limit = 0
        with pytest.raises(BackendUnavailable, match="no free session"):
            connection.acquire(Deadline.after(0.02))
        assert len(questions) == 2
        slot.limit = None


def test_yubihsm_keeps_sessions_free_for_others(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 16 sessions in all a full pool still leaves one for reports; with the default profile it does not."""
    uri = softhsm2.shared_key()
    slot = SimulatedSlot(limit=16).install(monkeypatch)
    for profile, answers in (("default", False), ("yubihsm2", True)):
        with open_key(f"{uri}&profile={profile}") as key:
            connection = rsa(key)._connection
            held = []
            while (session := connection.acquire_if_free(Deadline.after(0.005))) is not None:
                held.append(session)
            if answers:
                assert rsa(key).describe()["token"] == "sealpass"
            else:
                with pytest.raises(BackendUnavailable, match="no free session"):
                    rsa(key).describe()
            for session in held:
                connection.release(session)
    assert slot.opened == 0


# -- unwrapping --------------------------------------------------------------------------------------------------------


def test_nshield_is_not_asked_for_mixed_hashes(softhsm2: SoftToken, nss: SoftToken) -> None:
    """OAEP with two different hashes is refused there; its profile does not try, and refuses before any I/O."""
    for profile, mixed in (("default", 1), ("nshield", 0)):
        with pytest.MonkeyPatch.context() as patch:
            refused = refuse_mixed_hashes(nss, patch)
            with open_key(f"{nss.shared_key()}&profile={profile}") as key:
                assert RSA_OAEP_256 in key.capabilities.unwrap
                assert RSA_OAEP_256_MGF1_SHA1 not in key.capabilities.unwrap
            assert len(refused) == mixed


@pytest.mark.parametrize(("vendor", "required"), [("luna", True), ("luna-fips", True), ("utimaco", False)])
def test_the_template_has_the_length_or_has_not(
    nss: SoftToken, monkeypatch: pytest.MonkeyPatch, *, vendor: str, required: bool
) -> None:
    """Luna wants CKA_VALUE_LEN and Utimaco refuses it: their profiles never try the other way; the default does."""
    uri = nss.shared_key(UnwrapMode.IN_TOKEN)
    refused = ask_for_value_len(nss, monkeypatch, required=required)
    with open_key(f"{uri}&profile={vendor}", failure_floor=0) as key:
        assert opens_a_token(key)
        assert rsa(key).attributes()["rsa_pkcs"] is True  # NSS restricts no mechanisms
    assert refused == []
    with open_key(f"{uri}&profile=default", failure_floor=0) as key:
        assert opens_a_token(key)
        # A refusal for the template's sake looks like a refusal of the misuse: no clean bill without the profile.
        assert rsa(key).attributes()["rsa_pkcs"] is not required
    assert refused  # without the length for a start, or with it for raw RSA


@pytest.mark.parametrize("profile", ["default", "google-kms"])
def test_google_is_asked_for_the_oaep_that_it_has(nss: SoftToken, profile: str) -> None:
    """Its keys have SHA-256 or SHA-512, never SHA-1 and never two hashes."""
    with open_key(f"{nss.shared_key()}&profile={profile}") as key:
        assert (RSA_OAEP in key.capabilities.unwrap) is (profile == "default")
        assert RSA_OAEP_256 in key.capabilities.unwrap


# -- return values -----------------------------------------------------------------------------------------------------


def junk_for(key: Key) -> str:
    """A token of the right form whose encrypted key does not open."""
    token = encrypt.encrypt(b"payload", as_unwrapper(key).public_jwk, "RSA-OAEP", "A256GCM").split(".")
    return ".".join((token[0], "A" + token[1][1:-6] + "AAAAAA", *token[2:]))


def test_junk_does_not_end_the_login_on_a_yubihsm(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library says CKR_DEVICE_ERROR to a ciphertext that does not open: that is a bad token, not a lost device."""
    monkeypatch.setattr(connection_module, "RETRY_SECONDS", 0.0)
    misread(
        softhsm2,
        monkeypatch,
        "decrypt",
        {CKR_GENERAL_ERROR: CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID: CKR_DEVICE_ERROR},
    )
    with open_key(f"{softhsm2.shared_key()}&profile=yubihsm2", failure_floor=0) as key:
        epoch = rsa(key)._connection.epoch
        for _ in range(3):
            with pytest.raises(DecryptionFailed):
                jwe.decrypt(junk_for(key), as_unwrapper(key))
        assert rsa(key)._connection.epoch == epoch
        assert opens_a_token(key)
    with open_key(f"{softhsm2.shared_key()}&profile=default", failure_floor=0) as key:
        with pytest.raises(BackendUnavailable):
            jwe.decrypt(junk_for(key), as_unwrapper(key))
        assert opens_a_token(key)
        assert rsa(key)._connection.epoch == epoch + 1


def test_a_failed_call_to_google_costs_no_login(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """CKR_DEVICE_ERROR there is a service that did not answer once: retryable, and the connection stays."""
    with open_key(f"{softhsm2.shared_key()}&profile=google-kms&unwrap-mode=native") as opened:
        assert not opened.capabilities.unwrap  # SoftHSM2 has OAEP with SHA-1 only
    for profile, lost in (("google-kms", False), ("default", True)):
        with open_key(f"{softhsm2.shared_aes_key(256)}&profile={profile}") as key:
            assert aes(key)._answers is aes(key)._connection.answers
            assert (CKR_DEVICE_ERROR in aes(key)._answers.lost) is lost
            assert (CKR_DEVICE_ERROR in aes(key)._answers.trouble) is not lost
    with pytest.MonkeyPatch.context() as patch:
        simulated = TokenMadeIv(GcmIv.WRITTEN_BACK, mechanism=CKM_CLOUDKMS_AES_GCM).install(softhsm2, patch)
        with open_key(f"{softhsm2.shared_aes_key(256)}&profile=google-kms") as key:
            sealed = aes(key).seal(RECORD, b"aad")
            epoch = aes(key)._connection.epoch
            patch.setattr(functions_of(softhsm2), "decrypt", lambda *_: CKR_DEVICE_ERROR)
            with pytest.raises(BackendUnavailable) as caught:
                aes(key).open_sealed(sealed, b"aad")
            assert caught.value.retryable
            assert not aes(key)._connection._stale
            patch.setattr(functions_of(softhsm2), "decrypt", simulated.decrypt)
            assert aes(key).open_sealed(sealed, b"aad") == RECORD
            assert aes(key)._connection.epoch == epoch


# -- the hot path ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def test_an_operation_never_asks_the_profile(
    softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch, mode: UnwrapMode
) -> None:
    """All is decided when a key is opened: unwrapping, sealing and failing work with the profile taken away."""
    with (
        open_key(softhsm2.shared_key(mode), failure_floor=0) as key,
        open_key(softhsm2.shared_aes_key(256)) as sealer,
    ):
        monkeypatch.delattr(rsa(key)._connection, "vendor")
        assert opens_a_token(key)
        with pytest.raises(DecryptionFailed):
            jwe.decrypt(junk_for(key), as_unwrapper(key))
        assert aes(sealer).open_sealed(aes(sealer).seal(RECORD, b"aad"), b"aad") == RECORD
