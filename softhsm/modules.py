# SPDX-License-Identifier: Apache-2.0
"""Where distributions put the modules of soft tokens, and how a missing one is installed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealpass.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SoftModule:
    """A soft token's module: its variable to say where it is, its usual places, its packages by installer."""

    name: str
    variable: str
    patterns: tuple[str, ...]
    packages: Mapping[str, str]


SOFTHSM2 = SoftModule(
    name="SoftHSM2",
    variable="SOFTHSM2_MODULE",
    patterns=(
        "usr/lib/softhsm/libsofthsm2.so",  # Debian, Ubuntu, Alpine
        "usr/lib/*/softhsm/libsofthsm2.so",
        "usr/lib64/pkcs11/libsofthsm2.so",  # Fedora
        "usr/lib64/softhsm/libsofthsm2.so",
        "usr/lib/pkcs11/libsofthsm2.so",  # Arch
        "opt/homebrew/lib/softhsm/libsofthsm2.so",  # Homebrew
        "usr/local/lib/softhsm/libsofthsm2.so",
    ),
    packages={"apt-get": "softhsm2", "dnf": "softhsm", "apk": "softhsm", "brew": "softhsm"},
)

NSS = SoftModule(
    name="NSS softokn",
    variable="NSS_SOFTOKN_MODULE",
    patterns=(
        "usr/lib/*/libsoftokn3.so",  # Debian, Ubuntu
        "usr/lib/*/nss/libsoftokn3.so",
        "usr/lib64/libsoftokn3.so",  # Fedora
        "usr/lib/libsoftokn3.so",  # Alpine, Arch
        "opt/homebrew/lib/libsoftokn3.dylib",  # Homebrew
        "usr/local/lib/libsoftokn3.dylib",
    ),
    packages={
        "apt-get": "libnss3 libnss3-tools",
        "dnf": "nss-softokn nss-tools",
        "apk": "nss nss-tools",
        "brew": "nss",
    },
)

OPENCRYPTOKI = SoftModule(
    name="openCryptoki",
    variable="OPENCRYPTOKI_MODULE",
    patterns=(
        "usr/lib/*/pkcs11/libopencryptoki.so",  # Debian, Ubuntu
        "usr/lib64/pkcs11/libopencryptoki.so",  # Fedora
    ),
    packages={"apt-get": "opencryptoki", "dnf": "opencryptoki opencryptoki-swtok"},
)

P11_KIT_CLIENT = SoftModule(
    name="p11-kit's client",
    variable="P11_KIT_CLIENT_MODULE",
    patterns=(
        "usr/lib/*/pkcs11/p11-kit-client.so",  # Debian, Ubuntu
        "usr/lib64/pkcs11/p11-kit-client.so",  # Fedora
        "usr/lib/pkcs11/p11-kit-client.so",  # Alpine, Arch
        "opt/homebrew/lib/pkcs11/p11-kit-client.so",  # Homebrew
        "usr/local/lib/pkcs11/p11-kit-client.so",
    ),
    packages={
        "apt-get": "p11-kit p11-kit-modules",
        "dnf": "p11-kit p11-kit-server",
        "apk": "p11-kit p11-kit-server",
        "brew": "p11-kit",
    },
)

_INSTALL = {"apt-get": "sudo apt-get install", "dnf": "sudo dnf install", "apk": "sudo apk add", "brew": "brew install"}


def find_module(module: SoftModule, *, root: Path = Path("/")) -> Path:
    """The module's file; raises ConfigError with the command that installs it."""
    if named := os.environ.get(module.variable):
        if Path(named).is_file():
            return Path(named)
        raise ConfigError(f"{module.variable} names no file: {named}")
    for pattern in module.patterns:
        for found in sorted(root.glob(pattern)):
            return found
    raise ConfigError(f"{module.name} is not installed", hint=install_command(module, root=root))


def install_command(module: SoftModule, *, root: Path = Path("/")) -> str:
    """The command for this machine's installer, or for each known one."""
    places = ("usr/bin", "sbin", "opt/homebrew/bin", "usr/local/bin")
    here = [name for name in module.packages if any((root / place / name).exists() for place in places)]
    return " or ".join(f"{_INSTALL[name]} {module.packages[name]}" for name in here or module.packages)
