# SPDX-License-Identifier: Apache-2.0
import pytest

from sealpass.backends.keyring import KeyRing
from tests.support.contract import JWE_PROFILES, Flow


@pytest.fixture(params=JWE_PROFILES)
def flow(request: pytest.FixtureRequest, software_ring: KeyRing) -> Flow:
    """A login under each profile."""
    return Flow(software_ring, JWE_PROFILES[request.param])
