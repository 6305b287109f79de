# SPDX-License-Identifier: Apache-2.0
"""Merging: exact, in any order, and no sum of rates that were not reached together."""

import copy
import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sealpass.bench import distribution
from sealpass.bench.load.merge import covered, merge, merge_timings
from sealpass.cli.root import root
from sealpass.core.errors import ConfigError
from tests.bench.load.conftest import Validate

EXAMPLE = Path(__file__).parent / "example-run.json"
SERIES = st.lists(st.integers(1, distribution.HIGHEST_NS), min_size=1, max_size=30)


def timing(values: list[int]) -> dict[str, Any]:
    """As a measurement has it."""
    return {"latency": distribution.summary(values), "histogram": distribution.histogram(values)}


def example(began: str = "2026-11-20T10:00:08.400000Z", only: Sequence[int] = (0,), **changes: Any) -> dict[str, Any]:
    """The recorded document with some of its measurements, the first of them begun at another time."""
    document: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    document["measurements"] = [document["measurements"][index] for index in only]
    document["measurements"][0] |= {"began": began} | changes
    return document


def first(document: dict[str, Any]) -> dict[str, Any]:
    """The measurement that the examples differ in."""
    return next(one for one in document["measurements"] if one["verified"] >= 13900)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("duration_s",), 1e308),
        (("duration_s",), 10**400),
        (("measurements", 0, "errors"), {"x": -5}),
        (("measurements", 0, "verified"), 10**30),
        (("measurements", 0, "load"), {"kind": "closed", "rate_per_s": 5}),
        (("settings", "rate_per_s"), 0),
        (("settings", "raw"), 1),
        (("host", "load_before"), [1.0, 2.0]),
        (("host", "others_cpu_share"), 1.5),
        (("measurements", 0, "began"), "2026-13-20T10:00:08.400000Z"),
        (("measurements", 0, "device"), 7),
    ],
)
def test_what_does_not_follow_the_schema_is_not_merged(
    where: tuple[str | int, ...], value: object, tmp_path: Path
) -> None:
    """Nothing of it gets into a result, and the command says which file it is."""
    names = [tmp_path / "one.json", tmp_path / "two.json"]
    documents: list[Any] = [example(), example("2026-11-20T11:00:08.400000Z")]
    for name, document in zip(names, documents, strict=True):
        name.write_text(json.dumps(document))
    arguments = ["bench", "merge", *map(str, names)]
    assert CliRunner().invoke(root, arguments, prog_name="sealpass").exit_code == 0
    inner = documents[1]
    for place in where[:-1]:
        inner = inner[place]
    inner[where[-1]] = value
    names[1].write_text(json.dumps(documents[1]))
    ran = CliRunner().invoke(root, arguments, prog_name="sealpass", standalone_mode=False)
    assert isinstance(ran.exception, ConfigError)
    assert "does not follow the schema sealpass.run/1" in str(ran.exception)


@given(SERIES, SERIES, SERIES)
@settings(max_examples=30)
def test_histograms_are_added_exactly_in_any_order(one: list[int], two: list[int], three: list[int]) -> None:
    """The merged histogram is that of all samples, whoever is merged first."""
    parts = [timing(values) for values in (one, two, three)]
    together = merge_timings(parts)
    assert together is not None
    assert together["histogram"] == distribution.histogram(one + two + three)
    assert merge_timings(parts[::-1]) == together
    assert reduce(lambda left, right: merge_timings([left, right]) or {}, parts) == together
    assert merge_timings([parts[0], merge_timings(parts[1:])]) == together


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=300), st.lists(st.integers(1, 10**10), max_size=300))
@settings(max_examples=30)
def test_percentiles_of_a_sum_are_those_of_the_samples_to_three_digits(one: list[int], two: list[int]) -> None:
    """The greatest one exactly; where there are too few for a percentile it stays null."""
    merged = merge_timings([timing(values) for values in (one, two) if values])
    exact = distribution.summary(one + two)
    assert merged is not None
    assert exact is not None
    latency = merged["latency"]
    assert (latency["n"], latency["max_ns"]) == (exact["n"], exact["max_ns"])
    for name in ("p50_ns", "p90_ns", "p99_ns"):
        assert (latency[name] is None) is (exact[name] is None)
        if exact[name] is not None:
            assert latency[name] == pytest.approx(exact[name], rel=0.001, abs=1)


@pytest.mark.parametrize(
    ("windows", "seconds"),
    [
        ([("00", 10), ("00", 10)], 10),
        ([("00", 10), ("05", 10)], 15),
        ([("00", 10), ("20", 10)], 20),
        ([("00", 30), ("05", 10)], 30),
        ([("20", 10), ("00", 10), ("05", 10)], 25),
    ],
)
def test_the_time_is_that_in_which_one_was_measuring(windows: list[tuple[str, int]], seconds: int) -> None:
    """The length of the union of the windows."""
    parts = [{"began": f"2026-11-20T10:00:{at}.000000Z", "elapsed_ns": length * 10**9} for at, length in windows]
    assert covered(parts) == seconds * 10**9


def test_rates_of_runs_that_ran_together_are_added(valid: Validate) -> None:
    """Two clients with one start make twice the throughput of one."""
    one, two = example(), example(verified=13901)
    merged = first(valid(merge([one, two])))
    assert merged["verified"] == 13900 + 13901
    assert merged["throughput_per_s"] == pytest.approx(2 * first(one)["throughput_per_s"], rel=0.001)
    assert merged["service"]["latency"]["n"] == 2 * 13900
    assert merged["errors"] == {"backend-unavailable": 4}
    assert len(merged["parts"]) == 2


