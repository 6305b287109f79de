# SPDX-License-Identifier: Apache-2.0
"""A rotation that is killed at any instruction, while users log in and change their passwords.

SEALPASS_KILLS says how often it is killed, and SEALPASS_KILL_SEED where.
"""

import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sealpass.core.deadline import Deadline
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealed
from sealpass.core.records import RecordUse
from sealpass.service.record_table import RecordTable
from sealpass.service.rotation import Progress, Rotation
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import open_database
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

KILLS = int(os.environ.get("SEALPASS_KILLS", "5"))
SEED = int(os.environ.get("SEALPASS_KILL_SEED", "20261122"))
SUBJECTS = [f"subject-{number:02}" for number in range(24)]
HISTORY = 3


class TellingKey(CountedKey):
    """A key that tells of each record that it opens, so that whoever listens knows how far the job is."""

    def __init__(self, key_id: str, pipe: int) -> None:
        super().__init__(key_id)
        self._pipe = pipe

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See Opener."""
        os.write(self._pipe, b".")
        return super().open_sealed(sealed, aad, deadline)


@contextmanager
def forked(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """``work(pipe)`` in a child, until it ends or the ``with`` does; its id and the other end of the pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(reading)
            work(writing)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into pytest's own frames
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    try:
        yield pid, reading
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # its id is its own until the next line, even if it has ended
        os.waitpid(pid, 0)


def status_of(pid: int) -> int:
    """The exit status of a child that ends by itself, which stays to be waited for."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_EXITED
    return ended.si_status


def users(source: str, stop: int, answer: int) -> None:
    """Log in and change passwords until somebody writes to ``stop``; then answer with every password that was set."""
    chance = random.Random(SEED)  # noqa: S311 - a test that can be repeated
    old, new = CountedKey("old"), CountedKey("new")
    # Not every server has the newest ring yet, whichever that is.
    rings = [Passwords(ring, hashing=CHEAP) for ring in (MemoryRing(new, old), MemoryRing(old, new))]
    journal = {subject: ["password 0"] for subject in SUBJECTS}
    os.set_blocking(stop, False)
    with open_database(source) as database:
        storage = PasswordStorage(database)
        while not _has_data(stop):
            subject, passwords = chance.choice(SUBJECTS), chance.choice(rings)
            known = journal[subject]
            seen = storage.get(subject)
            assert seen is not None
            assert seen.current is not None
            found = passwords.verify(seen.current, known[-1], subject)
            assert found
            if chance.random() < 0.5:
                if found.needs_rehash:
                    upgraded = passwords.hash(known[-1], subject)
                    storage.rewrite(subject, RecordUse.CURRENT, seen.current, upgraded)
                continue
            password = f"password {len(known)}"
            history = passwords.hash(known[-1], subject, RecordUse.HISTORY)
            if storage.change(seen, passwords.hash(password, subject), history=history, keep=HISTORY):
                known.append(password)
    octets = json.dumps(journal).encode()
    while octets:
        octets = octets[os.write(answer, octets) :]


def _has_data(pipe: int) -> bool:
    with suppress(BlockingIOError):
        os.read(pipe, 1)
        return True
    return False


def rotate(source: str, target: str, pipe: int | None = None) -> Progress:
    """One run in this process."""
    keys = [
        CountedKey(key_id) if pipe is None else TellingKey(key_id, pipe)
        for key_id in sorted(("old", "new"), key=lambda key_id: key_id != target)
    ]
    with open_database(source) as database:
        return Rotation(database, MemoryRing(*keys), batch=4, checkpoint_every=0).run()


def kill_often(source: str) -> None:
    """Let runs begin, and kill each after some records and some time; those that come to their end turn round.

    A run is followed by one in the other direction where it ended, so there is always something to do.
    """
    chance = random.Random(SEED)  # noqa: S311 - a test that can be repeated
    killed = 0
    targets = ["new", "old"]
    while killed < KILLS:

        def run(pipe: int, target: str = targets[0]) -> None:
            rotate(source, target, pipe)

        with forked(run) as (pid, pipe):
            records = chance.randrange(1, 60)
            while records and (told := os.read(pipe, records)):
                records -= len(told)
            if records:  # it ended before
                assert status_of(pid) == 0
                targets.reverse()
            else:
                time.sleep(chance.uniform(0, 0.008))
                killed += 1


def test_a_rotation_may_be_killed_at_any_instruction(source: str) -> None:
    """Afterwards every user's newest password verifies, no history is lost, and one more run finishes only the rest."""
    old, new = CountedKey("old"), CountedKey("new")
    with open_database(source) as database:
        storage, passwords = PasswordStorage(database), Passwords(MemoryRing(old), hashing=CHEAP)
        for subject in SUBJECTS:
            assert storage.create(subject, current=passwords.hash("password 0", subject))

    journal = _with_users(source, kill_often)

    with open_database(source) as database:
        table, storage = RecordTable(database), PasswordStorage(database)
        rest = sum(count.records for count in table.counts() if count.key_id == "old")
        assert rotate(source, "new") == Progress(moved=rest, settled=True)
        assert rotate(source, "new") == Progress(settled=True)
        assert {count.key_id for count in table.counts()} == {"new"}
        passwords = Passwords(MemoryRing(new), hashing=CHEAP)
        for subject, known in journal.items():
            seen = storage.get(subject)
            assert seen is not None
            assert seen.current is not None
            assert passwords.verify(seen.current, known[-1], subject)
            earlier = list(reversed(known[:-1]))[:HISTORY]
            assert len(seen.history) == len(earlier)
            for stored, password in zip(seen.history, earlier, strict=True):
                assert passwords.verify(stored.record, password, subject, RecordUse.HISTORY)
    assert max(map(len, journal.values())) > 1


def _with_users(source: str, work: Callable[[str], None]) -> dict[str, Any]:
    """The users' journal, after ``work`` was done beside them."""
    stopped, stop = os.pipe()
    try:
        with forked(lambda pipe: users(source, stopped, pipe)) as (pid, answer):
            work(source)
            os.write(stop, b"!")
            with os.fdopen(os.dup(answer), "rb") as read:
                octets = read.read()
            assert status_of(pid) == 0
    finally:
        os.close(stopped)
        os.close(stop)
    journal: dict[str, Any] = json.loads(octets)
    return journal
