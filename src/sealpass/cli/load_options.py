# SPDX-License-Identifier: Apache-2.0
"""``--find-max``, ``--usl`` and ``--distributed`` of ``bench run``: what is asked for, and what came of it in words."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from sealpass.bench.load import run as load_run
from sealpass.bench.load.distributed import run_distributed
from sealpass.bench.load.find_max import Search
from sealpass.bench.load.objective import parse
from sealpass.bench.load.run import Progress
from sealpass.bench.load.scaling import add_scaling, check_axes
from sealpass.bench.load.scenario import Settings
from sealpass.bench.load.usl import require_scipy
from sealpass.cli.options import not_empty
from sealpass.cli.scheduler_options import Scheduler, scheduler_options

_DEFAULT_HOLD_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is wanted beyond the measurements."""

    search: Search | None = None
    fits_law: bool = False
    scheduler: Scheduler | None = None

    def run(self, settings: Settings, progress: Progress) -> dict[str, Any]:
        """The document; raises operator errors, and UsageError for settings that do not go together."""
        if settings.rate_per_s is not None and (self.search or self.fits_law):
            raise click.UsageError("--find-max and --usl find rates; --rate gives one", click.get_current_context())
        if self.fits_law:
            check_axes(settings)
        if self.scheduler is None:
            return load_run.run(settings, progress, search=self.search, fits_law=self.fits_law)
        if self.fits_law:
            require_scipy()
        with self.scheduler.connect() as cluster:
            document = run_distributed(cluster, settings, progress)
        if self.fits_law:
            add_scaling(document, seed=settings.seed)
        return document


def inquiry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them, as one argument ``inquiry``."""

    @functools.wraps(command)
    def gathered(
        *,
        find_max: bool,
        slo: tuple[str, ...],
        hold: float | None,
        fits_law: bool,
        scheduler: Scheduler | None,
        **options: Any,
    ) -> Any:
        context = click.get_current_context()
        if find_max is not bool(slo) or (hold is not None and not find_max):
            raise click.UsageError("--find-max and --slo go together, and --hold with them", context)
        if find_max and (fits_law or scheduler is not None):
            raise click.UsageError("--find-max goes neither with --usl nor with --distributed", context)
        search = Search(parse(slo), _DEFAULT_HOLD_SECONDS if hold is None else hold) if find_max else None
        return command(inquiry=Inquiry(search, fits_law, scheduler), **options)

    decorators = (
        click.option("--find-max", is_flag=True, help="Look for the highest rate that holds an objective."),
        click.option(
            "--slo",
            metavar="TERM",
            multiple=True,
            callback=not_empty,
            help="A term of the objective: p99=20ms, max=1s, errors=0.1%; may be repeated. No errors=…: none may fail.",
        ),
        click.option("--hold", type=float, metavar="SECONDS", help="How long a rate has to hold.  [default: 30]"),
        click.option(
            "--usl",
            "fits_law",
            is_flag=True,
            help="Fit the Universal Scalability Law over threads, sessions or processes, and say how many to use.",
        ),
        scheduler_options(
            "--distributed", "Put the load on from the workers of this Dask scheduler, at once: tls://HOST:PORT."
        ),
    )
    for decorator in reversed(decorators):
        gathered = decorator(gathered)
    return gathered


def conclusions(document: Mapping[str, Any]) -> Iterator[str]:
    """Rates that hold, advice, and how well workers began together; a line each."""
    for one in document["objectives"]:
        if one["max_rate_per_s"] is not None:
            held = f"{one['max_rate_per_s']:.4g}/s held {one['slo']} for {one['held_for_s']:g} s"
            yield f"{one['operation']}: {held}; {_failed_of(one)}"
        if one["reason"] is not None:
            yield f"{one['operation']}: {one['reason']}"
    if document["objectives"]:
        yield from (_lateness(one) for one in document["measurements"] if one["start_delay"] is not None)
    of_each = " of each worker" if document.get("distributed") else ""
    for one in document["scaling"]:
        said = [text for text in (one["advice"], one["reason"]) if text]
        yield f"{one['operation']} over {one['axis']}{of_each}: {'. '.join(said)}"
    together = document.get("distributed")
    if together:
        spread, error = together["start_spread_ns"], together["start_error_ns"]
        count = len(together["workers"])
        if spread is not None:
            yield f"{count} workers began within {spread / 1e6:.0f} ms, their clocks known to {error / 1e6:.0f} ms"
        yield from (one["reason"] for one in together["workers"] if one["reason"])


def _failed_of(objective: Mapping[str, Any]) -> str:
    """Of the rate that held: how many operations failed, and how little it says that none did."""
    held = (objective["max_rate_per_s"], round(objective["held_for_s"], 3))
    trial = next(one for one in objective["tried"] if one["held"] and (one["rate_per_s"], one["seconds"]) == held)
    count = trial["operations"] + trial["errors"]
    if trial["errors"]:
        return f"{trial['errors']} of {count} operations failed"
    # With a share p of errors, none in n operations happens with (1 - p) ** n, which is 5 % at the limit.
    limit = 100 * (1 - 0.05 ** (1 / count))
    return f"none of {count} operations failed, so fewer than {limit:.2g} % do (95 % confidence)"


def _lateness(measurement: Mapping[str, Any]) -> str:
    """How far the starts of an open loop were spread behind the instants at which they were due."""
    found = measurement["start_delay"]["latency"]
    shown = {"p50_ns": "p50", "p99_ns": "p99", "max_ns": "at most"}
    figures = [f"{found[key] / 1e6:.3g} ms ({name})" for key, name in shown.items() if found[key] is not None]
    return f"{measurement['operation']}: its starts were late by {', '.join(figures)}"


def misses_objective(document: Mapping[str, Any]) -> bool:
    """Whether an objective was looked for to the end, and no rate held it."""
    return any(
        one["max_rate_per_s"] is None and any(trial["lasted"] is not None for trial in one["tried"])
        for one in document["objectives"]
    )
