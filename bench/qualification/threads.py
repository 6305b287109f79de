# SPDX-License-Identifier: Apache-2.0
"""Several threads at the same moment on one key."""

import queue
import threading
from collections.abc import Callable, Sequence


def _nothing_to_stop() -> None:
    pass


def run_together(tasks: Sequence[Callable[[], None]], stop: Callable[[], None] = _nothing_to_stop) -> None:
    """Run each task in a thread of its own, all from the same moment, and wait for all.

    Tasks must not raise. On an interrupt ``stop`` tells them to end, and they are waited for all the same: a key
    that is closed while a thread is inside its module can take the process with it.
    """
    start = threading.Barrier(len(tasks))
    ended: list[None] = []
    bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def begin(task: Callable[[], None]) -> None:
        try:
            start.wait()
            task()
        finally:
            ended.append(None)
            bell.put(None)

    def wait() -> None:
        # Not Thread.join() alone: once an interrupt has come out of it, Python before 3.13 takes the thread for ended.
        while len(ended) < len(tasks):
            bell.get()
        for thread in threads:
            thread.join()

    threads = [threading.Thread(target=begin, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        wait()
    except BaseException:
        stop()
        wait()
        raise
