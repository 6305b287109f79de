# SPDX-License-Identifier: Apache-2.0
"""``sealpass records``: which keys the stored records need, and all of them under a new one."""

import functools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import open_key
from sealpass.cli.command import Group
from sealpass.cli.db import open_named
from sealpass.cli.failures import FAILED
from sealpass.cli.options import json_option, not_empty
from sealpass.cli.output import log_as_warnings, say, warn, write_result
from sealpass.cli.records_ring import database_and_ring
from sealpass.cli.rotation_text import audit_rows, estimate_rows, outcome_rows
from sealpass.cli.scheduler_options import Scheduler, scheduler_options
from sealpass.cli.table import is_terminal, render
from sealpass.core.algorithms import SEAL_AWSKMS
from sealpass.core.protocols import as_sealer
from sealpass.core.records import RecordUse
from sealpass.core.uri import KeyUri
from sealpass.service import migrations
from sealpass.service.audit import Audit, Standing, audit
from sealpass.service.database import Database
from sealpass.service.distributed_rotation import DistributedRotation
from sealpass.service.estimate import KMS, Prices, default_rate, default_threads, estimate, kms_operations, region_of
from sealpass.service.record_table import RecordTable
from sealpass.service.rotation import DEFAULT_BATCH, Progress, Rotation

MAX_BATCH = 100_000
MAX_THREADS = 256


@click.group(cls=Group)
def records() -> None:
    """Count the stored records by key, and seal all of them under a new key."""


@records.command(
    "audit",
    examples=(
        "sealpass records audit file:/run/secrets/database-url",
        'sealpass records audit "$DATABASE" "$KEY" --previous "$OLD_KEY"',
        "sealpass records audit --config /etc/sealpass.toml",
        'sealpass records audit "$DATABASE" "$KEY" --previous "$OLD_KEY" --retire "$OLD_KEY_ID" --json',
    ),
)
@database_and_ring(needs_key=False)
@click.option(
    "--retire",
    metavar="KEY-ID",
    multiple=True,
    callback=not_empty,
    help="Ask whether this key may go: exit status 1 where it may not; may be repeated.",
)
@json_option
def audit_(*, source: str, uri: str | None, previous: tuple[str, ...], retire: tuple[str, ...], as_json: bool) -> None:
    """Count the records of each key, and say which keys may be retired.

    Needs the database, and, to say more than numbers, the keys of the ring: KEY, which new records are sealed with,
    and the others with --previous. Each is opened and asked for its id. A previous key may be retired where it has no
    record in any slot. Exit status 1 where records are under a key that was not given, or one of --retire may not go.
    Reads the whole table and changes nothing.
    """
    if uri is None and (previous or retire):
        raise click.UsageError("--previous and --retire need KEY, the current key", click.get_current_context())
    with open_named(source) as database, log_as_warnings(as_json=as_json):
        migrations.check(database)
        keys = [_sealing_key_id(key) for key in (uri, *previous)] if uri is not None else []
        found = audit(RecordTable(database).counts(), keys)
    warnings = found.warnings()
    refused = [_why_not(found, key_id) for key_id in retire if found.standing_of(key_id) is not Standing.FREE]
    result = {
        "keys": [
            {
                "key_id": line.key_id,
                "algorithm": line.algorithm,
                "standing": line.standing.value,
                "records": line.records,
                **{slot.value: line.by_slot.get(slot, 0) for slot in RecordUse},
            }
            for line in found.lines
        ],
        "records": sum(line.records for line in found.lines),
        "may_be_retired": [line.key_id for line in found.with_standing(Standing.FREE)],
        "warnings": warnings + refused,
    }
    write_result(result, render(*audit_rows(found)) if found.lines else "no records", as_json=as_json)
    for message in warnings + refused:
        warn(message, as_json=as_json)
    if refused or found.with_standing(Standing.UNKNOWN):
        click.get_current_context().exit(FAILED)


def _sealing_key_id(uri: str) -> str:
    with open_key(uri) as key:
        return as_sealer(key).key_id


def _why_not(found: Audit, key_id: str) -> str:
    reasons = {
        Standing.CURRENT: "it is the current key",
        Standing.IN_USE: "it still has records; move them with 'sealpass records rotate'",
        Standing.UNKNOWN: "none of the given keys has this id",
    }
    return f"{key_id} must not be retired: {reasons[found.standing_of(key_id)]}"


@dataclass(frozen=True, slots=True)
class Limits:
    """``--rate``, ``--threads`` and ``--batch``; None is the backend's default."""

    rate: float | None
    threads: int | None
    batch: int


