# SPDX-License-Identifier: Apache-2.0
"""Stored password records: ``$sealpass$v=1$k=KEY-ID$a=ALGORITHM$NONCE$CIPHERTEXT``, one printable line.

The ciphertext is a password hash, sealed by a device. It is bound to everything before the nonce, and to whose record
it is and which one of them: a record that was edited or moved does not open (docs/decisions/0009).
"""

import functools
import re
from dataclasses import dataclass
from enum import StrEnum

from sealpass.core import base64url
from sealpass.core.algorithms import SEAL_ALGORITHMS
from sealpass.core.deadline import Deadline
from sealpass.core.errors import ConfigError, RecordProblem, RecordRefused
from sealpass.core.protocols import Opener, Resealer, Sealed, Sealer

PREFIX = "$sealpass$"
MAX_RECORD_CHARACTERS = 1024
"""What a database column must hold. An RFC 9106 hash takes 217 (A256GCM, key id of 16 bytes) or about 400 (KMS)."""
MAX_SUBJECT_BYTES = 128
_TAG_BYTES = 16
_GCM_NONCES = (12, 16)
"""Bytes. A device that makes its own IV may make a longer one."""
_NAMES = "|".join(algorithm.name for algorithm in SEAL_ALGORITHMS)
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER = re.compile(rf"\$sealpass\$v=1\$k=({_KEY_ID.pattern})\$a=({_NAMES})")
"""A record up to the ``$`` before its nonce."""
_IS_GCM = {algorithm.name: algorithm.nonce_bytes > 0 for algorithm in SEAL_ALGORITHMS}


class RecordUse(StrEnum):
    """Which of a subject's records one is; a record of one use does not open as another."""

    CURRENT = "current"
    HISTORY = "history"
    LETTER = "letter"


_PLACES: dict[RecordUse | str, str] = {use: f"{use.value}$" for use in RecordUse}


def is_record(value: object) -> bool:
    """Whether a stored value claims to be a record, of any version; it may still not be well-formed."""
    return isinstance(value, str) and value.startswith(PREFIX)


def check_subject(subject: object) -> None:
    """Raise ConfigError for what is not text: a number would be nobody's id, and each login a wrong password."""
    if not isinstance(subject, str):
        raise ConfigError(
            f"a subject is text, not {type(subject).__name__}",
            hint="str(…) of your id, spelled the same way every time",
        )


def bound_to(subject: str, use: RecordUse | str) -> str:
    """What ties a record to its place. Raises ConfigError.

    ``subject`` is an immutable random id of the user, 1 to 128 bytes of UTF-8. Not the login name: it can change, and
    AWS KMS logs what a record is bound to.
    """
    try:
        place = _PLACES[use]  # a member hashes as its text does
    except (KeyError, TypeError):
        raise ConfigError(f"a record's use is one of {', '.join(RecordUse)}") from None
    check_subject(subject)
    octets = subject.encode("utf-8", "replace")  # a strict encoder's error would hold the subject
    if not 1 <= len(octets) <= MAX_SUBJECT_BYTES or octets.decode("utf-8") != subject:
        raise ConfigError(f"a subject is text of 1 to {MAX_SUBJECT_BYTES} bytes in UTF-8")
    return place + base64url.encode(octets).decode("ascii")


def _header(key_id: str, algorithm: str) -> str:
    return f"{PREFIX}v=1$k={key_id}$a={algorithm}$"


@functools.lru_cache(maxsize=64)
def _header_fields(header: bytes) -> tuple[str, str]:
    """Key id and algorithm; raises ValueError. Kept, because a table has no more headers than it has keys."""
    fields = _HEADER.fullmatch(header.decode("ascii"))
    if fields is None:
        raise ValueError("not the header of a record")
    return fields[1], fields[2]


