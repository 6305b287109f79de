# SPDX-License-Identifier: Apache-2.0
"""The closed loop: each thread starts its next operation when the one before has ended."""

import time
from collections.abc import Callable
from itertools import cycle, islice

from sealpass.bench.load.recording import WRONG_RESULT, Input, Operation, Share, Window, code_of

Clock = Callable[[], int]
"""Nanoseconds."""


def run_closed(
    operation: Operation, thread: int, window: Window, share: Share, clock: Clock = time.perf_counter_ns
) -> None:
    """Repeat the operation until the window ends. Never raises; costs some 300 ns for each operation."""
    call, rearm, inputs = operation.call, operation.rearm, islice(cycle(operation.inputs[thread]), operation.most)
    take, note_end, has_check = share.service.append, share.ended.append, operation.check is not None
    keep = share.unchecked.append
    share.began = share.finished = clock()
    argument: Input
    for argument, expected in inputs:
        if rearm is not None:
            rearm(argument)
        began = clock()
        if began >= window.end:
            return
        share.started += 1
        try:
            answer = call(argument)
        except Exception as error:  # noqa: BLE001 - whatever a device raises is counted
            share.finished = clock()
            share.fail(code_of(error), share.finished)
            continue
        share.finished = ended = clock()
        if has_check:
            keep((argument, answer))
        elif answer != expected:
            share.fail(WRONG_RESULT, ended)
            continue
        take(ended - began)
        note_end(ended)
    share.is_cut = True
