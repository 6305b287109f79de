# SPDX-License-Identifier: Apache-2.0
"""What each supported device does, as shipped: written down here, and compared with real devices by the tests."""

from dataclasses import dataclass

from sealpass.core.algorithms import (
    A128GCM,
    A192GCM,
    A256GCM,
    CONTENT_ENCRYPTIONS,
    OAEP_VARIANTS,
    RSA_OAEP,
    RSA_OAEP_256,
    SEAL_AWSKMS,
    RsaOaep,
)
from sealpass.core.capabilities import UnwrapMode


@dataclass(frozen=True, slots=True)
class Row:
    """One device in one mode."""

    scheme: str
    device: str
    mode: str
    """A value of UnwrapMode, or empty for keys that only seal."""
    unwrap: tuple[str, ...]
    """JWE names where there is one."""
    content: tuple[str, ...]
    seal: tuple[str, ...]
    status: str
    note: str


def name_of(oaep: RsaOaep) -> str:
    """The variant as the matrix writes it."""
    return oaep.jwe_name or str(oaep)


_ALL_CONTENT = tuple(enc.name for enc in CONTENT_ENCRYPTIONS)
_GCM = (A128GCM.name, A192GCM.name, A256GCM.name)

SOFTWARE_RSA = Row(
    scheme="software",
    device="RSA key in a PEM file",
    mode=UnwrapMode.SOFTWARE.value,
    unwrap=tuple(map(name_of, OAEP_VARIANTS)),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="the reference for all others; protects nothing",
)
SOFTWARE_AES = Row(
    scheme="software",
    device="AES key in a JWK file",
    mode="",
    unwrap=(),
    content=(),
    seal=_GCM,
    status="tested",
    note="the reference for all others; protects nothing",
)
SOFTHSM2_NATIVE = Row(
    scheme="pkcs11",
    device="SoftHSM 2.6.1",
    mode=UnwrapMode.NATIVE.value,
    unwrap=(name_of(RSA_OAEP),),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="knows OAEP with SHA-1 only: the password profiles need --allow-sha1",
)
SOFTHSM2_IN_TOKEN = Row(
    scheme="pkcs11",
    device="SoftHSM 2.6.1",
    mode=UnwrapMode.IN_TOKEN.value,
    unwrap=(name_of(RSA_OAEP),),
    content=_GCM,
    seal=(),
    status="tested",
    note="as native; does not tell the length of a CEK, so one of another size than enc wants does open",
)
SOFTHSM2_AES = Row(
    scheme="pkcs11",
    device="SoftHSM 2.6.1",
    mode="",
    unwrap=(),
    content=(),
    seal=_GCM,
    status="tested",
    note="",
)
NSS_NATIVE = Row(
    scheme="pkcs11",
    device="NSS softokn 3.87",
    mode=UnwrapMode.NATIVE.value,
    unwrap=tuple(map(name_of, OAEP_VARIANTS)),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="the whole default profile",
)
NSS_IN_TOKEN = Row(
    scheme="pkcs11",
    device="NSS softokn 3.87",
    mode=UnwrapMode.IN_TOKEN.value,
    unwrap=tuple(map(name_of, OAEP_VARIANTS)),
    content=_GCM,
    seal=(),
    status="tested",
    note="the whole default profile inside the token; enforces no CKA_UNWRAP_TEMPLATE",
)
NSS_AES = Row(
    scheme="pkcs11", device="NSS softokn 3.87", mode="", unwrap=(), content=(), seal=_GCM, status="tested", note=""
)
OPENCRYPTOKI_NATIVE = Row(
    scheme="pkcs11",
    device="openCryptoki 3.8, soft token",
    mode=UnwrapMode.NATIVE.value,
    unwrap=tuple(map(name_of, OAEP_VARIANTS)),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="no AES-GCM: neither in-token nor sealing",
)
P11_KIT_NATIVE = Row(
    scheme="pkcs11",
    device="p11-kit 0.24 remoting, SoftHSM 2.6.1 at the far end",
    mode=UnwrapMode.NATIVE.value,
    unwrap=(name_of(RSA_OAEP),),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="carries no AES-GCM: neither in-token nor sealing",
)
KEYSTORE_RSA = Row(
    scheme="keystore",
    device="RSA key in a Java key store (JKS, JCEKS, PKCS12)",
    mode=UnwrapMode.SOFTWARE.value,
    unwrap=tuple(map(name_of, OAEP_VARIANTS)),
    content=_ALL_CONTENT,
    seal=(),
    status="tested",
    note="the key is in the memory of this process",
)
KEYSTORE_AES = Row(
    scheme="keystore",
    device="AES key in a Java key store (JCEKS, PKCS12)",
    mode="",
    unwrap=(),
    content=(),
    seal=_GCM,
    status="tested",
    note="the key is in the memory of this process",
)
AWSKMS_RSA = Row(
    scheme="awskms",
    device="AWS KMS, RSA key",
    mode=UnwrapMode.NATIVE.value,
    unwrap=(name_of(RSA_OAEP), name_of(RSA_OAEP_256)),
    content=_ALL_CONTENT,
    seal=(),
    status="tested on an emulator",
    note="never tried on AWS itself; every unwrap is a request of its quota and its bill",
)
AWSKMS_SYMMETRIC = Row(
    scheme="awskms",
    device="AWS KMS, symmetric key",
    mode="",
    unwrap=(),
    content=(),
    seal=(SEAL_AWSKMS.name,),
    status="tested on an emulator",
    note="never tried on AWS itself; moves records to another key without their plaintext leaving KMS",
)

ROWS = (
    SOFTWARE_RSA,
    SOFTWARE_AES,
    SOFTHSM2_NATIVE,
    SOFTHSM2_IN_TOKEN,
    SOFTHSM2_AES,
    NSS_NATIVE,
    NSS_IN_TOKEN,
    NSS_AES,
    OPENCRYPTOKI_NATIVE,
    P11_KIT_NATIVE,
    KEYSTORE_RSA,
    KEYSTORE_AES,
    AWSKMS_RSA,
    AWSKMS_SYMMETRIC,
)
