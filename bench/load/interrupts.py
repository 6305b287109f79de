# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a result is put together: the first one waits for it, so that nothing of what was measured is lost."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def outlast(work: Callable[[], T], *, is_second: bool) -> tuple[T, bool]:
    """What ``work`` answers or raises, and whether an interrupt came meanwhile.

    It is done in another thread, which no interrupt reaches. The second one is raised at once; ``is_second``: one came
    before, so the next is the second.
    """
    done: Future[T] = Future()
    claim = threading.Lock()

    def task() -> None:
        if claim.acquire(blocking=False):
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised below
                done.set_exception(error)

    def wait() -> None:
        thread = threading.Thread(target=task, daemon=True)
        thread.start()
        done.exception()
        thread.join()

    try:
        wait()
    except KeyboardInterrupt:
        if is_second:
            raise
        wait()  # maybe it came before the thread was there; only one does the work
        return done.result(), True
    return done.result(), False
