# SPDX-License-Identifier: Apache-2.0
"""The RFCs' own tokens, under the RFCs' own keys."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jwcrypto import jwk

from sealpass.backends.registry import key_maker, open_key
from sealpass.core import jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import DecryptionFailed, TokenRejected
from sealpass.core.protocols import Unwrapper, as_unwrapper
from tests.support import tokens
from tests.support.vectors import Vector, load

VECTORS = load("jwe")


@pytest.fixture(scope="module", params=VECTORS)
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each of them."""
    return VECTORS[request.param]


@pytest.fixture(scope="module")
def key(vector: Vector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unwrapper]:
    """The vector's private JWK, imported into a software key."""
    pem = jwk.JWK.from_json(json.dumps(vector["jwk"])).export_to_pem(private_key=True, password=None)
    path: Path = tmp_path_factory.mktemp("vector") / "key.pem"
    uri = key_maker(f"software:path={path}").import_rsa(pem, UnwrapMode.SOFTWARE)
    with open_key(uri, failure_floor=0) as opened:
        yield as_unwrapper(opened)


def test_opens(vector: Vector, key: Unwrapper) -> None:
    """To the plaintext that the RFC prints."""
    assert vector["expect"] == "opens"
    assert jwe.decrypt(vector["token"], key) == vector["plaintext"].encode()


def test_reads_back_as_it_was_spelled(vector: Vector) -> None:
    """Taking it apart and putting it together gives the RFC's characters."""
    assert tokens.join(tokens.split(vector["token"])) == vector["token"]


def _flipped(octets: bytes) -> bytes:
    return octets[:-1] + bytes((octets[-1] ^ 0x80,))


def _first_flipped(octets: bytes) -> bytes:
    return bytes((octets[0] ^ 0x01,)) + octets[1:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "last-bit": _flipped,
    "first-bit": _first_flipped,
    "cut": lambda octets: octets[:-1],
    "grown": lambda octets: octets + b"\0",
    "zeros": lambda octets: bytes(len(octets)),
    "empty": lambda _: b"",
    "reversed": lambda octets: octets[::-1],
}
# What the form shows is TokenRejected: a header that is no JSON any more, a length that is not the algorithm's.
VISIBLE = {(tokens.HEADER, name) for name in DAMAGES} | {
    (part, name) for part in (tokens.ENCRYPTED_KEY, tokens.IV, tokens.TAG) for name in ("cut", "grown", "empty")
}


@pytest.mark.parametrize("part", range(5), ids=tokens.PART_NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_does_not_open_when_damaged(vector: Vector, key: Unwrapper, part: int, damage: str) -> None:
    """Each part, in each way, fails as the class that it belongs to."""
    token = vector["token"]
    damaged = tokens.with_part(token, part, DAMAGES[damage](tokens.split(token)[part]))
    assert damaged != token
    expected = TokenRejected if (part, damage) in VISIBLE else DecryptionFailed
    with pytest.raises(expected):
        jwe.decrypt(damaged, key)


def test_does_not_open_with_another_header(vector: Vector, key: Unwrapper) -> None:
    """Well-formed, the same algorithms, but not what the tag covers."""
    header = tokens.header_of(vector["token"]) | {"kid": "another"}
    with pytest.raises(DecryptionFailed):
        jwe.decrypt(tokens.with_part(vector["token"], tokens.HEADER, json.dumps(header).encode()), key)


def test_does_not_open_with_another_key(vector: Vector, software_key: Unwrapper) -> None:
    """Whether or not the other key has the same size."""
    with pytest.raises((DecryptionFailed, TokenRejected)):
        jwe.decrypt(vector["token"], software_key)


def test_does_not_open_under_the_other_alg(vector: Vector, key: Unwrapper) -> None:
    """OAEP with SHA-256 does not open what OAEP with SHA-1 closed."""
    header = tokens.header_of(vector["token"]) | {"alg": "RSA-OAEP-256"}
    with pytest.raises(DecryptionFailed):
        jwe.decrypt(tokens.with_part(vector["token"], tokens.HEADER, json.dumps(header).encode()), key)
