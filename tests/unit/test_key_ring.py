# SPDX-License-Identifier: Apache-2.0
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sealpass.backends import keyring
from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, KeyNotFound, RejectReason, TokenRejected, UnsupportedAlgorithm
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.protocols import Key
from sealpass.core.uri import KeyUri
from tests.support.contract import PASSWORD, Flow


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three RSA keys."""
    folder = tmp_path_factory.mktemp("ring")
    return [_make(folder / f"{number}.pem") for number in range(3)]


def _make(path: Path) -> str:
    return str(key_maker(f"software:path={path}").create_rsa(2048, UnwrapMode.SOFTWARE))


def _kid(uri: str) -> str:
    with open_key(uri) as key:
        return key.key_id


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """The keys that the ring opened, in order."""
    seen: list[Key] = []

    def spy(uri: KeyUri, *, failure_floor: float | None = None) -> Key:
        seen.append(open_key(uri, failure_floor=failure_floor))
        return seen[-1]

    monkeypatch.setattr(keyring, "open_key", spy)
    return seen


def _is_closed(key: Key) -> bool:
    try:
        key.probe()  # type: ignore[attr-defined]
    except ConfigError:
        return True
    return False


def test_finds_current_and_previous_by_id(uris: list[str]) -> None:
    """And nothing else."""
    with KeyRing(uris[0], uris[1:2]) as ring:
        assert ring.current.key_id == _kid(uris[0])
        assert ring.find(_kid(uris[0])) is ring.current
        previous = ring.find(_kid(uris[1]))
        assert previous is not None
        assert previous.key_id == _kid(uris[1])
        assert ring.find(_kid(uris[2])) is None
        assert ring.find("") is None


def test_takes_parsed_uris(uris: list[str]) -> None:
    """A configuration has parsed them already."""
    with KeyRing(KeyUri.parse(uris[0]), [KeyUri.parse(uris[1])]) as ring:
        assert ring.current.key_id == _kid(uris[0])


def test_passes_the_failure_floor_on(uris: list[str]) -> None:
    """To every key."""
    with KeyRing(uris[0], uris[1:2], failure_floor=1.25) as ring:
        previous = ring.find(_kid(uris[1]))
        assert previous is not None
        assert ring.current.failure_floor.seconds == previous.failure_floor.seconds == 1.25


def test_rotation_has_grace_for_what_was_announced(uris: list[str]) -> None:
    """A token for the old key still opens; the next announcement is of the new key."""
    with KeyRing(uris[0], failure_floor=0) as ring:
        flow = Flow(ring, SEALPASS)
        before = flow.announce()
        ring.replace(uris[1], uris[:1])
        assert flow.announce().public_key.kid == _kid(uris[1])
        assert flow.unwrap(flow.token(before)) == PASSWORD


def test_key_that_left_the_ring_opens_nothing(uris: list[str]) -> None:
    """Without the grace of `previous` the token is rejected, and the client fetches a new announcement."""
    with KeyRing(uris[0], failure_floor=0) as ring:
        flow = Flow(ring, SEALPASS)
        before = flow.announce()
        ring.replace(uris[1])
        with pytest.raises(TokenRejected) as caught:
            flow.unwrap(flow.token(before))
        assert caught.value.reason is RejectReason.KEY_RETIRED


def test_replace_keeps_open_what_stays(uris: list[str], opened: list[Key]) -> None:
    """A key that is still the one of its URI stays the object that threads hold; what was opened to look is closed."""
    with KeyRing(uris[0], uris[1:2]) as ring:
        before = list(opened)
        ring.replace(uris[1], [uris[0], uris[2]])
        assert ring.current is before[1]
        assert not any(map(_is_closed, before))
        assert sum(map(_is_closed, opened)) == len(opened) - 3


def test_key_that_left_stays_open_until_close(uris: list[str], opened: list[Key]) -> None:
    """A thread may still be unwrapping with it."""
    with KeyRing(uris[0]) as ring:
        ring.replace(uris[1])
        assert not _is_closed(opened[0])
    assert _is_closed(opened[0])
    assert _is_closed(opened[1])


@pytest.mark.parametrize(
    "broken", ["software:path=/nowhere/key.pem", "software:colour=red", "nonsense", "other:path=x"]
)
def test_failed_replace_changes_nothing(uris: list[str], broken: str) -> None:
    """Whether the broken one is the new current or a previous one."""
    with KeyRing(uris[0], uris[1:2], failure_floor=0) as ring:
        flow = Flow(ring, SEALPASS)
        information = flow.announce()
        for current, previous in ((broken, [uris[0]]), (uris[2], [broken]), (uris[2], [uris[0], broken])):
            with pytest.raises((ConfigError, KeyNotFound)):
                ring.replace(current, previous)
            assert ring.current.key_id == _kid(uris[0])
            assert ring.find(_kid(uris[1])) is not None
            assert ring.find(_kid(uris[2])) is None
        assert flow.unwrap(flow.token(information)) == PASSWORD


def test_two_keys_of_one_id_are_refused(uris: list[str], tmp_path: Path, opened: list[Key]) -> None:
    """The same key under two URIs is a mistake in the configuration; nothing stays open."""
    copy = tmp_path / "copy.pem"
    copy.write_bytes(Path(KeyUri.parse(uris[0]).require("path")).read_bytes())
    with pytest.raises(ConfigError, match="two keys of the ring have the id"):
        KeyRing(uris[0], [f"software:path={copy}"])
    assert all(map(_is_closed, opened))


def test_one_uri_twice_is_one_key(uris: list[str], opened: list[Key]) -> None:
    """Harmless, and it happens when a rotation is half written down."""
    with KeyRing(uris[0], [uris[0]]) as ring:
        assert ring.find(ring.current.key_id) is ring.current
        assert sum(map(_is_closed, opened)) == len(opened) - 1


def test_failed_start_closes_what_it_opened(uris: list[str], opened: list[Key]) -> None:
    """Sessions on a device are few."""
    with pytest.raises(KeyNotFound):
        KeyRing(uris[0], [uris[1], "software:path=/nowhere/key.pem"])
    assert len(opened) == 2
    assert all(map(_is_closed, opened))


def test_close_is_final_and_may_be_called_again(uris: list[str], opened: list[Key]) -> None:
    """Every later use is a ConfigError."""
    ring = KeyRing(uris[0], uris[1:2])
    ring.close()
    ring.close()
    assert all(map(_is_closed, opened))
    uses: list[Callable[[], object]] = [lambda: ring.current, lambda: ring.find("x"), lambda: ring.replace(uris[0])]
    for use in uses:
        with pytest.raises(ConfigError, match="closed"):
            use()
    assert len(opened) == 2


def test_key_that_does_not_unwrap_is_not_announced(tmp_path: Path) -> None:
    """An AES key is no key of the contract: neither announced nor found."""
    uri = key_maker(f"software:path={tmp_path / 'aes.json'}").create_aes(256)
    with KeyRing(uri) as ring, open_key(uri) as key:
        with pytest.raises(UnsupportedAlgorithm, match="does not unwrap"):
            _ = ring.current
        assert ring.find(key.key_id) is None


def test_replace_under_threads(uris: list[str]) -> None:
    """A reader sees the old ring or the new one, never a mixture, while other threads replace it."""
    kids = [_kid(uri) for uri in uris[:2]]
    with KeyRing(uris[0], uris[1:2], failure_floor=0) as ring:
        start = threading.Barrier(5)
        wrong: list[str] = []

        def rotate(turn: int) -> None:
            start.wait()
            for number in range(100):
                first = (turn + number) % 2
                ring.replace(uris[first], [uris[1 - first]])

        def read() -> None:
            start.wait()
            for _ in range(500):
                wrong.extend(kid for kid in kids if ring.find(kid) is None)
                if ring.current.key_id not in kids:
                    wrong.append("current")

        threads = [threading.Thread(target=rotate, args=(turn,)) for turn in (0, 1)]
        threads += [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_uri_that_stands_for_another_key_by_now_is_opened_again(tmp_path: Path) -> None:
    """replace() with the same URI finds the key that is there now; the key of before no longer opens tokens."""
    path = tmp_path / "key.pem"
    uri = str(KeyUri("software", {"path": bytes(path)}))
    key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)
    with KeyRing(uri) as ring:
        before = ring.current
        ring.replace(uri)
        assert ring.current is before
        path.unlink()
        key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)
        ring.replace(uri)
        assert ring.current.key_id != before.key_id
        assert ring.find(before.key_id) is None


def test_wrong_kinds_of_arguments_are_named(uris: list[str]) -> None:
    """One URI where a list belongs, and a list where one URI belongs, are ConfigErrors that say so."""
    with pytest.raises(ConfigError, match="one current URI and a list"):
        KeyRing(uris[0], uris[1])
    with pytest.raises(ConfigError, match="one current URI and a list"):
        KeyRing([uris[0]])  # type: ignore[arg-type]


def test_an_error_says_which_key_of_the_ring_it_is_about(uris: list[str]) -> None:
    """A ring has several URIs, and whoever mends one must know which."""
    with pytest.raises(KeyNotFound, match=r"\(key ring: software:path=/nowhere/old.pem\)"):
        KeyRing(uris[0], [uris[1], "software:path=/nowhere/old.pem"])


def test_a_ring_has_keys_of_one_kind(uris: list[str], tmp_path: Path) -> None:
    """A key that only seals is no previous key of one that unwraps."""
    sealing = str(key_maker(f"software:path={tmp_path}/seal.jwk").create_aes(256))
    for current, previous in ((uris[0], sealing), (sealing, uris[0])):
        with pytest.raises(ConfigError, match="one kind"):
            KeyRing(current, [previous])
