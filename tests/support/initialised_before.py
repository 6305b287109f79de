# SPDX-License-Identifier: Apache-2.0
"""``initialised_before.py MODULE URI``: let the binding initialise the module, then open a key over it."""

import sys

import pkcs11

from sealpass.backends.registry import open_key
from sealpass.core.errors import Error


def main() -> None:
    """Print ``open`` or the error with its hint."""
    before = pkcs11.lib(sys.argv[1])
    try:
        open_key(sys.argv[2]).close()
    except Error as error:
        sys.stdout.write(f"{type(error).__name__}: {error} | {error.hint}\n")
    else:
        sys.stdout.write("open\n")
    assert before.initialized


if __name__ == "__main__":
    main()
