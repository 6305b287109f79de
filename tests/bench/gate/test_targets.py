# SPDX-License-Identifier: Apache-2.0
"""The targets file: what it may hold, and what the objectives make of measurements."""

from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.gate import objectives, targets
from sealpass.bench.gate.decision import Outcome
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.load.scenario import MAX_THREADS, Settings
from sealpass.core.errors import ConfigError
from tests.bench.gate.conftest import DEVICE

ROOT = Path(__file__).resolve().parents[3]
GOOD = """
slack = 2
[pkcs11]
logins-per-second = 100
p99-ms = 50
minimum-per-second = 300
threads = 8
[default]
logins-per-second = 10
p99-ms = 250
"""
MACHINE = {
    "others_cpu_share": 0.01, "own_cpu_share": 0.5, "steal_share": 0.0, "throttled_periods": 0,
    "slowest_core_mhz": None, "fastest_core_mhz": None,
}  # fmt: skip
"""Of a quiet host."""
BUSY = {"machine": MACHINE | {"others_cpu_share": 0.4}}
HELD_BACK = {"machine": MACHINE | {"throttled_periods": 7}}
SLOW_CLOCK = {"machine": MACHINE | {"slowest_core_mhz": 800.0, "fastest_core_mhz": 3000.0}}
LATE = "p99 at 100/s is 76.0 ms, more than 75 ms"
NOT_CARRIED = "100/s were not carried: 5 of 500 operations were due and never started"
OTHERS = "missed on a troubled host: other processes used 40 % of all cores"
STEP = {"stability": {"status": "throttled", "reasons": ["service time rose by 1079 % after 1.5 s: throttled?"]}}
"""Of the device itself."""
TARGET = Target("pkcs11", 100.0, 50.0, 300.0)


def load(tmp_path: Path, text: str) -> Targets:
    """What a file with this text holds."""
    path = tmp_path / "targets.toml"
    path.write_text(text)
    return targets.load(path)


def test_a_backend_has_its_own_table_or_the_default_one(tmp_path: Path) -> None:
    """By the scheme of the URI."""
    found = load(tmp_path, GOOD)
    assert found.slack == 2
    assert found.of("pkcs11") == Target("pkcs11", 100.0, 50.0, 300.0, 8)
    assert found.of("awskms").p99_ms == 250


LEAST = "[pkcs11]\nlogins-per-second = 1\np99-ms = 1\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no table"),
        ("slack = 0.5\n" + GOOD.replace("slack = 2", ""), "slack"),
        ("[luna]\nlogins-per-second = 1\np99-ms = 1", "luna"),
        ("[pkcs11]\nlogins-per-second = 1", "p99-ms"),
        ("[pkcs11]\nlogins-per-second = 0\np99-ms = 1", "logins-per-second"),
        ("[pkcs11]\nlogins-per-second = true\np99-ms = 1", "logins-per-second"),
        ("[pkcs11]\nlogins-per-second = 1\np99-ms = 1\np95-ms = 1", "p95-ms"),
        ("[pkcs11]\nlogins-per-second = 1\np99-ms = 1\nthreads = 1.5", "threads"),
        ("[pkcs11\n", "TOML"),
        (f"slack = 1{'0' * 400}\n{LEAST}", "slack is a number from 1 to 100"),
        (f"slack = 1e308\n{LEAST}", "slack is a number from 1 to 100"),
        (f"slack = nan\n{LEAST}", "slack is a number from 1 to 100"),
        (f"slack = {'9' * 5000}\n{LEAST}", "cannot be read as TOML"),
        (f"slack = {'[' * 50_000}", "cannot be read as TOML"),
        (f"{LEAST}# {'x' * 100_000}", "larger than any targets file"),
        (f"{LEAST}threads = 100_000_000", r"\[pkcs11\] threads is a number from 1 to 1024"),
        (f"{LEAST}seconds = 1e308", r"\[pkcs11\] seconds is a number from 0.1 to 604800"),
        (f"{LEAST}seconds = 1e-9", r"\[pkcs11\] seconds is a number from 0.1 to 604800"),
        (f"{LEAST}minimum-per-second = inf", r"\[pkcs11\] minimum-per-second is a number from 0.001 to 1000000"),
        ("[pkcs11]\nlogins-per-second = 1e300\np99-ms = 1", "logins-per-second is a number from 0.001 to 100000"),
        ("[pkcs11]\nlogins-per-second = 1e-300\np99-ms = 1", "logins-per-second is a number from 0.001 to 100000"),
        ("[pkcs11]\nlogins-per-second = 1\np99-ms = 1e300", "p99-ms is a number from 0.001 to 600000"),
        ("[pkcs11]\nlogins-per-second = 1\np99-ms = 5e-324", "p99-ms is a number from 0.001 to 600000"),
        ('["\\u001b[31m"]', "'\ufffd\\[31m' is no table"),
    ],
    ids=lambda part: part[:40].encode("unicode_escape").decode(),
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    """A target that nobody reads would be met for ever; the file is named as well, and nothing long is repeated."""
    with pytest.raises(ConfigError, match=named) as raised:
        load(tmp_path, text)
    assert str(tmp_path / "targets.toml") in str(raised.value)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 200