@dataclass(frozen=True, slots=True)
class Reckoning:
    """``--estimate``, and what goes with it."""

    wanted: bool
    prices: str | None
    records: int | None


def _above_zero(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):  # also false for what is not a number
        raise click.BadParameter("it is a number above 0")
    return value


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--rate``, ``--threads`` and ``--batch``, as one argument ``limits``."""

    @functools.wraps(command)
    def gathered(*, rate: float | None, threads: int | None, batch: int, **options: Any) -> Any:
        return command(limits=Limits(rate, threads, batch), **options)

    rate_option = click.option(
        "--rate",
        type=float,
        metavar="N",
        callback=_above_zero,
        help="Records a second at most.  [default: 5000 where AWS KMS takes part, else no limit]",
    )
    threads_option = click.option(
        "--threads",
        type=click.IntRange(1, MAX_THREADS),
        metavar="N",
        help="Device calls at the same time.  [default: 16 where AWS KMS takes part, else 1]",
    )
    batch_option = click.option(
        "--batch",
        type=click.IntRange(1, MAX_BATCH),
        metavar="N",
        default=DEFAULT_BATCH,
        show_default=True,
        help="Records that are replaced in one transaction.",
    )
    return rate_option(threads_option(batch_option(gathered)))


def estimate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--estimate``, ``--prices`` and ``--records``, as one argument ``reckoning``."""

    @functools.wraps(command)
    def gathered(*, estimate: bool, prices: str | None, number: int | None, **options: Any) -> Any:
        if not estimate and (prices is not None or number is not None):
            raise click.UsageError("--prices and --records go with --estimate", click.get_current_context())
        return command(reckoning=Reckoning(estimate, prices, number), **options)

    wanted = click.option("--estimate", is_flag=True, help="Only reckon calls, price and hours; asks no device.")
    prices_option = click.option(
        "--prices", metavar="FILE", type=click.Path(), help="With --estimate: a table of your own, in TOML."
    )
    number_option = click.option(
        "--records",
        "number",
        type=click.IntRange(0),
        metavar="N",
        help="With --estimate: for that many records of the first --previous key, whatever the database holds.",
    )
    return wanted(prices_option(number_option(gathered)))


