# SPDX-License-Identifier: Apache-2.0
"""What can be measured, and its inputs: made before the clock starts, used in turn, every answer compared.

A token opens once. So that a fast key does not run out of them, each thread has some hundred distinct tokens, and the
nonce of each is announced again, with the record that the server announced first, before its next use; that is outside
the service time, and the nonce store is the real one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import open_key
from sealpass.bench.load.recording import Input, Operation
from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.dialect import dialect_of
from sealpass.core import records
from sealpass.core.argon2_hash import RFC_9106_LOW_MEMORY, Argon2Parameters
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.contract import announced_algorithms, unwrap_password
from sealpass.core.errors import ConfigError
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.nonces import MemoryNonceStore, NonceRecord, Purpose
from sealpass.core.passwords import Passwords
from sealpass.core.profile import Profile
from sealpass.core.protocols import as_unwrapper
from sealpass.core.records import Record, RecordUse

_INPUTS = 4096
"""Of all threads of a process together."""
_MIN_INPUTS, _MAX_INPUTS = 16, 512
"""Of a thread."""
_MOST_PADDING = 64
"""What a payload is longer than its password, at most: frame and padding."""
_HASHES = 8
"""Records of all threads together: each costs an Argon2id hash to make."""
_WRONG_PASSWORD_EVERY = 9
"""One in so many verifications is of a wrong password: a device that always says yes would not be seen otherwise."""
_NONCE_LIFETIME_SECONDS = 7 * 86_400.0
_KEPT_BYTES = 128 * 1024**2
"""What the answers of a process that are checked after the window may take."""
_RECORD_OVERHEAD_BYTES = 700
_SUBJECT = "load"


class Name(StrEnum):
    """The operations."""

    UNWRAP = "unwrap"
    """Token to password by unwrap_password, nonce store included."""
    OAEP = "oaep"
    """The encrypted key alone: unwrapped, one AES block opened with it to see that it is the right one, given back."""
    SEAL = "seal"
    OPEN = "open"
    HASH = "hash"
    """Argon2id, and the hash sealed."""
    VERIFY = "verify"
    LOGIN = "login"
    """A token to a password, and the password against its record."""


UNWRAPPING = frozenset((Name.UNWRAP, Name.OAEP, Name.LOGIN))
"""Those that need an RSA key."""
SEALING = frozenset((Name.SEAL, Name.OPEN, Name.HASH, Name.VERIFY, Name.LOGIN))
"""Those that need a symmetric key."""
WITH_PAYLOAD = frozenset((Name.UNWRAP, Name.LOGIN, Name.SEAL, Name.OPEN))
"""Those whose cost depends on a length."""
_WITH_TOKENS = UNWRAPPING & WITH_PAYLOAD
"""Those whose payload is a profile's, and so may be padded."""
HASHING = frozenset((Name.HASH, Name.VERIFY, Name.LOGIN))


@dataclass(frozen=True, slots=True)
class Task:
    """An operation on the keys of two URIs, for one process. Goes through a pipe; PINs are where the URIs say."""

    name: Name
    threads: int
    unwrapping_uri: str | None = None
    sealing_uri: str | None = None
    payload_bytes: int | None = None
    profile: Profile = field(default=SEALPASS)
    hashing: Argon2Parameters = RFC_9106_LOW_MEMORY


Source = Callable[[Task], AbstractContextManager[Operation]]
"""Opens what a task needs; a function at the top of a module, because it is sent to other processes."""


@contextmanager
def opened(task: Task) -> Iterator[Operation]:
    """Open the keys of a task, make its inputs, close the keys at the end. Raises operator errors."""
    with ExitStack() as stack:
        subject = ring = None
        if task.name in UNWRAPPING:
            key = as_unwrapper(stack.enter_context(open_key(task.unwrapping_uri or "")))
            alg, enc = announced_algorithms(task.profile, key)
            # The store is our own and as large as the work: its bounds are not what is measured.
            subject = Subject(
                key, task.profile, alg, enc, MemoryNonceStore(capacity=_INPUTS + task.threads * _MAX_INPUTS)
            )
        if task.name in SEALING:
            ring = stack.enter_context(KeyRing(task.sealing_uri or ""))
        yield made(task, subject, ring)


