# SPDX-License-Identifier: Apache-2.0
"""Rotations that are killed at any instruction, while users log in and change their passwords; and what that did.

Used by the tests, with a few kills, and by ``make proof``, with many.
"""

import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field

from sealpass.core.deadline import Deadline
from sealpass.core.errors import RecordRefused
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealed
from sealpass.core.records import RecordUse
from sealpass.service.database import Database
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import PasswordPolicy
from sealpass.service.record_table import RecordTable
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.rotation import Progress, Rotation
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import open_database
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

SUBJECTS = 24
HISTORY = 3
MOST_RECORDS = 60
"""A rotation is killed after one to so many records."""
KEYS = ("old", "new")
_POLICY = PasswordPolicy(min_length=8, history=HISTORY)
_PAUSE = 0.008
"""Seconds at most from the last of these records to the kill: about as long as a batch takes."""


@dataclass(slots=True)
class Findings:
    """What happened. Every entry of ``losses`` is a failure, and names no password."""

    kills: int = 0
    ended: int = 0
    """Rotations that came to their end before they were killed."""
    logins: int = 0
    changes: int = 0
    rest: int = 0
    """Records that were left for the last run."""
    records: int = 0
    """All in the end; each was verified."""
    losses: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Journal:
    """What the users did, and every password that each of them set."""

    passwords: dict[str, list[str]]
    logins: int = 0
    changes: int = 0
    losses: list[str] = field(default_factory=list)


class _TellingKey(CountedKey):
    """A key that tells of each record that it opens, so that whoever listens knows how far the job is."""

    def __init__(self, key_id: str, pipe: int) -> None:
        super().__init__(key_id)
        self._pipe = pipe

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See Opener."""
        os.write(self._pipe, b".")
        return super().open_sealed(sealed, aad, deadline)


def kill_rotations(
    source: str, kills: int, seed: int, tell: Callable[[Findings], object] = lambda _findings: None
) -> Findings:
    """Fill an empty database, kill so many rotations of it with users at work, finish the job and look at everything.

    ``tell`` is called after each rotation. The answer holds every loss that was found; it raises nothing for one.
    """
    findings = Findings()
    passwords = Passwords(MemoryRing(CountedKey("old")), hashing=CHEAP)
    with open_database(source) as database:
        repository = SqlPasswordRepository(PasswordStorage(database), passwords, _POLICY)
        for number in range(SUBJECTS):
            assert repository.register(f"subject-{number:02}", "password 0") is Outcome.DONE
    journal = _with_users(source, seed, lambda: _kill_often(source, kills, seed, findings, tell))
    findings.logins, findings.changes = journal.logins, journal.changes
    findings.losses += journal.losses
    with open_database(source) as database:
        _finish(source, database, findings)
        _look_at_everything(database, journal, findings)
    return findings


def rotate(source: str, target: str, pipe: int | None = None) -> Progress:
    """One run in this process, in small batches with a checkpoint after each; ``pipe`` gets a byte for each record."""
    ids = sorted(KEYS, key=lambda key_id: key_id != target)
    ring = MemoryRing(*(CountedKey(key_id) if pipe is None else _TellingKey(key_id, pipe) for key_id in ids))
    with open_database(source) as database:
        return Rotation(database, ring, batch=4, checkpoint_every=0).run()


def _kill_often(source: str, kills: int, seed: int, findings: Findings, tell: Callable[[Findings], object]) -> None:
    """Let runs begin, and kill each after some records and some time; those that come to their end turn round.

    A run is followed by one in the other direction where it ended, so there is always something to do.
    """
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    targets = ["new", "old"]
    while findings.kills < kills:

        def run(pipe: int, target: str = targets[0]) -> None:
            rotate(source, target, pipe)

        with _forked(run) as (pid, pipe):
            records = chance.randrange(1, MOST_RECORDS)
            while records and (told := os.read(pipe, records)):
                records -= len(told)
            if records:
                findings.ended += 1
                if _status_of(pid) != 0:
                    findings.losses.append(f"a rotation to {targets[0]} failed")
                    return
                targets.reverse()
            else:
                time.sleep(chance.uniform(0, _PAUSE))
                findings.kills += 1
        tell(findings)


def _finish(source: str, database: Database, findings: Findings) -> None:
    """One more run does the rest and nothing else, and another one finds nothing."""
    counts = RecordTable(database).counts()
    findings.rest = sum(count.records for count in counts if count.key_id != "new")
    for expected in (findings.rest, 0):
        if (done := rotate(source, "new")) != Progress(moved=expected, settled=True):
            findings.losses.append(f"a run with {expected} records to move did: {done}")
    if left := {count.key_id for count in RecordTable(database).counts()} - {"new"}:
        findings.losses.append(f"records are under other keys: {left}")


def _look_at_everything(database: Database, journal: _Journal, findings: Findings) -> None:
    """Every user's newest password verifies, and so does each in the history; there is no record more or less."""
    storage, passwords = PasswordStorage(database), Passwords(MemoryRing(CountedKey("new")), hashing=CHEAP)
    findings.records = sum(count.records for count in RecordTable(database).counts())
    expected = 0
    for subject, known in journal.passwords.items():
        latest_first = known[::-1][: 1 + HISTORY]
        expected += len(latest_first)
        seen = storage.get(subject)
        records = [] if seen is None else [(seen.current, RecordUse.CURRENT)]
        records += [] if seen is None else [(entry.record, RecordUse.HISTORY) for entry in seen.history]
        if len(records) != len(latest_first):
            findings.losses.append(f"{subject} has {len(records)} records and not {len(latest_first)}")
        for place, ((record, use), password) in enumerate(zip(records, latest_first, strict=False)):
            if record is None or not _verifies(passwords, record, password, subject, use):
                findings.losses.append(f"record {place} of {subject}, latest first, is not of its password")
    if findings.records != expected:
        findings.losses.append(f"there are {findings.records} records and not {expected}")


