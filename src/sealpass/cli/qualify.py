# SPDX-License-Identifier: Apache-2.0
"""``sealpass qualify``: is this key, on this device, fit for the job? A verdict, and a report to file."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from sealpass.bench.qualification import Options, Progress, Step, Verdict, overall
from sealpass.bench.qualification import qualify as qualify_key
from sealpass.bench.report import files, markdown, terminal
from sealpass.cli.command import Command
from sealpass.cli.options import allow_sha1_option, force_login_option, json_option
from sealpass.cli.output import write_result
from sealpass.cli.table import is_terminal
from sealpass.core.contract import PROFILES, profile_named
from sealpass.core.uri import KeyUri

Say = Callable[[str], None]


@click.command(
    cls=Command,
    examples=(
        "sealpass qualify 'pkcs11:token=prod;object=e2ee?pin-source=file:pin' --out reports",
        'sealpass qualify --quick --allow-sha1 "$KEY"',
    ),
)
@click.argument("uris", metavar="KEY...", nargs=-1, required=True)
@click.option(
    "--profile",
    type=click.Choice(tuple(PROFILES)),
    default="sealpass",
    show_default=True,
    envvar="SEALPASS_PROFILE",
    show_envvar=True,
    help="The dialect of the contract that the key has to meet.",
)
@allow_sha1_option
@click.option("--quick", is_flag=True, help="Measure speed for seconds only; every contract case runs all the same.")
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a report as JSON and as Markdown for each key into this directory.",
)
@force_login_option
@json_option
def qualify(
    *,
    uris: tuple[str, ...],
    profile: str,
    allow_sha1: bool,
    quick: bool,
    directory: Path | None,
    force_login: bool,
    as_json: bool,
) -> None:
    """Qualify a device for unwrapping passwords.

    Sends some 190 good and bad tokens to the key, looks at its attributes, measures its speed, and ends with one
    verdict: pass (exit status 0), fail (1) or inconclusive (4). What the profile needs and the key does not do is a
    failure. Nothing on the device is changed; an HSM may log every failed decryption.
    """
    rules = profile_named(profile).allowing_sha1() if allow_sha1 else profile_named(profile)
    keys = [KeyUri.parse(uri) for uri in uris]
    if directory is not None:
        files.make_directory(directory)
    options = Options(quick=quick, force_login=force_login)
    documents: list[dict[str, Any]] = []
    reports: list[dict[str, str]] = []
    for key in keys:
        with _progress(key) as progress:
            document = qualify_key(key, rules, options, progress)
        documents.append(document)
        if directory is not None:
            reports.append(_write(directory, key, document, taken=reports))
        if not as_json:
            watched = is_terminal(sys.stdout)
            width = shutil.get_terminal_size().columns if watched else terminal.UNFOLDED
            text = terminal.render(document, width=width, color=watched)
            paths = "".join(f"report: {path}\n" for path in (reports[-1].values() if reports else ()))
            write_result(None, text + paths, as_json=False)
    verdict = overall(Verdict(document["verdict"]["verdict"]) for document in documents)
    if as_json:
        result = {"verdict": verdict.value, "exit_code": verdict.exit_code, "reports": reports, "keys": documents}
        write_result(result, "", as_json=True)
    elif len(documents) > 1:
        write_result(None, f"{verdict.value.upper()}: all {len(documents)} keys together", as_json=False)
    click.get_current_context().exit(verdict.exit_code)


def _write(directory: Path, key: KeyUri, document: dict[str, Any], taken: list[dict[str, str]]) -> dict[str, str]:
    """Write the report files; answers their paths."""
    named = [key.text(name) or "" for name in ("token", "object", "alias", "key-id") if key.octets(name) is not None]
    path = key.text("path")
    if path:
        named.insert(0, Path(path).stem)
    settings = document["settings"]
    name = files.file_name(key.scheme, *named, settings["profile"], "sha1" if settings["allow_sha1"] else "")
    used = {Path(report["json"]).stem for report in taken}
    unique = next(one for one in _numbered(name) if one not in used)
    as_json, as_markdown = directory / f"{unique}.json", directory / f"{unique}.md"
    files.write_all({as_json: json.dumps(document, indent=2) + "\n", as_markdown: markdown.render(document)})
    return {"json": str(as_json), "markdown": str(as_markdown)}


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


@contextmanager
def _progress(key: KeyUri) -> Iterator[Progress]:
    """A bar on a terminal, one line a stage elsewhere; always on standard error."""
    if not is_terminal(sys.stderr):
        yield _line_a_stage(key)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: Step) -> None:
            bar.update(task, description=step.stage, completed=step.done, total=step.total)

        yield show


def _line_a_stage(key: KeyUri) -> Progress:
    click.echo(f"sealpass: {key}", err=True)
    seen: set[str] = set()

    def show(step: Step) -> None:
        if step.stage not in seen:
            seen.add(step.stage)
            click.echo(f"sealpass: {step.stage}", err=True)

    return show
