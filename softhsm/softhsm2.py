# SPDX-License-Identifier: Apache-2.0
"""SoftHSM2: its configuration and its token.

``softhsm2-util`` wants PINs in its arguments, where every user of the machine can read them. So the token is made
through the module itself.
"""

import os
from pathlib import Path

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm.child import initialise_in_child
from sealpass.softhsm.modules import SOFTHSM2, find_module

CONFIG_VARIABLE = "SOFTHSM2_CONF"
CONFIG_TEMPLATE = """\
# A private token store, made by sealpass.
directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


def provision(directory: Path, token: str) -> tuple[str, dict[str, str], bool]:
    """Make or find the token; the answer is its URI, its environment and whether it was made."""
    module = find_module(SOFTHSM2)
    if any(character in str(directory) for character in "=#\n"):
        raise ConfigError("SoftHSM2's configuration cannot name a directory with '=', '#' or a newline in it")
    tokens = directory / "tokens"
    tokens.mkdir(mode=0o700, exist_ok=True)
    config = directory / "softhsm2.conf"
    text = CONFIG_TEMPLATE.format(tokens=tokens)
    if not config.exists() or config.read_text(encoding="utf-8") != text:
        temporary = config.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(config)
    environment = {CONFIG_VARIABLE: str(config)}
    created = initialise_in_child(SOFTHSM2.name, module, token, directory, environment)
    uri = KeyUri(
        "pkcs11",
        {"token": token.encode("utf-8")},
        {"module-path": os.fsencode(module), "pin-source": b"file:" + os.fsencode(directory / "pin")},
    )
    return str(uri), environment, created
