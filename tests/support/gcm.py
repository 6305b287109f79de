# SPDX-License-Identifier: Apache-2.0
"""AES-GCM by cryptography, as the other side of a content key."""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def encrypt_content(cek: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes, bytes]:
    """IV, ciphertext and tag, as a JWE has them."""
    iv = secrets.token_bytes(12)
    sealed = AESGCM(cek).encrypt(iv, plaintext, aad)
    return iv, sealed[:-16], sealed[-16:]
