# SPDX-License-Identifier: Apache-2.0
import json
import shlex
from pathlib import Path

from sealpass.core.uri import KeyUri
from tests.cli.conftest import Run


def test_init_prints_a_uri_and_export_lines(run: Run, tmp_path: Path) -> None:
    """The first line is the token's URI; the others set what the module needs, quoted for a shell."""
    directory = tmp_path / "a token"
    ran = run("softhsm", "init", "--dir", str(directory), "--token", "test")
    assert (ran.status, ran.err) == (0, "made the token 'test'\n")
    uri, *exports = ran.text.splitlines()
    assert KeyUri.parse(uri).text("token") == "test"
    words = [shlex.split(line) for line in exports]
    assert words == [["export", f"SOFTHSM2_CONF={directory / 'softhsm2.conf'}"]]


def test_a_key_is_named_in_the_uri_and_exported(run: Run, tmp_path: Path) -> None:
    """With --key the URI names that key, and the export lines let a shell say $KEY."""
    ran = run("softhsm", "init", "--dir", "token", "--key", "e2ee 2026")
    uri, *exports = ran.text.splitlines()
    assert KeyUri.parse(uri).text("object") == "e2ee 2026"
    assert shlex.split(exports[-1]) == ["export", f"KEY={uri}"]
    assert run("softhsm", "init", "--dir", "token", "--key", "e2ee 2026", "--json").json["uri"] == uri


def test_init_finds_what_it_made(run: Run, tmp_path: Path) -> None:
    """A second run changes nothing and says so; JSON holds URI and configuration."""
    first = run("softhsm", "init", "--dir", "token", "--json")
    second = run("softhsm", "init", "--dir", "token", "--json")
    assert first.json == second.json
    assert first.json["config"] == {"SOFTHSM2_CONF": str(tmp_path / "token" / "softhsm2.conf")}
    assert json.loads(second.err) == {"info": {"message": "found the token 'sealpass'"}}


def test_a_fresh_token_serves_the_whole_round(run: Run, tmp_path: Path) -> None:
    """Token, key, JWK, encrypt and unwrap: what the README shows, with the PIN in no output."""
    made = run("softhsm", "init", "--dir", "token", "--json").json
    config = made["config"]
    uri = str(KeyUri.parse(made["uri"]).replace(path={"object": b"e2ee"}))
    created = run("keys", "create", uri, "--mode", "native", **config)
    assert created.status == 0
    listed = run("keys", "list", made["uri"], "--json", **config)
    assert [key["kind"] for key in listed.json] == ["RSA-2048"]
    (tmp_path / "server.jwk").write_bytes(run("keys", "jwk", created.text, "--alg", "RSA-OAEP", **config).out)
    token = run("encrypt", "server.jwk", "--allow-sha1", "--nonce", "n-1", stdin="hunter2")
    refused = run("unwrap", listed.json[0]["uri"], "--nonce", "n-1", stdin=token.text, **config)
    assert refused.status == 1
    ran = run("unwrap", listed.json[0]["uri"], "--nonce", "n-1", "--allow-sha1", stdin=token.text, **config)
    assert (ran.status, ran.text) == (0, "hunter2")
    unsupported = run("keys", "jwk", created.text, "--alg", "RSA-OAEP-256", **config)
    assert (unsupported.status, unsupported.out) == (2, b"")
    pin = (tmp_path / "token" / "pin").read_text().strip()
    for each in (created, listed, token, refused, ran, unsupported):
        assert pin not in each.err
        assert pin.encode() not in each.out


def test_a_bad_directory_is_an_error(run: Run, tmp_path: Path) -> None:
    """A directory that cannot be made is a configuration error, not a bug."""
    (tmp_path / "file").write_text("")
    ran = run("softhsm", "init", "--dir", "file/below", "--json")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.error["code"] == "config"
