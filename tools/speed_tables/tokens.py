# SPDX-License-Identifier: Apache-2.0
"""Keys in soft tokens, beside the bare PKCS#11 calls and beside peers over the same key."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes import byref, c_ulong
from functools import partial
from typing import Any

from sealpass import KeyRing, KeyUri
from sealpass.backends.pkcs11.rsa_key import InTokenRsaKey, NativeRsaKey, RsaTokenKey
from sealpass.backends.registry import key_maker, open_key
from sealpass.bench.interleaved import Operation, measure
from sealpass.core.algorithms import A256GCM, RSA_OAEP_256
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import as_unwrapper
from sealpass.softhsm.provisioning import provision
from tools.speed_tables.workload import STATE, Workload, decrypt_with, scaling, table


def bare_native(key: NativeRsaKey, work: Workload) -> Operation:
    """C_DecryptInit and C_Decrypt on sessions of our own, one a thread, and nothing else."""
    mechanism, functions, handle = key._mechanisms[work.parsed[0].oaep], key._functions, key._handle
    keys = [parsed.encrypted_key for parsed in work.parsed]

    def operation(number: int) -> None:
        session = key._connection.acquire(None)
        functions.decrypt_init(session.handle, mechanism, handle)
        session.output.prepare()
        ciphertext = keys[number % len(keys)]
        rv = functions.decrypt(session.handle, ciphertext, len(ciphertext), session.output.data, session.output.length)
        assert rv == 0
        key._connection.release(session)

    return operation


def bare_in_token(key: InTokenRsaKey, work: Workload) -> Operation:
    """C_UnwrapKey, C_DecryptInit, C_Decrypt, C_DestroyObject, and the length where the module tells it."""
    mechanism, functions, handle = key._mechanisms[work.parsed[0].oaep], key.functions, key._handle
    template = key._templates[A256GCM.cek_bytes]
    inputs = [(p.encrypted_key, p.iv, p.ciphertext + p.tag, p.aad) for p in work.parsed]

    def operation(number: int) -> None:
        encrypted_key, iv, content, aad = inputs[number % len(inputs)]
        session = key._connection.acquire(None)
        new = c_ulong()
        rv = functions.unwrap_key(
            session.handle,
            mechanism,
            handle,
            encrypted_key,
            len(encrypted_key),
            template.reference,
            template.count,
            byref(new),
        )
        assert rv == 0
        if key._tells_length:
            session._new.value = new.value
            assert session.value_len(functions) == A256GCM.cek_bytes
        assert functions.decrypt_init(session.handle, session.gcm.prepare(iv, aad), new.value) == 0
        session.output.prepare()
        assert functions.decrypt(session.handle, content, len(content), session.output.data, session.output.length) == 0
        assert functions.destroy_object(session.handle, new.value) == 0
        key._connection.release(session)

    return operation


@contextmanager
def peers_over_token(key: RsaTokenKey, label: str, alg: str, work: Workload) -> Iterator[dict[str, Operation]]:
    """Peers on the same key: hsmkey with jwcrypto, and python-pkcs11 alone; the module is initialised by us."""
    import pkcs11
    from hsmkey.jwk_integration import HSMJWK
    from jwcrypto.common import JWException
    from jwcrypto.jwe import JWE
    from pkcs11 import MGF, Mechanism

    with key._connection.own_session() as session:
        private: Any = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=label)
        jwk = HSMJWK.from_hsm(session, key_label=label)
        parameters = {
            "RSA-OAEP": (Mechanism.SHA_1, MGF.SHA1, None),
            "RSA-OAEP-256": (Mechanism.SHA256, MGF.SHA256, None),
        }[alg]

        def with_jwcrypto(token: str) -> bytes:
            parsed = JWE(algs=[alg, "A256GCM"])
            parsed.deserialize(token, key=jwk)
            return bytes(parsed.payload)

        keys = [parsed.encrypted_key for parsed in work.parsed]

        def bare(number: int) -> None:
            ciphertext = keys[number % len(keys)]
            private.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters)

        found: dict[str, Operation] = {"python-pkcs11, bare decrypt (3 calls)": bare}
        try:
            with_jwcrypto(work.tokens[0])
        except JWException as error:
            print(f"hsmkey + jwcrypto does not open {alg} here: {error}", file=sys.stderr)
        else:
            found["hsmkey + jwcrypto"] = work.payload(with_jwcrypto)
        yield found


def soft_key(kind: str, mode: UnwrapMode) -> KeyUri:
    """The key of a soft token for a mode, made once."""
    made = provision(kind, STATE / kind)
    os.environ.update(made.config)
    uri = KeyUri.parse(made.uri).replace(path={"object": mode.value.encode()})
    if not list(key_maker(uri).list_keys()):
        key_maker(uri).create_rsa(2048, mode)
    return uri


def tokens_in_devices(rounds: int, block: int) -> Iterator[str]:
    """The tables of PKCS#11 keys."""
    for kind, name in (("softhsm2", "SoftHSM2 2.6.1, RSA-OAEP"), ("nss", "NSS softokn 3.87, RSA-OAEP-256")):
        for mode in (UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN):
            uri = soft_key(kind, mode)
            with ExitStack() as stack:
                key = stack.enter_context(open_key(uri))
                work = Workload(stack.enter_context(KeyRing(uri)), 400)
                unwrapper = as_unwrapper(key)
                cases: dict[str, Operation]
                if isinstance(key, NativeRsaKey):
                    cases = {"the two bare calls, in a loop": bare_native(key, work)}
                else:
                    assert isinstance(key, InTokenRsaKey)
                    cases = {f"the {5 if key._tells_length else 4} bare calls, in a loop": bare_in_token(key, work)}
                reference = next(iter(cases))
                cases["sealpass, token to password"] = work.whole
                cases["sealpass, jwe.decrypt"] = work.payload(partial(decrypt_with, unwrapper))
                pair = dict(cases)
                if mode is UnwrapMode.NATIVE:
                    alg = "RSA-OAEP-256" if RSA_OAEP_256 in key.capabilities.unwrap else "RSA-OAEP"
                    cases |= stack.enter_context(peers_over_token(key, mode.value, alg, work))
                yield table(f"{name}, mode {mode}", measure(cases, rounds=rounds, block=block), reference)
                if kind == "softhsm2":
                    yield scaling(f"{name}, mode {mode}: a second thread", pair, rounds // 3, 10 * block)