def test_no_target_asks_for_what_the_load_engine_refuses(tmp_path: Path) -> None:
    """After the whole gate; the most that a file may say is taken."""
    most = load(tmp_path, f"slack = 100\n{LEAST}threads = {MAX_THREADS}\nseconds = 604800").of("pkcs11")
    Settings(threads=(most.threads,), seconds=most.seconds, rate_per_s=most.logins_per_s)
    with pytest.raises(ConfigError):
        load(tmp_path, f"{LEAST}threads = {MAX_THREADS + 1}")


def test_an_error_shows_what_a_file_looks_like(tmp_path: Path) -> None:
    """Whoever installed a package has no docs at hand."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "[pkcs11]")
    assert "[pkcs11], logins-per-second = 100, p99-ms = 50" in raised.value.hint


def test_a_backend_without_a_table_is_an_error(tmp_path: Path) -> None:
    """And so is a file that is not there."""
    with pytest.raises(ConfigError, match="awskms"):
        load(tmp_path, "[pkcs11]\nlogins-per-second = 1\np99-ms = 1").of("awskms")
    with pytest.raises(ConfigError, match="no targets file"):
        targets.load(tmp_path / "none.toml")


def test_the_documented_example_is_one() -> None:
    """docs/targets.toml, with a target for every backend, and its arithmetic."""
    found = targets.load(ROOT / "docs" / "targets.toml")
    for backend in ("pkcs11", "awskms", "keystore", "software"):
        assert found.of(backend).logins_per_s == 2_000_000 * 0.4 * 0.15 * 3 / 3600


def measurement(**others: Any) -> dict[str, Any]:
    """A measurement of a run, as far as objectives read it."""
    good: dict[str, Any] = {
        "status": "measured",
        "reason": None,
        "errors": {},
        "operations": 500,
        "verified": 500,
        "load": {"kind": "open", "intended": 500, "unstarted": 0},
        "response": {"latency": {"p99_ns": 40_000_000}},
        "throughput_per_s": 400.0,
        "stability": {"status": "steady", "reasons": []},
        "machine": MACHINE,
    }
    return good | others


def late(milliseconds: float) -> dict[str, Any]:
    """A response time."""
    return {"latency": {"p99_ns": round(milliseconds * 1_000_000)}}


def unstarted(count: int) -> dict[str, Any]:
    """An open loop of 500 starts, of which so many found no thread."""
    return {"kind": "open", "intended": 500, "started": 500 - count, "unstarted": count}


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        ({}, "pass"),
        ({"response": late(74)}, "pass"),
        ({"response": late(76)}, "fail"),
        ({"response": late(76)} | BUSY, "inconclusive"),
        ({"response": late(76)} | HELD_BACK, "inconclusive"),
        ({"response": late(76)} | SLOW_CLOCK, "inconclusive"),
        ({"response": late(76), "machine": None}, "fail"),
        ({"response": late(76)} | STEP, "fail"),
        ({"response": late(76)} | STEP | BUSY, "inconclusive"),
        ({"response": late(20)} | BUSY | STEP, "pass"),
        ({"load": unstarted(5)}, "fail"),
        ({"load": unstarted(4)}, "pass"),
        ({"load": unstarted(0)}, "pass"),
        ({"errors": {"backend-unavailable": 1}}, "fail"),
        ({"errors": {"backend-unavailable": 1}, "verified": 50}, "fail"),
        ({"response": late(76), "verified": 50}, "fail"),
        ({"verified": 50}, "inconclusive"),
        ({"status": "not-measured", "reason": "why", "response": None, "verified": 0}, "inconclusive"),
    ],
)
def test_the_slowest_hundredth_at_a_rate(others: dict[str, Any], outcome: str) -> None:
    """50 ms with a slack of 1.5 are 75; the host excuses and the device does not; few samples show nothing."""
    found = objectives.latency(TARGET, 1.5, measurement(**others))
    assert found["outcome"] == outcome
    assert (found["reason"] is None) == (outcome == "pass")


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        ({}, "pass"),
        ({"throughput_per_s": 201.0}, "pass"),
        ({"throughput_per_s": 199.0}, "fail"),
        ({"throughput_per_s": 199.0} | HELD_BACK, "inconclusive"),
        ({"throughput_per_s": 199.0} | STEP, "fail"),
        ({"errors": {"backend-unavailable": 1}}, "fail"),
    ],
)
def test_the_least_with_all_threads_busy(others: dict[str, Any], outcome: str) -> None:
    """300 with a slack of 1.5 are 200."""
    assert objectives.reserve(TARGET, 300.0, 1.5, measurement(**others))["outcome"] == outcome


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"response": late(76)}, LATE),
        ({"load": unstarted(5)}, NOT_CARRIED),
        ({"response": late(76), "load": unstarted(5)}, f"{LATE}; {NOT_CARRIED}"),
        ({"response": late(76)} | STEP, f"{LATE}; {STEP['stability']['reasons'][0]}"),
        ({"response": late(76)} | STEP | BUSY, f"{OTHERS}; {LATE}"),
        ({"status": "not-measured", "reason": "why", "response": None, "verified": 0}, "not measured: why"),
        (
            {"errors": {"backend-unavailable": 1}, "response": late(76)},
            f"under load, of 500 operations failed: 1 x backend-unavailable; {LATE}",
        ),
    ],
    ids=["late", "not carried", "both", "its own step", "busy", "not measured", "errors"],
)
def test_the_reason_is_what_was_missed(others: dict[str, Any], reason: str) -> None:
    """And nothing else: a p99 within its limit is named nowhere."""
    assert objectives.latency(TARGET, 1.5, measurement(**others))["reason"] == reason


@pytest.mark.parametrize(
    ("errors", "rate", "outcome"),
    [
        ({"backend-unavailable": 5}, 0.01, "pass"),
        ({"backend-unavailable": 6}, 0.01, "fail"),
        ({"backend-unavailable": 1}, 0.0, "fail"),
        ({"wrong-result": 1}, 0.1, "fail"),
    ],
)
def test_errors_up_to_a_rate_are_borne_and_told(errors: dict[str, int], rate: float, outcome: str) -> None:
    """As in the measurement before: of both objectives; a wrong answer never is."""

    def run(_settings: Settings) -> dict[str, Any]:
        return {"status": "complete", "measurements": [measurement(errors=errors)]}

    wanted = Targets(1.5, {"pkcs11": TARGET})
    found = objectives.measure("pkcs11:token=x;object=y", wanted, DEVICE, rate, measured_by=run)
    assert [one["outcome"] for one in found] == [outcome, outcome]
    (code,) = errors
    assert all(f"{errors[code]} x {code}" in one["reason"] for one in found)


@pytest.mark.parametrize("interrupted", [0, 1])
def test_half_a_measurement_is_no_verdict(interrupted: int) -> None:
    """The engine keeps what it has when it is interrupted; a gate, or a new baseline, may not rest on that."""
    asked: list[Settings] = []

    def run(settings: Settings) -> dict[str, Any]:
        asked.append(settings)
        status = "interrupted" if len(asked) == interrupted + 1 else "complete"
        return {"status": status, "measurements": [measurement()]}

    with pytest.raises(KeyboardInterrupt):
        objectives.measure("pkcs11:token=x;object=y", Targets(1.5, {"pkcs11": TARGET}), DEVICE, measured_by=run)
    assert len(asked) == interrupted + 1


def test_what_is_asked_of_the_load_engine() -> None:
    """Both objectives: an open loop at the rate, and a closed one; SHA-1 only where the key can do nothing else."""
    asked: list[Settings] = []

    def run(settings: Settings) -> dict[str, Any]:
        asked.append(settings)
        return {"status": "complete", "measurements": [measurement()]}

    found = objectives.measure("pkcs11:token=x;object=y", Targets(1.5, {"pkcs11": TARGET}), DEVICE, measured_by=run)
    assert [settings.rate_per_s for settings in asked] == [100.0, None]
    assert all(settings.allow_sha1 and settings.threads == (4,) for settings in asked)
    assert [one["id"] for one in found] == ["p99", "minimum"]
    assert objectives.stage(found).outcome == Outcome.PASS
