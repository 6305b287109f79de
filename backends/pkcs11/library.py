# SPDX-License-Identifier: Apache-2.0
"""Loading a PKCS#11 module once a process, with operating system locking.

python-pkcs11 calls C_Initialize(NULL) and yet releases the GIL around calls; SoftHSM then runs without mutexes and
two threads corrupt its memory. So ``initialize`` and ``finalize`` of its library class are overridden here. Checked
against python-pkcs11 0.10.1; the pin in pyproject.toml belongs to this file (docs/decisions/0004).
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
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
from sealpass.backends.pkcs11.vendor_profile import InitMode
from sealpass.backends.pkcs11.vendor_profiles import by_file
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError

_VISIT_SECONDS = 10.0
_GATE_SECONDS = 30.0
"""Making a key of 4096 bits, behind the gate, takes a soft token some seconds."""


class _InitializeFailed(Exception):
    def __init__(self, rv: int) -> None:
        super().__init__(name_of(rv))
        self.rv = rv


@dataclass(frozen=True, slots=True)
class ModuleSettings:
    """What a module is initialised with. One set a process and module."""

    args: str | None = None
    """For ``pReserved`` of the initialisation structure (NSS softokn)."""
    init_mode: InitMode = InitMode.OS_LOCKING


class LockingLibrary(_pkcs11.lib):
    """python-pkcs11's library object over a module that we initialise.

    ``initialize`` is cpdef in Cython: the base class's constructor finds this override. ``initialized`` stays False,
    so that the base class never finalises by itself.
    """

    settings: ModuleSettings

    def initialize(self) -> None:
        """C_Initialize in the module's mode."""
        if self.settings.init_mode is InitMode.PLAIN:
            rv = self.functions.initialize(None)
        else:
            rv = self.functions.initialize_with_locking(self.settings.args)
        # Somebody else in this process may have initialised the module, with or without locking: nobody knows.
        if rv == CKR_CRYPTOKI_ALREADY_INITIALIZED and self.settings.init_mode is InitMode.PLAIN:
            return
        if rv != CKR_OK:
            raise _InitializeFailed(rv)

    def finalize(self) -> None:
        """C_Finalize."""
        rv = self.functions.finalize(None)
        if rv not in (CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED):
            raise _InitializeFailed(rv)

    @cached_property
    def functions(self) -> FunctionList:
        """The function list that the base class calls, too."""
        return FunctionList(self._table())

    def _table(self) -> int:
        # p11-kit-client answers each C_GetFunctionList with another instance, so asking again would not do. The base
        # class keeps its pointer as the first member after the object head; a test compares it with the module's.
        address = ctypes.c_void_p.from_address(id(self) + object.__basicsize__).value
        if address is None:
            raise OSError("python-pkcs11 has no function list")
        return address


def _library(path: str, settings: ModuleSettings) -> LockingLibrary:
    # The constructor of the base class takes the path and nothing else, so the settings come with the class.
    library: LockingLibrary = type("Library", (LockingLibrary,), {"settings": settings})(path)
    return library


class _Traffic:
    """Counts the calls into a module that no session pool knows of, so that nobody finalises it under them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._visits = 0
        self._stopped = False
        self._here = threading.local()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Be counted. Waits while the module is being initialised again."""
        depth: int = getattr(self._here, "depth", 0)
        with self._changed:
            if not depth and not self._changed.wait_for(lambda: not self._stopped, timeout=_VISIT_SECONDS):
                raise BackendUnavailable("the PKCS#11 module is being initialised again", retryable=True)
            self._visits += 1
        self._here.depth = depth + 1
        try:
            yield
        finally:
            self._here.depth = depth
            with self._changed:
                self._visits -= 1
                self._changed.notify_all()

    @contextmanager
    def stopped(self, deadline: Deadline) -> Iterator[None]:
        """Keep new visits out and wait for those that are in."""
        if getattr(self._here, "depth", 0):
            raise BackendUnavailable("the PKCS#11 token was lost; open the key again", retryable=True)
        with self._changed:
            self._stopped = True
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: not self._visits, timeout=deadline.remaining()):
                    raise BackendUnavailable(
                        "the PKCS#11 module is busy and cannot be initialised again", retryable=True
                    )
            yield
        finally:
            with self._changed:
                self._stopped = False
                self._changed.notify_all()


