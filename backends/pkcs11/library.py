# SPDX-License-Identifier: Apache-2.0
"""Loading a PKCS#11 module once a process, with operating system locking.

python-pkcs11 calls C_Initialize(NULL) and yet releases the GIL around calls; SoftHSM then runs without mutexes and
two threads corrupt its memory. So ``initialize`` and ``finalize`` of its library class are overridden here. Checked
against python-pkcs11 0.10.1; the pin in pyproject.toml belongs to this file (docs/decisions/0004).
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from pkcs11 import _pkcs11
from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.cryptoki import FunctionList
from sealpass.backends.pkcs11.return_values import (
    CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_OK,
    name_of,
)
from sealpass.core.errors import BackendUnavailable, ConfigError


class _InitializeFailed(Exception):
    def __init__(self, rv: int) -> None:
        super().__init__(name_of(rv))
        self.rv = rv


def _locking_library(path: str, functions: FunctionList, module_args: str | None) -> _pkcs11.lib:
    """python-pkcs11's library object over a module that was initialised with CKF_OS_LOCKING_OK."""

    class LockingLibrary(_pkcs11.lib):
        # cpdef in Cython: the constructor finds this override. `initialized` stays False, so that the base class
        # never finalises by itself.
        def initialize(self) -> None:
            rv = functions.initialize_with_locking(module_args)
            # Somebody else in this process may have initialised the module; its locking is then not ours to choose.
            if rv not in (CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED):
                raise _InitializeFailed(rv)

        def finalize(self) -> None:
            rv = functions.finalize(None)
            if rv not in (CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED):
                raise _InitializeFailed(rv)

    return LockingLibrary(path)


class Module:
    """A loaded module. ``generation`` grows with each initialisation: handles of an older one must not be touched."""

    def __init__(self, path: str, module_args: str | None) -> None:
        self.path = path
        self.module_args = module_args
        self.generation = 1
        self.lock = threading.RLock()
        try:
            self.functions = FunctionList(path)
            self.library = _locking_library(path, self.functions, module_args)
        except _InitializeFailed as failed:
            hint = "NSS softokn wants module-args=configdir='sql:DIR'" if module_args is None else None
            raise BackendUnavailable(
                f"the PKCS#11 module {path} does not initialise: {failed}", retryable=False, hint=hint
            ) from None
        except (OSError, AttributeError, PKCS11Error):
            raise ConfigError(f"{path} is not a PKCS#11 module that this process can load") from None

    def reinitialise(self) -> None:
        """C_Finalize and C_Initialize; every handle of before is void. The caller has stopped the traffic."""
        with self.lock:
            self.generation += 1
            with suppress(_InitializeFailed):  # a dead module may refuse; initialising is what counts
                self.library.finalize()
            try:
                self.library.initialize()
            except _InitializeFailed as failed:
                raise BackendUnavailable(
                    f"the PKCS#11 module does not initialise again: {failed}", retryable=True
                ) from None


_modules: dict[str, Module] = {}
_modules_lock = threading.Lock()


def load_module(path: str, module_args: str | None) -> Module:
    """The one Module of a file; raises ConfigError where it is missing or already loaded with other arguments."""
    if not Path(path).is_file():
        raise ConfigError(f"no PKCS#11 module at {path}", hint="give module-path=… in the URI")
    real = os.path.realpath(path)
    with _modules_lock:
        module = _modules.get(real)
        if module is None:
            module = _modules[real] = Module(real, module_args)
        elif module.module_args != module_args:
            raise ConfigError("the PKCS#11 module is already loaded in this process with other module-args")
        return module