def _verifies(passwords: Passwords, record: str, password: str, subject: str, use: RecordUse) -> bool:
    try:
        return passwords.verify(record, password, subject, use).matches
    except RecordRefused:
        return False


# -- users -----------------------------------------------------------------------------------------------------------


def _use(source: str, seed: int, stop: int) -> _Journal:
    """Log in and change passwords until somebody writes to ``stop``."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    old, new = CountedKey("old"), CountedKey("new")
    journal = _Journal({f"subject-{number:02}": ["password 0"] for number in range(SUBJECTS)})
    os.set_blocking(stop, False)
    with open_database(source) as database:
        storage = PasswordStorage(database)
        # Not every server has the newest ring yet, whichever that is.
        servers = [
            SqlPasswordRepository(storage, Passwords(ring, hashing=CHEAP), _POLICY)
            for ring in (MemoryRing(new, old), MemoryRing(old, new))
        ]
        while not _has_data(stop):
            subject, repository = chance.choice(list(journal.passwords)), chance.choice(servers)
            known = journal.passwords[subject]
            if chance.random() < 0.5:
                journal.logins += 1
                if not repository.check(subject, known[-1]):
                    journal.losses.append(f"{subject} could not log in with password {len(known) - 1}")
                continue
            # A conflict is no loss: rotations may rewrite the same record more often than a change begins anew.
            outcome = repository.change(subject, known[-1], f"password {len(known)}")
            if outcome is Outcome.DONE:
                journal.changes += 1
                known.append(f"password {len(known)}")
            elif outcome is not Outcome.CONFLICT:
                journal.losses.append(f"{subject} could not change password {len(known) - 1}: {outcome}")
    return journal


def _with_users(source: str, seed: int, work: Callable[[], None]) -> _Journal:
    """The users' journal, after ``work`` was done beside them."""
    stopped, stop = os.pipe()

    def write_journal(pipe: int) -> None:
        octets = json.dumps(asdict(_use(source, seed, stopped))).encode()
        while octets:
            octets = octets[os.write(pipe, octets) :]

    try:
        with _forked(write_journal) as (pid, answer):
            work()
            os.write(stop, b"!")
            with os.fdopen(os.dup(answer), "rb") as read:
                octets = read.read()
            if _status_of(pid) != 0:
                return _Journal({}, losses=["the users' process failed"])
    finally:
        os.close(stopped)
        os.close(stop)
    return _Journal(**json.loads(octets))


def _has_data(pipe: int) -> bool:
    with suppress(BlockingIOError):
        os.read(pipe, 1)
        return True
    return False


# -- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def _forked(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """``work(pipe)`` in a child, until it ends or the ``with`` does; its id and the other end of the pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(reading)
            work(writing)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's own frames
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


def _status_of(pid: int) -> int:
    """The exit status of a child that ends by itself, which stays to be waited for."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
