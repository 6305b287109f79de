# SPDX-License-Identifier: Apache-2.0
"""What a key says it can do, tried: what is declared works, what is not is refused before any I/O."""

import os
from typing import Any

from sealpass.bench.qualification import crafting
from sealpass.bench.qualification.checks import Check
from sealpass.bench.qualification.trial import Status
from sealpass.core import base64url
from sealpass.core.algorithms import A256GCM, CONTENT_ENCRYPTIONS, OAEP_VARIANTS, ContentEncryption, RsaOaep
from sealpass.core.errors import Error, UnsupportedAlgorithm
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.protocols import Unwrapper

_HEADER = b'{"alg":"tried","enc":"tried"}'


def try_everything(key: Unwrapper) -> tuple[dict[str, Any], Check]:
    """Every OAEP variant and every content encryption, declared and tried; and whether both agree."""
    content = sorted(key.capabilities.content, key=str)
    sample = A256GCM if A256GCM in content or not content else content[0]
    oaep_rows = [
        _row(str(oaep), oaep.jwe_name, declared=oaep in key.capabilities.unwrap, tried=_try(key, oaep, sample))
        for oaep in OAEP_VARIANTS
    ]
    known = next((oaep for oaep in OAEP_VARIANTS if oaep in key.capabilities.unwrap), None)
    content_rows = [
        _row(
            enc.name,
            enc.name,
            declared=enc in key.capabilities.content,
            tried="not tried" if known is None else _try(key, known, enc),
        )
        for enc in CONTENT_ENCRYPTIONS
    ]
    liars = [row["name"] for row in oaep_rows + content_rows if not row["agrees"]]
    check = Check(
        "D1",
        "what the key declares works, and the rest is refused",
        "RFC 7518 §4.3, §5.1",
        Status.FAIL if liars else Status.PASS,
        f"declared and tried differ: {', '.join(liars)}" if liars else f"{len(oaep_rows) + len(content_rows)} tried",
    )
    return {"oaep": oaep_rows, "content": content_rows}, check


def _row(name: str, jwe_name: str | None, *, declared: bool, tried: str) -> dict[str, Any]:
    right = {"works"} if declared else {"refused", "not tried"}
    return {"name": name, "jwe_name": jwe_name, "declared": declared, "tried": tried, "agrees": tried in right}


def _try(key: Unwrapper, oaep: RsaOaep, enc: ContentEncryption) -> str:
    """``works``, ``refused``, ``does not open``, or the code of an error."""
    jwk = key.public_jwk
    if oaep.max_plaintext(jwk.modulus_bytes) < enc.cek_bytes:
        return "not tried"  # no such ciphertext exists under a modulus of this size
    cek = crafting.new_cek(enc)
    plaintext = os.urandom(16)
    make = crafting.seal if enc.is_gcm else crafting.seal_cbc
    parts = make(_HEADER, oaep_encrypt(jwk.public_key(), cek, oaep), cek, plaintext)
    try:
        with key.unwrap(parts.encrypted_key, oaep, enc) as content_key:
            opened = content_key.decrypt(parts.iv, parts.ciphertext, parts.tag, base64url.encode(_HEADER))
    except UnsupportedAlgorithm:
        return "refused"
    except Error as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - whatever a device raises is the observation
        return f"exception {type(error).__name__}"
    return "works" if opened == plaintext else "does not open"
