# SPDX-License-Identifier: Apache-2.0
"""Findings: facts about a key or its device that a security engineer has to weigh, each with what to do."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sealpass.bench.qualification.device import is_emulated
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import Unwrapper

Attributes = Mapping[str, bool | int | str | None]

_SHORT_RSA_BITS = 2048
"""The least that is allowed (RFC 7518 section 4.3)."""


class Severity(StrEnum):
    """How much a finding weighs. ``high`` fails the qualification."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact, how much it weighs, and what to do about it."""

    id: str
    severity: Severity
    text: str
    advice: str

    def to_dict(self) -> dict[str, str]:
        """For the result file."""
        return {"id": self.id, "severity": self.severity.value, "text": self.text, "advice": self.advice}


def judge_key(
    key: Unwrapper,
    attributes: Attributes | None,
    description: Mapping[str, str] | None,
    allowed_modes: Collection[UnwrapMode],
) -> list[Finding]:
    """The findings on a key, gravest first: by mode and size, the attributes of PKCS#11, what a service says of it."""
    findings = _mode(key.capabilities.mode, allowed_modes) + _size(key.public_jwk.bits)
    if is_emulated(key):
        findings.append(EMULATED)
    if attributes is not None:
        findings += _protection(attributes) + _origin(attributes) + _uses(attributes)
    if description is not None:
        findings += _described(description)
    return gravest_first(findings)


