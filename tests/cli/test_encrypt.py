# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
from typing import Any

import pytest

from sealpass.core import jwe
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.jwk import PublicJwk
from sealpass.core.profile import Profile
from sealpass.core.protocols import Unwrapper
from tests.cli.conftest import Run
from tests.support.tokens import header_of

PASSWORD = "pässword with spaces "


def information(public_jwk: PublicJwk, profile: Profile = SEALPASS, **members: Any) -> str:
    """An announcement as a server sends it."""
    announced = {
        "type": "JWE",
        "nonce": profile.new_nonce(),
        "publicKey": public_jwk.to_dict("RSA-OAEP-256"),
        "profile": profile.name,
        "alg": "RSA-OAEP-256",
        "enc": "A256GCM",
    }
    return json.dumps(announced | members)


def opened(token: str, key: Unwrapper) -> bytes:
    """The payload of a token."""
    return jwe.decrypt(token, key)


def test_a_token_for_a_jwk_file_carries_password_nonce_and_kid(
    run: Run, jwk_file: str, software_key: Unwrapper
) -> None:
    """Profile sealpass, the default: exactly four header members, a padded payload, the password as it came."""
    ran = run("encrypt", jwk_file, "--nonce", "n-1", stdin=PASSWORD)
    assert (ran.status, ran.err) == (0, "")
    assert header_of(ran.text) == {
        "alg": "RSA-OAEP-256",
        "enc": "A256GCM",
        "kid": software_key.key_id,
        "nonce": "n-1",
    }
    payload = opened(ran.text, software_key)
    assert json.loads(payload) == {"password": PASSWORD}
    assert len(payload) % 64 == 0


@pytest.mark.parametrize(
    ("given", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b" secret ", " secret "),
        (b"secret\r", "secret\r"),
        (b"\n", ""),
    ],
)
def test_one_trailing_newline_is_dropped_and_nothing_else(
    run: Run, jwk_file: str, software_key: Unwrapper, given: bytes, password: str
) -> None:
    """What echo and editors add goes; what the user typed stays."""
    ran = run("encrypt", jwk_file, "--nonce", "n-1", stdin=given)
    assert json.loads(opened(ran.text, software_key)) == {"password": password}


def test_json_says_what_was_used(run: Run, jwk_file: str, public_jwk: PublicJwk) -> None:
    """With --json the token comes with its profile, algorithms, kid and nonce."""
    ran = run("encrypt", jwk_file, "--nonce", "n-1", "--json", stdin=PASSWORD)
    assert ran.json == {
        "token": ran.json["token"],
        "profile": "sealpass",
        "alg": "RSA-OAEP-256",
        "enc": "A256GCM",
        "kid": public_jwk.kid,
        "nonce": "n-1",
    }
    assert header_of(ran.json["token"])["nonce"] == "n-1"


