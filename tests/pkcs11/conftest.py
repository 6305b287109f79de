# SPDX-License-Identifier: Apache-2.0
"""Every test of this folder leaves no connection behind."""

from collections.abc import Iterator

import pytest

from sealpass.backends.pkcs11 import sharing


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = dict(sharing._shared)
    yield
    assert sharing._shared == before, "a key of this test is still open"
