# SPDX-License-Identifier: Apache-2.0
"""``sealpass records`` as a user runs it, but in this process."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from sealpass.__main__ import main
from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.cli import records
from sealpass.core.errors import BackendUnavailable
from sealpass.core.passwords import Passwords
from sealpass.core.records import RecordUse
from sealpass.core.uri import KeyUri
from sealpass.service import migrations
from sealpass.service.audit import Standing
from sealpass.service.database import Database
from sealpass.service.estimate import Prices
from sealpass.service.rotation import Rotation
from sealpass.service.storage import PasswordStorage
from tests.cli.test_terminal import CONTROL_C, terminal
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.sealing import CHEAP

SUBJECTS = ["secret-subject-1", "secret-subject-2", "secret-subject-3"]


class Command:
    """Runs ``sealpass records``."""

    def __init__(self, captured: pytest.CaptureFixture[bytes]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Status, data and words."""
        self._captured.readouterr()
        status = main(["records", *arguments])
        captured = self._captured.readouterr()
        return status, captured.out.decode(), captured.err.decode()

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Status, and data as JSON."""
        status, out, _ = self(*arguments, "--json")
        return status, json.loads(out)


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The command."""
    return Command(capfdbinary)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The URIs of three AES keys: a new one, the old one, and one that nothing was ever sealed with."""
    folder = tmp_path_factory.mktemp("aes")
    paths = [folder / f"{name}.jwk" for name in ("new", "old", "idle")]
    return [str(key_maker(KeyUri("software", {"path": bytes(path)})).create_aes(256)) for path in paths]


@pytest.fixture(scope="session")
def key_ids(keys: list[str]) -> list[str]:
    """Their ids."""
    found = []
    for uri in keys:
        with open_key(uri) as key:
            found.append(key.key_id)
    return found


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> Path:
    """A database with three users under the old key, one of them with a letter."""
    path = tmp_path_factory.mktemp("records") / "template.db"
    with Database(f"sqlite:///{path}") as database, KeyRing(keys[1]) as ring:
        migrations.upgrade(database)
        storage, passwords = PasswordStorage(database), Passwords(ring, hashing=CHEAP)
        for subject in SUBJECTS:
            letter = passwords.hash("x", subject, RecordUse.LETTER) if subject == SUBJECTS[0] else None
            assert storage.create(subject, current=passwords.hash("x", subject), letter=letter)
    return path


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    """A copy of it."""
    shutil.copy(template, tmp_path / "passwords.db")
    return f"sqlite:///{tmp_path / 'passwords.db'}"


def swap(url: str) -> None:
    """Give one user another one's record, as somebody who can write to the database may."""
    with Database(url) as database:
        storage = PasswordStorage(database)
        mine, theirs = (storage.get(subject) for subject in SUBJECTS[1:])
        assert mine is not None
        assert mine.current is not None
        assert theirs is not None
        assert theirs.current is not None
        assert storage.rewrite(SUBJECTS[1], RecordUse.CURRENT, mine.current, theirs.current)


def test_audit_counts_without_any_key(command: Command, url: str, key_ids: list[str]) -> None:
    """It is the first question, and needs no PIN."""
    status, out, words = command("audit", url)
    assert (status, words) == (0, "")
    assert out.splitlines()[1].split() == [key_ids[1], "A256GCM", "3", "0", "1", "no", "keys", "given"]


def test_audit_says_which_key_may_go(command: Command, url: str, keys: list[str], key_ids: list[str]) -> None:
    """The old key is kept, the idle one may go; asked for either, the status tells."""
    arguments = (url, keys[0], "--previous", keys[1], "--previous", keys[2])
    status, found = command.json("audit", *arguments)
    assert (status, found["records"], found["may_be_retired"], found["warnings"]) == (0, 4, [key_ids[2]], [])
    assert [(line["key_id"], line["standing"]) for line in found["keys"]] == [
        (key_ids[0], "current"),
        (key_ids[1], "in-use"),
        (key_ids[2], "free"),
    ]
    assert found["keys"][1] | {"current": 3, "letter": 1, "history": 0, "records": 4} == found["keys"][1]
    assert command("audit", *arguments, "--retire", key_ids[2])[0] == 0
    for key_id, reason in ((key_ids[1], "still has records"), (key_ids[0], "current key"), ("typo", "none of the")):
        status, _, words = command("audit", *arguments, "--retire", key_id, "--retire", key_ids[2])
        assert status == 1
        assert f"{key_id} must not be retired" in words
        assert reason in words


