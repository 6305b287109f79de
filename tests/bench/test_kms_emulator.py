# SPDX-License-Identifier: Apache-2.0
"""Qualifications of a key in the emulator of AWS KMS, over HTTP."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sealpass.backends.registry import key_maker
from sealpass.bench.qualification import Options, qualify
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.profile import Profile
from tests.bench.conftest import TINY
from tests.support.kms_emulator import KmsEmulator


@pytest.fixture(scope="module")
def kms_uri() -> Iterator[str]:
    """The URI of an RSA key behind an alias."""
    with KmsEmulator.over_http() as emulator:
        maker = key_maker(f"awskms:key-id=alias/qualified;region=eu-central-1?endpoint-url={emulator.endpoint_url}")
        yield str(maker.create_rsa(2048, UnwrapMode.NATIVE))


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_KMS], ids=lambda profile: profile.name)
def test_a_key_in_the_emulator_qualifies(profile: Profile, kms_uri: str, tiny: Options) -> None:
    """It passes as a key in a device does, with what KMS says of it, and without a claim about speed."""
    document = qualify(kms_uri, profile, replace(tiny, allow_software=False, plan=replace(TINY, threads=(1, 8))))
    assert document["verdict"]["verdict"] == "pass", document["verdict"]["reasons"]
    assert document["key"]["mode"] == "native"
    assert document["module"]["values"]["origin"] == "AWS_KMS"
    assert document["measurement"]["note"] == "emulator: no performance claim"
    findings = {finding["id"] for finding in document["findings"]} - {"failure-floor"}  # by the load of the machine
    assert findings == {"emulator", "rsa-2048"}
    assert document["failure_floor"]["seconds"] == 0.5  # a shorter one would be a race with a busy machine
