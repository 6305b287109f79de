# SPDX-License-Identifier: Apache-2.0
"""Profile airlock-kms through the contract: what opens, what is refused and why, and whether the nonce is spent."""

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.algorithms import A256GCM, RSA_OAEP
from sealpass.core.capabilities import Capabilities, UnwrapMode
from sealpass.core.contract import E2eeInformation, announce, unwrap_password
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import DecryptionFailed, RejectReason, TokenRejected
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.nonces import MemoryNonceStore, Purpose
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import PASSWORD, SESSION, OneKeyRing
from tests.support.kms_messages import MEMBERS, SETTINGS, KmsFlow, changed, flip_bit, join, split

ALL = pytest.mark.parametrize("profile", SETTINGS.values(), ids=SETTINGS)
Make = Callable[[KmsFlow, E2eeInformation], str]


@pytest.fixture
def kms_flow(software_ring: KeyRing) -> KmsFlow:
    """A login under the default settings."""
    return KmsFlow(software_ring)


def refused(flow: KmsFlow, message: Any) -> RejectReason:
    """Why the message was rejected; fails where it was not."""
    with pytest.raises(TokenRejected) as caught:
        flow.unwrap(message)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value.reason


def assert_fails(flow: KmsFlow, message: str) -> None:
    """It is the one failure, and the nonce is spent."""
    with pytest.raises(DecryptionFailed) as caught:
        flow.unwrap(message)
    assert (str(caught.value), caught.value.__cause__, caught.value.__context__) == (DecryptionFailed.TEXT, None, None)
    assert flow.is_spent()


# --- what opens


@ALL
def test_built_by_hand(software_ring: KeyRing, profile: KmsProfile) -> None:
    """A client that shares no code with ours, under every setting."""
    flow = KmsFlow(software_ring, profile)
    assert flow.unwrap(flow.message(flow.announce())) == PASSWORD


@ALL
def test_made_by_our_own_client(software_ring: KeyRing, profile: KmsProfile) -> None:
    """The tool's message is that of a browser: exactly three members, in padded base64 of the standard alphabet."""
    flow = KmsFlow(software_ring, profile)
    message = encrypt_password(PASSWORD, flow.announce(), profile)
    sizes = {name: len(octets) for name, octets in split(message).items()}
    assert sizes == {"password": len(PASSWORD.encode()) + 16, "key": 256, "iv": 12}
    assert flow.unwrap(message) == PASSWORD


def test_key_size_of_an_announcement_in_hand(software_ring: KeyRing) -> None:
    """Who encrypts with what announce() gave back need not repeat the size of the key."""
    flow = KmsFlow(software_ring, AIRLOCK_KMS.with_key_bits(128))
    assert flow.unwrap(encrypt_password(PASSWORD, flow.announce())) == PASSWORD


@pytest.mark.parametrize(
    "password", ["", " x ", "a\0b", "e\u0301", "\u00e9", "\ufeffx", "İıŞ", "ｆｕｌｌ", "👩‍👩‍👧", "x" * 72, "x" * 4096]
)
def test_password_comes_out_exactly_as_sent(kms_flow: KmsFlow, password: str) -> None:
    """Cases P4 to P6: not trimmed, not cut at NUL, not normalised; a leading U+FEFF is a character as any other."""
    assert kms_flow.unwrap(kms_flow.message(kms_flow.announce(), password.encode())) == password


def test_str_and_bytes_and_spelling_of_json(kms_flow: KmsFlow) -> None:
    """JSON is JSON: other spaces, another order, escaped letters; as text or as bytes."""
    for respell in (
        str.encode,
        lambda message: json.dumps(dict(reversed(json.loads(message).items())), indent=2) + "\n",
        lambda message: message.replace("/", "\\/").replace("key", "\\u006bey"),
    ):
        assert kms_flow.unwrap(respell(kms_flow.message(kms_flow.announce()))) == PASSWORD


