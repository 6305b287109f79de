# SPDX-License-Identifier: Apache-2.0
"""``sealpass verify``: one password, one record."""

import click

from sealpass.backends.keyring import KeyRing
from sealpass.cli.command import Command
from sealpass.cli.failures import FAILED
from sealpass.cli.hash import hashing_option
from sealpass.cli.input import read_password
from sealpass.cli.options import json_option, key_argument, not_empty, previous_option, subject_option, use_option
from sealpass.cli.output import write_result
from sealpass.core.argon2_hash import HASHING_PROFILES
from sealpass.core.errors import MissingDependency, RecordProblem, RecordRefused
from sealpass.core.passwords import Passwords, Verification
from sealpass.service.legacy_hashes import LEGACY_HASHES, legacy_hash_named


@click.command(
    cls=Command,
    examples=(
        'sealpass verify "$KEY" "$RECORD" --subject "$USER_ID" < password.txt',
        'sealpass verify "$KEY" \'$2b$12$…\' --subject "$USER_ID" --legacy bcrypt --json < password.txt',
    ),
)
@key_argument
@click.argument("record", metavar="RECORD", callback=not_empty)
@subject_option
@use_option
@previous_option
@click.option(
    "--legacy",
    type=click.Choice(tuple(LEGACY_HASHES)),
    multiple=True,
    help="Also verify an unsealed hash of this form; may be repeated.",
)
@hashing_option
@json_option
def verify(
    *,
    uri: str,
    record: str,
    subject: str,
    use: str,
    previous: tuple[str, ...],
    legacy: tuple[str, ...],
    hashing: str,
    as_json: bool,
) -> None:
    """Check a password against its record.

    Needs the URI of the key that new records are sealed with, its PIN, the record in single quotes, and the password
    on standard input as for 'sealpass hash'. Exit status 0 where the password matches, 1 where it does not, 2 where
    the record cannot be verified at all: edited, of another subject or use, or under a key that is not given.
    """
    with KeyRing(uri, previous) as ring:
        forms = [legacy_hash_named(name) for name in legacy]
        passwords = Passwords(ring, hashing=HASHING_PROFILES[hashing], legacy=forms)
        try:
            found = passwords.verify(record, read_password(), subject, use)
        except RecordRefused as refused:
            if refused.problem is RecordProblem.FORM:
                refused.hint = _hint(record)
            raise
    result = {"matches": found.matches, "needs_rehash": found.needs_rehash, "refusal": found.refusal}
    write_result(result, _sentence(found), as_json=as_json)
    if not found:
        click.get_current_context().exit(FAILED)


def _hint(value: str) -> str:
    """For a value that is no record, and of no form that is allowed."""
    looks_like = [f"--legacy {name}" for name in LEGACY_HASHES if _has_form(value, name)]
    if looks_like:
        return f"it looks like a legacy hash; allow its form with {' or '.join(looks_like)}"
    return "put it in single quotes, or the shell takes the words behind each $ for variables"


def _has_form(value: str, name: str) -> bool:
    try:
        return legacy_hash_named(name).recognises(value)
    except MissingDependency:
        return False


def _sentence(found: Verification) -> str:
    if not found:
        return "the password does not match" + (f": {found.refusal}" if found.refusal else "")
    return "the password matches" + ("; its record is due for a new one" if found.needs_rehash else "")
