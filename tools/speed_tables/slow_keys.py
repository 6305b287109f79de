# SPDX-License-Identifier: Apache-2.0
"""A device that is waited for: AES keys in memory whose calls take a while, during which nothing is computed.

Workers of a Dask cluster load this file by its path (Dask's ``preload``) and are slow from then on.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sealpass.backends.memory_key import AesMemoryKey

CALL_SECONDS = 0.002
"""About what a network HSM takes for an AES-GCM call, way there and back included."""


_QUICK = {name: getattr(AesMemoryKey, name) for name in ("seal", "open_sealed")}


def make_slow() -> None:
    """Every call takes so long more, in this process."""
    for name, call in _QUICK.items():
        setattr(AesMemoryKey, name, _delayed(call))


@contextmanager
def slow() -> Iterator[None]:
    """For a while."""
    make_slow()
    try:
        yield
    finally:
        for name, call in _QUICK.items():
            setattr(AesMemoryKey, name, call)


def _delayed(call: Callable[..., Any]) -> Callable[..., Any]:
    def after_a_while(*arguments: Any) -> Any:
        time.sleep(CALL_SECONDS)
        return call(*arguments)

    return after_a_while


def dask_setup(_worker: object) -> None:
    """What Dask calls in a worker."""
    make_slow()
