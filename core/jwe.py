# SPDX-License-Identifier: Apache-2.0
"""The strict decrypting half of JWE compact serialization (RFC 7516 sections 5.2 and 7.1).

Own code, because no JOSE library can put the key into a device *and* fail uniformly. Encrypting is jwcrypto's job
(:mod:`sealpass.core.encrypt`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sealpass.core import base64url, strict_json
from sealpass.core.algorithms import ENC_BY_JWE_NAME, OAEP_BY_JWE_NAME, ContentEncryption, RsaOaep
from sealpass.core.deadline import Deadline
from sealpass.core.errors import RejectReason, TokenRejected
from sealpass.core.nonces import NonceRecord
from sealpass.core.profile import Encrypted
from sealpass.core.protocols import Unwrapper

T = TypeVar("T")

MAX_TOKEN_BYTES = 8192
MAX_HEADER_BYTES = 1024
_MAX_ENCODED_HEADER = -(-MAX_HEADER_BYTES * 4 // 3)
_PARTS = 5
FORBIDDEN_MEMBERS = frozenset(("zip", "crit", "jku", "jwk", "x5u", "x5c", "epk"))
"""Header members that are refused in every profile: they compress, extend, fetch or carry keys (RFC 8725)."""


class CompactJwe:
    """A parsed token: five parts of the right form, nothing decrypted. Header members are untrusted."""

    __slots__ = ("aad", "ciphertext", "enc", "encrypted_key", "header", "iv", "oaep", "tag")

    def __init__(
        self,
        header: dict[str, Any],
        oaep: RsaOaep,
        enc: ContentEncryption,
        encrypted_key: bytes,
        iv: bytes,
        ciphertext: bytes,
        tag: bytes,
        aad: bytes,
    ) -> None:
        self.header = header
        self.oaep = oaep
        self.enc = enc
        self.encrypted_key = encrypted_key
        self.iv = iv
        self.ciphertext = ciphertext
        self.tag = tag
        self.aad = aad

    @property
    def nonce(self) -> str | None:
        """The header's nonce; a string in every profile that has one."""
        return self.header.get("nonce")

    @property
    def kid(self) -> str | None:
        """The header's kid, where it has one."""
        return self.header.get("kid")

    def disagreement(self, record: NonceRecord) -> str | None:
        """See :class:`~sealpass.core.profile.Submission`."""
        header = self.header
        if header["alg"] != record.alg or header["enc"] not in record.encs:
            return "alg or enc is not what was announced"
        if header.get("kid", record.kid) != record.kid:
            return "kid is not the announced key"
        return None

    def answering(self, record: NonceRecord) -> "CompactJwe":  # noqa: ARG002 - a JWE says it all itself
        """See :class:`~sealpass.core.profile.Submission`."""
        return self


