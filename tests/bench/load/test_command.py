# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench run`` and ``bench merge`` as a user starts them, and a token of its own under them."""

import json
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sealpass.bench.load import run as load_run
from sealpass.bench.load.run import Step, run
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.worker import Tick
from sealpass.cli.bench_run import live_line, status_of, table
from sealpass.cli.root import root
from sealpass.core.errors import ConfigError
from tests.bench.load import sources
from tests.bench.load.conftest import Validate
from tests.cli.conftest import COMMAND, Ran, environment
from tests.support.soft_tokens import SoftToken

EXAMPLE = Path(__file__).parent / "example-run.json"
MS = 1_000_000


def sealpass(directory: Path, *arguments: str) -> Ran:
    """The command in a process of its own."""
    done = subprocess.run([*COMMAND, *arguments], cwd=directory, env=environment(), capture_output=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr.decode())


def example() -> dict[str, Any]:
    """The recorded document."""
    loaded: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return loaded


def test_a_run_writes_its_document_and_shows_its_table(
    tmp_path: Path, software_uri: str, aes_uri: str, valid: Validate
) -> None:
    """Settings of a scenario and of the command line, which wins; the document is in the file, the table on stdout."""
    scenario = tmp_path / "peak.toml"
    scenario.write_text(
        f'keys = ["{software_uri}"]\nseconds = 900\nthreads = [3]\nseed = 7\n[argon2]\nmemory_kib = 64\n'
    )
    arguments = ["--scenario", "peak.toml", "--threads", "1,2", "--seconds", "0.2", "--warm-up", "0", "--out", "r.json"]
    operations = ["--operation", "unwrap", "--operation", "open", "--seal-key", aes_uri, "--argon2", "8,1,1"]
    ran = sealpass(tmp_path, "bench", "run", *arguments, *operations)
    assert (ran.status, ran.err) == (0, "")
    document = valid(json.loads((tmp_path / "r.json").read_text()))
    assert document["settings"]["threads"] == [1, 2]
    assert (document["settings"]["seconds"], document["seed"], document["status"]) == (0.2, 7, "complete")
    lines = ran.text.splitlines()
    assert lines[0].split()[:3] == ["measurement", "1/s", "p50"]
    assert len(lines) == 1 + 4 + 1
    assert "service times" in lines[-1]


