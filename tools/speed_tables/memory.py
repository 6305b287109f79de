# SPDX-License-Identifier: Apache-2.0
"""Keys in the memory of this process, from a PEM file and from Java key stores; beside libraries that do the same."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from sealpass import KeyRing, KeyUri
from sealpass.backends.registry import key_maker, open_key
from sealpass.bench.interleaved import Operation, measure
from sealpass.core.algorithms import OAEP_BY_JWE_NAME
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.oaep import oaep_padding
from sealpass.core.pem import load_rsa_private_key
from sealpass.core.protocols import Unwrapper, as_unwrapper
from tools.speed_tables.workload import STATE, Workload, decrypt_with, table

STORE_PASSWORD = "open-sesame"  # noqa: S105 - of a store that is made for measuring


def software_uri() -> KeyUri:
    """An RSA-2048 key in a file, made once."""
    uri = KeyUri("software", {"path": os.fsencode(STATE / "key.pem")})
    if not (STATE / "key.pem").exists():
        key_maker(uri).create_rsa(2048, UnwrapMode.SOFTWARE)
    return uri


def tokens_in_software(rounds: int, block: int) -> Iterator[str]:
    """The table of the software key, beside the libraries that do the same."""
    from joserfc import jwe as joserfc_jwe
    from joserfc.jwk import RSAKey
    from jwcrypto.jwe import JWE
    from jwcrypto.jwk import JWK

    uri = software_uri()
    pem = (STATE / "key.pem").read_bytes()
    private, jw, jose = load_rsa_private_key(pem), JWK.from_pem(pem), RSAKey.import_key(pem)
    # Not strict about headers, because it does not know the contract's nonce: less work for it, not more.
    registry = joserfc_jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    with open_key(uri) as opened, KeyRing(uri) as ring:
        key: Unwrapper = as_unwrapper(opened)
        work = Workload(ring, 400)
        padding = oaep_padding(OAEP_BY_JWE_NAME["RSA-OAEP-256"])
        keys = [parsed.encrypted_key for parsed in work.parsed]

        def with_jwcrypto(token: str) -> bytes:
            parsed = JWE(algs=["RSA-OAEP-256", "A256GCM"])
            parsed.deserialize(token, key=jw)
            return bytes(parsed.payload)

        def with_joserfc(token: str) -> bytes:
            plaintext: Any = joserfc_jwe.decrypt_compact(token, jose, registry=registry).plaintext
            return bytes(plaintext)

        cases: dict[str, Operation] = {
            "cryptography, bare RSA-OAEP-256 decrypt": lambda number: private.decrypt(
                keys[number % len(keys)], padding
            ),
            "sealpass, token to password": work.whole,
            "sealpass, jwe.decrypt": work.payload(partial(decrypt_with, key)),
            "joserfc": work.payload(with_joserfc),
            "jwcrypto": work.payload(with_jwcrypto),
        }
        yield table("Software key, RSA-OAEP-256", measure(cases, rounds=rounds, block=block), next(iter(cases)))


def store_uri(path: Path, alias: str, key_id: str | None = None) -> str:
    """The URI of an entry; a secret key has the id that it is given."""
    os.environ["BENCH_STORE_PASSWORD"] = STORE_PASSWORD
    named = f"path={path};alias={alias}" + (f";key-id={key_id}" if key_id else "")
    return f"keystore:{named}?store-pass-source=env:BENCH_STORE_PASSWORD"


def keytool(*arguments: str) -> None:
    """Run it on a store that is made for measuring."""
    command = ["keytool", *arguments, "-storepass", STORE_PASSWORD]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - made-up password, our own arguments


def keys_in_stores(rounds: int, block: int) -> Iterator[str]:
    """The same RSA key from a PEM file and from a key store; and what opening a JCEKS costs."""
    uri = software_uri()
    private = load_rsa_private_key((STATE / "key.pem").read_bytes())
    store = STATE / "key.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"bench", private, None, None, serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
        )
    )
    with ExitStack() as stack:
        key = as_unwrapper(stack.enter_context(open_key(uri)))
        stored = as_unwrapper(stack.enter_context(open_key(store_uri(store, "bench"))))
        assert key.key_id == stored.key_id
        work = Workload(stack.enter_context(KeyRing(uri)), 400)
        cases: dict[str, Operation] = {
            "software, jwe.decrypt": work.payload(partial(decrypt_with, key)),
            "keystore, jwe.decrypt": work.payload(partial(decrypt_with, stored)),
        }
        yield table(
            "The same RSA key from a PEM file and from a key store",
            measure(cases, rounds=rounds, block=block),
            next(iter(cases)),
        )
    if shutil.which("keytool") is None:
        return
    one, twenty = STATE / "one.jceks", STATE / "twenty.jceks"
    for path, count in ((one, 1), (twenty, 20)):
        if not path.exists():
            for number in range(count):
                keytool(
                    "-genkeypair", "-alias", f"key-{number}", "-keyalg", "RSA", "-keysize", "2048",
                    "-dname", "CN=bench", "-keystore", str(path), "-storetype", "JCEKS",
                )  # fmt: skip

    def opening(path: Path) -> Operation:
        return lambda _number: open_key(store_uri(path, "key-0")).close()

    opened = {"a JCEKS of one entry": opening(one), "a JCEKS of 20 entries, for one alias": opening(twenty)}
    yield table(
        "Opening a key of a Java key store", measure(opened, rounds=max(rounds // 6, 5), block=2), next(iter(opened))
    )
