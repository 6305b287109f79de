# SPDX-License-Identifier: Apache-2.0
"""A whole password service from one file."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from sealpass.backends.keyring import KeyRing
from sealpass.core import argon2_hash
from sealpass.core.argon2_hash import Argon2Parameters
from sealpass.core.errors import BackendUnavailable, ConfigError
from sealpass.core.nonces import Purpose
from sealpass.core.passwords import Passwords
from sealpass.service import migrations
from sealpass.service.configuration.check import refusals
from sealpass.service.configuration.findings import ConfigurationRefused
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.configuration.reloading import Reloaded, ReloadThread, RingReloader
from sealpass.service.configuration.steps import E2eeStep, PlainRepository, StepTokenRepository
from sealpass.service.configuration.values import Configuration
from sealpass.service.database import Database
from sealpass.service.legacy_hashes import legacy_hash_named
from sealpass.service.nonce_store import SqlNonceStore
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage


def open_service(path: Path | str) -> "PasswordService":
    """Open what a configuration names. Close it, or use it in a ``with`` block.

    Raises ConfigurationRefused where the file is wrong, leaves a step open or has one key for two purposes;
    otherwise ConfigError where a trial hash does not run, and what keys and database raise, with nothing left open.
    Starts a thread only where ``[reload]`` asks for it.
    """
    configuration = read_configuration(path)
    if findings := refusals(configuration):
        raise ConfigurationRefused(configuration.path, findings)
    opened = ExitStack()
    try:
        service = PasswordService(configuration, opened)
    except BaseException:
        opened.close()
        raise
    if configuration.reload_seconds is not None:
        service.reload_on_interval()
    return service


class PasswordService:
    """Database, rings and repositories of one configuration. Thread-safe; closes all of it. Made by open_service()."""

    def __init__(self, configuration: Configuration, opened: ExitStack) -> None:
        settings = configuration.database
        _try_hash(configuration.hashing.parameters)
        self.database = opened.enter_context(
            Database(settings.url, timeout=settings.timeout_seconds, connections=settings.connections)
        )
        migrations.check(self.database)
        names = sorted({*configuration.token_rings(), configuration.records_ring})
        rings = {name: opened.enter_context(_ring(configuration, name)) for name in names}
        hashing = configuration.hashing
        passwords = Passwords(
            rings[configuration.records_ring],
            hashing=hashing.parameters,
            ceilings=hashing.ceilings,
            legacy=[legacy_hash_named(name) for name in hashing.legacy],
        )
        nonces = SqlNonceStore(
            self.database, capacity=configuration.nonces.capacity, per_session=configuration.nonces.per_session
        )
        steps = configuration.steps
        self.storage = PasswordStorage(self.database)
        """What is stored of a subject: to see or end a lock-out, and to delete who left."""
        self.unguarded = SqlPasswordRepository(
            self.storage,
            passwords,
            configuration.password_policy(),
            lock_out=configuration.lock_out,
            reuse_lock_out=configuration.reuse_lock_out,
            letter_lifetime=configuration.letter_lifetime_seconds,
            policy_off=[purpose for purpose, step in steps.items() if step.policy_off],
        )
        """Plain passwords in every step: for imports and tools, never for what a browser sent."""
        self.repository = StepTokenRepository(
            self.unguarded,
            {
                purpose: E2eeStep(rings[step.ring], step.profile)
                for purpose, step in steps.items()
                if step.ring is not None
            },
            nonces,
            lifetime=configuration.nonces.lifetime_seconds,
        )
        """Tokens, for the steps that have E2EE."""
        self.plain = PlainRepository(self.unguarded, [purpose for purpose in Purpose if steps[purpose].e2ee_off])
        """Plain passwords, for the steps that have not."""
        self._reloader = RingReloader(configuration, rings)
        self._thread = ReloadThread(self._reloader, configuration.reload_seconds)
        self._opened = opened

    def reload(self) -> Reloaded:
        """Read the file again and open the keys of all rings again, now, in this thread. Logs what it answers.

        Where the file is broken or a key does not answer, what was there stays. Logins in progress keep their keys.
        """
        return self._reloader.reload()

    def reload_on_interval(self) -> None:
        """Start the thread of ``[reload]``; open_service() did. A forked process has no threads, and may call this."""
        self._thread.start()

    def reload_on_sighup(self) -> None:
        """From now on a SIGHUP is reload(), in a thread. From the main thread only; close() there ends it.

        In a forked worker process call it again.
        """
        self._thread.listen()

    def close(self) -> None:
        """End the thread, close keys and connections. Idempotent."""
        self._thread.close()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _try_hash(parameters: Argon2Parameters) -> None:
    """A service that could not hash would let those in who are hashed cheaper already, and fail for all others."""
    try:
        argon2_hash.hash_password(b"a password of a usual length", parameters)
    except BackendUnavailable as error:
        raise ConfigError(
            f"[hashing] asks for {parameters}, and a trial hash did not run: {error}",
            hint="'sealpass hash tune' measures what this machine can bear",
        ) from None


def _ring(configuration: Configuration, name: str) -> KeyRing:
    ring = configuration.rings[name]
    return KeyRing(ring.current, ring.previous, failure_floor=ring.failure_floor_seconds)
