# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterable
from typing import Any

import pytest

from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.service import distributed_rotation
from sealpass.service.distributed_rotation import DistributedRotation
from sealpass.service.rotation import Progress
from sealpass.service.rotation_tasks import Begun, Done, Found


class Simulated:
    """A cluster whose tasks are done when the test says so; at the end of each it tells what was running."""

    def __init__(self, workers: list[str], *, is_sqlite: bool = False) -> None:
        self.here = workers
        self.running: list[tuple[str, float | None]] = []
        self.rates: list[float] = []
        self.most: list[float] = []
        self.is_sqlite = is_sqlite
        self.done = 0
        self.told: list[str] = []

    def workers(self) -> list[str]:
        """Those that are there."""
        return self.here

    def on_each(self, *_: object, **__: object) -> dict[str, Found]:
        """The answers of inspect()."""
        return {worker: Found("new", self.is_sqlite) for worker in self.here}

    def submit(self, function: Any, *arguments: Any) -> "Simulated.Task":
        """Begin."""
        task = self.Task(function.__name__, arguments[-1] if len(arguments) == 4 else None)
        if len(arguments) == 4:
            self.running.append((task.name, task.rate))
            self.rates.append(task.rate or 0)
            self.most.append(sum(rate for _, rate in self.running if rate is not None))
        return task

    def wait(self, futures: Iterable["Simulated.Task"], _seconds: float) -> list["Simulated.Task"]:
        """The first one is done."""
        return list(futures)[:1]

    def result(self, task: "Simulated.Task") -> Any:
        """What it answers."""
        if task.name == "begin":
            return Begun(9, tuple(range(9)))
        if (task.name, task.rate) in self.running:
            self.running.remove((task.name, task.rate))
        self.done += 1
        return Done(str(self.done), Progress(moved=task.name == "run_part"))

    def listen(self, *_: object) -> None:
        """Nothing is told."""

    def cancel(self, *_: object) -> None:
        """Nothing runs."""

    def have_all(self, function: Any, *_: object) -> None:
        """What all of them are told to do."""
        self.told.append(function.__name__)

    class Task:
        """A future."""

        def __init__(self, name: str, rate: float | None) -> None:
            self.name, self.rate = name, rate


def simulated(cluster: Simulated, *, rate: float | None = None) -> DistributedRotation:
    """A rotation on it."""
    return DistributedRotation(cluster, "env:DATABASE", "software:path=a", rate=rate)  # type: ignore[arg-type] # in its place


def test_all_tasks_together_keep_to_the_rate() -> None:
    """While workers come and go; and it is made use of."""
    cluster = Simulated(["tls://a:1", "tls://b:1", "tls://c:1"])
    crowds = iter([[f"tls://{name}:1" for name in "abcdefg"], ["tls://a:1"], ["tls://a:1", "tls://b:1"]])

    def change(_: Progress) -> None:
        cluster.here = next(crowds, cluster.here)

    done = simulated(cluster, rate=300).run(change)
    assert (done.moved, done.settled) == (9, True)
    assert max(cluster.most) <= 300.0001
    assert cluster.most[:3] == pytest.approx([100, 200, 300])
    assert max(cluster.most[3:]) > 200
    assert min(cluster.rates) > 300 / 7 / 2  # so little is left over when seven come after three


def test_without_a_rate_every_worker_has_a_task() -> None:
    """And no more than one."""
    cluster = Simulated(["tls://a:1", "tls://b:1"])
    seen: list[int] = []
    assert simulated(cluster).run(lambda _: seen.append(len(cluster.running))).settled
    assert max(seen) == 1  # one was just done
    assert all(rate is None for _, rate in cluster.running)


def test_without_workers_it_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that one may try again after; one that comes back in time goes on."""
    monkeypatch.setattr(distributed_rotation, "_ALONE_SECONDS", 0.0)
    cluster = Simulated(["tls://a:1"])
    rotation = simulated(cluster)

    def vanish(_: Progress) -> None:
        cluster.here = []

    with pytest.raises(BackendUnavailable, match="no worker"):
        rotation.run(vanish)


def test_an_sqlite_database_is_on_one_machine() -> None:
    """Workers elsewhere would open a file of the same name that is another database."""
    simulated(Simulated(["tls://10.0.0.1:1", "tls://10.0.0.1:2"], is_sqlite=True))
    apart = Simulated(["tls://10.0.0.1:1", "tls://10.0.0.2:1"], is_sqlite=True)
    with pytest.raises(ConfigError, match="SQLite"):
        simulated(apart)
    assert apart.told == ["leave"]  # no key stays open there


@pytest.mark.parametrize(
    ("database", "key"),
    [
        ("postgresql://user:secret@host/db", "software:path=a"),
        ("postgresql://user@host/db?oauth_client_secret=secret", "software:path=a"),
        ("postgresql://user@host/db?scram_client_key=secret", "software:path=a"),
        ("env:DATABASE", "pkcs11:token=t;object=o?pin-value=secret"),
        ("env:DATABASE", "pkcs11:token=t;object=o?pin=secret"),
        ("env:DATABASE", "pkcs11:token=t;object=o?pin-source=secret"),
        ("env:DATABASE", "keystore:path=/k.jks;alias=y?store-pass=secret"),
        ("env:DATABASE", "keystore:path=/k.jks;alias=y?store-pass-source=secret"),
        ("env:DATABASE", "software:path=a;text=secret"),
        ("env:DATABASE", "awskms:key-id=a;region=r?endpoint-url=https://user:secret@host"),
    ],
)
def test_a_secret_does_not_go_through_the_scheduler(database: str, key: str) -> None:
    """A URL with a password and a URI with a PIN are refused before anybody is asked."""
    for keys in ((key,), ("software:path=a", [key])):
        with pytest.raises(ConfigError) as refused:
            DistributedRotation(None, database, *keys)  # type: ignore[arg-type] # not asked
        assert "secret" not in str(refused.value).replace("a secret would stand", "")
