# SPDX-License-Identifier: Apache-2.0
"""The browser's encryptor: its own tests under node, its tokens through sealpass, and what its source may not hold."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import RejectReason, TokenRejected
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from tests.browser.programs import HERE, Program
from tests.support import tokens
from tests.support.contract import JWE_PROFILES, Flow
from tests.support.kms_messages import SETTINGS, KmsFlow
from tests.support.tokens import CEK_BYTES

SOURCE = HERE.parents[1] / "src" / "sealpass" / "service" / "browser" / "encryptor.js"
TYPES = SOURCE.with_suffix(".d.ts")
MAX_SOURCE_BYTES = 8192
SHA1_ONLY = [replace(profile, algs=("RSA-OAEP",)) for profile in JWE_PROFILES.values()]
PASSWORDS = ["", "x", " korrekt Pferd ☃ Batterie\t", 'quote " backslash \\ NUL \0', "e\u0301 é 😀👩‍👩‍👧", "p" * 3000]


@pytest.mark.parametrize("file", ["tokens.test.mjs", "refusals.test.mjs"])
def test_under_node(node: Program, file: str) -> None:
    """Node's test runner passes."""
    node.run("--test", file)


def test_in_another_library(node_with_packages: Program) -> None:
    """Its tokens open in the npm package jose."""
    node_with_packages.run("--test", "jose.test.mjs")


def _airlock_members(information: E2eeInformation) -> dict[str, Any]:
    """The three members that Airlock announces, with the bare key."""
    members = information.to_dict()
    public_key = {name: members["publicKey"][name] for name in ("kty", "n", "e")}
    return {"type": members["type"], "nonce": members["nonce"], "publicKey": public_key}


@pytest.mark.parametrize("profile", [*JWE_PROFILES.values(), *SHA1_ONLY], ids=lambda p: f"{p.name}-{p.algs[0]}")
def test_tokens_open(node: Program, software_ring: KeyRing, profile: JweProfile) -> None:
    """The token that answers an announcement of ours holds the password, and spends the nonce."""
    flow = Flow(software_ring, profile)
    options: dict[str, Any] = {"profile": profile.name, "pinnedThumbprints": [software_ring.current.key_id]}
    if profile.algs == ("RSA-OAEP",):
        options["allowSha1"] = True
    jobs = [
        {"information": flow.announce().to_dict(), "password": password, "options": options} for password in PASSWORDS
    ]
    made = node.encrypt("make-tokens.mjs", jobs)
    assert [flow.unwrap(token) for token in made] == PASSWORDS
    for token in made:
        with pytest.raises(TokenRejected) as caught:
            flow.unwrap(token)
        assert caught.value.reason is RejectReason.NONCE


KMS_HASHES = [("RSA-OAEP-256", {}), ("RSA-OAEP", {"allowSha1": True})]


@pytest.mark.parametrize(("alg", "options"), KMS_HASHES, ids=["sha256", "sha1"])
def test_messages_for_kms_open(node: Program, software_ring: KeyRing, alg: str, options: dict[str, Any]) -> None:
    """Under both sizes of the AES key and both forms of the nonce; Airlock's four members say enough."""
    flows = [KmsFlow(software_ring, replace(profile, algs=(alg,))) for profile in SETTINGS.values() for _ in PASSWORDS]
    passwords = PASSWORDS * len(SETTINGS)
    jobs = []
    for flow, password in zip(flows, passwords, strict=True):
        members = flow.announce().to_dict()
        assert members.pop("profile") == "airlock-kms"
        settings = {"kmsKeyBits": 8 * CEK_BYTES[flow.profile.encs[0]], "kmsAad": flow.profile.nonce_form}
        pinned = {"profile": "airlock-kms", "pinnedThumbprints": [software_ring.current.key_id]}
        jobs.append({"information": members, "password": password, "options": settings | pinned | options})
    made = node.encrypt("make-tokens.mjs", jobs)
    assert [flow.unwrap(message) for flow, message in zip(flows, made, strict=True)] == passwords
    for flow, message in zip(flows, made, strict=True):
        with pytest.raises(TokenRejected) as caught:
            flow.unwrap(message)
        assert caught.value.reason is RejectReason.NONCE


