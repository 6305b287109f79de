# SPDX-License-Identifier: Apache-2.0
"""``sealpass qualify``: exit status, files and what goes where."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.__main__ import main
from sealpass.bench.qualification import qualification
from sealpass.bench.report import files
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    KeyNotFound,
    UnsupportedAlgorithm,
)
from sealpass.core.uri import KeyUri
from tests.bench import planted
from tests.bench.conftest import TINY


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    status: int
    output: str
    words: str


Run = Callable[[Sequence[str]], Result]
Opened = dict[str, type[planted.SoundKey] | Exception]


@pytest.fixture
def forced() -> list[bool]:
    """Whether the login was forced, for each key that was opened."""
    return []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, private_key: rsa.RSAPrivateKey, forced: list[bool]) -> Opened:
    """Which key or error answers to which path; every other one is sound."""
    keys: Opened = {}

    def open_key(uri: KeyUri, *, failure_floor: float | None, force_login: bool) -> planted.SoundKey:
        forced.append(force_login)
        answer = keys.get(uri.require("path"), planted.SoundKey)
        if isinstance(answer, Exception):
            raise answer
        key = answer(private_key)
        if failure_floor is not None:
            key.failure_floor.seconds = failure_floor
        return key

    monkeypatch.setattr(qualification, "open_key", open_key)
    monkeypatch.setattr(qualification, "QUICK", TINY)
    return keys


@pytest.fixture
def key_id(private_key: rsa.RSAPrivateKey) -> str:
    """What a file name shows of the id of the planted keys."""
    return files.file_name(planted.SoundKey(private_key).key_id[:8])


@pytest.fixture
def run(opened: Opened, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run ``sealpass qualify --quick`` in this process, with software keys allowed."""

    def call(arguments: Sequence[str]) -> Result:
        status = main(["qualify", "--quick", "--allow-software", *arguments])
        captured = capfdbinary.readouterr()
        return Result(status, captured.out.decode("utf-8"), captured.err.decode("utf-8"))

    return call


def test_a_pass_prints_a_table_and_writes_two_files(run: Run, tmp_path: Path, key_id: str) -> None:
    """A key that passes gives status 0, a table on standard output, and a JSON and a Markdown file."""
    out = tmp_path / "reports"
    result = run(["software:path=good.pem", "--out", str(out)])
    assert result.status == 0
    assert re.search(r"^PASS(: |, with )", result.output, re.MULTILINE)
    assert f"report: {out}/software-good-{key_id}-sealpass.json\n" in result.output
    assert sorted(path.name for path in out.iterdir()) == [
        f"software-good-{key_id}-sealpass.html",
        f"software-good-{key_id}-sealpass.json",
        f"software-good-{key_id}-sealpass.md",
    ]
    document = json.loads((out / f"software-good-{key_id}-sealpass.json").read_text(encoding="utf-8"))
    assert document["schema"] == "sealpass.qualification/1"
    assert document["verdict"]["verdict"] == "pass"
    assert (out / f"software-good-{key_id}-sealpass.md").read_text(encoding="utf-8").startswith("# PASS")
    page = (out / f"software-good-{key_id}-sealpass.html").read_text(encoding="utf-8")
    assert "<title>PASS" in page


def test_progress_is_a_line_a_stage_on_standard_error(run: Run) -> None:
    """Away from a terminal each stage is one line on standard error, and standard output has the report only."""
    result = run(["software:path=good.pem"])
    assert [line.removeprefix("sealpass: ") for line in result.words.splitlines()] == [
        "software:path=good.pem",
        "opening the key",
        "capabilities",
        "contract cases",
        "speed",
    ]
    assert "opening the key" not in result.output


@pytest.mark.parametrize(
    ("plant", "status", "word"),
    [
        (planted.IgnoresTheTag, 1, "FAIL: "),
        (planted.Sha1Only, 1, "FAIL: "),
        (planted.GoesAway, 4, "INCONCLUSIVE: "),
    ],
)
def test_the_exit_status_is_the_verdict(
    plant: type[planted.SoundKey],
    status: int,
    word: str,
    run: Run,
    opened: Opened,
) -> None:
    """A failed qualification gives status 1, an inconclusive one 4."""
    opened["bad.pem"] = plant
    result = run(["software:path=bad.pem"])
    assert result.status == status
    assert word in result.output