def made(task: Task, subject: Subject | None, ring: KeyRing | None) -> Operation:
    """The operation on keys that somebody else opened and closes."""
    if subject is None:
        assert ring is not None  # noqa: S101 - an operation needs one of them
        return _WITH_SEALER[task.name](task, ring)
    if task.name is Name.OAEP:
        return _oaep(task, subject)
    return _unwrap(task, subject) if ring is None else _login(task, subject, ring)


def _per_thread(task: Task) -> int:
    return max(_MIN_INPUTS, min(_MAX_INPUTS, _INPUTS // task.threads))


def _of_each_thread(task: Task, make: Callable[[int], Input], count: int) -> list[list[Input]]:
    return [[make(thread * count + number) for number in range(count)] for thread in range(task.threads)]


# -- tokens ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Letter:
    """A token, and what the server announced for it."""

    token: str = field(repr=False)
    announced: NonceRecord
    record: str = ""
    """The record of its password, for a login."""


def _password(profile: Profile, payload_bytes: int | None, number: int) -> str:
    """A password (no secret: nobody has it) whose payload has the length that was asked for."""
    start = f"horse {number} "
    if payload_bytes is None:
        return start + "battery"
    for length in range(payload_bytes, max(0, payload_bytes - _MOST_PADDING), -1):
        password = start[:length].ljust(length, "x")
        if len(profile.write_payload(password)) == payload_bytes:
            return password
    lengths = {len(profile.write_payload("x" * length)) for length in range(1, payload_bytes + _MOST_PADDING)}
    near = (
        *sorted(length for length in lengths if length < payload_bytes)[-1:],
        *sorted(length for length in lengths if length > payload_bytes)[:1],
    )
    raise ConfigError(
        f"no password of profile {profile.name} has a payload of {payload_bytes} bytes",
        hint=f"possible next to it: {' and '.join(map(str, near))}",
    )


def check_payloads(names: Iterable[Name], profile: Profile, payloads: Iterable[int]) -> None:
    """Whether a token can have these payloads, where one of the operations has tokens; raises ConfigError."""
    if _WITH_TOKENS.isdisjoint(names):
        return
    for payload_bytes in payloads:
        _password(profile, payload_bytes, 0)


def _letter(subject: Subject, password: str, number: int, record: str = "") -> _Letter:
    flow = dialect_of(subject.profile).flow(
        subject, session=f"load-{number}", password=password, lifetime=_NONCE_LIFETIME_SECONDS
    )
    announced = subject.nonces.consume(flow.information.nonce)
    assert announced is not None  # noqa: S101 - it was announced a moment ago, in a store that is large enough
    return _Letter(flow.token(), announced, record)


def _opener(subject: Subject) -> Callable[[_Letter], str]:
    ring, profile, nonces = subject.ring, subject.profile, subject.nonces

    def call(letter: _Letter) -> str:
        return unwrap_password(letter.token, ring, profile, nonces, letter.announced.session, Purpose.CHECK)

    return call


def _rearm(subject: Subject) -> Callable[[_Letter], None]:
    put = subject.nonces.put

    def rearm(letter: _Letter) -> None:
        put(letter.announced)

    return rearm


def _unwrap(task: Task, subject: Subject) -> Operation:
    def make(number: int) -> Input:
        password = _password(subject.profile, task.payload_bytes, number)
        return _letter(subject, password, number), password

    return Operation(_opener(subject), _of_each_thread(task, make, _per_thread(task)), _rearm(subject))


def _login(task: Task, subject: Subject, ring: KeyRing) -> Operation:
    passwords = Passwords(ring, hashing=task.hashing)
    unwrap = _opener(subject)
    known = [_password(subject.profile, task.payload_bytes, number) for number in range(_HASHES)]
    stored = [passwords.hash(password, _SUBJECT) for password in known]

    def make(number: int) -> Input:
        user = number % _HASHES
        return _letter(subject, known[user], number, stored[user]), True

    def call(letter: _Letter) -> bool:
        return passwords.verify(letter.record, unwrap(letter), _SUBJECT).matches

    return Operation(call, _of_each_thread(task, make, _per_thread(task)), _rearm(subject))


def _oaep(task: Task, subject: Subject) -> Operation:
    unwrap, oaep, enc = subject.key.unwrap, subject.oaep, subject.content_encryption

    def make(number: int) -> Input:
        cek, block = crafting.new_cek(enc), b"%016d" % number
        return (crafting.encrypt_key(subject.public_key, oaep, cek), *encrypt_gcm(cek, block, b"")), block

    def call(parts: tuple[bytes, bytes, bytes, bytes]) -> bytes | None:
        encrypted_key, iv, ciphertext, tag = parts
        with unwrap(encrypted_key, oaep, enc) as content:
            return content.decrypt(iv, ciphertext, tag, b"")

    return Operation(call, _of_each_thread(task, make, _per_thread(task)))


# -- records -----------------------------------------------------------------------------------------------------


def _binding(number: int) -> str:
    return records.bound_to(f"{_SUBJECT}-{number}", RecordUse.CURRENT)


def _text(task: Task, number: int) -> bytes:
    """As long as was asked for; otherwise as long as a hash of Argon2id."""
    length = task.payload_bytes or 97
    return b"%d:" % number * (length // 2 + 1)


def _seal(task: Task, ring: KeyRing) -> Operation:
    sealer = ring.current_sealer
    length = task.payload_bytes or 97

    def call(given: tuple[bytes, str]) -> Record:
        return records.seal(sealer, *given)

    def check(given: tuple[bytes, str], record: object) -> bool:
        assert isinstance(record, Record)  # noqa: S101 - the answer of call()
        opener = ring.find_opener(record.key_id)
        return opener is not None and record.open(opener, given[1]) == given[0]

    inputs = _of_each_thread(task, lambda number: ((_text(task, number)[:length], _binding(number)), None), 64)
    return Operation(call, inputs, check=check, most=_most_kept(task, length))


def _most_kept(task: Task, length: int) -> int:
    return _KEPT_BYTES // (length + _RECORD_OVERHEAD_BYTES) // task.threads


def _open(task: Task, ring: KeyRing) -> Operation:
    sealer = ring.current_sealer
    opener = ring.find_opener(sealer.key_id)
    assert opener is not None  # noqa: S101 - what seals opens
    length = task.payload_bytes or 97

    def make(number: int) -> Input:
        text, binding = _text(task, number)[:length], _binding(number)
        return (records.seal(sealer, text, binding), binding), text

    def call(given: tuple[Record, str]) -> bytes:
        record, binding = given
        return record.open(opener, binding)

    return Operation(call, _of_each_thread(task, make, min(64, _per_thread(task))))


def _hash(task: Task, ring: KeyRing) -> Operation:
    passwords = Passwords(ring, hashing=task.hashing)

    def call(password: str) -> str:
        return passwords.hash(password, _SUBJECT)

    def check(password: str, record: object) -> bool:
        return passwords.verify(str(record), password, _SUBJECT).matches

    inputs = _of_each_thread(task, lambda number: (_password(SEALPASS, None, number), None), 64)
    return Operation(call, inputs, check=check, most=_most_kept(task, 0))


def _verify(task: Task, ring: KeyRing) -> Operation:
    passwords = Passwords(ring, hashing=task.hashing)

    known = [_password(SEALPASS, None, number) for number in range(_HASHES)]
    stored = [passwords.hash(password, _SUBJECT) for password in known]

    def make(number: int) -> Input:
        user, is_right = number % _HASHES, number % _WRONG_PASSWORD_EVERY != _WRONG_PASSWORD_EVERY - 1
        return (stored[user], known[user] if is_right else f"{known[user]}!"), is_right

    def call(given: tuple[str, str]) -> bool:
        return passwords.verify(*given, _SUBJECT).matches

    return Operation(call, _of_each_thread(task, make, _per_thread(task)))


_WITH_SEALER: Mapping[Name, Callable[[Task, KeyRing], Operation]] = {
    Name.SEAL: _seal,
    Name.OPEN: _open,
    Name.HASH: _hash,
    Name.VERIFY: _verify,
}
