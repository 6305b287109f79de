# SPDX-License-Identifier: Apache-2.0
"""The result document: its schema, its numbers, and what must not be in it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jsonschema import Draft202012Validator

from sealpass.backends.registry import key_maker
from sealpass.bench.qualification import Options, Step, qualify
from sealpass.bench.report import markdown, terminal
from sealpass.core import base64url
from sealpass.core.errors import ConfigError, KeyNotFound
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.profile import Profile
from sealpass.core.uri import KeyUri
from tests.bench import planted


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    """The published file is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("key", "profile"),
    [
        (planted.SoundKey, SEALPASS),
        (planted.SoundKey, AIRLOCK_JWE),
        (planted.SoundKey, AIRLOCK_KMS),
        (planted.Sha1Only, AIRLOCK_KMS),
        (planted.Sha1Only, SEALPASS),
        (planted.Sha1Only, SEALPASS.allowing_sha1()),
        (planted.GoesAway, SEALPASS),
        (planted.MixesThreadsUp, SEALPASS),
    ],
    ids=lambda value: value.name if isinstance(value, Profile) else value.__name__,
)
def test_every_document_follows_the_schema(
    key: type[planted.SoundKey],
    profile: Profile,
    schema: dict[str, Any],
    private_key: rsa.RSAPrivateKey,
    tiny: Options,
) -> None:
    """Passed, failed, not supported or broken off: the document is valid and survives JSON unchanged."""
    document = qualify(key(private_key), profile, tiny)
    Draft202012Validator(schema).validate(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_ids_are_unique_and_cases_many(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """No id names two cases, and both good and bad tokens are among them."""
    document = qualify(planted.SoundKey(private_key), SEALPASS, tiny)
    ids = [case["id"] for case in document["cases"]]
    assert len(ids) == len(set(ids))
    outcomes = [case["expected"]["outcome"] for case in document["cases"]]
    assert outcomes.count("accepted") >= 20
    assert outcomes.count("rejected") >= 40
    assert outcomes.count("failed") >= 40


def test_the_failures_of_the_checks_and_of_the_floor_add_up(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Where more failures were released than end a case, D3 says how many more and where, and claims what it saw."""
    document = qualify(planted.SoundKey(private_key), SEALPASS, tiny)
    checks = {check["id"]: check for check in document["checks"]}
    assert checks["D3"]["title"] == "no failure is released before the fixed time"
    ended = sum((case["observed"] or {}).get("outcome") == "failed" for case in document["cases"])
    counted = document["failure_floor"]["failures"]
    assert checks["D2"]["detail"] == f"{ended} failures that end a case, all alike"
    assert checks["D3"]["detail"].endswith(
        f"; {counted - ended} more was a step inside a case that ends otherwise: {counted} failures in all"
    )


def test_throughput_is_verified_operations_by_wall_clock(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Every run counts its right answers, and its throughput is these by its time, not by latency."""
    document = qualify(planted.SoundKey(private_key), SEALPASS, tiny)
    runs = document["measurement"]["runs"]
    assert [run["threads"] for run in runs] == [1, 2]
    for run in runs:
        assert run["operations"] == run["verified"] == run["latency"]["n"] > 0
        assert run["throughput_per_s"] == pytest.approx(run["verified"] * 1e9 / run["elapsed_ns"], abs=0.06)
        assert run["errors"] == {}


def test_progress_goes_through_all_stages(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """Progress ends each stage with everything done, and nothing is printed."""
    steps: list[Step] = []
    qualify(planted.SoundKey(private_key), SEALPASS, tiny, steps.append)
    last = {step.stage: step for step in steps}
    assert list(last) == ["capabilities", "contract cases", "speed"]
    assert last["contract cases"].done == last["contract cases"].total > 180
    assert (last["speed"].done, last["speed"].total) == (2, 2)


def test_an_open_key_stays_open_and_a_uri_is_closed(software_uri: str, tiny: Options) -> None:
    """A URI is opened for the qualification; the document names it."""
    document = qualify(software_uri, SEALPASS, tiny)
    assert document["key"]["uri"] == software_uri


def _pem(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(octets)
    path.chmod(0o600)
    return f"software:path={path}"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rsa-1024", "the RSA key has 1024 bits"),
        ("ec", "not an RSA key"),
        ("aes", "this key is symmetric: it seals and does not unwrap; 'qualify'"),
    ],
)
def test_an_unfit_key_fails_with_a_document(
    kind: str, reason: str, tmp_path: Path, schema: dict[str, Any], tiny: Options
) -> None:
    """A key that is there and can never do it fails, with what is not known as null, and every view of that."""
    match kind:
        case "rsa-1024":
            short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point of the test
            uri = _pem(tmp_path / "key.pem", short)
        case "ec":
            uri = _pem(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
        case _:
            uri = str(key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256))
    document = qualify(uri, SEALPASS, tiny)
    Draft202012Validator(schema).validate(document)
    assert (document["verdict"]["verdict"], document["verdict"]["exit_code"]) == ("fail", 1)
    assert document["verdict"]["reasons"][0].startswith("not supported: ")
    assert reason in document["verdict"]["reasons"][0]
    assert document["key"] == {"uri": uri, "id": None, "bits": None, "mode": None}
    assert document["capabilities"]["oaep"] is None
    assert reason in document["capabilities"]["reason"]
    for view in (markdown.render(document), terminal.render(document)):
        assert reason in view


def test_an_open_key_that_is_too_short_fails(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """A backend of somebody else's that opens a key of 1024 bits does not get it passed."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point of the test
    numbers = short.public_key().public_numbers()
    key = planted.SoundKey(private_key)
    n, e = (
        base64url.encode(number.to_bytes(size, "big")).decode() for number, size in ((numbers.n, 128), (numbers.e, 3))
    )
    key.public_jwk = PublicJwk(n, e, "of-its-own", 1024)
    document = qualify(key, SEALPASS, tiny)
    assert document["verdict"]["verdict"] == "fail"
    assert "1024 bits" in document["verdict"]["reasons"][0]


@pytest.mark.parametrize("uri", ["software:path=/nowhere/key.pem", "software:place=here", "nobody:path=x"])
def test_a_key_that_is_not_there_is_an_error(uri: str, tiny: Options) -> None:
    """A wrong URI says nothing about a key: an operator's error, and no document."""
    with pytest.raises((ConfigError, KeyNotFound)):
        qualify(uri, SEALPASS, tiny)


def test_the_failure_floor_is_the_one_that_was_asked_for(software_uri: str, tiny: Options) -> None:
    """A floor that is asked for is in force for every failure, and in the document."""
    document = qualify(software_uri, SEALPASS, replace(tiny, failure_floor=0.013))
    assert document["settings"]["failure_floor_s"] == document["failure_floor"]["seconds"] == 0.013


def test_a_secret_in_a_uri_is_masked(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """What somebody wrote where only a secret's source belongs, or as userinfo of a URL, is in no report."""
    key = planted.SoundKey(private_key)
    key._uri = KeyUri.parse("software:path=key.pem?pin-source=hunter2-48151&endpoint-url=http://me:hunter2-48151@host/")
    document = qualify(key, SEALPASS, tiny)
    assert "***" in document["key"]["uri"]
    for report in (json.dumps(document), markdown.render(document), terminal.render(document)):
        assert "hunter2" not in report