def test_an_open_loop_on_standard_output(tmp_path: Path, software_uri: str, valid: Validate) -> None:
    """With --out - the document is the data and the table goes to standard error; --json writes the document alone."""
    arguments = ["bench", "run", software_uri, "--seconds", "0.1", "--warm-up", "0", "--rate", "50"]
    ran = sealpass(tmp_path, *arguments, "--per-thread-schedule", "--out", "-")
    assert ran.status == 0
    (one,) = valid(ran.json)["measurements"]
    assert (one["load"]["kind"], one["load"]["schedule"], one["load"]["intended"]) == ("open", "per-thread", 5)
    assert "open rate=50/s per-thread" in ran.err
    ran = sealpass(tmp_path, *arguments, "--json")
    assert (ran.status, ran.json["schema"]) == (0, "sealpass.run/1")
    assert all("warning" in json.loads(line) for line in ran.err.splitlines())  # a busy machine may not keep the rate


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "1"], "which keys?"),
        (["software:path=none.pem", "--usl", "--threads", "1,2"], "--usl needs 6 different numbers"),
        (["software:path=none.pem", "--threads", "x"], "list of whole numbers"),
        (["software:path=none.pem", "--threads", "0"], "values from 1"),
        (["software:path=none.pem", "--argon2", "1,2"], "KIB,PASSES,LANES"),
        (["software:path=none.pem", "--allow-errors", "few"], "no share of errors"),
        (["software:path=none.pem", "--allow-errors", "100%"], "errors cannot exceed"),
        (["software:path=none.pem", "--scenario", "none.toml"], "cannot read the scenario none.toml"),
        (["software:path=none.pem", "--out", "dir/"], "is a directory"),
        (["pkcs11:token=x?pin-value=1"], "pin-value is refused"),
        (["software:path=none.pem", "--operation", "unwrap", "--payload", "64,65"], "next to it: 64 and 128"),
        (["software:path=none.pem", "--operation", "login", "--payload", "1"], "next to it: 64\n"),
        (
            ["software:path=none.pem", "--operation", "unwrap", "--payload", "9", "--profile", "airlock-jwe"],
            "to it: 16",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_measured(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    """Exit status 2, one line, and no traceback."""
    (tmp_path / "dir").mkdir()
    ran = sealpass(tmp_path, "bench", "run", *arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert words in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--rate", value) for value in ("1e-300", "1e300", "nan")),
        *(("--seconds", value) for value in ("1e300", "inf")),
        *(("--warm-up", value) for value in ("1e300", "nan", "-1")),
        *(("--repeat", value) for value in ("9" * 30, "0")),
        *(("--seed", value) for value in ("-1", "9" * 400)),
        *(("--argon2", value) for value in (f"{'9' * 400},1,1", "0,1,1")),
        *(("--hold", value) for value in ("1e300", "nan")),
        ("--slo", f"p99={'9' * 400}s"),
        ("--threads", "9" * 5000),
    ],
)
def test_settings_have_bounds(option: str, value: str) -> None:
    """Before a key is opened, for this one does not exist: no overflow, and no run without an end."""
    search = ["--find-max", "--slo", "p99=1ms"] if option in {"--hold", "--slo"} else []
    arguments = ["bench", "run", "software:path=none.pem", *search, option, value]
    ran = CliRunner().invoke(root, arguments, prog_name="sealpass", standalone_mode=False)
    assert isinstance(ran.exception, ConfigError | click.UsageError)


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "another spelling"])
def test_a_file_that_is_read_is_not_written_over(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario, a key, and results that are merged or reported stay as they are; nothing is measured."""
    monkeypatch.chdir(tmp_path)
    files = {name: tmp_path / name for name in ("s.toml", "a.json", "key.pem")}
    texts = {"s.toml": 'keys = ["software:path=key.pem"]', "a.json": json.dumps(example()), "key.pem": "a key"}
    for name, text in texts.items():
        files[name].write_text(text)
    commands = {
        "s.toml": ["run", "--scenario", "s.toml"],
        "key.pem": ["run", "--scenario", "s.toml"],
        "a.json": ["merge", "a.json", "a.json"],
    }
    for name, command in [*commands.items(), ("a.json", ["report", "a.json"])]:
        out = {"itself": name, "another spelling": f"../{tmp_path.name}/{name}"}.get(way, f"other-{name}")
        if way == "symbolic link":
            Path(out).unlink(missing_ok=True)
            Path(out).symlink_to(name)
        elif way == "hard link":
            Path(out).unlink(missing_ok=True)
            Path(out).hardlink_to(name)
        ran = CliRunner().invoke(root, ["bench", *command, "--out", out], prog_name="sealpass", standalone_mode=False)
        assert isinstance(ran.exception, ConfigError)
        assert "are the same file" in str(ran.exception)
    assert {name: path.read_text() for name, path in files.items()} == texts


def test_a_payload_that_no_token_has_is_refused_where_the_key_chooses_the_operation(
    tmp_path: Path, software_uri: str, aes_uri: str
) -> None:
    """Without --operation a key that unwraps has tokens, and one that seals takes any length."""
    short = ["--payload", "65", "--seconds", "0.05", "--warm-up", "0"]
    ran = sealpass(tmp_path, "bench", "run", software_uri, *short)
    assert (ran.status, ran.out) == (2, b"")
    assert "possible next to it: 64 and 128" in ran.err
    ran = sealpass(tmp_path, "bench", "run", aes_uri, *short)
    assert (ran.status, ran.err) == (0, "")
    assert "open " in ran.text


def test_results_are_merged(tmp_path: Path, valid: Validate) -> None:
    """Two files as one, with the table; a file that is no result is named."""
    one, two = example(), example()
    for found in two["measurements"]:
        found["began"] = found["began"] and found["began"].replace("T10", "T11")
    for name, document in (("one", one), ("two", two)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    ran = sealpass(tmp_path, "bench", "merge", "one.json", "two.json", "--out", "both.json")
    assert (ran.status, ran.err) == (0, "")
    merged = valid(json.loads((tmp_path / "both.json").read_text()))
    assert len(merged["measurements"]) == len(ran.text.splitlines()) - 2 == 4
    assert "of closed loops" in ran.text.splitlines()[-1]
    (tmp_path / "other.json").write_text('{"schema": "sealpass.run/1"}')
    (tmp_path / "deep.json").write_text(200_000 * "[")
    wrong = {"other.json": "does not follow the schema", "none.json": "cannot read none.json", "deep.json": "not JSON"}
    for name, words in wrong.items():
        ran = sealpass(tmp_path, "bench", "merge", "one.json", name)
        assert (ran.status, ran.out) == (2, b"")
        assert words in ran.err
    ran = sealpass(tmp_path, "bench", "merge", "one.json", "two.json", "--json")
    assert ran.json == merged


def test_an_interrupt_writes_what_there_is(tmp_path: Path, software_uri: str, valid: Validate) -> None:
    """Ctrl-C in a run of an hour, with processes of its own: the document, exit status 130, and nobody left."""
    arguments = [
        "bench",
        "run",
        software_uri,
        "--seconds",
        "3600",
        "--processes",
        "2",
        "--rate",
        "20",
        "--warm-up",
        "0",
    ]
    command = subprocess.Popen(
        [*COMMAND, *arguments, "--out", "r.json"],
        cwd=tmp_path,
        env=environment() | {"SEALPASS_TEST": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a terminal sends it to the whole group
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    try:
        until = time.monotonic() + 30
        while len(children.read_text().split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(command.pid, signal.SIGINT)
        out, err = command.communicate(timeout=50)
    finally:
        command.kill()
        command.wait()
    assert (command.returncode, b"Traceback" in err) == (130, False), err
    document = valid(json.loads((tmp_path / "r.json").read_text()))
    assert document["status"] == "interrupted"
    assert b"interrupted" in err
    assert b"measurement" in out


def test_the_exit_status_tells_what_is_wrong() -> None:
    """A wrong answer before an interrupt before what failed before what is missing."""
    document = example()
    document["measurements"][0]["errors"] = {"worker-died": 1}
    assert status_of(document) == 4
    document["measurements"][0]["errors"] = {"backend-unavailable": 2}
    assert status_of(document) == 1
    document["status"] = "complete"
    assert status_of(document) == 1
    assert status_of(document, allowed=0.001) == 0
    assert status_of(document, allowed=0.0001) == 1
    document["status"] = "interrupted"
    assert status_of(document) == 130
    document["measurements"][0]["errors"]["wrong-result"] = 1
    assert status_of(document) == 1


def test_a_device_that_answers_nothing_fails_the_run(
    software_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever share of errors is allowed, and where a rate is searched for, too; the line says what it is about."""
    monkeypatch.setattr(load_run, "run", partial(run, source=sources.busy))
    arguments = ["bench", "run", software_uri, "--seconds", "5", "--warm-up", "0"]
    for more in ([], ["--allow-errors", "99%"], ["--find-max", "--slo", "p99=1ms", "--slo", "errors=50%"]):
        ran = CliRunner().invoke(root, [*arguments, *more], prog_name="sealpass")
        assert ran.exit_code == 1
        assert f"{sources.MOST} of {sources.MOST} operations failed" in ran.stderr


def test_a_share_of_errors_can_be_allowed(software_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error of twenty is a finding, unless so many are allowed."""
    monkeypatch.setattr(load_run, "run", partial(run, source=sources.busy_once))
    arguments = ["bench", "run", software_uri, "--seconds", "5", "--warm-up", "0"]
    statuses = {}
    for allowed in ("0", "4%", "0.05", "5%"):
        ran = CliRunner().invoke(root, [*arguments, "--allow-errors", allowed], prog_name="sealpass")
        statuses[allowed] = ran.exit_code
    # 4: the answers of these tests end before the window does
    assert statuses == {"0": 1, "4%": 1, "0.05": 4, "5%": 4}


def test_the_table_shows_response_times_and_what_was_not_started() -> None:
    """In an open loop the times are those that a user would see; what was not measured has dashes."""
    lines = table(example()).splitlines()
    opened = next(line for line in lines if "open rate=500/s" in line)
    found = next(one for one in example()["measurements"] if one["load"]["kind"] == "open")
    assert f"{found['response']['latency']['p50_ns'] / 1e6:.3g}" in opened
    assert "2 not started" in opened
    assert any("2 backend-unavailable" in line for line in lines)
    missing = next(line for line in lines if "processes=2" in line)
    assert missing.split()[-7:] == ["–", "–", "–", "–", "–", "0", "unknown"]


def test_an_overload_is_told_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures and the next step, on standard error and with --json as an object; the exit status is 0."""
    document = example() | {"status": "complete"}
    (opened,) = [one for one in document["measurements"] if one["load"]["kind"] == "open"]
    opened["load"] |= {"started": opened["load"]["intended"] - 700, "unstarted": 700}
    document["measurements"] = [opened]
    monkeypatch.setattr(load_run, "run", lambda *_arguments, **_options: document)
    for more in ([], ["--json"]):
        ran = CliRunner().invoke(root, ["bench", "run", "software:path=none.pem", *more], prog_name="sealpass")
        assert ran.exit_code == 0
        (line,) = ran.stderr.splitlines()
        text = json.loads(line)["warning"]["message"] if more else line
        assert "asked for 500/s, did " in text
        assert "700 of 2500 operations were due and never started" in text
        assert "--find-max finds the rate that it keeps" in text


def test_the_live_line_is_of_all_processes() -> None:
    """Rates are added, the worst p99 is shown, errors are added."""
    step = Step("measuring", "unwrap threads=1", 0, 3)
    ticks = [Tick(0, 100, 50.0, 2 * MS, 1), Tick(1, 90, 45.0, None, 0)]
    latest = [Step("measuring", "unwrap threads=1", 0, 3, tick) for tick in ticks]
    assert live_line(step, []) == "[1/3] unwrap threads=1: measuring"
    assert live_line(step, latest) == "[1/3] unwrap threads=1: measuring  95/s  p99 2 ms  1 errors"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_token_under_load(softhsm2: SoftToken, processes: int, valid: Validate) -> None:
    """Sessions, threads and processes on SoftHSM2: every password right, and the pool as large as was asked for."""
    key, seal = softhsm2.shared_key(), softhsm2.shared_aes_key(256)
    settings = Settings(
        keys=(key,),
        seal_key=seal,
        operations=sources.REAL[: 2 if processes == 1 else 1],
        threads=(2,),
        sessions=(1, 2) if processes == 1 else (2,),
        processes=(processes,),
        seconds=30,
        warm_up_min_s=0,
        warm_up_max_s=0,
        allow_sha1=True,
    )
    document = valid(run(settings, source=sources.limited))
    for one in document["measurements"]:
        assert (one["verified"], one["errors"]) == (2 * processes * sources.MOST, {})
    assert document["devices"][0]["note"] == "software token: functional baseline, no performance claim"
    assert {one["axes"]["sessions"] for one in document["measurements"]} == set(settings.sessions)
    assert "PIN" not in json.dumps(document)
    assert softhsm2.pin not in json.dumps(document["measurements"])
