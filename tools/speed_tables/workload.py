# SPDX-License-Identifier: Apache-2.0
"""What is timed, and how it is shown: distinct tokens for one key, and Markdown tables of ratios."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sealpass import SEALPASS, KeyRing, NonceRecord, Purpose, announce, unwrap_password
from sealpass.bench.interleaved import Operation, Samples, compare
from sealpass.bench.load.recording import NANOSECONDS
from sealpass.bench.load.recording import Operation as Load
from sealpass.bench.load.worker import Part
from sealpass.core import jwe
from sealpass.core.encrypt import encrypt_password
from sealpass.core.protocols import Unwrapper

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state" / "bench"
PROFILE = SEALPASS.allowing_sha1()
_LEAD_NS = 10_000_000
_ENDLESS_SECONDS = 3600.0
"""A window ends when each thread has done its block."""


class Nonces:
    """Nonce records that stay: the same token may be opened again in another round."""

    def __init__(self) -> None:
        self._records: dict[str, NonceRecord] = {}

    def put(self, record: NonceRecord) -> None:
        """Keep it."""
        self._records[record.nonce] = record

    def consume(self, nonce: str) -> NonceRecord | None:
        """Look it up; the store's own cost is not what these tables are about."""
        return self._records.get(nonce)

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        """Not asked for: the messages of these tables name their nonce."""
        raise NotImplementedError


class Workload:
    """Distinct tokens for one key, and the password that each must give."""

    def __init__(self, ring: KeyRing, count: int) -> None:
        self.ring = ring
        self.nonces = Nonces()
        self.passwords = [f"correct horse {number}" for number in range(count)]
        self.tokens = [
            encrypt_password(password, announce(ring, PROFILE, self.nonces, "bench", Purpose.CHECK))
            for password in self.passwords
        ]
        self.parsed = [jwe.parse(token, jwe.plain_members) for token in self.tokens]
        self.payloads = [PROFILE.write_payload(password) for password in self.passwords]

    def whole(self, number: int) -> None:
        """Token to password, by the public API."""
        index = number % len(self.tokens)
        found = unwrap_password(self.tokens[index], self.ring, PROFILE, self.nonces, "bench", Purpose.CHECK)
        assert found == self.passwords[index]

    def payload(self, decrypt: Callable[[str], bytes]) -> Operation:
        """Token to payload, by whatever decrypts."""

        def operation(number: int) -> None:
            index = number % len(self.tokens)
            assert decrypt(self.tokens[index]) == self.payloads[index]

        return operation


def decrypt_with(key: Unwrapper, token: str) -> bytes:
    """Plain RFC 7516."""
    return jwe.decrypt(token, key)


def table(title: str, samples: dict[str, Samples], reference: str) -> str:
    """Markdown: median and ratio to the reference."""
    lines = [f"**{title}**", "", "| what | median µs | speed, as a part of the first |", "|---|---|---|"]
    for name, sample in samples.items():
        ratio = "1" if name == reference else str(compare(sample, samples[reference]))
        lines.append(f"| {name} | {sample.median_us:.0f} | {ratio} |")
    return "\n".join(lines) + "\n"


def throughput(cases: Mapping[str, Operation], *, threads: int, rounds: int, block: int) -> dict[str, list[float]]:
    """Operations a second in the load engine's closed loop, so many threads at once, case by case in every round."""
    names = list(cases)
    taken: dict[str, list[float]] = {name: [] for name in names}
    number = 0
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            firsts = range(number, number + block * threads, block)
            # A case compares its answer itself, and answers nothing.
            inputs = [[(one, None) for one in range(first, first + block)] for first in firsts]
            part = Part(Load(cases[name], inputs, most=block))
            found = part.measure(time.perf_counter_ns() + _LEAD_NS, _ENDLESS_SECONDS)
            assert not found.errors, dict(found.errors)
            taken[name].append(found.started * NANOSECONDS / (found.finished - found.began))
        number += block * threads
    return taken


def scaling(title: str, cases: dict[str, Operation], rounds: int, block: int) -> str:
    """Markdown: what a second thread gains."""
    one = throughput(cases, threads=1, rounds=rounds, block=2 * block)
    two = throughput(cases, threads=2, rounds=rounds, block=block)
    lines = [
        f"**{title}**",
        "",
        "| what | 1 thread, 1/s | 2 threads, 1/s | gain | of the first one's gain |",
        "|---|---|---|---|---|",
    ]
    gains = {name: statistics.median(two[name]) / statistics.median(one[name]) for name in cases}
    first = next(iter(gains.values()))
    for name, value in gains.items():
        figures = (statistics.median(one[name]), statistics.median(two[name]))
        lines.append(f"| {name} | {figures[0]:.0f} | {figures[1]:.0f} | {value:.2f} | {value / first:.3f} |")
    return "\n".join(lines) + "\n"
