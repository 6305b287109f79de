# SPDX-License-Identifier: Apache-2.0
"""What the commands that judge speed have in common: options, and the files that they leave."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sealpass.bench import export
from sealpass.bench.gate.operation import SOFTWARE, naming
from sealpass.bench.report import files
from sealpass.cli.options import NamedPath, check_apart, file_name
from sealpass.core.uri import KeyUri

Command = Callable[..., Any]
_MAX_NOISE_FLOOR = 0.5
_MAX_ERROR_RATE = 0.1
_HELP = {
    "junit": "Write JUnit XML, which CI servers show: one test a check.",
    "markdown": "Write a summary as Markdown, for the page of a CI job.",
    "prometheus": "Write the figures in Prometheus' text format.",
    "pytest-benchmark": "Write the times as pytest-benchmark's JSON, for tools that keep a history.",
}


def check_reference(reference: str | None) -> None:
    """See that a reference is SOFTWARE or a key URI; raises ConfigError."""
    if reference is not None and reference != SOFTWARE:
        with naming("the reference"):
            KeyUri.parse(reference)


def _number(value: str) -> float | None:
    """A share, as a percentage or not; None is not a number."""
    try:
        return float(value.removesuffix("%").strip()) / (100 if value.endswith("%") else 1)
    except ValueError:
        return None


def _share(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """``2.5%`` or ``0.025``."""
    if value is None:
        return None
    number = _number(value)
    if number is None or not 0 < number <= _MAX_NOISE_FLOOR:
        raise click.BadParameter(f"it is a share like 2.5%, above 0 and at most {100 * _MAX_NOISE_FLOOR:g}%")
    return number


noise_floor_option = click.option(
    "--noise-floor",
    metavar="SHARE",
    callback=_share,
    help="A slowdown up to this never fails; one of twice this must not slip through.  [default: 2.5%]",
)


def _rate(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """``1%`` or ``0.01``; 0 is one, too."""
    number = _number(value)
    if number is None or not 0 <= number <= _MAX_ERROR_RATE:
        raise click.BadParameter(f"it is a share like 0.1%, at most {100 * _MAX_ERROR_RATE:g}%")
    return number


max_error_rate_option = click.option(
    "--max-error-rate",
    metavar="SHARE",
    default="0",
    show_default=True,
    callback=_rate,
    help="Up to this share of operations may fail with an error; a wrong plaintext fails always.",
)


@dataclass(frozen=True, slots=True)
class Written:
    """The files that a command leaves beside its answer."""

    paths: Mapping[str, Path]
    """By form; json is the document itself."""

    def prepare(self, inputs: Iterable[NamedPath]) -> None:
        """See that all can be written, and that none replaces an input; raises ConfigError, before any long work."""
        check_apart([("--out" if form == "json" else f"--{form}", path) for form, path in self.paths.items()], inputs)
        for path in self.paths.values():
            files.make_place(path)

    def write(self, document: Mapping[str, Any]) -> None:
        """All of them, or none; raises ConfigError."""
        texts = {
            path: json.dumps(document, indent=2) + "\n" if form == "json" else export.render(document, form)
            for form, path in self.paths.items()
        }
        if texts:
            files.write_all(texts)


def written_options(name: str) -> Callable[[Command], Command]:
    """``--out DIRECTORY``, which gets ``name``, and ``--junit FILE`` and the like, as one argument ``written``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(*arguments: Any, directory: str | None, **options: Any) -> Any:
            paths = {} if directory is None else {"json": Path(directory) / name}
            for form in export.FORMS:
                path = options.pop(form.replace("-", "_"))
                if path is not None:
                    paths[form] = Path(path)
            return command(*arguments, written=Written(paths), **options)

        for form in reversed(export.FORMS):
            path_type = click.Path(dir_okay=False)
            option = click.option(f"--{form}", metavar="FILE", type=path_type, callback=file_name, help=_HELP[form])
            gathered = option(gathered)
        return click.option(
            "--out",
            "directory",
            type=click.Path(file_okay=False),
            callback=file_name,
            help=f"Write the result as {name} into this directory.",
        )(gathered)

    return decorate
