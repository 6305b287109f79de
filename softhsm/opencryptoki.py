# SPDX-License-Identifier: Apache-2.0
"""openCryptoki's soft token, in a mount namespace of this process's own. Linux only, as root.

openCryptoki has one place for everything: a daemon of the whole machine, its socket, the token's files, locks and
shared memory. So the process gets a view of the file system (mount_namespaces(7)) and of System V shared memory
(ipc_namespaces(7)) in which those places are empty and its own. The machine's openCryptoki is neither seen nor
touched, several processes have a token each, and all of it is gone with the process, however that ends.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealpass.backends.private_file import write_private_file
from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm.child import initialise_in_child
from sealpass.softhsm.daemon import Daemon
from sealpass.softhsm.modules import OPENCRYPTOKI, find_module, install_command
from sealpass.softhsm.provisioning import DEFAULT_TOKEN, Provisioned

CONFIG = Path("/etc/opencryptoki/opencryptoki.conf")
CONFIG_TEXT = """\
version opencryptoki-3.1
slot 0
{
stdll = libpkcs11_sw.so
}
"""
FACTORY_SO_PIN = "87654321"
"""Of every openCryptoki token until somebody changes it; C_InitToken wants this one and no other."""
_FACTORY_PIN = "12345678"
"""The user PIN of a new token, which openCryptoki refuses as a PIN of one's own."""
_PIN_DIGITS = 8  # openCryptoki takes 4 to 8
_SOCKET = Path("/run/pkcsslotd.socket")
# The daemon writes to all of these. /dev/shm has the list of the token's objects, under the name of its directory.
_STATE = (Path("/run"), Path("/var/lib/opencryptoki"), Path("/var/log"), Path("/dev/shm"))  # noqa: S108
_DIRECTORIES = (Path("/run/lock/opencryptoki/swtok"), Path("/var/lib/opencryptoki/swtok/TOK_OBJ"))

# <sched.h> and <sys/mount.h>; Python has os.unshare() from 3.12 on, and no mount().
_CLONE_NEWNS, _CLONE_NEWIPC = 0x00020000, 0x08000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000


def missing() -> str | None:
    """Which of its programs are not installed, and how to get them, or None."""
    try:
        _programs()
    except ConfigError as error:
        return f"{error}: {error.hint}"
    return None


def obstacle() -> str | None:
    """Why there can be no such token here, or None."""
    if sys.platform != "linux":
        return "openCryptoki's soft token needs a mount namespace: Linux only"
    if os.geteuid() != 0:
        return "openCryptoki's soft token needs a mount namespace of its own: root only"
    if reason := missing():
        return reason
    # root need not be allowed to do it (containers): a child tries it.
    trial = ["unshare", "--mount", "--ipc", "mount", "-t", "tmpfs", "sealpass", "/run"]
    if shutil.which("unshare") is None or subprocess.run(trial, capture_output=True, check=False).returncode != 0:  # noqa: S603 - no argument from outside
        return "this root may not mount in a namespace of its own (CAP_SYS_ADMIN)"
    return None


@contextmanager
def private_token(directory: Path, token: str = DEFAULT_TOKEN) -> Iterator[Provisioned]:
    """A new token; ``directory`` keeps its PINs. Ends with the ``with``; the namespace ends with the process.

    Call it in the main thread and before the module is loaded: threads that run already do not come along, those
    and processes that start later do. Raises ConfigError.
    """
    module, slot_daemon = _programs()
    directory = directory.resolve()
    if any(directory.is_relative_to(state) for state in _STATE):
        raise ConfigError(f"the PINs cannot be kept in {directory}: openCryptoki gets an empty one in its place")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_pins(directory)
        (directory / CONFIG.name).write_text(CONFIG_TEXT, encoding="utf-8")
        _enter_namespace(directory / CONFIG.name)
    except OSError as error:
        raise ConfigError(f"no namespace for openCryptoki: {error.strerror or error}") from None
    with Daemon([slot_daemon, "-f"], at=_SOCKET):
        initialise_in_child(OPENCRYPTOKI.name, module, token, directory)
        uri = KeyUri(
            "pkcs11",
            {"token": token.encode("utf-8")},
            {"module-path": os.fsencode(module), "pin-source": b"file:" + os.fsencode(directory / "pin")},
        )
        yield Provisioned(str(uri), {}, created=True)


def _programs() -> tuple[Path, str]:
    module = find_module(OPENCRYPTOKI)
    slot_daemon = shutil.which("pkcsslotd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if slot_daemon is None:
        raise ConfigError("openCryptoki's pkcsslotd is not installed", hint=install_command(OPENCRYPTOKI))
    return module, slot_daemon


def _write_pins(directory: Path) -> None:
    pin = _FACTORY_PIN
    while pin == _FACTORY_PIN:
        pin = "".join(secrets.choice("0123456789") for _ in range(_PIN_DIGITS))
    for name, value in (("pin", pin), ("so-pin", FACTORY_SO_PIN)):
        (directory / name).unlink(missing_ok=True)
        write_private_file(directory / name, f"{value}\n".encode("ascii"))


def _enter_namespace(config: Path) -> None:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(answer: int) -> None:
        if answer != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def mount(source: Path | None, target: Path, kind: bytes | None, flags: int) -> None:
        path = None if source is None else os.fsencode(source)
        check(libc.mount(path, os.fsencode(target), kind, ctypes.c_ulong(flags), None))

    check(libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC))
    mount(None, Path("/"), None, _MS_REC | _MS_PRIVATE)  # or the mounts below would be everybody's
    mount(config, CONFIG, None, _MS_BIND)
    for state in _STATE:
        mount(Path("tmpfs"), state, b"tmpfs", _MS_NOSUID | _MS_NODEV)
    for directory in _DIRECTORIES:
        directory.mkdir(parents=True)
