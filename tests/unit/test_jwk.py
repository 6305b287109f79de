# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.jwk import PublicJwk, check_rsa_public_key
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.vectors import Vector, load

THUMBPRINTS = load("jwk")


def _weak_key(bits: int) -> rsa.RSAPublicKey:
    # Fixed odd numbers of the right size: the check looks at sizes, and making a real key would take long.
    return rsa.RSAPublicNumbers(65537, (1 << bits - 1) | 1).public_key()


@pytest.fixture(scope="module")
def members(software_key: Unwrapper) -> dict[str, Any]:
    """A right JWK, to be spoilt."""
    return dict(software_key.public_jwk.to_dict())


@pytest.mark.parametrize("vector", THUMBPRINTS.values(), ids=THUMBPRINTS)
def test_thumbprint_of_the_rfc(vector: Vector) -> None:
    """RFC 7638 section 3.1: the key id is the thumbprint, whatever kid the JWK came with."""
    members = {name: vector["jwk"][name] for name in ("kty", "n", "e", "kid")}
    key = PublicJwk.from_dict(members)
    assert key.kid == vector["thumbprint"]
    assert (key.bits, key.modulus_bytes) == (2048, 256)


def test_round_trips(software_key: Unwrapper) -> None:
    """JWK to key to JWK, as a dictionary and as a file, and both name the same key."""
    jwk = software_key.public_jwk
    assert PublicJwk.from_dict(jwk.to_dict()) == jwk
    assert PublicJwk.from_json(json.dumps(jwk.to_dict("RSA-OAEP-256")).encode()) == jwk
    assert PublicJwk.from_public_key(jwk.public_key()) == jwk


def test_members_are_public_and_for_encryption(members: dict[str, Any]) -> None:
    """RFC 7517: kty, n and e, the kid, the use, and the alg only where one was chosen."""
    assert set(members) == {"kty", "n", "e", "kid", "use"}
    assert (members["kty"], members["use"], members["e"]) == ("RSA", "enc", "AQAB")
    assert PublicJwk.from_dict(members).to_dict("RSA-OAEP")["alg"] == "RSA-OAEP"


@pytest.mark.parametrize(
    "addition",
    [
        {"alg": "RSA-OAEP-256"},
        {"alg": "RSA-OAEP"},
        {"key_ops": ["wrapKey"]},
        {"key_ops": ["verify", "encrypt"]},
        {"x5t": "anything", "made": {"by": ["somebody"]}},
        {"kid": 5},
    ],
    ids=str,
)
def test_accepts_other_members(members: dict[str, Any], addition: dict[str, Any]) -> None:
    """RFC 7517 section 4: members that are not understood are ignored."""
    assert PublicJwk.from_dict(members | addition).kid == members["kid"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kty": "EC"}, "not an RSA key"),
        ({"kty": "oct"}, "not an RSA key"),
        ({"kty": "rsa"}, "not an RSA key"),
        ({"kty": []}, "not an RSA key"),
        *(({name: "AQAB"}, "private key") for name in ("d", "p", "q", "dp", "dq", "qi", "oth")),
        ({"use": "sig"}, "use is not 'enc'"),
        ({"use": []}, "use is not 'enc'"),
        ({"key_ops": ["verify"]}, "key_ops"),
        ({"key_ops": []}, "key_ops"),
        ({"key_ops": "encrypt"}, "key_ops"),
        ({"key_ops": 5}, "key_ops"),
        ({"key_ops": [["encrypt"]]}, "key_ops"),
        ({"alg": "RSA1_5"}, "alg is not"),
        ({"alg": "RS256"}, "alg is not"),
        ({"alg": []}, "alg is not"),
        ({"alg": None}, "alg is not"),
        ({"n": 5}, "n and e"),
        ({"n": None}, "n and e"),
        ({"n": ""}, "n and e"),
        ({"n": "é"}, "n and e"),
        ({"n": "not base64url!"}, "bits"),
        ({"e": 65537}, "n and e"),
        ({"e": ""}, "n and e"),
        ({"e": "AQ"}, "n and e"),
        ({"e": "Ag"}, "n and e"),
        ({"e": "AAEAAQ"}, "shortest"),
        ({"e": "AQAB="}, "n and e|shortest"),
    ],
    ids=str,
)
def test_refuses(members: dict[str, Any], change: dict[str, Any], message: str) -> None:
    """A client refuses every JWK that was not meant for this, with a reason (contract case A15)."""
    with pytest.raises(ConfigError, match=message):
        PublicJwk.from_dict(members | change)


