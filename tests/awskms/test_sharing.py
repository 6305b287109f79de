# SPDX-License-Identifier: Apache-2.0
"""One client for keys, threads and no other process."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sealpass.backends.awskms import client
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.errors import AuthenticationFailed, KeyNotFound
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.process import run_module


def test_keys_with_equal_settings_share_a_client(kms: KmsEmulator, rsa_arn: str, symmetric_arn: str) -> None:
    """Whatever their names; another time-out is another client; the last key closes its own."""
    with open_key(f"awskms:key-id={rsa_arn}") as first, open_key(f"awskms:key-id={symmetric_arn}") as second:
        uuid = symmetric_arn.rpartition("/")[2]
        with open_key(f"awskms:key-id={uuid};region={REGION}?alias-interval=9") as third:
            assert isinstance(first, KmsRsaKey)
            assert isinstance(second, KmsSymmetricKey)
            assert isinstance(third, KmsSymmetricKey)
            assert first._connection.client is second._connection.client is third._connection.client
        with open_key(f"awskms:key-id={symmetric_arn}?read-timeout=9") as other:
            assert isinstance(other, KmsSymmetricKey)
            assert other._connection.client is not first._connection.client
        assert len(client._table) == 1
    assert not client._table


def test_closing_twice_counts_once(kms: KmsEmulator, rsa_arn: str, symmetric_arn: str) -> None:
    """The client stays the other key's."""
    with open_key(f"awskms:key-id={rsa_arn}") as first, open_key(f"awskms:key-id={symmetric_arn}") as second:
        assert isinstance(second, KmsSymmetricKey)
        shared = second._connection.client
        first.close()
        first.close()
        assert second._connection.client is shared
        assert len(client._table) == 1


def test_eight_threads_open_and_use_keys_at_once(emulator: KmsEmulator) -> None:
    """One client is made for all of them, every answer is the right one, and none is left."""
    rsa, symmetric = emulator.create_rsa(), emulator.create_symmetric()
    endpoint = f"?endpoint-url={emulator.endpoint_url}" if emulator.endpoint_url else ""
    start = threading.Barrier(8)

    def work(number: int) -> set[int]:
        start.wait()
        with (
            open_key(f"awskms:key-id={rsa}{endpoint}") as key,
            open_key(f"awskms:key-id={symmetric}{endpoint}") as seal,
        ):
            assert isinstance(key, KmsRsaKey)
            assert isinstance(seal, KmsSymmetricKey)
            for turn in range(5):
                text = f"{number} {turn}".encode()
                assert jwe.decrypt(encrypt.encrypt(text, key.public_jwk, "RSA-OAEP-256", "A256GCM"), key) == text
                assert seal.open_sealed(seal.seal(text, text), text) == text
            start.wait()  # all are open until the last one is here
            return {id(key._connection.client), id(seal._connection.client)}

    with ThreadPoolExecutor(8) as pool:
        clients = set().union(*pool.map(work, range(8)))
    assert len(clients) == 1


def test_a_key_that_does_not_open_leaves_nothing(kms: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where KMS has no such key, nor where boto3 has no credentials."""
    with pytest.raises(KeyNotFound):
        open_key(f"awskms:key-id=alias/none;region={REGION}")
    assert not client._table
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthenticationFailed):
        open_key(f"awskms:key-id=alias/none;region={REGION}")
    assert not client._table


def test_the_client_is_built_as_the_uri_says(kms: KmsEmulator, symmetric_arn: str) -> None:
    """Time-outs, pool and retries are those of the URI, and not those of boto3's environment."""
    query = "connect-timeout=1.5&read-timeout=4&max-connections=7&max-attempts=2&retry-mode=adaptive"
    with open_key(f"awskms:key-id={symmetric_arn}?{query}") as key:
        assert isinstance(key, KmsSymmetricKey)
        config: Any = key._connection.client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.5, 4.0, 7)
    assert config.retries == {"mode": "adaptive", "total_max_attempts": 2}


def test_a_forked_child_makes_a_client_of_its_own(remote_kms: KmsEmulator) -> None:
    """Keys from before the fork work in the child, over other connections, though threads held every lock."""
    endpoint = f"?endpoint-url={remote_kms.endpoint_url}"
    uris = [f"awskms:key-id={arn}{endpoint}" for arn in (remote_kms.create_rsa(), remote_kms.create_symmetric())]
    environment = remote_kms.environment | {"PYTHONWARNINGS": "ignore"}  # Python 3.12 warns of threads at a fork
    ran = run_module("kms_fork_child", *uris, environment=environment)
    assert ran.returncode == 0, ran.stderr
    names = ("before", "unwraps", "seals", "own client", "opens", "after", "same client")
    assert json.loads(ran.stdout) == dict.fromkeys(names, "right")
