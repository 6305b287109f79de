# SPDX-License-Identifier: Apache-2.0
"""``sealpass backends``: the shipped capability matrix. Reads no device and no network."""

import importlib.util
from dataclasses import asdict

import click

from sealpass.backends.matrix import ROWS, Row
from sealpass.cli.command import Command
from sealpass.cli.options import json_option
from sealpass.cli.output import write_result
from sealpass.cli.table import render

PACKAGES = {"software": None, "pkcs11": "pkcs11", "awskms": "boto3", "keystore": "jks"}
"""The module that a scheme imports first, of the extra of the scheme's own name."""


@click.command(cls=Command, examples=("sealpass backends", "sealpass backends --json"))
@json_option
def backends(*, as_json: bool) -> None:
    """Show which devices this version works with, and how.

    This is what was tested before release, not what is connected here: 'sealpass doctor URI' tries a real key.
    Needs no device and no extra; says which extras are installed.
    """
    installed = {scheme: _is_installed(scheme) for scheme in PACKAGES}
    members = [asdict(row) | {"installed": installed[row.scheme]} for row in ROWS]
    blocks = (render(_lines(row, installed=installed[row.scheme])) for row in ROWS)
    write_result(members, "\n\n".join(blocks), as_json=as_json)


def _is_installed(scheme: str) -> bool:
    package = PACKAGES[scheme]
    return package is None or importlib.util.find_spec(package) is not None


def _lines(row: Row, *, installed: bool) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = [
        ("device", row.device),
        ("scheme", f"{row.scheme}:"),
        ("unwrap mode", row.mode),
        ("unwraps", ", ".join(row.unwrap)),
        ("content", ", ".join(row.content)),
        ("seals", ", ".join(row.seal)),
        ("status", row.status),
        ("installed", "yes" if installed else f"no: pip install 'sealpass[{row.scheme}]'"),
        ("note", row.note),
    ]
    return [(name, text or "-") for name, text in lines]
