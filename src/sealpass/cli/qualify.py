# SPDX-License-Identifier: Apache-2.0
"""``sealpass qualify``: is this key, on this device, fit for the job? A verdict, and a report to file."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import click
from click.core import ParameterSource

from sealpass.bench.gate.targets import load as load_targets
from sealpass.bench.qualification import Options, Progress, Step, Verdict, overall
from sealpass.bench.qualification import qualify as qualify_key
from sealpass.bench.report import files, html_page, markdown, terminal
from sealpass.cli.command import Command
from sealpass.cli.failures import describe, report
from sealpass.cli.options import (
    aes_gcm_options,
    allow_sha1_option,
    file_name,
    force_login_option,
    json_option,
    not_empty,
)
from sealpass.cli.output import say, write_result
from sealpass.cli.profiles import AesGcm, chosen_profile
from sealpass.cli.table import is_terminal
from sealpass.core.contract import PROFILES
from sealpass.core.errors import AuthenticationFailed, OperatorError
from sealpass.core.uri import KeyUri

MAX_FLOOR_SECONDS = 10.0
"""Sixty to eighty failures are awaited; a device that needs longer for one is of no use at a login."""
_KEY_ID_SHOWN = 8
"""Characters of the key id in the name of a report: they tell keys of one name on two tokens apart."""
_LABELS_SHOWN = 60
"""Characters of the labels in it; what comes after them must not be cut off."""


@dataclass(slots=True)
class _Outcome:
    """What became of one key: a document, an error, or, where the report could not be written, both."""

    key: KeyUri
    document: dict[str, Any] | None = None
    reports: dict[str, str] | None = None
    """The paths of the report files, by kind."""
    error: OperatorError | None = None

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        error = None
        if self.error is not None:
            failure = describe(self.error)
            error = {"code": failure.code, "message": failure.message, "hint": failure.hint or None}
        return {"uri": self.key.shown(), "document": self.document, "reports": self.reports, "error": error}


def _checked_floor(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= MAX_FLOOR_SECONDS:  # also false for what is not a number
        raise click.BadParameter(f"it is more than 0 and at most {MAX_FLOOR_SECONDS:g} seconds")
    return value


def _directory(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    checked = file_name(context, parameter, value)  # before it is a Path: an empty one is the current directory
    return None if checked is None else Path(checked)


@click.command(
    cls=Command,
    examples=(
        "sealpass qualify 'pkcs11:token=prod;object=e2ee?pin-source=file:pin' --out reports",
        "sealpass qualify 'awskms:key-id=alias/e2ee;region=eu-central-1' --profile airlock-kms",
        "sealpass qualify 'keystore:path=keys.p12;alias=e2ee?store-pass-source=file:pw' --allow-software",
        'sealpass qualify --quick --allow-sha1 "$KEY"',
    ),
)
@click.argument("uris", metavar="KEY...", nargs=-1, required=True, callback=not_empty)
@click.option(
    "--profile",
    type=click.Choice(tuple(PROFILES)),
    default="sealpass",
    show_default=True,
    envvar="SEALPASS_PROFILE",
    show_envvar=True,
    help="The dialect of the contract that the key has to meet.",
)
@aes_gcm_options
@allow_sha1_option
@click.option("--quick", is_flag=True, help="Measure speed for seconds only; every contract case runs all the same.")
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False),
    callback=_directory,
    help="Write a report as JSON, Markdown and HTML for each key into this directory.",
)
@click.option(
    "--allow-software",
    is_flag=True,
    help="Also pass a key that is in the memory of this process: for development, or where a key store is what you"
    " have.",
)
@click.option(
    "--failure-floor",
    type=float,
    metavar="SECONDS",
    callback=_checked_floor,
    help="Release failures this long after each unwrap began, for a device whose failures are slow."
    "  [default: the device's own; 0.05 for PKCS#11, 0.5 for AWS KMS]",
)
@click.option(
    "--targets",
    "targets_file",
    type=click.Path(dir_okay=False),
    callback=file_name,
    help="Also hold the key against absolute targets of speed, without a queue: a TOML file.",
)
@force_login_option
@json_option
def qualify(  # noqa: PLR0913 - click passes every option by name
    *,
    uris: tuple[str, ...],
    profile: str,
    aes_gcm: AesGcm,
    allow_sha1: bool,
    quick: bool,
    directory: Path | None,
    allow_software: bool,
    failure_floor: float | None,
    targets_file: str | None,
    force_login: bool,
    as_json: bool,
) -> None:
    """Qualify a device for unwrapping passwords.

    Sends up to 190 good and bad tokens to the key, looks at its attributes, measures its speed, and ends with one
    verdict: pass (exit status 0), fail (1) or inconclusive (4). What the profile needs and the key does not do is a
    failure, and so is a key that is not in a device (software:, keystore:) or that only seals (symmetric). Nothing on
    the device is changed; an HSM may log every failed decryption.

    Of several keys each has its own report. A key that cannot be opened takes nothing from the others; the exit
    status is then 1 where another key fails, and otherwise that of the error (3 before 2).
    """
    rules = chosen_profile(profile, allow_sha1=allow_sha1, aes_gcm=aes_gcm)
    keys = [KeyUri.parse(uri) for uri in uris]
    if directory is not None:
        html_page.require()
        files.make_directory(directory)
    targets = None if targets_file is None else load_targets(Path(targets_file))
    if targets is not None:
        for key in keys:
            targets.of(key.scheme)  # before any work
    options = Options(
        quick=quick,
        force_login=force_login,
        failure_floor=failure_floor,
        allow_software=allow_software,
        targets=targets,
    )
    outcomes: list[_Outcome] = []
    for key in keys:
        outcome = _Outcome(key)
        outcomes.append(outcome)
        with _progress(key, as_json=as_json) as progress:
            try:
                outcome.document = qualify_key(key, rules, options, progress)
            except OperatorError as error:
                outcome.error = error
        if isinstance(outcome.error, AuthenticationFailed):
            # Forced once is enough: from now on the backend keeps back a PIN that a token refused.
            options = replace(options, force_login=False)
        if outcome.document is not None and directory is not None:
            taken = {Path(one.reports["json"]).stem for one in outcomes if one.reports is not None}
            try:
                outcome.reports = _write(directory, key, outcome.document, taken)
            except OperatorError as error:
                outcome.error = error
        _show(outcome, as_json=as_json)
    word, status = _overall(outcomes)
    if as_json:
        result = {"verdict": word, "exit_code": status, "keys": [outcome.to_dict() for outcome in outcomes]}
        write_result(result, "", as_json=True)
    elif len(outcomes) > 1:
        write_result(None, f"{word.upper()}: {_counted(outcomes)}", as_json=False)
    click.get_current_context().exit(status)


def _show(outcome: _Outcome, *, as_json: bool) -> None:
    """The report on standard output, an error on standard error."""
    if outcome.document is not None and not as_json:
        watched = _is_watched(sys.stdout)
        width = shutil.get_terminal_size().columns if watched else terminal.UNFOLDED
        text = terminal.render(outcome.document, width=width, color=watched and not os.environ.get("NO_COLOR"))
        paths = "".join(f"report: {path}\n" for path in (outcome.reports or {}).values())
        write_result(None, text + paths, as_json=False)
    if outcome.error is not None:
        debug = click.get_current_context().find_root().get_parameter_source("debug") is ParameterSource.COMMANDLINE
        report(outcome.error, as_json=as_json, debug=debug)


def _overall(outcomes: Sequence[_Outcome]) -> tuple[str, int]:
    """One word and one exit status for all keys: a failure stays visible beside an error."""
    verdicts = [Verdict(outcome.document["verdict"]["verdict"]) for outcome in outcomes if outcome.document is not None]
    errors = [describe(outcome.error).status for outcome in outcomes if outcome.error is not None]
    if errors and Verdict.FAIL not in verdicts:
        return "error", max(errors)
    verdict = overall(verdicts)
    return verdict.value, verdict.exit_code


def _counted(outcomes: Sequence[_Outcome]) -> str:
    errors = sum(outcome.error is not None for outcome in outcomes)
    return f"all {len(outcomes)} keys together" + (f", {errors} of them with an error" if errors else "")


def _write(directory: Path, key: KeyUri, document: dict[str, Any], taken: set[str]) -> dict[str, str]:
    """Write the report files under a name that is not taken; answers their paths."""
    named = [key.text(name) or "" for name in ("token", "object", "alias", "key-id") if key.octets(name) is not None]
    path = key.text("path")
    if path:
        named.insert(0, Path(path).stem)
    settings = document["settings"]
    labels, key_id = "-".join(named)[:_LABELS_SHOWN], (document["key"]["id"] or "")[:_KEY_ID_SHOWN]
    variant = "-".join(str(settings[name]) for name in ("kms_key_bits", "kms_aad") if name in settings)
    sha1 = "sha1" if settings["allow_sha1"] else ""
    name = files.file_name(key.scheme, labels, key_id, settings["profile"], variant, sha1)
    unique = next(one for one in _numbered(name) if one not in taken)
    paths = {"json": directory / f"{unique}.json", "markdown": directory / f"{unique}.md"}
    paths["html"] = directory / f"{unique}.html"
    texts = (json.dumps(document, indent=2) + "\n", markdown.render(document), html_page.render([document]))
    files.write_all(dict(zip(paths.values(), texts, strict=True)))
    return {kind: str(path) for kind, path in paths.items()}


def _is_watched(stream: TextIO | None) -> bool:
    """Whether a person watches the stream on a terminal that knows control sequences; a dumb one is like a pipe."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


@contextmanager
def _progress(key: KeyUri, *, as_json: bool) -> Iterator[Progress]:
    """A bar on a terminal, one line a stage elsewhere; always on standard error."""
    if as_json or not _is_watched(sys.stderr) or os.environ.get("NO_COLOR"):
        yield _line_a_stage(key, as_json=as_json)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    _tell(key.shown(), as_json=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: Step) -> None:
            bar.update(task, description=step.stage, completed=step.done, total=step.total)

        yield show


def _line_a_stage(key: KeyUri, *, as_json: bool) -> Progress:
    _tell(key.shown(), as_json=as_json)
    seen: set[str] = set()

    def show(step: Step) -> None:
        if step.stage not in seen:
            seen.add(step.stage)
            _tell(step.stage, as_json=as_json)

    return show


def _tell(message: str, *, as_json: bool) -> None:
    say(message if as_json else f"sealpass: {message}", as_json=as_json)
