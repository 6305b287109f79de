# SPDX-License-Identifier: Apache-2.0
"""A ring whose current key was opened through an alias, with a device that moves it."""

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.backends import keyring
from sealpass.backends.keyring import ASK_AGAIN_SECONDS, KeyRing
from sealpass.backends.memory_key import AesMemoryKey, RsaMemoryKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, ConfigError, UnsupportedAlgorithm
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.protocols import Key
from sealpass.core.uri import KeyUri
from tests.support.contract import PASSWORD, Flow

ALIAS = "awskms:key-id=alias/e2ee;region=eu-central-1"
INTERVAL = 60.0


class Device:
    """Keys by name, and an alias. Stands in for AWS KMS; the awskms tests use the real backend."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.alias = "one"
        self.is_away = False
        self.rsa = {
            name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("one", "two", "three")
        }

    def open_key(self, uri: str | KeyUri, *, failure_floor: float | None = None) -> Key:
        """As the registry's."""
        parsed = KeyUri.parse(uri) if isinstance(uri, str) else uri
        named = parsed.require("key-id")
        name = self.alias if named == "alias/e2ee" else named
        if name.startswith("aes-"):
            return MovingAesKey(self, parsed, name)
        return MovingRsaKey(self, parsed, name, failure_floor)

    def ring(self, previous: Sequence[str] = (), failure_floor: float | None = None) -> KeyRing:
        """A ring whose current key is the alias."""
        return KeyRing(ALIAS, previous, failure_floor=failure_floor, clock=lambda: self.now)

    def kid(self, name: str) -> str:
        """The id of a key."""
        with self.open_key(f"awskms:key-id={name}") as key:
            return key.key_id


class _Moves:
    alias_interval = INTERVAL

    def __init__(self, device: Device, name: str, *, by_alias: bool) -> None:
        self.device = device
        self.name = name
        self.by_alias = by_alias

    def has_moved(self, _deadline: Deadline | None = None) -> bool:
        """As FollowsAlias has it."""
        self.device.asked += 1
        if self.device.is_away:
            raise BackendUnavailable("away", retryable=True)
        return self.by_alias and self.device.alias != self.name


class MovingRsaKey(RsaMemoryKey, _Moves):
    def __init__(self, device: Device, uri: KeyUri, name: str, floor: float | None) -> None:
        RsaMemoryKey.__init__(self, uri, device.rsa[name], floor)
        _Moves.__init__(self, device, name, by_alias=uri.require("key-id").startswith("alias/"))


class MovingAesKey(AesMemoryKey, _Moves):
    def __init__(self, device: Device, uri: KeyUri, name: str) -> None:
        AesMemoryKey.__init__(self, uri, name.encode().ljust(32, b"."), name)
        _Moves.__init__(self, device, name, by_alias=uri.require("key-id").startswith("alias/"))


@pytest.fixture(scope="module")
def keys() -> Device:
    """The device of this module: making RSA keys takes a while."""
    return Device()


@pytest.fixture
def device(keys: Device, monkeypatch: pytest.MonkeyPatch) -> Device:
    """The device as new, with a clock that stands still."""
    keys.now, keys.asked, keys.alias, keys.is_away = 1000.0, 0, "one", False
    monkeypatch.setattr(keyring, "open_key", keys.open_key)
    return keys


@pytest.fixture
def ring(device: Device) -> Iterator[KeyRing]:
    """A ring of the alias alone."""
    with device.ring(failure_floor=0) as opened:
        yield opened


def test_the_alias_is_asked_once_an_interval(device: Device, ring: KeyRing) -> None:
    """Announcing costs a question to the device only when the interval is over."""
    for _ in range(5):
        assert ring.current.key_id == device.kid("one")
    assert device.asked == 0
    device.now += INTERVAL
    assert [ring.current.key_id for _ in range(5)] == [device.kid("one")] * 5
    assert device.asked == 1


def test_a_moved_alias_changes_the_current_key_and_keeps_the_old_one(device: Device, ring: KeyRing) -> None:
    """What was announced under the old key still opens, to the end of its nonce's life."""
    flow = Flow(ring, SEALPASS)
    announced = flow.announce()
    device.alias = "two"
    device.now += INTERVAL
    assert ring.current.key_id == device.kid("two")
    assert announced.public_key.kid == device.kid("one")
    assert flow.unwrap(flow.token(announced)) == PASSWORD
    assert flow.unwrap(flow.token(flow.announce())) == PASSWORD


def test_an_alias_that_moves_back_finds_its_old_key_current_again(device: Device, ring: KeyRing) -> None:
    """Both keys stay in the ring, whatever the order."""
    for name in ("two", "one", "three"):
        device.alias = name
        device.now += INTERVAL
        assert ring.current.key_id == device.kid(name)
    for name in ("one", "two", "three"):
        assert ring.find(device.kid(name)) is not None


def test_an_unknown_key_id_makes_the_ring_ask_before_the_interval_is_over(device: Device, ring: KeyRing) -> None:
    """Another process may have followed the alias and announced its new key; questions stay rare all the same."""
    device.alias = "two"
    device.now += ASK_AGAIN_SECONDS
    found = ring.find(device.kid("two"))
    assert found is not None
    assert found.key_id == device.kid("two")
    asked = device.asked
    for _ in range(10):
        assert ring.find("no such key") is None
    assert device.asked == asked


