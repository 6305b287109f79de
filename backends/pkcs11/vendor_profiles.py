# SPDX-License-Identifier: Apache-2.0
"""The vendor profiles, each value with its source, and how one is chosen (docs/pkcs11-vendors.md is made from this)."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from sealpass.backends.pkcs11.cryptoki import CKM_CLOUDHSM_AES_GCM, CKM_CLOUDKMS_AES_GCM
from sealpass.backends.pkcs11.return_values import CKR_ARGUMENTS_BAD, CKR_DEVICE_ERROR, CKR_SESSION_COUNT, Meaning
from sealpass.backends.pkcs11.vendor_profile import GcmIv, GcmSealing, InitMode, Sign, Source, ValueLen, VendorProfile
from sealpass.core.algorithms import OAEP_VARIANTS, RSA_OAEP_256, RSA_OAEP_512
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError

_SAME_HASH = tuple(oaep for oaep in OAEP_VARIANTS if oaep.hash is oaep.mgf_hash)
_LUNA_GCM = "https://www.thalesdocs.com/gphsm/luna/7/docs/network/Content/sdk/mechanisms/CKM_AES_GCM.htm"
_AWS_MECHANISMS = "https://docs.aws.amazon.com/cloudhsm/latest/userguide/pkcs11-mechanisms.html"
_YUBIHSM = "https://github.com/Yubico/yubihsm-shell"
_KMSP11 = "https://github.com/GoogleCloudPlatform/kms-integrations/blob/master/kmsp11"

DEFAULT = VendorProfile(
    name="default", device="any other module", notes="the standard; what differs is found by trying"
)

SOFTHSM2 = VendorProfile(
    name="softhsm2",
    device="SoftHSM 2",
    signs=((Sign.LIBRARY_MANUFACTURER, "^SoftHSM"), (Sign.TOKEN_MANUFACTURER, "^SoftHSM")),
    value_len=ValueLen.REFUSED,
    tested_on="SoftHSM 2.6.1",
    sources=(
        Source("CKA_VALUE_LEN in an unwrap template: CKR_ATTRIBUTE_READ_ONLY", "run on 2.6.1"),
        Source("a patch that would take it is not merged", "https://github.com/softhsm/SoftHSMv2/pull/812"),
    ),
)
NSS = VendorProfile(
    name="nss",
    device="NSS softokn",
    signs=((Sign.FILE, "softokn"), (Sign.LIBRARY, "^NSS "), (Sign.TOKEN_MODEL, "^NSS ")),
    module_args="configdir='sql:DIR'",
    tested_on="NSS softokn 3.87",
    sources=(
        Source("C_Initialize wants its parameters in pReserved, and refuses NULL", "run on 3.87"),
        Source("takes CKA_VALUE_LEN in an unwrap template, and its absence", "run on 3.87"),
    ),
)
OPENCRYPTOKI = VendorProfile(
    name="opencryptoki",
    device="openCryptoki",
    signs=(
        (Sign.FILE, "opencryptoki"),
        (Sign.LIBRARY, "opencryptoki|^Meta PKCS11"),
        (Sign.TOKEN_MODEL, "^IBM SoftTok"),
    ),
    # Not a matter of C_Initialize: it takes the locking flag, and crashes all the same.
    init_mode=InitMode.PLAIN,
    tested_on="the soft token of openCryptoki 3.8",
    sources=(
        Source(
            "two threads: SIGSEGV within seconds, in object_mgr_check_shm under C_DecryptInit (seen with gdb)",
            "run on 3.8.1",
        ),
        Source("its CCA token requires CKA_VALUE_LEN", "https://github.com/harrison314/BouncyHsm/issues/102"),
        Source("its soft token takes both", "https://github.com/opencryptoki/opencryptoki/issues/897"),
        Source("AES-GCM: absent from the soft token of 3.8.1", "run on 3.8.1"),
        Source("'Meta PKCS11 LIBRARY' of 'IBM', 'IBM SoftTok'", "run on 3.8.1"),
    ),
    notes="several tokens behind one library: nothing else is narrowed; locks a PIN after three wrong ones",
)
P11_KIT_CLIENT = VendorProfile(
    name="p11-kit-client",
    device="a token behind p11-kit's client, of no maker that we know",
    # Last in PROFILES: what the token at the far end says of itself counts more. Before loading, only the file is seen.
    signs=((Sign.FILE, r"^p11-kit-client\."),),
    init_mode=InitMode.PLAIN,
    tested_on="p11-kit 0.24 with SoftHSM 2.6.1 at the far end",
    sources=(
        Source(
            "makes one call at a time whoever asks: 877 decryptions/s with one thread, 1057 with four", "run on 0.24.1"
        ),
        Source("several threads: where the connection dies, one may hang for ever inside the client", "run on 0.24.1"),
    ),
)
LUNA_FIPS = VendorProfile(
    name="luna-fips",
    device="Thales Luna 7 in FIPS mode",
    value_len=ValueLen.REQUIRED,
    sealing=GcmSealing(iv=GcmIv.APPENDED, iv_bytes=16, opens=frozenset({12, 16})),
    sources=(
        Source(
            "GCM: the IV is made in the HSM and is the last 16 bytes; the buffer needs room for tag and IV", _LUNA_GCM
        ),
        Source("firmware from 7.9.3: ulIvLen 0 with ulIvBits 128 asks for such an IV", _LUNA_GCM),
        Source(
            "CKA_VALUE_LEN: CKR_ATTRIBUTE_TYPE_INVALID without it",
            "https://github.com/opencryptoki/opencryptoki/issues/897",
        ),
    ),
    notes="the module does not say that it is in FIPS mode",
)
LUNA = VendorProfile(
    name="luna",
    device="Thales Luna 7",
    signs=((Sign.LIBRARY, "Chrystoki"), (Sign.FILE, r"libCryptoki2(_64)?\.")),
    value_len=ValueLen.REQUIRED,
    sealing=GcmSealing(opens=frozenset({12, 16})),
    sources=(
        Source(
            "OAEP with SHA-1 to SHA-512; hash 0 means SHA-1, so we always name one",
            "https://thalesdocs.com/gphsm/luna/7/docs/usb/Content/sdk/mechanisms/CKM_RSA_PKCS_OAEP.htm",
        ),
        Source("GCM outside FIPS mode: the caller must give an IV", _LUNA_GCM),
        *LUNA_FIPS.sources[2:],
        Source(
            "library 'Chrystoki' of 'SafeNet'",
            "the Luna guide of kmip2pkcs11 (pkcs11-tool -I, client 10.9)",
        ),
    ),
    notes="also opens what luna-fips sealed",
)
NSHIELD = VendorProfile(
    name="nshield",
    device="Entrust nShield",
    signs=((Sign.LIBRARY_MANUFACTURER, "^nCipher"), (Sign.TOKEN_MANUFACTURER, "^nCipher"), (Sign.FILE, "cknfast")),
    oaep=_SAME_HASH,
    sources=(
        Source(
            "OAEP: hash and MGF1 hash must be the same, else CKR_MECHANISM_PARAM_INVALID",
            "https://nshielddocs.entrust.com/security-world-docs/v13.3/api-pkcs11/mech-annotations.html",
        ),
        Source(
            "CKM_AES_GCM encrypts and decrypts",
            "https://nshielddocs.entrust.com/security-world-docs/v13.6.3/api-pkcs11/mechanisms.html",
        ),
    ),
    notes="CKNFAST_OVERRIDE_SECURITY_ASSURANCES gates some key attributes",
)
CLOUDHSM = VendorProfile(
    name="cloudhsm",
    device="AWS CloudHSM, CKM_AES_GCM",
    signs=((Sign.FILE, "libcloudhsm_pkcs11"), (Sign.LIBRARY_MANUFACTURER, "^Cavium"), (Sign.LIBRARY, "CloudHSM")),
    rw_sessions=True,
    oaep=_SAME_HASH,
    sealing=GcmSealing(iv=GcmIv.WRITTEN_BACK, longest=16224),
    session_limit=frozenset({CKR_SESSION_COUNT, CKR_ARGUMENTS_BAD}),
    sources=(
        Source(
            "GCM: a caller's IV is refused; the HSM writes 12 bytes into a zeroed buffer; OAEP pairs", _AWS_MECHANISMS
        ),
        Source("GCM: at most 16224 bytes", _AWS_MECHANISMS),
        Source("read-only sessions are refused before SDK 5.5", "https://github.com/OpenSC/libp11/issues/412"),
        Source(
            "C_OpenSession without a free session: CKR_ARGUMENTS_BAD",
            "https://github.com/awsdocs/aws-cloudhsm-user-guide/issues/27",
        ),
        Source("'Cavium'", "https://github.com/joelhockey/jacknji11/issues/29"),
    ),
)
CLOUDHSM_PREPENDED = VendorProfile(
    name="cloudhsm-prepended",
    device="AWS CloudHSM, CKM_CLOUDHSM_AES_GCM",
    rw_sessions=CLOUDHSM.rw_sessions,
    oaep=CLOUDHSM.oaep,
    sealing=GcmSealing(iv=GcmIv.PREPENDED, mechanism=CKM_CLOUDHSM_AES_GCM, longest=16224),
    session_limit=CLOUDHSM.session_limit,
    sources=(
        Source("pIv must be NULL; the IV stands before the ciphertext, also for C_Decrypt", _AWS_MECHANISMS),
        Source(
            "the number: CKM_VENDOR_DEFINED | CKM_AES_GCM",
            "cloudhsm_pkcs11_vendor_defs.h in /opt/cloudhsm/include/pkcs11 of the client SDK 5",
        ),
        *CLOUDHSM.sources[1:4],
    ),
    notes="opens what cloudhsm sealed, and the reverse",
)
YUBIHSM2 = VendorProfile(
    name="yubihsm2",
    device="Yubico YubiHSM 2",
    signs=((Sign.LIBRARY, "^YubiHSM"), (Sign.TOKEN_MODEL, "^YubiHSM"), (Sign.FILE, "yubihsm_pkcs11")),
    module_args="connector=http://127.0.0.1:12345",
    unwrap_modes=(UnwrapMode.NATIVE,),
    sealing=None,
    max_sessions=16,
    meanings=((CKR_DEVICE_ERROR, Meaning.REFUSED_INPUT),),
    sources=(
        Source("C_Initialize(NULL) was refused", f"{_YUBIHSM}/issues/501"),
        Source(
            "options in pReserved", "https://docs.yubico.com/hardware/yubihsm-2/hsm-2-user-guide/hsm2-pkcs11-guide.html"
        ),
        Source(
            "no AES-GCM; CKM_RSA_PKCS_OAEP decrypts and does not unwrap",
            f"{_YUBIHSM}/blob/master/pkcs11/util_pkcs11.c (get_mechanism_info)",
        ),
        Source("16 sessions with the device", "https://developers.yubico.com/YubiHSM2/Concepts/Session.html"),
        Source(
            "'invalid data' of the device, as for a ciphertext that does not open, becomes CKR_DEVICE_ERROR; "
            "a lost connection has other codes",
            f"{_YUBIHSM}/blob/master/pkcs11/util_pkcs11.c (yrc_to_rv)",
        ),
    ),
)
UTIMACO = VendorProfile(
    name="utimaco",
    device="Utimaco SecurityServer, u.trust",
    signs=(
        (Sign.FILE, r"cs_pkcs11_R[23]"),
        (Sign.LIBRARY_MANUFACTURER, "^Utimaco"),
        (Sign.TOKEN_MANUFACTURER, "^Utimaco"),
    ),
    value_len=ValueLen.REFUSED,
    sources=(
        Source("CKA_VALUE_LEN (one reporter)", "https://github.com/harrison314/BouncyHsm/issues/102"),
        Source("file names", "https://github.com/openbao/openbao/pull/1758"),
    ),
)
GOOGLE_KMS = VendorProfile(
    name="google-kms",
    device="Google Cloud KMS library (libkmsp11)",
    signs=((Sign.LIBRARY, "Cloud KMS"), (Sign.FILE, "kmsp11")),
    module_args="the path of the library's configuration file",
    unwrap_modes=(UnwrapMode.NATIVE,),
    oaep=(RSA_OAEP_256, RSA_OAEP_512),
    sealing=GcmSealing(iv=GcmIv.WRITTEN_BACK, mechanism=CKM_CLOUDKMS_AES_GCM, longest=65536),
    meanings=((CKR_DEVICE_ERROR, Meaning.TROUBLE),),
    sources=(
        Source(
            "no C_UnwrapKey; CKF_OS_LOCKING_OK must be set; configuration in pReserved", f"{_KMSP11}/docs/user_guide.md"
        ),
        Source("a key has one OAEP hash, the same for MGF1", f"{_KMSP11}/operation/rsaes_oaep.cc"),
        Source("the number 0x8001E101; the IV is written at C_Encrypt", f"{_KMSP11}/kmsp11.h"),
        Source("GCM: a zeroed 12-byte buffer; at most 65536 bytes", f"{_KMSP11}/operation/aes_gcm.cc"),
        Source(
            "a call to the service that fails is CKR_DEVICE_ERROR; our login is not lost",
            f"{_KMSP11}/operation/rsaes_oaep.cc",
        ),
        Source("'Cryptoki Library for Cloud KMS'", f"{_KMSP11}/provider.cc"),
    ),
    notes="keys are made with Google's tools: its C_GenerateKey takes no template of ours; any PIN will do",
)

PROFILES = (
    DEFAULT,
    SOFTHSM2,
    NSS,
    OPENCRYPTOKI,
    LUNA,
    LUNA_FIPS,
    NSHIELD,
    CLOUDHSM,
    CLOUDHSM_PREPENDED,
    YUBIHSM2,
    UTIMACO,
    GOOGLE_KMS,
    P11_KIT_CLIENT,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile in use, and what it was chosen by, for reports."""

    profile: VendorProfile
    how: str


def named(name: str) -> VendorProfile:
    """The profile that ``?profile=`` names; raises ConfigError."""
    for profile in PROFILES:
        if profile.name == name:
            return profile
    names = ", ".join(profile.name for profile in PROFILES)
    raise ConfigError("there is no vendor profile of that name", hint=f"profile is one of {names}")


def by_file(path: str) -> VendorProfile:
    """The profile that a module's file name suggests, before the module can be asked.

    Or the name of the file that it is a link to: openCryptoki's usual name is PKCS11_API.so, which tells nothing.
    """
    choices = (probed({Sign.FILE: PurePath(name).name}).profile for name in (path, os.path.realpath(path)))
    return next((profile for profile in choices if profile is not DEFAULT), DEFAULT)


def probed(found: Mapping[Sign, str]) -> Choice:
    """The first profile with a sign that is found in what library and token say of themselves."""
    for profile in PROFILES:
        for sign, pattern in profile.signs:
            if re.search(pattern, found.get(sign, ""), re.IGNORECASE):
                return Choice(profile, sign.value)
    return Choice(DEFAULT, "nothing known of library and token")
