# SPDX-License-Identifier: Apache-2.0
"""Every fault that is planted under ``airlock-kms`` is found, by the case or check that is there for it."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, qualify
from sealpass.core.kms_profile import AIRLOCK_KMS, NonceForm
from sealpass.core.nonces import MemoryNonceStore
from tests.bench import planted, planted_kms
from tests.bench.test_planted_faults import failed


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("form", list(NonceForm))
def test_a_sound_key_passes_with_all_settings(
    bits: int, form: NonceForm, private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """The reference meets the profile with either key size and either form of the nonce, which the document names."""
    document = qualify(planted.SoundKey(private_key), AIRLOCK_KMS.with_key_bits(bits).authenticating(form), tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    counts = document["verdict"]["cases"]
    assert counts["not-applicable"] == (2 if form is NonceForm.BYTES else 0)
    assert counts["pass"] == len(document["cases"]) - counts["not-applicable"] > 130
    assert (document["settings"]["kms_key_bits"], document["settings"]["kms_aad"]) == (bits, form.value)
    assert document["capabilities"]["announced"]["enc"] == f"A{bits}GCM"


@pytest.mark.parametrize(
    ("plant", "caught_by"),
    [
        (planted.TellsBadPadding, {"A6a", "A7", "A12a", "A13", "C5f"}),
        (planted.ChainsTheCause, {"D2"}),
        (planted.FailsAtOnce, {"D3"}),
        (planted.SlowerThanItsFloor, {"failure-floor"}),
        (
            planted.IgnoresTheTag,
            {
                "C1b",
                "C1f",
                "C3d",
                "C3e",
                "C3g",
                "C5a",
                "C5b",
                "C5c",
                "C5d",
                "C5e",
                "C5g",
                "C5h",
                "H7j",
                "R2e",
                "R4b",
            },
        ),
        (planted.FallsBackToPkcs1, {"A1b"}),
        (planted.TriesEveryHash, {"A6a", "C5f"}),
        (planted.IgnoresTheLabel, {"A7"}),
        (planted.TakesAnyCekLength, {"A9e", "A9f"}),
        (planted.DropsLeadingZeros, {"A12g"}),
        (planted.ReducesTheCiphertext, {"A12r"}),
        (planted.PoisonedByFailure, {"D4"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_key_is_caught(
    plant: type[planted.SoundKey], caught_by: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """A key with one fault fails under this profile, too, and the case for this fault says so."""
    document = qualify(plant(private_key), AIRLOCK_KMS, tiny)
    assert document["verdict"]["exit_code"] == 1
    assert caught_by - failed(document) == set()


@pytest.mark.parametrize(
    ("store", "caught_by"),
    [
        (planted.ForgetfulStore, {"R1a", "R1b", "R1c", "R1d", "H7i", "H7l", "V1"}),
        (planted.RacyStore, {"R1c"}),
        (planted_kms.AnswersTheOldest, {"H7j", "H7k"}),
        (planted_kms.KeepsOlderOnes, {"H7k", "H7l"}),
        (planted_kms.ForgetsThePurpose, {"R2a", "R2b", "R2c", "R2d", "H7m"}),
        (planted_kms.ForgetsTheSession, {"H7e"}),
        (planted_kms.ForgetsTheTime, {"H7f"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_store_is_caught(
    store: type[MemoryNonceStore], caught_by: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """A store that does not take the latest nonce of the step, and all of the step, fails the cases on nonces."""
    document = qualify(planted.SoundKey(private_key), AIRLOCK_KMS, replace(tiny, nonces=store))
    assert document["verdict"]["exit_code"] == 1
    assert caught_by - failed(document) == set()


@pytest.mark.parametrize(
    ("profile", "caught_by"),
    [
        (planted_kms.ReadsAnyBase64, {f"E6{letter}" for letter in "abcdefghi"}),
        (planted_kms.ReadsAnyJson, {f"E6{letter}" for letter in "jklmnopqrstuvwxy"}),
        (planted_kms.IgnoresTheNonce, {"C5a", "V1", "V2"}),
        (planted_kms.TakesTheOtherForm, {"C5b", "V1"}),
        (planted_kms.TakesAJweToo, {"E6z"}),
        (planted_kms.GivesAnotherReason, {"C1h", "C1i", "C2a", "E5a", "E5b", "E6a", "P6f", "R4a", "R4c"}),
        (planted_kms.TrimsPasswords, {"P3c", "P5a"}),
        (planted_kms.RepairsPasswords, {"P3a", "P3b", "P3d", "P3f"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_reader_is_caught(
    profile: type[planted_kms.Planted], caught_by: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """A reader of messages that is lenient, repairs, or binds to something else fails the cases on the message."""
    document = qualify(planted.SoundKey(private_key), profile.profile(), tiny)
    assert document["verdict"]["exit_code"] == 1
    assert caught_by - failed(document) == set()
