# SPDX-License-Identifier: Apache-2.0
"""``sealpass config``, and ``--config`` of ``sealpass records``, as a user runs them, but in this process."""

import json
import re
import shutil
from pathlib import Path

import pytest

from sealpass.__main__ import main
from sealpass.backends.registry import key_maker, open_key
from sealpass.service import migrations
from sealpass.service.configuration import open_service
from sealpass.service.database import Database
from tests.cli.conftest import Run
from tests.support.soft_tokens import SoftToken

SECRET = "hunter2-of-the-operator"
STEPS = ("check", "change", "reset", "register", "admin-set")


class Command:
    """Runs ``sealpass``."""

    def __init__(self, captured: pytest.CaptureFixture[bytes]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Status, data and words."""
        self._captured.readouterr()
        status = main(arguments)
        captured = self._captured.readouterr()
        return status, captured.out.decode(), captured.err.decode()


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The command."""
    return Command(capfdbinary)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, software_uri: str) -> Path:
    """A configuration that is right, with its database and its keys."""
    folder = tmp_path_factory.mktemp("config")
    seal, seal_new = (key_maker(f"software:path={folder}/{name}.jwk").create_aes(256) for name in ("seal", "seal-new"))
    with Database(f"sqlite:///{folder}/passwords.db") as database:
        database.create_file()
        migrations.upgrade(database)
    steps = "".join(f'{step} = {{ ring = "e2ee" }}\n' for step in STEPS)
    (folder / "sealpass.toml").write_text(
        f'[database]\nurl = "sqlite:///{folder}/passwords.db"\n'
        f'[rings.e2ee]\ncurrent = "{software_uri}"\n'
        f'[rings.seal]\ncurrent = "{seal_new}"\nprevious = ["{seal}"]\n'
        f'[records]\nring = "seal"\n[hashing]\nmemory-kib = 47104\npasses = 1\nlanes = 1\n[steps]\n{steps}'
    )
    return folder


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    """A copy of it to change; database and keys are shared."""
    shutil.copy(folder / "sealpass.toml", tmp_path)
    return tmp_path / "sealpass.toml"


