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
from sealpass.core.errors import Error
from sealpass.core.protocols import Unwrapper, as_unwrapper


def attempt(key: Unwrapper, token: str) -> str:
    """What using the key gives: ``right``, or the error."""
    try:
        return "right" if jwe.decrypt(token, key) == b"payload" else "wrong"
    except Error as error:
        return f"{type(error).__name__}: {error} | {error.hint}"


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
    stop = threading.Event()
    if "threads" in sys.argv[2:]:
        threading.Thread(target=stop.wait, daemon=True).start()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        found = {"inherited": attempt(key, token)}
        try:
            fresh = as_unwrapper(open_key(uri))
            found["opened"] = attempt(fresh, token)
        except Error as error:
            found["opened"] = f"{type(error).__name__}: {error} | {error.hint}"
        os.write(writing, json.dumps(found | {"grandchild": in_a_child(key, token)}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report |= json.loads(pipe.read())
    os.waitpid(child, 0)
    stop.set()
    report["parent"] = attempt(key, token)
    assert isinstance(key, RsaTokenKey)
    report["epoch"] = str(key._connection.epoch)
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