def test_sha1_is_an_explicit_opt_in(run: Run, opened: Opened, tmp_path: Path, key_id: str) -> None:
    """With --allow-sha1 a SHA-1 token passes; the report says what is not supported, in a file of its own name."""
    opened["old.pem"] = planted.Sha1Only
    result = run(["software:path=old.pem", "--allow-sha1", "--out", str(tmp_path)])
    assert result.status == 0
    assert "RSA-OAEP-256, the default of profile sealpass, is NOT supported" in result.output
    assert (tmp_path / f"software-old-{key_id}-sealpass-sha1.json").exists()


def test_the_settings_of_airlock_kms_are_in_the_report_and_in_its_name(run: Run, tmp_path: Path, key_id: str) -> None:
    """Key size and form of the nonce are options, and reports of different ones do not replace each other."""
    profile = ["software:path=good.pem", "--profile", "airlock-kms", "--out", str(tmp_path)]
    assert run(profile).status == 0
    result = run([*profile, "--kms-key-bits", "128", "--kms-aad", "bytes"])
    assert result.status == 0
    assert "keys of 128 bits; the bytes that the nonce encodes as additional data" in result.output
    names = {path.stem for path in tmp_path.iterdir()}
    assert names == {f"software-good-{key_id}-airlock-kms-{variant}" for variant in ("256-text", "128-bytes")}
    document = json.loads((tmp_path / f"software-good-{key_id}-airlock-kms-128-bytes.json").read_text(encoding="utf-8"))
    assert (document["settings"]["kms_key_bits"], document["settings"]["kms_aad"]) == (128, "bytes")


def test_the_settings_of_airlock_kms_are_for_that_profile_only(run: Run) -> None:
    """With another profile they are a wrong command, found before any work."""
    result = run(["software:path=good.pem", "--kms-aad", "bytes"])
    assert result.status == 2
    assert "opening the key" not in result.words


def test_several_keys_have_one_verdict_and_files_each(run: Run, opened: Opened, tmp_path: Path, key_id: str) -> None:
    """With several keys the worst decides, and equal names do not overwrite each other."""
    opened["b/key.pem"] = planted.IgnoresTheTag
    result = run(["software:path=a/key.pem", "software:path=b/key.pem", "--out", str(tmp_path)])
    assert result.status == 1
    assert result.output.rstrip().endswith("FAIL: all 2 keys together")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"software-key-{key_id}-sealpass-2.html",
        f"software-key-{key_id}-sealpass-2.json",
        f"software-key-{key_id}-sealpass-2.md",
        f"software-key-{key_id}-sealpass.html",
        f"software-key-{key_id}-sealpass.json",
        f"software-key-{key_id}-sealpass.md",
    ]


def test_keys_of_one_name_keep_their_reports(
    run: Run, private_key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of the same name on another token has a report of its own; a later one of the same key replaces it."""
    keys = {"one/key.pem": private_key, "two/key.pem": rsa.generate_private_key(65537, 2048)}
    monkeypatch.setattr(qualification, "open_key", lambda uri, **_options: planted.SoundKey(keys[uri.require("path")]))
    for path in ("one/key.pem", "two/key.pem", "one/key.pem"):
        assert run([f"software:path={path}", "--out", str(tmp_path)]).status == 0
    names = {
        files.file_name("software-key", planted.SoundKey(key).key_id[:8], "sealpass") + ".json" for key in keys.values()
    }
    assert {path.name for path in tmp_path.glob("*.json")} == names
    assert len(names) == 2


def test_a_long_label_does_not_cut_the_key_id_off(run: Run, key_id: str, tmp_path: Path) -> None:
    """However long a name is, key id and profile stand in the name of the report."""
    run([f"software:path={'k' * 200}.pem", "--out", str(tmp_path)])
    assert all(path.stem.endswith(f"k-{key_id}-sealpass") for path in tmp_path.iterdir())


def test_an_empty_directory_name_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell variable that is not set does not fill the current directory with reports."""
    monkeypatch.chdir(tmp_path)
    result = run(["software:path=good.pem", "--out", ""])
    assert result.status == 2
    assert "it is empty; is the shell variable set?" in result.words
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "moves"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
    ids=["terminal", "dumb", "no-color"],
)
def test_a_dumb_terminal_gets_no_control_sequences(
    *, variables: dict[str, str], moves: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TERM=dumb or NO_COLOR there are no escape sequences on either stream, and progress is a line a stage."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sealpass.cli.qualify.is_terminal", lambda _stream: True)
    result = run(["software:path=good.pem"])
    assert ("\x1b[" in result.output) is moves
    assert "\x1b[" not in result.words  # rich asks the stream itself, which is none here
    assert ("sealpass: contract cases" in result.words) is not moves


