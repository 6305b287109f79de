# SPDX-License-Identifier: Apache-2.0
import base64
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.jwk import PublicJwk
from tests.cli.conftest import Ran, Run
from tests.support.tokens import TAG, build, flip_bit, padded_payload

PASSWORD = "correct horse 73d1"
TRACES = (
    PASSWORD.encode(),
    base64.b64encode(PASSWORD.encode()).rstrip(b"=")[:-1],
    PASSWORD.encode().hex().encode(),
    PASSWORD.encode().split()[-1],
)


def assert_silent(ran: Ran) -> None:
    """No output holds the password in any spelling."""
    for trace in TRACES:
        assert trace not in ran.out
        assert trace not in ran.err.encode()


def test_only_unwrap_prints_the_password(run: Run, tmp_path: Path, software_uri: str, jwk_file: str) -> None:
    """Of all runs that ever see the password, only a successful unwrap shows it, and only on standard output."""
    for options in ([], ["--json"]):
        token = run("encrypt", software_uri, *options, stdin=PASSWORD)
        assert token.status == 0
        assert_silent(token)
    token = run("encrypt", software_uri, stdin=PASSWORD)
    for options in (["--diagnose"], ["--diagnose", "--json"], ["--nonce", "another"]):
        assert_silent(run("unwrap", software_uri, *options, stdin=token.text))
    assert_silent(run("unwrap", software_uri, stdin=flip_bit(token.text, TAG, 3)))
    opened = run("unwrap", software_uri, stdin=token.text)
    assert opened.text == PASSWORD
    assert all(trace not in opened.err.encode() for trace in TRACES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.jwk"]
    assert PASSWORD.encode() not in Path(jwk_file).read_bytes()


@pytest.mark.parametrize(
    "payload",
    [b'{"password": "%s"}' % PASSWORD.encode(), padded_payload(PASSWORD).replace(b"}", b",}"), b"\xff" + b" " * 63],
    ids=["not-padded", "not-json", "not-utf8"],
)
def test_a_payload_that_breaks_the_contract_is_not_quoted(
    run: Run, software_uri: str, public_jwk: PublicJwk, payload: bytes
) -> None:
    """A token that opens but holds something else fails without a word of its payload, with --debug, too."""
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": public_jwk.kid, "nonce": SEALPASS.new_nonce()}
    token = build(public_jwk.public_key(), header, payload)
    for arguments in (["unwrap"], ["--debug", "unwrap"]):
        for options in ([], ["--json"], ["--diagnose"]):
            ran = run(*arguments, software_uri, *options, stdin=token)
            assert ran.status == 1
            assert_silent(ran)


@pytest.mark.parametrize("given", [PASSWORD.encode() + b"\xff", PASSWORD.encode() * 1000], ids=["not-utf8", "too-long"])
def test_a_refused_password_is_not_quoted(run: Run, jwk_file: str, given: bytes) -> None:
    """The error says what is wrong with the password without showing it."""
    for arguments in (["encrypt"], ["--debug", "encrypt"]):
        ran = run(*arguments, jwk_file, "--nonce", "n-1", stdin=given)
        assert (ran.status, ran.out) == (2, b"")
        assert_silent(ran)


@pytest.mark.parametrize(
    "arguments",
    [
        ["encrypt", "server.jwk", PASSWORD],
        ["encrypt", PASSWORD],
        ["encrypt", "--info", PASSWORD],
        ["unwrap", "software:path=key.pem", PASSWORD],
        ["unwrap", "software:path=key.pem;pin-value=" + PASSWORD.replace(" ", "%20")],
        ["keys", "create", "software:path=key.pem", PASSWORD],
        ["doctor", PASSWORD],
    ],
)
def test_a_misplaced_password_is_not_repeated(run: Run, jwk_file: str, arguments: list[str]) -> None:
    """Somebody will give the password as an argument: the error that ends up in a log does not hold it."""
    assert jwk_file
    for options in ([], ["--json"]):
        ran = run(*arguments, *options)
        assert ran.status == 2
        assert_silent(ran)


def test_a_token_that_is_really_a_password_is_not_quoted(run: Run, software_uri: str) -> None:
    """A client that forgot to encrypt sends the password: the rejection does not repeat it."""
    for options in ([], ["--json"], ["--diagnose"]):
        assert_silent(run("--debug", "unwrap", software_uri, *options, stdin=PASSWORD))


def test_a_bug_while_the_password_is_at_hand_is_not_told_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], software_uri: str
) -> None:
    """An exception that quotes the password leaves the program without its message."""

    def fail(password: str, *_others: object) -> str:
        raise ValueError(f"cannot encrypt {password}")

    monkeypatch.setattr("sealpass.cli.encrypt.read_password", lambda: PASSWORD)
    monkeypatch.setattr("sealpass.cli.encrypt.encrypt_password", fail)
    for options in ([], ["--debug"]):
        assert main([*options, "encrypt", software_uri]) == 70
        captured = capsys.readouterr()
        assert_silent(Ran(70, captured.out.encode(), captured.err))