def test_profile_by_its_name(kms_flow: KmsFlow) -> None:
    """A name is the profile with its default settings."""
    message = kms_flow.message(kms_flow.announce())
    assert unwrap_password(message, kms_flow.ring, "airlock-kms", kms_flow.nonces, SESSION, "check") == PASSWORD


@ALL
def test_sha1_is_an_opt_in(software_key: Unwrapper, profile: KmsProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that can do nothing else is announced as RSAES_OAEP_SHA_1 to those who allow it, and its messages open."""
    only_sha1 = replace(software_key.capabilities, unwrap=frozenset({RSA_OAEP}))
    monkeypatch.setattr(software_key, "capabilities", only_sha1)
    flow = KmsFlow(OneKeyRing(software_key), profile.allowing_sha1())
    assert flow.announce().to_dict()["algorithm"] == "RSAES_OAEP_SHA_1"
    assert flow.unwrap(flow.message(flow.announce())) == PASSWORD
    assert flow.unwrap(encrypt_password(PASSWORD, flow.announce(), profile)) == PASSWORD


# --- the nonce: none in the message, so the latest of the step counts


def test_a_message_works_once(kms_flow: KmsFlow) -> None:
    """Case R1: a replay finds no nonce; after the next announcement it answers the wrong one."""
    message = kms_flow.message(kms_flow.announce())
    assert kms_flow.unwrap(message) == PASSWORD
    assert refused(kms_flow, message) is RejectReason.NONCE
    kms_flow.announce()
    assert_fails(kms_flow, message)


def test_a_message_works_once_under_threads(kms_flow: KmsFlow) -> None:
    """Case R1: whoever races, one gets the password."""
    message = kms_flow.message(kms_flow.announce())
    start = threading.Barrier(8)
    answers: list[str] = []

    def race() -> None:
        start.wait()
        try:
            answers.append(kms_flow.unwrap(message))
        except TokenRejected as rejected:
            answers.append(rejected.reason)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted([PASSWORD] + [RejectReason.NONCE] * 7)


def test_nothing_announced(kms_flow: KmsFlow) -> None:
    """Case H7: a right message for a nonce that somebody else announced."""
    elsewhere = KmsFlow(kms_flow.ring)
    assert refused(kms_flow, elsewhere.message(elsewhere.announce())) is RejectReason.NONCE


def test_a_message_answers_the_latest_announcement(kms_flow: KmsFlow) -> None:
    """Case H7: an earlier nonce of the same step is as good as spent, and a message for it spends the latest."""
    first = kms_flow.announce()
    second = kms_flow.announce()
    assert_fails(kms_flow, kms_flow.message(first))
    assert refused(kms_flow, kms_flow.message(second)) is RejectReason.NONCE


def test_no_message_buys_a_second_key_operation(kms_flow: KmsFlow) -> None:
    """Many announcements, one message: all nonces of the step are gone."""
    latest = [kms_flow.announce() for _ in range(5)][-1]
    assert kms_flow.unwrap(kms_flow.message(latest)) == PASSWORD
    assert kms_flow.is_spent()


def test_an_expired_nonce(software_ring: KeyRing) -> None:
    """Case H7: expired is as good as never announced; an older nonce with a longer life does not step in."""
    now = [0.0]
    flow = KmsFlow(software_ring, nonces=MemoryNonceStore(clock=lambda: now[0]))
    flow.announce(lifetime=600)
    message = flow.message(flow.announce(lifetime=60))
    now[0] = 60
    assert refused(flow, message) is RejectReason.NONCE
    assert flow.is_spent()


@pytest.mark.parametrize(
    ("session", "purpose"), [("session-2", Purpose.CHECK), (SESSION, Purpose.CHANGE), ("", "check")]
)
def test_another_step_of_a_login(kms_flow: KmsFlow, session: str, purpose: Purpose) -> None:
    """Cases H7 and R2: no other session or purpose opens it, and the step's own nonce stays."""
    message = kms_flow.message(kms_flow.announce())
    with pytest.raises(TokenRejected) as caught:
        unwrap_password(message, kms_flow.ring, AIRLOCK_KMS, kms_flow.nonces, session, purpose)
    assert caught.value.reason is RejectReason.NONCE
    assert kms_flow.unwrap(message) == PASSWORD


def test_a_voluntary_change(kms_flow: KmsFlow) -> None:
    """Two passwords of one session do not disturb each other; swapped they do not open."""
    announced = {
        purpose: announce(kms_flow.ring, AIRLOCK_KMS, kms_flow.nonces, SESSION, purpose)
        for purpose in (Purpose.CHECK, Purpose.CHANGE)
    }
    sent = {purpose: kms_flow.message(announced[purpose], purpose.encode()) for purpose in announced}
    for purpose, message in sent.items():
        assert unwrap_password(message, kms_flow.ring, AIRLOCK_KMS, kms_flow.nonces, SESSION, purpose) == purpose
    kms_flow.announce()
    assert_fails(kms_flow, sent[Purpose.CHANGE])


def test_nonces_of_other_profiles_stay(software_ring: KeyRing) -> None:
    """The same session under a JWE profile is another promise."""
    flow = KmsFlow(software_ring)
    jwe = announce(software_ring, SEALPASS, flow.nonces, SESSION, Purpose.CHECK)
    message = flow.message(flow.announce())
    assert flow.unwrap(message) == PASSWORD
    assert refused(flow, message) is RejectReason.NONCE
    assert flow.nonces.consume(jwe.nonce) is not None


def test_store_that_answers_with_another_record(kms_flow: KmsFlow) -> None:
    """A store of somebody else's is not trusted: the record must be of this session, purpose and profile."""
    record_of = MemoryNonceStore()
    information = announce(kms_flow.ring, AIRLOCK_KMS, record_of, "session-2", Purpose.CHECK)
    foreign = record_of.consume(information.nonce)

    class Wrong(MemoryNonceStore):
        def consume_latest(self, session: str, purpose: str, profile: str) -> Any:
            del session, purpose, profile
            return foreign

    kms_flow.nonces = Wrong()
    assert refused(kms_flow, kms_flow.message(information)) is RejectReason.NONCE


# --- what has spent the nonce


@pytest.mark.parametrize("setting", ["allowing_sha1", "with_key_bits"])
def test_announced_under_settings_that_the_reader_does_not_share(software_key: Unwrapper, setting: str) -> None:
    """The record rules, but SHA-1 stays an opt-in of whoever opens the message, and so does the size of the key."""
    only_sha1 = Capabilities(UnwrapMode.SOFTWARE, frozenset({RSA_OAEP}), frozenset({A256GCM}))
    flow = KmsFlow(OneKeyRing(software_key), AIRLOCK_KMS.with_key_bits(128))
    with pytest.MonkeyPatch.context() as patch:
        if setting == "allowing_sha1":
            patch.setattr(software_key, "capabilities", only_sha1)
            flow.profile = AIRLOCK_KMS.allowing_sha1()
        message = flow.message(flow.announce())
    flow.profile = AIRLOCK_KMS
    assert refused(flow, message) is RejectReason.ANNOUNCEMENT
    assert flow.is_spent()


@pytest.mark.parametrize("length", [1, 255, 257, 384])
def test_encrypted_key_of_another_length(kms_flow: KmsFlow, length: int) -> None:
    """Case A12: the modulus has one length, and it is public."""
    message = kms_flow.message(kms_flow.announce())
    damaged = join(split(message) | {"key": b"\1" * length})
    assert refused(kms_flow, damaged) is RejectReason.LENGTH
    assert kms_flow.is_spent()


def test_retired_key(software_key: Unwrapper) -> None:
    """Case H6: a key that left the ring while its nonce was out."""
    ring = OneKeyRing(software_key)
    flow = KmsFlow(ring)
    message = flow.message(flow.announce())
    ring.retired = True
    assert refused(flow, message) is RejectReason.KEY_RETIRED
    assert flow.is_spent()


def _damaged(member: str, change: Callable[[bytes], bytes]) -> Make:
    """A right message, but for the octets of one member."""
    return lambda flow, information: changed(flow.message(information), member, change)


FAILURES: list[tuple[str, Make]] = [
    ("no additional data", lambda flow, info: flow.message(info, aad=b"")),
    ("the nonce's bytes", lambda flow, info: flow.message(info, aad=base64.urlsafe_b64decode(info.nonce))),
    ("the nonce without '='", lambda flow, info: flow.message(info, aad=info.nonce.rstrip("=").encode())),
    ("another nonce", lambda flow, info: flow.message(info, aad=AIRLOCK_KMS.new_nonce().encode())),
    ("RSAES_OAEP_SHA_1", lambda flow, info: flow.message(info, oaep=tokens.OAEP_SHA1)),
    ("MGF1 with SHA-1", lambda flow, info: flow.message(info, oaep=tokens.OAEP_SHA256_MGF1_SHA1)),
    ("a label", lambda flow, info: flow.message(info, oaep=tokens.OAEP_SHA256_LABELLED)),
    ("AES-128", lambda flow, info: flow.message(info, cek=b"k" * 16)),
    ("AES-192", lambda flow, info: flow.message(info, cek=b"k" * 24)),
    ("key above the modulus", _damaged("key", lambda key: b"\xff" * len(key))),
    ("key of zeros", _damaged("key", lambda key: bytes(len(key)))),
    ("tag stripped", _damaged("password", lambda sealed: sealed[:-16])),
    ("tag cut by a byte", _damaged("password", lambda sealed: sealed[:-1])),
    ("tag extended", _damaged("password", lambda sealed: sealed + b"\0")),
    ("another iv", _damaged("iv", lambda _: bytes(12))),
    ("password is not UTF-8", lambda flow, info: flow.message(info, b"\xff\xfe")),
    ("password is overlong UTF-8", lambda flow, info: flow.message(info, b"\xc0\x80")),
    ("password holds a surrogate", lambda flow, info: flow.message(info, b"\xed\xa0\x80")),
    ("password is Latin-1", lambda flow, info: flow.message(info, "pässword".encode("latin-1"))),
]


@pytest.mark.parametrize("make", [case[1] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_what_does_not_open_is_one_failure(kms_flow: KmsFlow, make: Make) -> None:
    """Cases C5, A6, A7, A9, A12 and P3: once the key was touched, nothing tells one cause from another."""
    assert_fails(kms_flow, make(kms_flow, kms_flow.announce()))


@ALL
def test_settings_do_not_mix(software_ring: KeyRing, profile: KmsProfile) -> None:
    """Case C5: a client with any other setting is one failure."""
    for other in SETTINGS.values():
        if other != profile:
            flow = KmsFlow(software_ring, profile)
            information = flow.announce()
            assert_fails(flow, encrypt_password(PASSWORD, information, other))


@pytest.mark.parametrize("member", MEMBERS)
def test_every_bit(kms_flow: KmsFlow, member: str) -> None:
    """Case C3: all of them, one after the other."""
    for bit in range(8 * len(split(kms_flow.message(kms_flow.announce()))[member])):
        assert_fails(kms_flow, flip_bit(kms_flow.message(kms_flow.announce()), member, bit))


def test_failure_inside_an_except_block_carries_nothing(kms_flow: KmsFlow) -> None:
    """The caller's own exception, which may hold a password, is not chained to ours."""
    message = kms_flow.message(kms_flow.announce(), b"\xff")
    try:
        raise ValueError("hunter2")  # noqa: TRY301 - the caller's own block is what is tested
    except ValueError:
        assert_fails(kms_flow, message)
