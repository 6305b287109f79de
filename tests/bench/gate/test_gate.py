# SPDX-License-Identifier: Apache-2.0
"""The order of the gate: right answers first, then the baseline, then targets; and what is written when."""

import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.gate import baseline, objectives, rounds, rows
from sealpass.bench.gate.document import verdict as verdict_of
from sealpass.bench.gate.gate import Asked, run
from sealpass.bench.gate.spawn import Measured, Request
from sealpass.bench.gate.targets import Target, Targets
from sealpass.core.errors import BackendUnavailable, ConfigError, MissingDependency
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


@pytest.mark.parametrize(
    ("faster", "excess", "told"),
    [
        (0.09, 0.01, "8.9 % faster than the baseline (6.7 to 11.1 %): renew it"),
        (0.0, -0.09, " % faster in the mean than the baseline ("),
        (0.02, 0.01, None),
    ],
    ids=["median", "mean", "within the floor"],
)
def test_a_stale_baseline_is_a_warning(
    path: Path, gate_schema: dict[str, Any], faster: float, excess: float, told: str | None
) -> None:
    """A key that got faster leaves room for a slowdown that would pass: exit status 0, and how to renew it."""
    document = run(asked(path), take=processes(-faster, excess=excess))
    Draft202012Validator(gate_schema).validate(document)
    assert document["verdict"]["exit_code"] == 0
    if told is None:
        assert (stages(document)["baseline"], document["verdict"]["reasons"]) == ("pass", [])
        return
    assert stages(document)["baseline"] == "warning"
    (reason,) = document["verdict"]["reasons"]
    assert told in reason
    assert "--update-baseline REASON" in reason
    assert rows.headline(document) == f"PASS: {reason}"


def test_a_slow_tail_is_not_excused_by_a_faster_median(path: Path) -> None:
    """Nobody is told to renew the baseline of a key that fails."""
    document = run(asked(path), take=processes(-0.09, slow=40))
    assert stages(document)["baseline"] == "fail"
    assert not any("renew" in reason for reason in document["verdict"]["reasons"])


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


@pytest.mark.parametrize("device", [{"mode": "in-token"}, {"alg": "RSA-OAEP-256"}, {"bits": 4096}], ids=str)
@pytest.mark.parametrize("fail", [False, True])
def test_another_operation_of_the_key_is_no_matter_of_the_host(
    tmp_path: Path, device: dict[str, Any], *, fail: bool
) -> None:
    """A key that lost a mode or an algorithm fails, whatever is to become of another machine."""
    a_baseline(**device).save(tmp_path / "baseline.json")
    document = run(asked(tmp_path / "baseline.json", fail_on_mismatch=fail), take=processes())
    assert document["verdict"]["exit_code"] == 1
    assert any("of the key was" in reason for reason in document["verdict"]["reasons"])
    assert any("--update-baseline" in reason for reason in document["verdict"]["reasons"])


def test_what_was_not_compared_is_not_called_a_pass(path: Path) -> None:
    """The exit status is that of a pass; the headline says what it rests on, and the reasons how to renew it."""
    document = run(asked(path), take=processes(host=HOST | {"openssl": "OpenSSL 4.1"}))
    assert document["verdict"]["exit_code"] == 0
    assert rows.headline(document).startswith("NOT COMPARED: a ratio of another machine")
    told = " ".join(document["verdict"]["reasons"])
    assert "openssl was OpenSSL 4 and is OpenSSL 4.1" in told
    assert "--update-baseline" in told
    compared = run(asked(path), take=processes())
    assert rows.headline(compared) == "PASS"


def test_another_module_is_told_of_a_failure_too(tmp_path: Path) -> None:
    """It is the first thing that one asks of a key that got slower."""
    values = {"library version": "2.5", "token serial": "1"}
    a_baseline(module={"status": "read", "reason": None, "values": values}).save(tmp_path / "baseline.json")
    document = run(asked(tmp_path / "baseline.json"), take=processes(0.1))
    assert document["verdict"]["verdict"] == "fail"
    assert "library version was 2.5 and is 2.6" in document["verdict"]["reasons"]


@pytest.mark.parametrize(
    ("errors", "rate", "verdict"),
    [
        ({"backend-unavailable": 1}, 0.0, "fail"),
        ({"backend-unavailable": 5}, 0.01, "pass"),
        ({"backend-unavailable": 7}, 0.01, "fail"),
        ({"wrong-result": 1}, 0.1, "fail"),
        ({"reference: wrong-result": 1}, 0.1, "fail"),
    ],
)
def test_errors_fail_beyond_their_rate_and_wrong_answers_always(
    path: Path, gate_schema: dict[str, Any], errors: dict[str, int], rate: float, verdict: str
) -> None:
    """Of the 600 operations of a process, and of all processes together."""
    document = run(asked(path, max_error_rate=rate), take=processes(errors=errors))
    Draft202012Validator(gate_schema).validate(document)
    assert document["verdict"]["verdict"] == verdict
    assert document["settings"]["max_error_rate"] == rate
    assert any("operations failed" in reason for reason in document["stages"][0]["reasons"])
    assert (document["comparisons"] != []) is (verdict == "pass")


