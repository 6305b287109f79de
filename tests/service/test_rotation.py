# SPDX-License-Identifier: Apache-2.0
import signal
import threading
from collections.abc import Callable

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, RecordProblem
from sealpass.core.passwords import Passwords
from sealpass.core.protocols import Sealed
from sealpass.core.records import RecordUse
from sealpass.service.checkpoints import Checkpoints
from sealpass.service.database import Database
from sealpass.service.record_table import EVERYTHING, RecordTable, Replacement
from sealpass.service.rotation import MOST_SWEEPS, Pace, Progress, Refused, Rotation
from sealpass.service.storage import PasswordStorage
from tests.service.conftest import make_record
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

SUBJECTS = [f"subject-{number:02}" for number in range(10)]


class HookedKey(CountedKey):
    """A key that does something before it opens a record; ``hook`` gets the number of the call."""

    hook: Callable[[int], object] | None = None

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self._lock = threading.Lock()  # the numbers are exact in several threads, too

    def open_sealed(self, sealed: Sealed, aad: bytes, deadline: Deadline | None = None) -> bytes | None:
        """See Opener."""
        with self._lock:
            if self.hook is not None:
                self.hook(self.opened + 1)
            return super().open_sealed(sealed, aad, deadline)


class Away:
    """The device is not there, for calls of these numbers: a call that fails keeps its number."""

    def __init__(self, first: int, times: int, *, retryable: bool = True) -> None:
        self.first, self.times, self.retryable = first, times, retryable

    def __call__(self, number: int) -> None:
        if number >= self.first and self.times > 0:
            self.times -= 1
            raise BackendUnavailable("away", retryable=self.retryable)


