# SPDX-License-Identifier: Apache-2.0
"""The strict parser by itself, plain decryption, and the order of things when a token does not open."""

import secrets
from typing import Any

import pytest

from sealpass.core import jwe
from sealpass.core.algorithms import CONTENT_ENCRYPTIONS, RSA_OAEP, RSA_OAEP_256, ContentEncryption, RsaOaep
from sealpass.core.capabilities import Capabilities
from sealpass.core.content_key import MemoryContentKey
from sealpass.core.deadline import Deadline
from sealpass.core.encrypt import encrypt
from sealpass.core.errors import (
    BackendUnavailable,
    ConfigError,
    DecryptionFailed,
    RejectReason,
    TokenRejected,
    UnsupportedAlgorithm,
)
from sealpass.core.failure import FailureFloor
from sealpass.core.jwe import FORBIDDEN_MEMBERS, MAX_HEADER_BYTES, MAX_TOKEN_BYTES
from sealpass.core.jwk import PublicJwk
from sealpass.core.protocols import Unwrapper
from tests.support import tokens

PAYLOAD = b"attack at dawn"
HEADER = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}


def made(key: Unwrapper, **members: Any) -> str:
    """A good token, but for what ``members`` does to it."""
    return tokens.build(key.public_jwk.public_key(), HEADER | members, PAYLOAD)


def reason_of(token: str | bytes) -> RejectReason:
    """Why the parser rejects the token; fails where it does not."""
    with pytest.raises(TokenRejected) as caught:
        jwe.parse(token, jwe.plain_members)
    return caught.value.reason


@pytest.mark.parametrize("token", [None, 123, ["a"], {}, bytearray(b"a.b.c.d.e")], ids=str)
def test_what_is_no_text_is_no_token(software_key: Unwrapper, token: Any) -> None:
    """A JSON body may hold anything where the token belongs: that is the sender's mistake, not a bug of ours."""
    assert reason_of(token) is RejectReason.FORM
    with pytest.raises(TokenRejected):
        jwe.decrypt(token, software_key)


def test_parts_come_apart(software_key: Unwrapper) -> None:
    """Five parts, decoded, and the AAD as it was spelled (RFC 7516 section 5.2 step 15)."""
    token = made(software_key, kid="k")
    parsed = jwe.parse(token, jwe.plain_members)
    assert [parsed.encrypted_key, parsed.iv, parsed.ciphertext, parsed.tag] == tokens.split(token)[1:]
    assert parsed.aad == token.split(".")[0].encode()
    assert parsed.header == HEADER | {"kid": "k"}
    assert (parsed.oaep, parsed.enc.name) == (RSA_OAEP_256, "A256GCM")


@pytest.mark.parametrize(
    "members", [{}, {"kid": "k", "typ": "JWE", "cty": "text"}, {"x5t": "a", "own": {"b": [1]}}], ids=str
)
def test_plain_tokens_open(software_key: Unwrapper, members: dict[str, Any]) -> None:
    """Members that mean nothing to us are ignored (RFC 7516 section 4)."""
    assert jwe.decrypt(made(software_key, **members), software_key) == PAYLOAD


def test_an_empty_payload_is_a_payload(software_key: Unwrapper) -> None:
    """Zero bytes are not the same as a token that does not open."""
    assert jwe.decrypt(tokens.build(software_key.public_jwk.public_key(), HEADER, b""), software_key) == b""


@pytest.mark.parametrize("name", sorted(FORBIDDEN_MEMBERS))
@pytest.mark.parametrize("value", ["DEF", None, [], {}, ["exp"]], ids=str)
def test_forbidden_members_are_refused(software_key: Unwrapper, name: str, value: object) -> None:
    """Contract cases H1, H2 and H4: whatever their value; a header that names them is not read on."""
    assert reason_of(made(software_key, **{name: value})) is RejectReason.HEADER


def test_forbidden_members_are_the_published_ones() -> None:
    """Nothing may drop out of the list unseen."""
    assert {"zip", "crit", "jku", "jwk", "x5u", "x5c", "epk"} == FORBIDDEN_MEMBERS


@pytest.mark.parametrize("name", ["kid", "typ", "cty"])
@pytest.mark.parametrize("value", [5, None, True, ["x"], {}], ids=str)
def test_registered_members_are_strings(software_key: Unwrapper, name: str, value: object) -> None:
    """RFC 7516 section 4.1: a program that compares them would otherwise compare apples with pears."""
    assert reason_of(made(software_key, **{name: value})) is RejectReason.HEADER