def test_json_is_one_object_on_standard_output(run: Run, tmp_path: Path, key_id: str) -> None:
    """--json gives one object with the verdict, the paths and every document."""
    result = run(["software:path=good.pem", "--json", "--out", str(tmp_path)])
    answer = json.loads(result.output)
    assert (answer["verdict"], answer["exit_code"], result.status) == ("pass", 0, 0)
    [key] = answer["keys"]
    assert (key["uri"], key["error"]) == ("software:path=good.pem", None)
    assert [Path(path).name for path in key["reports"].values()] == [
        f"software-good-{key_id}-sealpass.json",
        f"software-good-{key_id}-sealpass.md",
        f"software-good-{key_id}-sealpass.html",
    ]
    assert key["document"] == json.loads(Path(key["reports"]["json"]).read_text(encoding="utf-8"))
    assert [json.loads(line)["info"]["message"] for line in result.words.splitlines()][1:] == [
        "opening the key",
        "capabilities",
        "contract cases",
        "speed",
    ]


def test_an_unusable_directory_is_found_before_any_work(run: Run, tmp_path: Path) -> None:
    """Where reports cannot be written the command ends with status 2 and opens no key."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run(["software:path=good.pem", "--out", str(tmp_path / "file" / "reports")])
    assert result.status == 2
    assert "opening the key" not in result.words


@pytest.mark.parametrize("second", ["no uri", ""])
def test_a_malformed_uri_is_found_before_any_work(second: str, run: Run) -> None:
    """The second URI is read before the first key is opened."""
    result = run(["software:path=good.pem", second])
    assert result.status == 2
    assert "opening the key" not in result.words


def test_an_interrupt_leaves_no_report(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle gives status 130 and leaves the directory empty."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(qualification, "measure", interrupt)
    result = run(["software:path=good.pem", "--out", str(tmp_path)])
    assert result.status == 130
    assert list(tmp_path.iterdir()) == []


def test_a_software_key_needs_the_opt_in(
    opened: Opened, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, key_id: str
) -> None:
    """Without --allow-software a key in memory gives status 1 and says why."""
    assert opened == {}
    assert main(["qualify", "--quick", "software:path=good.pem", "--out", str(tmp_path)]) == 1
    assert b"mode software may not pass: only native and in-token may" in capfdbinary.readouterr().out
    assert "mode software may not pass" in (tmp_path / f"software-good-{key_id}-sealpass.md").read_text(
        encoding="utf-8"
    )


def test_a_slow_device_passes_with_a_floor_above_its_failures(run: Run, opened: Opened) -> None:
    """--failure-floor is what a device with slow failures needs, and the report names it."""
    opened["slow.pem"] = planted.SlowerThanItsFloor
    late = run(["software:path=slow.pem"])
    assert late.status == 1
    assert "--failure-floor" in late.output
    result = run(["software:path=slow.pem", "--failure-floor", "1.5"])
    assert result.status == 0
    assert "1500 ms, as asked for" in result.output


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "11", "x"])
def test_a_floor_that_is_no_time_is_refused(value: str, run: Run) -> None:
    """A floor is some seconds; anything else ends with status 2 before any work."""
    result = run(["software:path=good.pem", f"--failure-floor={value}"])
    assert result.status == 2
    assert "opening the key" not in result.words


def test_a_key_that_is_too_short_fails(run: Run, opened: Opened, tmp_path: Path) -> None:
    """Not supported is a failure with a report, not an error of the operator."""
    opened["short.pem"] = UnsupportedAlgorithm("the RSA key has 1024 bits")
    result = run(["software:path=short.pem", "--out", str(tmp_path)])
    assert result.status == 1
    assert "not supported: the RSA key has 1024 bits" in result.output
    assert len(list(tmp_path.iterdir())) == 3


GONE = BackendUnavailable("CKR_DEVICE_REMOVED", retryable=True)
NO_KEY = KeyNotFound("no key file")


@pytest.mark.parametrize(
    ("keys", "status", "last"),
    [
        ([planted.SoundKey, GONE], 3, "ERROR: all 2 keys together, 1 of them with an error"),
        ([NO_KEY, planted.SoundKey], 2, "ERROR: all 2 keys together, 1 of them with an error"),
        ([NO_KEY, GONE, planted.SoundKey], 3, "ERROR: all 3 keys together, 2 of them with an error"),
        ([planted.GoesAway, NO_KEY], 2, "ERROR: all 2 keys together, 1 of them with an error"),
        ([GONE, planted.IgnoresTheTag], 1, "FAIL: all 2 keys together, 1 of them with an error"),
        ([planted.GoesAway, planted.SoundKey], 4, "INCONCLUSIVE: all 2 keys together"),
    ],
    ids=["gone", "not-found", "both", "inconclusive-and-error", "fail-and-error", "inconclusive"],
)
def test_an_error_at_one_key_takes_nothing_from_the_others(
    keys: list[type[planted.SoundKey] | Exception],
    status: int,
    last: str,
    run: Run,
    opened: Opened,
    tmp_path: Path,
    key_id: str,
) -> None:
    """Every other key has its result and its report; a failure outranks an error, an error an inconclusive one."""
    uris = [f"software:path={number}.pem" for number in range(len(keys))]
    opened.update({f"{number}.pem": key for number, key in enumerate(keys)})
    result = run([*uris, "--out", str(tmp_path)])
    assert result.status == status
    assert result.output.rstrip().splitlines()[-1] == last
    found = {
        f"software-{number}-{key_id}-sealpass" for number, key in enumerate(keys) if not isinstance(key, Exception)
    }
    assert {path.stem for path in tmp_path.iterdir()} == found
    assert result.words.count("sealpass: error [") == len(keys) - len(found)


def test_an_error_is_an_entry_of_the_json(run: Run, opened: Opened) -> None:
    """In JSON a key that could not be opened has its error where another has its document."""
    opened["gone.pem"] = GONE
    result = run(["software:path=good.pem", "software:path=gone.pem", "--json"])
    answer = json.loads(result.output)
    assert (answer["verdict"], answer["exit_code"], result.status) == ("error", 3, 3)
    good, gone = answer["keys"]
    assert good["document"]["verdict"]["verdict"] == "pass"
    assert (gone["uri"], gone["document"], gone["reports"]) == ("software:path=gone.pem", None, None)
    assert gone["error"]["code"] == "backend-unavailable"
    assert json.loads(result.words.splitlines()[-1])["error"]["code"] == "backend-unavailable"


def test_a_report_that_cannot_be_written_keeps_the_result(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full in the end costs the file, not the verdict on standard output."""

    def fail(*_arguments: object) -> None:
        raise ConfigError("cannot write the report: no space left on device")

    monkeypatch.setattr("sealpass.bench.report.files.write_all", fail)
    result = run(["software:path=good.pem", "--out", str(tmp_path)])
    assert result.status == 2
    assert re.search(r"^PASS(: |, with )", result.output, re.MULTILINE)
    assert "no space left" in result.words


def test_a_login_is_forced_no_more_after_a_refused_pin(run: Run, opened: Opened, forced: list[bool]) -> None:
    """--force-login is for the first refusal: the next key of the same token must not lock it."""
    opened["b.pem"] = AuthenticationFailed("the token refused the PIN")
    result = run(["--force-login", *(f"software:path={name}.pem" for name in "abc")])
    assert result.status == 3
    assert forced == [True, True, False]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_pin_in_place_of_its_source_is_not_echoed(options: list[str], run: Run, opened: Opened) -> None:
    """Nothing that is printed before, while or after the URI is checked holds what somebody put there by mistake."""
    opened["bad.pem"] = ConfigError("pin-source is file:PATH or env:NAME")
    for name in ("good.pem", "bad.pem"):
        result = run([f"software:path={name}?pin-source=hunter2-48151", *options])
        assert "hunter2" not in result.output + result.words
        assert "***" in result.words
