# SPDX-License-Identifier: Apache-2.0
import base64
import json

import pytest

from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt, encrypt_password
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.jwk import PublicJwk
from sealpass.core.profile import Profile
from tests.cli.conftest import Run
from tests.support.tokens import (
    CIPHERTEXT,
    ENCRYPTED_KEY,
    OAEP_SHA256_MGF1_SHA1,
    TAG,
    build,
    flip_bit,
    padded_payload,
)

PASSWORD = "pässword\nof two lines"
NONCE = SEALPASS.new_nonce()


def token_for(public_jwk: PublicJwk, profile: Profile = SEALPASS, nonce: str = NONCE, alg: str = "RSA-OAEP-256") -> str:
    """A token as the browser makes it."""
    return encrypt_password(PASSWORD, E2eeInformation(profile.name, alg, "A256GCM", nonce, public_jwk), profile)


def test_the_password_comes_out_with_one_newline(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Standard output holds the password, exactly, and one newline; standard error holds nothing."""
    ran = run("unwrap", software_uri, "--nonce", NONCE, stdin=token_for(public_jwk) + "\n")
    assert (ran.status, ran.out, ran.err) == (0, PASSWORD.encode() + b"\n", "")


def test_the_password_as_json(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """With --json the password is a member."""
    assert run("unwrap", software_uri, "--nonce", NONCE, "--json", stdin=token_for(public_jwk)).json == {
        "password": PASSWORD
    }


def test_encrypt_and_unwrap_are_inverse(run: Run, software_uri: str) -> None:
    """What encrypt reads, unwrap prints, octet for octet."""
    for profile, given in (("sealpass", b"a\n\n"), ("airlock-jwe", b"b\n"), ("jwe", b"\0\xff\n")):
        token = run("encrypt", software_uri, "--profile", profile, stdin=given).text
        assert run("unwrap", software_uri, "--profile", profile, stdin=token).out == given


def test_without_a_nonce_the_user_is_warned(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Offline, a replay cannot be told; the password is printed all the same."""
    ran = run("unwrap", software_uri, stdin=token_for(public_jwk))
    assert (ran.status, ran.text) == (0, PASSWORD)
    assert ran.err.startswith("sealpass: warning: no --nonce")


def test_another_nonce_is_refused(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """A token with another nonce than the given one is rejected before the key is used."""
    ran = run("unwrap", software_uri, "--nonce", SEALPASS.new_nonce(), "--json", stdin=token_for(public_jwk))
    assert (ran.status, ran.out) == (1, b"")
    assert ran.error["code"] == "token-rejected"
    assert "nonce" in str(ran.error["message"])


@pytest.mark.parametrize("part", [ENCRYPTED_KEY, CIPHERTEXT, TAG])
def test_a_damaged_token_fails_in_one_way(run: Run, software_uri: str, public_jwk: PublicJwk, part: int) -> None:
    """Wherever the damage is, the answer is the same and the exit status is 1."""
    ran = run("unwrap", software_uri, "--nonce", NONCE, stdin=flip_bit(token_for(public_jwk), part, 9))
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines()[0] == "sealpass: error [decryption-failed]: the token could not be decrypted"


@pytest.mark.parametrize("token", ["a.b.c", "\xff", "x" * 9000, "é"])
def test_what_is_no_token_is_rejected(run: Run, software_uri: str, token: str) -> None:
    """Any rubbish on standard input is a rejected token."""
    ran = run("unwrap", software_uri, "--nonce", NONCE, "--json", stdin=token.encode("latin-1"))
    assert (ran.status, ran.out) == (1, b"")
    assert ran.error["code"] == "token-rejected"


@pytest.mark.parametrize("stdin", ["", "\n"])
def test_empty_input_is_said(run: Run, software_uri: str, stdin: str) -> None:
    """Nothing to unwrap is no sender's token but a slip on the command line, with --diagnose and without."""
    for options in ([], ["--diagnose"]):
        ran = run("unwrap", software_uri, *options, "--json", stdin=stdin)
        assert (ran.status, ran.out) == (2, b"")
        assert "standard input is empty" in str(ran.error["message"])


def test_quotes_around_a_token_are_asked_about(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """As a JSON string is printed; the token inside may be a good one."""
    ran = run("unwrap", software_uri, "--nonce", NONCE, "--json", stdin=f'"{token_for(public_jwk)}"\n')
    assert (ran.status, ran.out) == (2, b"")
    assert "quotes" in str(ran.error["hint"])


def test_sha1_is_an_opt_in(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """A token with RSA-OAEP is rejected, and opens with --allow-sha1."""
    token = token_for(public_jwk, alg="RSA-OAEP")
    assert run("unwrap", software_uri, "--nonce", NONCE, stdin=token).status == 1
    assert run("unwrap", software_uri, "--nonce", NONCE, "--allow-sha1", stdin=token).text == PASSWORD


def test_a_previous_key_opens_what_names_it(run: Run, software_uri: str, other_uri: str, public_jwk: PublicJwk) -> None:
    """After a rotation the token's kid selects among the given keys; a key that is not given does not open it."""
    token = token_for(public_jwk)
    ran = run("unwrap", other_uri, "--nonce", NONCE, "--previous", software_uri, stdin=token)
    assert (ran.status, ran.text) == (0, PASSWORD)
    ran = run("unwrap", other_uri, "--nonce", NONCE, stdin=token, SEALPASS_PREVIOUS=software_uri)
    assert (ran.status, ran.text) == (0, PASSWORD)
    assert run("unwrap", other_uri, "--nonce", NONCE, stdin=token).status == 1


def test_airlock_tokens_open_at_their_pointer(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Profile airlock-jwe: no kid, padded nonce, the password where --pointer says."""
    nonce = AIRLOCK_JWE.new_nonce()
    token = token_for(public_jwk, AIRLOCK_JWE.reading("/login/secret"), nonce)
    options = ("--profile", "airlock-jwe", "--nonce", nonce)
    assert run("unwrap", software_uri, *options, "--pointer", "/login/secret", stdin=token).text == PASSWORD
    assert run("unwrap", software_uri, *options, stdin=token).status == 1


def test_profile_jwe_prints_octets(run: Run, software_uri: str, other_uri: str, public_jwk: PublicJwk) -> None:
    """The payload comes out raw, as base64url in JSON, and from a previous key where the kid names it."""
    payload = bytes(range(256))
    token = encrypt(payload, public_jwk, "RSA-OAEP-256", "A256CBC-HS512", {"kid": public_jwk.kid})
    assert run("unwrap", software_uri, "--profile", "jwe", stdin=token).out == payload
    ran = run("unwrap", other_uri, "--profile", "jwe", "--previous", software_uri, "--json", stdin=token)
    assert base64.urlsafe_b64decode(ran.json["payload"] + "==") == payload
    assert run("unwrap", other_uri, "--profile", "jwe", stdin=token).status == 1


def test_diagnose_finds_nothing_wrong(run: Run, software_uri: str, other_uri: str, public_jwk: PublicJwk) -> None:
    """A good token is called good, also where a previous key is the one that opens it, and its password not shown."""
    fine = "nothing is wrong: the token opens"
    previous = f"{fine}; the key that opened it is {public_jwk.kid}, of --previous"
    for keys, text in (([software_uri], fine), ([other_uri, "--previous", software_uri], previous)):
        ran = run("unwrap", *keys, "--nonce", NONCE, "--diagnose", stdin=token_for(public_jwk))
        assert (ran.status, ran.text, ran.err) == (0, text, "")


def test_diagnose_does_not_call_an_unchecked_nonce_right(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Without --nonce the token may be a replay: the answer says what was not checked, and is a success."""
    ran = run("unwrap", software_uri, "--diagnose", "--json", stdin=token_for(public_jwk))
    assert ran.status == 0
    assert ran.json == {"opens": True, "diagnosis": "the token opens; its nonce was not checked"}


def test_diagnose_names_the_cause(run: Run, software_uri: str, other_uri: str, public_jwk: PublicJwk) -> None:
    """Each cause has its sentence, and exit status 1 in every case."""
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": public_jwk.kid, "nonce": NONCE}
    java = build(public_jwk.public_key(), header, padded_payload(PASSWORD), oaep=OAEP_SHA256_MGF1_SHA1)
    unpadded = build(public_jwk.public_key(), header, json.dumps({"password": "x"}).encode())
    good = token_for(public_jwk)
    cases = [
        (software_uri, java, "MGF1 with SHA-1"),
        (software_uri, unpadded, "payload"),
        (software_uri, flip_bit(good, TAG, 0), "changed on the way"),
        (software_uri, token_for(public_jwk, nonce="another"), "replay"),
        (software_uri, "a.b.c", "five parts"),
        (other_uri, good, "another key"),
    ]
    for uri, token, cause in cases:
        ran = run("unwrap", uri, "--nonce", NONCE, "--diagnose", "--json", stdin=token)
        assert ran.status == 1
        assert ran.json["opens"] is False
        assert cause in ran.json["diagnosis"]


def test_diagnose_reads_plain_jwe(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Profile jwe has its diagnosis, too."""
    token = encrypt(b"payload", public_jwk, "RSA-OAEP", "A128GCM")
    options = ("--profile", "jwe", "--diagnose")
    assert run("unwrap", software_uri, *options, stdin=token).status == 0
    assert run("unwrap", software_uri, *options, stdin=flip_bit(token, TAG, 0)).status == 1


def test_options_without_a_meaning_are_refused(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """Profile jwe has no nonce to check: asking for it is an error, not a silent success."""
    token = encrypt(b"payload", public_jwk, "RSA-OAEP", "A128GCM")
    ran = run("unwrap", software_uri, "--profile", "jwe", "--nonce", NONCE, stdin=token)
    assert (ran.status, ran.out) == (2, b"")


def test_a_key_that_does_not_unwrap_is_refused(run: Run) -> None:
    """An AES key is no key to unwrap with."""
    seal = run("keys", "create", "software:path=seal.jwk", "--aes", "256").text
    ran = run("unwrap", seal, "--json", stdin="a.b.c.d.e")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.error["code"] == "unsupported-algorithm"
