# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench compare``: is B slower than A? Both measured in turn in one job, so that any runner will do."""

from dataclasses import replace

import click

from sealpass.bench.gate import compare as comparing
from sealpass.bench.gate.compare import Contender
from sealpass.bench.gate.decision import Rule
from sealpass.bench.gate.operation import SOFTWARE, naming
from sealpass.cli.bench_gate import shown
from sealpass.cli.command import Command
from sealpass.cli.gate_options import (
    Written,
    check_reference,
    max_error_rate_option,
    noise_floor_option,
    written_options,
)
from sealpass.cli.options import force_login_option, json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.core.uri import KeyUri

_TWO = 2


@click.command(
    cls=Command,
    examples=(
        "sealpass bench compare 'pkcs11:object=key?module-path=old.so&…' 'pkcs11:object=key?module-path=new.so&…'",
        "sealpass bench compare KEY --python old/bin/python --python new/bin/python",
        "sealpass bench compare KEY-A KEY-B --junit compare.xml --out reports",
    ),
)
@click.argument("keys", metavar="A [B]", nargs=-1, callback=not_empty)
@click.option(
    "--python",
    "pythons",
    metavar="PYTHON",
    multiple=True,
    callback=not_empty,
    help="Given twice: interpreters with two installations of sealpass, for A and for B; one key is enough then.",
)
@click.option(
    "--reference",
    metavar="URI",
    callback=not_empty,
    help=f"A key to measure in turn with both; never changed, and best on the same device.  [default: {SOFTWARE}]",
)
@noise_floor_option
@max_error_rate_option
@written_options("compare.json")
@force_login_option
@json_option
def compare(
    *,
    keys: tuple[str, ...],
    pythons: tuple[str, ...],
    reference: str | None,
    noise_floor: float | None,
    max_error_rate: float,
    written: Written,
    force_login: bool,
    as_json: bool,
) -> None:
    """Say whether B is slower than A: two keys, modules, configurations or installations.

    Fresh processes of both open tokens in turn, A B, B A, and so on, so that what the machine does meanwhile hits
    both: no baseline is needed, and a shared runner will do. B fails (exit status 1) where an answer of either
    is wrong, or where it is slower than A by more than the noise floor and that is statistically significant; a
    faster B passes. Inconclusive (4): neither a slowdown nor its absence was shown. Takes ten seconds where the
    answer is clear, and never more than a minute: docs/gate.md.
    """
    a, b = _contenders(keys, pythons)
    key_files = []
    for whose, uri in (("A", a.uri), ("B", b.uri)):
        with naming(whose):
            key_files.append((whose, KeyUri.parse(uri).text("path")))
    check_reference(reference)
    written.prepare(key_files)
    rule = Rule() if noise_floor is None else replace(Rule(), noise_floor=noise_floor)
    asked = comparing.Asked(a, b, reference, force_login, rule, max_error_rate=max_error_rate)
    document = comparing.run(asked, lambda stage: say(stage if as_json else f"sealpass: {stage}", as_json=as_json))
    written.write(document)
    write_result(document, shown(document), as_json=as_json)
    click.get_current_context().exit(document["verdict"]["exit_code"])


def _contenders(keys: tuple[str, ...], pythons: tuple[str, ...]) -> tuple[Contender, Contender]:
    """Who is compared; raises UsageError."""
    context = click.get_current_context()
    if len(pythons) not in (0, _TWO):
        raise click.UsageError("give --python twice, for A and for B, or not at all", context)
    if len(keys) == 1 and not pythons:
        raise click.UsageError("give two keys, or one key and --python twice", context)
    if len(keys) not in (1, _TWO):
        raise click.UsageError("give two keys, A and B", context)
    a, b = pythons or (None, None)
    return Contender(keys[0], a), Contender(keys[-1], b)
