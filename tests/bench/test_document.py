# SPDX-License-Identifier: Apache-2.0
"""The result document: its schema, its numbers, and what must not be in it."""

import json
from importlib import resources
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jsonschema import Draft202012Validator

from sealpass.bench.qualification import Options, Step, qualify
from sealpass.bench.report import markdown, terminal
from sealpass.core.algorithms import ContentEncryption
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.contract import AIRLOCK_JWE, SEALPASS, Profile
from sealpass.core.errors import UnsupportedAlgorithm
from tests.bench import planted


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The published schema, as package data."""
    text = (resources.files("sealpass.bench") / "schemas" / "qualification-1.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    """The published file is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("key", "profile"),
    [
        (planted.SoundKey, SEALPASS),
        (planted.SoundKey, AIRLOCK_JWE),
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


def test_a_key_that_does_not_unwrap_is_refused(tmp_path: Any, tiny: Options) -> None:
    """An AES key is no candidate: an error of the operator, not a failed qualification."""
    from sealpass.backends.registry import key_maker

    uri = key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256)
    with pytest.raises(UnsupportedAlgorithm):
        qualify(uri, SEALPASS, tiny)


class _Listening(MemoryContentKey):
    heard: set[bytes]

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        plaintext = super().decrypt(iv, ciphertext, tag, aad)
        if plaintext is not None:
            self.heard.add(plaintext)
        return plaintext


class Listening(planted.SoundKey):
    """Remembers every plaintext that it gave out."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.heard: set[bytes] = set()

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        if len(cek) != enc.cek_bytes:
            return super().content_key(cek, enc)
        key = _Listening(cek, enc)
        key.heard = self.heard
        return key


def _passwords(plaintexts: set[bytes]) -> set[str]:
    found = set()
    for plaintext in plaintexts:
        try:
            members = json.loads(plaintext)
        except (ValueError, RecursionError):
            continue
        password = members.get("password") if isinstance(members, dict) else None
        # Shorter ones, made to be odd, would be found in any text.
        if isinstance(password, str) and len(password) >= 12 and password.isascii() and " " not in password:
            found.add(password)
    return found


def test_no_password_is_in_any_report(private_key: rsa.RSAPrivateKey, tiny: Options) -> None:
    """None of the passwords that went through the key is in the JSON, the Markdown or the terminal's report."""
    key = Listening(private_key)
    document = qualify(key, SEALPASS, tiny)
    passwords = _passwords(key.heard)
    assert len(passwords) > 80
    reports = json.dumps(document), markdown.render(document), terminal.render(document)
    assert not [password for password in passwords for report in reports if password in report]
