# SPDX-License-Identifier: Apache-2.0
"""The table of commands. A new command is a new module and one entry here."""

import click

from sealpass import __version__
from sealpass.cli.command import Entry, LazyGroup

PROGRAM = "sealpass"
COMPLETION_VARIABLE = "_SEALPASS_COMPLETE"

COMMANDS = {
    "qualify": Entry("sealpass.cli.qualify", "Qualify a device for unwrapping passwords."),
    "bench": Entry("sealpass.cli.bench", "Measure the speed of keys."),
    "doctor": Entry("sealpass.cli.doctor", "Open a key and say what it can do."),
    "backends": Entry("sealpass.cli.backends", "Show which devices this version works with, and how."),
    "keys": Entry("sealpass.cli.keys", "Make, import, list and publish keys."),
    "encrypt": Entry("sealpass.cli.encrypt", "Encrypt a password to a key, as the browser does."),
    "unwrap": Entry("sealpass.cli.unwrap", "Take the password out of a token, offline."),
    "hash": Entry("sealpass.cli.hash", "Hash a password and seal the hash: print its record."),
    "verify": Entry("sealpass.cli.verify", "Check a password against its record."),
    "config": Entry(
        "sealpass.cli.config", "Check the configuration of a password service, or print its schema.", extra="service"
    ),
    "db": Entry("sealpass.cli.db", "Make and check the tables of the password database.", extra="service"),
    "records": Entry(
        "sealpass.cli.records",
        "Count the stored records by key, and seal all of them under a new key.",
        extra="service",
    ),
    "softhsm": Entry("sealpass.cli.softhsm", "Set up soft tokens for development and tests."),
    "completion": Entry("sealpass.cli.completion", "Print the completion script for a shell."),
}


@click.group(PROGRAM, cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"{PROGRAM} %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Print tracebacks, without messages and values.")
def root() -> None:
    """Unwrap passwords that the browser encrypted inside an HSM, and qualify the HSM for it.

    KEY is a URI (encrypt also takes a JWK file):

    \b
      pkcs11:token=NAME;object=LABEL?pin-source=file:PATH
      awskms:key-id=alias/NAME;region=REGION
      keystore:path=FILE;alias=NAME?store-pass-source=file:PATH
      software:path=FILE

    Passwords and tokens come on standard input. Data goes to standard output, words to standard
    error; every command takes --json, after its name; --debug goes before it.

    Exit status: 0 done or passed; 1 measured, and it fails (also a refused token, a wrong password); 2 the command,
    URI, configuration or a file is wrong; 3 the device is not reachable or refuses to log in; 4 inconclusive; 70 a bug
    in sealpass; 130 interrupted; 141 nobody read the output to its end.
    """  # noqa: D301 - the backspace is click's mark for lines that it leaves as they are