def test_a_process_as_long_as_the_first_has_to_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has used up some of the time, and tells how long the next will take."""
    clock, asked_for = [0.0], dict[str, float]()
    real = rounds.against_stored

    def against_stored(*sides: Any, **options: Any) -> rounds.Rounds:
        asked_for.update(budget=options["budget"], longest=options["longest"])
        return real(*sides, **options)

    def take(request: Request) -> Measured:
        clock[0] += 30.0
        return processes()(request)

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(rounds, "against_stored", against_stored)
    assert run(asked(path), take=take)["verdict"]["exit_code"] == 4
    assert asked_for == {"budget": 20.0, "longest": 30.0}
    assert clock[0] == 30.0


def test_what_was_not_done_is_no_pass() -> None:
    """Whatever else was right."""
    stages = [
        {"id": "correctness", "outcome": "pass", "reasons": []},
        {"id": "baseline", "outcome": "not-done", "reasons": ["not written"]},
    ]
    assert verdict_of(stages) == {"verdict": "inconclusive", "exit_code": 4, "reasons": ["not written"]}
    stages[0] |= {"outcome": "fail", "reasons": ["wrong"]}
    assert verdict_of(stages)["exit_code"] == 1


def test_a_process_is_given_up_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is left of the minute, and never with less than a second."""
    clock, patience = [0.0], []
    whole = processes()

    def take(request: Request) -> Measured:
        patience.append(request.patience)
        clock[0] += 9.0
        return whole(request)

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for reason in (None, "because"):
        clock[0], patience[:] = 0.0, []
        run(asked(path, reason=reason), take=take)
        assert patience[0] == Request("x").patience <= 35
        assert all(each <= 57 - 9 * number for number, each in enumerate(patience))
        assert clock[0] <= 50
    assert Request("x").by(-100.0).patience == 1.0


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


def written(document: dict[str, Any]) -> list[str]:
    """What is told of a baseline that was written."""
    (stage,) = (stage for stage in document["stages"] if stage["id"] == "baseline")
    assert (stage["title"], stage["outcome"]) == ("baseline written", "pass")
    assert document["verdict"] == {"verdict": "pass", "exit_code": 0, "reasons": []}
    return list(stage["reasons"])


def test_what_is_written_is_told_with_its_ratio(tmp_path: Path) -> None:
    """And where there was a baseline before, by how much it changed."""
    path = tmp_path / "new.json"
    assert written(run(asked(path, reason="first"), take=processes())) == [f"{path}: first", "ratio 2.200"]
    (_, told) = written(run(asked(path, reason="slower"), take=processes(0.06)))
    assert told == "ratio 2.200 → 2.332: +6.0 %"
    (_, told) = written(run(asked(path, reason="again"), take=processes(0.07)))
    assert told == "ratio 2.332 → 2.354: +0.9 %, within the noise"  # of two days


@pytest.mark.parametrize(
    ("device", "host", "why"),
    [({"bits": 4096}, HOST, "bits of the key was 4096"), ({}, HOST | {"cpu": "x"}, "cpu was made up and is x")],
    ids=["key", "host"],
)
def test_a_baseline_of_something_else_has_no_change(
    tmp_path: Path, device: dict[str, Any], host: dict[str, Any], why: str
) -> None:
    """Between two machines, or two operations, a per cent says nothing."""
    a_baseline(**device).save(tmp_path / "baseline.json")
    (_, told) = written(run(asked(tmp_path / "baseline.json", reason="new"), take=processes(0.06, host=host)))
    assert told.startswith("ratio 2.332; the old one, 2.200, is no measure of it: ")
    assert why in told
    assert "+" not in told


def test_another_key_is_told_beside_the_change(tmp_path: Path) -> None:
    """It may be all of it."""
    a_baseline(key_id="old").save(tmp_path / "baseline.json")
    (_, told, news) = written(run(asked(tmp_path / "baseline.json", reason="new"), take=processes(0.06)))
    assert told == "ratio 2.200 → 2.332: +6.0 %"
    assert news.startswith("the key is another one")


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"pairs": 6, "warm": 6}, "0 count, and a baseline needs 8: in 1 the device answered too slowly for"),
        ({"warm": 1}, "0 count, and a baseline needs 8: 1 had no peace from other processes, "),
        ({"errors": {"backend-unavailable": 1}}, "0 count, and a baseline needs 8: in 1 operations failed, "),
        ({}, "1 count, and a baseline needs 8: there was no time for more"),
    ],
    ids=["slow", "busy", "errors", "time"],
)
def test_why_no_baseline_is_written_is_the_real_reason(path: Path, figures: dict[str, Any], why: str) -> None:
    """A slow device is no busy host."""
    take = processes(**figures)
    document = run(asked(path, reason="why not", max_error_rate=0.1, budget=0.0), take=take)
    (stage,) = (stage for stage in document["stages"] if stage["id"] == "baseline")
    (reason,) = stage["reasons"]
    assert reason.startswith(f"not written: of 1 processes {why}")
    assert stage["outcome"] == "inconclusive"


