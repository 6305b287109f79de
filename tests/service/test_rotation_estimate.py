# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.service.estimate import (
    Prices,
    default_rate,
    default_threads,
    estimate,
    kms_operations,
    region_of,
)

MILLIONS = 300_000_000
TABLE = """
as-of = 2030-01-02
currency = "CHF"
[price-per-10000]
symmetric = 1
[requests-per-second]
symmetric = 10
[cpu]
milliseconds-per-request = 2.0
"""


@pytest.mark.parametrize(
    ("kind", "region", "price", "hours"),
    [
        ("symmetric", "eu-north-1", 900, 8.3),
        ("symmetric", None, 900, 8.3),
        ("symmetric", "eu-central-1", 900, 4.2),
        ("symmetric", "us-east-1", 900, 50 / 60),
        ("rsa-2048", "us-east-1", 900, 83.3),
        ("rsa-other", None, 4500, 83.3),
    ],
)
def test_three_hundred_million_records(kind: str, region: str | None, price: float, hours: float) -> None:
    """Against figures that were reckoned by hand from AWS's pages."""
    found = estimate({("ReEncrypt",): MILLIONS}, Prices.read(), kind=kind, region=region, rate=10_000)
    assert found.calls == {"ReEncrypt": MILLIONS}
    assert found.price == pytest.approx(price)
    assert found.hours_at_quota == pytest.approx(hours, abs=0.05)
    assert found.hours_at_rate == pytest.approx(8.33, abs=0.01)
    assert found.cpu_hours == pytest.approx(41.7, abs=0.1)


def test_two_calls_a_record_cost_twice_and_take_no_longer() -> None:
    """They are in two Regions, each with a quota; records that cost no call are counted, and free."""
    found = estimate({("Decrypt", "Encrypt"): 1_000_000, ("Encrypt",): 500_000, (): 7}, Prices.read())
    assert found.records == 1_500_007
    assert found.calls == {"Decrypt": 1_000_000, "Encrypt": 1_500_000}
    assert found.price == pytest.approx(7.5)
    assert found.hours_at_quota == pytest.approx(150 / 3600)
    assert found.hours_at_rate is None


def test_without_kms_nothing_is_known() -> None:
    """Of a device of one's own there is no table."""
    found = estimate({(): 10}, Prices.read(), rate=5)
    assert (found.calls, found.price, found.hours_at_quota, found.cpu_hours) == ({}, 0, None, None)
    assert found.hours_at_rate == pytest.approx(2 / 3600)


KMS = "awskms:key-id=alias/a;region=eu-central-1"
KMS_BY_ARN = "awskms:key-id=arn:aws:kms:eu-central-1:111122223333:alias%2Fb"
KMS_FAR = "awskms:key-id=alias/a;region=us-east-1"
LOCAL = "software:path=seal.jwk"


@pytest.mark.parametrize(
    ("source", "target", "operations"),
    [
        (KeyUri.parse(KMS), KMS_BY_ARN, ("ReEncrypt",)),
        (KeyUri.parse(KMS_FAR), KMS, ("Decrypt", "Encrypt")),
        (KeyUri.parse(KMS), LOCAL, ("Decrypt",)),
        (None, KMS, ("Encrypt",)),
        (KeyUri.parse(LOCAL), KMS, ("Encrypt",)),
        (KeyUri.parse(LOCAL), LOCAL, ()),
    ],
)
def test_what_a_record_costs(source: KeyUri | None, target: str, operations: tuple[str, ...]) -> None:
    """One ReEncrypt within a Region; else each end that is a KMS key is one call."""
    assert kms_operations(source, KeyUri.parse(target)) == operations


def test_defaults_of_a_backend() -> None:
    """KMS has a quota that logins need, too, and calls that wait; a local key has neither."""
    kms, local = KeyUri.parse(KMS), KeyUri.parse(LOCAL)
    assert (default_rate(local, kms), default_threads(local, kms)) == (5000, 16)
    assert (default_rate(local), default_threads(local)) == (None, 1)
    assert [region_of(KeyUri.parse(uri)) for uri in (KMS_BY_ARN, LOCAL)] == ["eu-central-1", None]


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """It replaces the shipped one wholly; Regions may be left out."""
    path = tmp_path / "prices.toml"
    path.write_text(TABLE)
    found = estimate({("ReEncrypt",): 36_000}, Prices.read(str(path)), region="us-east-1")
    assert (found.currency, str(found.as_of)) == ("CHF", "2030-01-02")
    assert found.price == pytest.approx(3.6)
    assert found.hours_at_quota == pytest.approx(1.0)
    assert found.cpu_hours == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("symmetric = 10\n", "symmetric = 0\n"),
        ("symmetric = 1\n", "symmetric = -1\n"),
        ("symmetric = 1\n", 'symmetric = "1"\n'),
        ("symmetric = 1\n", "symmetric = true\n"),
        ("symmetric = 1\n", "symmetric = inf\n"),
        ("symmetric = 1\n", "rsa-2048 = 1\n"),
        ("2030-01-02", '"2030-01-02"'),
        ('"CHF"', "1"),
        ("[cpu]", "[gpu]"),
        ("milliseconds-per-request", "seconds-per-request"),
        ("[price-per-10000]\nsymmetric = 1", "price-per-10000 = 1"),
        ("[cpu]", "[cpu"),
        ("CHF", "\x80"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str) -> None:
    """As a mistake of the configuration, and before anything is reckoned."""
    assert old in TABLE
    path = tmp_path / "prices.toml"
    path.write_bytes(TABLE.replace(old, new, 1).encode("latin-1"))
    with pytest.raises(ConfigError, match="table of prices"):
        Prices.read(str(path))


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is not replaced by the shipped one."""
    with pytest.raises(ConfigError, match="No such file"):
        Prices.read(str(tmp_path / "none.toml"))
