# SPDX-License-Identifier: Apache-2.0
"""``sealpass qualify``: exit status, files and what goes where."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.__main__ import main
from sealpass.bench.qualification import qualification
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
def run(opened: Opened, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run ``sealpass qualify --quick`` in this process, with software keys allowed."""

    def call(arguments: Sequence[str]) -> Result:
        status = main(["qualify", "--quick", "--allow-software", *arguments])
        captured = capfdbinary.readouterr()
        return Result(status, captured.out.decode("utf-8"), captured.err.decode("utf-8"))

    return call


def test_a_pass_prints_a_table_and_writes_two_files(run: Run, tmp_path: Path) -> None:
    """A key that passes gives status 0, a table on standard output, and a JSON and a Markdown file."""
    out = tmp_path / "reports"
    result = run(["software:path=good.pem", "--out", str(out)])
    assert result.status == 0
    assert "PASS: " in result.output
    assert f"report: {out}/software-good-sealpass.json\n" in result.output
    assert sorted(path.name for path in out.iterdir()) == ["software-good-sealpass.json", "software-good-sealpass.md"]
    document = json.loads((out / "software-good-sealpass.json").read_text(encoding="utf-8"))
    assert document["schema"] == "sealpass.qualification/1"
    assert document["verdict"]["verdict"] == "pass"
    assert (out / "software-good-sealpass.md").read_text(encoding="utf-8").startswith("# PASS")


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


def test_sha1_is_an_explicit_opt_in(run: Run, opened: Opened, tmp_path: Path) -> None:
    """With --allow-sha1 a SHA-1 token passes; the report says what is not supported, in a file of its own name."""
    opened["old.pem"] = planted.Sha1Only
    result = run(["software:path=old.pem", "--allow-sha1", "--out", str(tmp_path)])
    assert result.status == 0
    assert "RSA-OAEP-256, the default of profile sealpass, is NOT supported" in result.output
    assert (tmp_path / "software-old-sealpass-sha1.json").exists()


def test_several_keys_have_one_verdict_and_files_each(run: Run, opened: Opened, tmp_path: Path) -> None:
    """With several keys the worst decides, and equal names do not overwrite each other."""
    opened["b/key.pem"] = planted.IgnoresTheTag
    result = run(["software:path=a/key.pem", "software:path=b/key.pem", "--out", str(tmp_path)])
    assert result.status == 1
    assert result.output.rstrip().endswith("FAIL: all 2 keys together")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "software-key-sealpass-2.json",
        "software-key-sealpass-2.md",
        "software-key-sealpass.json",
        "software-key-sealpass.md",
    ]


def test_json_is_one_object_on_standard_output(run: Run, tmp_path: Path) -> None:
    """--json gives one object with the verdict, the paths and every document."""
    result = run(["software:path=good.pem", "--json", "--out", str(tmp_path)])
    answer = json.loads(result.output)
    assert (answer["verdict"], answer["exit_code"], result.status) == ("pass", 0, 0)
    [key] = answer["keys"]
    assert (key["uri"], key["error"]) == ("software:path=good.pem", None)
    assert [Path(path).name for path in key["reports"].values()] == [
        "software-good-sealpass.json",
        "software-good-sealpass.md",
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
    opened: Opened, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Without --allow-software a key in memory gives status 1 and says why."""
    assert opened == {}
    assert main(["qualify", "--quick", "software:path=good.pem", "--out", str(tmp_path)]) == 1
    assert b"mode software is not allowed: only native and in-token are" in capfdbinary.readouterr().out
    assert "mode software is not allowed" in (tmp_path / "software-good-sealpass.md").read_text(encoding="utf-8")


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
    assert len(list(tmp_path.iterdir())) == 2


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
    keys: list[type[planted.SoundKey] | Exception], status: int, last: str, run: Run, opened: Opened, tmp_path: Path
) -> None:
    """Every other key has its result and its report; a failure outranks an error, an error an inconclusive one."""
    uris = [f"software:path={number}.pem" for number in range(len(keys))]
    opened.update({f"{number}.pem": key for number, key in enumerate(keys)})
    result = run([*uris, "--out", str(tmp_path)])
    assert result.status == status
    assert result.output.rstrip().splitlines()[-1] == last
    found = {f"software-{number}-sealpass" for number, key in enumerate(keys) if not isinstance(key, Exception)}
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
    assert "PASS: " in result.output
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
