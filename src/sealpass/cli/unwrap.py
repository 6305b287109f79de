# SPDX-License-Identifier: Apache-2.0
"""``sealpass unwrap``: one token, one password, offline."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import click

from sealpass.backends.registry import open_key
from sealpass.cli.command import Command
from sealpass.cli.failures import FAILED
from sealpass.cli.input import read_token
from sealpass.cli.options import (
    aes_gcm_options,
    alg_option,
    allow_sha1_option,
    force_login_option,
    json_option,
    key_argument,
    nonce_option,
    pointer_option,
    previous_option,
    profile_option,
)
from sealpass.cli.output import warn, write, write_result
from sealpass.cli.profiles import PLAIN_JWE, AesGcm, chosen_profile, narrowed
from sealpass.core import base64url, jwe
from sealpass.core.contract import announced_algorithms, unwrap_password
from sealpass.core.diagnose import NONCE_UNCHECKED, NOTHING_WRONG
from sealpass.core.diagnose import diagnose as find_cause
from sealpass.core.errors import RejectReason, TokenRejected
from sealpass.core.kms_profile import KmsProfile
from sealpass.core.nonces import MemoryNonceStore, NonceRecord, Purpose
from sealpass.core.profile import Profile, Submission
from sealpass.core.protocols import Unwrapper, as_unwrapper

_SESSION = "offline"
"""There is no login flow here; the nonce record wants a name for one."""


@dataclass(frozen=True, slots=True)
class _OpenKeys:
    """The keys of the command line as the contract wants them; whoever opened them closes them."""

    keys: tuple[Unwrapper, ...]

    @property
    def current(self) -> Unwrapper:
        return self.keys[0]

    def find(self, kid: str) -> Unwrapper | None:
        return next((key for key in self.keys if key.key_id == kid), None)

    def named_by(self, token: Submission) -> Unwrapper:
        """The key that the token names; the current one where it names none, or none of these."""
        return self.find(str(token.kid)) or self.current


@click.command(
    cls=Command,
    examples=(
        'sealpass unwrap "$KEY" --nonce "$NONCE" < token.txt',
        'sealpass unwrap "$KEY" --previous "$OLD_KEY" --diagnose < token.txt',
    ),
)
@key_argument
@profile_option
@nonce_option
@previous_option
@allow_sha1_option
@pointer_option
@alg_option
@aes_gcm_options
@click.option("--diagnose", is_flag=True, help="Say why the token does not open, in place of opening it.")
@force_login_option
@json_option
def unwrap(  # noqa: PLR0913 - click passes every option by name
    *,
    uri: str,
    profile: str,
    nonce: str | None,
    previous: tuple[str, ...],
    allow_sha1: bool,
    pointer: str | None,
    alg: str | None,
    aes_gcm: AesGcm,
    diagnose: bool,
    force_login: bool,
    as_json: bool,
) -> None:
    """Take the password out of a token, offline.

    Needs the URI of the private key, its PIN, and the token on standard input. Prints the password and a newline; with
    profile jwe it prints the payload byte for byte (--json: base64url).

    For trying a device and for looking into a single token. It is no service: it remembers no nonce, so it cannot
    tell a replay, and --diagnose answers what no sender may learn. Keep both away from whatever senders can reach.
    """
    rules = chosen_profile(profile, allow_sha1=allow_sha1, pointer=pointer, nonce=nonce, aes_gcm=aes_gcm)
    if alg is not None:
        rules = narrowed(rules, alg, None)
    if nonce is None and isinstance(rules, KmsProfile) and not diagnose:
        raise click.UsageError(
            f"profile {rules.name} needs --nonce: its messages do not say which nonce they answer",
            click.get_current_context(),
        )
    plain = rules.name == PLAIN_JWE.name
    token = read_token()
    with ExitStack() as stack:
        ring = _OpenKeys(
            tuple(as_unwrapper(stack.enter_context(open_key(one, force_login=force_login))) for one in (uri, *previous))
        )
        if diagnose:
            _diagnose(token, ring, rules, nonce, as_json=as_json)
        elif plain:
            payload = jwe.decrypt(token, ring.named_by(jwe.parse(token, jwe.plain_members)))
            if as_json:
                write_result({"payload": base64url.encode(payload).decode("ascii")}, "", as_json=True)
            else:
                write(payload)
        else:
            if nonce is None:
                warn("no --nonce: offline a replay cannot be told from a fresh token", as_json=as_json)
            password = _open(token, ring, rules, nonce)
            write_result({"password": password}, password, as_json=as_json)


def _open(token: bytes, ring: _OpenKeys, rules: Profile, nonce: str | None) -> str:
    """The password, by the same path as a server's; the nonce record is written from the token, as far as it says."""
    submission = rules.parse(token)
    key = ring.named_by(submission)
    if isinstance(submission, jwe.CompactJwe):
        header = submission.header
        if nonce is not None and header["nonce"] != nonce:
            raise TokenRejected(RejectReason.NONCE, "the nonce is not the one of --nonce")
        announced, alg, enc = header["nonce"], header["alg"], header["enc"]
    else:
        assert nonce is not None  # noqa: S101 - a usage error before the key was opened
        announced, (alg, enc) = nonce, announced_algorithms(rules, key)
    nonces = MemoryNonceStore()
    nonces.put(
        NonceRecord(
            nonce=announced,
            session=_SESSION,
            purpose=Purpose.CHECK,
            profile=rules.name,
            alg=alg,
            encs=(enc,),
            kid=key.key_id,
        )
    )
    return unwrap_password(token, ring, rules, nonces, _SESSION, Purpose.CHECK)


def _diagnose(token: bytes, ring: _OpenKeys, rules: Profile, nonce: str | None, *, as_json: bool) -> None:
    """Print one sentence; exit status 1 where something is wrong."""
    profile = None if rules.name == PLAIN_JWE.name else rules
    keys = _expected_first(token, ring, rules)
    sentence = find_cause(token, keys, profile, nonce=nonce)
    fine = sentence in (NOTHING_WRONG, NONCE_UNCHECKED)
    if fine and keys[0] is not ring.current:
        sentence += f"; the key that opened it is {keys[0].key_id}, of --previous"
    write_result({"opens": fine, "diagnosis": sentence}, sentence, as_json=as_json)
    if not fine:
        click.get_current_context().exit(FAILED)


def _expected_first(token: bytes, ring: _OpenKeys, rules: Profile) -> Sequence[Unwrapper]:
    """The keys, the one that unwrap would take in front."""
    try:
        parsed = jwe.parse(token, jwe.plain_members) if rules.name == PLAIN_JWE.name else rules.parse(token)
    except TokenRejected:
        return ring.keys
    expected = ring.named_by(parsed)
    return (expected, *(key for key in ring.keys if key is not expected))
