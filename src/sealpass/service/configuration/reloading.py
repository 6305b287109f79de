# SPDX-License-Identifier: Apache-2.0
"""Rings of a running service, read again from its file: on a signal, on an interval, or because somebody asks.

A ring changes as a whole or not at all, and only to keys that answer and do what the steps need. So a file with an
error, or a device that is away, leaves the service as it was.
"""

import logging
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any
from weakref import WeakSet

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import open_key
from sealpass.core.errors import AuthenticationFailed, ConfigError, OperatorError, UnsupportedAlgorithm
from sealpass.service.configuration.check import fitness, refusals
from sealpass.service.configuration.findings import ConfigurationRefused
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.configuration.values import Configuration, RingSettings

_log = logging.getLogger(__name__)
_JOIN_SECONDS = 10.0
"""How long close() waits for a reload in progress, which may wait for a device."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did; names of rings, texts for operators, and tables of the file."""

    replaced: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    """Tables that say something else now than when the service began."""


class RingReloader:
    """Brings the rings of one service in line with its file. Thread-safe."""

    def __init__(self, configuration: Configuration, rings: Mapping[str, KeyRing]) -> None:
        self._began_with = configuration
        self._rings = dict(rings)
        self._in_place = {name: configuration.rings[name] for name in rings}
        self._given_up: dict[str, RingSettings] = {}
        """Where the device refused the login: never tried again unasked, because a few wrong PINs lock a token."""
        self._told = Reloaded()
        self._lock = threading.Lock()
        _RELOADERS.add(self)

    def reload(self, *, unasked: bool = False) -> Reloaded:
        """Read the file, and open the keys of every ring again; ``unasked``: only of rings that say something else.

        Raises nothing for what is wrong with the file or the devices: it is in the answer, and in the log.
        """
        with self._lock:
            done = self._reload(unasked=unasked)
            self._tell(done, unasked=unasked)
            return done

    def _reload(self, *, unasked: bool) -> Reloaded:
        try:
            wanted = read_configuration(self._began_with.path)
            if findings := refusals(wanted):
                raise ConfigurationRefused(wanted.path, findings)
        except ConfigError as error:
            return Reloaded(problems=(str(error),))
        replaced, problems = [], []
        for name in self._rings:
            ring = wanted.rings.get(name)
            if ring is None or (unasked and ring in (self._in_place[name], self._given_up.get(name))):
                continue
            try:
                self._replace(name, ring)
                replaced.append(name)
            except OperatorError as error:
                problems.append(f"ring {name} stays as it is [{error.code}]: {error}")
                if isinstance(error, AuthenticationFailed):
                    self._given_up[name] = ring
                    break  # the next ring may be on the same token
        needs_restart = tuple(self._began_with.changes_but_for_keys(wanted))
        return Reloaded(tuple(replaced), tuple(problems), needs_restart)

    def _replace(self, name: str, wanted: RingSettings) -> None:
        with open_key(wanted.current) as key:  # a key that cannot do the work must not take the place of one that can
            for finding in fitness(self._began_with, ("rings", name, "current"), key):
                raise UnsupportedAlgorithm(finding.message, hint=finding.hint)
        self._rings[name].replace(wanted.current, wanted.previous)
        self._in_place[name] = wanted
        self._given_up.pop(name, None)

    def _tell(self, done: Reloaded, *, unasked: bool) -> None:
        for name in done.replaced:
            _log.info("key ring %s was read again", name)
        # What an interval finds each time is told once.
        known = self._told if unasked else Reloaded()
        if new := [" ".join(problem.split()) for problem in done.problems if problem not in known.problems]:
            _log.error("the reload failed: %s", "; ".join(new))
        if done.needs_restart and done.needs_restart != known.needs_restart:
            _log.warning("changed in the file, and needs a restart: %s", ", ".join(done.needs_restart))
        self._told = done


class _Order(Enum):
    RELOAD = "reload"
    STOP = "stop"


class ReloadThread:
    """Waits for a signal, or for an interval to end, and reloads. Nothing runs before start()."""

    def __init__(self, reloader: RingReloader, interval: float | None) -> None:
        self._reloader = reloader
        self._interval = interval
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._previous_handler: Any = None
        self._listens = False

    def start(self) -> None:
        """Start the thread unless it runs. After a fork it does not, and what it waited on is made anew."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._orders = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(self._orders,), name="sealpass-reload", daemon=True)
        self._thread.start()

    def listen(self) -> None:
        """Start the thread, and let SIGHUP wake it; raises ConfigError outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            raise ConfigError("signals are for the main thread", hint="call it there, or call reload() yourself")
        self.start()
        if not self._listens:
            self._previous_handler = signal.signal(signal.SIGHUP, self._on_signal)
            self._listens = True

    def close(self) -> None:
        """End the thread, and give SIGHUP back where this is the main thread. Idempotent."""
        if self._listens and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._previous_handler)
            self._listens = False
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._orders.put(_Order.STOP)
            thread.join(_JOIN_SECONDS)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # A handler runs between any two steps of the main thread, which may hold the lock of a ring. put() of a
        # SimpleQueue is the one thing here that may be called again while it is running.
        self._orders.put(_Order.RELOAD)

    def _run(self, orders: "SimpleQueue[_Order]") -> None:
        while True:
            order = _next_order(orders, self._interval)
            if order is _Order.STOP:
                return
            try:
                self._reloader.reload(unasked=order is None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next reload must find a thread
                # Without its text, which nobody has looked at.
                _log.critical("a bug in the reload: %s", type(error).__name__)


def _next_order(orders: "SimpleQueue[_Order]", seconds: float | None) -> _Order | None:
    """None where the time is up."""
    try:
        return orders.get(timeout=seconds)
    except Empty:
        return None


_RELOADERS: WeakSet[RingReloader] = WeakSet()


def _new_locks_after_fork() -> None:
    """A thread that is gone may hold the lock."""
    for reloader in _RELOADERS:
        reloader._lock = threading.Lock()  # noqa: SLF001 - the class's own business, in one place for all of them


os.register_at_fork(after_in_child=_new_locks_after_fork)