def test_audit_finds_records_that_nobody_can_open(
    command: Command, url: str, keys: list[str], key_ids: list[str]
) -> None:
    """Their key left the ring too early: status 1."""
    status, _, words = command("audit", url, keys[0])
    assert status == 1
    assert f"4 records are under {key_ids[1]}, which is not among the given keys" in words


@pytest.mark.parametrize("option", ["--previous", "--retire"])
def test_audit_needs_the_current_key_for_the_others(command: Command, url: str, keys: list[str], option: str) -> None:
    """Without it every key would be a previous one."""
    assert command("audit", url, option, keys[1])[0] == 2


def test_audit_of_a_key_that_does_not_seal_is_refused(
    command: Command, url: str, keys: list[str], software_uri: str
) -> None:
    """It has no records and never will, so it must not be called free."""
    status, out, words = command("audit", url, keys[0], "--previous", software_uri)
    assert (status, out) == (2, "")
    assert "does not seal" in words


def test_rotate_then_retire(command: Command, url: str, keys: list[str], key_ids: list[str]) -> None:
    """The way of docs/rotation.md: estimate, dry run, run, audit. A second run has nothing to do."""
    arguments = (url, keys[0], "--previous", keys[1])
    status, found = command.json("rotate", *arguments, "--estimate")
    assert (status, found["records"], found["calls"]) == (0, 4, {})
    status, found = command.json("rotate", *arguments, "--dry-run")
    assert (status, found["dry_run"], found["tried"], found["moved"]) == (0, True, 4, 0)
    rate = found["rehearsal"]["records_per_second"]
    assert rate == pytest.approx(4 / found["rehearsal"]["seconds"])
    assert found["rehearsal"]["hours_for_all"] == pytest.approx(4 / rate / 3600)
    assert command.json("audit", *arguments)[1]["may_be_retired"] == []
    status, found = command.json("rotate", *arguments, "--batch", "2", "--threads", "2", "--rate", "1000")
    assert (status, found["to_move"], found["moved"], found["complete"]) == (0, 4, 4, True)
    assert found["target"] == key_ids[0]
    assert command.json("audit", *arguments, "--retire", key_ids[1])[0] == 0
    status, out, words = command("rotate", *arguments)
    assert (status, words) == (0, "")
    assert "records under other keys     0\n" in out
    with Database(url) as database, KeyRing(keys[0]) as ring:
        stored = PasswordStorage(database).get(SUBJECTS[0])
        assert stored is not None
        assert stored.current is not None
        assert Passwords(ring, hashing=CHEAP).verify(stored.current, "x", SUBJECTS[0])


def test_a_dry_run_tells_how_long_all_would_take(command: Command, url: str, keys: list[str]) -> None:
    """Which --estimate cannot for a device that has no quota, and says so."""
    arguments = ("rotate", url, keys[0], "--previous", keys[1])
    status, out, _ = command(*arguments, "--dry-run")
    assert status == 0
    assert re.search(r"time of the rehearsal +\d+\.\d\d s, [\d,]+ records a second\n", out)
    assert re.search(r"so all records would take about +0 min", out)
    status, out, _ = command(*arguments, "--estimate")
    assert re.search(r"price +none: no AWS KMS takes part\ntime +depends on the device; --dry-run measures it\n", out)
    assert command.json(*arguments)[1]["rehearsal"] is None


