# SPDX-License-Identifier: Apache-2.0
"""Every operation on keys in software: its inputs, its answers, and that a wrong one is seen."""

from dataclasses import replace
from typing import Any

import pytest

from sealpass.bench.load.closed import run_closed
from sealpass.bench.load.operations import SEALING, UNWRAPPING, Name, Task, opened
from sealpass.bench.load.recording import Share, Window
from sealpass.core.contract import PROFILES
from sealpass.core.errors import ConfigError
from sealpass.core.protocols import Unwrapper
from tests.bench.load.conftest import CHEAP


def task(name: Name, software_uri: str, aes_uri: str, **changes: Any) -> Task:
    """An operation on the keys that it needs."""
    return Task(
        name,
        threads=2,
        unwrapping_uri=software_uri if name in UNWRAPPING else None,
        sealing_uri=aes_uri if name in SEALING else None,
        payload_bytes=64,
        hashing=CHEAP,
        **changes,
    )


def some(work: Any, thread: int, count: int) -> Share:
    """So many operations of a thread."""
    share = Share()
    ticks = iter(range(10 * count))
    run_closed(work, thread, Window(0, 2 * count + 1), share, lambda: next(ticks))
    if work.check is not None:
        share.check(work.check)
    return share


@pytest.mark.parametrize("name", Name)
def test_an_operation_answers_right_again_and_again(name: Name, software_uri: str, aes_uri: str) -> None:
    """In every thread, also after all of its inputs were used: a token is announced again before it is opened again."""
    with opened(task(name, software_uri, aes_uri)) as work:
        assert len(work.inputs) == 2
        for thread in (0, 1):
            inputs = replace(work, inputs=[own[:5] for own in work.inputs])
            share = some(inputs, thread, 8)
            assert (share.errors, len(share.service)) == ({}, 8)


@pytest.mark.parametrize("name", [name for name in Name if name is not Name.LOGIN])
def test_a_mixed_up_answer_is_seen(name: Name, software_uri: str, aes_uri: str) -> None:
    """Who gets the answer to another input is told, whichever the operation."""
    with opened(task(name, software_uri, aes_uri)) as work:
        own = list(work.inputs[0][:9])
        answers = []
        for given, _ in own[1:] + own[:1]:
            if work.rearm is not None:
                work.rearm(given)
            answers.append(work.call(given))
        mixed = replace(work, call=lambda _given: answers.pop(0), inputs=[own], rearm=None)
        assert some(mixed, 0, 9).errors.total() >= 1


def test_a_login_with_the_password_of_another_user_is_seen(software_uri: str, aes_uri: str) -> None:
    """Of a login the answer is a yes: what is mixed up before it gives a no."""
    with opened(task(Name.LOGIN, software_uri, aes_uri)) as work:
        (mine, expected), (theirs, _) = work.inputs[0][:2]
        mixed = replace(work, inputs=[[(replace(mine, record=theirs.record), expected)]])
        assert some(mixed, 0, 2).errors == {"wrong-result": 2}


def test_threads_share_no_token(software_uri: str, aes_uri: str) -> None:
    """Each nonce belongs to one thread, so that none is spent by another."""
    with opened(task(Name.UNWRAP, software_uri, aes_uri)) as work:
        nonces = [given.announced.nonce for own in work.inputs for given, _ in own]
        passwords = [expected for own in work.inputs for _, expected in own]
        assert len(set(nonces)) == len(nonces) >= 32
        assert len(set(passwords)) == len(passwords)


def test_a_token_that_was_not_announced_again_is_refused(software_uri: str, aes_uri: str) -> None:
    """The nonce store is the real one: without its turn at the server a token does not open."""
    with opened(task(Name.UNWRAP, software_uri, aes_uri)) as work:
        forgotten = replace(work, rearm=None)
        assert some(forgotten, 0, 3).errors == {"token-rejected": 3}


@pytest.mark.parametrize(("profile", "length"), [("sealpass", 128), ("airlock-jwe", 100), ("airlock-kms", 33)])
def test_a_payload_has_the_length_that_was_asked_for(
    profile: str, length: int, software_uri: str, aes_uri: str
) -> None:
    """The padded payload, not the password, is what an axis varies."""
    chosen = PROFILES[profile]
    asked = replace(task(Name.UNWRAP, software_uri, aes_uri, profile=chosen), payload_bytes=length)
    with opened(asked) as work:
        assert {len(chosen.write_payload(str(expected))) for _, expected in work.inputs[0]} == {length}
        assert some(work, 0, 3).errors == {}


def test_a_payload_that_no_password_has_is_refused(software_uri: str, aes_uri: str) -> None:
    """Profile sealpass pads to 64 bytes."""
    with (
        pytest.raises(ConfigError, match="payload of 100 bytes"),
        opened(replace(task(Name.UNWRAP, software_uri, aes_uri), payload_bytes=100)),
    ):
        pass


@pytest.mark.parametrize("name", [Name.SEAL, Name.OPEN])
def test_a_sealed_text_has_the_length_that_was_asked_for(name: Name, software_uri: str, aes_uri: str) -> None:
    """Up to what a device seals."""
    with opened(replace(task(name, software_uri, aes_uri), payload_bytes=4096)) as work:
        given, expected = work.inputs[1][0]
        text = given[0] if name is Name.SEAL else expected
        assert isinstance(text, bytes)
        assert len(text) == 4096
        assert some(work, 1, 2).errors == {}


def test_verifications_include_wrong_passwords(software_uri: str, aes_uri: str) -> None:
    """A device that says yes to everything would not be seen otherwise."""
    with opened(task(Name.VERIFY, software_uri, aes_uri)) as work:
        expected = [answer for _, answer in work.inputs[0]]
        assert 0 < expected.count(False) < expected.count(True)


def test_a_cek_that_is_not_the_right_one_is_seen(software_key: Unwrapper, software_uri: str, aes_uri: str) -> None:
    """The bare operation opens a block with what it unwrapped: a padding error is no right answer."""
    with opened(task(Name.OAEP, software_uri, aes_uri)) as work:
        (encrypted_key, *block), expected = work.inputs[0][0]
        damaged = (bytes(len(encrypted_key)), *block)
        share = some(replace(work, inputs=[[(damaged, expected)]]), 0, 2)
        assert share.errors == {"wrong-result": 2}