def parse(
    token: str | bytes,
    members: Callable[[dict[str, Any]], str | None],
    algs: tuple[str, ...] = tuple(OAEP_BY_JWE_NAME),
    encs: tuple[str, ...] = tuple(ENC_BY_JWE_NAME),
) -> CompactJwe:
    """Check form, size and header; raises TokenRejected and nothing else.

    ``members`` is the profile's own rule for the header: it answers what is wrong, or None.
    """
    if not isinstance(token, str | bytes):  # a JSON body may hold anything where the token belongs
        raise TokenRejected(RejectReason.FORM, "not text")
    # str has no cheap byte length; a longer str has more bytes, so this bound holds before anything is copied.
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRejected(RejectReason.SIZE, f"longer than {MAX_TOKEN_BYTES} bytes")
    # No try around encode(): its error holds the text, which is a password where a client forgot to encrypt.
    if not token.isascii():
        raise TokenRejected(RejectReason.FORM, "not base64url parts separated by dots")
    parts = (token.encode("ascii") if isinstance(token, str) else token).split(b".")
    if len(parts) != _PARTS:
        raise TokenRejected(RejectReason.FORM, "not five parts (JWE compact serialization, RFC 7516 section 7.1)")
    protected = parts[0]
    if len(protected) > _MAX_ENCODED_HEADER:
        raise TokenRejected(RejectReason.SIZE, f"header longer than {MAX_HEADER_BYTES} bytes")
    try:
        header_octets, encrypted_key, iv, ciphertext, tag = map(base64url.decode, parts)
    except ValueError:
        raise TokenRejected(RejectReason.FORM, "a part is not canonical base64url (RFC 7515 section 2)") from None
    header = _header(header_octets)
    alg: Any = header.get("alg")  # whatever JSON has; it is a str once it is one of the tuple's
    enc_name: Any = header.get("enc")
    if alg not in algs:
        raise TokenRejected(RejectReason.ALGORITHM, f"alg is not {' or '.join(sorted(algs))}")
    if enc_name not in encs:
        raise TokenRejected(RejectReason.ALGORITHM, f"enc is not {' or '.join(sorted(encs))}")
    if wrong := members(header):
        raise TokenRejected(RejectReason.HEADER, wrong)
    enc = ENC_BY_JWE_NAME[enc_name]
    if len(iv) != enc.iv_bytes or len(tag) != enc.tag_bytes:
        raise TokenRejected(RejectReason.LENGTH, f"IV or tag has not the length that {enc.name} wants")
    if not encrypted_key:
        raise TokenRejected(RejectReason.LENGTH, "the encrypted key is empty")
    return CompactJwe(header, OAEP_BY_JWE_NAME[alg], enc, encrypted_key, iv, ciphertext, tag, protected)


def _header(octets: bytes) -> dict[str, Any]:
    try:
        header = strict_json.loads(octets)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise TokenRejected(RejectReason.HEADER, "the header is not one JSON object with members of distinct names")
    return header


def plain_members(header: dict[str, Any]) -> str | None:
    """The header rule of profile ``jwe``: anything but the forbidden members; kid, typ and cty are strings."""
    if forbidden := FORBIDDEN_MEMBERS & header.keys():
        return f"the header member '{min(forbidden)}' is refused"
    if any(not isinstance(header.get(name, ""), str) for name in ("kid", "typ", "cty")):
        return "kid, typ and cty are strings"
    return None


def open_token(
    message: Encrypted, key: Unwrapper, read: Callable[[bytes], T | None], deadline: Deadline | None = None
) -> T:
    """Decrypt and read the plaintext; every failure is the same DecryptionFailed at the same time.

    ``read`` answers None for a plaintext that does not fit the contract; it must not raise. The exception is made
    outside every ``except`` block, so that neither ``__cause__`` nor ``__context__`` tells what happened.
    """
    if len(message.encrypted_key) != key.public_jwk.modulus_bytes:
        raise TokenRejected(RejectReason.LENGTH, "the encrypted key has not the length of the modulus")
    floor = key.failure_floor
    started = floor.start()
    with key.unwrap(message.encrypted_key, message.oaep, message.enc, deadline) as content_key:
        plaintext = content_key.decrypt(message.iv, message.ciphertext, message.tag, message.aad)
    if plaintext is not None:
        value = read(plaintext)
        if value is not None:
            return value
    key.probe(Deadline(started + floor.seconds))  # a busy pool, or a slow network, must not delay a failure further
    return floor.release(started)


def _whole(plaintext: bytes) -> bytes:
    return plaintext


def decrypt(token: str | bytes, key: Unwrapper, *, deadline: Deadline | None = None) -> bytes:
    """Profile ``jwe``: plain RFC 7516 with RSA-OAEP(-256) and any AES content encryption; the payload is secret.

    Raises TokenRejected, DecryptionFailed, and operator errors: UnsupportedAlgorithm where the key cannot do what
    the token asks for, BackendUnavailable.
    """
    return open_token(parse(token, plain_members), key, _whole, deadline)