def test_size_of_the_token(software_key: Unwrapper) -> None:
    """8 KiB are read, one byte more is not, and none of it is decoded first."""
    token = made(software_key)
    room = MAX_TOKEN_BYTES - len(token)
    grown = tokens.build(software_key.public_jwk.public_key(), HEADER, PAYLOAD + b"x" * (room * 3 // 4))
    assert MAX_TOKEN_BYTES - 2 <= len(grown) <= MAX_TOKEN_BYTES
    assert jwe.decrypt(grown, software_key) == PAYLOAD + b"x" * (room * 3 // 4)
    assert reason_of(grown + "A" * (MAX_TOKEN_BYTES + 1 - len(grown))) is RejectReason.SIZE
    assert reason_of(b"\xff" * (MAX_TOKEN_BYTES + 1)) is RejectReason.SIZE
    assert reason_of("é" * (MAX_TOKEN_BYTES + 1)) is RejectReason.SIZE


def test_size_of_the_header(software_key: Unwrapper) -> None:
    """1 KiB is read, one byte more is not."""
    public_key = software_key.public_jwk.public_key()
    octets = b'{"alg":"RSA-OAEP-256","enc":"A256GCM","x":"'
    fitting = octets + b"x" * (MAX_HEADER_BYTES - len(octets) - 2) + b'"}'
    assert len(fitting) == 1024
    assert jwe.decrypt(tokens.build(public_key, fitting, PAYLOAD), software_key) == PAYLOAD
    assert reason_of(tokens.build(public_key, fitting + b" ", PAYLOAD)) is RejectReason.SIZE


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "....",
        ".....",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e.f",
        "\0",
        "é....",
        b"\xff....",
        b"....\x80",
        "A....",
        "=....",
    ],
)
def test_form(token: str | bytes) -> None:
    """Five parts of base64url, and nothing else."""
    assert reason_of(token) in (RejectReason.FORM, RejectReason.HEADER)
    assert (reason_of(token) is RejectReason.HEADER) == (token == "....")


@pytest.mark.parametrize("part", range(5), ids=tokens.PART_NAMES)
@pytest.mark.parametrize("suffix", ["=", "==", "===", " ", "\n", "A=", "+", "/", "%3D"])
def test_every_part_is_canonical(software_key: Unwrapper, part: int, suffix: str) -> None:
    """Contract cases E1 and E2: otherwise one token would have many spellings, and a block list of tokens none."""
    parts = made(software_key).split(".")
    parts[part] += suffix
    assert reason_of(".".join(parts)) is RejectReason.FORM


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS, ids=str)
def test_lengths_of_iv_and_tag(software_key: Unwrapper, enc: ContentEncryption) -> None:
    """Contract cases C1 and C2: exactly what the enc wants, or LENGTH, before any key is used."""
    token = encrypt(PAYLOAD, software_key.public_jwk, "RSA-OAEP-256", enc.name)
    for part, length in ((tokens.IV, enc.iv_bytes), (tokens.TAG, enc.tag_bytes)):
        for wrong in {0, 1, 8, 12, 16, 24, 32, length - 1, length + 1} - {length}:
            assert reason_of(tokens.with_part(token, part, bytes(wrong))) is RejectReason.LENGTH


