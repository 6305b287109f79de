# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench run``: put load on keys, and write down how they bore it."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from sealpass.bench.load.interrupts import outlast
from sealpass.bench.load.objective import error_share
from sealpass.bench.load.operations import Name
from sealpass.bench.load.recording import WRONG_RESULT
from sealpass.bench.load.remarks import rates_not_kept, times_shown
from sealpass.bench.load.run import Step
from sealpass.bench.load.scenario import Settings, read_scenario
from sealpass.bench.report import files
from sealpass.cli import failures
from sealpass.cli.command import Command
from sealpass.cli.load_options import Inquiry, conclusions, inquiry_options, misses_objective
from sealpass.cli.options import NamedPath, check_apart, json_option, not_empty
from sealpass.cli.output import say, warn, write_result
from sealpass.cli.table import is_terminal, render
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.contract import PROFILES
from sealpass.core.uri import KeyUri

T = TypeVar("T")
STDOUT = "-"
_MILLION = 1_000_000


def _whole_numbers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """``1,2,4``; what the numbers may be is checked with the other settings."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("it is a list of whole numbers: 1,2,4") from None


def _argon2(context: click.Context, parameter: click.Parameter, value: str | None) -> Argon2Parameters | None:
    numbers = _whole_numbers(context, parameter, value)
    if numbers is None:
        return None
    if len(numbers) != 3:  # noqa: PLR2004 - m, t, p
        raise click.BadParameter("it is KIB,PASSES,LANES: 65536,3,4")
    return Argon2Parameters(*numbers)


def _axis(name: str, help_text: str, shown: str = "N,…") -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(name, metavar=shown, callback=_whole_numbers, help=help_text)


@click.command(
    cls=Command,
    examples=(
        "sealpass bench run 'pkcs11:token=prod;object=e2ee?pin-source=file:pin' --threads 1,2,4 --out run.json",
        "sealpass bench run KEY --threads 8 --sessions 1,2,4,8 --seconds 20",
        "sealpass bench run KEY --rate 200 --threads 16 --out open.json",
        "sealpass bench run KEY --operation login --seal-key AES-KEY",
        "sealpass bench run --scenario peak.toml --out -",
        "sealpass bench run KEY --threads 16 --sessions 1,2,4,6,8,12,16 --usl",
        "sealpass bench run KEY --threads 64 --find-max --slo p99=20ms --slo errors=0.1%",
        "sealpass bench run KEY --threads 16 --distributed tls://10.20.0.1:8786",
    ),
)
@click.argument("uris", metavar="[KEY]...", nargs=-1, callback=not_empty)
@click.option(
    "--scenario", type=click.Path(dir_okay=False), callback=not_empty, help="Take the settings from this TOML file."
)
@click.option(
    "--operation",
    "operations",
    type=click.Choice([name.value for name in Name]),
    multiple=True,
    help="What to measure; may be repeated.  [default: unwrap, or open where no key unwraps]",
)
@click.option("--seconds", type=float, metavar="SECONDS", help="Length of each measurement.  [default: 10]")
@click.option("--repeat", type=int, metavar="N", help="Measure everything so often, each time in another order.")
@_axis("--threads", "Threads of each process.  [default: 1]")
@_axis("--sessions", "Sessions of each process with a PKCS#11 token.  [default: as the URI says]")
@_axis("--processes", "Processes; more than one are started afresh.  [default: 1]")
@_axis("--payload", "Bytes of the padded payload of a token, or of a sealed text.  [default: 64]", "BYTES,…")
@click.option(
    "--rate",
    type=float,
    metavar="RATE",
    help="Open loop: start so many operations a second, whether the ones before have ended or not.",
)
@click.option(
    "--per-thread-schedule", is_flag=True, help="Open loop: each thread has starts of its own, and takes no others."
)
@inquiry_options
@click.option("--warm-up", type=float, metavar="SECONDS", help="Wait at most so long for a steady state. [default: 10]")
@click.option("--seal-key", metavar="URI", callback=not_empty, help="The key of the records, for login.")
@click.option("--profile", type=click.Choice(tuple(PROFILES)), help="The dialect of the tokens.  [default: sealpass]")
@click.option("--allow-sha1", is_flag=True, help="Also take RSA-OAEP with SHA-1, for tokens that can do nothing else.")
@click.option("--argon2", metavar="KIB,PASSES,LANES", callback=_argon2, help="Cost of a hash.  [default: 65536,3,4]")
@click.option("--seed", type=int, metavar="N", help="Of the order of the measurements.  [default: 1]")
@click.option(
    "--allow-errors",
    "allowed",
    default="0",
    metavar="SHARE",
    callback=lambda _context, _parameter, value: error_share(value),
    help="Errors of a measurement that are no failure: 0.1%.  [default: 0]",
)
@click.option("--raw", is_flag=True, help="Keep every service time in the result.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    callback=not_empty,
    help="Write the result as JSON into this file; - is standard output.",
)
@json_option
def run(  # noqa: PLR0913 - click passes every option by name
    *,
    uris: tuple[str, ...],
    scenario: str | None,
    operations: tuple[str, ...],
    payload: tuple[int, ...] | None,
    rate: float | None,
    per_thread_schedule: bool,
    warm_up: float | None,
    argon2: Argon2Parameters | None,
    allow_sha1: bool,
    raw: bool,
    allowed: float,
    out: str | None,
    as_json: bool,
    inquiry: Inquiry,
    **others: Any,
) -> None:
    """Put load on keys and measure how they bear it.

    Needs the extra bench, and keys that unwrap or seal. Every answer is compared with the right one; errors are
    counted by their code and never as speed. All combinations of the axes are measured, in a random order, after a
    warm-up each. Without --rate every thread starts its next operation when the one before has ended (closed loop),
    which hides stalls: docs/load.md.

    An open loop that the key did not keep is said on standard error, and is no failure: it was measured.

    An interrupt ends the run and keeps what was measured. The exit status is 1 where an answer was wrong, operations
    failed or no rate holds the objective, and 4 where something was not measured, or not enough of it.
    """
    if allowed and inquiry.search is not None:
        raise click.UsageError("--find-max and --allow-errors do not go together: --slo errors=0.1% allows them")
    given: dict[str, Any] = {name: value for name, value in others.items() if value is not None}
    given |= {
        "keys": uris,
        "operations": tuple(Name(name) for name in operations),
        "payload_bytes": payload,
        "rate_per_s": rate,
        "hashing": argon2,
        "allow_sha1": allow_sha1 or None,
        "raw": raw or None,
        "shared_schedule": False if per_thread_schedule else None,
        "warm_up_max_s": warm_up,
    }
    base = Settings() if scenario is None else read_scenario(Path(scenario))
    if warm_up is not None:
        given["warm_up_min_s"] = min(warm_up, base.warm_up_min_s)
    settings = replace(base, **{name: value for name, value in given.items() if value not in (None, ())})
    if out is not None and out != STDOUT:
        check_apart([("--out", out)], _inputs(settings, scenario, inquiry))
        files.make_place(Path(out))
    with _progress(as_json=as_json) as progress:
        document = inquiry.run(settings, progress)
    if out is not None and out != STDOUT:
        _write(document, Path(out))
    shown = "\n".join([table(document), *conclusions(document)])
    if as_json or out == STDOUT:
        write_result(document, "", as_json=True)
        if not as_json:
            say(shown, as_json=False)
    else:
        write_result(None, shown, as_json=False)
    for one in document["measurements"]:
        if one["status"] != "measured" or one["reason"] is not None:
            warn(f"{one['id']}: {one['reason']}", as_json=as_json)
    for text in (*rates_not_kept(document), *failing(document, allowed)):
        warn(text, as_json=as_json)
    click.get_current_context().exit(status_of(document, allowed=allowed))


def _inputs(settings: Settings, scenario: str | None, inquiry: Inquiry) -> Iterator[NamedPath]:
    """The files that a run reads, here or on other machines; raises ConfigError for what is no URI."""
    yield "--scenario", scenario
    for uri in map(KeyUri.parse, filter(None, (*settings.keys, settings.seal_key))):
        yield "the file of a key", uri.text("path")
        for name in ("pin-source", "store-pass-source", "key-pass-source"):
            yield name, (uri.text(name) or "").removeprefix("file:") or None
    if inquiry.scheduler is not None and inquiry.scheduler.files is not None:
        yield from (("a file of --tls", path) for path in astuple(inquiry.scheduler.files))


def _write(document: dict[str, Any], out: Path) -> None:
    """The file is whole, or not there; an interrupt is raised when it is written, a second one at once."""
    texts = {out: json.dumps(document, indent=2) + "\n"}
    if document["status"] == "interrupted":
        files.write_all(texts)  # here, because what a second interrupt leaves of it has to be removed
        return
    _, was_interrupted = outlast(lambda: files.write_all(texts), is_second=False)
    if was_interrupted:
        raise KeyboardInterrupt


def status_of(document: dict[str, Any], *, allowed: float = 0.0) -> int:
    """The exit status for a result: a wrong answer before an interrupt before what failed before what is missing.

    ``allowed`` is a share of errors; where a rate was searched for, the objective has its own.
    """
    if any(WRONG_RESULT in one["errors"] for one in document["measurements"]):
        return failures.FAILED
    if document["status"] == "interrupted":
        return failures.INTERRUPTED
    if misses_objective(document) or any(failing(document, allowed)):
        return failures.FAILED
    return 0 if document["status"] == "complete" else failures.INCONCLUSIVE


def failing(document: dict[str, Any], allowed: float) -> Iterator[str]:
    """Measurements of which nothing was right, or a greater share than this failed, in words."""
    for one in document["measurements"]:
        # A lost process is not an operation that failed: what it would have measured is missing.
        failed = sum(count for code, count in one["errors"].items() if not code.startswith("worker-"))
        all_of_them = one["verified"] + failed
        is_too_much = not one["verified"] or (not document["objectives"] and failed > allowed * all_of_them)
        if failed and is_too_much:
            yield f"{one['id']}: {failed} of {all_of_them} operations failed"


# -- the table -----------------------------------------------------------------------------------------------------

_HEADERS = ("measurement", "1/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "errors", "state")


def table(document: dict[str, Any]) -> str:
    """The measurements for people, a row each, and below it which times the latencies are."""
    measured = sorted(document["measurements"], key=lambda one: (one["operation"], one["device"], one["id"]))
    several = len({one["device"] for one in measured}) > 1
    rows = render([_row(one, several=several) for one in measured], _HEADERS)
    return "\n".join(filter(None, (rows, times_shown(document))))


def _row(one: dict[str, Any], *, several: bool) -> tuple[str, ...]:
    name = f"key {one['device'] + 1}: {one['id']}" if several else one["id"]
    timing = one["response"] or one["service"]
    latency = {} if timing is None else timing["latency"]
    errors = ", ".join(f"{count} {code}" for code, count in one["errors"].items())
    if one["load"]["kind"] == "open" and one["load"]["unstarted"]:
        errors = ", ".join(filter(None, (errors, f"{one['load']['unstarted']} not started")))
    rate = "–" if one["throughput_per_s"] is None else f"{one['throughput_per_s']:.1f}"  # noqa: RUF001 - a dash
    shown = (milliseconds(latency.get(key)) for key in ("p50_ns", "p90_ns", "p99_ns", "max_ns"))
    return (name, rate, *shown, errors or "0", one["stability"]["status"])


def milliseconds(nanoseconds: int | None) -> str:
    """Three digits, or a dash where there is no figure."""
    return "–" if nanoseconds is None else f"{nanoseconds / _MILLION:.3g}"  # noqa: RUF001 - a dash


# -- the live line -------------------------------------------------------------------------------------------------


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[Step], None]]:
    """One line that changes on a terminal, nothing elsewhere; always on standard error."""
    if as_json or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR"):
        yield lambda _step: None
        return
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    latest: dict[int, Step] = {}
    with Status("", console=Console(stderr=True)) as status:

        def show(step: Step) -> None:
            if step.tick is None:
                latest.clear()
            else:
                latest[step.tick.process] = step
            status.update(Text(live_line(step, list(latest.values()))))

        yield show


def live_line(step: Step, latest: Sequence[Step]) -> str:
    """What is going on; of several processes the sum of their rates and the worst p99."""
    where = f"[{step.done + 1}/{step.total}] {step.id}: {step.stage}"
    ticks = [one.tick for one in latest if one.tick is not None]
    if not ticks:
        return where
    worst = max((tick.p99_ns for tick in ticks if tick.p99_ns is not None), default=None)
    rate, errors = sum(tick.per_second for tick in ticks), sum(tick.errors for tick in ticks)
    return f"{where}  {rate:.0f}/s  p99 {milliseconds(worst)} ms  {errors} errors"
