# SPDX-License-Identifier: Apache-2.0
"""Keys of AWS KMS, beside a bare boto3 call for the same key.

What is measured is CPU time of the calling thread: the emulator's time, and that of the way there, say nothing of AWS.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from sealpass import KeyRing
from sealpass.backends.registry import key_maker, open_key
from sealpass.bench.interleaved import Operation, measure
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Opener, Sealer, as_unwrapper
from tools.speed_tables.workload import ROOT, Workload, decrypt_with, table

REGION = "eu-central-1"


@contextmanager
def emulator() -> Iterator[str]:
    """The emulator of the tests in a process of its own; the answer is its endpoint. Sets made-up credentials."""
    command = [sys.executable, str(ROOT / "tools" / "kms-emulator")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            said = json.loads(server.stdout.readline())
            os.environ.update(said["environment"])
            yield said["endpoint_url"]
        finally:
            server.stdin.close()


def keys_in_kms(rounds: int, block: int) -> Iterator[str]:
    """Unwrapping, sealing and opening: CPU time a call."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(emulator())
        anywhere = f"awskms:region={REGION}?endpoint-url={endpoint}"
        # The same pool and timeouts as ours, and no retries that would blur the figure.
        client: Any = boto3.Session().client(
            "kms", region_name=REGION, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1})
        )
        rsa_uri = key_maker(anywhere).create_rsa(2048, UnwrapMode.NATIVE)
        key = as_unwrapper(stack.enter_context(open_key(rsa_uri)))
        work = Workload(stack.enter_context(KeyRing(rsa_uri)), 200)
        arn = client.describe_key(KeyId=rsa_uri.require("key-id"))["KeyMetadata"]["Arn"]
        algorithm = "RSAES_OAEP_SHA_256"
        assert work.parsed[0].oaep.jwe_name == "RSA-OAEP-256"
        keys = [parsed.encrypted_key for parsed in work.parsed]

        def bare_decrypt(number: int) -> None:
            answer = client.decrypt(KeyId=arn, EncryptionAlgorithm=algorithm, CiphertextBlob=keys[number % len(keys)])
            assert len(answer["Plaintext"]) == work.parsed[0].enc.cek_bytes

        cases: dict[str, Operation] = {
            "boto3, bare Decrypt": bare_decrypt,
            "sealpass, jwe.decrypt": work.payload(partial(decrypt_with, key)),
            "sealpass, token to password": work.whole,
        }
        few, small = max(rounds // 3, 5), max(block // 2, 5)
        cpu = partial(measure, rounds=few, block=small, clock=time.thread_time_ns)
        yield table("AWS KMS (emulator), RSA-2048: CPU time a call", cpu(cases), next(iter(cases)))

        sealing = stack.enter_context(open_key(key_maker(anywhere).create_aes(256)))
        assert isinstance(sealing, Sealer)
        assert isinstance(sealing, Opener)
        plaintext, aad = b"$argon2id$" + b"v" * 87, b"$sealpass$v=1$aad"
        sealed = sealing.seal(plaintext, aad)
        context = {"sealpass": aad.decode()}

        def bare_symmetric(_number: int) -> None:
            answer = client.decrypt(KeyId=sealing.key_id, EncryptionContext=context, CiphertextBlob=sealed.ciphertext)
            assert answer["Plaintext"] == plaintext

        def opened(_number: int) -> None:
            assert sealing.open_sealed(sealed, aad) == plaintext

        cases = {"boto3, bare Decrypt": bare_symmetric, "sealpass, open a record": opened}
        yield table("AWS KMS (emulator), symmetric: CPU time a call", cpu(cases), next(iter(cases)))
