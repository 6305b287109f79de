# SPDX-License-Identifier: Apache-2.0
"""What a rotation would cost: calls, money and hours, from a dated table that can be replaced."""

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri

KMS = "awskms"
SYMMETRIC = "symmetric"
DEFAULT_KMS_RATE = 5000.0
"""Records a second: half of the smallest default quota of AWS, so that logins keep the other half."""
DEFAULT_KMS_THREADS = 16
_SECONDS_AN_HOUR = 3600
_SHIPPED = "aws_kms_prices.toml"


@dataclass(frozen=True, slots=True)
class Prices:
    """The table, by kind of key: ``symmetric``, ``rsa-2048``, ``rsa-other``."""

    as_of: date
    currency: str
    per_10000: dict[str, float]
    quota: dict[str, float]
    """Requests a second."""
    symmetric_quota_by_region: dict[str, float]
    cpu_milliseconds: float

    @classmethod
    def read(cls, path: str | None = None) -> "Prices":
        """The shipped table, or that of a file; raises ConfigError."""
        try:
            shipped = resources.files("sealpass.service").joinpath(_SHIPPED)
            octets = shipped.read_bytes() if path is None else Path(path).read_bytes()
            return cls._from_table(tomllib.loads(octets.decode("utf-8")))
        except OSError as error:
            raise ConfigError(f"cannot read the table of prices: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError("the table of prices is not UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"the table of prices is not TOML: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"the table of prices lacks a member, or has a wrong one ({error})",
                hint="it has the members of the shipped one, which docs/rotation.md shows",
            ) from None

    @classmethod
    def _from_table(cls, table: dict[str, Any]) -> "Prices":
        quotas = dict(table["requests-per-second"])
        regions = quotas.pop("symmetric-by-region", {})
        as_of = table["as-of"]
        if type(as_of) is not date or not isinstance(table["currency"], str):
            raise TypeError("as-of is a date, currency a text")
        return cls(
            as_of=as_of,
            currency=table["currency"],
            per_10000=_numbers(table["price-per-10000"], at_least_one=SYMMETRIC),
            quota=_numbers(quotas, at_least_one=SYMMETRIC, above_zero=True),
            symmetric_quota_by_region=_numbers(regions, above_zero=True),
            cpu_milliseconds=_numbers(table["cpu"])["milliseconds-per-request"],
        )

    def quota_of(self, kind: str, region: str | None) -> float:
        """Requests a second of that kind of key in that Region."""
        if kind == SYMMETRIC and region in self.symmetric_quota_by_region:
            return self.symmetric_quota_by_region[region]
        return self.quota[kind]


def _numbers(table: dict[str, Any], *, at_least_one: str | None = None, above_zero: bool = False) -> dict[str, float]:
    if at_least_one is not None and at_least_one not in table:
        raise KeyError(at_least_one)
    for name, value in table.items():
        if type(value) not in (int, float) or not 0 <= value < float("inf") or (above_zero and value == 0):
            raise ValueError(f"'{name}'")
    return {name: float(value) for name, value in table.items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What moving ``records`` would take. Hours are None where nothing is known to bound them."""

    records: int
    calls: dict[str, int]
    """Of AWS KMS, by operation; empty where no KMS takes part."""
    price: float
    currency: str
    as_of: date
    hours_at_quota: float | None
    """The shortest that the account's default quota allows, with nothing else using KMS."""
    hours_at_rate: float | None
    """At the limit that a run would have."""
    cpu_hours: float | None
    """Of this side's processors, for the requests."""


def estimate(
    records: Mapping[tuple[str, ...], int],
    prices: Prices,
    *,
    kind: str = SYMMETRIC,
    region: str | None = None,
    rate: float | None = None,
) -> Estimate:
    """Of so many records by the KMS operations that each of them costs once, under ``rate`` records a second."""
    everything = sum(records.values())
    calls: Counter[str] = Counter()
    for operations, number in records.items():
        calls.update(dict.fromkeys(operations, number))
    total = sum(calls.values())
    # Two operations on one record are in two Regions, and each has its own quota.
    busiest = max(calls.values(), default=0)
    return Estimate(
        records=everything,
        calls=dict(calls),
        price=total / 10_000 * prices.per_10000[kind],
        currency=prices.currency,
        as_of=prices.as_of,
        hours_at_quota=busiest / prices.quota_of(kind, region) / _SECONDS_AN_HOUR if calls else None,
        hours_at_rate=None if rate is None else everything / rate / _SECONDS_AN_HOUR,
        cpu_hours=total * prices.cpu_milliseconds / 1000 / _SECONDS_AN_HOUR if calls else None,
    )


def region_of(uri: KeyUri) -> str | None:
    """The Region that the URI names, by itself or in an ARN; None where the environment says it."""
    arn = (uri.text("key-id") or "").split(":")
    return uri.text("region") or (arn[3] if len(arn) > 3 else None)  # noqa: PLR2004 - arn:aws:kms:REGION:…


def kms_operations(source: KeyUri | None, target: KeyUri) -> tuple[str, ...]:
    """The calls of AWS KMS that move one record between the keys, told from the URIs; source None is no KMS key."""
    from_kms, to_kms = source is not None and source.scheme == KMS, target.scheme == KMS
    if source is not None and from_kms and to_kms and region_of(source) == region_of(target):
        return ("ReEncrypt",)
    return ("Decrypt",) * from_kms + ("Encrypt",) * to_kms


def default_rate(*uris: KeyUri) -> float | None:
    """Records a second where nobody says: None, any number, unless AWS KMS takes part."""
    return DEFAULT_KMS_RATE if any(uri.scheme == KMS for uri in uris) else None


def default_threads(*uris: KeyUri) -> int:
    """A call of KMS is mostly waiting; those of a local key are not."""
    return DEFAULT_KMS_THREADS if any(uri.scheme == KMS for uri in uris) else 1
