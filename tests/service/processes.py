# SPDX-License-Identifier: Apache-2.0
"""Processes that race: forked, so that they are there at once, and let go at the same moment."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

_SECONDS = 50


def race(processes: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work(number)`` answers, as JSON, in so many children; fails where one of them does."""
    waiting, start = os.pipe()
    children = [_child(number, work, waiting, start) for number in range(processes)]
    os.close(waiting)
    os.close(start)  # the last writing end: now all of them read the end of the pipe
    answers = []
    for pid, pipe in children:
        with os.fdopen(pipe, "rb") as answer:
            answers.append(answer.read())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, answers[-1].decode()
    return [json.loads(answer) for answer in answers]


def _child(number: int, work: Callable[[int], Any], waiting: int, start: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        signal.alarm(_SECONDS)
        os.close(start)
        os.read(waiting, 1)
        answer = json.dumps(work(number))
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may unwind into pytest's own frames
        answer = traceback.format_exc()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer.encode())
        sys.stdout.flush()
    finally:
        os._exit(status)