def change(file: Path, old: str, new: str) -> str:
    """Put a text in the place of another one; the path, to name it."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return str(file)


def test_a_good_file_is_told_with_its_keys(command: Command, file: Path, software_uri: str) -> None:
    """Exit status 0: keys by their place and what they are for, and the count of findings on standard error."""
    status, out, err = command("config", "check", str(file))
    assert (status, err) == (0, "0 errors, 0 warnings\n")
    with open_key(software_uri) as key:
        rows = [line.split() for line in out.splitlines()]
        assert rows[1] == ["rings.e2ee.current", "tokens", key.key_id]
    assert [row[:2] for row in rows[2:]] == [["rings.seal.current", "records"], ["rings.seal.previous[0]", "records"]]


def test_a_broken_file_is_told_line_by_line(command: Command, file: Path) -> None:
    """Exit status 2: the place first, as compilers write it, then what to do; nothing is opened."""
    change(file, "passes = 1", "passs = 1")
    path = change(file, 'ring = "seal"', 'ring = "sael"')
    status, out, err = command("config", "check", path)
    assert status == 2
    assert out.splitlines() == [
        f"{path}:9:1: error: records.ring: there is no such ring [file]",
        "  hint: rings: e2ee, seal",
        f'{path}:12:1: error: hashing.passs: unknown key; did you mean "passes"? [file]',
    ]
    assert err == "2 errors, 0 warnings; keys and database were not asked\n"


def test_an_open_step_is_a_failure(command: Command, file: Path) -> None:
    """Exit status 1, also offline, and as JSON with everything that a program needs."""
    path = change(file, 'reset = { ring = "e2ee" }\n', "")
    assert command("config", "check", path)[0] == 1
    status, out, err = command("config", "check", path, "--offline", "--json")
    assert status == 1
    assert json.loads(out) == {
        "file": path,
        "asked_keys_and_database": False,
        "findings": [
            {
                "severity": "error",
                "code": "step-missing",
                "line": 14,
                "column": 2,
                "key": "steps.reset",
                "message": "the step is not configured",
                "hint": 'add [steps.reset] with a ring, or with e2ee = "off" if it is to take plain passwords',
            }
        ],
        "keys": [],
    }
    assert json.loads(err)["info"]["message"] == "1 error, 0 warnings; keys and database were not asked"


def test_a_warning_fails_only_where_it_is_asked_to(command: Command, file: Path) -> None:
    """What is off on purpose leaves status 0, and 1 with --strict."""
    path = change(file, 'reset = { ring = "e2ee" }', 'reset = { ring = "e2ee", policy = "off" }')
    status, out, err = command("config", "check", path, "--offline")
    assert (status, err) == (0, "0 errors, 1 warning; keys and database were not asked\n")
    assert out == f"{path}:17:26: warning: steps.reset.policy: the password policy is off [step-without-policy]\n"
    assert command("config", "check", path, "--offline", "--strict")[0] == 1
    assert command("config", "check", change(file, ', policy = "off"', ""), "--offline", "--strict")[0] == 0


def test_a_key_that_does_not_answer_has_a_status_of_its_own(command: Command, file: Path, softhsm2: SoftToken) -> None:
    """Exit status 3, for a key that is not there and a PIN that is wrong; the PIN is not shown."""
    path = change(file, "seal.jwk", "gone.jwk")
    status, out, _ = command("config", "check", path)
    assert status == 3
    assert "rings.seal.previous[0]: the key does not answer [key-not-found]" in out
    pin = file.with_name("pin")
    pin.write_text(SECRET)
    uri = re.sub("pin-source=file:[^&]*", f"pin-source=file:{pin}", softhsm2.shared_key())
    change(file, "gone.jwk", "seal.jwk")
    file.write_text(re.sub('(?<=e2ee]\ncurrent = ").*(?=")', lambda _: uri, file.read_text()))
    status, out, err = command("config", "check", path)
    assert status == 3
    assert "rings.e2ee.current: the key does not answer [authentication-failed]" in out
    assert SECRET not in out + err
    with open_key(softhsm2.shared_key()):  # and the token counts from none again
        pass


def test_the_status_names_what_to_put_right_first(command: Command, file: Path) -> None:
    """The file before the devices, the devices before what is left open."""
    change(file, 'reset = { ring = "e2ee" }\n', "")
    path = change(file, "seal.jwk", "gone.jwk")
    assert command("config", "check", path)[0] == 3
    file.write_text(file.read_text() + '[policy]\nblock-list = "gone.txt"\n')
    assert command("config", "check", path)[0] == 2


def test_a_file_that_is_not_there_is_an_error_of_the_command(command: Command, tmp_path: Path) -> None:
    """As everywhere: exit status 2, and words on standard error."""
    status, out, err = command("config", "check", str(tmp_path / "gone.toml"))
    assert (status, out) == (2, "")
    assert "cannot read the configuration" in err


def test_the_schema_is_printed(command: Command) -> None:
    """As JSON with and without --json, to be kept beside the file."""
    status, out, err = command("config", "schema")
    assert (status, err) == (0, "")
    schema = json.loads(out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(command("config", "schema", "--json")[1]) == schema


def test_the_real_command(run: Run, file: Path) -> None:
    """In a process of its own, where warnings are errors."""
    ran = run("config", "check", str(file), "--json")
    assert (ran.status, ran.json["findings"]) == (0, [])


def test_records_take_their_ring_from_the_configuration(command: Command, file: Path) -> None:
    """Audit and rotation of what the service stored, without naming database or keys again."""
    new_first = file.read_text()
    change(file, "seal-new.jwk", "x.jwk")
    change(file, "seal.jwk", "seal-new.jwk")
    with open_service(change(file, "x.jwk", "seal.jwk")) as service:
        service.unguarded.register("u", "korrekt Pferd Batterie")
    file.write_text(new_first)
    status, out, _ = command("records", "audit", "--config", str(file), "--json")
    assert (status, {key["standing"] for key in json.loads(out)["keys"]}) == (0, {"current", "in-use"})
    status, out, _ = command("records", "rotate", "--config", str(file), "--json")
    assert (status, json.loads(out)["moved"]) == (0, 1)
    status, out, _ = command("records", "audit", "--config", str(file), "--json")
    assert len(json.loads(out)["may_be_retired"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit"], "Missing argument DATABASE, or --config FILE"),
        (["rotate", "sqlite:////x"], "Missing argument KEY"),
        (["audit", "sqlite:////x", "--config", "x"], "--config stands in the place of"),
        (["rotate", "--config", "x", "--previous", "software:path=x"], "--config stands in the place of"),
        (["rotate", "--config", "gone.toml"], "cannot read the configuration"),
    ],
)
def test_records_want_the_one_or_the_other(command: Command, arguments: list[str], said: str) -> None:
    """A configuration, or database and keys; exit status 2."""
    status, out, err = command("records", *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_errors_of_a_configuration_are_one_line(command: Command, file: Path) -> None:
    """Commands that only use it say all that is wrong, and who shows it one by one."""
    change(file, "passes = 1", "passs = 1")
    path = change(file, 'ring = "seal"', 'ring = "sael"')
    status, _, err = command("records", "audit", "--config", path)
    assert status == 2
    first, second = err.splitlines()
    assert first.count(f"{path}:") == 2
    assert "; " in first
    assert "sealpass config check" in second
