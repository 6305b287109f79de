# SPDX-License-Identifier: Apache-2.0
"""``sealpass keys``: make, import, list and publish keys."""

import json

import click

from sealpass.backends.registry import key_maker, open_key
from sealpass.cli.command import Group
from sealpass.cli.input import read_file
from sealpass.cli.options import force_login_option, json_option, key_argument, not_empty
from sealpass.cli.output import say, write_result
from sealpass.cli.table import render
from sealpass.core.algorithms import OAEP_BY_JWE_NAME
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.protocols import AliasPointer, PointedAlias, as_unwrapper
from sealpass.core.uri import KeyUri

RSA_BITS = (2048, 3072, 4096)
AES_BITS = (128, 192, 256)
DEFAULT_RSA_BITS = 2048

mode_option = click.option(
    "--mode",
    type=click.Choice((UnwrapMode.NATIVE.value, UnwrapMode.IN_TOKEN.value)),
    help="Where unwrapped content keys go: into our memory (native), or they stay on the device (in-token)."
    "  [default: native]",
)
self_signed_option = click.option(
    "--self-signed", is_flag=True, help="Store a self-signed certificate too: Java sees no pair without one."
)


@click.group(cls=Group)
def keys() -> None:
    """Make, import, list and publish keys.

    KEY is a URI: pkcs11:token=NAME;object=LABEL?pin-source=file:PATH, awskms:key-id=ID;region=REGION,
    keystore:path=FILE;alias=NAME?store-pass-source=file:PATH or software:path=FILE.
    """


@keys.command(
    examples=(
        "sealpass keys create 'pkcs11:token=prod;object=e2ee-2026?pin-source=file:/run/secrets/pin'",
        "sealpass keys create software:path=key.pem --bits 3072",
        "sealpass keys create software:path=seal.jwk --aes 256",
    ),
)
@key_argument
@mode_option
@click.option("--bits", type=click.Choice(RSA_BITS), help=f"Length of the RSA modulus.  [default: {DEFAULT_RSA_BITS}]")
@self_signed_option
@click.option(
    "--aes", type=click.Choice(AES_BITS), help="Make an AES key of that many bits for sealing, not an RSA pair."
)
@force_login_option
@json_option
def create(
    *,
    uri: str,
    mode: str | None,
    bits: int | None,
    self_signed: bool,
    aes: int | None,
    force_login: bool,
    as_json: bool,
) -> None:
    """Make a key on the device and print the URI that opens it.

    Needs a URI that says where the key goes and that no key answers to yet, and a PIN that may create keys. The
    private half is sensitive and not extractable. A key serves one mode; make one for each.
    """
    if aes is not None and (mode is not None or bits is not None or self_signed):
        raise click.UsageError(
            "--mode, --bits and --self-signed are for RSA pairs, not for --aes", click.get_current_context()
        )
    maker = key_maker(uri, force_login=force_login)
    if aes is not None:
        made = maker.create_aes(aes)
    else:
        made = maker.create_rsa(
            bits or DEFAULT_RSA_BITS, UnwrapMode(mode or UnwrapMode.NATIVE), self_signed=self_signed
        )
    write_result({"uri": str(made)}, str(made), as_json=as_json)


@keys.command(
    "import",
    examples=("sealpass keys import 'pkcs11:token=test;object=old?pin-source=env:PIN' --pem old.pem --mode native",),
)
@key_argument
@click.option(
    "--pem", metavar="FILE", required=True, type=click.Path(), help="Private RSA key, PKCS #8 PEM, unencrypted."
)
@mode_option
@self_signed_option
@force_login_option
@json_option
def import_(*, uri: str, pem: str, mode: str | None, self_signed: bool, force_login: bool, as_json: bool) -> None:
    """Store an existing RSA key and print the URI that opens it.

    Needs the private key in a file and a URI that no key answers to yet. For tests and migrations: what was once in a
    file, no device can protect any more.
    """
    content = read_file(pem, "the file of --pem")
    made = key_maker(uri, force_login=force_login).import_rsa(
        content, UnwrapMode(mode or UnwrapMode.NATIVE), self_signed=self_signed
    )
    write_result({"uri": str(made)}, str(made), as_json=as_json)


