# SPDX-License-Identifier: Apache-2.0
"""What is timed, and how it is shown: distinct tokens for one key, and Markdown tables of ratios."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sealpass import SEALPASS, KeyRing, NonceRecord, Purpose, announce, unwrap_password
from sealpass.bench.interleaved import Operation, Samples, compare, median_of
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


def _rate(case: Operation, first: int, *, threads: int, block: int) -> float:
    """Operations a second in the load engine's closed loop: a block in each thread, with numbers from ``first`` on."""
    # A case compares its answer itself, and answers nothing.
    inputs = [[(one, None) for one in range(at, at + block)] for at in range(first, first + block * threads, block)]
    part = Part(Load(case, inputs, most=block))
    gc.collect()  # takes longer than the lead
    gc.freeze()
    found = part.measure(time.perf_counter_ns() + _LEAD_NS, _ENDLESS_SECONDS)
    assert not found.errors, dict(found.errors)
    return found.started * NANOSECONDS / (found.finished - found.began)


def scaling(title: str, cases: Mapping[str, Operation], rounds: int, block: int) -> str:
    """Markdown: what a second thread gains; each round has all cases with one thread and with two.

    A shared machine takes a core away for seconds, so that gains of one round are compared, and no others.
    """
    names = list(cases)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            first = 2 * block * turn
            one = _rate(cases[name], first, threads=1, block=2 * block)
            rates[name].append((one, _rate(cases[name], first, threads=2, block=block)))
    lines = [
        f"**{title}**",
        "",
        "| what | 1 thread, 1/s | 2 threads, 1/s | gain | of the first one's gain |",
        "|---|---|---|---|---|",
    ]
    gains = {name: [two / one for one, two in rates[name]] for name in names}
    for name in names:
        one, two = (statistics.median(column) for column in zip(*rates[name], strict=True))
        of_first = median_of([gain / first for gain, first in zip(gains[name], gains[names[0]], strict=True)])
        shown = "1" if name == names[0] else str(of_first)
        lines.append(f"| {name} | {one:.0f} | {two:.0f} | {statistics.median(gains[name]):.2f} | {shown} |")
    return "\n".join(lines) + "\n"
