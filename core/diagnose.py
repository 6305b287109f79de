# SPDX-License-Identifier: Apache-2.0
"""Why a token does not open: for an operator, offline, with the key at hand. Never on a path that senders reach."""

import itertools
from collections.abc import Iterable, Iterator

from sealpass.core import jwe
from sealpass.core.algorithms import A128GCM, A256GCM, ENC_BY_JWE_NAME, OAEP_VARIANTS, RSA_OAEP_256_MGF1_SHA1
from sealpass.core.errors import ConfigError, TokenRejected
from sealpass.core.kms_profile import KmsProfile, KmsSubmission, NonceForm
from sealpass.core.nonces import NonceRecord, Purpose
from sealpass.core.profile import Encrypted, Profile, Submission
from sealpass.core.protocols import Unwrapper

NOTHING_WRONG = "nothing is wrong: the token opens"
NONCE_UNCHECKED = "the token opens; its nonce was not checked"


def _plaintext(parsed: Encrypted, key: Unwrapper) -> tuple[bytes, str] | None:
    """Try every OAEP variant that the key can do; the payload and what the variant tells, or None."""
    for oaep in OAEP_VARIANTS:
        if oaep not in key.capabilities.unwrap:
            continue
        with key.unwrap(parsed.encrypted_key, oaep, parsed.enc) as content_key:
            plaintext = content_key.decrypt(parsed.iv, parsed.ciphertext, parsed.tag, parsed.aad)
        if plaintext is None:
            continue
        if oaep == parsed.oaep:
            return plaintext, ""
        if oaep == RSA_OAEP_256_MGF1_SHA1:
            return plaintext, (
                "the client used OAEP with SHA-256 but MGF1 with SHA-1, the default of Java's"
                " 'OAEPWithSHA-256AndMGF1Padding'; it must pass an OAEPParameterSpec with MGF1ParameterSpec.SHA256"
            )
        return plaintext, f"the client used {oaep}, not the announced {parsed.oaep}"
    return None


def diagnose(
    token: str | bytes, keys: Iterable[Unwrapper], profile: Profile | None, *, nonce: str | None = None
) -> str:
    """One sentence that says why, or NOTHING_WRONG, or NONCE_UNCHECKED. Holds no secret.

    ``profile`` None means plain ``jwe``; ``nonce`` is the one that should be in the token, where the operator knows.
    Only the first of ``keys`` can lead to NOTHING_WRONG or NONCE_UNCHECKED: it is the one that a server would take.
    Raises operator errors.
    """
    try:
        submission = profile.parse(token) if profile else jwe.parse(token, jwe.plain_members)
    except TokenRejected as rejected:
        return str(rejected)
    keys = list(keys)
    fitting = [key for key in keys if len(submission.encrypted_key) == key.public_jwk.modulus_bytes]
    if not fitting:
        return "the encrypted key has not the length of the modulus: made for a key of another size"
    if isinstance(submission, jwe.CompactJwe):
        readings: list[tuple[Encrypted, str]] = [(submission, "")]
    elif nonce is None:
        return "the message does not say which nonce it answers, and cannot be opened without: give the nonce"
    else:
        assert isinstance(profile, KmsProfile)  # noqa: S101 - there are two kinds
        readings = list(_kms_readings(token, profile, nonce))
    for message, setting in readings:
        for position, key in enumerate(fitting):
            found = _plaintext(message, key)
            if found is None:
                continue
            plaintext, variant = found
            if variant or setting:
                return variant or setting
            if position or key is not keys[0]:
                return f"made for another key of those given: {key.key_id}"
            return _content(submission, plaintext, profile, nonce, key)
    return _unopened(submission, readings[0][0], keys, fitting)


def _kms_readings(token: str | bytes, profile: KmsProfile, nonce: str) -> Iterator[tuple[Encrypted, str]]:
    """The message as it should be, then under the settings that Airlock does not document; each with what it means."""
    wanted = (ENC_BY_JWE_NAME[profile.encs[0]], profile.nonce_form)
    # A stable sort puts the wanted settings first.
    for enc, form in sorted(itertools.product((A128GCM, A256GCM), NonceForm), key=lambda setting: setting != wanted):
        record = NonceRecord(nonce, "", Purpose.CHECK, profile.name, profile.algs[0], (enc.name,), "")
        try:
            message = profile.authenticating(form).parse(token).answering(record)
        except ConfigError:
            if form is profile.nonce_form:
                raise
            continue  # the characters of any nonce can be authenticated, but not any nonce encodes bytes
        if (enc, form) == wanted:
            yield message, ""
        else:
            yield message, f"the client used {enc.name} and authenticated the nonce's {form}, which is not what is set"


def _unopened(submission: Submission, message: Encrypted, keys: list[Unwrapper], fitting: list[Unwrapper]) -> str:
    if not any(message.oaep in key.capabilities.unwrap for key in fitting):
        return f"the token is for {message.oaep}, which none of the given keys can do"
    if isinstance(submission.kid, str) and submission.kid not in {key.key_id for key in keys}:
        return "the header's kid names none of the given keys: made for another key"
    if isinstance(submission, KmsSubmission):
        return "made for another key or another nonce, or changed on the way (key, iv or password)"
    return "made for another key, or changed on the way (encrypted key, header, IV, ciphertext or tag)"


def _content(
    submission: Submission, plaintext: bytes, profile: Profile | None, nonce: str | None, key: Unwrapper
) -> str:
    if profile is None:
        return NOTHING_WRONG
    if profile.read_password(plaintext) is None:
        return f"the token opens, but its payload is not what profile {profile.name} wants"
    if submission.kid not in (None, key.key_id):
        return "the token opens, but its kid is not the thumbprint of the key"
    if nonce is None:
        return NONCE_UNCHECKED
    if submission.nonce not in (None, nonce):
        return "the token opens, but its nonce is another one: a replay, or an answer to another announcement"
    return NOTHING_WRONG
