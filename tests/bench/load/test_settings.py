# SPDX-License-Identifier: Apache-2.0
"""Scenario files, and what a run makes of its settings."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.load.cells import Device, all_cells, identity, in_order, settle_operations, task_of
from sealpass.bench.load.operations import Name
from sealpass.bench.load.scenario import Settings, parse_scenario, read_scenario
from sealpass.core.errors import ConfigError, UnsupportedAlgorithm
from sealpass.core.uri import KeyUri

TOKEN = KeyUri.parse("pkcs11:token=t;object=rsa?module-path=/m.so&pin-source=file:pin")
RSA = Device(TOKEN, unwraps=True, seals=False, bits=2048, mode="native")
OTHER = replace(RSA, uri=KeyUri.parse("software:path=k.pem"), mode="software")
AES = Device(KeyUri.parse("pkcs11:token=t;object=aes?module-path=/m.so&max-sessions=3"), unwraps=False, seals=True)

WHOLE = """
keys = ["software:path=key.pem"]
seal_key = "software:path=key.jwk"
operations = ["unwrap", "login"]
threads = [1, 2]
sessions = [4]
processes = [1, 2]
payload_bytes = [64, 1024]
seconds = 20
repeat = 2
rate_per_s = 150.5
shared_schedule = false
profile = "airlock-jwe"
allow_sha1 = true
seed = 7
raw = true

[warm_up]
min_seconds = 1
max_seconds = 30

