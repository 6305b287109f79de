# SPDX-License-Identifier: Apache-2.0
"""``sealpass encrypt``: what the browser does, for trying a device and for scripts."""

import os
import re
from dataclasses import replace

import click
from click.core import ParameterSource

from sealpass.backends.registry import open_key
from sealpass.cli.command import Command
from sealpass.cli.input import read_file, read_password, read_payload
from sealpass.cli.options import (
    aes_gcm_options,
    alg_option,
    allow_sha1_option,
    force_login_option,
    json_option,
    nonce_option,
    not_empty,
    pointer_option,
    profile_option,
)
from sealpass.cli.output import warn, write_result
from sealpass.cli.profiles import PLAIN_JWE, AesGcm, chosen_profile, narrowed
from sealpass.core import strict_json
from sealpass.core.algorithms import ENC_BY_JWE_NAME
from sealpass.core.contract import E2eeInformation, announced_algorithms
from sealpass.core.encrypt import encrypt as encrypt_payload
from sealpass.core.encrypt import encrypt_password
from sealpass.core.errors import ConfigError
from sealpass.core.jwe import MAX_TOKEN_BYTES
from sealpass.core.jwk import PublicJwk
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.profile import Profile
from sealpass.core.protocols import as_unwrapper
from sealpass.core.uri import KeyUri

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@click.command(
    cls=Command,
    examples=(
        'read -rs PASSWORD; printf \'%s\\n\' "$PASSWORD" | sealpass encrypt server.jwk --nonce "$NONCE"',
        "sealpass encrypt --info e2ee.json < password.txt",
        "sealpass encrypt software:path=key.pem < password.txt | sealpass unwrap software:path=key.pem",
    ),
)
@click.argument("key", metavar="[URI|JWK-FILE]", required=False, type=click.Path(), callback=not_empty)
@profile_option
@nonce_option
@click.option(
    "--info",
    metavar="FILE",
    type=click.Path(),
    help="What the server announced (e2eEncryptionInformation): key, nonce and algorithms in one JSON file.",
)
@pointer_option
@alg_option
@click.option("--enc", type=click.Choice(tuple(ENC_BY_JWE_NAME)), help="Default: the first that profile and key have.")
@aes_gcm_options
@allow_sha1_option
@force_login_option
@json_option
def encrypt(  # noqa: PLR0913 - click passes every option by name
    *,
    key: str | None,
    profile: str,
    nonce: str | None,
    info: str | None,
    pointer: str | None,
    alg: str | None,
    enc: str | None,
    aes_gcm: AesGcm,
    allow_sha1: bool,
    force_login: bool,
    as_json: bool,
) -> None:
    """Encrypt a password to a key, as the browser does.

    Needs a key, and the password on standard input: one trailing newline is dropped, and a terminal is asked without
    echo. Prints the token.

    The key is a file with a public JWK, or, to try a device, the URI of the private key. A JWK file needs --nonce;
    with a URI a missing nonce is made up, and no server will take that token. --info replaces key, nonce and
    algorithms; a key given beside it is pinned: the announced key must be that one.

    Profile jwe encrypts standard input byte for byte, newline included.
    """
    if info is not None:
        if nonce is not None or alg is not None or enc is not None:
            raise _wrong_usage("--info holds nonce, alg and enc already")
        information = _announced(info)
        rules = chosen_profile(information.profile, allow_sha1=allow_sha1, pointer=pointer, nonce=None, aes_gcm=aes_gcm)
        if profile != rules.name and _given("profile"):
            raise ConfigError(f"the announcement is for profile {rules.name}, not {profile}")
        if isinstance(rules, KmsProfile):  # the size of the AES key is a setting, which nobody announces
            information = replace(information, enc=rules.encs[0])
        rules = narrowed(rules, information.alg, information.enc)
        if key is not None:
            _check_pinned(key, information, rules, force_login=force_login)
    elif key is not None:
        rules = chosen_profile(profile, allow_sha1=allow_sha1, pointer=pointer, nonce=nonce, aes_gcm=aes_gcm)
        rules = narrowed(rules, alg, enc)
        public_key, alg, enc = _recipient(key, rules, force_login=force_login)
        if nonce is None and rules.name != PLAIN_JWE.name:
            nonce = _made_up_nonce(key, rules, as_json=as_json)
        information = E2eeInformation(rules.name, alg, enc, nonce or "", public_key)
    else:
        raise _wrong_usage("name a key, or an announcement with --info")
    token = _encrypt(information, rules)
    result = {
        "token": token,
        "profile": information.profile,
        "alg": information.alg,
        "enc": information.enc,
        "kid": information.public_key.kid,
        "nonce": information.nonce or None,
    }
    write_result(result, token, as_json=as_json)


def _wrong_usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context())


def _given(option: str) -> bool:
    """Whether the option stands on the command line; an environment variable is a default, not a wish."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _announced(path: str) -> E2eeInformation:
    return E2eeInformation.from_json(read_file(path, "the file of --info"))


def _check_pinned(key: str, information: E2eeInformation, rules: Profile, *, force_login: bool) -> None:
    """Refuse an announced key that somebody exchanged on the way; the server could not notice."""
    pinned, _, _ = _recipient(key, rules, force_login=force_login)
    if pinned.kid != information.public_key.kid:
        raise ConfigError(
            f"the announced key is {information.public_key.kid}, the pinned one is {pinned.kid}",
            hint="after a rotation pin the new key; otherwise somebody exchanged the key on the way",
        )


def _is_uri(key: str) -> bool:
    """Whether the argument begins as a URI does; ``./a:b`` names a file in any case."""
    return _SCHEME.match(key) is not None


def _recipient(key: str, profile: Profile, *, force_login: bool) -> tuple[PublicJwk, str, str]:
    """The public key, and the first alg and enc of the profile that it can do."""
    if _is_uri(key):
        with open_key(key, force_login=force_login) as opened:
            unwrapper = as_unwrapper(opened)
            return (unwrapper.public_jwk, *announced_algorithms(profile, unwrapper))
    hint = "a key is a URI (software:path=key.pem) or a file with a public JWK"
    text = read_file(key, "the JWK file", hint="are there quotes around it?" if key[0] in "'\"" else hint)
    if text.startswith(b"-----BEGIN"):
        uri = KeyUri("software", {"path": os.fsencode(key)})
        raise ConfigError("the key file is PEM, not a JWK", hint=f"a private key in a PEM file is {uri}")
    public_key = PublicJwk.from_json(text)
    # A JWK that names its algorithm is for that one only (RFC 7517 section 4.4).
    alg = strict_json.loads(text).get("alg", profile.algs[0])
    return public_key, narrowed(profile, alg, None).algs[0], profile.encs[0]


def _made_up_nonce(key: str, profile: Profile, *, as_json: bool) -> str:
    if not _is_uri(key):
        raise _wrong_usage(f"profile {profile.name} needs the nonce that the server announced: --nonce or --info")
    warn("no --nonce: made one up; a server takes only tokens with a nonce that it announced", as_json=as_json)
    return profile.new_nonce()


def _encrypt(information: E2eeInformation, rules: Profile) -> str:
    if rules.name != PLAIN_JWE.name:
        return encrypt_password(read_password(), information, rules)
    key = information.public_key
    token = encrypt_payload(read_payload(), key, information.alg, information.enc, {"kid": key.kid})
    if len(token) > MAX_TOKEN_BYTES:
        raise ConfigError(f"the payload is too long: its token has more than {MAX_TOKEN_BYTES} bytes")
    return token