class Interrupted:
    """Ctrl-C at one call."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, number: int) -> None:
        if number >= self.at:
            raise KeyboardInterrupt


@pytest.fixture
def old() -> HookedKey:
    """The key of before."""
    return HookedKey("old")


@pytest.fixture
def new() -> CountedKey:
    """The key that becomes the current one."""
    return CountedKey("new")


@pytest.fixture
def storage(database: Database, old: HookedKey) -> PasswordStorage:
    """Ten subjects under the old key, the first with a letter and two records of history."""
    storage, passwords = PasswordStorage(database), Passwords(MemoryRing(old), hashing=CHEAP)
    for subject in SUBJECTS:
        assert storage.create(subject, current=passwords.hash("first", subject))
    first = SUBJECTS[0]
    for password, before in (("second", "first"), ("third", "second")):
        seen = storage.get(first)
        assert seen is not None
        history = passwords.hash(before, first, RecordUse.HISTORY)
        assert storage.change(seen, passwords.hash(password, first), history=history, keep=5)
    seen = storage.get(first)
    assert seen is not None
    assert storage.set_letter(seen, passwords.hash("letter", first, RecordUse.LETTER))
    old.opened = old.sealed = 0
    return storage


RECORDS = len(SUBJECTS) + 3


def under(database: Database) -> dict[str | None, int]:
    """How many records each key has."""
    found: dict[str | None, int] = {}
    for count in RecordTable(database).counts():
        found[count.key_id] = found.get(count.key_id, 0) + count.records
    return found


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_every_record_of_every_slot_is_moved(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey, batch: int, threads: int
) -> None:
    """Each by one call of the old key and one of the new; all of them open in their places without the old key."""
    done = Rotation(database, MemoryRing(new, old), batch=batch, threads=threads).run()
    assert done == Progress(moved=RECORDS, settled=True)
    assert (old.opened, new.sealed - 1) == (RECORDS, RECORDS)  # one is the record of nobody
    assert under(database) == {"new": RECORDS}
    passwords = Passwords(MemoryRing(new), hashing=CHEAP)
    stored = storage.get(SUBJECTS[0])
    assert stored is not None
    assert stored.current is not None
    assert stored.letter is not None
    assert passwords.verify(stored.current, "third", SUBJECTS[0])
    assert passwords.verify(stored.letter, "letter", SUBJECTS[0], RecordUse.LETTER)
    earlier = [passwords.verify(each.record, "second", SUBJECTS[0], RecordUse.HISTORY) for each in stored.history]
    assert [bool(each) for each in earlier] == [True, False]


def test_run_again_it_finds_nothing_to_do(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """No record is opened a second time, and the checkpoint is gone."""
    first = Rotation(database, MemoryRing(new, old))
    first.run()
    assert Checkpoints(database).get(first.job) == []
    assert Rotation(database, MemoryRing(new, old)).run() == Progress(settled=True)
    assert old.opened == RECORDS


def test_what_does_not_open_stays_as_it_is_and_is_counted(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """By key id, slot and problem: a record of another subject, one of an unknown key; legacy hashes are no failure."""
    moved_here = storage.get(SUBJECTS[1])
    assert moved_here is not None
    assert moved_here.current is not None
    assert storage.create("thief", current=moved_here.current)
    assert storage.create("stranger", letter=make_record("unknown"))
    assert storage.create("legacy", current="$2b$12$whatever")
    done = Rotation(database, MemoryRing(new, old), batch=3).run()
    assert done.refused == {
        Refused("old", RecordUse.CURRENT, RecordProblem.DOES_NOT_OPEN): 1,
        Refused("unknown", RecordUse.LETTER, RecordProblem.KEY_UNKNOWN): 1,
    }
    assert (done.moved, done.unsealed, done.settled) == (RECORDS, 1, True)
    assert under(database) == {"new": RECORDS, "old": 1, "unknown": 1, None: 1}
    assert "thief" not in repr(done)


def test_a_change_that_came_in_between_is_not_overwritten(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """A login that upgrades and a password change, both after the record was read: theirs stays, under either key."""
    ours = Passwords(MemoryRing(new), hashing=CHEAP)
    theirs = Passwords(MemoryRing(CountedKey("old")), hashing=CHEAP)  # a server whose ring is older

    def interfere(number: int) -> None:
        if number != 1:
            return
        old.hook = None
        for subject, passwords in ((SUBJECTS[3], ours), (SUBJECTS[4], theirs)):
            seen = storage.get(subject)
            assert seen is not None
            assert storage.change(seen, passwords.hash("changed", subject))

    old.hook = interfere
    done = Rotation(database, MemoryRing(new, old)).run()
    assert done == Progress(moved=RECORDS - 1, changed=2, settled=True)
    assert under(database) == {"new": RECORDS}
    for subject in SUBJECTS[3:5]:
        seen = storage.get(subject)
        assert seen is not None
        assert seen.current is not None
        assert ours.verify(seen.current, "changed", subject)


def test_what_a_server_with_an_older_ring_seals_behind_us_is_moved_too(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """The next sweep finds it; where it never ends, the job says that it is not settled."""
    passwords = Passwords(MemoryRing(CountedKey("old")), hashing=CHEAP)
    late = iter(["0", "1"])

    def register(_: Progress) -> None:
        if (subject := next(late, None)) is not None:
            assert storage.create(subject, current=passwords.hash("x", subject))

    assert Rotation(database, MemoryRing(new, old)).run(register) == Progress(moved=RECORDS + 2, settled=True)
    late = iter([f"1-{99 - number}" for number in range(2 * MOST_SWEEPS)])  # each before the one that was just moved
    assert storage.create("2", current=passwords.hash("x", "2"))
    assert not Rotation(database, MemoryRing(new, old)).run(register).settled


@pytest.mark.parametrize("threads", [1, 3])
def test_a_device_that_is_away_for_a_moment_is_asked_again(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey, threads: int
) -> None:
    """After pauses that grow; nothing is lost or done twice."""
    pauses: list[float] = []
    old.hook = Away(5, 2)
    rotation = Rotation(database, MemoryRing(new, old), threads=threads, back_off=(0.2, 0.5, 1.0), pause=pauses.append)
    assert rotation.run() == Progress(moved=RECORDS, settled=True)
    assert old.opened == RECORDS
    assert sum(pauses) in (0.2 + 0.5, 0.2 + 0.2)  # of one record, or of two threads' records


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("retryable", "pauses_each"), [(True, 2), (False, 0)])
def test_a_device_that_stays_away_stops_the_job(
    storage: PasswordStorage,
    database: Database,
    old: HookedKey,
    new: CountedKey,
    retryable: bool,  # noqa: FBT001 - a parameter of the test
    pauses_each: int,
    threads: int,
) -> None:
    """What was sealed before is stored, the checkpoint is kept, and the next run does only the rest."""
    pauses: list[float] = []
    old.hook = Away(6, 1000, retryable=retryable)
    rotation = Rotation(
        database,
        MemoryRing(new, old),
        batch=3,
        threads=threads,
        back_off=(0.2, 0.5),
        pause=pauses.append,
    )
    with pytest.raises(BackendUnavailable):
        rotation.run()
    assert pauses_each <= len(pauses) <= pauses_each * threads
    assert rotation.progress.moved == 5
    assert under(database) == {"new": 5, "old": RECORDS - 5}
    (checkpoint,) = Checkpoints(database).get(rotation.job)
    assert (checkpoint.examined, checkpoint.replaced, checkpoint.finished) == (3, 3, False)
    old.hook = None
    assert Rotation(database, MemoryRing(new, old)).run() == Progress(moved=RECORDS - 5, settled=True)
    assert old.opened == RECORDS


@pytest.mark.parametrize("threads", [1, 3])
def test_an_interruption_loses_nothing(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey, threads: int
) -> None:
    """It comes out at once, no thread is left, and the next run does the rest from the last checkpoint."""
    old.hook = Interrupted(6)
    rotation = Rotation(database, MemoryRing(new, old), batch=2, threads=threads, checkpoint_every=0)
    with pytest.raises(KeyboardInterrupt):
        rotation.run()
    (checkpoint,) = Checkpoints(database).get(rotation.job)
    assert (checkpoint.examined, checkpoint.finished) == (4, False)
    assert sum(under(database).values()) == RECORDS
    left = under(database)["old"]
    assert left > 0
    old.hook = None
    assert Rotation(database, MemoryRing(new, old)).run() == Progress(moved=left, settled=True)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, BackendUnavailable], ids=["interrupted", "failed"])
def test_a_rotation_that_has_ended_is_not_run_again(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey, failure: type[BaseException]
) -> None:
    """It would seal nothing any more and say that all is moved; none of its steps does so either."""
    old.hook = Interrupted(6) if failure is KeyboardInterrupt else Away(6, 1000, retryable=False)
    rotation = Rotation(database, MemoryRing(new, old), batch=2)
    with pytest.raises(failure):
        rotation.run()
    old.hook = None
    left = under(database)
    steps: list[Callable[[], object]] = [
        rotation.run,
        rotation.rehearse,
        lambda: rotation.begin([EVERYTHING]),
        lambda: rotation.run_part(0),
        lambda: rotation.sweep(EVERYTHING),
    ]
    for step in steps:
        with pytest.raises(ConfigError, match="make a new Rotation"):
            step()
    assert not rotation.progress.settled
    assert under(database) == left
    assert Rotation(database, MemoryRing(new, old)).run().settled


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_second_interruption_leaves_no_thread_that_stores(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who presses Ctrl-C twice while a batch is stored waits for it: afterwards keys and database may be closed."""
    rotation = Rotation(database, MemoryRing(new, old), batch=5)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    interrupted, came_out = threading.Semaphore(0), threading.Event()
    outlived: list[bool] = []

    def interrupt(*_: object) -> None:
        interrupted.release()
        raise KeyboardInterrupt

    def store_slowly(replacements: list[Replacement], committing: Callable[[], object]) -> int:
        committing()
        for before in (lambda: None, rotation._stop.wait):
            before()
            signal.pthread_kill(main_thread, signal.SIGINT)
            assert interrupted.acquire(timeout=20)
        outlived.append(came_out.wait(0.2))  # time enough for one who does not wait
        return replace_many(replacements)

    replace_many = rotation._table.replace_many
    monkeypatch.setattr(rotation._table, "replace_many", store_slowly)
    usual = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            rotation.run()
        came_out.set()
    finally:
        signal.signal(signal.SIGINT, usual)
    assert outlived == [False]
    assert under(database) == {"new": 5, "old": RECORDS - 5}


