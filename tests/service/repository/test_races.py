# SPDX-License-Identifier: Apache-2.0
"""What happens where several ask at once: threads of one process and processes, on the database's own clock."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sealpass.core.passwords import Passwords
from sealpass.service.database import Database
from sealpass.service.password_repository import Outcome
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import LockOut, PasswordStorage
from tests.service.conftest import open_database
from tests.service.processes import race
from tests.service.repository.conftest import LOCK_OUT, NEW, OLD, POLICY, RIGHT, DeafKey, logged_in, seen
from tests.support.sealing import CHEAP, MemoryRing

THREADS = 6
PROCESSES = 3
PATIENT = LockOut(attempts=1000, seconds=60)


def repository_in(database: Database, lock_out: LockOut = PATIENT) -> SqlPasswordRepository:
    """A repository of a server of its own."""
    ring = MemoryRing(DeafKey())
    return SqlPasswordRepository(PasswordStorage(database), Passwords(ring, hashing=CHEAP), POLICY, lock_out=lock_out)


T = TypeVar("T")


def at_once(work: Callable[[int], T]) -> list[T]:
    """What each thread's work answers; all begin together."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> T:
        barrier.wait(20)
        return work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(begin, range(THREADS)))


def test_of_changes_at_once_one_wins(source: str) -> None:
    """The others hear that they lost; the winner's password is the one that is stored, with one entry of history."""
    with open_database(source) as database:
        repository = repository_in(database)
        assert repository.register("s", OLD) is Outcome.DONE
        answers = at_once(lambda number: repository.change("s", OLD, f"{NEW} {number}"))
        # Who came late found another password than the old one already.
        assert set(answers) <= {Outcome.DONE, Outcome.CONFLICT, Outcome.NO_MATCH}
        assert answers.count(Outcome.DONE) == 1
        assert repository.check("s", f"{NEW} {answers.index(Outcome.DONE)}") == RIGHT
        assert len(seen(PasswordStorage(database)).history) == 1


def test_of_registrations_and_forced_changes_at_once_one_wins(source: str) -> None:
    """A demanded change is made once, so no late one replaces the password that was just chosen."""
    with open_database(source) as database:
        repository = repository_in(database)
        answers = at_once(lambda number: repository.register("s", f"{OLD} {number}", must_change=True))
        assert sorted(answers, key=str) == ["done"] + ["exists"] * (THREADS - 1)
        generation = logged_in(repository, f"{OLD} {answers.index(Outcome.DONE)}")
        answers = at_once(lambda number: repository.change_forced("s", f"{NEW} {number}", generation=generation))
        assert answers.count(Outcome.DONE) == 1
        assert set(answers) <= {Outcome.DONE, Outcome.CONFLICT, Outcome.NOT_DUE}
        assert repository.check("s", f"{NEW} {answers.index(Outcome.DONE)}") == RIGHT


def test_logins_by_one_letter_at_once_may_all_go_on(source: str) -> None:
    """A double click must not make the change that it demands a conflict; but one change is all that they make."""
    with open_database(source) as database:
        repository = repository_in(database)
        letter = repository.issue_letter("s", register=True)
        generations = at_once(lambda _: logged_in(repository, str(letter.password)))
        assert len(set(generations)) == 1
        answers = at_once(lambda number: repository.change_forced("s", f"{NEW} {number}", generation=generations[0]))
        assert answers.count(Outcome.DONE) == 1


def test_threads_get_no_more_guesses_than_the_lock_out_allows(source: str) -> None:
    """However many try at the same moment, so many passwords are looked at and no more, and then not the right one."""
    with open_database(source) as database:
        repository = repository_in(database, LOCK_OUT)
        assert repository.register("s", OLD) is Outcome.DONE
        looked_at: list[str] = []
        verify = repository._passwords.verify

        def watched(record: str, password: str, *arguments: object) -> object:
            looked_at.append(password)
            return verify(record, password, *arguments)  # type: ignore[arg-type]  # passed on as they come

        repository._passwords.verify = watched  # type: ignore[assignment,method-assign]
        assert not any(at_once(lambda number: repository.check("s", f"{NEW} {number}")))
        assert len(looked_at) == LOCK_OUT.attempts
        assert not repository.check("s", OLD)


def test_processes_that_check_and_change_lose_nothing(source: str) -> None:
    """Each server changes the password that it knows last; whoever wins can log in, and every win is in the history."""
    with open_database(source) as database:
        assert repository_in(database).register("s", f"{OLD} 0") is Outcome.DONE

    def set_and_log_in(repository: SqlPasswordRepository, own: Database, password: str) -> bool:
        if repository.admin_set("s", password, must_change=False) is not Outcome.DONE:
            return False
        if not repository.check("s", password):  # only where somebody else set another one since
            current = str(seen(PasswordStorage(own)).current)
            assert not repository._passwords.verify(current, password, "s")
        return True

    def work(process: int) -> list[str]:
        with open_database(source) as own:
            repository = repository_in(own)
            return [
                f"{NEW} {process} {turn}"
                for turn in range(8)
                if set_and_log_in(repository, own, f"{NEW} {process} {turn}")
            ]

    won = race(PROCESSES, work)
    with open_database(source) as database:
        repository = repository_in(database)
        assert sum(bool(repository.check("s", password)) for one in won for password in one) == 1
        assert seen(PasswordStorage(database)).history[0].sequence == sum(map(len, won))
