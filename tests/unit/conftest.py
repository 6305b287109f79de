# SPDX-License-Identifier: Apache-2.0
import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.contract import PROFILES
from tests.support.contract import Flow


@pytest.fixture(params=PROFILES)
def flow(request: pytest.FixtureRequest, software_ring: KeyRing) -> Flow:
    """A login under each profile."""
    return Flow(software_ring, PROFILES[request.param])
