# SPDX-License-Identifier: Apache-2.0
"""Contract cases in several threads, for devices whose failures are released late."""

import threading
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification import Options, Step, qualify
from sealpass.core.algorithms import RsaOaep
from sealpass.core.errors import BackendUnavailable
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.nonces import MemoryNonceStore, NonceRecord
from tests.bench import planted


class Late(planted.SoundKey):
    """Releases failures as late as AWS KMS, in simulated time."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.failure_floor.seconds = 0.5


def test_late_failures_are_awaited_in_several_threads(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """The cases of such a key run beside each other and give what they give one by one, in the same order."""
    late, early = Late(private_key), planted.SoundKey(private_key)
    steps: list[Step] = []
    reporters: set[str] = set()

    def follow(step: Step) -> None:
        steps.append(step)
        reporters.add(threading.current_thread().name)

    document = qualify(late, AIRLOCK_KMS, tiny, follow)
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    alone = qualify(early, AIRLOCK_KMS, tiny)
    assert [(case["id"], case["status"]) for case in document["cases"]] == [
        (case["id"], case["status"]) for case in alone["cases"]
    ]
    done = [step.done for step in steps if step.stage == "contract cases"]
    assert done == list(range(len(document["cases"]) + 1))
    assert len(reporters) > 1


def test_a_device_that_is_lost_is_inconclusive_in_several_threads(
    private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """Whatever was under way when the device went is not judged, and nothing after it is tried."""

    class LateAndLost(planted.GoesAway):
        def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
            super().__init__(private_key)
            self.failure_floor.seconds = 0.5

    document = qualify(LateAndLost(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "inconclusive"
    assert document["verdict"]["cases"]["fail"] == 0
    assert document["verdict"]["cases"]["inconclusive"] > 100


def test_a_device_that_is_lost_in_the_middle_of_a_race_is_inconclusive(
    private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """The race of R1c is not lost by a device that went away while it was run."""

    class GoesInARace(planted.SoundKey):
        gone = False

        def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
            self.gone |= threading.current_thread() is not threading.main_thread()
            if self.gone:
                raise BackendUnavailable("the token was removed", retryable=True)
            return super().unpad(encrypted_key, oaep)

    document = qualify(GoesInARace(private_key), SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "inconclusive", document["verdict"]["reasons"]
    assert {case["id"]: case["status"] for case in document["cases"]}["R1c"] == "inconclusive"


def test_an_error_in_a_thread_reaches_the_caller(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A nonce store that is full ends the qualification with its error, as it does in one thread."""

    class Full(MemoryNonceStore):
        def put(self, record: NonceRecord) -> None:  # noqa: ARG002 - whichever it is
            raise BackendUnavailable("the store is full", retryable=True)

    for key in (Late(private_key), planted.SoundKey(private_key)):
        with pytest.raises(BackendUnavailable, match="the store is full"):
            qualify(key, AIRLOCK_KMS, replace(tiny, nonces=Full))
