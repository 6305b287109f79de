# SPDX-License-Identifier: Apache-2.0
"""The suite has a device for all that the shipped matrix says, and keys of the user's own take part."""

import subprocess
import sys
from pathlib import Path

from sealpass.backends.matrix import ROWS
from sealpass.backends.registry import key_maker
from sealpass.core.uri import KeyUri
from tests.conformance.devices import SEALING, UNWRAPPING
from tests.support.process import ROOT

FOLDER = "tests/conformance"


def test_every_row_has_a_device() -> None:
    """A row that no device of this suite stands for would be a promise that nobody checks."""
    assert {device.row for device in UNWRAPPING} | {device.row for device in SEALING} == set(ROWS)


def test_every_seal_algorithm_of_a_row_has_a_device() -> None:
    """A row that names three algorithms is checked with three keys; so is each that names none."""
    for row in ROWS:
        assert {device.algorithm for device in SEALING if device.row is row} == set(row.seal), row
        assert bool(row.unwrap) is any(device.row is row for device in UNWRAPPING), row


def _suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", FOLDER, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_keys_of_the_users_own_take_part_in_their_roles(tmp_path: Path, software_uri: str) -> None:
    """``--key-uri`` runs an RSA key through the unwrapping tests and an AES key through the sealing ones."""
    sealing = str(key_maker(KeyUri("software", {"path": bytes(tmp_path / "key.jwk")})).create_aes(256))
    names = "test_what_is_sealed_opens or test_every_failure"
    ran = _suite(f"--key-uri={software_uri}", f"--key-uri={sealing}", "-k", f"({names}) and (key.pem or key.jwk)")
    assert ran.returncode == 0, ran.stdout
    # each key in its role: 1 test of unwrapping and 3 of sealing; and skipped in the other
    assert "4 passed, 4 skipped" in ran.stdout
    assert "does not unwrap" in ran.stdout
    assert "does not seal" in ran.stdout


def test_no_emulator_stands_between_the_user_and_aws() -> None:
    """With a key in AWS itself nothing of the run starts an emulator: it would take the user's credentials away."""
    there = _suite("--collect-only", "-k", "kms").stdout
    assert "kms-in-process" in there
    ran = _suite("--key-uri=awskms:key-id=alias/e2ee;region=eu-central-1", "--collect-only", "-k", "kms")
    assert "[awskms:key-id=alias/e2ee;region=eu-central-1" in ran.stdout
    assert "kms-in-process" not in ran.stdout
    assert "kms-over-http" not in ran.stdout
