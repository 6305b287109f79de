# SPDX-License-Identifier: Apache-2.0
"""One fresh process: what it records, what it counts as an error, and what it answers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.registry import open_key
from sealpass.bench.gate import operation, worker
from sealpass.bench.gate.figures import (
    DEVICE_FIRST,
    DEVICE_INTERRUPTED,
    DEVICE_TORN,
    REFERENCE_INTERRUPTED,
    Recording,
)
from sealpass.bench.gate.operation import SOFTWARE, Timed, device_operation, reference_key, reference_operation
from sealpass.core import jwe
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    DecryptionFailed,
    RejectReason,
    TokenRejected,
)
from sealpass.core.protocols import Unwrapper
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken

SHORT = {"seconds": 0.02, "warm": 1, "most_seconds": 0.5}


class Machine:
    """A clock, and a kernel that counts interruptions; operations move both on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.interruptions = 0
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(time, "thread_time_ns", lambda: self.now // 2)
        monkeypatch.setattr(worker, "_interruptions", lambda: lambda: self.interruptions)

    def operation(self, taken: int, happens: Callable[[int], None] = lambda _number: None) -> Timed:
        """An operation that takes so many nanoseconds, and something happens in it."""

        def call(number: int) -> object:
            self.now += taken
            happens(number)
            return number

        return Timed(call, lambda number: number)


def record(device: Timed, reference: Timed, *, milliseconds: float = 1.0, warm: int = 0) -> Recording:
    """Measure on the machine's clock."""
    return worker.measure(device, reference, seconds=milliseconds / 1000, warm=warm, most_seconds=1.0)


def test_pairs_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation for itself, the order turning with every pair, until the time is over."""
    machine = Machine(monkeypatch)
    found = record(machine.operation(60_000), machine.operation(40_000))
    assert list(found.device_ns) == [60_000] * 10
    assert list(found.reference_ns) == [40_000] * 10
    assert list(found.device_cpu_ns) == [30_000] * 10
    assert list(found.marks) == [0, DEVICE_FIRST] * 5


def test_interrupted_operations_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each where it happened."""
    machine = Machine(monkeypatch)

    def interrupt(which: int) -> Callable[[int], None]:
        def happens(number: int) -> None:
            machine.interruptions += (number == which) + 2 * (number == which == 7)

        return happens

    found = record(machine.operation(60_000, interrupt(2)), machine.operation(40_000, interrupt(5)))
    torn = record(machine.operation(60_000, interrupt(7)), machine.operation(40_000, interrupt(8)))
    assert torn.marks[7] == DEVICE_INTERRUPTED | DEVICE_TORN | DEVICE_FIRST
    assert [mark & ~DEVICE_FIRST for mark in found.marks[:6]] == [0, 0, DEVICE_INTERRUPTED, 0, 0, REFERENCE_INTERRUPTED]


def test_a_crowded_process_goes_on_until_enough_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for ever."""
    machine = Machine(monkeypatch)

    def interrupt(number: int) -> None:
        machine.interruptions += number < 500

    crowded = record(machine.operation(600_000, interrupt), machine.operation(400_000), milliseconds=10, warm=100)
    assert 590 < len(crowded.device_ns) < 610
    assert (
        len(record(machine.operation(600_000), machine.operation(400_000), milliseconds=10, warm=10**9).marks) == 1000
    )


def test_wide_times_make_a_process_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a device whose times vary by half, the pairs that are enough otherwise say too little."""
    machine = Machine(monkeypatch)

    def sometimes_more(number: int) -> None:
        machine.now += 500_000 * (number // 2 % 3)

    wide, steady = machine.operation(1_000_000, sometimes_more), machine.operation(1_000_000)
    assert len(record(steady, steady, milliseconds=1.0, warm=20).marks) <= 22
    assert len(record(wide, steady, milliseconds=1.0, warm=20).marks) > 200


def test_what_fails_is_counted_and_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its class; the words of a device's exception are not kept."""
    machine = Machine(monkeypatch)

    def fail(number: int) -> None:
        if number == 3:
            raise BackendUnavailable("away", retryable=True)
        if number == 4:
            raise ValueError("secret")

    wrong = Timed(machine.operation(60_000, fail).call, lambda number: -1 if number == 5 else number)
    found = record(wrong, machine.operation(40_000))
    assert found.errors == {"backend-unavailable": 1, "exception ValueError": 1, "wrong-result": 1}
    assert len(found.device_ns) == 7
    other = record(machine.operation(60_000), Timed(machine.operation(40_000).call, lambda _number: None))
    assert other.errors == {"reference: wrong-result": 10}


REFUSALS: list[tuple[Exception, str]] = [
    (DecryptionFailed(), "decryption-failed"),
    (TokenRejected(RejectReason.FORM, "no token"), "token-rejected"),
    (RuntimeError("CKR_DEVICE_ERROR"), "exception RuntimeError"),
]


@pytest.mark.parametrize(("refusal", "code"), REFUSALS, ids=[code for _refusal, code in REFUSALS])
def test_a_key_that_refuses_every_token_is_an_answer(
    software_uri: str, monkeypatch: pytest.MonkeyPatch, refusal: Exception, code: str
) -> None:
    """From its first operation on: errors to count, and none for operators."""

    def refuse(*_arguments: Any) -> bytes:
        raise refusal

    monkeypatch.setattr(jwe, "decrypt", refuse)
    found = worker.answer({"uri": software_uri, "reference": None, "force_login": False, **SHORT})
    assert set(found["errors"]) == {code}
    assert found["device_ns"] == []


def test_a_wrong_answer_of_the_warm_up_is_one(software_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first token that a key opens counts like all others."""
    right = jwe.decrypt
    taken: list[None] = []

    def wrong_once(*arguments: Any) -> bytes:
        taken.append(None)
        return right(*arguments) if len(taken) > 1 else b"nonsense"

    monkeypatch.setattr(jwe, "decrypt", wrong_once)
    found = worker.answer({"uri": software_uri, "reference": None, "force_login": False, **SHORT})
    assert found["errors"] == {"wrong-result": 1}


def test_a_device_that_is_away_from_the_start_is_an_error(software_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has shown nothing, good or bad."""

    def away(*_arguments: Any) -> bytes:
        raise BackendUnavailable("away", retryable=True)

    monkeypatch.setattr(jwe, "decrypt", away)
    with pytest.raises(BackendUnavailable):
        worker.answer({"uri": software_uri, "reference": None, "force_login": False, **SHORT})


def test_a_refused_login_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is one fewer until the token locks."""
    machine = Machine(monkeypatch)
    tries: list[int] = []

    def refuse(number: int) -> None:
        tries.append(number)
        raise AuthenticationFailed("the PIN is wrong")

    with pytest.raises(AuthenticationFailed):
        record(machine.operation(60_000, refuse), machine.operation(40_000))
    assert len(tries) == 1


def test_the_login_is_forced_on_the_reference_too(
    softhsm2: SoftToken, software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a key of the same token."""
    seen: list[bool] = []

    def recorded(uri: Any, *, force_login: bool) -> Any:
        seen.append(force_login)
        return open_key(uri)

    monkeypatch.setattr(operation, "open_key", recorded)
    facts = device_operation(software_key).facts | {"alg": "RSA-OAEP"}
    with reference_operation(softhsm2.shared_key(), facts, force_login=True):
        assert seen == [True]


def test_an_answer_has_everything_that_is_told(software_uri: str) -> None:
    """What was measured, on which device, beside which reference and on which host."""
    request = {"uri": software_uri, "reference": None, "force_login": False, **SHORT}
    found = worker.answer(request)
    assert found["errors"] == {}
    assert found["device"]["bits"] == found["reference"]["bits"] == 2048
    assert found["reference"]["kind"] == SOFTWARE
    assert len(found["device_ns"]) == len(found["reference_ns"]) == len(found["marks"]) > 0


def test_a_planted_effect_is_in_the_device_only(software_uri: str) -> None:
    """What the proof wraps is the operation of the device."""
    wrapped = []

    def wrap(timed: Timed) -> Timed:
        wrapped.append(timed)
        return Timed(timed.call, lambda _number: None)

    found = worker.answer({"uri": software_uri, "reference": None, "force_login": False, **SHORT}, wrap)
    assert len(wrapped) == 1
    assert set(found["errors"]) == {"wrong-result"}


def test_software_is_no_measure_of_a_device_of_its_own(software_key: Unwrapper) -> None:
    """A ratio to what is unlike moves with the machine; so a reference has to be named."""
    facts = device_operation(software_key).facts | {"note": None}
    with pytest.raises(ConfigError) as caught, reference_operation(None, facts):
        pass
    assert "--reference" in (caught.value.hint or "")


def test_a_reference_on_the_same_device_is_a_key_of_the_same_size(softhsm2: SoftToken, software_key: Unwrapper) -> None:
    """Its own URI and key id are in the facts."""
    uri = softhsm2.shared_key()
    facts = device_operation(software_key).facts | {"alg": "RSA-OAEP"}
    with reference_operation(uri, facts) as reference:
        assert reference.timed.call(1) == reference.timed.expected(1)
        assert reference.facts["kind"] == "device"
    with pytest.raises(ConfigError, match="has 2048 bits"), reference_operation(uri, facts | {"bits": 4096}):
        pass


def test_a_key_is_no_reference_of_its_own(software_uri: str, tmp_path: Path) -> None:
    """Under whatever name: what slows it slows both, and nothing would ever be seen."""
    copy = tmp_path / "copy.pem"
    copy.write_bytes(Path(KeyUri.parse(software_uri).text("path") or "").read_bytes())
    for reference in (software_uri, f"software:path={copy}"):
        with pytest.raises(ConfigError, match="the reference is the key itself"):
            worker.answer({"uri": software_uri, "reference": reference, "force_login": False, **SHORT})


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_the_fixed_keys_are_of_their_size(bits: int) -> None:
    """And never another one: the ratio would move."""
    key = reference_key(bits)
    assert key.key_size == bits
    assert key.private_numbers() == reference_key.__wrapped__(bits).private_numbers()


def test_a_size_without_a_fixed_key_wants_a_named_reference() -> None:
    """An error that says so."""
    with pytest.raises(ConfigError, match="2049"):
        reference_key(2049)