[argon2]
memory_kib = 19456
passes = 2
lanes = 1
"""


def test_a_scenario_names_every_setting(tmp_path: Path) -> None:
    """What stands in the file is what is measured."""
    path = tmp_path / "peak.toml"
    path.write_text(WHOLE)
    settings = read_scenario(path)
    assert settings.operations == (Name.UNWRAP, Name.LOGIN)
    assert (settings.threads, settings.sessions, settings.processes) == ((1, 2), (4,), (1, 2))
    assert (settings.rate_per_s, settings.shared_schedule, settings.seed) == (150.5, False, 7)
    assert (settings.warm_up_min_s, settings.warm_up_max_s) == (1.0, 30.0)
    assert (settings.hashing.memory_kib, settings.hashing.passes, settings.hashing.lanes) == (19456, 2, 1)
    unset = {name for name in Settings.__slots__ if getattr(settings, name) == getattr(Settings(), name)}
    assert unset == set()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"thread": [1]}, "no setting 'thread'"),
        ({"threads": 1}, "threads is a list of whole numbers"),
        ({"threads": [True]}, "threads is a list of whole numbers"),
        ({"threads": []}, "threads needs at least one value"),
        ({"threads": [0]}, "values from 1"),
        ({"threads": [2, 2]}, "a value twice"),
        ({"payload_bytes": [5000]}, "values from 1 to 4096"),
        ({"keys": "software:path=k"}, "keys is a list of texts"),
        ({"operations": ["decrypt"]}, "no operation 'decrypt'"),
        ({"seconds": "20"}, "seconds has a value of the wrong type"),
        ({"seconds": True}, "seconds has a value of the wrong type"),
        ({"seconds": 0}, "more than 0 seconds"),
        ({"seconds": float("nan")}, "more than 0 seconds"),
        ({"rate_per_s": -1.0}, "1e-07 to 1e"),
        ({"repeat": 0}, "from 1 to 1000"),
        ({"profile": "jwe"}, "no profile 'jwe'"),
        ({"warm_up": {"seconds": 1}}, r"\[warm_up\] has min_seconds, max_seconds"),
        ({"warm_up": {"min_seconds": 9, "max_seconds": 1}}, "warm-up takes from"),
        ({"argon2": {"memory_kib": "64"}}, "numbers only"),
        ({"argon2": {"memory_kib": 64.5}}, "whole numbers only"),
        ({"argon2": 3}, r"\[argon2\] has"),
        ({"argon2": {"memory_kib": 10**400}}, "Argon2id takes"),
        ({"seconds": 10**400}, "at most 604800"),
        ({"seconds": 1e300}, "at most 604800"),
        ({"repeat": 10**30}, "from 1 to 1000"),
        ({"repeat": 1000, "threads": [1, 2, 3, 4], "sessions": [1, 2, 3]}, "12000 measurements"),
        ({"rate_per_s": 1e-300}, "from 1e-07 to 1e\\+07"),
        ({"rate_per_s": 10**400}, "from 1e-07 to 1e\\+07"),
        ({"seed": -1}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"warm_up": {"max_seconds": 10**400}}, "warm-up takes from"),
        ({"warm_up": {"max_seconds": 1e300}}, "warm-up takes from"),
    ],
)
def test_what_is_no_setting_is_refused(given: dict[str, Any], words: str) -> None:
    """A typing error must not become a run of something else."""
    with pytest.raises(ConfigError, match=words):
        parse_scenario(given)


def test_a_scenario_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Missing, not text, not TOML."""
    path = tmp_path / "x.toml"
    long, deep = b"seed = " + 5000 * b"9", b"keys = " + 100_000 * b"["
    contents = ((None, "No such file"), (b"\xff", "not UTF-8"), (b"a = ", "not TOML"))
    for content, words in (*contents, (long, "cannot be read: ValueError"), (deep, "cannot be read: RecursionError")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            read_scenario(path)


def test_every_axis_is_varied_apart() -> None:
    """The cross product: each combination once, for each key."""
    settings = Settings(threads=(1, 2, 4), sessions=(1, 2), processes=(1, 2), payload_bytes=(64, 1024))
    cells = all_cells(settings, [Name.UNWRAP], [RSA])
    assert len(set(cells)) == len(cells) == 3 * 2 * 2 * 2


def test_an_axis_without_meaning_multiplies_nothing() -> None:
    """Sessions are of PKCS#11, payloads not of a bare decryption; what they cannot change is measured once."""
    settings = Settings(sessions=(1, 2), payload_bytes=(64, 1024))
    assert len(all_cells(settings, [Name.OAEP], [RSA])) == 2
    (cell,) = all_cells(settings, [Name.OAEP], [OTHER])
    assert (cell.sessions, cell.payload_bytes) == (None, None)
    assert cell.axes(OTHER) == {
        "threads": 1,
        "sessions": None,
        "processes": 1,
        "rsa_bits": 2048,
        "payload_bytes": None,
        "mode": "software",
    }


def test_the_sessions_of_the_uri_are_named() -> None:
    """An axis that was not asked for, and that the URI decides on, is no secret of the result."""
    (cell,) = all_cells(Settings(), [Name.OPEN], [AES])
    assert cell.sessions == 3
    (cell,) = all_cells(Settings(), [Name.UNWRAP], [RSA])
    assert cell.sessions is None


def test_the_pool_of_every_key_of_a_measurement_has_the_size_of_the_axis() -> None:
    """The first URI of a token decides: so all of them say the same."""
    settings = Settings(sessions=(2,))
    (cell,) = all_cells(settings, [Name.LOGIN], [RSA, AES])
    assert (cell.device, cell.sealing_device) == (0, 1)
    task = task_of(cell, settings, [RSA, AES])
    for uri in (task.unwrapping_uri, task.sealing_uri):
        assert KeyUri.parse(uri or "").text("max-sessions") == "2"


def test_the_order_is_random_repeatable_and_keeps_keys_side_by_side() -> None:
    """Each repeat goes through all of them again; the keys of one setting follow one another."""
    cells = all_cells(Settings(threads=tuple(range(1, 9))), [Name.UNWRAP], [RSA, OTHER])
    one, again, other = (in_order(cells, 3, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one) == 3 * len(cells)
    for number in (1, 2, 3):
        of_round = [cell for cell, repeat in one if repeat == number]
        assert set(of_round) == set(cells)
        assert all(of_round[at].threads == of_round[at + 1].threads for at in range(0, len(of_round), 2))
    assert [cell.threads for cell, _ in one[:16]] != [cell.threads for cell in cells]
    assert {cell.device for cell, _ in one[::2]} == {0, 1}  # neither key is always the first


def test_operations_follow_the_keys() -> None:
    """Without a wish: unwrap, or open where no key unwraps; with one that no key fulfils: an error."""
    assert settle_operations(Settings(), [RSA, AES]) == (Name.UNWRAP,)
    assert settle_operations(Settings(), [AES]) == (Name.OPEN,)
    with pytest.raises(UnsupportedAlgorithm, match="login needs a key that seals"):
        settle_operations(Settings(operations=(Name.LOGIN,)), [RSA])
    with pytest.raises(UnsupportedAlgorithm, match="unwrap needs a key that unwraps"):
        settle_operations(Settings(operations=(Name.UNWRAP,)), [AES])


def test_an_id_says_what_was_measured() -> None:
    """The same words on every machine, so that results can be merged and compared."""
    (cell,) = all_cells(Settings(threads=(2,), sessions=(2,)), [Name.UNWRAP], [RSA])
    axes = cell.axes(RSA)
    words = "unwrap threads=2 sessions=2 processes=1 rsa=2048 payload=64 mode=native"
    assert identity("unwrap", axes, {"kind": "closed"}, 1) == f"{words} closed"
    rate = {"kind": "open", "rate_per_s": 12.5, "schedule": "shared"}
    assert identity("unwrap", axes, rate, 2) == f"{words} open rate=12.5/s shared repeat=2"


def test_the_scenario_of_the_guide_is_one() -> None:
    """What docs/load.md shows can be copied."""
    guide = (Path(__file__).parents[3] / "docs" / "load.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    settings = parse_scenario(tomllib.loads(text))
    assert settings.operations == (Name.LOGIN,)
    assert (settings.rate_per_s, settings.processes) == (120, (2,))
    documented = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE))))
    fields = {"keys", "seal_key", "shared_schedule", "payload_bytes", "rate_per_s", "allow_sha1", "raw", "seed"}
    assert fields <= documented
