# SPDX-License-Identifier: Apache-2.0
"""What a gate times: a token opened in the device, and the reference operation that runs in turn with it."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.backends.registry import open_key
from sealpass.bench.qualification.device import module_facts
from sealpass.bench.qualification.document import SOFTWARE_NOTE, note_on_speed
from sealpass.core import jwe
from sealpass.core.algorithms import A256GCM, OAEP_BY_JWE_NAME
from sealpass.core.encrypt import encrypt
from sealpass.core.errors import ConfigError, Error, UnsupportedAlgorithm
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.jwk import PublicJwk
from sealpass.core.oaep import oaep_encrypt, oaep_padding
from sealpass.core.protocols import Unwrapper, as_unwrapper
from sealpass.core.uri import KeyUri

SOFTWARE = "software"
"""The reference that is an RSA decryption in this process; otherwise it is a URI."""
_INPUTS = 32
"""Distinct tokens, used in turn."""
_ALGS = ("RSA-OAEP-256", "RSA-OAEP")
_A_REFERENCE = "a second key of the same size on the same device, made once and never changed"


@dataclass(frozen=True, slots=True)
class Timed:
    """An operation and its right answers, by number."""

    call: Callable[[int], object]
    expected: Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Described:
    """An operation, and what a result file says of it."""

    timed: Timed
    facts: dict[str, Any]


def _unwrapping(key: Unwrapper, alg: str) -> Timed:
    payloads = [SEALPASS.write_payload(f"correct horse {number}") for number in range(_INPUTS)]
    tokens = [encrypt(payload, key.public_jwk, alg, A256GCM.name) for payload in payloads]
    return Timed(lambda number: jwe.decrypt(tokens[number % _INPUTS], key), lambda number: payloads[number % _INPUTS])


def device_operation(key: Unwrapper) -> Described:
    """A whole token to its payload, by the first padding that the key does; raises UnsupportedAlgorithm."""
    alg = next((name for name in _ALGS if OAEP_BY_JWE_NAME[name] in key.capabilities.unwrap), None)
    if alg is None or A256GCM not in key.capabilities.content:
        raise UnsupportedAlgorithm("the key opens no tokens with RSA-OAEP and A256GCM")
    module = module_facts(key)
    facts = {
        "uri": key.uri.shown(),
        "key_id": key.key_id,
        "bits": key.public_jwk.bits,
        "mode": None if key.capabilities.mode is None else key.capabilities.mode.value,
        "alg": alg,
        "module": module.to_dict(),
        "note": note_on_speed(key, module),
    }
    return Described(_unwrapping(key, alg), facts)


@contextmanager
def reference_operation(
    reference: str | None, device: Mapping[str, Any], *, force_login: bool = False
) -> Iterator[Described]:
    """What runs in turn with the operation of these facts: ``reference`` is SOFTWARE or the URI of another key.

    None is SOFTWARE for a soft token. A ratio to what is unlike moves with the machine, so that for a device of its
    own ConfigError is raised.
    """
    bits, alg = device["bits"], device["alg"]
    if reference is None and device["note"] == SOFTWARE_NOTE:
        reference = SOFTWARE
    if reference is None:
        raise ConfigError(
            "the key is in a device of its own, which software is no measure of",
            hint=f"give --reference URI: {_A_REFERENCE};"
            " or compare two versions in one job, with 'sealpass bench compare'",
        )
    if reference == SOFTWARE:
        yield _in_software(bits, alg)
        return
    with naming("the reference"):
        opened = open_key(KeyUri.parse(reference), force_login=force_login)
    with opened:
        key = as_unwrapper(opened)
        if key.key_id == device["key_id"]:
            raise ConfigError(
                "the reference is the key itself: whatever became of it, the ratio would be 1",
                hint=f"a reference is {_A_REFERENCE}",
            )
        if key.public_jwk.bits != bits:
            raise ConfigError(
                f"the reference key has {key.public_jwk.bits} bits, and the key has {bits}",
                hint=f"a reference is {_A_REFERENCE}",
            )
        facts = {"kind": "device", "uri": key.uri.shown(), "key_id": key.key_id, "bits": bits}
        yield Described(_unwrapping(key, alg), facts)


@contextmanager
def naming(whose: str) -> Iterator[None]:
    """Let what errors say begin with whose they are, where several keys are opened; class, code and hint stay."""
    try:
        yield
    except Error as error:
        named = copy(error)
        named.args = (f"{whose}: {error}",)
        raise named from None


def _in_software(bits: int, alg: str) -> Described:
    """A bare decryption by cryptography, which nothing of ours can make slower."""
    key = reference_key(bits)
    padding, oaep = oaep_padding(OAEP_BY_JWE_NAME[alg]), OAEP_BY_JWE_NAME[alg]
    ceks = [secrets.token_bytes(A256GCM.cek_bytes) for _ in range(_INPUTS)]
    ciphertexts = [oaep_encrypt(key.public_key(), cek, oaep) for cek in ceks]
    timed = Timed(
        lambda number: key.decrypt(ciphertexts[number % _INPUTS], padding), lambda number: ceks[number % _INPUTS]
    )
    kid = PublicJwk.from_public_key(key.public_key()).kid
    return Described(timed, {"kind": SOFTWARE, "uri": None, "key_id": kid, "bits": bits})


@cache
def reference_key(bits: int) -> rsa.RSAPrivateKey:
    """The fixed key of this size that references are timed with; it is public, and protects nothing."""
    text = (resources.files("sealpass.bench.gate") / "reference_keys.json").read_text(encoding="ascii")
    primes = json.loads(text)["primes"].get(str(bits))
    if primes is None:
        raise ConfigError(
            f"there is no software reference of {bits} bits", hint="give --reference URI: a second key on the device"
        )
    p, q = (int(prime, 16) for prime in primes)
    exponent = 65537
    private = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, private, private % (p - 1), private % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(exponent, p * q)
    )
    return numbers.private_key()
