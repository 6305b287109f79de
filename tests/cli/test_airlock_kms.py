# SPDX-License-Identifier: Apache-2.0
"""``encrypt`` and ``unwrap`` with profile airlock-kms, whose messages name neither nonce nor key."""

import json
from pathlib import Path

import pytest

from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from tests.cli.conftest import Run
from tests.support.kms_messages import SETTINGS, flip_bit, split

KMS = ("--profile", "airlock-kms")
PASSWORD = "pässword\nof two lines "
NONCE = "p2oE-RbbU1cpy710AeVcdImgwfIXDIg8kMtxXqq2sDw="
"""Of Airlock's manual."""


def _information(public_jwk: PublicJwk, alg: str = "RSA-OAEP-256", nonce: str = NONCE) -> E2eeInformation:
    return E2eeInformation("airlock-kms", alg, "A256GCM", nonce, public_jwk)


def _message(
    public_jwk: PublicJwk, profile: KmsProfile = AIRLOCK_KMS, alg: str = "RSA-OAEP-256", password: str = PASSWORD
) -> str:
    return encrypt_password(password, _information(public_jwk, alg), profile)


def _options(profile: KmsProfile) -> tuple[str, ...]:
    return ("--kms-key-bits", "128" if profile.encs == ("A128GCM",) else "256", "--kms-aad", profile.nonce_form)


@pytest.mark.parametrize("profile", SETTINGS.values(), ids=SETTINGS)
def test_encrypt_and_unwrap_are_inverse(run: Run, software_uri: str, profile: KmsProfile) -> None:
    """From pipe to pipe, under every setting, with a nonce that is made up for trying a device."""
    encrypted = run("encrypt", software_uri, *KMS, *_options(profile), "--json", stdin=PASSWORD)
    assert encrypted.json["enc"] == profile.encs[0]
    assert len(encrypted.json["nonce"]) == 44
    nonce = ("--nonce", encrypted.json["nonce"])
    ran = run("unwrap", software_uri, *KMS, *_options(profile), *nonce, stdin=encrypted.json["token"])
    assert (ran.status, ran.out, ran.err) == (0, PASSWORD.encode() + b"\n", "")


