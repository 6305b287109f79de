# SPDX-License-Identifier: Apache-2.0
"""unwrap_password: what is refused, why, and whether the nonce is spent."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.core.contract import E2eeInformation, announce, unwrap_password
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError, RejectReason, TokenRejected
from sealpass.core.jwe import FORBIDDEN_MEMBERS
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from sealpass.core.nonces import MemoryNonceStore, Purpose
from sealpass.core.protocols import Unwrapper
from tests.support import tokens
from tests.support.contract import PASSWORD, SESSION, Flow, OneKeyRing

PROFILES = (SEALPASS, AIRLOCK_JWE)
Make = Callable[[Flow, E2eeInformation], str]


@pytest.fixture
def sealpass_flow(software_ring: KeyRing) -> Flow:
    """A login under our own profile."""
    return Flow(software_ring, SEALPASS)


@pytest.fixture
def airlock_flow(software_ring: KeyRing) -> Flow:
    """A login under Airlock's."""
    return Flow(software_ring, AIRLOCK_JWE)


def refused(flow: Flow, token: str | bytes) -> RejectReason:
    """Why the token was rejected; fails where it was not."""
    with pytest.raises(TokenRejected) as caught:
        flow.unwrap(token)
    return caught.value.reason


@pytest.mark.parametrize("password", [PASSWORD, "", " x ", "a\0b", "e\u0301", "\u00e9", "👩‍👩‍👧", "x" * 4096])
def test_password_comes_out_exactly_as_sent(flow: Flow, password: str) -> None:
    """Not trimmed, not cut at NUL, not normalised, empty ones included: policy is for later."""
    assert flow.unwrap(encrypt_password(password, flow.announce())) == password


def test_bytes_and_str_are_the_same_token(flow: Flow) -> None:
    """A web framework gives one or the other."""
    assert flow.unwrap(flow.token(flow.announce()).encode("ascii")) == PASSWORD


def test_a_token_works_once(flow: Flow) -> None:
    """Replay is refused by its nonce, before the key is used."""
    token = flow.token(flow.announce())
    assert flow.unwrap(token) == PASSWORD
    assert refused(flow, token) is RejectReason.NONCE


def test_a_token_works_once_under_threads(flow: Flow) -> None:
    """Of many servers threads that get the same token, exactly one gets the password (contract case R1)."""
    token = flow.token(flow.announce())
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def race() -> None:
        start.wait()
        try:
            outcomes.append(flow.unwrap(token))
        except TokenRejected as rejected:
            outcomes.append(rejected.reason)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {PASSWORD: 1, RejectReason.NONCE: 7}


def _respelled(index: int, suffix: str) -> Make:
    def make(flow: Flow, information: E2eeInformation) -> str:
        parts = flow.token(information).split(".")
        parts[index] += suffix
        return ".".join(parts)

    return make


def _changed(**changes: Any) -> Make:
    return lambda flow, information: flow.token(information, **changes)


def _header_bytes(transform: Callable[[bytes], bytes]) -> Make:
    """A token with a valid tag whose header is spelled by ``transform``."""

    def make(flow: Flow, information: E2eeInformation) -> str:
        token = flow.token(information)
        octets = transform(tokens.split(token)[tokens.HEADER])
        public_key = information.public_key.public_key()
        return tokens.build(
            public_key,
            octets,
            tokens.padded_payload(PASSWORD),
            oaep=tokens.OAEP_SHA256,
            cek=bytes(16 if b"A128" in octets else 32),
        )

    return make


def _cut(part: int, length: int) -> Make:
    """The part cut or zero-filled to ``length`` bytes."""

    def make(flow: Flow, information: E2eeInformation) -> str:
        token = flow.token(information)
        return tokens.with_part(token, part, tokens.split(token)[part].ljust(length, b"\0")[:length])

    return make