@pytest.mark.parametrize("what", ["audit", "rotate"])
def test_the_current_key_is_no_previous_one(command: Command, url: str, keys: list[str], what: str) -> None:
    """A slip that would look like a table in which there is nothing to move."""
    status, out, words = command(what, url, keys[1], "--previous", keys[0], "--previous", keys[1])
    assert (status, out) == (2, "")
    assert "the same key is current and previous" in words


def test_what_does_not_open_is_told_without_subjects(
    command: Command, url: str, keys: list[str], key_ids: list[str]
) -> None:
    """Status 1, by key id and slot; everything else was moved, and the old key may not go."""
    swap(url)
    arguments = (url, keys[0], "--previous", keys[1])
    assert command("rotate", *arguments, "--dry-run")[0] == 1
    status, out, words = command("rotate", *arguments)
    assert status == 1
    assert f"refused (does-not-open)      1 in slot current under {key_ids[1]}" in out
    assert "1 records do not open and stay as they are" in words
    assert "secret-subject" not in out + words
    status, found = command.json("rotate", *arguments)
    refused = {"key_id": key_ids[1], "slot": "current", "problem": "does-not-open", "records": 1}
    assert (status, found["moved"], found["complete"], found["refused"]) == (1, 0, False, [refused])
    assert command("audit", *arguments, "--retire", key_ids[1])[0] == 1


def test_an_interruption_says_how_to_go_on(
    command: Command, url: str, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 130 for Ctrl-C, 3 for a device that stays away; both say that the same command goes on."""
    for error, status in ((KeyboardInterrupt(), 130), (BackendUnavailable("away", retryable=False), 3)):

        def run(_self: Rotation, _tell: object, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Rotation, "run", run)
            ended, out, words = command("rotate", url, keys[0], "--previous", keys[1])
        assert (ended, out) == (status, "")
        assert "0 records were moved and nothing is lost; the same command goes on from here" in words


def test_control_c_at_a_terminal(command: Command, url: str, keys: list[str]) -> None:
    """The bar counts; Ctrl-C ends the run at once with status 130; the same command does the rest, and no more."""
    arguments = ("rotate", url, keys[0], "--previous", keys[1])
    with terminal("records", *arguments, "--batch", "1", "--rate", "1") as shown:
        shown.wait_for(b"1/4")
        shown.type(CONTROL_C)
        assert shown.end() == (130, b"")
    assert b"nothing is lost" in shown.seen
    status, found = command.json(*arguments)
    assert status == 0
    assert 0 < found["moved"] < 4


def test_the_estimate_of_three_hundred_million(command: Command, url: str) -> None:
    """The figures of docs/rotation.md, and no device is asked: these keys do not exist."""
    keys = [f"awskms:key-id=alias/{name};region=us-west-1" for name in ("new", "old")]
    status, out, _ = command(
        "rotate", url, keys[0], "--previous", keys[1], "--estimate", "--records", "300000000", "--rate", "20000"
    )
    assert status == 0
    for row in ("kms:ReEncrypt", "300000000", "USD 900.00", "8.3 h", "4.2 h", "41.7 h"):
        assert row in out


def test_the_estimate_with_other_prices(command: Command, url: str, tmp_path: Path) -> None:
    """A table of one's own; where it is wrong, status 2."""
    key = "awskms:key-id=alias/new;region=us-west-1"
    shipped = Path(records.__file__).parents[1] / "service" / "aws_kms_prices.toml"
    (tmp_path / "prices.toml").write_text(shipped.read_text().replace("symmetric = 0.03", "symmetric = 0.06"))
    arguments = ("rotate", url, key, "--estimate", "--prices")
    status, found = command.json(*arguments, str(tmp_path / "prices.toml"), "--records", "10000")
    assert (status, found["price"]) == (0, 0.06)
    status, found = command.json(*arguments, str(tmp_path / "prices.toml"))
    assert (status, found["records"], found["calls"]) == (0, 4, {"Encrypt": 4})
    assert command(*arguments, str(tmp_path / "none.toml"))[0] == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--prices", "x.toml"],
        ["--records", "5"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--threads", "0"],
        ["--batch", "0"],
    ],
)
def test_options_that_make_no_sense_are_refused(
    command: Command, url: str, keys: list[str], options: list[str]
) -> None:
    """Before anything is opened."""
    assert command("rotate", url, keys[0], *options)[0] == 2


