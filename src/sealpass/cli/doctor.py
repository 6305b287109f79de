# SPDX-License-Identifier: Apache-2.0
"""``sealpass doctor``: what one key can do, found by trying."""

from typing import Any

import click

from sealpass.backends.registry import open_key
from sealpass.cli.command import Command
from sealpass.cli.options import force_login_option, json_option, key_argument
from sealpass.cli.output import write_result
from sealpass.cli.profiles import PLAIN_JWE
from sealpass.cli.table import render
from sealpass.core.algorithms import CONTENT_ENCRYPTIONS, OAEP_VARIANTS, RsaOaep
from sealpass.core.contract import PROFILES, announced_algorithms
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.profile import Profile
from sealpass.core.protocols import DescribesItself, Key, Unwrapper

YES = "yes"
NO = "no"
WITH_SHA1 = "with --allow-sha1"


@click.command(
    cls=Command,
    examples=(
        "sealpass doctor software:path=key.pem",
        "sealpass doctor 'pkcs11:token=prod;object=e2ee-2026?pin-source=file:/run/secrets/pin' --json",
        "sealpass doctor 'awskms:key-id=alias/e2ee;region=eu-central-1'",
        "sealpass doctor 'keystore:path=keys.p12;alias=e2ee?store-pass-source=file:pw'",
    ),
)
@key_argument
@force_login_option
@json_option
def doctor(*, uri: str, force_login: bool, as_json: bool) -> None:
    """Open a key and say what it can do.

    Needs a URI that names one key, and its PIN. Logs in, tries every RSA-OAEP variant once with a ciphertext made for
    the key, and prints what worked, the profiles that the key can serve, and what the device tells about itself; of a
    symmetric key, with what it seals. Changes nothing on the device.
    """
    with open_key(uri, force_login=force_login) as key:
        found = examine(key)
    write_result(found, render(_rows(found)), as_json=as_json)


def examine(key: Key) -> dict[str, Any]:
    """Everything there is to say about an open key, as JSON values."""
    can = key.capabilities
    unwrapper = key if isinstance(key, Unwrapper) else None
    return {
        "uri": str(key.uri),
        "key_id": key.key_id,
        "bits": unwrapper.public_jwk.bits
        if unwrapper
        else max((can_seal.key_bits for can_seal in can.seal), default=None),
        "mode": can.mode.value if can.mode else None,
        "unwrap": [_variant(oaep, works=oaep in can.unwrap) for oaep in OAEP_VARIANTS],
        "content": [enc.name for enc in CONTENT_ENCRYPTIONS if enc in can.content],
        "seal": sorted(algorithm.name for algorithm in can.seal),
        "profiles": {profile.name: _serves(profile, unwrapper) for profile in (*PROFILES.values(), PLAIN_JWE)},
        "device": dict(key.describe()) if isinstance(key, DescribesItself) else {},
    }


def _variant(oaep: RsaOaep, *, works: bool) -> dict[str, Any]:
    return {"hash": str(oaep.hash), "mgf_hash": str(oaep.mgf_hash), "jwe_alg": oaep.jwe_name, "works": works}


def _serves(profile: Profile, key: Unwrapper | None) -> str:
    if key is None:
        return NO
    for variant, answer in ((profile, YES), (profile.allowing_sha1(), WITH_SHA1)):
        try:
            announced_algorithms(variant, key)
        except UnsupportedAlgorithm:
            continue
        return answer
    return NO


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What applies to the key: one without a mode is symmetric, and a "no" to each way of unwrapping says nothing."""
    rows = [
        ("key", found["uri"]),
        ("key id", found["key_id"]),
        ("bits", str(found["bits"] or "-")),
    ]
    if found["mode"] is not None:
        rows += _unwrapping(found)
    rows.append(("sealing", ", ".join(found["seal"]) or NO))
    if found["mode"] is not None:
        rows.extend((f"profile {name}", answer) for name, answer in found["profiles"].items())
    rows.extend(found["device"].items())
    return rows


def _unwrapping(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("unwrap mode", found["mode"])]
    for variant in found["unwrap"]:
        name = f"RSA-OAEP {variant['hash']}, MGF1 {variant['mgf_hash']}"
        name += f" ({variant['jwe_alg']})" if variant["jwe_alg"] else ""
        rows.append((name, YES if variant["works"] else NO))
    rows.append(("content encryption", ", ".join(found["content"]) or NO))
    return rows