def test_defaults_for_kms_are_those_of_the_server(node: Program, software_ring: KeyRing) -> None:
    """Page and server that set nothing fit together; the page reads the server's own announcement, too."""
    flow = KmsFlow(software_ring)
    job = {"information": flow.announce().to_dict(), "password": "x"}
    assert flow.unwrap(*node.encrypt("make-tokens.mjs", [job])) == "x"


def test_what_airlock_announces_is_enough(node: Program, software_ring: KeyRing) -> None:
    """Type, nonce and a key of kty, n and e; alg and enc are those of Airlock's example."""
    flow = Flow(software_ring, AIRLOCK_JWE)
    jobs = [{"information": _airlock_members(flow.announce()), "password": password} for password in PASSWORDS]
    made = node.encrypt("make-tokens.mjs", jobs)
    for token in made:
        header = tokens.header_of(token)
        assert (header.pop("alg"), header.pop("enc"), *header) == ("RSA-OAEP-256", "A128GCM", "nonce")
    assert [flow.unwrap(token) for token in made] == PASSWORDS


def test_another_pointer(node: Program, software_ring: KeyRing) -> None:
    """The password stands where the page and the server agreed."""
    flow = Flow(software_ring, AIRLOCK_JWE.reading("/a~1b/~01"))
    job = {"information": flow.announce().to_dict(), "password": "x", "options": {"passwordPointer": "/a~1b/~01"}}
    assert flow.unwrap(*node.encrypt("make-tokens.mjs", [job])) == "x"


def _ciphertext_bytes(token: str) -> int:
    return len(tokens.split(token)[tokens.CIPHERTEXT])


def test_pads_as_sealpass_does(node: Program, software_ring: KeyRing) -> None:
    """Browser and command line hide the password's length alike."""
    information = Flow(software_ring, SEALPASS).announce()
    passwords = ["", "p" * 49, "p" * 50, "☃" * 40]
    jobs = [{"information": information.to_dict(), "password": password} for password in passwords]
    made = node.encrypt("make-tokens.mjs", jobs)
    for token, password in zip(made, passwords, strict=True):
        assert _ciphertext_bytes(token) == _ciphertext_bytes(encrypt_password(password, information))


def test_source_is_small() -> None:
    """A page loads it as it is, and a reviewer reads it in one sitting."""
    assert SOURCE.stat().st_size <= MAX_SOURCE_BYTES


def test_source_stands_alone() -> None:
    """No imports, and nothing that talks, stores, logs or runs text: a strict CSP is enough for it."""
    code = re.sub(r"//.*|/\*\*.*\*/", "", SOURCE.read_text("utf-8"))
    foreign = r"\b(import|require|fetch|XMLHttpRequest|WebSocket|eval|Function|console|document|window|localStorage)\b"
    assert re.findall(foreign, code) == []
    assert code.isascii()


def test_types_name_every_code() -> None:
    """The codes of the declaration file are those that the module uses."""
    used = re.findall(r'\bneed\([^;]*?, "([a-z0-9-]+)", [`"]', SOURCE.read_text("utf-8"))
    declared = re.search(r"type RefusalCode =(.*?);", TYPES.read_text("utf-8"), re.DOTALL)
    assert declared is not None
    assert set(re.findall(r'\| "([a-z0-9-]+)"', declared[1])) == set(used)


def test_types_name_every_option() -> None:
    """The options of the declaration file are those that the module takes."""
    taken = re.search(r"const OPTIONS = \{\n  __proto__: null,\n(.*?)\n\};", SOURCE.read_text("utf-8"), re.DOTALL)
    declared = re.search(r"interface EncryptionOptions \{(.*?)\n\}", TYPES.read_text("utf-8"), re.DOTALL)
    assert taken is not None
    assert declared is not None
    assert re.findall(r"^  (\w+):", taken[1], re.MULTILINE) == re.findall(r"^  (\w+)\?:", declared[1], re.MULTILINE)


def test_types_compile(node_with_packages: Program) -> None:
    """TypeScript takes the right calls and refuses the wrong ones."""
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    strict = ["--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "nodenext"]
    node_with_packages.run(str(compiler), "--noEmit", *strict, "types.ts")


def test_lock_names_no_host() -> None:
    """The packages come from whatever registry npm is set up for."""
    lock = (HERE / "package-lock.json").read_text("utf-8")
    assert "://" not in lock
    pinned = json.loads(lock)["packages"]
    assert all("integrity" in package for path, package in pinned.items() if path)
