# SPDX-License-Identifier: Apache-2.0
"""Soft tokens for tests: one private directory a worker process, made by the project's own provisioning."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.uri import KeyUri
from sealpass.softhsm import opencryptoki, p11_kit
from sealpass.softhsm.daemon import Daemon
from sealpass.softhsm.provisioning import provision

ALL_BACKENDS = "SEALPASS_ALL_BACKENDS"
"""Set where every backend has to be there (.ci/run): a package that is missing fails the run then."""


class Kind(Protocol):
    """A module of :mod:`sealpass.softhsm` for a token that not every machine can have."""

    def missing(self) -> str | None:
        """Which packages are missing."""
        ...

    def obstacle(self) -> str | None:
        """Why there can be no such token: that, or what this user may not do."""
        ...


def need(kind: Kind) -> None:
    """Skip the test, with the reason, where there can be no such token; fail where a package had to be there."""
    reason = kind.obstacle()
    if reason is None:
        return
    if os.environ.get(ALL_BACKENDS) and reason == kind.missing():
        pytest.fail(f"{reason} ({ALL_BACKENDS} is set)", pytrace=False)
    pytest.skip(reason)


@dataclass
class SoftToken:
    """A token of one worker. Keys are made once and shared by the tests that do not change them."""

    uri: KeyUri
    directory: Path
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _shared: dict[UnwrapMode | int, str] = field(default_factory=dict)

    @property
    def pin(self) -> str:
        """The user PIN."""
        return (self.directory / "pin").read_text().strip()

    def key_uri(self, label: str) -> str:
        """The URI of a key by its label."""
        return str(self.uri.replace(path={"object": label.encode()}))

    def fresh_label(self) -> str:
        """A label that no key has."""
        return f"key-{next(self._numbers)}"

    def new_key(self, mode: UnwrapMode = UnwrapMode.NATIVE, *, self_signed: bool = False) -> str:
        """A new RSA-2048 key."""
        return str(key_maker(self.key_uri(self.fresh_label())).create_rsa(2048, mode, self_signed=self_signed))

    def shared_key(self, mode: UnwrapMode = UnwrapMode.NATIVE) -> str:
        """The RSA-2048 key of this worker for a mode."""
        if mode not in self._shared:
            self._shared[mode] = self.new_key(mode)
        return self._shared[mode]

    def shared_aes_key(self, bits: int) -> str:
        """The AES key of this worker of a size."""
        if bits not in self._shared:
            self._shared[bits] = str(key_maker(self.key_uri(self.fresh_label())).create_aes(bits))
        return self._shared[bits]


def make_soft_token(kind: str, directory: Path) -> SoftToken:
    """Provision a token and put its variables into this process's environment, before the module is loaded."""
    provisioned = provision(kind, directory)
    os.environ.update(provisioned.config)
    return SoftToken(KeyUri.parse(provisioned.uri), directory)


@dataclass
class RemoteSoftToken(SoftToken):
    """A token in another process: the child that its server made for this one."""

    server: Daemon = field(kw_only=True)


@contextmanager
def make_remote_token(directory: Path) -> Iterator[RemoteSoftToken]:
    """A token behind p11-kit's server, and its address in this process's environment."""
    with p11_kit.remote_token(directory) as provisioned:
        os.environ.update(provisioned.config)
        yield RemoteSoftToken(KeyUri.parse(provisioned.uri), directory, server=provisioned.server)


@contextmanager
def make_opencryptoki(directory: Path) -> Iterator[SoftToken]:
    """OpenCryptoki's token in a namespace that this process enters, and does not leave."""
    with opencryptoki.private_token(directory) as provisioned:
        yield SoftToken(KeyUri.parse(provisioned.uri), directory)
