# SPDX-License-Identifier: Apache-2.0
"""Comparing two sides measured in turn: who is measured when, what is compared, and what limits it."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.gate import compare, rounds, spawn
from sealpass.bench.gate.compare import Asked, Contender
from sealpass.bench.gate.figures import PROTOCOL
from sealpass.bench.gate.operation import SOFTWARE
from sealpass.bench.gate.spawn import Measured, Request
from sealpass.core.errors import BackendUnavailable, ConfigError, KeyNotFound
from tests.bench.gate.conftest import DEVICE, HOST, RATIO, REFERENCE
from tests.bench.gate.conftest import gate_schema as gate_schema  # noqa: PLC0414 - a fixture, for this file too
from tests.bench.gate.modelled import plain

ASKED = Asked(Contender("pkcs11:object=a"), Contender("pkcs11:object=b"))
A, B = ASKED.a.uri, ASKED.b.uri


@dataclass
class Keys:
    """Fresh processes of two keys, by URI, and the turns in which they were taken."""

    slower: float = 0.0
    """How much B is slower by, as a part of itself."""
    device: Mapping[str, Any] = field(default_factory=dict)
    """What is different about the device of B."""
    host: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    spread: float = 0.003
    reference_ns: int = 216_000
    """Of B."""
    turns: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._noise = cycle((0.0, 0.0, 1.0, 1.0, -1.0, -1.0))

    def __call__(self, contender: Contender, request: Request) -> Measured:
        """One process."""
        is_b = contender.uri == B
        self.turns.append("B" if is_b else "A")
        self.requests.append(request)
        ratio = RATIO * math.exp(self.spread * next(self._noise))
        if not is_b:
            return Measured(_figures(ratio * 216_000, 216_000), DEVICE | {"uri": A}, REFERENCE, HOST)
        figures = _figures(ratio * 216_000 * (1 + self.slower), self.reference_ns, self.errors)
        device = DEVICE | {"uri": B} | dict(self.device)
        return Measured(figures, device, REFERENCE | dict(self.reference), HOST | dict(self.host))


def _figures(device_ns: float, reference_ns: int, errors: Mapping[str, int] | None = None) -> Any:
    members: dict[str, Any] = {
        "device_median_ns": round(device_ns),
        "reference_median_ns": reference_ns,
        "errors": errors or {},
    }
    return plain(math.log(device_ns / reference_ns), **members)


def median(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The comparison of medians."""
    found: Mapping[str, Any] = document["comparisons"][0]
    return found


def test_sides_take_turns_and_turn_the_order() -> None:
    """A B, B A, A B, …: five processes a side where the answer is clear."""
    keys = Keys()
    document = compare.run(ASKED, take=keys)
    assert "".join(keys.turns) == "ABBAABBAAB"
    assert (document["kind"], document["looks"]) == ("compare", 1)
    assert document["verdict"] == {"verdict": "pass", "exit_code": 0, "reasons": []}


@pytest.mark.parametrize(
    ("keys", "status"),
    [(Keys(slower=0.1), 1), (Keys(slower=-0.1), 0), (Keys(slower=0.02), 0), (Keys(spread=0.3), 4)],
    ids=["slower", "faster", "below the floor", "noise"],
)
def test_only_a_clear_slowdown_of_b_fails(keys: Keys, status: int) -> None:
    """A faster one passes; where neither is shown, the comparison says so."""
    assert compare.run(ASKED, take=keys)["verdict"]["exit_code"] == status


def test_what_b_is_slower_than_has_a_name() -> None:
    """There is no before: both are of now."""
    (reason, *_) = compare.run(ASKED, take=Keys(slower=0.1))["verdict"]["reasons"]
    assert reason.startswith("10.0 % slower than A (")


