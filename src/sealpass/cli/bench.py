# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench``: the table of its commands. A new command is a new module and one entry here."""

import click

from sealpass.cli.command import Entry, LazyGroup

COMMANDS = {
    "run": Entry("sealpass.cli.bench_run", "Put load on keys and measure how they bear it."),
    "gate": Entry("sealpass.cli.bench_gate", "Say whether a key got slower, against its baseline and against targets."),
    "compare": Entry(
        "sealpass.cli.bench_compare",
        "Say whether B is slower than A: two keys, modules, configurations or installations.",
    ),
    "merge": Entry("sealpass.cli.bench_merge", "Merge the results of several processes or machines."),
    "report": Entry("sealpass.cli.bench_report", "Make a page of result files, with plots."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def bench() -> None:
    """Measure the speed of keys."""
