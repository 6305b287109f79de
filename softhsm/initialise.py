# SPDX-License-Identifier: Apache-2.0
"""``python -m sealpass.softhsm.initialise MODULE LABEL DIRECTORY``: C_InitToken and C_InitPIN, once.

Reads the PINs from DIRECTORY/so-pin and DIRECTORY/pin. An interrupted run is finished by the next one.
"""

import sys
from pathlib import Path

from pkcs11 import Slot
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.library import Module, load_module
from sealpass.backends.pkcs11.return_values import CKR_OK, name_of
from sealpass.backends.secret_source import read_secret
from sealpass.core.errors import Error

_LABEL_BYTES = 32


def _slot_of(module: Module, label: str) -> Slot | None:
    for slot in module.library.get_slots(token_present=True):
        token = slot.get_token()
        if TokenFlag.TOKEN_INITIALIZED in token.flags and token.label == label:
            return slot
    return None


def _free_slot(module: Module) -> Slot:
    for slot in module.library.get_slots(token_present=True):
        if TokenFlag.TOKEN_INITIALIZED not in slot.get_token().flags:
            return slot
    sys.exit("the module offers no free slot")


def initialise(module_path: str, label: str, directory: Path) -> bool:
    """Make the token ready; True where anything had to be done."""
    so_pin = read_secret(f"file:{directory / 'so-pin'}", "so-pin")
    pin = read_secret(f"file:{directory / 'pin'}", "pin")
    module = load_module(module_path)
    slot = _slot_of(module, label)
    if slot is None:
        encoded = so_pin.encode("utf-8")
        padded = label.encode("utf-8").ljust(_LABEL_BYTES)
        rv = module.functions.init_token(_free_slot(module).slot_id, encoded, len(encoded), padded)
        if rv != CKR_OK:
            sys.exit(f"C_InitToken: {name_of(rv)}")
        module.reinitialise()  # SoftHSM2 gives the token its own slot from then on
        slot = _slot_of(module, label)
        if slot is None:
            sys.exit("the token is not there after C_InitToken")
    elif TokenFlag.USER_PIN_INITIALIZED in slot.get_token().flags:
        return False
    with slot.get_token().open(rw=True, so_pin=so_pin) as session:
        session.init_pin(pin)
    return True


def main() -> None:
    """Print ``created`` or ``present``; the reason of a failure goes to stderr."""
    module_path, label, directory = sys.argv[1:]
    try:
        made = initialise(module_path, label, Path(directory))
    except (Error, PKCS11Error) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.stdout.write("created\n" if made else "present\n")


if __name__ == "__main__":
    main()
