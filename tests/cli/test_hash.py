# SPDX-License-Identifier: Apache-2.0
import re
import tomllib

import pytest
from click.testing import CliRunner

from sealpass.__main__ import main
from sealpass.backends.registry import key_maker
from sealpass.cli import hash as hash_module
from sealpass.cli.root import root
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.argon2_tuning import Tuned
from sealpass.core.records import Record
from tests.cli.conftest import Ran, Run
from tests.cli.test_completion import complete
from tests.cli.test_secrets import PASSWORD, assert_silent
from tests.support.soft_tokens import SoftToken

USER = "8a6e0804-2bd0-4672-b79d-d97027f9071a"
CHEAP = ("--hashing", "owasp-12-mib")
BCRYPT = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"


@pytest.fixture(scope="session")
def seal_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An AES key in a file."""
    return str(key_maker(f"software:path={tmp_path_factory.mktemp('seal')}/seal.jwk").create_aes(256))


@pytest.fixture(scope="session")
def new_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The key of after a rotation."""
    return str(key_maker(f"software:path={tmp_path_factory.mktemp('seal')}/new.jwk").create_aes(256))


@pytest.fixture
def record(run: Run, seal_uri: str) -> str:
    """The record of PASSWORD for USER."""
    ran = run("hash", seal_uri, "--subject", USER, *CHEAP, stdin=PASSWORD + "\n")
    assert (ran.status, ran.err) == (0, "")
    assert_silent(ran)
    return ran.text


def verified(run: Run, uri: str, record: str, *options: str, stdin: str = PASSWORD) -> Ran:
    """A verification for USER; it never shows the password."""
    ran = run("verify", uri, record, "--subject", USER, *CHEAP, *options, stdin=stdin)
    assert_silent(ran)
    return ran


def test_a_record_is_one_line_that_verifies(run: Run, seal_uri: str, record: str) -> None:
    """Exit status 0 for the password, 1 for another one, in words and as JSON."""
    assert "\n" not in record
    Record.parse(record)
    ran = verified(run, seal_uri, record)
    assert (ran.status, ran.text, ran.err) == (0, "the password matches", "")
    ran = verified(run, seal_uri, record, stdin="wrong")
    assert (ran.status, ran.text, ran.err) == (1, "the password does not match", "")
    ran = verified(run, seal_uri, record, "--json")
    assert (ran.status, ran.json) == (0, {"matches": True, "needs_rehash": False, "refusal": None})
    ran = verified(run, seal_uri, record, "--json", stdin="wrong")
    assert (ran.status, ran.json) == (1, {"matches": False, "needs_rehash": False, "refusal": None})


def test_a_record_as_json(run: Run, seal_uri: str) -> None:
    """One member, and the use is part of what is sealed."""
    ran = run("hash", seal_uri, "--subject", USER, "--use", "letter", *CHEAP, "--json", stdin=PASSWORD)
    assert list(ran.json) == ["record"]
    assert verified(run, seal_uri, ran.json["record"], "--use", "letter").status == 0
    assert verified(run, seal_uri, ran.json["record"]).status == 2


