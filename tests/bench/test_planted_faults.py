# SPDX-License-Identifier: Apache-2.0
"""Every planted fault is found, by the case or check that is there for it."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, qualify
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.nonces import MemoryNonceStore
from tests.bench import planted


def failed(document: dict[str, Any]) -> set[str]:
    """The ids of everything in a document that failed."""
    judged = [*document["cases"], *document["checks"]]
    high = {finding["id"] for finding in document["findings"] if finding["severity"] == "high"}
    return {entry["id"] for entry in judged if entry["status"] == "fail"} | high


def test_a_sound_key_passes(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """The reference meets the profile, with all cases passed and two findings that weigh nothing: mode and size."""
    document = qualify(planted.SoundKey(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "pass"
    assert document["verdict"]["reasons"] == []
    assert document["verdict"]["cases"]["pass"] == len(document["cases"]) > 180
    assert [(finding["id"], finding["severity"]) for finding in document["findings"]] == [
        ("software-key", "info"),
        ("rsa-2048", "info"),
    ]


@pytest.mark.parametrize(
    ("plant", "caught_by"),
    [
        (planted.TellsBadPadding, {"A6a", "A7", "A12a", "A12n", "A12o", "A12p", "A12q", "A13"}),
        (planted.RaisesItsOwn, {"A1b", "A12a", "A12i", "A12n"}),
        (planted.ChainsTheCause, {"D2"}),
        (planted.FailsAtOnce, {"D3"}),
        (planted.SlowerThanItsFloor, {"failure-floor"}),
        (planted.IgnoresTheTag, {"H10", "C3a", "C3d", "C3e", "C3f", "C3g"}),
        (planted.FallsBackToPkcs1, {"A1b"}),
        (planted.TriesEveryHash, {"A6a", "A6b"}),
        (planted.IgnoresTheLabel, {"A7"}),
        (planted.TakesAnyCekLength, {"A9e", "A9f"}),
        (planted.TrimsTheCek, {"A9g"}),
        (planted.DropsLeadingZeros, {"A12g"}),
        (planted.ReducesTheCiphertext, {"A12r"}),
        (planted.ClaimsTooMuch, {"D1"}),
        (planted.DoesMoreThanItSays, {"D1"}),
        (planted.PoisonedByFailure, {"D4"}),
        (planted.MixesThreadsUp, {"R1c", "D5"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_fault_is_caught(
    plant: type[planted.SoundKey], caught_by: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """A key with one fault fails, and the case for this fault is among those that say so."""
    document = qualify(plant(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert document["verdict"]["exit_code"] == 1
    assert caught_by <= failed(document)


@pytest.mark.parametrize(
    ("store", "caught_by"),
    [(planted.ForgetfulStore, {"R1a", "R1b", "R1c", "R1d", "V1"}), (planted.RacyStore, {"R1c"})],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_store_that_allows_replay_is_caught(
    store: type[MemoryNonceStore], caught_by: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """A nonce that works twice fails the cases on replay."""
    document = qualify(planted.SoundKey(private_key), SEALPASS, replace(tiny, nonces=store))
    assert document["verdict"]["verdict"] == "fail"
    assert caught_by <= failed(document)


def test_sha1_only_is_not_supported_without_the_opt_in(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A token that knows only SHA-1 fails the default profile, with no case passed and nothing measured."""
    document = qualify(planted.Sha1Only(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert document["verdict"]["cases"]["not-supported"] == len(document["cases"]) > 180
    assert document["verdict"]["cases"]["pass"] == 0
    assert document["measurement"]["status"] == "not-measured"
    assert document["measurement"]["runs"] is None
    assert "--allow-sha1" in document["measurement"]["reason"]


def test_sha1_only_passes_with_the_opt_in_and_a_deviation(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """With the opt-in the same token passes, and the document says that the default is not supported."""
    document = qualify(planted.Sha1Only(private_key), SEALPASS.allowing_sha1(), tiny)
    assert document["verdict"]["verdict"] == "pass"
    assert document["capabilities"]["announced"]["alg"] == "RSA-OAEP"
    [deviation] = document["deviations"]
    assert "RSA-OAEP-256" in deviation["text"]
    assert "NOT supported" in deviation["text"]


def test_a_cek_size_that_a_token_does_not_tell_is_a_deviation(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """In-token, a CEK of another size that opens is reported as a deviation; elsewhere it is a failure."""
    document = qualify(planted.HoldsTheCekInside(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "pass"
    assert document["verdict"]["cases"]["deviation"] == 2
    [deviation] = document["deviations"]
    assert deviation["id"] == "A9e, A9f"


def test_a_cek_size_that_a_token_claims_to_check_is_a_failure(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Where the token says that it checks the size of a CEK, one of another size that opens is no deviation."""

    class Claims(planted.HoldsTheCekInside):
        def attributes(self) -> dict[str, bool]:
            return {"sensitive": True, "extractable": False, "cek_length_checked": True}

    document = qualify(Claims(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert failed(document) == {"A9e", "A9f"}
    assert document["deviations"] == []


def test_a_lost_device_is_inconclusive(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A device that goes away leaves the rest untried: neither passed nor failed, and no speed."""
    document = qualify(planted.GoesAway(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "inconclusive"
    assert document["verdict"]["exit_code"] == 4
    assert document["verdict"]["cases"]["inconclusive"] > 100
    assert document["verdict"]["cases"]["fail"] == 0
    assert document["measurement"]["status"] == "not-measured"


def test_a_slow_device_passes_above_its_own_floor(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """The finding says how slow the failures are; with a floor above that, the same device passes."""
    late = qualify(planted.SlowerThanItsFloor(private_key), SEALPASS, tiny)
    [finding] = [finding for finding in late["findings"] if finding["id"] == "failure-floor"]
    assert "the slowest after 1000 ms" in finding["text"]
    assert "--failure-floor" in finding["advice"]
    slow = planted.SlowerThanItsFloor(private_key)
    slow.failure_floor.seconds = 1.5
    document = qualify(slow, SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    assert document["failure_floor"]["seconds"] == 1.5
    assert document["failure_floor"]["overruns"] == 0
