# SPDX-License-Identifier: Apache-2.0
"""``thread_stress.py URI SECONDS [stock]``: four threads unwrap, find and open sessions at once, every result checked.

With ``stock`` python-pkcs11 initialises the module itself, with C_Initialize(NULL): the way that corrupts SoftHSM's
memory. Exit 0 = every result right; a crash is the process's own end.
"""

import secrets
import sys
import threading
import time

from sealpass.backends.pkcs11 import library
from sealpass.backends.pkcs11.objects import find_key, handle_of
from sealpass.backends.pkcs11.rsa_key import NativeRsaKey
from sealpass.backends.registry import open_key
from sealpass.core.algorithms import A256GCM, RSA_OAEP
from sealpass.core.content_key import encrypt_gcm
from sealpass.core.oaep import oaep_encrypt
from sealpass.core.uri import KeyUri

THREADS = 4


def stock(self: library.LockingLibrary) -> None:
    """python-pkcs11's own way to initialise a module."""
    assert self.functions.initialize(None) == 0


def main() -> int:
    """Run; print the number of operations."""
    uri, seconds = KeyUri.parse(sys.argv[1]), float(sys.argv[2])
    if "stock" in sys.argv[3:]:
        library.LockingLibrary.initialize = stock  # type: ignore[method-assign]
    key = open_key(uri)
    assert isinstance(key, NativeRsaKey)
    cek = secrets.token_bytes(32)
    encrypted_key = oaep_encrypt(key.public_jwk.public_key(), cek, RSA_OAEP)
    iv, ciphertext, tag = encrypt_gcm(cek, b"payload", b"aad")
    done, wrong = [0] * THREADS, [0] * THREADS
    end = time.monotonic() + seconds

    def work(me: int) -> None:
        try:
            busy(me)
        except BaseException:
            wrong[me] += 1
            raise

    def busy(me: int) -> None:
        while time.monotonic() < end:
            with key.unwrap(encrypted_key, RSA_OAEP, A256GCM) as content_key:
                wrong[me] += content_key.decrypt(iv, ciphertext, tag, b"aad") != b"payload"
            with key._connection.own_session() as session:
                wrong[me] += handle_of(find_key(session, uri)) != key._handle
            done[me] += 1

    threads = [threading.Thread(target=work, args=(me,)) for me in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key.close()
    sys.stdout.write(f"{sum(done)} operations, {sum(wrong)} wrong\n")
    return 1 if sum(wrong) or not all(done) else 0


if __name__ == "__main__":
    sys.exit(main())
