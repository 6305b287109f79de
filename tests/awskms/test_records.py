# SPDX-License-Identifier: Apache-2.0
"""Records under AWS KMS: which calls they cost, and rotation inside KMS."""

from pathlib import Path

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker
from sealpass.core.errors import RecordProblem, RecordRefused
from sealpass.core.passwords import Passwords, Verification
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.sealing import CHEAP

PASSWORD, SUBJECT = "korrekt Pferd", "8a6e0804-2bd0-4672-b79d-d97027f9071a"


def uri(arn: str) -> str:
    """The URI of a key."""
    return f"awskms:key-id={arn};region={REGION}"


@pytest.fixture
def record(kms: KmsEmulator, symmetric_arn: str) -> str:
    """A record under the old key; the calls begin to count after it."""
    with KeyRing(uri(symmetric_arn)) as ring:
        made = Passwords(ring, hashing=CHEAP).hash(PASSWORD, SUBJECT)
    kms.reset()
    return made


def test_a_record_costs_one_call_each_time(kms: KmsEmulator, symmetric_arn: str) -> None:
    """One Encrypt to make it, one Decrypt to verify it; for nobody one Decrypt, too."""
    with KeyRing(uri(symmetric_arn)) as ring:
        passwords = Passwords(ring, hashing=CHEAP)
        kms.reset()
        record = passwords.hash(PASSWORD, SUBJECT)
        assert (kms.count("Encrypt"), kms.count("Decrypt")) == (1, 0)
        assert passwords.verify(record, PASSWORD, SUBJECT)
        assert (kms.count("Encrypt"), kms.count("Decrypt")) == (1, 1)
        passwords.verify_nobody(PASSWORD)
        assert (kms.count("Encrypt"), kms.count("Decrypt")) == (1, 2)


def test_rotation_between_kms_keys_is_one_reencrypt(kms: KmsEmulator, symmetric_arn: str, record: str) -> None:
    """The hash does not leave KMS; the record verifies under the new key and is bound as before."""
    with KeyRing(uri(kms.create_symmetric()), [uri(symmetric_arn)]) as ring:
        passwords = Passwords(ring, hashing=CHEAP)
        kms.reset()
        rotated = passwords.rotate(record, SUBJECT)
        assert (kms.count("ReEncrypt"), kms.count("Encrypt"), kms.count("Decrypt")) == (1, 0, 0)
        assert passwords.verify(rotated, PASSWORD, SUBJECT) == Verification(matches=True)
        for subject, use in (("another", "current"), (SUBJECT, "history")):
            with pytest.raises(RecordRefused) as caught:
                passwords.rotate(record, subject, use)
            assert caught.value.problem is RecordProblem.DOES_NOT_OPEN
            with pytest.raises(RecordRefused):
                passwords.verify(rotated, PASSWORD, subject, use)


@pytest.mark.usefixtures("kms")
def test_rotation_to_another_device_and_back(symmetric_arn: str, record: str, tmp_path: Path) -> None:
    """Where the new key is not in KMS, the hash comes through this process."""
    local = str(key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256))
    in_kms = uri(symmetric_arn)
    for current, previous in ((local, in_kms), (in_kms, local)):
        with KeyRing(current, [previous]) as ring:
            passwords = Passwords(ring, hashing=CHEAP)
            record = passwords.rotate(record, SUBJECT)
            assert passwords.verify(record, PASSWORD, SUBJECT) == Verification(matches=True)
