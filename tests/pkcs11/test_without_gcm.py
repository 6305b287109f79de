# SPDX-License-Identifier: Apache-2.0
"""Tokens without AES-GCM: what they cannot do is found out when a key is opened, and refused before any call."""

import pytest

from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.protocols import Opener, Sealed, Sealer, Unwrapper
from tests.support.soft_tokens import SoftToken


@pytest.mark.parametrize("kind", ["opencryptoki", "p11_kit"])
@pytest.mark.parametrize("bits", [128, 256])
def test_an_aes_key_does_not_seal(kind: str, bits: int, request: pytest.FixtureRequest) -> None:
    """An AES key opens, has no seal capability, and says so to whoever seals or opens with it."""
    token: SoftToken = request.getfixturevalue(kind)
    with open_key(token.shared_aes_key(bits)) as key:
        assert not key.capabilities.seal
        assert isinstance(key, Sealer)
        assert isinstance(key, Opener)
        with pytest.raises(UnsupportedAlgorithm):
            key.seal(b"record", b"")
        with pytest.raises(UnsupportedAlgorithm):
            key.open_sealed(Sealed(f"A{bits}GCM", bytes(12), bytes(32)), b"")


def test_a_key_for_in_token_does_not_unwrap(opencryptoki: SoftToken) -> None:
    """OpenCryptoki unwraps into the token and cannot decrypt there, so such a key declares nothing."""
    with open_key(opencryptoki.shared_key(UnwrapMode.IN_TOKEN)) as key:
        assert isinstance(key, Unwrapper)
        assert (key.capabilities.unwrap, key.capabilities.content) == (frozenset(), frozenset())
        token = encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP-256", "A256GCM")
        with pytest.raises(UnsupportedAlgorithm):
            jwe.decrypt(token, key)