def test_a_wrong_answer_ends_it() -> None:
    """Nothing is said of the speed, whatever it was."""
    document = compare.run(ASKED, take=Keys(slower=-0.5, errors={"wrong-result": 1}))
    assert document["verdict"]["exit_code"] == 1
    assert [(stage["id"], stage["outcome"]) for stage in document["stages"]] == [
        ("correctness", "fail"), ("comparison", "not-done"),
    ]  # fmt: skip
    assert document["comparisons"] == []


@pytest.mark.parametrize("side", ["A", "B"])
def test_whose_answer_was_wrong_is_told(side: str) -> None:
    """A wrong one of A is nothing to lay at the door of B."""
    whole, broken = Keys(), Keys(errors={"wrong-result": 1})

    def take(contender: Contender, request: Request) -> Measured:
        found = broken(Contender(B), request) if contender.uri == {"A": A, "B": B}[side] else whole(contender, request)
        return replace(found, device=DEVICE | {"uri": contender.uri})

    document = compare.run(ASKED, take=take)
    assert document["verdict"]["exit_code"] == 1
    assert document["verdict"]["reasons"] == [f"{side}: of 601 operations failed: 1 x wrong-result"]


def test_errors_up_to_a_rate_are_borne() -> None:
    """They are told, and the speed is compared."""
    keys = Keys(errors={"backend-unavailable": 1})
    document = compare.run(replace(ASKED, max_error_rate=0.01), take=keys)
    assert document["verdict"]["exit_code"] == 0
    assert any("B: of " in reason for reason in document["stages"][0]["reasons"])
    assert compare.run(ASKED, take=keys)["verdict"]["exit_code"] == 1


def test_the_document_is_of_the_published_form(gate_schema: dict[str, Any]) -> None:
    """With every kind of note in it."""
    keys = Keys(slower=0.1, device={"key_id": "two", "alg": "RSA-OAEP-256"}, host={"openssl": "OpenSSL 5"})
    document = compare.run(replace(ASKED, b=Contender(B, "python-b")), take=keys)
    Draft202012Validator(gate_schema).validate(document)
    assert [side["name"] for side in document["sides"]] == ["A", "B"]
    assert document["sides"][1]["label"].startswith("python-b (sealpass ")
    assert len(document["stages"][1]["reasons"]) >= 4


def test_two_keys_are_told_apart_less_finely() -> None:
    """Another key of the same size moves the ratio by itself."""
    same = compare.run(ASKED, take=Keys())
    others = compare.run(ASKED, take=Keys(device={"key_id": "two"}))
    assert median(others)["visible"] > 1.5 * median(same)["visible"]
    assert any("two keys" in reason for reason in others["verdict"]["reasons"])


def test_keys_of_two_sizes_are_not_compared() -> None:
    """An error, after one process of each."""
    keys = Keys(device={"bits": 4096})
    with pytest.raises(ConfigError, match="2048 bits and B has 4096"):
        compare.run(ASKED, take=keys)
    assert keys.turns == ["A", "B"]


@pytest.mark.parametrize("what", [{"host": {"openssl": "OpenSSL 5"}}, {"reference": {"key_id": "another"}}])
def test_a_faster_reference_of_one_installation_does_not_count(what: dict[str, Any]) -> None:
    """Where the two decrypt the reference by different means, times are compared as they are."""
    faster_reference = Keys(reference_ns=108_000, **what)
    document = compare.run(ASKED, take=faster_reference)
    assert median(document)["difference"]["value"] == pytest.approx(0, abs=0.005)
    slower = compare.run(ASKED, take=Keys(slower=0.1, reference_ns=108_000, **what))
    assert median(slower)["difference"]["value"] == pytest.approx(0.1, abs=0.01)
    assert slower["verdict"]["exit_code"] == 1


def test_a_device_of_its_own_needs_no_reference_there() -> None:
    """What is measured in turn is the same for both sides, so that software will do."""
    keys = Keys()
    compare.run(ASKED, take=keys)
    assert {request.reference for request in keys.requests} == {SOFTWARE}
    named = Keys()
    compare.run(replace(ASKED, reference="pkcs11:object=ref", force_login=True), take=named)
    assert {(request.reference, request.force_login) for request in named.requests} == {("pkcs11:object=ref", True)}


