# SPDX-License-Identifier: Apache-2.0
"""The profile that a command line asks for; plain ``jwe`` included, which has neither nonce nor password."""

from dataclasses import dataclass, replace

import click

from sealpass.core.algorithms import ENC_BY_JWE_NAME
from sealpass.core.contract import PROFILES, profile_named
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.jwe_profile import AIRLOCK_JWE
from sealpass.core.kms_profile import AIRLOCK_KMS, KmsProfile
from sealpass.core.profile import Profile

PLAIN_JWE = replace(
    AIRLOCK_JWE,
    name="jwe",
    algs=("RSA-OAEP-256", "RSA-OAEP"),
    encs=("A256GCM", *(name for name in ENC_BY_JWE_NAME if name != "A256GCM")),
    required_members=frozenset(("alg", "enc")),
)
"""Only its name and algorithms count: ``sealpass.core.jwe.decrypt`` does the rest."""

PROFILE_NAMES = (*PROFILES, PLAIN_JWE.name)


@dataclass(frozen=True, slots=True)
class AesGcm:
    """What profile ``airlock-kms`` leaves to its users; None where nothing was asked for."""

    key_bits: int | None = None
    aad: str | None = None


def chosen_profile(
    name: str, *, allow_sha1: bool, pointer: str | None = None, nonce: str | None = None, aes_gcm: AesGcm = AesGcm()
) -> Profile:
    """The profile with the options applied; raises UsageError for options that it has no use for, and ConfigError."""
    if name != AIRLOCK_KMS.name and aes_gcm != AesGcm():
        raise click.UsageError(
            f"--kms-key-bits and --kms-aad are for profile {AIRLOCK_KMS.name}, not {name}", click.get_current_context()
        )
    if name == PLAIN_JWE.name:
        if pointer is not None or nonce is not None:
            raise click.UsageError("profile jwe has neither a nonce nor a pointer", click.get_current_context())
        return PLAIN_JWE
    profile = profile_named(name)
    if allow_sha1:
        profile = profile.allowing_sha1()
    if isinstance(profile, KmsProfile):
        if aes_gcm.key_bits is not None:
            profile = profile.with_key_bits(aes_gcm.key_bits)
        if aes_gcm.aad is not None:
            profile = profile.authenticating(aes_gcm.aad)
    return profile if pointer is None else profile.reading(pointer)


def narrowed(profile: Profile, alg: str | None, enc: str | None) -> Profile:
    """The profile with the one alg and the one enc that were asked for; raises UnsupportedAlgorithm."""
    algs = profile.algs if alg is None else (alg,)
    encs = profile.encs if enc is None else (enc,)
    if not set(algs) <= set(profile.algs):
        hint = "opt in with --allow-sha1" if alg == "RSA-OAEP" else None
        raise UnsupportedAlgorithm(f"profile {profile.name} has no {alg}", hint=hint)
    if not set(encs) <= set(profile.encs):
        raise UnsupportedAlgorithm(f"profile {profile.name} has no {enc}", hint=f"it has {', '.join(profile.encs)}")
    return replace(profile, algs=algs, encs=encs)
