# SPDX-License-Identifier: Apache-2.0
"""``fork_child.py URI [threads]``: open a key, fork, use the key in the child and in the parent; report as JSON.

With ``threads`` the parent has a second thread when it forks.
"""

import json
import os
import sys
import threading

from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import RSA_OAEP_256
from sealpass.core.content_key import ContentKey
from sealpass.core.errors import Error
from sealpass.core.protocols import Unwrapper, as_unwrapper


def attempt(key: Unwrapper, token: str) -> str:
    """What using the key gives: ``right``, or the error."""
    try:
        return "right" if jwe.decrypt(token, key) == b"payload" else "wrong"
    except Error as error:
        return f"{type(error).__name__}: {error} | {error.hint}"


def beside_an_inherited_cek(key: Unwrapper, token: str, inherited: ContentKey) -> str:
    """Close a content key of before the fork while one of the child's own is open: handles may have equal numbers."""
    parsed = jwe.parse(token, jwe.plain_members)
    try:
        with key.unwrap(parsed.encrypted_key, parsed.oaep, parsed.enc) as own:
            inherited.close()
            found = own.decrypt(parsed.iv, parsed.ciphertext, parsed.tag, parsed.aad)
    except Error as error:
        return f"{type(error).__name__}: {error} | {error.hint}"
    assert isinstance(key, RsaTokenKey)
    counted = key._connection._opened == len(key._connection._idle)
    return "right" if found == b"payload" and counted else f"wrong: {found!r}, {key._connection._opened} sessions open"


def in_a_child(key: Unwrapper, token: str) -> str:
    """What using the key gives in a child of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, attempt(key, token).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read().decode()
    os.waitpid(child, 0)
    return found


def main() -> None:
    """Run; one JSON object on standard output."""
    uri = sys.argv[1]
    key = as_unwrapper(open_key(uri))
    alg = "RSA-OAEP-256" if RSA_OAEP_256 in key.capabilities.unwrap else "RSA-OAEP"
    token = encrypt.encrypt(b"payload", key.public_jwk, alg, "A256GCM")
    report = {"before": attempt(key, token)}
    parsed = jwe.parse(token, jwe.plain_members)
    content_key = key.unwrap(parsed.encrypted_key, parsed.oaep, parsed.enc)
    stop = threading.Event()
    if "threads" in sys.argv[2:]:
        threading.Thread(target=stop.wait, daemon=True).start()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        found = {}
        try:  # before the inherited key is used, or that would have brought the module back
            fresh = as_unwrapper(open_key(uri))
            found["opened"] = attempt(fresh, token)
        except Error as error:
            found["opened"] = f"{type(error).__name__}: {error} | {error.hint}"
        found["inherited"] = attempt(key, token)
        found["cek"] = beside_an_inherited_cek(key, token, content_key)
        os.write(writing, json.dumps(found | {"grandchild": in_a_child(key, token)}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report |= json.loads(pipe.read())
    os.waitpid(child, 0)
    stop.set()
    opened = content_key.decrypt(parsed.iv, parsed.ciphertext, parsed.tag, parsed.aad)
    content_key.close()
    report["parent"] = attempt(key, token) if opened == b"payload" else "the CEK is gone"
    assert isinstance(key, RsaTokenKey)
    report["epoch"] = str(key._connection.epoch)
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
