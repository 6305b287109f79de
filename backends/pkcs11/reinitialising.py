# SPDX-License-Identifier: Apache-2.0
"""Initialising a module again under the connections that use it: C_Finalize voids the handles of all of them."""

import os
import threading
from typing import Protocol
from weakref import WeakSet

from sealpass.backends.pkcs11.library import Module
from sealpass.core.deadline import Deadline

QUIESCE_SECONDS = 5.0


class User(Protocol):
    """A connection, as far as it has to know."""

    module: Module

    def quiesce(self, deadline: Deadline) -> None:
        """Stop the traffic; raises BackendUnavailable where a call does not end."""
        ...

    def inherit(self) -> None:
        """In the child of a fork: forget the handles, which are the parent's."""
        ...


_users: WeakSet[User] = WeakSet()
_users_lock = threading.Lock()


def watch(user: User) -> None:
    """From now on the module is not initialised again, nor the process forked, without the user being told."""
    with _users_lock:
        _users.add(user)


def forget(user: User) -> None:
    """The user has nothing open in the module any more."""
    with _users_lock:
        _users.discard(user)


def _all_users() -> list[User]:
    with _users_lock:
        return list(_users)


def reinitialise(module: Module, deadline: Deadline) -> None:
    """C_Finalize and C_Initialize, once all traffic has stopped. The caller holds the module's lock.

    Raises BackendUnavailable(retryable) where it does not stop in time, or the module does not initialise.
    """
    until = min(deadline, Deadline.after(QUIESCE_SECONDS), key=lambda item: item.at)
    with module.stopped(until):
        for user in _all_users():
            if user.module is module:
                user.quiesce(until)
        module.reinitialise()


def _after_fork_in_child() -> None:
    global _users_lock  # noqa: PLW0603 - a thread that is gone may hold it
    _users_lock = threading.Lock()
    for user in _all_users():
        user.inherit()


# After the hook of library.py, which was registered first.
os.register_at_fork(after_in_child=_after_fork_in_child)