@records.command(
    examples=(
        'sealpass records rotate "$DATABASE" "$KEY" --previous "$OLD_KEY" --estimate',
        'sealpass records rotate "$DATABASE" "$KEY" --previous "$OLD_KEY" --dry-run',
        'sealpass records rotate "$DATABASE" "$KEY" --previous "$OLD_KEY" --rate 2000',
        'sealpass records rotate env:DATABASE_URL "$KEY" --previous "$OLD_KEY" --scheduler tls://10.1.2.3:8786',
    ),
)
@database_and_ring(needs_key=True)
@limit_options
@click.option("--dry-run", is_flag=True, help="Count, seal a hundred records anew and time it, store nothing.")
@estimate_options
@scheduler_options()
@json_option
def rotate(
    *,
    source: str,
    uri: str,
    previous: tuple[str, ...],
    limits: Limits,
    reckoning: Reckoning,
    scheduler: Scheduler | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Seal all records under the current key, without passwords.

    Needs the database, the new key as KEY and the old ones with --previous, and rings of all servers that have the new
    key as current already. Logins and password changes go on meanwhile, and what they write is never overwritten.
    Interrupted or killed, nothing is lost, and the same command finishes the rest. Records that do not open stay as
    they are, and the exit status is 1; where the device or the database stays away, it is 3.

    With --scheduler the workers of a Dask cluster do it, and DATABASE and the files of keys are those of the workers:
    docs/distributed.md. --rate is for all of them together, --threads for each.
    """
    keys = [KeyUri.parse(key) for key in (uri, *previous)]
    rate = default_rate(*keys) if limits.rate is None else limits.rate
    threads = limits.threads or default_threads(*keys)
    if scheduler is not None:
        if reckoning.wanted:
            raise click.UsageError("--estimate needs no --scheduler", click.get_current_context())
        with (
            log_as_warnings(as_json=as_json),
            scheduler.connect() as cluster,
            DistributedRotation(
                cluster, source, uri, previous, batch=limits.batch, threads=threads, rate=rate
            ) as distributed,
        ):
            total = distributed.count()
            done, seconds = _rehearse(distributed) if dry_run else (_run(distributed, total, as_json=as_json), None)
        _show(done, distributed.target, total, rehearsed_in=seconds, as_json=as_json)
        return
    with open_named(source) as database, log_as_warnings(as_json=as_json):
        if reckoning.wanted:
            _estimate(database, keys, reckoning, rate, as_json=as_json)
            return
        migrations.check(database)
        with KeyRing(uri, previous) as ring:
            rotation = Rotation(database, ring, batch=limits.batch, threads=threads, rate=rate)
            total = _to_move(database, rotation.target)
            done, seconds = _rehearse(rotation) if dry_run else (_run(rotation, total, as_json=as_json), None)
    _show(done, rotation.target, total, rehearsed_in=seconds, as_json=as_json)


def _to_move(database: Database, target: str) -> int:
    counts = RecordTable(database).counts()
    return sum(count.records for count in counts if count.key_id is not None and count.key_id != target)


def _rehearse(rotation: Rotation | DistributedRotation) -> tuple[Progress, float]:
    """What would have become of the records that were tried, and the seconds that it took."""
    began = time.perf_counter()
    done = rotation.rehearse()
    return done, time.perf_counter() - began


def _rehearsal(done: Progress, total: int, seconds: float | None) -> dict[str, float] | None:
    """None where nothing was tried."""
    if seconds is None or not done.rehearsed:
        return None
    rate = done.rehearsed / seconds
    return {"seconds": seconds, "records_per_second": rate, "hours_for_all": total / rate / 3600}


def _run(rotation: Rotation | DistributedRotation, total: int, *, as_json: bool) -> Progress:
    try:
        with _bar(total, as_json=as_json) as tell:
            return rotation.run(tell)
    except BaseException:
        done = rotation.progress.moved
        say(f"{done} records were moved and nothing is lost; the same command goes on from here", as_json=as_json)
        raise


def _show(done: Progress, target: str, total: int, *, rehearsed_in: float | None, as_json: bool) -> None:
    """``rehearsed_in``: seconds, of a dry run."""
    dry_run = rehearsed_in is not None
    refused = sum(done.refused.values())
    result: dict[str, Any] = {
        "target": target,
        "dry_run": dry_run,
        "to_move": total,
        "tried": done.rehearsed,
        "moved": done.moved,
        "changed_meanwhile": done.changed,
        "not_sealed": done.unsealed,
        "refused": [
            {"key_id": kind.key_id, "slot": kind.slot.value, "problem": kind.problem.value, "records": number}
            for kind, number in sorted(done.refused.items())
        ],
        "rehearsal": _rehearsal(done, total, rehearsed_in),
        "complete": not dry_run and done.settled and not refused,
    }
    write_result(result, render(outcome_rows(result)), as_json=as_json)
    if refused:
        warn(f"{refused} records do not open and stay as they are; keep their keys in the ring", as_json=as_json)
    if not dry_run and not done.settled:
        warn("others go on sealing under another key; give all servers the new ring, and run it again", as_json=as_json)
    if refused or not (dry_run or done.settled):
        click.get_current_context().exit(FAILED)


def _estimate(
    database: Database, keys: list[KeyUri], reckoning: Reckoning, rate: float | None, *, as_json: bool
) -> None:
    target, *previous = keys
    prices = Prices.read(reckoning.prices)
    if reckoning.records is not None:
        work = {kms_operations(previous[0] if previous else target, target): reckoning.records}
    else:
        migrations.check(database)
        work = _work(database, previous, target)
    found = estimate(work, prices, region=region_of(target), rate=rate)
    result = {
        "records": found.records,
        "calls": found.calls,
        "price": round(found.price, 2),
        "currency": found.currency,
        "prices_as_of": found.as_of.isoformat(),
        "hours_at_quota": found.hours_at_quota,
        "hours_at_rate": found.hours_at_rate,
        "cpu_hours": found.cpu_hours,
    }
    write_result(result, render(estimate_rows(found, rate)), as_json=as_json)


def _work(database: Database, previous: list[KeyUri], target: KeyUri) -> dict[tuple[str, ...], int]:
    """Records by the KMS operations that each costs, told from the stored algorithm and the URIs."""
    kms_source = next((key for key in previous if key.scheme == KMS), target)
    named = (target.text("key-id") or "").rpartition("/")[2]  # of an ARN the last part is the id
    work: Counter[tuple[str, ...]] = Counter()
    for count in RecordTable(database).counts():
        if count.key_id not in (None, named):
            in_kms = count.algorithm == SEAL_AWSKMS.name
            work[kms_operations(kms_source if in_kms else None, target)] += count.records
    return work


@contextmanager
def _bar(total: int, *, as_json: bool) -> Iterator[Callable[[Progress], object]]:
    """A bar with the time that is left, on a terminal; nothing elsewhere."""
    if as_json or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("rotating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda progress: bar.update(task, completed=min(total, progress.moved + progress.changed))
