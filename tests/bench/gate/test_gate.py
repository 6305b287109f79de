# SPDX-License-Identifier: Apache-2.0
"""The order of the gate: right answers first, then the baseline, then targets; and what is written when."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.gate import baseline, objectives
from sealpass.bench.gate.gate import Asked, run
from sealpass.bench.gate.spawn import Request
from sealpass.bench.gate.targets import Target, Targets
from sealpass.core.errors import BackendUnavailable, ConfigError
from tests.bench.gate.conftest import HOST, Take, a_baseline, processes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A baseline of another day."""
    file = tmp_path / "baseline.json"
    a_baseline().save(file)
    return file


def asked(path: Path, **others: Any) -> Asked:
    """A gate of a key that is made up."""
    return Asked(Request("pkcs11:token=prod;object=e2ee"), path, **others)


def stages(document: dict[str, Any]) -> dict[str, str]:
    """The outcomes by stage."""
    return {stage["id"]: stage["outcome"] for stage in document["stages"]}


@pytest.mark.parametrize(("slower", "verdict"), [(0.0, "pass"), (0.06, "fail")])
def test_a_key_against_its_baseline(path: Path, gate_schema: dict[str, Any], slower: float, verdict: str) -> None:
    """The document is of the published form and says why."""
    document = run(asked(path), take=processes(slower))
    Draft202012Validator(gate_schema).validate(document)
    assert document["verdict"]["verdict"] == verdict
    assert stages(document) == {"correctness": "pass", "baseline": verdict}
    assert (document["verdict"]["reasons"] == []) is (verdict == "pass")
    assert [side["name"] for side in document["sides"]] == ["baseline", "now"]


def test_a_wrong_answer_fails_before_anything_is_compared(path: Path, gate_schema: dict[str, Any]) -> None:
    """However fast it came."""
    document = run(asked(path), take=processes(-0.5, errors={"wrong-result": 1}))
    Draft202012Validator(gate_schema).validate(document)
    assert stages(document) == {"correctness": "fail", "baseline": "not-done"}
    assert document["comparisons"] == []
    assert document["verdict"]["exit_code"] == 1


@pytest.mark.parametrize(("fail", "verdict"), [(False, "pass"), (True, "fail")])
def test_an_unlike_host_is_not_compared(path: Path, *, fail: bool, verdict: str) -> None:
    """It warns or fails, as asked; and no time is spent on more than one process."""
    document = run(asked(path, fail_on_mismatch=fail), take=processes(0.5, host=HOST | {"cpu": "another"}))
    assert document["verdict"]["verdict"] == verdict
    assert document["comparisons"] == []
    assert any("cpu was made up and is another" in reason for reason in document["verdict"]["reasons"])
    assert len(document["sides"][1]["processes"]) == 1


def test_a_new_key_is_told(tmp_path: Path) -> None:
    """And compared with more care."""
    a_baseline(key_id="old").save(tmp_path / "baseline.json")
    document = run(asked(tmp_path / "baseline.json"), take=processes())
    assert stages(document)["baseline"] == "warning"
    assert document["verdict"]["verdict"] == "pass"
    assert any("the key is another one" in reason for reason in document["verdict"]["reasons"])
    a_baseline().save(tmp_path / "baseline.json")
    same = run(asked(tmp_path / "baseline.json"), take=processes())
    assert document["comparisons"][0]["visible"] > same["comparisons"][0]["visible"]


def test_a_missing_baseline_is_not_made_by_the_way(tmp_path: Path) -> None:
    """The error names the command; the device is not asked for anything."""

    def never(_request: Request) -> Any:
        raise AssertionError

    with pytest.raises(ConfigError) as caught:
        run(asked(tmp_path / "none.json"), take=never)
    assert "--update-baseline" in (caught.value.hint or "")


def test_a_baseline_is_written_for_a_reason(tmp_path: Path, gate_schema: dict[str, Any]) -> None:
    """Twelve processes that count, and the history."""
    path = tmp_path / "baseline.json"
    for reason in ("first one", "new firmware"):
        document = run(asked(path, reason=reason), take=processes())
        Draft202012Validator(gate_schema).validate(document)
        assert document["verdict"]["verdict"] == "pass"
    written = baseline.load(path)
    assert len(written.processes) == baseline.PROCESSES
    assert [entry["reason"] for entry in written.history] == ["first one", "new firmware"]
    assert written.history[0]["ratio"] == pytest.approx(2.2, rel=0.01)
    assert run(asked(path), take=processes())["verdict"]["verdict"] == "pass"


def test_no_baseline_is_made_of_wrong_answers(path: Path) -> None:
    """The old one stays as it is."""
    before = path.read_bytes()
    document = run(asked(path, reason="why not"), take=processes(errors={"wrong-result": 1}))
    assert stages(document) == {"correctness": "fail", "baseline": "not-done"}
    assert path.read_bytes() == before


def test_no_baseline_is_made_on_a_host_that_is_too_busy(path: Path) -> None:
    """Without processes left in peace it is inconclusive, and the old one stays."""
    before = path.read_bytes()
    document = run(asked(path, reason="why not", budget=0.0), take=processes())
    assert document["verdict"]["exit_code"] == 4
    assert path.read_bytes() == before


def test_a_device_that_is_away_is_an_error(path: Path) -> None:
    """Not a failed gate: exit status 3."""

    def away(_request: Request) -> Any:
        raise BackendUnavailable("away", retryable=True)

    with pytest.raises(BackendUnavailable):
        run(asked(path), take=away)


@pytest.mark.parametrize(
    ("take", "outcome", "verdict"), [(processes(), "fail", "fail"), (processes(errors={"x": 1}), "not-done", "fail")]
)
def test_targets_come_last(
    path: Path, monkeypatch: pytest.MonkeyPatch, gate_schema: dict[str, Any], take: Take, outcome: str, verdict: str
) -> None:
    """A target that is missed fails what passed before; after a wrong answer it is not measured."""
    targets = Targets(1.5, {"default": Target("default", 100.0, 50.0)})
    missed = objectives.reserve(targets.of("pkcs11"), 300.0, 1.5, json.loads(_MEASUREMENT))
    monkeypatch.setattr(objectives, "measure", lambda *_arguments: [missed])
    document = run(asked(path, targets=targets, targets_file="targets.toml"), take=take)
    Draft202012Validator(gate_schema).validate(document)
    assert stages(document)["objectives"] == outcome
    assert document["verdict"]["verdict"] == verdict


_MEASUREMENT = """{"status": "measured", "reason": null, "errors": {}, "verified": 500, "throughput_per_s": 90.0,
 "stability": {"status": "steady", "reasons": []}}"""
