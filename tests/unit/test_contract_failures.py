# SPDX-License-Identifier: Apache-2.0
"""unwrap_password once the key is asked: one failure for the sender, operator errors for the rest, the nonce spent."""

from collections.abc import Callable
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.algorithms import ContentEncryption, RsaOaep
from sealpass.core.content_key import ContentKey
from sealpass.core.contract import E2eeInformation
from sealpass.core.deadline import Deadline
from sealpass.core.errors import BackendUnavailable, DecryptionFailed
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import PASSWORD, Flow, OneKeyRing

Make = Callable[[Flow, E2eeInformation], str]

# Everything behind the key: one failure, and the nonce is spent.
UNDECRYPTABLE: dict[str, Make] = {
    "flipped-encrypted-key": lambda f, i: tokens.flip_bit(f.token(i), tokens.ENCRYPTED_KEY, 3),
    "flipped-iv": lambda f, i: tokens.flip_bit(f.token(i), tokens.IV, 3),
    "flipped-ciphertext": lambda f, i: tokens.flip_bit(f.token(i), tokens.CIPHERTEXT, 3),
    "flipped-tag": lambda f, i: tokens.flip_bit(f.token(i), tokens.TAG, 3),
    "no-ciphertext": lambda f, i: tokens.with_part(f.token(i), tokens.CIPHERTEXT, b""),
    "key-of-zeros": lambda f, i: tokens.with_part(f.token(i), tokens.ENCRYPTED_KEY, bytes(256)),
    "key-not-below-the-modulus": lambda f, i: tokens.with_part(f.token(i), tokens.ENCRYPTED_KEY, b"\xff" * 256),
    "header-respelled": lambda f, i: tokens.with_part(f.token(i), tokens.HEADER, tokens.split(f.token(i))[0] + b" "),
    "payload-is-the-password": lambda f, i: f.token(i, payload=PASSWORD.encode().ljust(64)),
}


@pytest.mark.parametrize("make", UNDECRYPTABLE.values(), ids=UNDECRYPTABLE)
def test_what_does_not_open_is_one_failure_and_spends_the_nonce(flow: Flow, make: Make) -> None:
    """Equal in type, text, args, cause and context, so that nothing tells which step failed."""
    information = flow.announce()
    with pytest.raises(DecryptionFailed) as caught:
        flow.unwrap(make(flow, information))
    error = caught.value
    assert type(error) is DecryptionFailed
    assert (str(error), error.args, vars(error)) == (DecryptionFailed.TEXT, (DecryptionFailed.TEXT,), {})
    assert (error.__cause__, error.__context__) == (None, None)
    assert flow.is_spent(information)


@pytest.mark.parametrize(
    "oaep",
    [tokens.OAEP_SHA1, tokens.OAEP_SHA512, tokens.OAEP_SHA256_MGF1_SHA1, tokens.OAEP_SHA256_LABELLED],
    ids=["sha1", "sha512", "mgf1-sha1", "labelled"],
)
def test_other_oaep_variants_do_not_open(flow: Flow, oaep: Any) -> None:
    """Contract cases A2, A6 and A7: the header says RSA-OAEP-256, the client did something else."""
    information = flow.announce()
    public_key = information.public_key.public_key()
    token = tokens.build(public_key, flow.header(information), tokens.padded_payload(PASSWORD), oaep=oaep)
    with pytest.raises(DecryptionFailed):
        flow.unwrap(token)


@pytest.mark.parametrize("size", [0, 1, 16, 24, 31, 33, 48, 64, 190])
def test_cek_of_a_wrong_size_does_not_open(software_ring: KeyRing, size: int) -> None:
    """Contract case A9: the OAEP block is valid, what is in it is no key for A256GCM."""
    flow = Flow(software_ring, SEALPASS)
    information = flow.announce()
    public_key = information.public_key.public_key()
    token = flow.token(information)
    encrypted_key = public_key.encrypt(bytes(size), tokens.OAEP_SHA256)
    with pytest.raises(DecryptionFailed):
        flow.unwrap(tokens.with_part(token, tokens.ENCRYPTED_KEY, encrypted_key))


def test_header_of_another_token_does_not_open(flow: Flow) -> None:
    """Contract case H10: the header is part of what the tag covers."""
    one, other = flow.announce(), flow.announce()
    token = tokens.with_part(flow.token(one), tokens.HEADER, tokens.split(flow.token(other))[tokens.HEADER])
    with pytest.raises(DecryptionFailed):
        flow.unwrap(token)
    assert flow.is_spent(other)
    assert not flow.is_spent(one)


def test_failure_inside_an_except_block_carries_nothing(flow: Flow) -> None:
    """A server that answers while handling something else does not chain its error to ours."""
    token = tokens.flip_bit(flow.token(flow.announce()), tokens.TAG, 0)
    try:
        raise KeyError("something of the caller's")  # noqa: TRY301 - the point of the test
    except KeyError:
        with pytest.raises(DecryptionFailed) as caught:
            flow.unwrap(token)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("retryable", [True, False])
def test_unavailable_backend_spends_the_nonce(
    flow: Flow,
    software_key: Unwrapper,
    monkeypatch: pytest.MonkeyPatch,
    retryable: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The device may have worked on it; the answer to the client carries a fresh nonce."""
    flow.ring = OneKeyRing(software_key)
    information = flow.announce()

    def gone(*_: object) -> None:
        raise BackendUnavailable("gone", retryable=retryable)

    with monkeypatch.context() as patch:
        patch.setattr(software_key, "unwrap", gone)
        with pytest.raises(BackendUnavailable) as caught:
            flow.unwrap(flow.token(information))
    assert caught.value.retryable is retryable
    assert flow.is_spent(information)


def test_late_start_keeps_the_nonce(flow: Flow) -> None:
    """A deadline that has passed before anything was done costs the client nothing."""
    information = flow.announce()
    with pytest.raises(BackendUnavailable, match="deadline"):
        flow.unwrap(flow.token(information), deadline=Deadline(0.0))
    assert not flow.is_spent(information)


def test_deadline_reaches_the_key(flow: Flow, software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key waits for its session no longer than the caller does."""
    flow.ring = OneKeyRing(software_key)
    seen: list[Deadline | None] = []
    real = software_key.unwrap

    def unwrap(encrypted_key: bytes, oaep: RsaOaep, enc: ContentEncryption, deadline: Deadline | None) -> ContentKey:
        seen.append(deadline)
        return real(encrypted_key, oaep, enc, deadline)

    monkeypatch.setattr(software_key, "unwrap", unwrap)
    limit = Deadline.after(3600)
    assert flow.unwrap(flow.token(flow.announce()), deadline=limit) == PASSWORD
    assert seen == [limit]