class Module:
    """A loaded module. ``generation`` grows with each initialisation: handles of an older one must not be touched."""

    def __init__(self, path: str, settings: ModuleSettings) -> None:
        self.path = path
        self.settings = settings
        self.generation = 1
        self.lock = threading.RLock()
        self.gate = threading.RLock()
        self._traffic = _Traffic()
        self._parent_threads = 0
        try:
            self.library = _library(path, settings)
        except _InitializeFailed as failed:
            if failed.rv == CKR_CRYPTOKI_ALREADY_INITIALIZED:
                raise ConfigError(
                    f"something else in this process has initialised {path}, perhaps without locking",
                    hint="let sealpass load the module first, or add init-mode=plain",
                ) from None
            hint = "does the module find its configuration? (SoftHSM2: the variable SOFTHSM2_CONF)"
            known = by_file(path)
            if known.module_args is not None and settings.args is None:
                hint = f"{known.device} reads module-args=… from the URI: {known.module_args}"
            raise BackendUnavailable(
                f"the PKCS#11 module {path} does not initialise: {failed}", retryable=False, hint=hint
            ) from None
        except (OSError, AttributeError, PKCS11Error):
            raise ConfigError(f"{path} is not a PKCS#11 module that this process can load") from None
        self.functions = self.library.functions

    @property
    def one_at_a_time(self) -> bool:
        """Whether no two calls may be made at once; whoever calls holds ``gate`` then."""
        return self.settings.init_mode is InitMode.PLAIN

    @contextmanager
    def alone(self, deadline: Deadline | None = None) -> Iterator[None]:
        """Hold the gate where there must be one; raises BackendUnavailable(retryable) where it is not free in time.

        Lock order: the gate, then any other lock. Who waits for the gate holds none of them.
        """
        gate = self.gate  # of this process: a fork gives the child another one
        if not self.one_at_a_time:
            yield
            return
        if not gate.acquire(timeout=-1 if deadline is None else deadline.remaining()):
            raise BackendUnavailable("the PKCS#11 module does one thing at a time, and is busy", retryable=True)
        try:
            yield
        finally:
            gate.release()

    @contextmanager
    def locked(self, deadline: Deadline) -> Iterator[None]:
        """Hold ``lock``; raises BackendUnavailable(retryable) where it is not free before the deadline."""
        if not self.lock.acquire(timeout=deadline.remaining()):
            raise BackendUnavailable("somebody else is bringing the PKCS#11 module back", retryable=True)
        try:
            yield
        finally:
            self.lock.release()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Around calls outside the session pools: the module is not finalised meanwhile."""
        with self.alone(Deadline.after(_GATE_SECONDS)), self._traffic.visit():
            yield

    @contextmanager
    def stopped(self, deadline: Deadline) -> Iterator[None]:
        """No visit begins, and none is going on; raises BackendUnavailable(retryable) where one does not end."""
        with self._traffic.stopped(deadline):
            yield

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

    # -- fork ------------------------------------------------------------------------------------------------------

    def inherit(self, parent_threads: int) -> None:
        """In the child of a fork: the handles are the parent's, and a thread that is gone may hold a lock."""
        self.lock = threading.RLock()
        self.gate = threading.RLock()
        self._traffic = _Traffic()
        self.generation += 1
        # A grandchild inherits its grandparent's trouble.
        self._parent_threads = max(self._parent_threads, parent_threads)

    def revive(self) -> None:
        """Initialise again after a fork, before the first use in the child.

        Raises ConfigError where the parent had other threads: the module's own locks are in an unknown state then,
        and initialising hung in several of 25 children.
        """
        if not self._parent_threads:
            return
        if self._parent_threads > 1:
            raise ConfigError(
                f"this process was forked from one with {self._parent_threads} threads that had loaded {self.path}",
                hint="open keys in the server's post-fork hook (gunicorn: post_fork, uWSGI: @postfork), not before it",
            )
        self.reinitialise()
        self._parent_threads = 0


_modules: dict[str, Module] = {}
_modules_lock = threading.Lock()


def load_module(path: str, settings: ModuleSettings = ModuleSettings()) -> Module:
    """The one Module of a file; raises ConfigError where it is missing or already loaded with other settings."""
    if not Path(path).is_file():
        raise ConfigError(
            f"no PKCS#11 module at {path}",
            hint="check module-path=…: is the vendor's client installed on this machine?",
        )
    real = os.path.realpath(path)
    with _modules_lock:
        module = _modules.get(real)
        if module is None:
            module = _modules[real] = Module(real, settings)
        elif module.settings != settings:
            raise ConfigError(
                "the PKCS#11 module is already loaded in this process with other module-args or init-mode"
            )
        return module


_threads_at_fork = 1


def _before_fork() -> None:
    global _threads_at_fork  # noqa: PLW0603 - hands a number from one fork hook to the next
    try:
        _threads_at_fork = sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:  # no Linux: Python's own threads are what can be counted
        _threads_at_fork = threading.active_count()


def _after_fork_in_child() -> None:
    global _modules_lock  # noqa: PLW0603 - a thread that is gone may hold it
    _modules_lock = threading.Lock()
    for module in _modules.values():
        module.inherit(_threads_at_fork)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
