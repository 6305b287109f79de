# SPDX-License-Identifier: Apache-2.0
"""No failing path of core and the software backend lets a password or a key out through its exception.

Looked at is what error reporters send home: text, repr, hint and attributes of the exception and of every exception
chained to it, suppressed or not. (The locals of a traceback's frames are a matter of the reporter's settings.)
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.keyring import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.backends.secret_source import read_secret
from sealpass.core import content_key, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.contract import E2eeInformation
from sealpass.core.diagnose import diagnose
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import BackendUnavailable, DecryptionFailed, Error
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS, JweProfile
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.uri import KeyUri
from tests.support import tokens
from tests.support.contract import Flow
from tests.support.kms_messages import MEMBERS, KmsFlow, flip_bit

SECRET = "S3cr3t-Pässwort"
ASCII_SECRET = "S3cr3t-Passwort"
CEK = b"S3cr3t-CEK-of-exactly-32-bytes!!"
_MARK = "S3cr3t"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [link.__cause__, link.__context__]


def told_by(error: BaseException) -> str:
    """Everything that the exception and those chained to it say, their own attributes included."""
    texts: list[str] = []
    for link in _chain(error):
        texts += [str(link), repr(link), repr(link.args), *map(repr, getattr(link, "__notes__", ()))]
        names = {name for kind in type(link).__mro__ for name in vars(kind) if not name.startswith("__")}
        names |= vars(link).keys()
        texts += [repr(getattr(link, name, None)) for name in names if not callable(getattr(link, name, None))]
    return "\n".join(texts)


def assert_silent(run: Callable[[], Any]) -> Error:
    """Run what must fail with an error of ours that tells no secret; the error."""
    with pytest.raises(Error) as caught:
        run()
    told = told_by(caught.value)
    # base64url of the CEK, and the repr of bytes, would be other forms of the same leak
    for form in (_MARK, tokens.encode(CEK), tokens.encode(SECRET.encode()), tokens.encode(ASCII_SECRET.encode())):
        assert form not in told
    return caught.value


def test_the_test_can_see() -> None:
    """Text, repr, attribute and suppressed context are all looked at."""
    for source in (
        ValueError(SECRET),
        json.JSONDecodeError("x", SECRET, 0),
        UnicodeEncodeError("ascii", SECRET, 0, 1, "x"),
        AttributeError("x", obj=SECRET),
    ):
        failure = DecryptionFailed()
        failure.__context__, failure.__suppress_context__ = source, True
        assert _MARK in told_by(failure)


@pytest.fixture(params=[SEALPASS, AIRLOCK_JWE], ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> JweProfile:
    """Each profile that carries a password."""
    found = request.param
    assert isinstance(found, JweProfile)
    return found


@pytest.mark.parametrize(
    "sent",
    [
        SECRET,
        ASCII_SECRET,
        f"{SECRET}....",
        f"{ASCII_SECRET}....",
        f".{SECRET}...",
        SECRET.encode(),
        f"....{SECRET}".encode(),
        SECRET * 1000,
        json.dumps({"password": SECRET}),
        tokens.encode(json.dumps({"password": SECRET}).encode()) + "....",
    ],
)
def test_password_sent_in_the_clear(software_ring: KeyRing, profile: JweProfile, sent: str | bytes) -> None:
    """A client that forgets to encrypt is rejected without being quoted (contract case R4)."""
    assert_silent(lambda: Flow(software_ring, profile).unwrap(sent))
    assert_silent(lambda: jwe.parse(sent, jwe.plain_members))


HEADERS = [
    {"kid": SECRET},
    {"nonce": SECRET},
    {"alg": SECRET},
    {"enc": SECRET},
    {SECRET: SECRET},
    {"crit": [SECRET]},
    {"typ": SECRET},
    {"kid": [SECRET]},
]


@pytest.mark.parametrize("changes", HEADERS, ids=str)
def test_password_in_the_header(software_ring: KeyRing, profile: JweProfile, changes: dict[str, Any]) -> None:
    """A client that puts it where it can be read is not quoted either."""
    flow = Flow(software_ring, profile)
    assert_silent(lambda: flow.unwrap(flow.token(flow.announce(), **changes)))


PAYLOADS = [
    json.dumps({"password": [SECRET]}, ensure_ascii=False).encode(),
    json.dumps({"passwort": SECRET}, ensure_ascii=False).encode(),
    f'{{"password":"{SECRET}"'.encode(),
    f'{{"password":"{SECRET}","password":"{SECRET}"}}'.encode(),
    f'{{"password":"{SECRET}\\ud800"}}'.encode(),
    SECRET.encode() + b"\xff",
    SECRET.encode("utf-16"),
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_password_in_a_payload_that_breaks_the_contract(
    software_ring: KeyRing, profile: JweProfile, payload: bytes
) -> None:
    """After decryption the password is in our hands: the failure is bare."""
    flow = Flow(software_ring, profile)
    padded = payload + b" " * (-len(payload) % 64)
    error = assert_silent(lambda: flow.unwrap(flow.token(flow.announce(), payload=padded)))
    assert type(error) is DecryptionFailed


@pytest.mark.parametrize("part", [tokens.ENCRYPTED_KEY, tokens.IV, tokens.CIPHERTEXT, tokens.TAG])
def test_cek_of_a_token_that_does_not_open(software_ring: KeyRing, profile: JweProfile, part: int) -> None:
    """Neither the CEK nor the password shows, whichever part was changed."""
    flow = Flow(software_ring, profile)
    information = flow.announce()
    token = tokens.build(
        information.public_key.public_key(),
        flow.header(information, enc="A256GCM"),
        tokens.padded_payload(SECRET),
        cek=CEK,
    )
    error = assert_silent(lambda: flow.unwrap(tokens.flip_bit(token, part, 5)))
    assert type(error) is DecryptionFailed


def test_failing_device_with_the_password_in_its_hands(
    software_ring: KeyRing, monkeypatch: pytest.MonkeyPatch, profile: JweProfile
) -> None:
    """An operator error in the middle of decryption has no key chained to it."""
    flow = Flow(software_ring, profile)
    token = flow.token(flow.announce())

    def gone(*_: object) -> None:
        raise BackendUnavailable("the token was removed", retryable=True)

    monkeypatch.setattr(content_key.MemoryContentKey, "decrypt", gone)
    assert_silent(lambda: flow.unwrap(token))


@pytest.mark.parametrize("password", [SECRET + "\ud800", SECRET * 1000], ids=["surrogate", "long"])
def test_password_that_the_client_half_refuses(software_ring: KeyRing, profile: JweProfile, password: str) -> None:
    """The tool that encrypts does not quote what it was given."""
    information = Flow(software_ring, profile).announce()
    assert_silent(lambda: encrypt_password(password, information))


_SECRET_IN_BASE64 = base64.b64encode(SECRET.encode() + b"-" * 16).decode()
PLAIN_MESSAGES = [
    SECRET,
    ASCII_SECRET,
    SECRET.encode(),
    SECRET * 1000,
    SECRET + "\ud800",
    {"password": SECRET},
    [SECRET],
    json.dumps(SECRET),
    json.dumps({"password": SECRET}),
    json.dumps({"password": ASCII_SECRET, "key": "AAAA", "iv": "A" * 16}),
    json.dumps({"password": SECRET, "key": "AAAA", "iv": "A" * 16}, ensure_ascii=False),
    json.dumps({"password": {"value": SECRET}, "key": SECRET, "iv": SECRET}),
    json.dumps({"password": "AAAA", "key": "AAAA", "iv": "AAAA", SECRET: SECRET}),
    f'{{"password":"{ASCII_SECRET}","key":"AAAA","iv":"AAAA"',
    f'{{"password":"{ASCII_SECRET}","password":"{ASCII_SECRET}","key":"AAAA","iv":"AAAA"}}',
    json.dumps({"password": _SECRET_IN_BASE64, "key": "AAAA", "iv": "A" * 15}),
    json.dumps({"password": _SECRET_IN_BASE64, "key": "AAAA", "iv": "A" * 20}),
    json.dumps({"password": _SECRET_IN_BASE64, "key": "", "iv": "A" * 16}),
    json.dumps({"password": _SECRET_IN_BASE64, "key": "AAAA", "iv": "A" * 16}),
]


@pytest.mark.parametrize("sent", PLAIN_MESSAGES)
def test_password_sent_in_the_clear_to_kms(software_ring: KeyRing, sent: Any) -> None:
    """The same for messages of profile airlock-kms, however much of their form they have."""
    flow = KmsFlow(software_ring)
    flow.announce()
    error = assert_silent(lambda: flow.unwrap(sent))
    assert _SECRET_IN_BASE64 not in told_by(error)
    assert (error.__cause__, error.__context__) == (None, None)
    if isinstance(sent, str):
        assert _MARK not in diagnose(sent, [software_ring.current], AIRLOCK_KMS, nonce=AIRLOCK_KMS.new_nonce())


@pytest.mark.parametrize("payload", [SECRET.encode() + b"\xff", SECRET.encode("latin-1"), SECRET.encode("utf-16")])
def test_password_for_kms_that_is_no_text(software_ring: KeyRing, payload: bytes) -> None:
    """The decoder's error, which holds the octets, is not chained to ours; nor does the diagnosis quote them."""
    flow = KmsFlow(software_ring)
    information = flow.announce()
    message = flow.message(information, payload)
    error = assert_silent(lambda: flow.unwrap(message))
    assert type(error) is DecryptionFailed
    assert (error.__cause__, error.__context__) == (None, None)
    assert _MARK not in diagnose(message, [software_ring.current], AIRLOCK_KMS, nonce=information.nonce)


