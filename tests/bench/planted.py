# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - a planted fault often is that an argument is not looked at
"""Keys with one planted fault each, on a clock that only the failure floor moves: no test waits for real time."""

import secrets
import threading
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sealpass.backends.memory_key import RsaMemoryKey
from sealpass.core.algorithms import RSA_OAEP, RSA_OAEP_256, RSA_OAEP_384, ContentEncryption, RsaOaep
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, DecryptionFailed
from sealpass.core.failure import FailureFloor
from sealpass.core.nonces import MemoryNonceStore, NonceRecord
from sealpass.core.oaep import oaep_padding
from sealpass.core.uri import KeyUri

URI = KeyUri.parse("software:path=planted.pem")


class SoundKey(RsaMemoryKey):
    """The reference without a fault; its failures are released after 50 ms of simulated time, each thread's its own."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(URI, private_key)
        self._time = threading.local()
        self.failure_floor = FailureFloor(0.05, clock=lambda: self.now, sleep=self.pass_time)

    @property
    def now(self) -> float:
        """The time in this thread."""
        return getattr(self._time, "now", 0.0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in this thread."""
        self._time.now = self.now + seconds

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        """The CEK, or None where the padding is wrong."""
        try:
            return self._private_key.decrypt(encrypted_key, oaep_padding(oaep))
        except ValueError:
            return None

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        if oaep not in self.capabilities.unwrap:
            raise self.capabilities.refuse_unwrap(oaep, enc)
        cek = self.unpad(encrypted_key, oaep)
        return self.content_key(secrets.token_bytes(enc.cek_bytes) if cek is None else cek, enc)

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        """The handle for a CEK of whatever length."""
        return MemoryContentKey(cek if len(cek) == enc.cek_bytes else secrets.token_bytes(enc.cek_bytes), enc)


class TellsBadPadding(SoundKey):
    """Answers bad padding as a fault of the device."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes:
        cek = super().unpad(encrypted_key, oaep)
        if cek is None:
            raise BackendUnavailable("CKR_FUNCTION_FAILED", retryable=True)
        return cek


class RaisesItsOwn(SoundKey):
    """Lets an exception of its SDK through on bad padding."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes:
        return self._private_key.decrypt(encrypted_key, oaep_padding(oaep))


class ChainsTheCause(SoundKey):
    """Fails with the right exception, at the right time, with the cause attached."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        try:
            return self._private_key.decrypt(encrypted_key, oaep_padding(oaep))
        except ValueError as cause:
            self.pass_time(self.failure_floor.seconds)
            raise DecryptionFailed from cause


class FailsAtOnce(SoundKey):
    """Does not wait for the fixed time where the padding is wrong."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes:
        cek = super().unpad(encrypted_key, oaep)
        if cek is None:
            raise DecryptionFailed
        return cek


class SlowerThanItsFloor(SoundKey):
    """Needs longer for a failure than the fixed time allows for."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        self.pass_time(1.0)
        return super().unpad(encrypted_key, oaep)


class _NoTagKey(MemoryContentKey):
    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        counter = Cipher(algorithms.AES(self._cek), modes.CTR(iv + b"\0\0\0\2")).decryptor()
        return counter.update(ciphertext) + counter.finalize()


class IgnoresTheTag(SoundKey):
    """Decrypts GCM and forgets to authenticate."""

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        return _NoTagKey(cek, enc) if enc.is_gcm and len(cek) == enc.cek_bytes else super().content_key(cek, enc)


class FallsBackToPkcs1(SoundKey):
    """Tries PKCS #1 v1.5 where OAEP does not fit."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        cek = super().unpad(encrypted_key, oaep)
        if cek is None and int.from_bytes(encrypted_key, "big") < self._private_key.public_key().public_numbers().n:
            return self._private_key.decrypt(encrypted_key, padding.PKCS1v15())
        return cek


class TriesEveryHash(SoundKey):
    """Takes whichever OAEP variant fits."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        found = (super(TriesEveryHash, self).unpad(encrypted_key, one) for one in self.capabilities.unwrap)
        return next((cek for cek in found if cek is not None), None)


class IgnoresTheLabel(SoundKey):
    """Accepts the OAEP label that the sender chose."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        cek = super().unpad(encrypted_key, oaep)
        if cek is not None:
            return cek
        plain = oaep_padding(oaep)
        try:
            return self._private_key.decrypt(encrypted_key, padding.OAEP(plain.mgf, plain.algorithm, b"label"))
        except ValueError:
            return None