# Refused before the nonce is looked at: the sender may correct its mistake under the same nonce.
NONCE_KEPT: dict[str, tuple[RejectReason, Make]] = {
    "plain-text-password": (RejectReason.FORM, lambda *_: PASSWORD),
    "ascii-password": (RejectReason.FORM, lambda *_: "hunter2"),
    "empty": (RejectReason.FORM, lambda *_: ""),
    "four-parts": (RejectReason.FORM, lambda f, i: f.token(i).rpartition(".")[0]),
    "six-parts": (RejectReason.FORM, lambda f, i: f.token(i) + "."),
    "jws": (RejectReason.FORM, lambda f, i: ".".join(f.token(i).split(".")[:3])),
    "json-serialization": (RejectReason.FORM, lambda f, i: '{"protected":"%s"}' % f.token(i).split(".")[0]),  # noqa: UP031
    "leading-space": (RejectReason.FORM, lambda f, i: " " + f.token(i)),
    "trailing-newline": (RejectReason.FORM, lambda f, i: f.token(i) + "\n"),
    "padded-key": (RejectReason.FORM, _respelled(tokens.ENCRYPTED_KEY, "==")),
    "padded-tag": (RejectReason.FORM, _respelled(tokens.TAG, "==")),
    "spare-bits": (RejectReason.FORM, lambda f, i: f.token(i)[:-1] + chr(ord(f.token(i)[-1]) + 1)),
    "standard-alphabet": (RejectReason.FORM, lambda f, i: f.token(i).replace(".", ".+", 1)),
    "too-long": (RejectReason.SIZE, lambda f, i: f.token(i) + "A" * 8192),
    "header-too-long": (RejectReason.SIZE, _changed(padding="x" * 1024)),
    "header-is-no-json": (RejectReason.HEADER, lambda f, i: tokens.with_part(f.token(i), tokens.HEADER, b"hello")),
    "header-is-array": (RejectReason.HEADER, lambda f, i: tokens.with_part(f.token(i), tokens.HEADER, b"[]")),
    "header-empty": (RejectReason.HEADER, lambda f, i: tokens.with_part(f.token(i), tokens.HEADER, b"")),
    "header-bom": (RejectReason.HEADER, _header_bytes(lambda h: b"\xef\xbb\xbf" + h)),
    "header-trailing-text": (RejectReason.HEADER, _header_bytes(lambda h: h + b"x")),
    "header-repeats-alg": (RejectReason.HEADER, _header_bytes(lambda h: h[:-1] + b',"alg":"RSA-OAEP-256"}')),
    "header-depth-bomb": (RejectReason.HEADER, lambda f, i: tokens.with_part(f.token(i), tokens.HEADER, b"[" * 1000)),
    "no-alg": (RejectReason.ALGORITHM, _changed(alg=None)),
    "alg-number": (RejectReason.ALGORITHM, _changed(alg=5)),
    "alg-list": (RejectReason.ALGORITHM, _changed(alg=["RSA-OAEP-256"])),
    "alg-lower-case": (RejectReason.ALGORITHM, _changed(alg="rsa-oaep-256")),
    **{
        f"alg-{alg}": (RejectReason.ALGORITHM, _changed(alg=alg))
        for alg in ("RSA-OAEP", "RSA1_5", "dir", "none", "A256KW", "ECDH-ES", "PBES2-HS256+A128KW", "RSA-OAEP-512")
    },
    "no-enc": (RejectReason.ALGORITHM, _changed(enc=None)),
    "enc-number": (RejectReason.ALGORITHM, _changed(enc=256)),
    "enc-object": (RejectReason.ALGORITHM, _changed(enc={"name": "A256GCM"})),
    "enc-lower-case": (RejectReason.ALGORITHM, _changed(enc="a256gcm")),
    **{
        f"enc-{enc}": (RejectReason.ALGORITHM, _changed(enc=enc))
        for enc in ("A192GCM", "A128CBC-HS256", "A256CBC-HS512")
    },
    "no-nonce": (RejectReason.HEADER, _changed(nonce=None)),
    "nonce-number": (RejectReason.HEADER, _changed(nonce=5)),
    "nonce-list": (RejectReason.HEADER, lambda f, i: f.token(i, nonce=[i.nonce])),
    "kid-number": (RejectReason.HEADER, _changed(kid=5)),
    "kid-list": (RejectReason.HEADER, lambda f, i: f.token(i, kid=[i.public_key.kid])),
    **{f"{name}": (RejectReason.HEADER, _changed(**{name: "x"})) for name in sorted(FORBIDDEN_MEMBERS)},
    "crit-empty": (RejectReason.HEADER, _changed(crit=[])),
    "typ": (RejectReason.HEADER, _changed(typ="JWT")),
    "cty": (RejectReason.HEADER, _changed(cty="JWT")),
    "unknown-member": (RejectReason.HEADER, _changed(p2c=2_000_000_000)),
    "iv-empty": (RejectReason.LENGTH, _cut(tokens.IV, 0)),
    "iv-8": (RejectReason.LENGTH, _cut(tokens.IV, 8)),
    "iv-16": (RejectReason.LENGTH, _cut(tokens.IV, 16)),
    **{f"tag-{size}": (RejectReason.LENGTH, _cut(tokens.TAG, size)) for size in (0, 1, 4, 8, 12, 15, 17, 32)},
    "encrypted-key-empty": (RejectReason.LENGTH, _cut(tokens.ENCRYPTED_KEY, 0)),
}