def test_defaults_are_aes_256_and_the_characters(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """What is not set is what the profile has in the library."""
    message = _message(public_jwk)
    assert run("unwrap", software_uri, *KMS, "--nonce", NONCE, stdin=message + "\n").text == PASSWORD
    ran = run("unwrap", software_uri, *KMS, "--nonce", NONCE, "--json", stdin=message)
    assert ran.json == {"password": PASSWORD}


def test_a_jwk_file_and_a_nonce_are_enough(run: Run, software_uri: str, jwk_file: str) -> None:
    """The message is JSON in one line with the three members."""
    ran = run("encrypt", jwk_file, *KMS, "--nonce", NONCE, stdin=PASSWORD)
    assert (ran.status, ran.err) == (0, "")
    assert {name: len(octets) for name, octets in split(ran.text).items()} == {
        "password": len(PASSWORD.encode()) + 16,
        "key": 256,
        "iv": 12,
    }
    assert run("unwrap", software_uri, *KMS, "--nonce", NONCE, stdin=ran.out).text == PASSWORD


@pytest.mark.parametrize("own_members", [True, False], ids=["sealpass", "airlock"])
@pytest.mark.parametrize("profile", [SETTINGS["256-text"], SETTINGS["128-bytes"]], ids=["default", "set"])
def test_an_announcement_replaces_key_nonce_and_algorithm(
    run: Run,
    tmp_path: Path,
    software_uri: str,
    public_jwk: PublicJwk,
    profile: KmsProfile,
    own_members: bool,  # noqa: FBT001 - a parameter
) -> None:
    """--info with the type KMS, as sealpass or Airlock writes it; the settings, which nobody announces, beside it."""
    members = _information(public_jwk).to_dict()
    if not own_members:
        del members["profile"]
    (tmp_path / "e2ee.json").write_text(json.dumps(members))
    encrypted = run("encrypt", software_uri, "--info", "e2ee.json", *_options(profile), "--json", stdin=PASSWORD)
    assert encrypted.status == 0
    assert encrypted.json == {
        "token": encrypted.json["token"],
        "profile": "airlock-kms",
        "alg": "RSA-OAEP-256",
        "enc": profile.encs[0],
        "kid": public_jwk.kid,
        "nonce": NONCE,
    }
    nonce = ("--nonce", NONCE)
    ran = run("unwrap", software_uri, *KMS, *_options(profile), *nonce, stdin=encrypted.json["token"])
    assert ran.text == PASSWORD


def test_sha1_is_an_opt_in_on_both_sides(run: Run, tmp_path: Path, software_uri: str, public_jwk: PublicJwk) -> None:
    """RSAES_OAEP_SHA_1 is refused without; a key that can do both needs --alg, for the message does not say."""
    (tmp_path / "e2ee.json").write_text(json.dumps(_information(public_jwk, "RSA-OAEP").to_dict()))
    refused = run("encrypt", "--info", "e2ee.json", stdin=PASSWORD)
    assert (refused.status, refused.out) == (2, b"")
    assert "--allow-sha1" in refused.err
    message = run("encrypt", "--info", "e2ee.json", "--allow-sha1", stdin=PASSWORD).text
    options = (software_uri, *KMS, "--nonce", NONCE)
    assert run("unwrap", *options, stdin=message).status == 1
    assert run("unwrap", *options, "--alg", "RSA-OAEP", stdin=message).status == 2
    assert run("unwrap", *options, "--alg", "RSA-OAEP", "--allow-sha1", stdin=message).text == PASSWORD


@pytest.mark.parametrize("uri", ["software:path=missing.pem", "KEY"])
def test_unwrap_needs_the_nonce(run: Run, uri: str) -> None:
    """A usage error, before any key is opened or any message read."""
    ran = run("unwrap", uri, *KMS, "--json", stdin="no message")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.error["code"] == "usage"
    assert "--nonce" in str(ran.error["message"])


def test_a_jwk_file_needs_a_nonce(run: Run, jwk_file: str) -> None:
    """As with every profile."""
    ran = run("encrypt", jwk_file, *KMS, stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert "--nonce" in ran.err


@pytest.mark.parametrize("damage", ["another nonce", "another setting", "a flipped bit"])
def test_what_does_not_open_is_one_failure(run: Run, software_uri: str, public_jwk: PublicJwk, damage: str) -> None:
    """Exit status 1 and the one text: the nonce is authenticated, not compared."""
    message, options = _message(public_jwk), ["--nonce", NONCE]
    if damage == "another nonce":
        options = ["--nonce", AIRLOCK_KMS.new_nonce()]
    elif damage == "another setting":
        options += ["--kms-aad", "bytes"]
    else:
        message = flip_bit(message, "iv", 1)
    ran = run("unwrap", software_uri, *KMS, *options, stdin=message)
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines()[0] == "sealpass: error [decryption-failed]: the token could not be decrypted"


def test_what_is_no_message_is_rejected(run: Run, software_uri: str) -> None:
    """A password in the clear is not quoted; JSON text in quotes is asked about."""
    ran = run("unwrap", software_uri, *KMS, "--nonce", NONCE, "--json", stdin="hunter2-in-the-clear")
    assert (ran.status, ran.out, ran.error["code"]) == (1, b"", "token-rejected")
    assert "hunter2" not in ran.err
    ran = run("unwrap", software_uri, *KMS, "--nonce", NONCE, "--json", stdin=json.dumps('{"password":""}'))
    assert (ran.status, ran.out, ran.error["code"]) == (2, b"", "config")


def test_diagnose_names_the_cause(run: Run, software_uri: str, other_uri: str, public_jwk: PublicJwk) -> None:
    """Each cause has its sentence; only the message that is right is a success."""
    good = _message(public_jwk)
    nonce = ("--nonce", NONCE)
    cases = [
        (0, [software_uri, *nonce], good, "nothing is wrong: the token opens"),
        (1, [software_uri], good, "give the nonce"),
        (1, [software_uri, "--nonce", AIRLOCK_KMS.new_nonce()], good, "another key or another nonce"),
        (1, [software_uri, *nonce], _message(public_jwk, SETTINGS["128-bytes"]), "used A128GCM and authenticated"),
        (1, [software_uri, *nonce], _message(public_jwk, alg="RSA-OAEP"), "used RSA-OAEP(SHA-1"),
        (1, [other_uri, *nonce], good, "another key or another nonce"),
        (1, [other_uri, "--previous", software_uri, *nonce], good, "another key of those given"),
        (1, [software_uri, *nonce], "{}", "exactly password, key and iv"),
    ]
    for status, options, message, sentence in cases:
        ran = run("unwrap", *options, *KMS, "--diagnose", "--json", stdin=message)
        assert ran.status == status
        assert ran.json["opens"] == (status == 0)
        assert sentence in ran.json["diagnosis"]
        assert "pässword" not in ran.json["diagnosis"]


@pytest.mark.parametrize(
    ("command", "profile", "option"),
    [
        ("encrypt", "sealpass", ("--kms-key-bits", "128")),
        ("encrypt", "jwe", ("--kms-aad", "text")),
        ("unwrap", "airlock-jwe", ("--kms-aad", "bytes")),
        ("unwrap", "jwe", ("--kms-key-bits", "256")),
    ],
)
def test_settings_are_refused_for_other_profiles(run: Run, command: str, profile: str, option: tuple[str, str]) -> None:
    """An option without a meaning is a usage error that names its profile, its default value included."""
    ran = run(command, "software:path=key.pem", "--profile", profile, *option, "--json", stdin="x")
    assert (ran.status, ran.out, ran.error["code"]) == (2, b"", "usage")
    assert "airlock-kms" in str(ran.error["message"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--kms-key-bits", "192"), "128"),
        (("--kms-aad", "octets"), "bytes"),
        (("--kms-aad", "BYTES"), "bytes"),
        (("--pointer", "/p"), "pointer"),
        (("--enc", "A128GCM"), "A128GCM"),
        (("--alg", "RSA-OAEP"), "--allow-sha1"),
        (("--kms-aad", "bytes"), "nonce"),
    ],
    ids=str,
)
def test_wrong_values_are_refused(run: Run, jwk_file: str, options: tuple[str, ...], says: str) -> None:
    """Each by exit status 2 and the name of what is wrong; the nonce here encodes no bytes."""
    ran = run("encrypt", jwk_file, *KMS, "--nonce", "n-1", *options, stdin=PASSWORD)
    assert (ran.status, ran.out) == (2, b"")
    assert says in ran.err


def test_a_token_of_one_kind_under_the_profile_of_the_other(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """A mixed-up --profile is a rejected token."""
    jwe = run("encrypt", software_uri, stdin=PASSWORD).text
    assert run("unwrap", software_uri, *KMS, "--nonce", NONCE, stdin=jwe).status == 1
    assert run("unwrap", software_uri, "--nonce", NONCE, stdin=_message(public_jwk)).status == 1
