# SPDX-License-Identifier: Apache-2.0
"""The profile that a command line asks for; plain ``jwe`` included, which has neither nonce nor password."""

from dataclasses import replace

import click

from sealpass.core.algorithms import ENC_BY_JWE_NAME
from sealpass.core.contract import AIRLOCK_JWE, PROFILES, Profile, profile_named

PLAIN_JWE = replace(
    AIRLOCK_JWE,
    name="jwe",
    algs=("RSA-OAEP-256", "RSA-OAEP"),
    encs=("A256GCM", *(name for name in ENC_BY_JWE_NAME if name != "A256GCM")),
    required_members=frozenset(("alg", "enc")),
)
"""Only its name and algorithms count: ``sealpass.core.jwe.decrypt`` does the rest."""

PROFILE_NAMES = (*PROFILES, PLAIN_JWE.name)


def chosen_profile(name: str, *, allow_sha1: bool, pointer: str | None, nonce: str | None) -> Profile:
    """The profile with the options applied; raises UsageError for options that it has no use for, and ConfigError."""
    if name == PLAIN_JWE.name:
        if pointer is not None or nonce is not None:
            raise click.UsageError("profile jwe has neither a nonce nor a pointer", click.get_current_context())
        return PLAIN_JWE
    profile = profile_named(name)
    if allow_sha1:
        profile = profile.allowing_sha1()
    return profile if pointer is None else profile.reading(pointer)