def test_a_jwk_file_needs_a_nonce(run: Run, jwk_file: str) -> None:
    """A server refuses every nonce that it did not announce, so none is made up for it."""
    ran = run("encrypt", jwk_file, stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert "--nonce" in ran.err


def test_an_empty_nonce_is_refused(run: Run, jwk_file: str) -> None:
    """An unset shell variable must not become a token that no server takes."""
    ran = run("encrypt", jwk_file, "--nonce", "", stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert "empty" in ran.err


@pytest.mark.parametrize(("key", "uri"), [("key.pem", "software:path=key.pem"), ("a b.pem", "software:path=a%20b.pem")])
def test_a_pem_file_is_answered_with_its_uri(run: Run, tmp_path: Path, key: str, uri: str) -> None:
    """A key file without its scheme is what everybody tries first; the hint can be copied."""
    assert run("keys", "create", uri).status == 0
    ran = run("encrypt", key, "--nonce", "n-1", "--json", stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert str(ran.error["hint"]).endswith(uri)


def test_with_a_uri_a_nonce_is_made_up_and_said_so(run: Run, software_uri: str) -> None:
    """Trying a device needs no server; the warning says that no server will take the token."""
    ran = run("encrypt", software_uri, "--json", stdin=PASSWORD)
    assert ran.status == 0
    assert len(ran.json["nonce"]) == 43
    assert "made one up" in json.loads(ran.err)["warning"]["message"]


def test_an_announcement_replaces_key_and_nonce(
    run: Run, tmp_path: Path, public_jwk: PublicJwk, software_key: Unwrapper
) -> None:
    """--info needs no key: what the server announced says it all."""
    text = information(public_jwk)
    (tmp_path / "e2ee.json").write_text(text)
    ran = run("encrypt", "--info", "e2ee.json", stdin=PASSWORD)
    assert (ran.status, ran.err) == (0, "")
    assert header_of(ran.text)["nonce"] == json.loads(text)["nonce"]
    assert json.loads(opened(ran.text, software_key)) == {"password": PASSWORD}


def test_an_announcement_of_airlock_needs_its_own_three_members_only(
    run: Run, tmp_path: Path, public_jwk: PublicJwk, software_key: Unwrapper
) -> None:
    """type, nonce and publicKey make a token of profile airlock-jwe; --pointer places the password."""
    announced = {"type": "JWE", "nonce": AIRLOCK_JWE.new_nonce(), "publicKey": public_jwk.to_dict()}
    (tmp_path / "e2ee.json").write_text(json.dumps(announced))
    ran = run("encrypt", "--info", "e2ee.json", "--pointer", "/login/secret", stdin=PASSWORD)
    assert header_of(ran.text) == {"alg": "RSA-OAEP-256", "enc": "A128GCM", "nonce": announced["nonce"]}
    assert json.loads(opened(ran.text, software_key)) == {"login": {"secret": PASSWORD}}


def test_a_key_beside_an_announcement_is_pinned(
    run: Run, tmp_path: Path, public_jwk: PublicJwk, jwk_file: str, software_uri: str, other_uri: str
) -> None:
    """The announced key must be the one that the user names, as a JWK file or as a URI."""
    (tmp_path / "e2ee.json").write_text(information(public_jwk))
    for same in (jwk_file, software_uri):
        assert run("encrypt", same, "--info", "e2ee.json", stdin=PASSWORD).status == 0
    ran = run("encrypt", other_uri, "--info", "e2ee.json", stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert "pinned" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--info", "e2ee.json", "--nonce", "n-1"], "--info"),
        (["--info", "e2ee.json", "--enc", "A256GCM"], "--info"),
        (["--info", "e2ee.json", "--profile", "airlock-jwe"], "profile sealpass"),
        (["--info", "missing.json"], "--info"),
        (["--info", "broken.json"], "JSON"),
        ([], "--info"),
        (["missing.jwk"], "JWK file"),
        (["broken.json"], "JWK"),
        (["server.jwk", "--profile", "jwe", "--nonce", "n-1"], "jwe"),
        (["server.jwk", "--profile", "jwe", "--pointer", "/p"], "jwe"),
        (["server.jwk", "--nonce", "n-1", "--pointer", "/p"], "/password"),
        (["server.jwk", "--nonce", "n-1", "--enc", "A128GCM"], "A128GCM"),
        (["server.jwk", "--nonce", "n-1", "--alg", "RSA-OAEP"], "--allow-sha1"),
        (["sha1.jwk", "--nonce", "n-1"], "--allow-sha1"),
        (["--info", "sha1.json"], "--allow-sha1"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    run: Run, tmp_path: Path, public_jwk: PublicJwk, jwk_file: str, arguments: list[str], says: str
) -> None:
    """Each contradiction and each unusable file is a usage or configuration error that names the culprit."""
    assert jwk_file == str(tmp_path / "server.jwk")
    (tmp_path / "e2ee.json").write_text(information(public_jwk))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "sha1.jwk").write_text(json.dumps(public_jwk.to_dict("RSA-OAEP")))
    (tmp_path / "sha1.json").write_text(information(public_jwk, alg="RSA-OAEP"))
    ran = run("encrypt", *arguments, stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert says in ran.err


def test_an_environment_variable_is_no_contradiction(run: Run, tmp_path: Path, public_jwk: PublicJwk) -> None:
    """SEALPASS_PROFILE is a default; an announcement of another profile wins over it."""
    (tmp_path / "e2ee.json").write_text(information(public_jwk))
    assert run("encrypt", "--info", "e2ee.json", stdin=PASSWORD, SEALPASS_PROFILE="airlock-jwe").status == 0


def test_an_announced_sha1_is_an_opt_in_too(run: Run, tmp_path: Path, public_jwk: PublicJwk, jwk_file: str) -> None:
    """With --allow-sha1 an announcement of RSA-OAEP is followed, with a pinned key and without."""
    (tmp_path / "e2ee.json").write_text(information(public_jwk, alg="RSA-OAEP"))
    for pinned in ((), (jwk_file,)):
        ran = run("encrypt", *pinned, "--info", "e2ee.json", "--allow-sha1", stdin=PASSWORD)
        assert ran.status == 0
        assert header_of(ran.text)["alg"] == "RSA-OAEP"


def test_sha1_is_an_opt_in(run: Run, tmp_path: Path, public_jwk: PublicJwk) -> None:
    """With --allow-sha1 a JWK that is pinned to RSA-OAEP gets a token with RSA-OAEP."""
    (tmp_path / "sha1.jwk").write_text(json.dumps(public_jwk.to_dict("RSA-OAEP")))
    ran = run("encrypt", "sha1.jwk", "--nonce", "n-1", "--allow-sha1", stdin=PASSWORD)
    assert header_of(ran.text)["alg"] == "RSA-OAEP"


def test_profile_jwe_encrypts_octets(run: Run, jwk_file: str, software_key: Unwrapper) -> None:
    """Profile jwe takes standard input as it is, newline and all, with the alg and enc that were asked for."""
    payload = bytes(range(256)) + b"\n"
    ran = run(
        "encrypt", jwk_file, "--profile", "jwe", "--alg", "RSA-OAEP", "--enc", "A128CBC-HS256", "--json", stdin=payload
    )
    assert ran.json["nonce"] is None
    header = header_of(ran.json["token"])
    assert header == {"alg": "RSA-OAEP", "enc": "A128CBC-HS256", "kid": software_key.key_id}
    assert opened(ran.json["token"], software_key) == payload


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 8193, "too long"),
        (b"x" * 6000, "too long"),
        ("é".encode() * 5000, "too long"),
    ],
    ids=["nothing", "not-utf8", "longer-than-a-token", "token-too-long", "cut-inside-a-character"],
)
def test_a_password_that_cannot_be_sent_is_refused(run: Run, jwk_file: str, given: bytes, says: str) -> None:
    """Nothing, something else than text, and too much are each refused with a reason and no output."""
    ran = run("encrypt", jwk_file, "--nonce", "n-1", stdin=given)
    assert (ran.status, ran.out) == (2, b"")
    assert says in ran.err


def test_a_payload_that_no_token_can_carry_is_refused(run: Run, jwk_file: str) -> None:
    """Profile jwe, too, makes no token that unwrap would refuse for its size."""
    ran = run("encrypt", jwk_file, "--profile", "jwe", stdin=b"x" * 6000)
    assert (ran.status, ran.out) == (2, b"")
    assert "too long" in ran.err
