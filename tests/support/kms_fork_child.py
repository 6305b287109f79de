# SPDX-License-Identifier: Apache-2.0
"""Fork with keys of AWS KMS open and use them in the child; prints what came out as JSON.

``python -m tests.support.kms_fork_child RSA-URI SYMMETRIC-URI``. While it forks, another thread holds the locks of
the backend, as a busy server's threads do.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable

from sealpass.backends.awskms import client
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.protocols import Key

_CHILD_SECONDS = 20


def _outcome(use: Callable[[], bool]) -> str:
    try:
        return "right" if use() else "wrong"
    except Exception as error:  # noqa: BLE001 - the parent shows it
        return f"{type(error).__name__}: {error}"


def _unwraps(key: Key) -> bool:
    assert isinstance(key, KmsRsaKey)
    return jwe.decrypt(encrypt.encrypt(b"x", key.public_jwk, "RSA-OAEP-256", "A256GCM"), key) == b"x"


def _seals(key: Key) -> bool:
    assert isinstance(key, KmsSymmetricKey)
    return key.open_sealed(key.seal(b"x", b"aad"), b"aad") == b"x"


def _in_child(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What ``work`` answers in a child that was forked while the locks were held."""
    reading, writing = os.pipe()
    held, forked = threading.Event(), threading.Event()
    locks = [client._table_lock, *(connection._lock for connection in client._table.values())]

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        forked.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        signal.alarm(_CHILD_SECONDS)  # one that waits for a lock for ever must not outlive the test
        os.close(reading)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    forked.set()
    thread.join()
    os.close(writing)
    with os.fdopen(reading) as answer:
        found: dict[str, str] = json.loads(answer.read() or '{"child": "died"}')
    os.waitpid(pid, 0)
    return found


def main(rsa_uri: str, symmetric_uri: str) -> None:
    """Before, in the child, and afterwards in the parent."""
    with open_key(rsa_uri, failure_floor=0) as rsa_key, open_key(symmetric_uri) as symmetric_key:
        found = {"before": _outcome(lambda: _unwraps(rsa_key) and _seals(symmetric_key))}
        assert isinstance(rsa_key, KmsRsaKey)
        parents = rsa_key._connection.client

        def child() -> dict[str, str]:
            outcomes = {
                "unwraps": _outcome(lambda: _unwraps(rsa_key)),
                "seals": _outcome(lambda: _seals(symmetric_key)),
                "own client": _outcome(lambda: rsa_key._connection.client is not parents),
            }
            with open_key(symmetric_uri) as opened:
                outcomes["opens"] = _outcome(lambda: _seals(opened))
            return outcomes

        found |= _in_child(child)
        found["after"] = _outcome(lambda: _unwraps(rsa_key) and _seals(symmetric_key))
        found["same client"] = _outcome(lambda: rsa_key._connection.client is parents)
    print(json.dumps(found))  # noqa: T201 - that is its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