def test_rates_of_runs_one_after_another_are_not_added(valid: Validate) -> None:
    """The same figures an hour later: the throughput of one client."""
    merged = first(valid(merge([example(), example("2026-11-20T11:00:08.400000Z")])))
    assert merged["throughput_per_s"] == pytest.approx(first(example())["throughput_per_s"], rel=0.001)


def test_the_order_of_merging_makes_no_difference(valid: Validate) -> None:
    """Commutative and associative, whole documents and all."""
    times = ("2026-11-20T10:00:08.400000Z", "2026-11-20T10:00:09.000000Z", "2026-11-20T12:00:00.000000Z")
    parts = []
    for number, began in enumerate(times):
        document = example(began, only=(0, 3))
        document["measurements"][1]["reason"] = f"process {number} died"
        document["seed"] = number % 2
        document["started"] = f"2026-11-20T10:00:0{number}Z"
        document["host"] = {**document["host"], "kernel": str(number)}
        parts.append(document)
    together = valid(merge(parts))
    assert merge(parts[::-1]) == together
    assert merge([merge(parts[:2]), parts[2]]) == together
    assert merge([parts[0], merge(parts[1:])]) == together
    assert [source["host"]["kernel"] for source in together["merged_from"]] == ["0", "1", "2"]
    assert together["seed"] is None
    (missing,) = [one for one in together["measurements"] if one["status"] == "not-measured"]
    assert missing["reason"] == "process 0 died; process 1 died; process 2 died"


def test_the_parts_are_left_as_they_were() -> None:
    """Whoever merges can go on with what was given."""
    one, two = example(), example("2026-11-20T11:00:00.000000Z")
    before = copy.deepcopy((one, two))
    merge([one, two])
    assert (one, two) == before


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"axes": {"threads": 3}},
        {"algorithms": {"alg": "RSA-OAEP-256", "enc": "A256GCM"}},
        {
            "load": {
                "kind": "open",
                "rate_per_s": 9.0,
                "schedule": "shared",
                "intended": 1,
                "started": 1,
                "unstarted": 0,
            }
        },
    ],
)
def test_what_is_not_the_same_stays_apart(change: dict[str, Any], valid: Validate) -> None:
    """Other axes, another load, other algorithms: two measurements, not one."""
    one, two = example(), example()
    changed = two["measurements"][0]
    for name, value in change.items():
        changed[name] = {**changed[name], **value} if name == "axes" else value
    merged = valid(merge([one, two]))
    assert len(merged["measurements"]) == 2
    assert {one["verified"] for one in merged["measurements"]} == {13900}


def test_another_key_is_another_device_and_another_uri_is_not(valid: Validate) -> None:
    """Machines may reach one key by different URIs; two keys are two devices."""
    one, two, other = example(), example("2026-11-20T11:00:00.000000Z"), example("2026-11-20T12:00:00.000000Z")
    two["devices"][0]["uri"] = "pkcs11:token=load;object=elsewhere"
    other["devices"][0]["key_id"] = "another"
    merged = valid(merge([one, two, other]))
    assert len(merged["devices"]) == 2
    by_key = {merged["devices"][found["device"]]["key_id"]: found for found in merged["measurements"] if found["parts"]}
    assert set(by_key) == {one["devices"][0]["key_id"]}
    assert len([found for found in merged["measurements"] if found["verified"] == 13900]) == 1


def test_open_loops_add_what_was_intended() -> None:
    """The rate is that of each; the starts are those of all."""
    one, two = example(only=(1, 0)), example("2026-11-20T11:00:00.000000Z", only=(1,))
    merged = next(found for found in merge([one, two])["measurements"] if found["load"]["kind"] == "open")
    load = merged["load"]
    assert (load["rate_per_s"], load["intended"], load["started"], load["unstarted"]) == (500.0, 5000, 4996, 4)
    assert merged["response"]["latency"]["n"] == merged["start_delay"]["latency"]["n"] == 2 * 2498


def test_one_run_twice_is_refused() -> None:
    """It would count double."""
    with pytest.raises(ConfigError, match="there twice"):
        merge([example(), example()])
    with pytest.raises(ConfigError, match="at least two"):
        merge([example()])
    with pytest.raises(ConfigError, match="only results of the schema"):
        merge([example(), {"schema": "sealpass.qualification/1"}])


@pytest.mark.parametrize("change", [{"significant_digits": 2}, {"data": "HISTFAAA"}, {"data": "!"}, {"data": ""}])
def test_a_histogram_that_cannot_be_added_is_refused(change: dict[str, Any]) -> None:
    """Another range, or damaged: nothing is merged rather than something wrong."""
    good = timing([1, 2, 3])
    bad = {**good, "histogram": good["histogram"] | change}
    with pytest.raises(ConfigError, match="histogram"):
        merge_timings([good, bad])


def test_the_gravest_state_is_kept() -> None:
    """One busy host makes the merged figure one of a busy host."""
    one, two = example(), example("2026-11-20T11:00:00.000000Z")
    two["measurements"][0]["stability"] = {"status": "busy-host", "reasons": ["other processes used 9 % of all cores"]}
    two["measurements"][0]["warm_up"] = {"seconds": 9.0, "steady": False, "reason": "no steady state within 9 s"}
    merged = first(merge([one, two]))
    assert merged["stability"]["status"] == "busy-host"
    assert merged["warm_up"] == {"seconds": 9.0, "steady": False, "reason": "no steady state within 9 s"}
