# SPDX-License-Identifier: Apache-2.0
"""The baseline file: read as it was written, refused otherwise, and what makes two of them unlike."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.gate import baseline
from sealpass.bench.gate.figures import DEVICE_FIRST, Recording, figures
from sealpass.core.errors import ConfigError
from tests.bench.gate.conftest import DEVICE, HOST, REFERENCE, a_baseline


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path, baseline_schema: dict[str, Any]) -> None:
    """Small, and of the published form."""
    path = tmp_path / "baseline.json"
    a_baseline().save(path)
    Draft202012Validator(baseline_schema).validate(json.loads(path.read_text()))
    assert baseline.load(path).to_dict() == a_baseline().to_dict()
    assert path.stat().st_size < 10_000


def test_every_update_keeps_the_reasons_before_it() -> None:
    """The latest one last, with the ratio and the key of its time."""
    once = baseline.updated(None, a_baseline(), "first one", 2.2)
    twice = baseline.updated(once, a_baseline(key_id="key-two"), "new firmware", 2.1)
    assert [(entry["reason"], entry["key_id"], entry["ratio"]) for entry in twice.history] == [
        ("first one", "key-one", 2.2),
        ("new firmware", "key-two", 2.1),
    ]


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    """Exit status 2 with the command."""
    with pytest.raises(ConfigError) as caught:
        baseline.load(tmp_path / "none.json", "make one")
    assert caught.value.hint == "make one"


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(schema="sealpass.baseline/2"),
        lambda document: document.pop("processes"),
        lambda document: document["processes"][0].update(log_ratio="2.2"),
        lambda document: document["processes"][0].update(log_ratio=float("nan")),
        lambda document: document["processes"][0].update(slow=900),
        lambda document: document["processes"][0].update(unheard_of=1),
        lambda document: document.update(processes=None),
        lambda document: document.update(processes=document["processes"][:2]),
        lambda document: document["processes"][0].update(errors={"decryption-failed": 1}),
        lambda document: document["processes"][0].update(errors=[1]),
        lambda document: document["processes"][0].update(pairs=1e308, warm=1e308),
        lambda document: document["processes"][0].update(pairs=10**300, warm=10**300),
        lambda document: document["processes"][0].update(pairs=True),
        lambda document: document["processes"][0].update(log_ratio=800.0),
        lambda document: document["processes"][0].update(log_ratio=None),
        lambda document: document["processes"][0].update(reference_median_ns=0),
        lambda document: document["processes"][0].update(reference_median_ns=-216_000, device_median_ns=-475_200),
        lambda document: document["processes"][0].update(log_ratio=-20.0),
        lambda document: document["processes"][0].update(log_ratio=1.5),
        lambda document: document["processes"][0].update(
            log_ratio=-18.0, device_median_ns=1, reference_median_ns=65_659_969
        ),
        lambda document: document["processes"][0].update(
            log_ratio=0.0, device_median_ns=2**53, reference_median_ns=2**53
        ),
        lambda document: document["processes"][0].update(
            log_ratio=0.0, device_median_ns=10**9, reference_median_ns=10**9
        ),
        lambda document: document["processes"][0].update(excess=1e15),
        lambda document: document["processes"][0].update(excess=1000.1),
        lambda document: document["processes"][0].update(warm=700),
        lambda document: document["processes"][0].update(slow=501),
        lambda document: document["processes"][0].update(witnessed=601),
        lambda document: document["history"][0].update(reason="\ud800"),
        lambda document: document["device"].update(uri="\udcff"),
        lambda document: document["host"].update({"\ud800": 1}),
        lambda document: [one.update(warm=1) for one in document["processes"]],
        lambda document: document["device"].pop("key_id"),
        lambda document: document["device"].pop("module"),
        lambda document: document["device"].update(mode="by hand"),
        lambda document: document.update(device=[]),
        lambda document: document.update(host=None),
        lambda document: document.update(history=None),
        lambda document: document["history"][0].pop("ratio"),
        lambda document: document["history"][0].update(reason=""),
        lambda document: document.update(taken="yesterday"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, edit: Any) -> None:
    """With one error for operators, which names the file, whatever is wrong in it."""
    document = a_baseline().to_dict()
    edit(document)
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=re.escape(str(path))) as caught:
        baseline.load(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "what", "next_step"),
    [
        ("", "is empty", "restore it"),
        (" \n", "is empty", "restore it"),
        ('{"schema": "sealpass.baseline/1", "tool": {"na', "was cut off", "restore it"),
        ("[" * 100_000, "cannot be read as JSON", "restore it"),
        ("<<<<<<< HEAD\n{}\n=======\n", "holds the marks of a merge conflict", "resolve it"),
        ("slack = 1.5\n", "is not JSON (line 1, column 1)", "--baseline names"),
        ("\xff", "cannot be read as JSON", "restore it"),
        ('{"schema": ' + "9" * 10_000 + "}", "is JSON of another kind", "--baseline names"),
        ("[" + " " * 1_000_000 + "]", "is larger than any baseline", "--baseline names"),
        ("[]", "is JSON of another kind", "--baseline names"),
        ("null", "is JSON of another kind", "--baseline names"),
        ('{"schema": ["sealpass.gate/1"], "kind": {}}', "is JSON of another kind", "--baseline names"),
        ('{"schema": 1e400}', "is JSON of another kind", "--baseline names"),
        ('{"schema": "sealpass.run/1"}', "is a result of 'sealpass bench run'", "--baseline names"),
        ('{"schema": "sealpass.gate/1", "kind": "gate"}', "is a result of 'sealpass bench gate'", "--baseline names"),
        ('{"schema": "sealpass.gate/1", "kind": "compare"}', "is a result of 'sealpass bench compare'", "--out"),
        ('{"schema": "sealpass.qualification/1"}', "is a result of 'sealpass qualify'", "--baseline names"),
        ('{"schema": "sealpass.baseline/2"}', "was written by a later sealpass", "upgrade sealpass"),
    ],
    ids=lambda part: part[:40],
)
def test_what_is_no_baseline_is_named(tmp_path: Path, text: str, what: str, next_step: str) -> None:
    """Each with the next step; no value of the file is repeated, however deep or long it is."""
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        baseline.load(path)
    assert what in str(caught.value)
    assert next_step in caught.value.hint
    assert len(f"{caught.value}{caught.value.hint}".replace(str(path), "")) < 250


def test_a_baseline_that_was_cut_off_is_called_so(tmp_path: Path) -> None:
    """Wherever it ends."""
    path = tmp_path / "baseline.json"
    text = json.dumps(a_baseline().to_dict(), indent=2)
    for end in range(1, len(text), 41):
        path.write_text(text[:end])
        with pytest.raises(ConfigError, match="was cut off"):
            baseline.load(path)


@pytest.mark.parametrize("pair_ns", [100_000, 2 * 416_000_000])
def test_whatever_a_process_may_measure_can_be_read_again(tmp_path: Path, pair_ns: int) -> None:
    """Of a device as fast as none, and of the slowest that counts: twelve pairs in the five seconds of a process."""
    device, reference = round(0.7 * pair_ns), round(0.3 * pair_ns)
    recording = Recording(
        [device] * 500, [reference] * 500, [device] * 500, [DEVICE_FIRST * (n % 2) for n in range(500)]
    )
    found = figures(recording)
    path = tmp_path / "baseline.json"
    replace(a_baseline(), processes=[found] * 12).save(path)
    assert baseline.load(path).processes[0].counts


def test_where_a_baseline_is_wrong_is_told(tmp_path: Path) -> None:
    """The place and no value: it may be anything."""
    path = tmp_path / "baseline.json"
    document = a_baseline().to_dict()
    document["processes"][3]["slow"] = "secret"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"wrong at processes\[3\]\.slow$"):
        baseline.load(path)


def test_a_directory_is_no_baseline(tmp_path: Path) -> None:
    """An error of the system is an error for operators."""
    with pytest.raises(ConfigError, match="cannot read"):
        baseline.load(tmp_path)


@pytest.mark.parametrize("name", ["cpu", "cores", "cryptography", "openssl"])
def test_another_host_is_unlike(name: str) -> None:
    """Where another processor or another library does the reference operation, the ratio means something else."""
    assert baseline.another_host(a_baseline(), HOST) == []
    (reason,) = baseline.another_host(a_baseline(), HOST | {name: "another"})
    assert name in reason


@pytest.mark.parametrize("name", ["bits", "mode", "alg"])
def test_another_operation_is_unlike(name: str) -> None:
    """A larger key is slower, and that is no regression."""
    assert baseline.another_operation(a_baseline(), DEVICE, REFERENCE) == []
    assert baseline.another_operation(a_baseline(), DEVICE | {name: "another"}, REFERENCE)


def test_a_kernel_update_or_another_reference_key() -> None:
    """The one is compared across, the other is not."""
    assert baseline.another_host(a_baseline(), HOST | {"kernel": "7"}) == []
    assert baseline.another_operation(a_baseline(), DEVICE, REFERENCE | {"key_id": "other"})


def test_another_module_is_told_and_compared() -> None:
    """A new firmware is what a gate is for; another token of one kind is not worth a word."""
    values = {"library version": "2.7", "token serial": "2"}
    device = DEVICE | {"module": {"status": "read", "reason": None, "values": values}}
    assert baseline.another_module(a_baseline(), device) == ["library version was 2.6 and is 2.7"]
    assert baseline.another_operation(a_baseline(), device, REFERENCE) == []
