# SPDX-License-Identifier: Apache-2.0
"""One process or several that carry the load together, started afresh (never forked) and at one instant.

What goes through the pipes are tasks and figures. A task names keys by their URIs; each process reads PINs where the
URIs say. A process that ends before its time is told from one that failed, and the others keep what they measured.
"""

import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Protocol

from sealpass.bench.load.open import Schedule
from sealpass.bench.load.operations import Source, Task
from sealpass.bench.load.recording import code_of
from sealpass.bench.load.worker import Part, Tick, Watch
from sealpass.core.errors import BackendUnavailable, OperatorError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from sealpass.bench.load.recording import Taken

_LEAD_NS = 5_000_000
_LEAD_A_THREAD_NS = 200_000
_LEAD_OF_PROCESSES_NS = 50_000_000
_GOODBYE_SECONDS = 30.0
"""How long a process may take to close its keys."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A process that measured nothing, or took with it what it had measured."""

    process: int
    status: str
    """``died`` or ``failed``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Rate:
    """The load of an open loop."""

    per_second: float
    """Of all processes and threads together."""
    shared: bool = True
    """See :class:`~sealpass.bench.load.open.Schedule`."""


class Crew(Protocol):
    """Who carries the load of one measurement: keys are open, inputs are made."""

    @property
    def pids(self) -> Sequence[int]:
        """All processes, this one included."""
        ...

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """One window of every process, begun at one instant; a closed loop where there is no rate."""
        ...

    def close(self) -> None:
        """Close the keys and end the processes."""
        ...

    def abandon(self) -> None:
        """End at once, without waiting for what is inside a device: the keys of this process stay open."""
        ...


class OwnProcess:
    """The load comes from threads of this process."""

    def __init__(self, task: Task, source: Source) -> None:
        self._threads = task.threads
        self._stack = ExitStack()
        self._part = Part(self._stack.enter_context(source(task)))

    @property
    def pids(self) -> Sequence[int]:
        """See :class:`Crew`."""
        return (os.getpid(),)

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """See :class:`Crew`."""
        schedule = None if rate is None else Schedule(rate.per_second, rate.shared)
        gc.collect()  # takes longer than the lead, in a large process: then the first starts would be late
        gc.freeze()
        begin = time.perf_counter_ns() + _LEAD_NS + _LEAD_A_THREAD_NS * self._threads
        return [self._part.measure(begin, seconds, schedule, watch)]

    def close(self) -> None:
        """See :class:`Crew`."""
        self._stack.close()

    def abandon(self) -> None:
        """See :class:`Crew`."""


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """What is started meanwhile gets no SIGINT until it says so: an interpreter that starts would write a traceback.

    This process misses none: one that was sent to it waits.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # else it would be started now, which unblocks SIGINT in this thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """A process that this one started, and a thread that hears what it says.

    An interrupt reaches the main thread only. So nothing is heard there, where it could be lost half-way.
    """

    def __init__(self, number: int, task: Task, source: Source, bell: "queue.SimpleQueue[None]") -> None:
        context = multiprocessing.get_context("spawn")
        self.number = number
        self.said: dict[str, Any] = {}
        """Its latest word of each kind."""
        self.is_gone = False
        self.watch: Watch | None = None
        self._bell = bell
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task, source, number), daemon=True)
        with _interrupts_held_back():
            self.process.start()
        theirs.close()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while not self.is_gone:
            try:
                kind, value = self._pipe.recv()
            except (EOFError, OSError):
                self.is_gone = True
            else:
                if kind == "tick" and self.watch is not None:
                    self.watch(value)
                self.said[kind] = value
            self._bell.put(None)

    @property
    def is_lost(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.is_gone or "failed" in self.said

    @property
    def error(self) -> OperatorError | None:
        """What ended it, where that is an error of ours."""
        failed = self.said.get("failed")
        return failed if isinstance(failed, OperatorError) else None

    def lost(self) -> Lost:
        """What became of a process that is lost."""
        if (failed := self.said.get("failed")) is not None:
            return Lost(self.number, "failed", str(failed))
        self.process.join()
        return Lost(self.number, "died", f"exit status {self.process.exitcode}")

    def send(self, *message: Any) -> None:
        """Raises nothing: that it has ended is heard."""
        with suppress(OSError):
            self._pipe.send(message)

    def end(self, until: float) -> None:
        """Wait for it, and kill it where it does not end: it holds nothing but its own sessions."""
        self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._listener.join()
        self._pipe.close()
        self.process.close()


class OtherProcesses:
    """The load comes from processes that this one starts; closing it leaves none behind."""

    def __init__(self, task: Task, source: Source, count: int) -> None:
        """Start them and wait until all are ready; raises operator errors where one does not get there."""
        self._threads = task.threads
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._children: list[_Child] = []
        try:
            for number in range(count):
                self._children.append(_Child(number, task, source, self._bell))
            self._wait_for("here", self._children)
            for child in self._children:
                # One after another: SoftHSM2 answers CKR_GENERAL_ERROR to processes that open one token at one moment.
                child.send("open")
                self._wait_for("ready", [child])
                if child.is_lost:
                    raise child.error or BackendUnavailable(  # noqa: TRY301 - no process must stay behind
                        f"process {child.number} did not get ready: {child.lost().reason}", retryable=False
                    )
        except BaseException:
            self._end(0.0)
            raise

    @property
    def pids(self) -> Sequence[int]:
        """See :class:`Crew`."""
        return (os.getpid(), *(child.process.pid or 0 for child in self._children))

    def measure(self, seconds: float, rate: Rate | None, watch: Watch | None = None) -> "list[Taken | Lost]":
        """See :class:`Crew`."""
        begin = time.perf_counter_ns() + _LEAD_OF_PROCESSES_NS + _LEAD_A_THREAD_NS * self._threads
        for child in self._children:
            schedule = None
            if rate is not None:
                schedule = Schedule(rate.per_second, rate.shared, child.number, len(self._children))
            child.said.pop("taken", None)
            child.watch = watch
            child.send("measure", begin, seconds, schedule, watch is not None)
        try:
            self._wait_for("taken", self._children)
        except KeyboardInterrupt:
            for child in self._children:
                child.send("stop")
            self._wait_for("taken", self._children)
        return [child.said["taken"] if "taken" in child.said else child.lost() for child in self._children]

    def _wait_for(self, kind: str, children: Sequence[_Child]) -> None:
        """Until each has said it, or is lost."""
        while any(kind not in child.said and not child.is_lost for child in children):
            self._bell.get()

    def close(self) -> None:
        """See :class:`Crew`."""
        for child in self._children:
            child.send("close")
        self._end(_GOODBYE_SECONDS)

    def abandon(self) -> None:
        """See :class:`Crew`."""
        self._end(0.0)

    def _end(self, patience: float) -> None:
        until = time.monotonic() + patience
        for child in self._children:
            child.end(until)
        self._children = []


def start(task: Task, source: Source, processes: int | None) -> Crew:
    """The crew for a task; None: the threads of this process. Raises operator errors."""
    return OwnProcess(task, source) if processes is None else OtherProcesses(task, source, processes)


# -- in the other process ----------------------------------------------------------------------------------------


def _serve(pipe: "Connection[Any, Any]", task: Task, source: Source, number: int) -> None:
    """Open the keys, say so, and measure window after window until told to close, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to all; the parent says when to stop
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        pipe.send(("here", None))
        if pipe.recv() != ("open",):
            return
        with source(task) as operation:
            _follow(pipe, Part(operation, process=number))
    except Exception as error:  # noqa: BLE001 - the parent is told, without a traceback
        with suppress(OSError):
            pipe.send(("failed", error if isinstance(error, OperatorError) else code_of(error)))


def _follow(pipe: "Connection[Any, Any]", part: Part) -> None:
    orders: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def listen() -> None:
        """A stop is for the window that is being measured; everything else waits its turn."""
        order: tuple[Any, ...] = ()
        while order != ("close",):
            try:
                order = pipe.recv()
            except (EOFError, OSError):
                order = ("close",)
            if order in (("stop",), ("close",)):
                part.stop()
            if order != ("stop",):
                orders.put(order)

    def tell(tick: Tick) -> None:
        with lock:
            pipe.send(("tick", tick))

    lock = threading.Lock()
    threading.Thread(target=listen, daemon=True).start()
    pipe.send(("ready", None))
    while (order := orders.get()) != ("close",):
        _, begin, seconds, schedule, is_watched = order
        taken = part.measure(begin, seconds, schedule, tell if is_watched else None)
        with lock:
            pipe.send(("taken", taken))