def test_a_device_that_does_not_answer_leaves_the_ring_as_it_is(
    device: Device, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    """The question is put again after another interval, and the operator is told."""
    device.alias, device.is_away = "two", True
    device.now += INTERVAL
    with caplog.at_level(logging.WARNING):
        assert ring.current.key_id == device.kid("one")
    assert "backend-unavailable" in caplog.text
    device.is_away = False
    assert ring.current.key_id == device.kid("one")
    device.now += INTERVAL
    assert ring.current.key_id == device.kid("two")


def test_one_thread_asks_and_the_others_go_on(device: Device, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow device delays nobody but the one that asks."""
    asking, go_on = threading.Event(), threading.Event()

    def slow(self: MovingRsaKey, deadline: Deadline | None = None) -> bool:
        asking.set()
        assert go_on.wait(30)
        return False

    monkeypatch.setattr(MovingRsaKey, "has_moved", slow)
    device.now += INTERVAL
    thread = threading.Thread(target=lambda: ring.current)
    thread.start()
    assert asking.wait(30)
    device.now += INTERVAL
    assert ring.current.key_id == device.kid("one")
    go_on.set()
    thread.join()


def test_an_unknown_key_id_waits_for_the_thread_that_asks(
    device: Device, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token was announced by another process; what that thread learns must not come too late for it."""
    asking, go_on = threading.Event(), threading.Event()
    moved = MovingRsaKey.has_moved

    def slow(self: MovingRsaKey, deadline: Deadline | None = None) -> bool:
        asking.set()
        assert go_on.wait(30)
        return moved(self, deadline)

    monkeypatch.setattr(MovingRsaKey, "has_moved", slow)
    device.alias = "two"
    device.now += INTERVAL
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: ring.current),
        threading.Thread(target=lambda: found.append(ring.find(device.kid("two")))),
    ]
    threads[0].start()
    assert asking.wait(30)
    threads[1].start()
    threads[1].join(0.2)  # time to go wrong in; a ring that waits is right however long this takes
    assert not found
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert found == [ring.current]
    assert device.asked == 1


def test_an_alias_that_became_one_of_another_kind_is_not_followed(
    device: Device, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody deleted it and made it again for a sealing key: logins go on under the key of before."""
    device.alias = "aes-1"
    device.now += INTERVAL
    with caplog.at_level(logging.WARNING):
        assert ring.current.key_id == device.kid("one")
    assert "unsupported-algorithm" in caplog.text


def test_an_alias_and_the_key_behind_it_are_one_key(device: Device) -> None:
    """Who lists the key of now among the previous ones has a ring, and not two keys of one id."""
    with device.ring(["awskms:key-id=one;region=eu-central-1"]) as ring:
        assert str(ring.current.uri) == ALIAS
        device.alias = "two"
        device.now += INTERVAL
        assert ring.current.key_id == device.kid("two")
        assert ring.find(device.kid("one")) is not None


def test_replace_opens_the_alias_anew(device: Device, ring: KeyRing) -> None:
    """A reload of the configuration sees at once what the alias names."""
    device.alias = "two"
    ring.replace(ALIAS, ["awskms:key-id=one;region=eu-central-1"])
    assert ring.current.key_id == device.kid("two")
    assert ring.find(device.kid("one")) is not None


@pytest.mark.parametrize("followed", [True, False], ids=["after the ring followed", "before it did"])
def test_replace_keeps_what_the_alias_named_before(device: Device, ring: KeyRing, followed: bool) -> None:  # noqa: FBT001 - both cases in one
    """Reading an unchanged configuration again ends no grace of tokens, and loses no records of the old key."""
    device.alias = "two"
    if followed:
        device.now += INTERVAL
        assert ring.current.key_id == device.kid("two")
    ring.replace(ALIAS)
    assert ring.current.key_id == device.kid("two")
    assert ring.find(device.kid("one")) is not None
    ring.replace("awskms:key-id=three;region=eu-central-1")
    assert ring.find(device.kid("one")) is ring.find(device.kid("two")) is None


def test_records_sealed_before_the_alias_moved_still_open(device: Device) -> None:
    """The sealer is the new key at once, and the opener of an old record is found by its key id."""
    device.alias = "aes-1"
    with device.ring() as ring:
        sealed = ring.current_sealer.seal(b"hash", b"aad")
        device.alias = "aes-2"
        device.now += INTERVAL
        assert ring.current_sealer.key_id == "aes-2"
        opener = ring.find_opener("aes-1")
        assert opener is not None
        assert opener.open_sealed(sealed, b"aad") == b"hash"
        assert ring.find_opener("aes-3") is None


def test_roles_are_kept_apart(device: Device, ring: KeyRing) -> None:
    """A ring of an RSA key has no sealer, and opens no record."""
    with pytest.raises(UnsupportedAlgorithm):
        _ = ring.current_sealer
    assert ring.find_opener(device.kid("one")) is None


def test_every_key_that_was_followed_is_closed_in_the_end(device: Device) -> None:
    """A closed ring leaves no key open."""
    ring = device.ring()
    first = ring.current
    device.alias = "two"
    device.now += INTERVAL
    second = ring.current
    assert first is not second
    ring.close()
    for key in (first, second):
        with pytest.raises(ConfigError):
            key.probe()