def test_the_time_is_never_over_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow processes end a comparison that is not clear; those before the rounds count as well."""
    clock = [0.0]
    keys = Keys(spread=0.3)

    def take(contender: Contender, request: Request) -> Measured:
        clock[0] += 4.0
        return keys(contender, request)

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    real = rounds.in_turn
    longest: list[float] = []

    def in_turn(*sides: Any, **options: Any) -> rounds.Rounds:
        longest.append(options["longest"])
        return real(*sides, **options, clock=lambda: clock[0])

    monkeypatch.setattr(rounds, "in_turn", in_turn)
    assert compare.run(ASKED, take=take)["verdict"]["exit_code"] == 4
    assert 40 < clock[0] <= 60
    assert longest == [4.0]
    assert all(request.patience <= 57 - 4 * number for number, request in enumerate(keys.requests))


def test_real_processes_of_two_interpreters(software_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are measured, each by the interpreter that was named for it."""
    monkeypatch.setattr(compare, "SECONDS", 0.02)
    started: list[str] = []

    def recorded(python: str) -> list[str]:
        started.append(python)
        return spawn.worker_command(python)

    monkeypatch.setattr(compare, "worker_command", recorded)
    contenders = Contender(software_uri, sys.executable), Contender(software_uri, sys.executable)
    document = compare.run(Asked(*contenders, budget=0.0))
    assert started == [sys.executable] * 2
    assert all(side["label"].startswith(sys.executable) for side in document["sides"])
    assert document["stages"][0]["outcome"] == "pass"


@pytest.mark.parametrize(
    ("contender", "whose"),
    [(Contender(A), "A: "), (Contender(B), "B: "), (Contender(B, "/opt/old/python"), "B (/opt/old/python): ")],
    ids=["A", "B", "interpreter"],
)
def test_whose_error_it_is_is_told(contender: Contender, whose: str) -> None:
    """Its class, with the exit status, and its hint stay."""
    whole = Keys()

    def take(taken: Contender, request: Request) -> Measured:
        if taken == contender:
            raise BackendUnavailable("the token is not there", retryable=True, hint="plug it in")
        return whole(taken, request)

    asked = replace(ASKED, b=contender) if contender.uri == B else ASKED
    with pytest.raises(BackendUnavailable) as caught:
        compare.run(asked, take=take)
    assert str(caught.value) == f"{whose}the token is not there"
    assert (caught.value.code, caught.value.hint, caught.value.retryable) == (
        "backend-unavailable", "plug it in", True,
    )  # fmt: skip


def test_a_reference_that_does_not_open_is_named(software_uri: str, tmp_path: Path) -> None:
    """It is opened beside a key, and the error is not the key's."""
    with pytest.raises(KeyNotFound, match=r"^the reference: "):
        spawn.measure(Request(software_uri, f"software:path={tmp_path}/none.pem", seconds=0.01, warm=0))


def test_another_interpreter_is_not_lent_our_modules() -> None:
    """PYTHONPATH would give both sides one installation."""
    assert "-E" in spawn.worker_command("/opt/other/bin/python")
    assert "-E" not in spawn.worker_command()


@pytest.mark.parametrize("version", [{"protocol": PROTOCOL + 1, "version": "9.9"}, {}], ids=["later", "early"])
def test_an_installation_that_answers_in_another_form_is_refused(version: Mapping[str, Any]) -> None:
    """Its figures would be read as something else."""
    command = [sys.executable, "-c", f"print({json.dumps(json.dumps(version))})"]
    with pytest.raises(ConfigError, match=str(version.get("version", "an early one"))):
        spawn.measure(Request("software:path=x"), command)


def test_what_begins_is_told() -> None:
    """For standard error."""
    told: list[str] = []
    note: Callable[[str], None] = told.append
    compare.run(ASKED, note, take=Keys())
    assert told == ["measuring fresh processes of A and B in turn"]
