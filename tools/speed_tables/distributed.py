# SPDX-License-Identifier: Apache-2.0
"""What a second Dask worker gains for a rotation: the same table with a simulated device, by one worker and by two.

The device is one that is waited for (slow_keys.py), so that neither two shared cores nor the database are the limit:
what is left to lose is what cutting, tasks, checkpoints and sweeps cost.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sqlalchemy import event

from sealpass import KeyRing, Passwords
from sealpass.backends.registry import key_maker
from sealpass.dask_connection import Cluster, connect
from sealpass.service import migrations
from sealpass.service.database import Database
from sealpass.service.distributed_rotation import DistributedRotation
from sealpass.service.rotation import Progress, Rotation
from sealpass.service.storage import PasswordStorage
from tests.support.dask_cluster import dask_cluster
from tests.support.sealing import CHEAP
from tools.speed_tables import slow_keys

RECORDS = 4000


def rotation_on_workers(rounds: int, _block: int) -> Iterator[str]:
    """Records a second, interleaved: each way moves the whole table to the other key."""
    number = RECORDS if rounds >= 120 else RECORDS // 2  # noqa: PLR2004 - as __main__ has it
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="sealpass-dask-"))
        stack.callback(shutil.rmtree, directory)
        keys = [str(key_maker(f"software:path={directory / name}").create_aes(256)) for name in ("a.jwk", "b.jwk")]
        source = f"sqlite:///{directory / 'table.db'}"
        _fill(source, keys[0], number)
        slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{Path(slow_keys.__file__)}"]'}
        ways: dict[str, Callable[[], Progress]] = {"without Dask, one process": partial(_alone, source, keys)}
        for name, workers in (("one worker", 1), ("two workers", 2)):
            (directory / name).mkdir()
            processes = stack.enter_context(dask_cluster(directory / name, workers, slow))
            cluster = stack.enter_context(connect(processes.address, processes.client_files))
            while len(cluster.workers()) < workers:
                time.sleep(0.1)
            ways[name] = partial(_by, cluster, source, keys)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3):
            for name, way in ways.items():
                begin = time.perf_counter()
                done = way()
                taken[name].append(time.perf_counter() - begin)
                assert (done.moved, done.settled) == (number, True)
                keys.reverse()  # old, new: for all ways, which hold this list
    yield _table(number, taken)


def _fill(source: str, key: str, number: int) -> None:
    with Database(source) as database, KeyRing(key) as ring:
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        migrations.upgrade(database)
        storage, passwords = PasswordStorage(database), Passwords(ring, hashing=CHEAP)
        for subject in map("subject-{:06}".format, range(number)):
            assert storage.create(subject, current=passwords.hash("x", subject))


def _alone(source: str, keys: list[str]) -> Progress:
    old, new = keys
    with slow_keys.slow(), Database(source) as database, KeyRing(new, [old]) as ring:
        return Rotation(database, ring).run()


def _by(cluster: Cluster, source: str, keys: list[str]) -> Progress:
    old, new = keys
    with DistributedRotation(cluster, source, new, [old]) as rotation:
        return rotation.run()


def _table(number: int, taken: dict[str, list[float]]) -> str:
    first, milliseconds = taken["one worker"], 1000 * slow_keys.CALL_SECONDS
    lines = [
        f"**Rotation by Dask workers: {number} records, SQLite, a simulated device of {milliseconds:g} ms a call**",
        "",
        "| by | records/s | of one worker's speed, in each round |",
        "|---|---|---|",
    ]
    for name, times in taken.items():
        ratios = [one / other for one, other in zip(first, times, strict=True)]
        shown = "1" if times is first else f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        lines.append(f"| {name} | {number / statistics.median(times):.0f} | {shown} |")
    return "\n".join(lines) + "\n"