def test_a_rehearsal_stores_nothing(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """It opens and seals a few records, and counts those that refuse; a device that is away is an error."""
    assert storage.create("a", current=make_record("unknown"))
    done = Rotation(database, MemoryRing(new, old)).rehearse(6)
    assert (done.rehearsed, done.moved, sum(done.refused.values())) == (5, 0, 1)
    assert under(database) == {"old": RECORDS, "unknown": 1}
    old.hook = Away(0, 9, retryable=False)
    with pytest.raises(BackendUnavailable):
        Rotation(database, MemoryRing(new, old)).rehearse()


def test_an_alias_that_moves_on_stops_the_job(
    storage: PasswordStorage, database: Database, old: HookedKey, new: CountedKey
) -> None:
    """Else one run would leave records under two keys, and say that it is done."""
    ring = MemoryRing(new, old)

    def point_elsewhere(number: int) -> None:
        if number == 3:
            ring.keys = [CountedKey("newest"), new, old]

    old.hook = point_elsewhere
    with pytest.raises(ConfigError, match="alias"):
        Rotation(database, ring, batch=4).run()
    old.hook = None
    assert Rotation(database, ring).run().settled
    assert under(database) == {"newest": RECORDS}


def never(seconds: float) -> None:
    """A pause that must not be made."""
    pytest.fail(f"it paused for {seconds} s")


def test_records_pass_at_the_rate_that_was_set() -> None:
    """Of so many a second each waits for its turn; a delay is made up for only a little."""
    now = 100.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace(50, pause, lambda: now)
    for _ in range(100):
        pace.wait()
    assert now == pytest.approx(102, abs=0.1)
    now += 60
    for _ in range(100):
        pace.wait()
    assert now == pytest.approx(164, abs=0.1)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_a_number_above_zero(rate: float) -> None:
    """Anything else is a mistake of the configuration."""
    with pytest.raises(ConfigError):
        Pace(rate, never)


@pytest.mark.parametrize("settings", [{"batch": 0}, {"threads": 0}])
def test_a_job_has_records_and_threads(database: Database, new: CountedKey, settings: dict[str, int]) -> None:
    """None of either would never end."""
    with pytest.raises(ConfigError):
        Rotation(database, MemoryRing(new), **settings)  # type: ignore[arg-type] # both are numbers


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_between_kms_keys_a_record_costs_one_reencrypt(database: Database, kms_in_process: KmsEmulator) -> None:
    """No hash leaves KMS; threads share the work."""
    first, second = (f"awskms:key-id={kms_in_process.create_symmetric()};region={REGION}" for _ in range(2))
    with KeyRing(first) as ring:
        passwords, storage = Passwords(ring, hashing=CHEAP), PasswordStorage(database)
        for subject in SUBJECTS:
            assert storage.create(subject, current=passwords.hash("x", subject))
    with KeyRing(second, [first]) as ring:
        rotation = Rotation(database, ring, threads=4)
        kms_in_process.reset()
        assert rotation.run() == Progress(moved=len(SUBJECTS), settled=True)
        assert kms_in_process.count("ReEncrypt") == len(SUBJECTS)
        assert (kms_in_process.count("Encrypt"), kms_in_process.count("Decrypt")) == (0, 0)
