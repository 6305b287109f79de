# SPDX-License-Identifier: Apache-2.0
"""``sealpass bench gate``: is the key as fast as its baseline? An exit status to trust on a noisy machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sealpass.bench.export import printable_texts
from sealpass.bench.gate import gate as gating
from sealpass.bench.gate import rows, targets
from sealpass.bench.gate.decision import Rule
from sealpass.bench.gate.operation import SOFTWARE
from sealpass.bench.gate.spawn import Request
from sealpass.cli.command import Command
from sealpass.cli.gate_options import (
    Written,
    check_reference,
    max_error_rate_option,
    noise_floor_option,
    written_options,
)
from sealpass.cli.options import file_name, force_login_option, json_option, key_argument, not_empty
from sealpass.cli.output import say, write_result
from sealpass.cli.table import render
from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri


@click.command(
    cls=Command,
    examples=(
        "sealpass bench gate KEY --baseline bench/baseline.json --update-baseline 'first one'",
        "sealpass bench gate KEY --baseline bench/baseline.json",
        "sealpass bench gate KEY --baseline bench/baseline.json --targets bench/targets.toml --out reports",
        "sealpass bench gate KEY --baseline bench/hsm.json --reference 'pkcs11:token=prod;object=never-changed?…'",
    ),
)
@key_argument
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False),
    required=True,
    callback=file_name,
    help="The figures to compare with: a small JSON file, meant to be committed.",
)
@click.option(
    "--update-baseline",
    "reason",
    metavar="REASON",
    callback=not_empty,
    help="Measure, and write the baseline in place of comparing; the reason, one line, is kept in it.",
)
@click.option(
    "--targets",
    "targets_file",
    type=click.Path(dir_okay=False),
    callback=file_name,
    help="Also hold the key against absolute targets: a TOML file.",
)
@click.option(
    "--reference",
    metavar="URI",
    callback=not_empty,
    help=f"A second key on the same device, to measure in turn; or {SOFTWARE}.  [default for soft tokens: {SOFTWARE}]",
)
@click.option(
    "--on-mismatch",
    type=click.Choice(("warn", "fail")),
    default="warn",
    show_default=True,
    help="Where the baseline is of another kind of machine, nothing is compared: that is exit status 0, or 1.",
)
@noise_floor_option
@max_error_rate_option
@written_options("gate.json")
@force_login_option
@json_option
def gate(  # noqa: PLR0913 - click passes every option by name
    *,
    uri: str,
    baseline: str,
    reason: str | None,
    targets_file: str | None,
    reference: str | None,
    on_mismatch: str,
    noise_floor: float | None,
    max_error_rate: float,
    written: Written,
    force_login: bool,
    as_json: bool,
) -> None:
    """Say whether a key got slower, against its baseline and against targets.

    Fresh processes open tokens in turn with a reference operation; every plaintext is compared. The key fails (exit
    status 1) where an answer is wrong, where it is slower than its baseline by more than the noise floor and that is
    statistically significant, where it is another key than the baseline's (size, mode, algorithm), or where it misses
    a target by more than its slack. Inconclusive (4): neither a
    slowdown nor its absence was shown. Takes six to eight seconds where the answer is clear, and never more
    than a minute without --targets: docs/gate.md.
    """
    key = KeyUri.parse(uri)
    check_reference(reference)
    if reason is not None:
        reason = _checked(reason)
    written.prepare((("--baseline", baseline), ("--targets", targets_file), ("KEY", key.text("path"))))
    asked = gating.Asked(
        Request(uri, reference, force_login=force_login),
        Path(baseline),
        reason,
        None if targets_file is None else targets.load(Path(targets_file)),
        targets_file,
        on_mismatch == "fail",
        Rule() if noise_floor is None else replace(Rule(), noise_floor=noise_floor),
        max_error_rate=max_error_rate,
    )
    document = gating.run(asked, lambda stage: say(stage if as_json else f"sealpass: {stage}", as_json=as_json))
    written.write(document)
    write_result(document, shown(document), as_json=as_json)
    click.get_current_context().exit(document["verdict"]["exit_code"])


def _checked(reason: str) -> str:
    """The reason for a new baseline in one line; raises ConfigError, and UsageError beside options that compare."""
    context = click.get_current_context()
    for name in ("on_mismatch", "noise_floor"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} says how to compare, and --update-baseline compares nothing", context)
    line, hint = " ".join(reason.split()), "say why: --update-baseline 'new firmware'"
    if not line:
        raise ConfigError("a baseline is not updated without a reason", hint=hint)
    if not line.isprintable():
        raise ConfigError("the reason for a baseline is text in UTF-8, without control characters", hint=hint)
    return line


def shown(document: dict[str, Any]) -> str:
    """A gate document for people."""
    document = printable_texts(document)
    parts = ["\n".join(rows.side_lines(document))]
    if document["comparisons"]:
        parts.append(render(rows.comparison_rows(document), rows.comparison_headers(document)))
    if document["objectives"]:
        parts.append(render(rows.objective_rows(document), rows.OBJECTIVE_HEADERS))
    parts += ["\n".join(rows.stage_lines(document)), rows.headline(document)]
    return "\n\n".join(parts)
