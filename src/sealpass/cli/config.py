# SPDX-License-Identifier: Apache-2.0
"""``sealpass config``: whether the configuration of a password service is right, and what it may say at all."""

import json
from pathlib import Path
from typing import Any

import click

from sealpass.cli.command import Group
from sealpass.cli.failures import DEVICE_UNAVAILABLE, FAILED, WRONG_INPUT
from sealpass.cli.options import json_option, not_empty
from sealpass.cli.output import say, write_result
from sealpass.cli.table import render
from sealpass.service.configuration.check import Checked, check_configuration, find_in_file
from sealpass.service.configuration.findings import ConfigurationRefused, Finding, FindingCode, Severity, written
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.configuration.shape import schema_text

_AWAY = (FindingCode.KEY_DOES_NOT_ANSWER, FindingCode.DATABASE_DOES_NOT_ANSWER)


@click.group(cls=Group)
def config() -> None:
    """Check the configuration of a password service, or print its schema."""


@config.command(
    examples=(
        "sealpass config check /etc/sealpass.toml",
        "sealpass config check sealpass.toml --offline --strict",
        "sealpass config check /etc/sealpass.toml --json",
    ),
)
@click.argument("path", metavar="FILE", type=click.Path(), callback=not_empty)
@click.option("--offline", is_flag=True, help="Look at the file only: open no key, ask no database.")
@click.option("--strict", is_flag=True, help="Exit status 1 for warnings, too.")
@json_option
def check(*, path: str, offline: bool, strict: bool, as_json: bool) -> None:
    """Find what is wrong with a configuration, at its line and key.

    Needs the file and, without --offline, the keys, PINs and database that it names: every key of every ring is
    opened, once, and the database is asked for its version and for the keys of its records, which reads the whole
    table. Errors are a step that is not configured or has no ring, one key for two purposes, a key that does not answer
    or cannot do what a step needs, records under a key that left the ring, hashes that need more memory than there is,
    and tables of another version. What is weak, or switched off on purpose ("off"), is a warning.

    Exit status: 0 no errors; 1 errors; 2 the file itself is wrong; 3 a key or the database does not answer.
    """
    asked = not offline
    try:
        configuration = read_configuration(path)
        checked = check_configuration(configuration) if asked else Checked(find_in_file(configuration))
    except ConfigurationRefused as refused:
        checked, asked = Checked(list(refused.findings)), False
    findings = sorted(checked.findings, key=lambda finding: finding.position)
    result = {
        "file": path,
        "asked_keys_and_database": asked,
        "findings": [_as_json(finding) for finding in findings],
        "keys": [
            {
                "key": written(key.place),
                "uses": [use.value for use in key.uses],
                "key_id": key.key_id,
                "does": list(key.does),
            }
            for key in checked.keys
        ],
    }
    text = "\n".join([*(_as_text(finding, path) for finding in findings), *_keys(checked)])
    if text or as_json:
        write_result(result, text, as_json=as_json)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    words = f"{_count(len(errors), 'error')}, {_count(len(findings) - len(errors), 'warning')}"
    say(words if asked else f"{words}; keys and database were not asked", as_json=as_json)
    if status := _status(errors) or (FAILED if strict and findings else 0):
        click.get_current_context().exit(status)


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "code": finding.code.value,
        "line": finding.position.line,
        "column": finding.position.column,
        "key": finding.key,
        "message": finding.message,
        "hint": finding.hint,
    }


def _as_text(finding: Finding, path: str) -> str:
    line = f"{finding.text(Path(path))} [{finding.code.value}]"
    return f"{line}\n  hint: {finding.hint}" if finding.hint else line


def _keys(checked: Checked) -> list[str]:
    rows = [(written(key.place), " and ".join(key.uses) or "nothing", key.key_id) for key in checked.keys]
    return [render(rows, ("key", "for", "key id"))] if rows else []


def _status(errors: list[Finding]) -> int:
    codes = {finding.code for finding in errors}
    if FindingCode.FILE in codes:
        return WRONG_INPUT
    if not codes.isdisjoint(_AWAY):
        return DEVICE_UNAVAILABLE
    return FAILED if codes else 0


@config.command(examples=("sealpass config schema > sealpass.schema.json",))
@json_option
def schema(*, as_json: bool) -> None:
    """Print the schema of the configuration, as JSON Schema.

    Needs nothing. Editors that know TOML complete and check a file that begins with '#:schema ./sealpass.schema.json'.
    """
    text = schema_text().rstrip("\n")
    write_result(json.loads(text), text, as_json=as_json)