class TakesAnyCekLength(SoundKey):
    """Lets the length of the CEK choose the cipher."""

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        return MemoryContentKey(cek, enc) if len(cek) in {16, 24, 32} else super().content_key(cek, enc)


class TrimsTheCek(SoundKey):
    """Cuts a CEK that is too long."""

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        return super().content_key(cek[: enc.cek_bytes], enc)


class DropsLeadingZeros(SoundKey):
    """Loses the leading zero octet of one ciphertext in 256."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        return super().unpad(encrypted_key.lstrip(b"\0"), oaep)


class ReducesTheCiphertext(SoundKey):
    """Accepts integers at or above the modulus."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        modulus = self._private_key.public_key().public_numbers().n
        reduced = int.from_bytes(encrypted_key, "big") % modulus
        return super().unpad(reduced.to_bytes(len(encrypted_key), "big"), oaep)


class Sha1Only(SoundKey):
    """Knows OAEP with SHA-1 and nothing else, as SoftHSM 2.6.1."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.capabilities = replace(self.capabilities, unwrap=frozenset({RSA_OAEP}))


class ClaimsTooMuch(SoundKey):
    """Declares OAEP with SHA-384, which does not work."""

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        return None if oaep == RSA_OAEP_384 else super().unpad(encrypted_key, oaep)


class DoesMoreThanItSays(SoundKey):
    """Declares one OAEP variant and accepts all."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.capabilities = replace(self.capabilities, unwrap=frozenset({RSA_OAEP_256}))

    def unwrap(
        self, encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None = None
    ) -> MemoryContentKey:
        cek = self.unpad(encrypted_key, oaep)
        return self.content_key(secrets.token_bytes(enc.cek_bytes) if cek is None else cek, enc)


class PoisonedByFailure(SoundKey):
    """Is of no use any more after ten failures."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self._left = 10

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        cek = super().unpad(encrypted_key, oaep)
        self._left -= cek is None
        return cek if self._left > 0 else None


class _OtherTextKey(MemoryContentKey):
    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes | None:
        plaintext = super().decrypt(iv, ciphertext, tag, aad)
        return None if plaintext is None else b'{"password":"%s"}' % secrets.token_hex(8).encode() + b" " * 33


class MixesThreadsUp(SoundKey):
    """Gives another caller's password as soon as several threads use it."""

    def content_key(self, cek: bytes, enc: ContentEncryption) -> MemoryContentKey:
        alone = threading.current_thread() is threading.main_thread()
        return super().content_key(cek, enc) if alone else _OtherTextKey(cek, enc)


class GoesAway(SoundKey):
    """Loses its device for good in the middle of the cases."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self._left = 30

    def unpad(self, encrypted_key: bytes, oaep: RsaOaep) -> bytes | None:
        self._left -= 1
        if self._left < 0:
            raise BackendUnavailable("the token was removed", retryable=True)
        return super().unpad(encrypted_key, oaep)


class ForgetfulStore(MemoryNonceStore):
    """Does not spend a nonce."""

    def consume(self, nonce: str) -> NonceRecord | None:
        return self._kept(super().consume(nonce))

    def consume_latest(self, session: str, purpose: str, profile: str) -> NonceRecord | None:
        return self._kept(super().consume_latest(session, purpose, profile))

    def _kept(self, record: NonceRecord | None) -> NonceRecord | None:
        if record is not None:
            self.put(record)
        return record


class RacyStore(ForgetfulStore):
    """Spends a nonce, but not at once where several threads ask for it."""

    def _kept(self, record: NonceRecord | None) -> NonceRecord | None:
        return record if threading.current_thread() is threading.main_thread() else super()._kept(record)


class HoldsTheCekInside(TakesAnyCekLength):
    """Unwraps into the token, which does not tell the size of what it unwrapped, as SoftHSM 2.6.1."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        super().__init__(private_key)
        self.capabilities = replace(self.capabilities, mode=UnwrapMode.IN_TOKEN)
