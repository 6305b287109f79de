# SPDX-License-Identifier: Apache-2.0
"""The targets file: what it may hold, and what the objectives make of measurements."""

from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.gate import objectives, targets
from sealpass.bench.gate.decision import Outcome
from sealpass.bench.gate.targets import Target, Targets
from sealpass.bench.load.scenario import Settings
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
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    """A target that nobody reads would be met for ever."""
    with pytest.raises(ConfigError, match=named):
        load(tmp_path, text)


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
        "verified": 500,
        "load": {"kind": "open", "unstarted": 0},
        "response": {"latency": {"p99_ns": 40_000_000}},
        "throughput_per_s": 400.0,
        "stability": {"status": "steady", "reasons": []},
    }
    return good | others


def late(milliseconds: float) -> dict[str, Any]:
    """A response time."""
    return {"latency": {"p99_ns": round(milliseconds * 1_000_000)}}


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        ({}, "pass"),
        ({"response": late(74)}, "pass"),
        ({"response": late(76)}, "fail"),
        ({"response": late(76), "stability": {"status": "busy-host", "reasons": ["x"]}}, "inconclusive"),
        ({"response": late(20), "stability": {"status": "busy-host", "reasons": ["x"]}}, "pass"),
        ({"load": {"unstarted": 3}}, "fail"),
        ({"errors": {"backend-unavailable": 1}}, "fail"),
        ({"verified": 50}, "inconclusive"),
        ({"status": "not-measured", "reason": "why", "response": None, "verified": 0}, "inconclusive"),
    ],
)
def test_the_slowest_hundredth_at_a_rate(others: dict[str, Any], outcome: str) -> None:
    """50 ms with a slack of 1.5 are 75; a busy host excuses, few samples show nothing, errors fail."""
    found = objectives.latency(TARGET, 1.5, measurement(**others))
    assert found["outcome"] == outcome
    assert (found["reason"] is None) == (outcome == "pass")


@pytest.mark.parametrize(
    ("others", "outcome"),
    [
        ({}, "pass"),
        ({"throughput_per_s": 201.0}, "pass"),
        ({"throughput_per_s": 199.0}, "fail"),
        ({"throughput_per_s": 199.0, "stability": {"status": "throttled", "reasons": ["x"]}}, "inconclusive"),
        ({"errors": {"backend-unavailable": 1}}, "fail"),
    ],
)
def test_the_least_with_all_threads_busy(others: dict[str, Any], outcome: str) -> None:
    """300 with a slack of 1.5 are 200."""
    assert objectives.reserve(TARGET, 300.0, 1.5, measurement(**others))["outcome"] == outcome


def test_what_is_asked_of_the_load_engine() -> None:
    """Both objectives: an open loop at the rate, and a closed one; SHA-1 only where the key can do nothing else."""
    asked: list[Settings] = []

    def run(settings: Settings) -> dict[str, Any]:
        asked.append(settings)
        return {"measurements": [measurement()]}

    found = objectives.measure("pkcs11:token=x;object=y", Targets(1.5, {"pkcs11": TARGET}), DEVICE, measured_by=run)
    assert [settings.rate_per_s for settings in asked] == [100.0, None]
    assert all(settings.allow_sha1 and settings.threads == (4,) for settings in asked)
    assert [one["id"] for one in found] == ["p99", "minimum"]
    assert objectives.stage(found).outcome == Outcome.PASS