def test_a_previous_key_opens_and_the_record_is_due(run: Run, seal_uri: str, new_uri: str, record: str) -> None:
    """After a rotation the record verifies with --previous; without it, its key is unknown: exit status 2."""
    ran = verified(run, new_uri, record, "--previous", seal_uri)
    assert (ran.status, ran.text) == (0, "the password matches; its record is due for a new one")
    ran = verified(run, new_uri, record, "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (2, b"", "record-refused")
    assert "key-unknown" in str(ran.error["message"])


def test_other_costs_make_a_record_due(run: Run, seal_uri: str, record: str) -> None:
    """What new hashes cost is said with --hashing, as for 'sealpass hash'."""
    ran = run("verify", seal_uri, record, "--subject", USER, "--hashing", "owasp-19-mib", "--json", stdin=PASSWORD)
    assert ran.json["needs_rehash"] is True


def test_a_record_that_does_not_open_is_no_wrong_password(run: Run, seal_uri: str, record: str) -> None:
    """Edited, or of another user: exit status 2 and a code of its own."""
    for edited, subject in ((record[:-3] + "AAA", USER), (record, "another")):
        ran = run("verify", seal_uri, edited, "--subject", subject, "--json", stdin=PASSWORD)
        assert (ran.status, ran.out) == (2, b"")
        assert "does-not-open" in str(ran.error["message"])


def test_a_record_that_the_shell_took_apart_gets_a_hint(run: Run, seal_uri: str, record: str) -> None:
    """In double quotes the shell replaces what stands behind each $."""
    expanded = re.sub(r"\$[A-Za-z]+", "", record)
    ran = verified(run, seal_uri, expanded)
    assert ran.status == 2
    assert "single quotes" in ran.err
    assert expanded not in ran.err


def test_legacy_forms_are_an_opt_in(run: Run, seal_uri: str) -> None:
    """A value of bcrypt verifies with --legacy bcrypt, and tells what it cannot compare."""
    ran = run("verify", seal_uri, BCRYPT, "--subject", USER, *CHEAP, stdin="U*U")
    assert ran.status == 2
    assert "--legacy bcrypt" in ran.err
    options = ("--subject", USER, "--legacy", "bcrypt", *CHEAP, "--json")
    ran = run("verify", seal_uri, BCRYPT, *options, stdin="U*U")
    assert (ran.status, ran.json["needs_rehash"]) == (0, True)
    ran = run("verify", seal_uri, BCRYPT, *options, stdin="x" * 73)
    assert (ran.status, ran.json["matches"]) == (1, False)
    assert "72 bytes" in ran.json["refusal"]


def test_on_a_token(run: Run, softhsm2: SoftToken) -> None:
    """The same with an AES key of an HSM."""
    uri = softhsm2.shared_aes_key(256)
    ran = run("hash", uri, "--subject", USER, *CHEAP, stdin=PASSWORD)
    assert verified(run, uri, ran.text).status == 0


@pytest.mark.parametrize("command", ["hash", "verify"])
def test_a_subject_is_wanted(run: Run, seal_uri: str, command: str) -> None:
    """Without one, or with an empty shell variable, it is a usage error."""
    arguments = [seal_uri, "x"] if command == "verify" else [seal_uri]
    for options in ([], ["--subject", ""]):
        ran = run(command, *arguments, *options, stdin=PASSWORD)
        assert (ran.status, ran.out) == (2, b"")
        assert "--subject" in ran.err


def test_a_key_that_does_not_seal(run: Run, software_uri: str) -> None:
    """An RSA key is told what it is not for."""
    ran = run("hash", software_uri, "--subject", USER, "--json", stdin=PASSWORD)
    assert (ran.status, ran.error["code"]) == (2, "unsupported-algorithm")


def test_a_misplaced_password_is_not_repeated(run: Run, seal_uri: str) -> None:
    """Given as an argument, it does not get into a log."""
    for arguments in (
        ["hash", seal_uri, PASSWORD, "--subject", USER],
        ["hash", PASSWORD, "--subject", USER],
        ["verify", seal_uri, PASSWORD, "--subject", USER],
        ["verify", seal_uri, "x", PASSWORD, "--subject", USER],
        ["hash", "tune", PASSWORD],
    ):
        ran = run(*arguments, stdin="x")
        assert ran.status == 2
        assert_silent(ran)


def test_a_bug_while_the_password_is_at_hand_is_not_told_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seal_uri: str
) -> None:
    """An exception that quotes the password leaves the program without its message."""

    def fail(_self: object, password: str, *_others: object) -> str:
        raise ValueError(f"cannot hash {password}")

    monkeypatch.setattr("sealpass.cli.hash.read_password", lambda: PASSWORD)
    monkeypatch.setattr("sealpass.core.passwords.Passwords.hash", fail)
    for options in ([], ["--debug"]):
        assert main([*options, "hash", seal_uri, "--subject", USER, *CHEAP]) == 70
        captured = capsys.readouterr()
        assert_silent(Ran(70, captured.out.encode(), captured.err))