@pytest.mark.parametrize("member", MEMBERS)
def test_cek_of_a_message_for_kms_that_does_not_open(software_ring: KeyRing, member: str) -> None:
    """Neither the CEK nor the password shows, whichever member was changed."""
    flow = KmsFlow(software_ring)
    message = flow.message(flow.announce(), SECRET.encode(), cek=CEK)
    error = assert_silent(lambda: flow.unwrap(flip_bit(message, member, 5)))
    assert type(error) is DecryptionFailed


def test_device_that_fails_under_a_message_for_kms(software_ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator error in the middle of decryption has no key chained to it."""
    flow = KmsFlow(software_ring)
    message = flow.message(flow.announce(), SECRET.encode(), cek=CEK)

    def gone(*_: object) -> None:
        raise BackendUnavailable("no answer", retryable=True)

    monkeypatch.setattr(content_key.MemoryContentKey, "decrypt", gone)
    assert type(assert_silent(lambda: flow.unwrap(message))) is BackendUnavailable


@pytest.mark.parametrize("password", [SECRET + "\ud800", SECRET * 1000], ids=["surrogate", "long"])
def test_password_that_the_client_of_kms_refuses(software_ring: KeyRing, password: str) -> None:
    """The tool that encrypts does not quote what it was given."""
    information = KmsFlow(software_ring).announce()
    assert_silent(lambda: encrypt_password(password, information))


def test_reprs_of_a_message_for_kms_hold_no_secret(software_ring: KeyRing) -> None:
    """They are what was sent, and what was announced."""
    flow = KmsFlow(software_ring)
    information = flow.announce()
    submission = flow.profile.parse(flow.message(information, SECRET.encode(), cek=CEK))
    record = flow.nonces.consume(information.nonce)
    assert record is not None
    told = f"{submission!r}{submission.answering(record)!r}"
    assert _MARK not in told
    assert repr(CEK) not in told


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:token=a?pin-value={ASCII_SECRET}",
        f"pkcs11:token=a?pin-value={SECRET}",
        f"pkcs11:token=a?pin-value={ASCII_SECRET}%",
        f"pkcs11:slot-id={ASCII_SECRET}",
        f"software:path=a?pin={ASCII_SECRET}",
        f"software:path=a;password={ASCII_SECRET}",
        f"keystore:store-pass-source={ASCII_SECRET}",
        ASCII_SECRET,
    ],
)
def test_secret_in_a_uri(uri: str) -> None:
    """From the grammar up to opening the key, and in the ring."""
    assert_silent(lambda: open_key(uri))
    assert_silent(lambda: key_maker(uri))
    assert_silent(lambda: KeyRing(uri))


def test_secret_octets_in_a_uri() -> None:
    """An attribute that is not UTF-8 is named, not decoded into an error."""
    uri = KeyUri("software", {"path": SECRET.encode() + b"\xff"})
    assert_silent(lambda: uri.text("path"))


@pytest.mark.parametrize("source", [ASCII_SECRET, f"pin:{ASCII_SECRET}"])
def test_secret_in_place_of_its_source(source: str) -> None:
    """The mistake is named, the secret is not."""
    assert_silent(lambda: read_secret(source, "pin-source"))


def test_secret_that_is_no_text(tmp_path: Path) -> None:
    """A PIN file in another encoding."""
    path = tmp_path / "pin"
    path.write_bytes(SECRET.encode("latin-1"))
    assert_silent(lambda: read_secret(f"file:{path}", "pin-source"))


@pytest.mark.parametrize(
    "content",
    [
        f'{{"kty":"oct","k":"{tokens.encode(CEK)}","kid":5}}',
        f'{{"kty":"oct","k":"{tokens.encode(CEK)}="}}',
        f'{{"kty":"oct","k":"{tokens.encode(CEK)}ä"}}',
        f'{{"kty":"oct","k":"{tokens.encode(CEK)}",}}',
        f'{{"kty":"oct","k":"{tokens.encode(CEK)}","k":""}}',
        f'{{"kty":"RSA","d":"{tokens.encode(CEK)}"}}',
    ],
)
def test_key_file_that_is_wrong(tmp_path: Path, content: str) -> None:
    """An AES key in a file with a mistake in it; and a private JWK where a public one is wanted."""
    path = tmp_path / "key"
    path.write_text(content)
    assert_silent(lambda: open_key(f"software:path={path}"))
    assert_silent(lambda: PublicJwk.from_json(content.encode()))
    assert_silent(lambda: E2eeInformation.from_json(content.encode()))


def test_private_key_that_is_wrong(tmp_path: Path, software_uri: str) -> None:
    """A damaged PEM file is not quoted, neither at open nor at import."""
    pem = Path(KeyUri.parse(software_uri).require("path")).read_text()
    line = pem.splitlines()[5]
    path = tmp_path / "key.pem"
    for damaged in (pem.replace(line, line[::-1]), pem.replace(line + "\n", ""), pem.replace(line, line + "!")):
        path.write_text(damaged)
        for run in (
            lambda: open_key(f"software:path={path}"),
            lambda damaged=damaged: key_maker(f"software:path={tmp_path / 'new'}").import_rsa(
                damaged.encode(), UnwrapMode.SOFTWARE
            ),
        ):
            with pytest.raises(Error) as caught:
                run()
            assert not any(text[:20] in told_by(caught.value) for text in pem.splitlines()[1:-1])


def test_diagnosis_holds_no_secret(software_ring: KeyRing, profile: JweProfile) -> None:
    """It says what is wrong with a token that opens, and nothing of what is in it."""
    flow = Flow(software_ring, profile)
    information = flow.announce()
    for payload in PAYLOADS:
        assert _MARK not in diagnose(flow.token(information, payload=payload), [software_ring.current], profile)
    assert _MARK not in diagnose(SECRET, [software_ring.current], profile)


def test_reprs_hold_no_secret(software_ring: KeyRing, profile: JweProfile) -> None:
    """Of a parsed token, a content key and a ring."""
    flow = Flow(software_ring, profile)
    parsed = profile.parse(flow.token(flow.announce()))
    handle = software_ring.current.unwrap(parsed.encrypted_key, parsed.oaep, parsed.enc)
    assert repr(handle) == "MemoryContentKey(***)"
    assert _MARK not in f"{parsed!r}{software_ring!r}{software_ring.current!r}"