@pytest.mark.parametrize("length", [1, 255, 257, 512])
def test_encrypted_key_of_another_length_is_refused_before_the_key_is_used(
    software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """RFC 8017 section 7.1.2 step 1: the sender sees it anyway."""
    monkeypatch.setattr(software_key, "unwrap", lambda *_: pytest.fail("the key was used"))
    with pytest.raises(TokenRejected, match="length of the modulus") as caught:
        jwe.decrypt(tokens.with_part(made(software_key), tokens.ENCRYPTED_KEY, bytes(length)), software_key)
    assert caught.value.reason is RejectReason.LENGTH


def test_what_the_key_cannot_do_is_an_operator_error(software_key: Unwrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is right and the key is the wrong one for it: nobody learns that from DecryptionFailed."""
    monkeypatch.setattr(software_key, "_paddings", {RSA_OAEP: None})
    with pytest.raises(UnsupportedAlgorithm, match="does not unwrap"):
        jwe.decrypt(made(software_key), software_key)


def test_encrypt_knows_its_algorithms(software_key: Unwrapper) -> None:
    """The tool refuses what the contract does not have."""
    for alg, enc in (("RSA1_5", "A256GCM"), ("RSA-OAEP", "A512GCM"), ("dir", "A256GCM")):
        with pytest.raises(ConfigError, match="alg is one of"):
            encrypt(PAYLOAD, software_key.public_jwk, alg, enc)


class _Recorder:
    """An Unwrapper that opens nothing, in virtual time, and remembers what was called in which order."""

    def __init__(
        self, public_jwk: PublicJwk, *, work: float = 0.0, plaintext: bytes | None = None, dead: bool = False
    ) -> None:
        self.events: list[str] = []
        self.now = 50.0
        self.public_jwk = public_jwk
        self.key_id = public_jwk.kid
        self.capabilities = Capabilities()
        self.failure_floor = FailureFloor(0.05, clock=lambda: self.now, sleep=self._sleep)
        self._work = work
        self._plaintext = plaintext
        self._dead = dead

    def _sleep(self, seconds: float) -> None:
        self.events.append("sleep")
        self.now += seconds

    def unwrap(
        self, _key: bytes, _oaep: RsaOaep, enc: ContentEncryption, _deadline: Deadline | None = None
    ) -> MemoryContentKey:
        recorder = self

        class _Handle(MemoryContentKey):
            def decrypt(self, *_: bytes) -> bytes | None:
                recorder.events.append("decrypt")
                recorder.now += recorder._work
                return recorder._plaintext

            def close(self) -> None:
                recorder.events.append("close")

        self.events.append("unwrap")
        return _Handle(secrets.token_bytes(enc.cek_bytes), enc)

    def probe(self, _deadline: object = None) -> None:
        self.events.append("probe")
        if self._dead:
            raise BackendUnavailable("gone", retryable=True)


def _run(key: _Recorder, token: str) -> bytes:
    return jwe.decrypt(token, key)  # type: ignore[arg-type]


def test_failure_gives_the_key_back_then_probes_then_waits(software_key: Unwrapper) -> None:
    """Nobody waits for the floor with a session in hand, and the probe lies inside the floor."""
    key = _Recorder(software_key.public_jwk, work=0.02)
    with pytest.raises(DecryptionFailed):
        _run(key, made(software_key))
    assert key.events == ["unwrap", "decrypt", "close", "probe", "sleep"]


@pytest.mark.parametrize("work", [0.0, 0.001, 0.049])
def test_failure_is_released_at_a_fixed_time(software_key: Unwrapper, work: float) -> None:
    """Counted from before the unwrap, so that the device's own time does not show."""
    key = _Recorder(software_key.public_jwk, work=work)
    with pytest.raises(DecryptionFailed):
        _run(key, made(software_key))
    assert key.now == pytest.approx(50.05)
    assert (key.failure_floor.failures, key.failure_floor.overruns) == (1, 0)


def test_success_is_never_delayed(software_key: Unwrapper) -> None:
    """It shows anyway; neither a probe nor a wait is made."""
    key = _Recorder(software_key.public_jwk, work=0.01, plaintext=PAYLOAD)
    assert _run(key, made(software_key)) == PAYLOAD
    assert key.events == ["unwrap", "decrypt", "close"]
    assert key.now == 50.01
    assert key.failure_floor.failures == 0


def test_dead_device_is_not_the_senders_failure(software_key: Unwrapper) -> None:
    """The probe tells a device that is gone from a token that does not open."""
    key = _Recorder(software_key.public_jwk, dead=True)
    with pytest.raises(BackendUnavailable):
        _run(key, made(software_key))
    assert key.events == ["unwrap", "decrypt", "close", "probe"]
    assert key.failure_floor.failures == 0


def test_payload_that_breaks_the_contract_takes_the_same_way(software_key: Unwrapper) -> None:
    """A right tag around a wrong payload is probed for and waited for like a wrong tag."""
    key = _Recorder(software_key.public_jwk, plaintext=PAYLOAD)
    parsed = jwe.parse(made(software_key), jwe.plain_members)
    with pytest.raises(DecryptionFailed):
        jwe.open_token(parsed, key, lambda _: None)  # type: ignore[arg-type]
    assert key.events == ["unwrap", "decrypt", "close", "probe", "sleep"]
    assert key.now == pytest.approx(50.05)