@keys.command(
    "list",
    examples=("sealpass keys list 'pkcs11:token=prod?pin-source=file:/run/secrets/pin'",),
)
@key_argument
@force_login_option
@json_option
def list_(*, uri: str, force_login: bool, as_json: bool) -> None:
    """List the keys that a URI selects; each printed URI opens its key.

    Needs the token's PIN. The URI may name a token without an object, or a Region of AWS KMS without a key: then it
    selects all its keys. Keys in AWS KMS come with their aliases; those that cannot be used are counted on standard
    error.
    """
    found = list(key_maker(uri, force_login=force_login).list_keys())
    members = [
        {
            "uri": str(key.uri),
            "kind": key.kind,
            "key_id": key.key_id,
            "modes": [mode.value for mode in key.modes],
            "aliases": list(key.aliases),
        }
        for key in found
    ]
    heads: tuple[str, ...] = ("KIND", "KEY ID", "MODES", "URI")
    rows: list[tuple[str, ...]] = [
        (key.kind, key.key_id or "-", ",".join(key.modes) or "-", str(key.uri)) for key in found
    ]
    if any(key.aliases for key in found):  # most devices have none
        heads = (*heads[:3], "ALIASES", *heads[3:])
        rows = [(*row[:3], ",".join(key.aliases) or "-", *row[3:]) for row, key in zip(rows, found, strict=True)]
    write_result(members, render(rows, heads), as_json=as_json)


@keys.command(
    examples=(
        "sealpass keys alias 'awskms:key-id=alias/e2ee;region=eu-central-1' 'awskms:key-id=KEY-ID;region=eu-central-1'",
    ),
)
@key_argument
@click.argument("target", metavar="TARGET", callback=not_empty)
@click.option("--create", is_flag=True, help="Make the alias if it is not there yet.")
@json_option
def alias(*, uri: str, target: str, create: bool, as_json: bool) -> None:
    """Let an alias name another key: how a rotation takes effect.

    Needs the URI of an alias (AWS KMS) and the URI of the key that it shall name. Prints the alias's URI, and on
    standard error the one of the key that it named before. Servers whose key ring has the alias follow it by
    themselves, and open with the old key what was made for it; put that URI into their `previous` before the next
    restart.
    """
    maker = key_maker(uri)
    if not isinstance(maker, AliasPointer):
        raise UnsupportedAlgorithm(
            "keys of this kind have no aliases", hint="rotate by a new current key in the ring's configuration"
        )
    pointed = maker.point_alias(KeyUri.parse(target), create=create)
    members = {
        "uri": str(pointed.uri),
        "target": str(pointed.target),
        "previous": None if pointed.previous is None else str(pointed.previous),
    }
    say(_told(pointed), as_json=as_json)
    write_result(members, str(pointed.uri), as_json=as_json)


def _told(pointed: PointedAlias) -> str:
    """What happened to an alias, and the next step."""
    if pointed.previous is None:
        return f"made {pointed.name}, which names {pointed.target}"
    if pointed.previous == pointed.target:
        return f"{pointed.name} names {pointed.target} already"
    return (
        f"moved {pointed.name} from {pointed.previous} to {pointed.target}; put {pointed.previous} into `previous` of "
        "every ring that has the alias"
    )


@keys.command(examples=('sealpass keys jwk "$KEY" --alg RSA-OAEP-256 > server.jwk',))
@key_argument
@click.option(
    "--alg", type=click.Choice(tuple(OAEP_BY_JWE_NAME)), help="Pin the JWK to one algorithm, which the key must know."
)
@force_login_option
@json_option
def jwk(*, uri: str, alg: str | None, force_login: bool, as_json: bool) -> None:
    """Print the public half of a key as a JWK (RFC 7517).

    Needs a URI that names one RSA key, and its PIN. The kid is the thumbprint (RFC 7638). Prints JSON, with --json or
    without.
    """
    with open_key(uri, force_login=force_login) as opened:
        key = as_unwrapper(opened)
        if alg is not None and OAEP_BY_JWE_NAME[alg] not in key.capabilities.unwrap:
            raise UnsupportedAlgorithm(f"this key does not unwrap {alg}")
        members = key.public_jwk.to_dict(alg)
    write_result(members, json.dumps(members, indent=2), as_json=as_json)