@pytest.mark.parametrize("name", ["kty", "n", "e"])
def test_refuses_missing_members(members: dict[str, Any], name: str) -> None:
    """RFC 7518 section 6.3.1: kty, n and e are a public RSA key, and all of them are needed."""
    with pytest.raises(ConfigError):
        PublicJwk.from_dict({key: value for key, value in members.items() if key != name})


def test_refuses_a_modulus_with_a_leading_zero(members: dict[str, Any]) -> None:
    """RFC 7518 section 6.3.1.1: n has no leading zero; a second spelling would give a second thumbprint."""
    with pytest.raises(ConfigError, match="shortest"):
        PublicJwk.from_dict(members | {"n": tokens.encode(b"\0" + tokens.decode(members["n"]))})


@pytest.mark.parametrize("value", [None, [], "text", 5, [{"kty": "RSA"}]])
def test_refuses_what_is_no_object(value: object) -> None:
    """A JWK set is no JWK."""
    with pytest.raises(ConfigError, match="not a JSON object"):
        PublicJwk.from_dict(value)


@pytest.mark.parametrize("text", [b"", b"{", b'{"kty":"RSA","kty":"RSA"}', b"\xff", b"-----BEGIN PUBLIC KEY-----"])
def test_refuses_what_is_no_json(text: bytes) -> None:
    """A PEM file where a JWK is wanted is a plain error."""
    with pytest.raises(ConfigError, match="not a JWK"):
        PublicJwk.from_json(text)


@pytest.mark.parametrize(
    ("bits", "accepted"), [(1024, False), (2040, False), (2048, True), (8192, True), (8200, False)]
)
def test_size_of_the_modulus(bits: int, accepted: bool) -> None:  # noqa: FBT001 - a parameter
    """RFC 7518 section 4.3: 2048 bits or more; and no more than a token has room for."""
    if accepted:
        assert PublicJwk.from_public_key(_weak_key(bits)).modulus_bytes == bits // 8
    else:
        with pytest.raises(UnsupportedAlgorithm, match=f"{bits} bits"):
            PublicJwk.from_public_key(_weak_key(bits))


def test_odd_sizes_round_up_to_whole_bytes() -> None:
    """RFC 8017 section 7.1: a ciphertext has as many bytes as the modulus, rounded up."""
    assert PublicJwk.from_public_key(_weak_key(2049)).modulus_bytes == 257


@pytest.mark.parametrize("exponent", [1, 2, 65536])
def test_refuses_public_exponents_that_do_not_encrypt(exponent: int) -> None:
    """1 leaves the message as it is; an even one has no inverse (contract case A8)."""

    class _Key:
        key_size = 2048

        def public_numbers(self) -> rsa.RSAPublicNumbers:
            return rsa.RSAPublicNumbers(exponent, (1 << 2047) | 1)

    with pytest.raises(UnsupportedAlgorithm, match="exponent"):
        check_rsa_public_key(_Key())  # type: ignore[arg-type]


def test_refuses_an_even_modulus(members: dict[str, Any]) -> None:
    """It is no product of two odd primes, and its factors are found at once."""
    even = (int.from_bytes(tokens.decode(members["n"])) - 1).to_bytes(256)
    with pytest.raises(ConfigError, match="modulus is even"):
        PublicJwk.from_dict(members | {"n": tokens.encode(even)})
