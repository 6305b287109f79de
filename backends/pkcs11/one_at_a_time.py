# SPDX-License-Identifier: Apache-2.0
"""The connection to a token whose module takes one call at a time."""

from contextlib import suppress

from sealpass.backends.pkcs11.connection import DEFAULT_WAIT_SECONDS, Connection
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError


class OneAtATimeConnection(Connection):
    """For a module that was initialised without locking: from acquire to release nobody else calls it."""

    def recover(self, deadline: Deadline) -> None:
        """See :class:`Connection`. Another token of the module may be at work meanwhile, so it takes its turn, too."""
        if self._stale:
            with self.module.alone(deadline):
                super().recover(deadline)

    def acquire(self, deadline: Deadline | None) -> PooledSession:
        """See :class:`Connection`."""
        seconds = DEFAULT_WAIT_SECONDS if deadline is None else deadline.remaining()
        if not self.module.gate.acquire(timeout=seconds):
            raise BackendUnavailable("the PKCS#11 module does one thing at a time, and is busy", retryable=True)
        try:
            return super().acquire(deadline)
        except BaseException:
            self.module.gate.release()
            raise

    def acquire_if_free(self, deadline: Deadline) -> PooledSession | None:
        """See :class:`Connection`."""
        if not self.module.gate.acquire(timeout=deadline.remaining()):
            return None
        session = None
        try:
            session = super().acquire_if_free(deadline)
        finally:
            if session is None:
                self.module.gate.release()
        return session

    def release(self, session: PooledSession) -> None:
        """See :class:`Connection`. In the thread that acquired it."""
        try:
            super().release(session)
        finally:
            self._open_gate(session)

    def discard(self, session: PooledSession) -> None:
        """See :class:`Connection`. In the thread that acquired it."""
        try:
            super().discard(session)
        finally:
            self._open_gate(session)

    def _open_gate(self, session: PooledSession) -> None:
        if not self.is_current(session):
            return  # taken before a fork: the gate of this process was never closed for it
        try:
            self.module.gate.release()
        except RuntimeError:
            raise ConfigError(
                "with init-mode=plain a content key is closed by the thread that unwrapped it",
                hint="restart the process: the module stays reserved for that thread",
            ) from None

    def _reclaim(self, session: PooledSession) -> None:
        with suppress(ConfigError):  # the garbage collector may run in another thread
            self.discard(session)