def test_a_slow_device_is_not_called_a_busy_host_in_the_table(path: Path) -> None:
    """In the line of its side, as in the reason."""
    takes = processes(pairs=6, warm=6), processes(warm=1)
    slow, busy = (rows.side_lines(run(asked(path, reason="x", budget=0.0), take=take))[0] for take in takes)
    assert slow.endswith("set aside: too few operations of a slow device")
    assert busy.endswith("set aside: too few undisturbed operations")


def test_no_baseline_is_made_of_wrong_answers(path: Path) -> None:
    """The old one stays as it is."""
    before = path.read_bytes()
    document = run(asked(path, reason="why not"), take=processes(errors={"wrong-result": 1}))
    assert stages(document) == {"correctness": "fail", "baseline": "not-done"}
    assert path.read_bytes() == before


def test_processes_with_errors_are_not_kept(tmp_path: Path) -> None:
    """Where some may fail, the baseline is made of the others: of errors none could be read again."""
    turns = cycle([processes(errors={"backend-unavailable": 1}), processes()])

    def take(request: Request) -> Measured:
        return next(turns)(request)

    path = tmp_path / "baseline.json"
    document = run(asked(path, reason="first", max_error_rate=0.01), take=take)
    assert document["verdict"]["exit_code"] == 0
    assert len(baseline.load(path).processes) == baseline.PROCESSES


def test_no_baseline_is_made_of_a_key_that_misses_its_targets(
    path: Path, monkeypatch: pytest.MonkeyPatch, gate_schema: dict[str, Any]
) -> None:
    """The targets are judged first."""
    before = path.read_bytes()
    targets = Targets(1.5, {"default": Target("default", 100.0, 50.0)})
    missed = objectives.reserve(targets.of("pkcs11"), 300.0, 1.5, json.loads(_MEASUREMENT))
    monkeypatch.setattr(objectives, "measure", lambda *_arguments: [missed])
    document = run(asked(path, reason="why not", targets=targets), take=processes())
    Draft202012Validator(gate_schema).validate(document)
    assert stages(document) == {"correctness": "pass", "objectives": "fail", "baseline": "not-done"}
    assert document["verdict"]["exit_code"] == 1
    assert path.read_bytes() == before


def test_where_a_baseline_goes_is_seen_to_before_anything_is_measured(tmp_path: Path) -> None:
    """Its folder is made; what cannot be one is an error, as are targets without a table for the key."""
    run(asked(tmp_path / "new" / "b.json", reason="first"), take=processes())
    assert (tmp_path / "new" / "b.json").exists()

    def never(_request: Request) -> Any:
        raise AssertionError

    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make the directory"):
        run(asked(tmp_path / "file" / "b.json", reason="first"), take=never)
    with pytest.raises(ConfigError, match="no table for pkcs11"):
        run(asked(tmp_path / "c.json", reason="first", targets=Targets(1.5, {})), take=never)


def test_targets_want_their_extra_before_anything_is_measured(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their load is kept in histograms; a gate without targets needs none."""

    def never(_request: Request) -> Any:
        raise AssertionError

    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    targets = Targets(1.5, {"default": Target("default", 100.0, 50.0)})
    with pytest.raises(MissingDependency) as caught:
        run(asked(path, targets=targets), take=never)
    assert caught.value.extra == "bench"
    assert run(asked(path), take=processes())["verdict"]["exit_code"] == 0


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
    document = run(asked(path, targets=targets, targets_file="targets.toml", max_error_rate=0.001), take=take)
    Draft202012Validator(gate_schema).validate(document)
    assert stages(document)["objectives"] == outcome
    assert document["verdict"]["verdict"] == verdict


def test_errors_that_are_allowed_are_allowed_under_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same share of them."""
    given: list[float] = []

    def measure(_uri: str, _targets: Targets, _device: Any, max_error_rate: float) -> list[dict[str, Any]]:
        given.append(max_error_rate)
        return []

    monkeypatch.setattr(objectives, "measure", measure)
    targets = Targets(1.5, {"default": Target("default", 100.0, 50.0)})
    run(asked(path, targets=targets, max_error_rate=0.02), take=processes())
    assert given == [0.02]


_MEASUREMENT = """{"status": "measured", "reason": null, "errors": {}, "operations": 500, "verified": 500,
 "throughput_per_s": 90.0, "machine": null, "stability": {"status": "steady", "reasons": []}}"""
