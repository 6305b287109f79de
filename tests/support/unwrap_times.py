# SPDX-License-Identifier: Apache-2.0
"""``unwrap_times.py URI COUNT``: open that many tokens, one after the other. For counting calls from outside."""

import sys

from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.algorithms import RSA_OAEP_256
from sealpass.core.protocols import as_unwrapper


def main() -> None:
    """Run."""
    with open_key(sys.argv[1]) as opened:
        key = as_unwrapper(opened)
        alg = "RSA-OAEP-256" if RSA_OAEP_256 in key.capabilities.unwrap else "RSA-OAEP"
        token = encrypt.encrypt(b"payload", key.public_jwk, alg, "A256GCM")
        for _ in range(int(sys.argv[2])):
            assert jwe.decrypt(token, key) == b"payload"


if __name__ == "__main__":
    main()
