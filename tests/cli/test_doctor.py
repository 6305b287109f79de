# SPDX-License-Identifier: Apache-2.0
import re

from tests.cli.conftest import Run
from tests.support.soft_tokens import SoftToken


def test_doctor_tells_what_a_key_can_do(run: Run, software_uri: str) -> None:
    """A software key does every variant and serves every profile."""
    found = run("doctor", software_uri, "--json").json
    assert found["uri"] == software_uri
    assert (found["bits"], found["mode"]) == (2048, "software")
    assert len(found["unwrap"]) == 5
    assert all(variant["works"] for variant in found["unwrap"])
    assert found["profiles"] == {"sealpass": "yes", "airlock-jwe": "yes", "airlock-kms": "yes", "jwe": "yes"}
    assert (found["seal"], found["device"]) == ([], {})


def test_doctor_prints_a_line_for_each_fact(run: Run, software_uri: str) -> None:
    """The same facts for people: names and answers in two columns."""
    ran = run("doctor", software_uri)
    assert (ran.status, ran.err) == (0, "")
    lines = dict(re.split(r" {2,}", line) for line in ran.text.splitlines())
    assert lines["key"] == software_uri
    assert lines["RSA-OAEP SHA-256, MGF1 SHA-256 (RSA-OAEP-256)"] == "yes"
    assert lines["RSA-OAEP SHA-256, MGF1 SHA-1"] == "yes"
    assert lines["profile sealpass"] == "yes"
    assert lines["sealing"] == "no"


def test_doctor_knows_sealing_keys(run: Run) -> None:
    """An AES key seals, unwraps nothing and serves no profile; people are told what it does only."""
    uri = run("keys", "create", "software:path=seal.jwk", "--aes", "256").text
    found = run("doctor", uri, "--json").json
    assert (found["seal"], found["bits"], found["mode"]) == (["A256GCM"], 256, None)
    assert not any(variant["works"] for variant in found["unwrap"])
    assert set(found["profiles"].values()) == {"no"}
    lines = dict(re.split(r" {2,}", line) for line in run("doctor", uri).text.splitlines())
    assert lines == {"key": uri, "key id": found["key_id"], "bits": "256", "sealing": "A256GCM"}


def test_doctor_says_where_sha1_is_needed(run: Run, softhsm2: SoftToken) -> None:
    """SoftHSM 2.6.1 knows OAEP with SHA-1 only: the profiles need the opt-in, and the module is named."""
    found = run("doctor", softhsm2.shared_key(), "--json").json
    assert found["mode"] == "native"
    assert [variant["jwe_alg"] for variant in found["unwrap"] if variant["works"]] == ["RSA-OAEP"]
    assert found["profiles"] == {
        "sealpass": "with --allow-sha1",
        "airlock-jwe": "with --allow-sha1",
        "airlock-kms": "with --allow-sha1",
        "jwe": "yes",
    }
    assert found["device"]["module"] == "libsofthsm2.so"