def test_a_database_without_tables_says_what_to_do(command: Command, keys: list[str], tmp_path: Path) -> None:
    """Both commands check it first."""
    with Database(f"sqlite:///{tmp_path / 'empty.db'}") as database:
        database.create_file()
    for arguments in (["audit"], ["rotate"], ["rotate", "--estimate"]):
        status, _, words = command(arguments[0], f"sqlite:///{tmp_path / 'empty.db'}", keys[0], *arguments[1:])
        assert status == 2
        assert "sealpass db upgrade" in words


def test_kms_keys_of_which_one_is_throttled(
    command: Command, url: str, keys: list[str], kms_in_process: KmsEmulator
) -> None:
    """Records go to KMS, and from there by ReEncrypt to another key, though KMS throttles some calls."""
    first, second = (f"awskms:key-id={kms_in_process.create_symmetric()};region={REGION}" for _ in range(2))
    status, found = command.json("rotate", url, first, "--previous", keys[1])
    assert (status, found["moved"]) == (0, 4)
    kms_in_process.reset()
    kms_in_process.throttle("ReEncrypt", 2)
    status, found = command.json("rotate", url, second, "--previous", first)
    assert (status, found["moved"], found["complete"]) == (0, 4, True)
    assert kms_in_process.count("Decrypt") == 0
    status, found = command.json("rotate", url, first, "--previous", second, "--estimate")
    assert found["calls"] == {"ReEncrypt": 4}


GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "rotation.md").read_text(encoding="utf-8")


def test_the_guide_leads_to_a_retired_key(
    command: Command, url: str, keys: list[str], key_ids: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The commands of docs/rotation.md as they are printed, but for the name of the old key and its id."""
    monkeypatch.chdir(tmp_path)
    block = GUIDE.partition("```console\n")[2].partition("```")[0]
    lines = [shlex.split(line) for line in block.replace("software:path=seal.jwk", keys[1]).splitlines()]
    outputs = []
    for _, program, *arguments in lines:
        assert program == "sealpass"
        if arguments[0] == "records":
            status, out, _ = command(*(key_ids[1] if word == "OLD-KEY-ID" else word for word in arguments[1:]))
        else:
            status, out = main(arguments), ""
        assert status == 0, arguments
        outputs.append(out)
    assert "in use: keep it" in outputs[1]
    assert "tried, not stored" in outputs[2]
    assert "no records: may be retired" in outputs[4]


def test_the_example_of_the_guide_runs(
    url: str, keys: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Python block, but for the names of the keys."""
    monkeypatch.setenv("SEALPASS_DATABASE_URL", url)
    code = GUIDE.partition("```python\n")[2].partition("```")[0]
    code = code.replace("software:path=seal-2027.jwk", keys[0]).replace("software:path=seal.jwk", keys[1])
    exec(code, {})  # noqa: S102 - our own documentation
    assert capsys.readouterr().out == "4 moved; 0 do not open; complete: True\n"


def test_the_table_of_prices_in_the_guide_is_one(tmp_path: Path) -> None:
    """It has all members that there must be."""
    (tmp_path / "prices.toml").write_text(GUIDE.partition("```toml\n")[2].partition("```")[0])
    assert Prices.read(str(tmp_path / "prices.toml")).quota_of("symmetric", "eu-central-1") == 20000


@pytest.mark.parametrize("standing", Standing)
def test_every_standing_is_in_the_guide(standing: Standing) -> None:
    """A reader of --json finds each word."""
    assert f"| `{standing}` |" in GUIDE
