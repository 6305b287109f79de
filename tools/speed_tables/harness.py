# SPDX-License-Identifier: Apache-2.0
"""What the load harness itself costs: its loops on nothing, its schedule, and its loss against a bare loop."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count

from sealpass.bench import distribution
from sealpass.bench.interleaved import Samples, compare
from sealpass.bench.load.closed import run_closed
from sealpass.bench.load.open import Schedule, run_open
from sealpass.bench.load.operations import Name, Task, opened
from sealpass.bench.load.processes import OwnProcess, Rate
from sealpass.bench.load.recording import NANOSECONDS, Operation, Share, Taken, Window
from sealpass.core.capabilities import UnwrapMode
from tools.speed_tables.tokens import soft_key
from tools.speed_tables.workload import PROFILE

OPERATIONS = 20_000
RATE = 5000.0
WINDOWS = 9
FAST_ENOUGH = 1e9
"""Operations a second: more than any loop starts, so that it never waits."""


def nothing(threads: int = 1, most: int | None = None) -> Operation:
    """Answers its input."""
    return Operation(lambda given: given, [[(number, number) for number in range(100)]] * threads, most=most)


@contextmanager
def on_nothing(task: Task) -> Iterator[Operation]:
    """For a crew."""
    yield nothing(task.threads)


def endless() -> Window:
    """From now on."""
    now = time.perf_counter_ns()
    return Window(now, now + 3600 * NANOSECONDS)


def closed(operation: Operation) -> int:
    """Nanoseconds of one whole closed loop that ends by itself."""
    share, window = Share(), endless()
    begin = time.perf_counter_ns()
    run_closed(operation, 0, window, share)
    taken = time.perf_counter_ns() - begin
    assert share.errors == {}
    return taken


def opened_loop(operation: Operation) -> int:
    """The same, of an open loop that is always late."""
    share, window = Share(), endless()
    begin = time.perf_counter_ns()
    run_open(operation, 0, window, share, Schedule(FAST_ENOUGH), count())
    return time.perf_counter_ns() - begin


def bare(operation: Operation, block: int) -> int:
    """Nanoseconds of the calls and comparisons in a loop, and nothing else; what makes inputs fit comes before."""
    inputs = operation.inputs[0][:block]
    if operation.rearm is not None:
        for given, _ in inputs:
            operation.rearm(given)
    call = operation.call
    begin = time.perf_counter_ns()
    for given, expected in inputs:
        assert call(given) == expected
    return time.perf_counter_ns() - begin


def loops(rounds: int) -> str:
    """Markdown: nanoseconds that a loop adds to an operation."""
    limited = nothing(most=OPERATIONS)
    taken = {"closed loop": (closed, 3.0), "open loop": (opened_loop, 10.0)}
    lines = [
        "**The harness: what its loops add to an operation**",
        "",
        "| loop | median µs of CPU | at most |",
        "|---|---|---|",
    ]
    for name, (run, limit) in taken.items():
        median = statistics.median(run(limited) / OPERATIONS for _ in range(rounds)) / 1000
        lines.append(f"| {name} | {median:.2f} | {limit:.0f} |")
    return "\n".join(lines) + "\n"


def punctuality(seconds: float) -> str:
    """Markdown: how late the starts of an open loop are where nothing holds them up.

    In windows, with one thread and with two in turn: one stall of a shared machine, a tenth of a second long, is 1 % of
    ten seconds' starts.
    """
    title = f"start delay of an open loop, {RATE:.0f} starts a second on nothing, {WINDOWS} windows of {seconds:.0f} s"
    lines = [
        f"**The harness: {title}**",
        "",
        "| threads | starts | not started | median µs | p99 µs: median window (least, most) | greatest µs |",
        "|---|---|---|---|---|---|",
    ]
    windows: dict[int, list[Taken]] = {1: [], 2: []}
    with ExitStack() as stack:
        crews = {threads: OwnProcess(Task(Name.UNWRAP, threads), on_nothing) for threads in windows}
        for crew in crews.values():
            stack.callback(crew.close)
        for _ in range(WINDOWS):
            for threads, crew in crews.items():
                windows[threads] += [one for one in crew.measure(seconds, Rate(RATE)) if isinstance(one, Taken)]
    for threads, some in windows.items():
        found = [distribution.summary(one.delay) or {} for one in some]
        p50, p99, most = ([(one.get(name) or 0) / 1000 for one in found] for name in ("p50_ns", "p99_ns", "max_ns"))
        counts = f"{sum(one.started for one in some)} | {sum(one.intended - one.started for one in some)}"
        tail = f"{statistics.median(p99):.0f} ({min(p99):.0f}, {max(p99):.0f})"
        lines.append(f"| {threads} | {counts} | {statistics.median(p50):.0f} | {tail} | {max(most):.0f} |")
    return "\n".join(lines) + "\n"


def loss(rounds: int, block: int) -> str:
    """Markdown: the harness beside a bare loop over the same calls, block by block in turn."""
    uri = soft_key("softhsm2", UnwrapMode.NATIVE)
    task = Task(Name.UNWRAP, 1, str(uri), payload_bytes=64, profile=PROFILE)
    taken: dict[str, list[tuple[int, ...]]] = {"a bare loop": [], "the harness, closed loop": []}
    with opened(task) as operation:
        limited = replace(operation, most=block)
        runs = [lambda: bare(operation, block), lambda: closed(limited)]
        for turn in range(rounds + 1):
            for index in (0, 1) if turn % 2 else (1, 0):
                nanoseconds = runs[index]()
                if turn:  # the first is the warm-up
                    list(taken.values())[index].append((nanoseconds // block,))
    samples = {name: Samples(tuple(blocks)) for name, blocks in taken.items()}
    first, second = samples
    ratio = compare(samples[second], samples[first])
    lines = [
        "**The harness: SoftHSM2, token to password**",
        "",
        "| loop | median µs of CPU | speed, as a part of the first |",
    ]
    lines += ["|---|---|---|", f"| {first} | {samples[first].median_us:.1f} | 1 |"]
    lines.append(f"| {second}, announcing each token again | {samples[second].median_us:.1f} | {ratio} |")
    return "\n".join(lines) + "\n"


def harness(rounds: int, block: int) -> Iterator[str]:
    """The tables of the harness."""
    yield loops(max(5, rounds // 6))
    yield punctuality(max(1.0, rounds / 60))
    yield loss(rounds, 10 * block)