# -- tune ---------------------------------------------------------------------------------------------------------


def test_tune_measures_this_machine(run: Run) -> None:
    """Real hashes; whether this machine is quick enough today is not what is tested."""
    ran = run("hash", "tune", "--target-ms", "40", "--memory-mib", "7", "--json")
    found = ran.json
    assert (found["memory_kib"], found["lanes"], found["target_ms"]) == (7168, 1, 40)
    assert found["passes"] >= 5
    assert found["met"] is (ran.status == 0)
    assert found["milliseconds"] > 0


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """A machine on which the answer is 61.5 ms; the wishes it was asked with."""
    wishes: list[dict[str, object]] = []

    def find(target_ms: float, **options: object) -> Tuned:
        wishes.append({"target_ms": target_ms, **options})
        return Tuned(Argon2Parameters(65536, 3, 2), 61.5, met=target_ms >= 61.5)

    monkeypatch.setattr(hash_module, "find_parameters", find)
    return wishes


def test_tune_prints_lines_for_a_configuration(simulated: list[dict[str, object]]) -> None:
    """Parameters as TOML, with a comment of what was measured."""
    ran = CliRunner().invoke(root, ["hash", "tune", "--target-ms", "100", "--lanes", "2"])
    assert ran.exit_code == 0
    assert tomllib.loads(ran.stdout) == {"hashing": {"memory-kib": 65536, "passes": 3, "lanes": 2}}
    assert "62 ms" in ran.stdout
    assert [wish["target_ms"] for wish in simulated] == [100]
    assert (simulated[0]["memory_mib"], simulated[0]["lanes"]) == (64, 2)


def test_a_target_that_cannot_be_met_is_a_failure(simulated: list[dict[str, object]]) -> None:
    """The cheapest parameters are printed all the same; the exit status is 1."""
    ran = CliRunner().invoke(root, ["hash", "tune", "--target-ms", "50"])
    assert ran.exit_code == 1
    assert "memory-kib" in ran.stdout
    assert "50 ms" in ran.stderr


@pytest.mark.parametrize(
    "options",
    [("--target-ms", "0"), ("--target-ms", "nan"), ("--target-ms", "inf"), ("--memory-mib", "6"), ("--lanes", "0")],
)
def test_what_cannot_be_asked_for(run: Run, options: tuple[str, str]) -> None:
    """Usage errors that name the option."""
    ran = run("hash", "tune", *options)
    assert (ran.status, ran.out) == (2, b"")
    assert options[0] in ran.err


def test_tune_is_no_key(run: Run) -> None:
    """The word in place of the key is a command with help of its own; anywhere else it is what it says."""
    assert "Usage: sealpass hash tune" in run("hash", "tune", "--help").text
    assert "sealpass hash tune" in run("hash", "--help").text
    assert run("hash", "--subject", USER, "tune", stdin=PASSWORD).status == 2
    assert "--target-ms" in complete(run, "hash", "tune", "--t")
    assert "--subject" in complete(run, "hash", "--s")


@pytest.mark.parametrize(("password", "told"), [("a\nb\n", "several lines"), ("x" * 4097, "at most 4096 bytes")])
def test_what_no_login_takes_is_not_hashed(run: Run, seal_uri: str, password: str, told: str) -> None:
    """A form sends one line, and no login takes more than 4096 bytes."""
    ran = run("hash", seal_uri, "--subject", USER, *CHEAP, stdin=password)
    assert (ran.status, ran.out) == (2, b"")
    assert told in ran.err
