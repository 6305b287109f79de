# SPDX-License-Identifier: Apache-2.0
"""One connection a token and process: keys come and leave, and the last one to leave closes it."""

import logging
import os
import threading

from pkcs11.exceptions import PKCS11Error

from sealpass.backends.pkcs11.connection import DEFAULT_WAIT_SECONDS, Connection
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.one_at_a_time import OneAtATimeConnection
from sealpass.backends.pkcs11.reinitialising import reinitialise
from sealpass.backends.pkcs11.token import find_slot, signs_of
from sealpass.backends.pkcs11.vendor_profile import InitMode
from sealpass.backends.pkcs11.vendor_profiles import Choice, named, probed
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)

_shared: dict[tuple[str, bytes, str], Connection] = {}
_shared_lock = threading.Lock()


def _sees_tokens(module: Module) -> bool:
    try:
        with module.visit():
            return any(slot.get_token() for slot in module.library.get_slots(token_present=True))
    except PKCS11Error:
        return False


def _bring_back(module: Module) -> None:
    """Initialise again a module that lost its tokens while nobody was connected, or never saw them."""
    connected = any(known.module is module for known in _shared.values())  # who has looked after it
    if not connected and not _sees_tokens(module):
        deadline = Deadline.after(DEFAULT_WAIT_SECONDS)
        with module.locked(deadline):
            reinitialise(module, deadline)


def _check_turns(uri: KeyUri, module: Module, vendor: Choice) -> None:
    """Refuse a module that only now turns out to be one that several threads would crash.

    Its file name said nothing, so it was initialised with locking, which does not help it. Who writes ``init-mode``
    or another ``profile`` into the URI insists.
    """
    if vendor.profile.init_mode is InitMode.PLAIN and not module.one_at_a_time and uri.text("init-mode") is None:
        raise ConfigError(
            f"{vendor.profile.device} takes one call at a time, and its file name did not tell",
            hint=f"add init-mode={InitMode.PLAIN} to the URI",
        )


def connect(uri: KeyUri, module: Module, *, force_login: bool) -> Connection:
    """The connection to the token that the URI names, shared with other keys; pair with :func:`leave`.

    The first URI of a token decides on ``max-sessions`` and ``profile`` and logs in; the login is the process's
    (PKCS#11 section 5.6). Raises ConfigError where a later one asks for another profile.
    """
    with module.alone(Deadline.after(DEFAULT_WAIT_SECONDS)), _shared_lock:
        with module.lock:
            module.revive()
        for known in list(_shared.values()):
            if known.module is module:  # one that is lost would hide its token from the search below
                known.recover(Deadline.after(DEFAULT_WAIT_SECONDS))
        _bring_back(module)
        with module.visit():
            slot = find_slot(uri, module)
            token = slot.get_token()
            where = (module.path, token.serial, token.label)
            asked = uri.text("profile")
            vendor = Choice(named(asked), "the URI") if asked else probed(signs_of(module, token))
            _check_turns(uri, module, vendor)
            connection = _shared.get(where)
            if connection is not None and asked and connection.vendor.profile is not vendor.profile:
                raise ConfigError(
                    f"the token is in use in this process with the vendor profile {connection.vendor.profile.name}",
                    hint="give all URIs of one token the same profile=…",
                )
            if connection is None:
                made = OneAtATimeConnection if module.one_at_a_time else Connection
                connection = _shared[where] = made(uri, module, slot, vendor, force_login=force_login)
        connection.users += 1
        return connection


def leave(connection: Connection) -> None:
    """One user less; the last one closes the connection. Raises nothing.

    A call may hang in the module: after 30 s a warning is logged, and what needs the module stays open.
    """
    deadline = Deadline.after(DEFAULT_WAIT_SECONDS)
    if not _shared_lock.acquire(timeout=deadline.remaining()):
        _log.warning("a PKCS#11 key is closed, and its token is not: the opening of another key does not end")
        return
    try:
        connection.users -= 1
        if connection.users:
            return
        for where, shared in list(_shared.items()):
            if shared is connection:
                del _shared[where]
    finally:
        _shared_lock.release()
    connection.close(deadline)


def _after_fork_in_child() -> None:
    global _shared_lock  # noqa: PLW0603 - a thread that is gone may hold it
    _shared_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