@pytest.mark.parametrize(("reason", "make"), NONCE_KEPT.values(), ids=NONCE_KEPT)
def test_form_and_header_are_refused_and_keep_the_nonce(flow: Flow, reason: RejectReason, make: Make) -> None:
    """What is wrong before the nonce is read costs nothing: the right token still works afterwards."""
    information = flow.announce()
    assert refused(flow, make(flow, information)) is reason
    assert not flow.is_spent(information)


def _another_base64_form(nonce: str) -> str:
    return nonce.rstrip("=") if nonce.endswith("=") else nonce + "="


NONCE_SPENT: dict[str, tuple[RejectReason, Make]] = {
    "kid-of-another-key": (RejectReason.ANNOUNCEMENT, _changed(kid="x" * 43)),
    "kid-empty": (RejectReason.ANNOUNCEMENT, _changed(kid="")),
    "kid-path": (RejectReason.ANNOUNCEMENT, _changed(kid="../../etc/passwd")),
    "encrypted-key-short": (RejectReason.LENGTH, _cut(tokens.ENCRYPTED_KEY, 255)),
    "encrypted-key-long": (RejectReason.LENGTH, _cut(tokens.ENCRYPTED_KEY, 257)),
    "encrypted-key-one-byte": (RejectReason.LENGTH, _cut(tokens.ENCRYPTED_KEY, 1)),
}


@pytest.mark.parametrize(("reason", "make"), NONCE_SPENT.values(), ids=NONCE_SPENT)
def test_what_contradicts_the_record_spends_the_nonce(flow: Flow, reason: RejectReason, make: Make) -> None:
    """Once the record was taken there is no second try under it."""
    information = flow.announce()
    assert refused(flow, make(flow, information)) is reason
    assert flow.is_spent(information)


@pytest.mark.parametrize(
    "wrong", [lambda _: "", lambda _: "A" * 43, str.swapcase, _another_base64_form, lambda nonce: nonce[:-1]]
)
def test_unknown_nonces_are_refused(flow: Flow, wrong: Callable[[str], str]) -> None:
    """Also another spelling of the same octets: nonces compare as exact strings (contract case H7)."""
    information = flow.announce()
    assert refused(flow, flow.token(information, nonce=wrong(information.nonce))) is RejectReason.NONCE
    assert not flow.is_spent(information)


def test_expired_nonces_are_refused(flow: Flow) -> None:
    """The lifetime of the announcement is the grace of its key."""
    now = [0.0]
    flow.nonces = MemoryNonceStore(clock=lambda: now[0])
    token = flow.token(flow.announce(lifetime=10))
    now[0] = 10
    assert refused(flow, token) is RejectReason.NONCE


@pytest.mark.parametrize(
    ("session", "purpose"),
    [("session-2", Purpose.CHECK), ("", Purpose.CHECK)]
    + [(SESSION, purpose) for purpose in Purpose if purpose is not Purpose.CHECK],
)
def test_session_and_purpose_are_those_of_the_record(flow: Flow, session: str, purpose: Purpose) -> None:
    """A token made for one login, or for the login, does not change or reset a password (contract case R2)."""
    information = flow.announce()
    with pytest.raises(TokenRejected, match="something else") as caught:
        unwrap_password(flow.token(information), flow.ring, flow.profile, flow.nonces, session, purpose)
    assert caught.value.reason is RejectReason.NONCE
    assert flow.is_spent(information)


