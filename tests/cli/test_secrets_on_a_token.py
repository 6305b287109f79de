# SPDX-License-Identifier: Apache-2.0
"""What the command says and leaves behind when it works on a real token: neither PINs nor passwords."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealpass.core.uri import KeyUri
from tests.cli.conftest import Ran, Run
from tests.support.tokens import TAG, flip_bit

PASSWORD = "correct horse 91c4"
WRONG_PIN = "618230457719"
NONCE = "n-1"


def traces(secret: str) -> tuple[bytes, ...]:
    """Spellings in which a secret could get out."""
    octets = secret.encode()
    return octets, octets.hex().encode(), base64.b64encode(octets).rstrip(b"=")[:-1]


@dataclass
class Session:
    """Runs of the command on one fresh SoftHSM2 token, each looked at for every secret there is."""

    run: Run
    directory: Path
    uri: KeyUri = field(init=False)
    config: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        made = self.run("softhsm", "init", "--dir", "token", "--json")
        self.uri, self.config = KeyUri.parse(made.json["uri"]), made.json["config"]
        self.check(made)
        self.check(self.run("softhsm", "init", "--dir", "token"))

    @property
    def pin(self) -> str:
        """The user PIN."""
        return (self.directory / "token" / "pin").read_text().strip()

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Every spelling of every secret."""
        so_pin = (self.directory / "token" / "so-pin").read_text().strip()
        return tuple(trace for secret in (self.pin, so_pin, WRONG_PIN, PASSWORD) for trace in traces(secret))

    def key(self, label: str) -> str:
        """The URI of a key by its label."""
        return str(self.uri.replace(path={"object": label.encode()}))

    def check(self, ran: Ran, *, shows_password: bool = False) -> Ran:
        """The same run; neither stream holds a secret."""
        for secret in self.secrets:
            assert shows_password or secret not in ran.out
            assert secret not in ran.err.encode()
        return ran

    def __call__(self, status: int, *arguments: str, stdin: str = "", shows_password: bool = False) -> Ran:
        """Run a command as it is, and again with ``--debug`` and ``--json``; answers the first run."""
        ran = self.run(*arguments, stdin=stdin, WRONG_PIN=WRONG_PIN, **self.config)
        assert ran.status == status, ran.err
        again = self.run("--debug", *arguments, "--json", stdin=stdin, WRONG_PIN=WRONG_PIN, **self.config)
        for line in again.err.splitlines():
            assert json.loads(line).keys() <= {"error", "info", "warning"}
        self.check(again, shows_password=shows_password)
        return self.check(ran, shows_password=shows_password)

    def check_files(self) -> None:
        """No file holds a secret but the two that are there for it."""
        left = [path for path in self.directory.rglob("*") if path.is_file()]
        own = {self.directory / "token" / name for name in ("pin", "so-pin")}
        assert own < set(left)
        for path in set(left) - own:
            assert not any(secret in path.read_bytes() for secret in self.secrets), path


@pytest.fixture
def session(run: Run, tmp_path: Path) -> Session:
    """A fresh token and the commands on it."""
    return Session(run, tmp_path)


def test_work_on_a_token_shows_no_secret(session: Session) -> None:
    """Making and listing keys, encrypting, unwrapping and diagnosing, with success and without."""
    key = session(0, "keys", "create", session.key("native")).text
    session(2, "keys", "create", key)
    session(0, "keys", "list", str(session.uri))
    session(0, "keys", "jwk", key)
    session(0, "doctor", key)
    session(2, "encrypt", key, "--nonce", NONCE, stdin=PASSWORD)
    token = session(0, "encrypt", key, "--nonce", NONCE, "--allow-sha1", stdin=PASSWORD).text
    unwrap = ("unwrap", key, "--allow-sha1", "--nonce", NONCE)
    assert session(0, *unwrap, stdin=token, shows_password=True).text == PASSWORD
    session(0, *unwrap, "--diagnose", stdin=token)
    damaged = flip_bit(token, TAG, 3)
    session(1, *unwrap, stdin=damaged)
    session(1, *unwrap, "--diagnose", stdin=damaged)
    session(1, *unwrap[:-1], "another", stdin=token)
    session(1, *unwrap, stdin=PASSWORD)
    session.check_files()


def test_a_login_that_fails_shows_no_pin(session: Session) -> None:
    """A wrong PIN, a PIN in the wrong place, a PIN that cannot be read; and what the next login says about it."""
    key = session(0, "keys", "create", session.key("native")).text
    source = "pin-source=file:" + str(session.directory / "token" / "pin")
    assert source in key
    with_wrong_pin = key.replace(source, "pin-source=env:WRONG_PIN")
    ran = session.run("doctor", with_wrong_pin, WRONG_PIN=WRONG_PIN, **session.config)
    assert session.check(ran).status == 3
    ran = session.run("doctor", key, "--json", **session.config)
    assert session.check(ran).status == 0
    assert "wrong PIN" in json.loads(ran.err)["warning"]["message"]
    for misplaced in (f"pin-value={session.pin}", f"pin-source={session.pin}", f"pin={session.pin}"):
        session(2, "doctor", key.replace(source, misplaced))
        session(2, "qualify", "--quick", key.replace(source, misplaced))
    session(2, "doctor", key, session.pin)
    session(2, "doctor", key.replace(source, "pin-source=env:NOT_SET"))
    session(2, "doctor", session.key("missing"))
    session.check_files()


def test_a_qualification_shows_no_pin(session: Session) -> None:
    """Neither progress nor verdict nor the reports in files hold one."""
    key = session.run("keys", "create", session.key("native"), **session.config).text
    ran = session.run("--debug", "qualify", "--quick", "--allow-sha1", key, "--out", "reports", **session.config)
    assert session.check(ran).status == 0
    assert len(list((session.directory / "reports").iterdir())) == 3
    session(2, "qualify", session.key("missing"), "--out", "reports")
    session.check_files()
