# SPDX-License-Identifier: Apache-2.0
"""Why a token does not open: for an operator, offline, with the key at hand. Never on a path that senders reach."""

from collections.abc import Iterable

from sealpass.core import jwe
from sealpass.core.algorithms import OAEP_VARIANTS, RSA_OAEP_256_MGF1_SHA1
from sealpass.core.contract import Profile
from sealpass.core.errors import TokenRejected
from sealpass.core.protocols import Unwrapper

NOTHING_WRONG = "nothing is wrong: the token opens"
NONCE_UNCHECKED = "the token opens; its nonce was not checked"


def _plaintext(parsed: jwe.CompactJwe, key: Unwrapper) -> tuple[bytes, str] | None:
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
        return plaintext, f"the client used {oaep}, its header announces {parsed.oaep}"
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
        parsed = profile.parse(token) if profile else jwe.parse(token, jwe.plain_members)
    except TokenRejected as rejected:
        return str(rejected)
    keys = list(keys)
    fitting = [key for key in keys if len(parsed.encrypted_key) == key.public_jwk.modulus_bytes]
    if not fitting:
        return "the encrypted key has not the length of the modulus: made for a key of another size"
    for position, key in enumerate(fitting):
        found = _plaintext(parsed, key)
        if found is None:
            continue
        plaintext, variant = found
        if variant:
            return variant
        if position or key is not keys[0]:
            return f"made for another key of those given: {key.key_id}"
        return _content(parsed, plaintext, profile, nonce, key)
    return _unopened(parsed, keys, fitting)


def _unopened(parsed: jwe.CompactJwe, keys: list[Unwrapper], fitting: list[Unwrapper]) -> str:
    if not any(parsed.oaep in key.capabilities.unwrap for key in fitting):
        return f"the header announces {parsed.oaep}, which none of the given keys can do"
    kid = parsed.header.get("kid")
    if isinstance(kid, str) and kid not in {key.key_id for key in keys}:
        return "the header's kid names none of the given keys: made for another key"
    return "made for another key, or changed on the way (encrypted key, header, IV, ciphertext or tag)"


def _content(
    parsed: jwe.CompactJwe, plaintext: bytes, profile: Profile | None, nonce: str | None, key: Unwrapper
) -> str:
    if profile is None:
        return NOTHING_WRONG
    if profile.read_password(plaintext) is None:
        return f"the token opens, but its payload is not what profile {profile.name} wants"
    if parsed.header.get("kid", key.key_id) != key.key_id:
        return "the token opens, but its kid is not the thumbprint of the key"
    if nonce is None:
        return NONCE_UNCHECKED
    if parsed.header["nonce"] != nonce:
        return "the token opens, but its nonce is another one: a replay, or an answer to another announcement"
    return NOTHING_WRONG