def test_profile_is_that_of_the_record(software_ring: KeyRing) -> None:
    """A nonce of one profile is nothing in the other, although the token would fit both."""
    nonces = MemoryNonceStore()
    flow = Flow(software_ring, SEALPASS)
    information = announce(software_ring, AIRLOCK_JWE, nonces, SESSION, Purpose.CHECK)
    flow.nonces = nonces
    token = flow.token(information, enc="A256GCM")
    assert tokens.header_of(token).keys() == {"alg", "enc", "kid", "nonce"}
    assert refused(flow, token) is RejectReason.NONCE


def test_sealpass_wants_a_kid(sealpass_flow: Flow) -> None:
    """Its header is exactly alg, enc, kid and nonce."""
    assert refused(sealpass_flow, sealpass_flow.token(sealpass_flow.announce(), kid=None)) is RejectReason.HEADER


def test_airlock_may_send_a_kid(airlock_flow: Flow) -> None:
    """Optional, but where it is sent it is the announced one."""
    information = airlock_flow.announce()
    assert airlock_flow.unwrap(airlock_flow.token(information, kid=information.public_key.kid)) == PASSWORD


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_airlock_client_picks_the_enc(airlock_flow: Flow, enc: str) -> None:
    """Its announcement does not say which of the two."""
    information = airlock_flow.announce()
    public_key = information.public_key.public_key()
    header = airlock_flow.header(information, enc=enc)
    assert airlock_flow.unwrap(tokens.build(public_key, header, tokens.padded_payload(PASSWORD))) == PASSWORD


def test_sealpass_refuses_the_other_enc(sealpass_flow: Flow) -> None:
    """A256GCM is the only one."""
    information = sealpass_flow.announce()
    public_key = information.public_key.public_key()
    token = tokens.build(public_key, sealpass_flow.header(information, enc="A128GCM"), tokens.padded_payload(PASSWORD))
    assert refused(sealpass_flow, token) is RejectReason.ALGORITHM


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_sha1_is_an_opt_in(software_ring: KeyRing, profile: JweProfile) -> None:
    """With it both algs are known, but a token still has the one that was announced; a stronger key announces -256."""
    flow = Flow(software_ring, profile.allowing_sha1())
    information = flow.announce()
    assert information.alg == "RSA-OAEP-256"
    public_key = information.public_key.public_key()
    downgraded = tokens.build(public_key, flow.header(information, alg="RSA-OAEP"), tokens.padded_payload(PASSWORD))
    assert refused(flow, downgraded) is RejectReason.ANNOUNCEMENT
    assert flow.is_spent(information)


def test_enc_that_was_not_announced_spends_the_nonce(software_key: Unwrapper) -> None:
    """The profile knows A128GCM, the record does not: the key could not do it when it was announced."""
    flow = Flow(OneKeyRing(software_key), AIRLOCK_JWE)
    information = flow.announce()
    record = flow.nonces.consume(information.nonce)
    assert record is not None
    assert record.encs == ("A128GCM", "A256GCM")
    only_256 = type(record)(**{name: getattr(record, name) for name in record.__slots__} | {"encs": ("A256GCM",)})
    flow.nonces.put(only_256)
    assert refused(flow, flow.token(information, enc="A128GCM")) is RejectReason.ANNOUNCEMENT
    assert flow.is_spent(information)


def test_retired_key_is_refused(flow: Flow, software_key: Unwrapper) -> None:
    """The grace after a rotation is the nonce's life, but only while the key is in the ring."""
    ring = OneKeyRing(software_key)
    flow.ring = ring
    information = flow.announce()
    ring.retired = True
    assert refused(flow, flow.token(information)) is RejectReason.KEY_RETIRED
    ring.retired = False
    assert flow.is_spent(information)


def test_slips_of_a_caller_are_config_errors(sealpass_flow: Flow) -> None:
    """Seconds in place of a Deadline are refused with the way to write one; the nonce is kept; a profile has a name."""
    token = sealpass_flow.token(sealpass_flow.announce())
    ring, nonces = sealpass_flow.ring, sealpass_flow.nonces
    with pytest.raises(ConfigError) as caught:
        unwrap_password(token, ring, "sealpass", nonces, SESSION, "check", deadline=2.0)  # type: ignore[arg-type]
    assert "Deadline.after" in caught.value.hint
    assert unwrap_password(token, ring, "sealpass", nonces, SESSION, "check") == PASSWORD
    with pytest.raises(ConfigError, match="no profile"):
        unwrap_password(token, ring, "other", nonces, SESSION, "check")
