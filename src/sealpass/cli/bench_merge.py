# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench merge``: the results of several processes or machines as one."""

import json
from pathlib import Path

import click

from sealpass.bench.load.document import SCHEMA
from sealpass.bench.load.merge import merge as merge_documents
from sealpass.bench.report import files
from sealpass.bench.report.reading import read
from sealpass.cli.bench_run import STDOUT, table
from sealpass.cli.command import Command
from sealpass.cli.options import check_apart, json_option, not_empty
from sealpass.cli.output import write_result
from sealpass.core.errors import ConfigError


@click.command(cls=Command, examples=("sealpass bench merge client-1.json client-2.json --out both.json",))
@click.argument("results", metavar="RESULT...", nargs=-1, required=True, callback=not_empty)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    callback=not_empty,
    help="Write the merged result as JSON into this file; - is standard output.",
)
@json_option
def merge(*, results: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Merge the results of several processes or machines.

    Needs two or more files of bench run. Histograms are added without loss and counts are summed, where operation,
    axes, load and key are the same; what is not the same stays apart. Throughput is right answers by the time in
    which at least one of the runs was measuring: the sum of their rates where they were started together, their mean
    where they followed one another.
    """
    check_apart([("--out", out if out != STDOUT else None)], [("a result", result) for result in results])
    if out is not None and out != STDOUT:
        files.make_place(Path(out))
    documents = [read(Path(result), [SCHEMA]) for result in results]
    try:
        document = merge_documents(documents)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:  # an index, a date
        raise ConfigError(f"a file does not follow the schema sealpass.run/1 ({type(error).__name__})") from None
    if out is not None and out != STDOUT:
        files.write_all({Path(out): json.dumps(document, indent=2) + "\n"})
    write_result(document, table(document), as_json=as_json or out == STDOUT)
