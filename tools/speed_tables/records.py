# SPDX-License-Identifier: Apache-2.0
"""Stored records: sealed, written down, read and opened again, beside the bare calls of the same key.

The bare calls have everything prepared, and give what no caller can do without: a fresh IV and both results.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealpass import KeyRing, KeyUri, RecordUse
from sealpass.backends.pkcs11.aes_key import AesTokenKey
from sealpass.backends.pkcs11.session import PooledSession
from sealpass.backends.registry import key_maker
from sealpass.bench.interleaved import Operation, measure
from sealpass.core import argon2_hash, records
from sealpass.core.records import Record
from sealpass.softhsm.provisioning import provision
from tools.speed_tables.kms import REGION, emulator
from tools.speed_tables.memory import keytool, store_uri
from tools.speed_tables.workload import STATE, table

LIMITS = {"AES-256-GCM": 260, "AWS KMS": 420}
"""Characters of a record of an RFC 9106 hash."""


class Hashes:
    """Argon2id strings with the parameters of RFC 9106, and each sealed as the record of a user of its own."""

    def __init__(self, ring: KeyRing, count: int) -> None:
        self.ring = ring
        self.subjects = [secrets.token_hex(16) for _ in range(count)]
        rfc_9106 = argon2_hash.RFC_9106_LOW_MEMORY
        self.plaintexts = [argon2_hash.matchless_hash(rfc_9106).encode("ascii") for _ in range(count)]
        self.stored = [self.seal(number) for number in range(count)]

    def seal(self, number: int) -> str:
        """What Passwords.hash does after hashing."""
        index = number % len(self.plaintexts)
        binding = records.bound_to(self.subjects[index], RecordUse.CURRENT)
        return str(records.seal(self.ring.current_sealer, self.plaintexts[index], binding))

    def open(self, number: int) -> None:
        """What Passwords.verify does before hashing."""
        self._open(self.stored[number % len(self.stored)], number)

    def both(self, number: int) -> None:
        """A new record, and the same one opened."""
        self._open(self.seal(number), number)

    def _open(self, stored: str, number: int) -> None:
        index = number % len(self.plaintexts)
        binding = records.bound_to(self.subjects[index], RecordUse.CURRENT)
        record = Record.parse(stored)
        opener = self.ring.find_opener(record.key_id)
        assert opener is not None
        assert record.open(opener, binding) == self.plaintexts[index]

    def prepared(self) -> list["Prepared"]:
        """The same for the bare calls."""
        made = []
        for subject, plaintext, stored in zip(self.subjects, self.plaintexts, self.stored, strict=True):
            sealed = Record.parse(stored).sealed
            header = stored.rsplit("$", 2)[0]
            aad = f"{header}${records.bound_to(subject, RecordUse.CURRENT)}".encode("ascii")
            made.append(Prepared(plaintext, aad, sealed.nonce, sealed.ciphertext))
        return made


@dataclass(slots=True)
class Prepared:
    """The octets of one record."""

    plaintext: bytes
    aad: bytes
    iv: bytes
    ciphertext: bytes


class BareCalls:
    """C_EncryptInit, C_Encrypt, C_DecryptInit and C_Decrypt on sessions of the pool, and nothing else."""

    def __init__(self, key: AesTokenKey, prepared: list[Prepared]) -> None:
        self._key = key
        self._prepared = prepared

    def seal(self, number: int) -> tuple[bytes, bytes]:
        """IV and ciphertext."""
        key, functions, one = self._key, self._key._functions, self._prepared[number % len(self._prepared)]
        session = key._connection.acquire(None)
        iv = os.urandom(12)
        assert functions.encrypt_init(session.handle, session.gcm.prepare(iv, one.aad), key._handle) == 0
        output = session.output
        output.prepare()
        rv = functions.encrypt(session.handle, one.plaintext, len(one.plaintext), output.data, output.length)
        assert rv == 0
        ciphertext = self._result(session)
        key._connection.release(session)
        return iv, ciphertext

    def open(self, number: int) -> None:
        """Compares the plaintext."""
        one = self._prepared[number % len(self._prepared)]
        self._open(one, one.iv, one.ciphertext)

    def both(self, number: int) -> None:
        """All four."""
        self._open(self._prepared[number % len(self._prepared)], *self.seal(number))

    def _open(self, one: Prepared, iv: bytes, ciphertext: bytes) -> None:
        key, functions = self._key, self._key._functions
        session = key._connection.acquire(None)
        assert functions.decrypt_init(session.handle, session.gcm.prepare(iv, one.aad), key._handle) == 0
        output = session.output
        output.prepare()
        assert functions.decrypt(session.handle, ciphertext, len(ciphertext), output.data, output.length) == 0
        assert self._result(session) == one.plaintext
        key._connection.release(session)

    @staticmethod
    def _result(session: PooledSession) -> bytes:
        octets: bytes = session.output.data[: session.output._length.value]  # type: ignore[assignment]
        return octets


def _in_a_token(rounds: int, block: int) -> Iterator[str]:
    made = provision("softhsm2", STATE / "softhsm2")
    os.environ.update(made.config)
    uri = KeyUri.parse(made.uri).replace(path={"object": b"records"})
    if not list(key_maker(uri).list_keys()):
        key_maker(uri).create_aes(256)
    with KeyRing(uri) as ring:
        hashes = Hashes(ring, 400)
        key = ring.current_sealer
        assert isinstance(key, AesTokenKey)
        bare = BareCalls(key, hashes.prepared())
        ways: tuple[tuple[str, str, Operation, Operation], ...] = (
            ("seal and open", "the 4 bare calls and an IV, in a loop", bare.both, hashes.both),
            ("seal", "the 2 bare calls and an IV, in a loop", bare.seal, hashes.seal),
            ("open", "the 2 bare calls, in a loop", bare.open, hashes.open),
        )
        for what, least, bare_case, our_case in ways:
            cases = {least: bare_case, f"sealpass, {what} a record": our_case}
            yield table(f"SoftHSM2 2.6.1, AES-256-GCM: {what}", measure(cases, rounds=rounds, block=block), least)


def _software_uri() -> KeyUri:
    """An AES-256 key in a file, made once."""
    uri = KeyUri("software", {"path": os.fsencode(STATE / "seal.jwk")})
    if not (STATE / "seal.jwk").exists():
        key_maker(uri).create_aes(256)
    return uri


def _in_memory(rounds: int, block: int) -> str:
    uri, store = _software_uri(), STATE / "seal.p12"
    if not store.exists() and shutil.which("keytool"):
        keytool(
            "-genseckey", "-alias", "seal", "-keyalg", "AES", "-keysize", "256",
            "-keystore", str(store), "-storetype", "PKCS12",
        )  # fmt: skip
    with ExitStack() as stack:
        hashes = Hashes(stack.enter_context(KeyRing(uri)), 400)
        prepared = hashes.prepared()
        gcm = AESGCM(AESGCM.generate_key(256))

        def bare(number: int) -> None:
            one = prepared[number % len(prepared)]
            iv = os.urandom(12)
            assert gcm.decrypt(iv, gcm.encrypt(iv, one.plaintext, one.aad), one.aad) == one.plaintext

        least = "cryptography, bare AES-GCM"
        cases: dict[str, Operation] = {least: bare, "sealpass, software key": hashes.both}
        if store.exists():
            ring = stack.enter_context(KeyRing(store_uri(store, "seal", "bench-seal")))
            cases["sealpass, key store"] = Hashes(ring, 400).both
        return table("AES-256-GCM in memory: seal and open", measure(cases, rounds=rounds, block=block), least)


def _lengths() -> str:
    """Markdown: records of a key id of 16 bytes, and of AWS KMS, beside their limits."""
    lines = ["**Length of a record of an RFC 9106 hash**", "", "| key | characters | limit |", "|---|---|---|"]
    with emulator() as endpoint:
        in_kms = key_maker(f"awskms:region={REGION}?endpoint-url={endpoint}").create_aes(256)
        for (name, limit), uri in zip(LIMITS.items(), (_software_uri(), in_kms), strict=True):
            with KeyRing(uri) as ring:
                longest = max(map(len, Hashes(ring, 20).stored))
            assert longest <= limit
            lines.append(f"| {name} | {longest} | {limit} |")
    return "\n".join(lines) + "\n"


def stored_records(rounds: int, block: int) -> Iterator[str]:
    """The tables of records."""
    yield from _in_a_token(rounds, block)
    yield _in_memory(rounds, block)
    yield _lengths()
