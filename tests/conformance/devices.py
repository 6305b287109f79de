# SPDX-License-Identifier: Apache-2.0
"""The devices of the conformance suite: how to get at a key of each, and its row of the written matrix."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealpass.backends import matrix
from sealpass.backends.registry import key_maker
from sealpass.core.algorithms import SEAL_AWSKMS
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Opener, Sealer
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.soft_tokens import SoftToken

UriOf = Callable[[pytest.FixtureRequest], str]
SOFTHSM_628 = "https://github.com/softhsm/SoftHSMv2/issues/628"
"""Of an unwrapped AES key SoftHSM2 tells 0 as CKA_VALUE_LEN."""


@dataclass(frozen=True)
class UnwrappingDevice:
    """A device with an RSA key."""

    name: str
    uri: UriOf
    row: matrix.Row | None
    """None for a key of the user's own."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Tests that this device cannot pass, each with the upstream report."""


@dataclass(frozen=True)
class SealingDevice:
    """A device with a symmetric key of so many bits."""

    name: str
    bits: int | None
    """None where only the key's own capabilities tell."""
    uri: UriOf
    row: matrix.Row | None
    """None for a key of the user's own."""

    @property
    def algorithm(self) -> str | None:
        """What its records name."""
        if self.row is None:
            return None
        return f"A{self.bits}GCM" if self.row.scheme != "awskms" else SEAL_AWSKMS.name

    @property
    def id(self) -> str:
        """For the name of a test."""
        return self.name if self.bits is None else f"{self.name}-{self.bits}"


class SealingKey(Sealer, Opener):
    """Both roles in one type, as every AES key of ours has them."""


def given(uri: str) -> UriOf:
    """A key of the user's own."""
    return lambda _: uri


def _software(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("software_uri"))


def _in_token(kind: str, mode: UnwrapMode) -> UriOf:
    """The worker's key of a soft token for a mode."""

    def uri(request: pytest.FixtureRequest) -> str:
        token: SoftToken = request.getfixturevalue(kind)
        return token.shared_key(mode)

    return uri


def _aes_in_token(kind: str, bits: int) -> UriOf:
    def uri(request: pytest.FixtureRequest) -> str:
        token: SoftToken = request.getfixturevalue(kind)
        return token.shared_aes_key(bits)

    return uri


def _aes_in_file(bits: int) -> UriOf:
    def uri(request: pytest.FixtureRequest) -> str:
        folder: Path = request.getfixturevalue("tmp_path")
        return str(key_maker(f"software:path={folder}/key.jwk").create_aes(bits))

    return uri


def kms_uri(emulator: KmsEmulator, arn: str) -> str:
    """The URI of an emulator's key."""
    endpoint = f"?endpoint-url={emulator.endpoint_url}" if emulator.endpoint_url else ""
    return f"awskms:key-id={arn};region={REGION}{endpoint}"


def _in_kms(way: str, kind: str) -> UriOf:
    def uri(request: pytest.FixtureRequest) -> str:
        keys: Mapping[tuple[str, str], str] = request.getfixturevalue("kms_keys")
        return kms_uri(request.getfixturevalue(way), keys[way, kind])

    return uri


STORES = Path(__file__).parents[1] / "keystore" / "stores"


_WITH_KEY_PASSWORDS = ("store.jks", "store.jceks")


def _in_store(name: str, alias: str, key_id: str | None = None) -> UriOf:
    """An entry of a committed key store that keytool wrote; the passwords come from files of this worker's."""

    def uri(request: pytest.FixtureRequest) -> str:
        passwords: Path = request.getfixturevalue("store_passwords")
        key_password = alias if name in _WITH_KEY_PASSWORDS else "store"  # keytool gives entries the store's
        sources = f"store-pass-source=file:{passwords / 'store'}&key-pass-source=file:{passwords / key_password}"
        named = f";key-id={key_id}" if key_id else ""
        return f"keystore:path={STORES / name};alias={alias}{named}?{sources}"

    return uri


_STORE_BY_FORMAT = {"jks": "store.jks", "jceks": "store.jceks", "pkcs12": "modern.p12", "pkcs12-legacy": "legacy.p12"}
UNWRAPPING = (
    UnwrappingDevice("software", _software, matrix.SOFTWARE_RSA),
    UnwrappingDevice("softhsm2-native", _in_token("softhsm2", UnwrapMode.NATIVE), matrix.SOFTHSM2_NATIVE),
    UnwrappingDevice(
        "softhsm2-in-token",
        _in_token("softhsm2", UnwrapMode.IN_TOKEN),
        matrix.SOFTHSM2_IN_TOKEN,
        broken={"test_a_cek_of_another_size_opens_nothing": SOFTHSM_628},
    ),
    UnwrappingDevice("nss-native", _in_token("nss", UnwrapMode.NATIVE), matrix.NSS_NATIVE),
    UnwrappingDevice("nss-in-token", _in_token("nss", UnwrapMode.IN_TOKEN), matrix.NSS_IN_TOKEN),
    UnwrappingDevice("opencryptoki", _in_token("opencryptoki", UnwrapMode.NATIVE), matrix.OPENCRYPTOKI_NATIVE),
    UnwrappingDevice("p11-kit-remote", _in_token("p11_kit", UnwrapMode.NATIVE), matrix.P11_KIT_NATIVE),
    *(
        UnwrappingDevice(f"keystore-{kind}", _in_store(name, "rsa-2048"), matrix.KEYSTORE_RSA)
        for kind, name in _STORE_BY_FORMAT.items()
    ),
    UnwrappingDevice("kms-in-process", _in_kms("kms_in_process", "rsa"), matrix.AWSKMS_RSA),
    UnwrappingDevice("kms-over-http", _in_kms("kms_over_http", "rsa"), matrix.AWSKMS_RSA),
)
_GCM_BITS = (128, 192, 256)
SEALING = (
    *(SealingDevice("software", bits, _aes_in_file(bits), matrix.SOFTWARE_AES) for bits in _GCM_BITS),
    *(SealingDevice("softhsm2", bits, _aes_in_token("softhsm2", bits), matrix.SOFTHSM2_AES) for bits in _GCM_BITS),
    *(SealingDevice("nss", bits, _aes_in_token("nss", bits), matrix.NSS_AES) for bits in _GCM_BITS),
    *(
        SealingDevice(f"keystore-{kind}", 256, _in_store(name, "aes-256", key_id="records-1"), matrix.KEYSTORE_AES)
        for kind, name in _STORE_BY_FORMAT.items()
        if kind != "jks"  # which holds no secret keys
    ),
    *(
        SealingDevice(f"keystore-{kind}", bits, _in_store(name, f"aes-{bits}", key_id="records-1"), matrix.KEYSTORE_AES)
        for kind, name in (("jceks", "aes.jceks"), ("pkcs12", "aes.p12"))
        for bits in (128, 192)
    ),
    SealingDevice("kms-in-process", 256, _in_kms("kms_in_process", "symmetric"), matrix.AWSKMS_SYMMETRIC),
    SealingDevice("kms-over-http", 256, _in_kms("kms_over_http", "symmetric"), matrix.AWSKMS_SYMMETRIC),
)
