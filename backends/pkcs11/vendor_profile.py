# SPDX-License-Identifier: Apache-2.0
"""What a vendor's PKCS#11 module needs, as a value: the vocabulary of the table in vendor_profiles.py.

A profile narrows or orders what is tried, and says how sealing is done. It never declares a capability: those are
still what opened a ciphertext of our own.
"""

from dataclasses import dataclass
from enum import StrEnum

from sealpass.backends.pkcs11.cryptoki import CKM_AES_GCM
from sealpass.backends.pkcs11.return_values import CKR_SESSION_COUNT, Meaning
from sealpass.core.algorithms import OAEP_VARIANTS, RsaOaep
from sealpass.core.capabilities import UnwrapMode


class InitMode(StrEnum):
    """How a module is told about threads."""

    OS_LOCKING = "os-locking"
    """C_Initialize with CKF_OS_LOCKING_OK."""
    PLAIN = "plain"
    """C_Initialize(NULL), for modules that take nothing else: one call at a time is made then."""


class ValueLen(StrEnum):
    """CKA_VALUE_LEN in the template of C_UnwrapKey: no two standards agree on it."""

    TRIED = "tried without, then with"
    REQUIRED = "required"
    REFUSED = "refused"


class GcmIv(StrEnum):
    """Who makes the IV of a sealing, and how it comes to us."""

    OURS = "ours"
    WRITTEN_BACK = "the token's, written into a zeroed buffer"
    APPENDED = "the token's, after the tag"
    PREPENDED = "the token's, before the ciphertext"


@dataclass(frozen=True, slots=True)
class GcmSealing:
    """How a module encrypts with AES-GCM. Sizes in bytes; the tag always has 16."""

    iv: GcmIv = GcmIv.OURS
    iv_bytes: int = 12
    mechanism: int = CKM_AES_GCM
    """The mechanism's number, of the vendor where it is not CKM_AES_GCM."""
    opens: frozenset[int] = frozenset({12})
    """The IV lengths of records that the key may be asked to open: also those of the device's other mode."""
    longest: int | None = None
    """The longest plaintext of one call; None where no limit is known."""


class Sign(StrEnum):
    """Where a module or its token says who made it."""

    FILE = "file name"
    LIBRARY_MANUFACTURER = "library manufacturer"
    LIBRARY = "library description"
    TOKEN_MANUFACTURER = "token manufacturer"  # noqa: S105 - where to look
    TOKEN_MODEL = "token model"  # noqa: S105 - where to look


@dataclass(frozen=True, slots=True)
class Source:
    """Where one of a profile's values comes from."""

    about: str
    where: str
    """A URL, or what was run here."""


@dataclass(frozen=True, slots=True)
class VendorProfile:
    """What one vendor's module needs. The defaults are the standard's, and what is tried where nothing is known."""

    name: str
    """As ``?profile=`` takes it."""
    device: str
    signs: tuple[tuple[Sign, str], ...] = ()
    """Any of these patterns (found anywhere, any case) chooses the profile; with none it is chosen by name only."""
    init_mode: InitMode = InitMode.OS_LOCKING
    module_args: str | None = None
    """What the module reads from pReserved, for a hint."""
    rw_sessions: bool = False
    """Whether every session must be read-write."""
    unwrap_modes: tuple[UnwrapMode, ...] = (UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN)
    oaep: tuple[RsaOaep, ...] = OAEP_VARIANTS
    """The variants that are worth a try."""
    value_len: ValueLen = ValueLen.TRIED
    sealing: GcmSealing | None = GcmSealing()
    """None where the device has no AES-GCM."""
    max_sessions: int | None = None
    """How many sessions the token lets a process have, those outside the pool included; None = not known."""
    session_limit: frozenset[int] = frozenset({CKR_SESSION_COUNT})
    """What C_OpenSession answers where there is no session left just now."""
    meanings: tuple[tuple[int, Meaning], ...] = ()
    """What a CK_RV means on this device, where that is not what it means elsewhere."""
    tested_on: str | None = None
    """Where it was run; None = untested on hardware."""
    sources: tuple[Source, ...] = ()
    notes: str = ""

    @property
    def status(self) -> str:
        """For reports and documents."""
        if self.tested_on:
            return f"tested on {self.tested_on}"
        return "untested on hardware" if self.sources else "no vendor's"