def key_and_algorithm(text: str) -> tuple[str, str]:
    """What the header of a record names, and nothing else of it read; raises RecordRefused(form)."""
    if not text.isascii():  # an encoder's error would hold the text
        raise _not_a_record()
    try:
        return _header_fields(text.rsplit("$", 2)[0].encode("ascii"))
    except ValueError:
        raise _not_a_record() from None


@dataclass(slots=True)  # not frozen: see Sealed
class Record:
    """A record by its fields."""

    key_id: str
    sealed: Sealed

    @classmethod
    def parse(cls, text: object) -> "Record":
        """Read the one spelling of a record, out of whatever was stored; raises RecordRefused(form), without it."""
        if not isinstance(text, str) or len(text) > MAX_RECORD_CHARACTERS or not text.isascii():
            raise _not_a_record()
        try:
            header, nonce_text, ciphertext_text = text.encode("ascii").rsplit(b"$", 2)
            key_id, algorithm = _header_fields(header)
            nonce = base64url.decode(nonce_text)
            ciphertext = base64url.decode(ciphertext_text)
        except ValueError:
            raise _not_a_record() from None
        if _IS_GCM[algorithm]:
            if len(nonce) not in _GCM_NONCES or len(ciphertext) <= _TAG_BYTES:
                raise _not_a_record()
        elif nonce or not ciphertext:
            raise _not_a_record()
        return cls(key_id, Sealed(algorithm, nonce, ciphertext))

    def __str__(self) -> str:
        sealed = self.sealed
        nonce, ciphertext = base64url.encode(sealed.nonce), base64url.encode(sealed.ciphertext)
        return f"{_header(self.key_id, sealed.algorithm)}{nonce.decode('ascii')}${ciphertext.decode('ascii')}"

    def open(self, opener: Opener, binding: str, deadline: Deadline | None = None) -> bytes:
        """The plaintext (secret), by the key that the record names; raises RecordRefused and what the device raises."""
        plaintext = opener.open_sealed(self.sealed, self._aad(binding), deadline)
        if plaintext is None:
            raise _does_not_open()
        return plaintext

    def _aad(self, binding: str) -> bytes:
        return f"{_header(self.key_id, self.sealed.algorithm)}{binding}".encode("ascii")

    def reencrypt(self, resealer: Resealer, target: Sealer, binding: str, deadline: Deadline | None = None) -> "Record":
        """Move to another key inside the device; raises as open, and UnsupportedAlgorithm where it cannot be."""
        sealed = resealer.reencrypt(self.sealed, self._aad(binding), target, _aad_under(target, binding), deadline)
        if sealed is None:
            raise _does_not_open()
        return Record(target.key_id, sealed)


def _aad_under(sealer: Sealer, binding: str) -> bytes:
    """What a new record is bound to; raises ConfigError for a key that no record can name."""
    (algorithm,) = sealer.capabilities.seal
    return f"{_new_header(sealer.key_id, algorithm.name)}{binding}".encode("ascii")


@functools.lru_cache(maxsize=64)
def _new_header(key_id: str, algorithm: str) -> str:
    if not _KEY_ID.fullmatch(key_id):
        raise ConfigError(
            "the key's id cannot stand in a record",
            hint="it has 1 to 64 letters, digits, dots, underscores and hyphens; a CKA_ID has up to 48 bytes",
        )
    return _header(key_id, algorithm)


def seal(sealer: Sealer, plaintext: bytes, binding: str, deadline: Deadline | None = None) -> Record:
    """Seal ``plaintext`` (secret) under a key; raises operator errors."""
    return Record(sealer.key_id, sealer.seal(plaintext, _aad_under(sealer, binding), deadline))


def _not_a_record() -> RecordRefused:
    return RecordRefused(RecordProblem.FORM, "the value is not a record of version 1")


def _does_not_open() -> RecordRefused:
    return RecordRefused(
        RecordProblem.DOES_NOT_OPEN, "it was edited, moved from another user or slot, or sealed under another key"
    )
