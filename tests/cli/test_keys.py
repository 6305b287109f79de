# SPDX-License-Identifier: Apache-2.0
import stat
from pathlib import Path

import pytest

from sealpass.core.jwk import PublicJwk
from tests.cli.conftest import Run


def test_create_prints_a_uri_that_opens_the_key(run: Run, tmp_path: Path) -> None:
    """The printed URI is the whole output, and every other command takes it."""
    ran = run("keys", "create", "software:path=key.pem", "--bits", "3072")
    assert (ran.status, ran.text, ran.err) == (0, "software:path=key.pem", "")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert run("keys", "list", ran.text, "--json").json[0]["kind"] == "RSA-3072"


def test_create_makes_an_aes_key(run: Run) -> None:
    """--aes makes a sealing key of that size."""
    ran = run("keys", "create", "software:path=seal.jwk", "--aes", "192", "--json")
    assert ran.json == {"uri": "software:path=seal.jwk"}
    assert run("keys", "list", "software:path=seal.jwk", "--json").json[0]["kind"] == "AES-192"


def test_create_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    """A key that exists stays as it is."""
    (tmp_path / "key.pem").write_text("mine")
    ran = run("keys", "create", "software:path=key.pem")
    assert (ran.status, ran.out) == (2, b"")
    assert "use it as it is, or choose another path=" in ran.err
    assert (tmp_path / "key.pem").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        ["--aes", "256", "--mode", "native"],
        ["--aes", "256", "--bits", "2048"],
        ["--aes", "256", "--self-signed"],
        ["--aes", "100"],
        ["--bits", "1024"],
        ["--mode", "in-token"],
        ["--mode", "software"],
        ["--self-signed"],
    ],
)
def test_create_leaves_no_file_where_it_refuses(run: Run, tmp_path: Path, options: list[str]) -> None:
    """Contradictions, weak sizes and modes that a file cannot have: exit status 2, and no key file."""
    ran = run("keys", "create", "software:path=key.pem", *options)
    assert (ran.status, ran.out) == (2, b"")
    assert "doctor" not in ran.err  # there is no key to look at
    assert list(tmp_path.iterdir()) == []


def test_import_stores_the_same_key(run: Run, tmp_path: Path, software_uri: str, public_jwk: PublicJwk) -> None:
    """The imported key has the thumbprint of the file's key."""
    pem = software_uri.removeprefix("software:path=")
    ran = run("keys", "import", "software:path=copy.pem", "--pem", pem, "--mode", "native")
    assert (ran.status, ran.text) == (0, "software:path=copy.pem")
    assert run("keys", "list", ran.text, "--json").json[0]["key_id"] == public_jwk.kid
    assert stat.S_IMODE((tmp_path / "copy.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_import_refuses_what_is_no_key(run: Run, tmp_path: Path, content: str | None) -> None:
    """A missing file and a file without a key are errors that leave nothing behind."""
    if content is not None:
        (tmp_path / "old.pem").write_text(content)
    ran = run("keys", "import", "software:path=new.pem", "--pem", "old.pem")
    assert (ran.status, ran.out) == (2, b"")
    assert not (tmp_path / "new.pem").exists()


def test_list_shows_a_line_for_each_key(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """In a pipe a key is one line, however long its URI is."""
    ran = run("keys", "list", software_uri)
    assert ran.status == 0
    assert [line.split() for line in ran.text.splitlines()] == [
        ["KIND", "KEY", "ID", "MODES", "URI"],
        ["RSA-2048", public_jwk.kid, "software", software_uri],
    ]


def test_list_as_json(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """The listing as values."""
    assert run("keys", "list", software_uri, "--json").json == [
        {"uri": software_uri, "kind": "RSA-2048", "key_id": public_jwk.kid, "modes": ["software"], "aliases": []}
    ]


def test_list_shows_brackets_as_they_are(run: Run) -> None:
    """A URI is not markup: what stands in brackets is printed."""
    run("keys", "create", "software:path=[bold]key.pem")
    assert run("keys", "list", "software:path=[bold]key.pem").text.endswith(" software:path=[bold]key.pem")


def test_jwk_prints_the_public_half(run: Run, software_uri: str, public_jwk: PublicJwk) -> None:
    """The JWK has public members only, and is JSON with --json and without."""
    plain = run("keys", "jwk", software_uri)
    assert plain.json == public_jwk.to_dict()
    assert run("keys", "jwk", software_uri, "--json").out == plain.out


def test_jwk_is_pinned_to_an_algorithm(run: Run, software_uri: str) -> None:
    """--alg becomes the JWK's alg."""
    assert run("keys", "jwk", software_uri, "--alg", "RSA-OAEP").json["alg"] == "RSA-OAEP"


def test_jwk_of_a_sealing_key_is_refused(run: Run) -> None:
    """A symmetric key has no public half."""
    uri = run("keys", "create", "software:path=seal.jwk", "--aes", "256").text
    ran = run("keys", "jwk", uri, "--json")
    assert (ran.status, ran.out) == (2, b"")
    assert ran.error["code"] == "unsupported-algorithm"


def test_a_key_file_that_is_missing_is_not_found(run: Run) -> None:
    """A missing key has its own code and a hint."""
    for command in (["keys", "list"], ["keys", "jwk"], ["doctor"], ["unwrap"]):
        ran = run(*command, "software:path=missing.pem", "--json", stdin="a.b.c.d.e")
        assert (ran.status, ran.out) == (2, b"")
        assert ran.error["code"] == "key-not-found"
        assert ran.error["hint"]