EMULATED = Finding(
    "emulator",
    Severity.INFO,
    "an emulator answers for the device: it keeps keys in its memory and protects nothing, and its speed is its own",
    "use it for development and tests; qualify the real device before use",
)


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of their weight."""
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _mode(mode: UnwrapMode | None, allowed: Collection[UnwrapMode]) -> list[Finding]:
    findings = []
    if mode not in allowed:
        findings.append(
            Finding(
                "mode-not-allowed",
                Severity.HIGH,
                f"mode {mode or 'unknown'} may not pass: only {' and '.join(allowed)} may",
                "qualify a key in a device; for development, or where a key store is what you have, "
                "add --allow-software",
            )
        )
    if mode is UnwrapMode.SOFTWARE:
        findings.append(
            Finding(
                "software-key",
                Severity.INFO,
                "the key is in the memory of this process: no device protects it",
                "for development, or where a key store is what you have",
            )
        )
    return findings


def _size(bits: int) -> list[Finding]:
    if bits != _SHORT_RSA_BITS:
        return []
    return [
        Finding(
            "rsa-2048",
            Severity.INFO,
            "an RSA key of 2048 bits has 112 bits of strength (NIST SP 800-57 part 1 rev. 5: until 2030)",
            "make the next key with 3072 or 4096 bits",
        )
    ]


def _protection(attributes: Attributes) -> list[Finding]:
    findings = []
    if attributes.get("extractable") is True:
        findings.append(
            Finding(
                "extractable",
                Severity.HIGH,
                "the private key can be extracted from the device (CKA_EXTRACTABLE is true)",
                "make a new key with CKA_EXTRACTABLE false; this one cannot be trusted any more",
            )
        )
    if attributes.get("sensitive") is False:
        findings.append(
            Finding(
                "not-sensitive",
                Severity.HIGH,
                "the private key can be read in plain text (CKA_SENSITIVE is false)",
                "make a new key with CKA_SENSITIVE true",
            )
        )
    findings += [
        Finding(
            f"unknown-{name}",
            Severity.MEDIUM,
            f"the device does not say whether the private key is {name} (CKA_{name.upper()})",
            "find out from the vendor's own tools",
        )
        for name in ("sensitive", "extractable")
        if attributes.get(name) is None
    ]
    return findings


def _origin(attributes: Attributes) -> list[Finding]:
    findings = []
    if attributes.get("always_sensitive") is False:
        findings.append(
            Finding(
                "not-always-sensitive",
                Severity.MEDIUM,
                "the private key has not always been sensitive (CKA_ALWAYS_SENSITIVE is false)",
                "generate the key on the device; an imported key was readable somewhere",
            )
        )
    if attributes.get("never_extractable") is False:
        findings.append(
            Finding(
                "once-extractable",
                Severity.MEDIUM,
                "the private key may have been extractable once (CKA_NEVER_EXTRACTABLE is false)",
                "generate the key on the device with CKA_EXTRACTABLE false",
            )
        )
    if attributes.get("local") is False:
        findings.append(
            Finding(
                "not-local",
                Severity.INFO,
                "the device says that the key was not generated on it (CKA_LOCAL is false)",
                "check where the key comes from; NSS says so of keys that it generated, too",
            )
        )
    return findings


_USES: tuple[tuple[str, Severity, str, str], ...] = (
    (
        "sign",
        Severity.MEDIUM,
        "the key may also sign (CKA_SIGN is true)",
        "use one key for one purpose (RFC 8017 section 6): make the key without CKA_SIGN",
    ),
    (
        "raw_rsa",
        Severity.MEDIUM,
        "the key may be used for raw RSA (CKM_RSA_X_509): whoever has the PIN can decrypt around the padding check",
        "restrict the key with CKA_ALLOWED_MECHANISMS to CKM_RSA_PKCS_OAEP where the device enforces it",
    ),
    (
        "rsa_pkcs",
        Severity.MEDIUM,
        "the key may be used with PKCS #1 v1.5 padding (CKM_RSA_PKCS), which leaks through its failures",
        "restrict the key with CKA_ALLOWED_MECHANISMS to CKM_RSA_PKCS_OAEP where the device enforces it",
    ),
    (
        "cek_readable",
        Severity.MEDIUM,
        "whoever has the PIN can unwrap content encryption keys so that they can be read",
        "make the key with a CKA_UNWRAP_TEMPLATE (sensitive, not extractable) where the token enforces it",
    ),
    (
        "modifiable",
        Severity.LOW,
        "the attributes of the key can be changed (CKA_MODIFIABLE is true)",
        "make the key with CKA_MODIFIABLE false once its label is final",
    ),
)


def _uses(attributes: Attributes) -> list[Finding]:
    findings = [
        Finding(name.replace("_", "-"), severity, text, advice)
        for name, severity, text, advice in _USES
        if attributes.get(name) is True
    ]
    if attributes.get("decrypt") is True and attributes.get("unwrap") is True:
        findings.append(
            Finding(
                "two-modes",
                Severity.LOW,
                "the key may both decrypt and unwrap",
                "make keys for one mode: 'sealpass keys create --mode native' or '--mode in-token'",
            )
        )
    for name, text in (("private", "seen without login"), ("token", "lost with the session")):
        if attributes.get(name) is False:
            findings.append(
                Finding(
                    f"not-{name}",
                    Severity.MEDIUM,
                    f"the private key can be {text} (CKA_{name.upper()} is false)",
                    f"make a new key with CKA_{name.upper()} true",
                )
            )
    return findings


_MADE_INSIDE = frozenset(("AWS_KMS", "AWS_CLOUDHSM"))
"""Origin of a KMS key whose material was made in an HSM, of KMS or of the account's own CloudHSM cluster."""


def _described(values: Mapping[str, str]) -> list[Finding]:
    """By names that any service could use; whoever says nothing under a name is not judged by it."""
    findings = []
    origin = values.get("origin")
    if origin == "EXTERNAL":
        findings.append(
            Finding(
                "imported",
                Severity.MEDIUM,
                "the key material was made outside and imported (origin EXTERNAL): it was readable somewhere",
                "make the key in the service, or show who holds copies of its material",
            )
        )
    elif origin is not None and origin not in _MADE_INSIDE:
        findings.append(
            Finding(
                "unknown-origin",
                Severity.MEDIUM,
                f"the service does not say that the key material was made in it (origin {origin or 'unknown'})",
                "find out where the key material comes from",
            )
        )
    if values.get("multi-region") == "yes":
        findings.append(
            Finding(
                "multi-region",
                Severity.INFO,
                "the key is a multi-Region key: the same key material may be in several regions",
                "check in which regions it has replicas, and who may use it there",
            )
        )
    return findings
